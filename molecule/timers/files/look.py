# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print in JSON what a host knows of its timers. Runs on the host.

look.py [JOB=RUNS …]

First waits until each job has so many runs, none of which goes on, nor a module.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import typing as t
from pathlib import Path

STATES = Path("/var/lib/crm.continuity/schedule")
UNITS = Path("/etc/systemd/system")
BACKUPS = Path("/srv/scheduled/small")
METRICS = Path("/srv/scheduled-metrics/crm_backup_schedule.prom")
ASKED = (
    "ActiveState CPUWeight IOWeight KillMode MemoryMax NextElapseUSecRealtime Nice OOMPolicy OnFailure Persistent "
    "Result UnitFileState"
)
LIMIT = 180


def states() -> dict[str, t.Any]:
    """Return what is noted of each job."""
    return {path.stem: json.loads(path.read_text()) for path in STATES.glob("*.json")}


def output(*argv: str) -> str:
    """Return what a command prints, whatever it ends with."""
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout


def ended(wanted: dict[str, int]) -> bool:
    """Return whether each job has so many runs, and nothing goes on."""
    known = states()
    runs = {job: known[job]["runs"] if job in known else [] for job in wanted}
    return (
        all(len(runs[job]) >= number for job, number in wanted.items())
        and all(run["result"] != "running" for job in wanted for run in runs[job])
        and not output("pgrep", "--full", r"crm-continuity\S*\.pyz")
    )


def units() -> dict[str, dict[str, str]]:
    """Return what systemd says of each unit."""
    # A template is nothing that systemd could show.
    names = sorted(path.name for path in UNITS.glob("crm-continuity-*.*") if "@" not in path.name)
    shown = {name: output("systemctl", "show", f"--property={','.join(ASKED.split())}", name) for name in names}
    return {name: dict(line.split("=", 1) for line in text.splitlines()) for name, text in shown.items()}


def main() -> None:
    """Wait, and look."""
    wanted = {job: int(number) for job, _equal, number in (word.partition("=") for word in sys.argv[1:])}
    deadline = time.monotonic() + LIMIT
    while not ended(wanted) and time.monotonic() < deadline:
        time.sleep(0.5)
    seen = {
        "states": states(),
        "units": units(),
        "complaints": output("systemd-analyze", "verify", *map(str, UNITS.glob("crm-continuity-*.*"))),
        "failures": output("journalctl", "--quiet", "--output=cat", "--unit=crm-continuity-failed@*"),
        "journal": output("journalctl", "--quiet", "--output=cat", "--identifier=crm-continuity").splitlines(),
        "backups": sorted(path.name for path in BACKUPS.glob("2*")),
        "partial": sorted(path.name for path in BACKUPS.glob(".*")),
        "metrics": METRICS.read_text().splitlines() if METRICS.exists() else None,
        "frozen": output(
            "grep", "-rlsxE", "--include=freezer.state", "--include=cgroup.freeze", "FROZEN|1", "/sys/fs/cgroup"
        ),
        "running": sorted(output("docker", "ps", "--format", "{{.Names}}").split()),
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
