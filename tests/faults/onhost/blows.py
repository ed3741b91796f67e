# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blows that fall while a backup is being taken: signals, a second backup, a cut that hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
import typing as t
from dataclasses import dataclass

from . import aftermath, backups, engine
from .aftermath import LIMIT
from .module import PHASES, Module, run
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    import random
    from collections.abc import Sequence

LEFT_LIMIT = 15
# freeze_timeout of one of the payloads, and how much later everything has to run.
TIMEOUT = 2
GRACE = 3
# How much later than the beginning of a phase a blow falls.
LITTLE = 0.05
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
        _kill(tally, module, before, known, group=group)
    aftermath.at_the_end(tally, before)


def killed_at(tally: Tally, count: int, chance: random.Random, *, group: bool) -> None:
    """Kill the module at the boundary of every phase: the moment that it says it begins, and a little later."""
    before = engine.well()
    for number in range(count):
        for phase in PHASES:
            known = backups.listed()
            module = Module("backup")
            module.wait_phase(phase)
            if number:
                time.sleep(chance.uniform(0, LITTLE))
            _kill(tally, module, before, known, group=group)
    aftermath.at_the_end(tally, before)


def _kill(tally: Tally, module: Module, before: set[str], known: set[str], *, group: bool) -> None:
    phase, still = module.phase, len(engine.frozen())
    if module.ended:
        # It was faster than usual: no blow, no attempt.
        module.result()
        return
    moment = time.monotonic() - module.begun
    module.strike(signal.SIGKILL, group=group)
    module.result()
    begun = time.monotonic()
    attempt = Attempt()
    aftermath.check(attempt, before, known, LIMIT)
    back = time.monotonic() - begun
    left = engine.until(module.survivors, LEFT_LIMIT)
    attempt.other += [f"process {pid} ({name}) is left over" for pid, name in left.items()]
    aftermath.and_again(attempt)
    where = f"in phase {phase}" if phase else "before it had the lock"
    tally.add(f"killed {where}, after {moment:.2f} s with {still} frozen, all run after {back:.2f} s", attempt)
    backups.prune(known)


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
        aftermath.check(attempt, before, known, LIMIT)
        attempt.other += [f"no clean error: {result.message}"] if not result.clean else []
        attempt.other += [f"{name} is left over" for name in backups.leftovers()]
        aftermath.and_again(attempt)
        tally.add(f"{chosen.name} to {'the group' if group else 'the process'}: {result.message[:120]}", attempt)
        backups.prune(known)
    aftermath.at_the_end(tally, before)


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
        aftermath.check(attempt, before, known, LIMIT)
        aftermath.and_again(attempt)
        tally.add(f"the second one was told: {second.message[:120]}", attempt)
        backups.prune(known)
    aftermath.at_the_end(tally, before)


def hung(tally: Tally, count: int) -> None:
    """Let the cut hang for longer than services may stand still: they have to run again while it still hangs."""
    before = engine.well()
    for number in range(3 * count):
        if tally.tried == count:
            break
        known = backups.listed()
        module = Module("backup-timeout")
        # By turns the module itself, and all that works for it.
        chosen = _helpers(module) if number % 2 else [module.process.pid] * bool(module.wait_phase("cut"))
        _signal(chosen, signal.SIGSTOP)
        if not chosen or module.phase not in ("cut", "delta"):
            # It was faster than this.
            _signal(chosen, signal.SIGCONT)
            module.result()
            continue
        stopped = time.monotonic()
        still = len(engine.frozen())
        attempt = Attempt()
        left = engine.down(before, TIMEOUT + GRACE)
        back = time.monotonic() - stopped
        attempt.left_down += [f"{name} is {state} after {back:.1f} s" for name, state in left.items()]
        _signal(chosen, signal.SIGCONT)
        result = module.result()
        if result.succeeded:
            attempt.undetected.append("the backup succeeded, although its parts are not of one instant")
        elif not result.clean or "freeze_timeout" not in result.message:
            attempt.other.append(f"no clean error: {result.message}")
        aftermath.check(attempt, before, known, LIMIT)
        aftermath.and_again(attempt)
        who = "the module" if chosen == [module.process.pid] else f"{len(chosen)} helpers"
        tally.add(
            f"{who} stopped with {still} frozen, all run after {back:.1f} s; then {result.message[:120]}", attempt
        )
        backups.prune(known)
    aftermath.at_the_end(tally, before)


def _helpers(module: Module) -> list[int]:
    """Return the processes that work for a module in its delta, as soon as there are any; it may be over before."""
    module.wait_phase("delta")
    found: list[int] = []
    while not found and module.phase == "delta":
        found = [int(pid) for pid in module.survivors() if int(pid) != module.process.pid]
    return found


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        # One that was killed meanwhile is no trouble.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
