# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Something goes away while a backup is being taken: the connection, the engine, the whole server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import typing as t
from pathlib import Path

from . import aftermath, backups, engine
from .aftermath import ENGINE_LIMIT, LIMIT
from .module import PHASES, Module
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    import random

# How much later than the beginning of a phase something goes away.
LITTLE = 0.05
CRON = Path("/etc/cron.d")


def severed(tally: Tally, phase: str, how: str) -> None:
    """Kill the connection of a backup that was started through it, in one phase; the backup itself is left alone."""
    before, known = engine.well(), backups.listed()
    deadline = time.monotonic() + LIMIT
    reached = PHASES[PHASES.index(phase) :]
    while (found := backups.working()) is None or found[1] not in reached:
        if time.monotonic() > deadline:
            tally.add(how, Attempt(lost=[f"the backup has not reached phase {phase}"]))
            return
        time.sleep(0.0002)
    pid, where = found
    module = Path(f"/proc/{pid}/cmdline").read_bytes()
    connection = _connection_of(pid)
    os.kill(connection, signal.SIGKILL)
    begun = time.monotonic()
    # It may go on without a connection, or end: what is left of it after its time has to be nothing.
    ended = not engine.until(lambda: backups.running(module), LIMIT)
    attempt = Attempt()
    attempt.other += [] if ended else [f"it still runs {LIMIT} s later"]
    aftermath.check(attempt, before, known, LIMIT)
    back = time.monotonic() - begun
    done = "it went on and published" if backups.listed() - known else "it ended without a backup"
    aftermath.and_again(attempt)
    tally.add(f"connection killed in phase {where} {how}: {done}, all over after {back:.1f} s", attempt)
    backups.prune(known)
    aftermath.at_the_end(tally, before)


def _connection_of(pid: int) -> int:
    """Return the process of sshd that serves the session which a process belongs to."""
    while pid > 1:
        name, _bracket, fields = Path(f"/proc/{pid}/stat").read_text().partition("(")[2].rpartition(") ")
        if name.startswith("sshd"):
            return pid
        pid = int(fields.split()[1])
    raise SystemExit("The backup was not started through a connection.")


def daemon(tally: Tally, count: int, chance: random.Random, *, kill: bool, phase: str) -> None:
    """Stop or kill the Docker daemon in one phase, and start it again."""
    before = engine.well()
    for _number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        module = Module("backup")
        reached = module.wait_phase(phase)
        time.sleep(chance.uniform(0, LITTLE))
        if not reached or (phase != "live" and not engine.frozen()):
            # It has thawed already. What the engine's death does to a stack then is not a backup's doing.
            module.result()
            continue
        if kill:
            subprocess.run("kill -KILL $(cat /run/docker.pid)", shell=True, check=True)
            time.sleep(1)
        else:
            subprocess.run(["service", "docker", "stop"], check=True, capture_output=True)
        away = time.monotonic()
        time.sleep(chance.uniform(0, 5))
        subprocess.run(["service", "docker", "start"], check=True, capture_output=True)
        result = module.result()
        attempt = Attempt()
        if phase == "live":
            # The engine may leave down what it took along, and no backup had touched a service yet.
            aftermath.mend(before)
        aftermath.check(attempt, before, known, ENGINE_LIMIT, healthy=True)
        if result.succeeded:
            # The engine came back before anything was asked of it: then the backup has to be whole, which is checked.
            tell("the backup succeeded all the same")
        elif not result.clean:
            attempt.other.append(f"no clean error: {result.message}")
        aftermath.and_again(attempt)
        tally.add(f"in phase {reached}; all run {time.monotonic() - away:.1f} s later; {result.message[:120]}", attempt)
        backups.prune(known)


def rebooted(tally: Tally, count: int, chance: random.Random) -> None:
    """Let nothing of a backup live on that could thaw: neither module nor watchdog; then the engine starts anew.

    The engine does not start what was stopped on purpose. What ``prepare`` has installed to run at boot has to.
    """
    before = engine.well()
    for _number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        module = Module("backup-stop")
        module.wait_phase("cut")
        time.sleep(chance.uniform(0, LITTLE))
        watchdog = module.watchdog()
        if watchdog is None:
            module.result()
            continue
        os.kill(watchdog, signal.SIGKILL)
        module.strike(signal.SIGKILL, group=True)
        module.result()
        stopped = sorted(name for name, state in engine.containers().items() if state == "exited")
        subprocess.run(["service", "docker", "restart"], check=True, capture_output=True)
        attempt = Attempt()
        attempt.other += [] if stopped and backups.journal() else ["nothing was stopped, or no journal says so"]
        begun = time.monotonic()
        attempt.other += boot()
        aftermath.check(attempt, before, known, ENGINE_LIMIT, healthy=True)
        back = time.monotonic() - begun
        aftermath.and_again(attempt)
        tally.add(f"{', '.join(stopped)} stopped; all are well {back:.1f} s after the boot program began", attempt)
        backups.prune(known)


def boot() -> list[str]:
    """Run what cron runs at boot; return what went wrong."""
    tables = [path.read_text().splitlines() for path in CRON.glob("*crm*")]
    lines = [line for table in tables for line in table if line.startswith("@reboot")]
    if len(lines) != 1:
        return [f"{CRON} says {len(lines)} times what to do at boot"]
    _when, _user, command = lines[0].split(None, 2)
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=ENGINE_LIMIT, check=False)
    return [f"{command} exited with {done.returncode}: {done.stderr[-300:]}"] if done.returncode else []


def hold(chance: random.Random) -> None:
    """Start a backup and leave it alone in the middle of its freeze, for a blow from outside."""
    known, before = sorted(backups.listed()), sorted(engine.well())
    module = Module("backup")
    module.wait_phase("cut")
    time.sleep(chance.uniform(0, LITTLE))
    print(json.dumps({"held": {"before": before, "known": known}}), flush=True)


def after_power_cut(tally: Tally, before: set[str], known: set[str]) -> None:
    """Judge what a power cut did, once the host is up again."""
    attempt = Attempt()
    begun = time.monotonic()
    attempt.other += boot()
    aftermath.check(attempt, before, known, ENGINE_LIMIT, healthy=True)
    back = time.monotonic() - begun
    aftermath.and_again(attempt)
    tally.add(f"all run {back:.1f} s after the host was up", attempt)
    backups.prune(known)
