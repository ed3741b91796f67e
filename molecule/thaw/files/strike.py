# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wait until a backup of a stack has frozen everything, and hit it. Runs on the server.

strike.py [--kill owner [watchdog] | --halt owner | --thaw] [--stack NAME]

Prints what stands still afterwards, and the names of the journals. With --thaw, nothing does; without options, it only
looks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path

JOURNALS = Path("/var/lib/crm.continuity/journal")
# Of the two versions of control groups, and of the two ways in which Docker names them.
SWITCHES = (
    "freezer/docker/*/freezer.state",
    "docker/*/cgroup.freeze",
    "system.slice/docker-*.scope/cgroup.freeze",
)
THAWED = {"freezer.state": "THAWED", "cgroup.freeze": "0"}
LIMIT = 120
# Seconds: how long the backup goes on between two looks, and how long it may sleep before it looks itself.
STEP, SEEN = 0.002, 0.05


def frozen() -> dict[str, Path]:
    """Return the switches of the control groups that stand still, by directory."""
    switches = {str(path.parent): path for pattern in SWITCHES for path in Path("/sys/fs/cgroup").glob(pattern)}
    return {directory: path for directory, path in switches.items() if is_frozen(path)}


def is_frozen(switch: Path) -> bool:
    """Return whether a control group stands still."""
    try:
        return switch.read_text(encoding="ascii").strip() != THAWED[switch.name]
    except OSError:
        # The container is gone since: nothing of it stands still.
        return False


def stands(group: str) -> bool:
    """Return whether all processes of a control group stand still; it may have been told to, and not be there yet."""
    for name, word in (("freezer.state", "FROZEN"), ("cgroup.events", "frozen 1")):
        path = Path(group, name)
        if path.exists():
            return word in path.read_text(encoding="ascii").splitlines()
    return False


def journals() -> list[str]:
    """Return the names of the journals."""
    return sorted(path.name for path in JOURNALS.iterdir()) if JOURNALS.is_dir() else []


def ancestry(pid: str) -> tuple[int, int]:
    """Return the parent and the session of a process."""
    fields = Path("/proc", pid, "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    return int(fields[1]), int(fields[3])


def watchdog_of(owner: int) -> int | None:
    """Return the child of a process that has a session of its own."""
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            parent, session = ancestry(pid)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == owner and session == int(pid):
            return int(pid)
    return None


def main() -> None:
    """Do what the options say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kill", nargs="+", choices=("owner", "watchdog"), default=[])
    parser.add_argument("--halt", nargs="+", choices=("owner",), default=[])
    parser.add_argument("--thaw", action="store_true")
    parser.add_argument("--stack", default="crm")
    options = parser.parse_args()
    if options.thaw:
        for switch in frozen().values():
            switch.write_text(THAWED[switch.name], encoding="ascii")
    elif options.kill or options.halt:
        strike(options.stack, options.kill, options.halt)
    print(json.dumps({"frozen": sorted(frozen()), "journals": journals()}))


def step(owner: int, seconds: float) -> None:
    """Let a process go on for a moment, and hold it again."""
    os.kill(owner, signal.SIGCONT)
    time.sleep(seconds)
    os.kill(owner, signal.SIGSTOP)


def strike(stack: str, killed: list[str], halted: list[str]) -> None:
    """Hit the backup in the moment in which everything stands still."""
    deadline = time.monotonic() + LIMIT
    path = JOURNALS / f"{stack}.json"
    while not path.exists():
        if time.monotonic() > deadline:
            sys.exit("No backup has begun to freeze.")
        time.sleep(0.001)
    journal = json.loads(path.read_bytes())
    expected = {entry["cgroup"] for entry in journal["entries"] if entry["method"] == "cgroup"}
    owner = journal["owner_pid"]
    watchdog = watchdog_of(owner)
    if watchdog is None:
        sys.exit("The backup has no watchdog.")
    # Step by step: however busy the host is, the moment is not missed.
    step(owner, STEP)
    while not all(map(stands, expected)):
        if time.monotonic() > deadline or not path.exists():
            os.kill(owner, signal.SIGCONT)
            sys.exit("The backup has not frozen everything.")
        step(owner, STEP)
    time.sleep(SEEN)
    step(owner, STEP)
    Path(__file__).with_name("owner").write_text(str(owner), encoding="ascii")
    if not expected <= frozen().keys():
        os.kill(owner, signal.SIGCONT)
        sys.exit("The backup was faster.")
    # All at once: neither may see that the other one is gone.
    if "watchdog" in killed:
        os.kill(watchdog, signal.SIGKILL)
    if "owner" in killed:
        os.kill(owner, signal.SIGKILL)
    elif "owner" not in halted:
        os.kill(owner, signal.SIGCONT)


if __name__ == "__main__":
    main()
