# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count what happened: one tally is one line of the table."""

from __future__ import annotations

import json
import typing as t
from dataclasses import asdict, dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Attempt:
    """What one attempt did. Every list holds sentences, for whoever has to find out why."""

    lost: list[str] = field(default_factory=list)
    left_down: list[str] = field(default_factory=list)
    undetected: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        return [*self.lost, *self.left_down, *self.undetected, *self.other]


@dataclass
class Tally:
    """One line: how many attempts there were, and how many did which harm."""

    area: str
    name: str
    tried: int = 0
    survived: int = 0
    lost: int = 0
    left_down: int = 0
    undetected: int = 0

    @property
    def holds(self) -> bool:
        return self.tried > 0 and self.survived == self.tried

    def add(self, what: str, attempt: Attempt) -> None:
        """Count an attempt and report it."""
        self.tried += 1
        self.survived += not attempt.problems
        self.lost += bool(attempt.lost)
        self.left_down += bool(attempt.left_down)
        self.undetected += bool(attempt.undetected)
        tell(f"{self.tried}: {what}", attempt.problems)

    def report(self) -> None:
        """Hand the line over to the control node."""
        print(json.dumps({"row": {**asdict(self), "holds": self.holds}}), flush=True)


def tell(text: str, problems: Sequence[str] = ()) -> None:
    """Report progress to the control node."""
    print(json.dumps({"note": text, "problems": list(problems)}), flush=True)
