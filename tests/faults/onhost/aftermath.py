# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold after any blow."""

from __future__ import annotations

import subprocess
import typing as t
from pathlib import Path

from . import backups, engine
from .module import run
from .tally import Attempt

if t.TYPE_CHECKING:
    from .tally import Tally

# Seconds until everything has to run again: after the death of the module, and after that of the engine.
LIMIT = 30
ENGINE_LIMIT = 120
JOURNAL_LIMIT = 10


def check(attempt: Attempt, before: set[str], known: set[str], limit: float, *, healthy: bool = False) -> None:
    """Check what must hold after any blow: all run again, no backup is gone, and none that is listed is incomplete.

    Unless it is asked for, their health is left for the end of the line: it takes the engine a while to find out.
    """
    down = engine.missing(before, limit) if healthy else engine.down(before, limit)
    attempt.left_down += [f"{name} is {state} after {limit:.0f} s" for name, state in down.items()]
    if down:
        # The next attempts are to find what this one found.
        mend(before)
    # The watchdog removes it when all run.
    journal = engine.until(backups.journal, JOURNAL_LIMIT)
    attempt.other += [f"the journal {path} is left over" for path in journal]
    for path in journal:
        Path(path).unlink(missing_ok=True)
    now = backups.listed()
    attempt.lost += [f"backup {id_} is gone" for id_ in sorted(known - now)]
    attempt.lost += [
        f"an incomplete backup is listed: {why}" for id_ in sorted(now - known) if (why := backups.fault(id_))
    ]


def and_again(attempt: Attempt) -> None:
    """Check that the next backup works, leaves nothing of the former run, and verifies."""
    known = backups.listed()
    result = run("backup")
    if not result.succeeded:
        attempt.lost.append(f"the next backup failed: {result.message}")
        return
    attempt.other += [f"{name} is left over after the next backup" for name in backups.leftovers()]
    attempt.lost += [why for id_ in backups.listed() - known if (why := backups.fault(id_))]
    verified = run("verify")
    if not verified.succeeded:
        attempt.lost.append(f"the next backup does not verify: {verified.message}")


def at_the_end(tally: Tally, before: set[str]) -> None:
    """Check that all containers are healthy after the last attempt, too."""
    ill = engine.missing(before, LIMIT)
    if ill:
        tally.add("at the end", Attempt(left_down=[f"{name} is {state}" for name, state in ill.items()]))


def mend(before: set[str]) -> None:
    """Bring everything back by hand, and start the engine anew when that does not help."""
    _start(before)
    if engine.missing(before, LIMIT):
        subprocess.run(["service", "docker", "restart"], check=False, capture_output=True)
        _start(before)
    engine.missing(before, ENGINE_LIMIT)


def _start(before: set[str]) -> None:
    engine.thaw()
    engine.until(lambda: {} if engine.containers() else {"engine": "silent"}, ENGINE_LIMIT)
    for verb in ("unpause", "start"):
        # Those that need neither make the command fail.
        subprocess.run(["docker", verb, *sorted(before)], check=False, capture_output=True)
