# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups while everything writes as fast as it can: whatever was captured has to be of one instant.

The writers and the check are those of the stand-in "load", see its README.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import typing as t
from pathlib import Path

from . import aftermath, backups, engine
from .module import Module
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    from collections.abc import Iterator

LOAD = Path("/root/lab/load")
# What the applications' own clients may have under way: one upload.
UPLOADS = 1
# Steps that each writer has to complete while a backup is being taken; else it was no load.
FEWEST = 40
QUERY = "SELECT json_object_agg(writer, number) FROM load.counters"
EVOLUTION = "http://127.0.0.1:8080"
# Seconds between two requests of a client: most of the machine is for the writers.
PAUSE = 0.01
WAIT = 60
VOLUMES = Path("/var/lib/docker/volumes")
SLOW = 8
# Version 1 and 2 of control groups.
THROTTLES = {
    "blkio/docker/{}/blkio.throttle.write_iops_device": str(SLOW),
    "blkio/system.slice/docker-{}.scope/blkio.throttle.write_iops_device": str(SLOW),
    "docker/{}/io.max": f"wiops={SLOW}",
    "system.slice/docker-{}.scope/io.max": f"wiops={SLOW}",
}


def backed_up(tally: Tally, count: int) -> None:
    """Take backups one after the other and check each; the last one stays, to be restored."""
    before, known = engine.well(), backups.listed()
    tell(_slow_disk())
    generations: dict[str, int] = {}
    stood: list[float] = []
    rates: list[float] = []
    with _clients() as used:
        for _number in range(count):
            backups.prune(known)
            earlier = counters()
            module = Module("backup")
            result = module.result()
            seconds = result.seconds
            attempt = Attempt()
            if not result.succeeded or result.said is None:
                attempt.lost.append(f"the backup failed: {result.message}")
                tally.add("no backup", attempt)
                continue
            steps = {writer: number - earlier.get(writer, 0) for writer, number in counters().items()}
            attempt.other += [f"writer {w} did {n} steps: no load" for w, n in steps.items() if n < FEWEST]
            found = agreement(result.said["directory"])
            # It was reported as a success.
            attempt.undetected += found["problems"]
            attempt.other += [
                f"session {session} stood still between backups"
                for session, generation in found["generations"].items()
                if generation <= generations.get(session, 0)
            ]
            generations = found["generations"]
            aftermath.check(attempt, before, known, WAIT)
            stood.append(result.said["frozen_seconds"])
            rates.append(sum(steps.values()) / seconds)
            tally.add(
                f"{rates[-1]:.0f} steps/s of {len(steps)} writers for {seconds:.1f} s, frozen {stood[-1]:.2f} s; "
                f"{found['blobs']} attachments, {found['between']} between row and file",
                attempt,
            )
    if not used or min(used["done"].values()) < count:
        tally.add("at the end", Attempt(other=[f"the clients of the applications did next to nothing: {used}"]))
    if stood:
        tell(
            f"medians: {statistics.median(rates):.0f} steps a second, frozen {statistics.median(stood):.2f} s "
            f"(at most {max(stood):.2f} s); clients: {used}"
        )


def resumed(tally: Tally) -> None:
    """Check what a restore has brought back: writers check it themselves before they go on, and sessions are open."""
    begun = engine.until(_silent, WAIT)
    attempt = Attempt(lost=list(begun.values()))
    shut = engine.until(_shut, WAIT)
    attempt.lost += [f"session {name} is {state}" for name, state in shut.items()]
    engine.missing(set(engine.containers()), WAIT)
    tally.add("restored by the playbook; the writers went on where the backup ended", attempt)


def counters() -> dict[str, int]:
    """Return how many steps each writer has done."""
    argv = ["docker", "exec", "crm-postgres-1", "psql", "--username=postgres", "--no-psqlrc", "-Atc", QUERY]
    done = subprocess.run([*argv, "chatwoot_production"], check=True, capture_output=True, text=True)
    return {writer: int(number) for writer, number in json.loads(done.stdout or "{}").items()}


def agreement(directory: str) -> dict[str, t.Any]:
    """Return what the check of a backup finds."""
    argv = ["python3", str(LOAD / "agree.py"), directory, f"--uploads={UPLOADS}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        return {"problems": [f"the check failed: {done.stderr[-400:]}"], "generations": {}, "blobs": 0, "between": 0}
    found: dict[str, t.Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def _clients() -> Iterator[dict[str, t.Any]]:
    """Let clients use the applications; what they did is filled in at the end."""
    used: dict[str, t.Any] = {}
    with subprocess.Popen(["python3", str(LOAD / "clients.py"), f"--pause={PAUSE}"], stdout=subprocess.PIPE) as process:
        try:
            yield used
        finally:
            process.send_signal(signal.SIGTERM)
            used |= json.loads(process.communicate()[0] or b"{}")


def _slow_disk() -> str:
    """Let Redis write to its disk as to a busy one, and return what was done.

    A Redis that waits for its disk answers commands before they are in its append-only file.
    """
    argv = ["docker", "inspect", "--format", "{{.Id}}", "crm-redis-1"]
    container = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    device = VOLUMES.stat().st_dev
    where = f"{os.major(device)}:{os.minor(device)}"
    for pattern, words in THROTTLES.items():
        for path in engine.CGROUPS.glob(pattern.format(container)):
            try:
                path.write_text(f"{where} {words}")
            except OSError:
                # Not every file system is on a device that can be slowed down.
                continue
            return f"Redis may write to its disk {SLOW} times a second"
    return "the disk of Redis cannot be slowed down on this machine"


def _silent() -> dict[str, str]:
    """Return the writers that have not said since their container began that all of theirs agrees."""
    said = subprocess.run(["docker", "logs", "crm-load-1"], capture_output=True, text=True, check=False)
    lines = (said.stdout + said.stderr).splitlines()
    trouble = {str(number): line for number, line in enumerate(lines) if "DISAGREES" in line}
    agreed = {line.split()[1] for line in lines if "files, row and key agree" in line}
    return trouble or {w: f"writer {w} has not begun again" for w in counters().keys() - agreed}


def _shut() -> dict[str, str]:
    argv = ["python3", str(LOAD / "clients.py"), "--states"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    states: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {"?": done.stderr[-200:]}
    return {name: state for name, state in states.items() if state != "open"}
