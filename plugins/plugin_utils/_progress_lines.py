# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the progress of an operation is told: the words, and how often.

What comes from the host is described in module_utils/_progress.py. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Mapping

AUTO, LINES, NONE = "auto", "lines", "none"
MODES = (AUTO, LINES, NONE)
# Seconds between two lines of a host, on a terminal and elsewhere.
ON_TERMINAL, ELSEWHERE = 5.0, 30.0
# With more hosts at a time than this, not every phase gets a line.
FEW = 10
# Where output looks like a terminal and is kept as lines: AWX and ansible-runner, and whatever else collects it.
COLLECTED = ("AWX_ISOLATED_DATA_DIR", "AWX_PRIVATE_DATA_DIR", "RUNNER_OMIT_EVENTS", "CI")
UNITS = ("B", "kB", "MB", "GB", "TB")


def describe(progress: Mapping[str, t.Any]) -> str:
    """Return what a host says of itself, such as ``crm | live: volume crm_storage 43 % of 1.2 GB, 52.0 MB/s``."""
    step, phase = progress.get("step"), progress.get("phase") or "begin"
    # Some phases have the name of their step in their own.
    words = [f"{phase}: {step}" if step and str(step) not in str(phase) else str(phase)]
    size, expected = progress.get("step_bytes"), progress.get("step_expected")
    if step and expected:
        words.append(f"{_percent(size, expected)} % of {_size(expected)}")
    elif step and size:
        words.append(_size(size))
    rate = progress.get("rate")
    text = " ".join(words) + (f", {_size(rate)}/s" if step and rate else "")
    parts = [text]
    if progress.get("subject"):
        parts.insert(0, str(progress["subject"]))
    if progress.get("attached"):
        parts.append("begun by an earlier run")
    if progress.get("expected"):
        eta = progress.get("eta")
        left = "" if eta is None else f", ETA {_clock(eta)}"
        parts.append(f"all {_percent(progress.get('bytes'), progress['expected'])} %{left}")
    return " | ".join(parts)


def _percent(size: t.Any, expected: int) -> int:
    # It is expected only: what is not ended has something left to do.
    return min(99, int((size or 0) * 100 / expected))


def _size(size: float) -> str:
    value, unit = float(size), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {UNITS[unit]}" if unit > 1 else f"{value:.0f} {UNITS[unit]}"


def _clock(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass(frozen=True)
class Manner:
    """How to tell: by one line that is replaced, by lines, or not at all; and how often to look at the host.

    ``looks`` are the seconds between two looks. The end of a run is noticed at once in any case.
    """

    replaced: bool
    lines: bool
    interval: float
    each_phase: bool
    looks: int


def manner(mode: str, interval: float | None, *, hosts: int, terminal: bool) -> Manner:
    """Decide how to tell; ``hosts`` is how many of them work at a time."""
    if mode == NONE:
        return Manner(replaced=False, lines=False, interval=0, each_phase=False, looks=20)
    if mode == AUTO and terminal and hosts == 1:
        return Manner(replaced=True, lines=False, interval=0, each_phase=True, looks=1)
    seconds = interval or (ON_TERMINAL if terminal else ELSEWHERE)
    few = hosts <= FEW
    # All hosts together print no more than a line per second.
    pause = seconds if few else max(seconds, float(hosts))
    return Manner(
        replaced=False, lines=True, interval=pause, each_phase=few, looks=max(1, min(5 if few else 15, int(pause)))
    )


class Pace:
    """Decides which moments get a line."""

    def __init__(self, how: Manner, began: float) -> None:
        self._how = how
        self._last = began
        self._what: tuple[t.Any, ...] | None = None

    def wants(self, progress: Mapping[str, t.Any], moment: float) -> bool:
        """Tell whether to print now."""
        what = (progress.get("phase"), progress.get("step"))
        changed = self._how.each_phase and what != self._what
        if not changed and moment - self._last < self._how.interval:
            return False
        self._what, self._last = what, moment
        return True
