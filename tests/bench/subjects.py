# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is compared: commands that do the same work, run in turns, and the rows that come of it."""

from __future__ import annotations

import json
import statistics
import typing as t
from dataclasses import dataclass, field

from lab.server import LAB, LabError, say

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lab.server import Server

TIMES = "\N{MULTIPLICATION SIGN}"
MEASURE = f"{LAB}/bench/measure.py"


@dataclass(frozen=True)
class Subject:
    """One command to measure; ``before`` is a line of shell that brings the host to where it was, not measured."""

    name: str
    argv: Sequence[str]
    before: str = "true"


@dataclass(frozen=True)
class Row:
    """One line of the table. ``ratio`` is counted as the budget counts it."""

    area: str
    name: str
    unit: str
    ours: float
    peer: float | None
    ratio: float | None
    budget: str
    holds: bool


@dataclass
class Samples:
    """What was measured, by subject."""

    server: Server
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def take(self, subject: Subject, *, memory: bool = False) -> Mapping[str, t.Any]:
        """Measure one subject once."""
        self.server.shell(subject.before)
        request = json.dumps({"argv": list(subject.argv), "memory": memory}).encode()
        result: dict[str, t.Any] = self.server.ask("python3", MEASURE, stdin=request)
        if result["code"] != 0:
            raise LabError(f"{subject.name} exited with {result['code']}: {result['output'][-3000:]}")
        return result

    def interleave(self, subjects: Sequence[Subject], rounds: int) -> None:
        """Measure all subjects in turns, so that what else happens on this machine meets all of them alike."""
        for number in range(rounds):
            for subject in subjects:
                result = self.take(subject)
                self.seconds.setdefault(subject.name, []).append(result["seconds"])
                say(f"round {number + 1}: {subject.name}: {result['seconds']:.2f} s")

    def median(self, name: str) -> float:
        """Return the median of a subject in seconds."""
        return statistics.median(self.seconds[name])

    def faster(self, area: str, name: str, ours: str, peer: str, times: float) -> Row:
        """Compare two subjects where ours has to be so many times faster."""
        ratio = self.median(peer) / self.median(ours)
        return Row(
            area, name, "s", self.median(ours), self.median(peer), ratio, f"≥ {times:g}{TIMES} faster", ratio >= times
        )

    def within(self, area: str, name: str, ours: str, peer: str, times: float) -> Row:
        """Compare two subjects where ours may take so many times as long."""
        ratio = self.median(ours) / self.median(peer)
        return Row(
            area, name, "s", self.median(ours), self.median(peer), ratio, f"≤ {times:g}{TIMES} the time", ratio <= times
        )

    def beside(self, area: str, name: str, ours: str, peer: str) -> Row:
        """Show two subjects side by side, without a budget."""
        ratio = self.median(ours) / self.median(peer)
        return Row(area, name, "s", self.median(ours), self.median(peer), ratio, "none", holds=True)


def memory_row(area: str, name: str, ours: float, peer: float, budget: float) -> Row:
    """Compare two amounts of memory in bytes; the budget is in megabytes and bounds ours."""
    return Row(area, name, "MB", ours / 1e6, peer / 1e6, ours / peer, f"≤ {budget:g} MB", ours <= budget * 1e6)
