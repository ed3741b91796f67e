# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blows that fall while a backup is being taken: signals, a second backup, an engine that goes away."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import typing as t
from dataclasses import dataclass

from . import backups, engine
from .module import Module, run
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    import random

# Seconds until everything has to run again: after the death of the module, and after that of the engine.
LIMIT = 30
ENGINE_LIMIT = 120
LEFT_LIMIT = 15
SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True)
class Phases:
    """How long a backup that nothing disturbs takes: while it is frozen, after that, and in all."""

    frozen: float
    after: float
    whole: float


def phases() -> Phases:
    """Take a backup and look on."""
    with engine.Watch() as watch:
        module = Module("backup")
        result = module.result()
        whole = time.monotonic() - module.begun
    if not result.succeeded or watch.first is None or watch.last is None:
        raise SystemExit(f"An undisturbed backup failed or froze nothing: {result.message}")
    tell(f"an undisturbed backup takes {whole:.1f} s; it is frozen from {watch.first:.1f} to {watch.last:.1f} s")
    return Phases(watch.last - watch.first, whole - watch.last, whole)


def killed(tally: Tally, count: int, chance: random.Random, *, group: bool) -> None:
    """Kill the module at random moments: by turns inside the freeze, after it, and anywhere."""
    usual = phases()
    before = engine.well()
    for _number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        module = Module("backup")
        turn = tally.tried % 3
        if turn < 2:
            module.wait_frozen()
        if turn == 1:
            module.wait_thawed()
        time.sleep(chance.uniform(0, (usual.frozen, usual.after, usual.whole)[turn]))
        frozen = len(engine.paused())
        if module.ended:
            # It was faster than usual: no blow, no attempt.
            module.result()
            continue
        moment = time.monotonic() - module.begun
        module.strike(signal.SIGKILL, group=group)
        module.result()
        begun = time.monotonic()
        attempt = Attempt()
        aftermath(attempt, before, known, LIMIT)
        back = time.monotonic() - begun
        left = engine.until(module.survivors, LEFT_LIMIT)
        attempt.other += [f"process {pid} ({name}) is left over" for pid, name in left.items()]
        and_again(attempt)
        tally.add(f"killed after {moment:.2f} s with {frozen} frozen, all run after {back:.2f} s", attempt)
        backups.prune(known)
    at_the_end(tally, before)


def interrupted(tally: Tally, count: int, chance: random.Random) -> None:
    """Ask the module to stop while it is frozen, by the signals of a hang-up, an operator and a service manager."""
    usual = phases()
    before = engine.well()
    for number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        module = Module("backup")
        module.wait_frozen()
        time.sleep(chance.uniform(0, usual.frozen / 2))
        if module.ended:
            module.result()
            continue
        chosen, group = SIGNALS[number % len(SIGNALS)], number % 2 == 1
        module.strike(chosen, group=group)
        result = module.result()
        if result.succeeded:
            # It arrived when the work was done.
            continue
        attempt = Attempt()
        # It thaws by itself before it ends: there is nothing to wait for.
        attempt.left_down += [f"{name} is {state} when it ends" for name, state in engine.still(before).items()]
        aftermath(attempt, before, known, LIMIT)
        attempt.other += [f"no clean error: {result.message}"] if not result.clean else []
        attempt.other += [f"{name} is left over" for name in backups.leftovers()]
        and_again(attempt)
        tally.add(f"{chosen.name} to {'the group' if group else 'the process'}: {result.message[:120]}", attempt)
        backups.prune(known)
    at_the_end(tally, before)


def doubled(tally: Tally, count: int) -> None:
    """Start a second backup while the first one is frozen."""
    before = engine.well()
    for _number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        first = Module("backup")
        first.wait_frozen()
        second = run("backup")
        done = first.result()
        attempt = Attempt()
        if second.succeeded:
            attempt.undetected.append("the second backup ran at the same time")
        elif not second.clean or "busy" not in second.message:
            attempt.other.append(f"no clean refusal: {second.message}")
        if not done.succeeded:
            attempt.lost.append(f"the first backup failed: {done.message}")
        aftermath(attempt, before, known, LIMIT)
        and_again(attempt)
        tally.add(f"the second one was told: {second.message[:120]}", attempt)
        backups.prune(known)
    at_the_end(tally, before)


def engine_gone(tally: Tally, count: int, chance: random.Random, *, kill: bool) -> None:
    """Stop or kill the Docker daemon while it is frozen, and start it again."""
    usual = phases()
    before = engine.well()
    for _number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        module = Module("backup")
        module.wait_frozen()
        time.sleep(chance.uniform(0, usual.frozen / 2))
        if not engine.paused():
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
        aftermath(attempt, before, known, ENGINE_LIMIT, healthy=True)
        if result.succeeded:
            # The engine came back before anything was asked of it: then the backup has to be whole, which is checked.
            tell("the backup succeeded all the same")
        elif not result.clean:
            attempt.other.append(f"no clean error: {result.message}")
        and_again(attempt)
        tally.add(f"all run {time.monotonic() - away:.1f} s later; {result.message[:120]}", attempt)
        backups.prune(known)


def hold(chance: random.Random) -> None:
    """Start a backup and leave it alone in the middle of its freeze, for a blow from outside."""
    usual = phases()
    known, before = sorted(backups.listed()), sorted(engine.well())
    module = Module("backup")
    module.wait_frozen()
    time.sleep(chance.uniform(0, usual.frozen / 2))
    print(json.dumps({"held": {"before": before, "known": known}}), flush=True)


def after_power_cut(tally: Tally, before: set[str], known: set[str]) -> None:
    """Judge what a power cut did, once the host is up again."""
    attempt = Attempt()
    begun = time.monotonic()
    aftermath(attempt, before, known, ENGINE_LIMIT, healthy=True)
    back = time.monotonic() - begun
    and_again(attempt)
    tally.add(f"all run {back:.1f} s after the host was up", attempt)
    backups.prune(known)


def aftermath(attempt: Attempt, before: set[str], known: set[str], limit: float, *, healthy: bool = False) -> None:
    """Check what must hold after any blow: all run again, no backup is gone, and none that is listed is incomplete.

    Unless it is asked for, their health is left for the end of the line: it takes the engine a while to find out.
    """
    down = engine.missing(before, limit) if healthy else engine.down(before, limit)
    attempt.left_down += [f"{name} is {state} after {limit:.0f} s" for name, state in down.items()]
    if down:
        # The next attempts are to find what this one found.
        _mend(before)
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


def _mend(before: set[str]) -> None:
    for verb in ("unpause", "start"):
        # Those that need neither make the command fail.
        subprocess.run(["docker", verb, *sorted(before)], check=False, capture_output=True)
    engine.missing(before, ENGINE_LIMIT)
