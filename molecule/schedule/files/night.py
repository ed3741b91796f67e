# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let some nights of a host pass in a minute, without a control node, and tell in JSON what became of them.

Cron itself looks every ten minutes, which is too long for a test: its line is read from the table and run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing as t
from pathlib import Path

TABLE = Path("/etc/cron.d/crm-continuity-schedule")
JOBS = Path("/etc/crm.continuity/schedule")
STATES = Path("/var/lib/crm.continuity/schedule")
# Where the backups go.
ROOT = Path("/srv/scheduled")
DAY = 86400
LIMIT = 60


def line() -> str:
    """Return what cron would give to a shell, without the log."""
    (entry,) = [text for text in TABLE.read_text().splitlines() if text.startswith("*/10 * * * * root ")]
    command, pipe, _logger = entry.partition(" root ")[2].partition(" | ")
    assert pipe
    return command


def night(metrics: Path, days: int = 0) -> dict[str, t.Any]:
    """Let so many days pass for every job, and cron look once."""
    for path in [*JOBS.glob("*.json"), *STATES.glob("*.json")]:
        if path.parent == JOBS:
            moment = path.stat().st_mtime - days * DAY
            os.utime(path, (moment, moment))
        elif days:
            path.unlink()
    done = subprocess.run(["/bin/sh", "-c", line()], capture_output=True, text=True, check=False)
    return {
        "rc": done.returncode,
        "said": done.stdout.splitlines(),
        "states": {path.stem: json.loads(path.read_text()) for path in sorted(STATES.glob("*.json"))},
        "metrics": (metrics / "crm_backup_schedule.prom").read_text().splitlines(),
    }


def killed(metrics: Path) -> dict[str, t.Any]:
    """Kill the program of a backup, and look again once its module has ended."""
    program = line().split(" tick")[0].split()
    runner = subprocess.Popen([*program, "run", "backup"], stdout=subprocess.DEVNULL, start_new_session=True)
    modules: list[str] = []
    deadline = time.monotonic() + LIMIT
    # Not before the module knows what to do, which it is told by the program.
    while not (modules and any(ROOT.glob("*/.*.partial"))) and time.monotonic() < deadline:
        time.sleep(0.05)
        modules = commands(runner.pid)
    runner.send_signal(signal.SIGKILL)
    runner.wait()
    state = json.loads((STATES / "backup.json").read_text())
    while commands(None) and time.monotonic() < deadline:
        time.sleep(0.2)
    return {"hit": modules, "left": state["runs"][-1], "then": night(metrics)}


def commands(parent: int | None) -> list[str]:
    """Return the command lines of the modules that a process runs, or that anybody does."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            of = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if b"module" in words and any(b"crm-continuity" in word for word in words) and parent in (None, of):
            found.append(b" ".join(words).decode())
    return found


if __name__ == "__main__":
    where = Path(sys.argv[2])
    print(json.dumps(killed(where) if sys.argv[1] == "killed" else night(where, int(sys.argv[1]))))
