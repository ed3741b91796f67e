# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Blows that fall while a restore exchanges its data for the live ones, or back: all of one or all of the other."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import engine, gone, small
from .aftermath import ENGINE_LIMIT, LIMIT
from .module import Module, Result, run
from .small import AFTER, BEFORE
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    import random
    from collections.abc import Iterator

MORTAL = Path(__file__).parent / "mortal.py"
LIVE, REVERTED = "small-live", "small-reverted"
# What holds before each of the two, and the phase that a restore is in when all of it is as before or after it.
FROM = {LIVE: BEFORE, REVERTED: AFTER}
PHASES = {BEFORE: ("staged", "reverted"), AFTER: ("live",)}
LAST = re.compile(r"^last step (\d+): (.*)$", re.MULTILINE)
# Seconds that a watchdog takes at most to close the journal once all run.
JOURNAL_LIMIT = 3
DAEMON = "kill -KILL $(cat /run/docker.pid)"


@dataclass(frozen=True)
class Step:
    """One step of a module, by its number, and what it is."""

    number: int
    what: str


def killed(tally: Tally, count: int, *, payload: str) -> None:
    """Kill the module before each of its steps, or before ``count`` of them that are evenly spread."""
    before = _ready()
    steps = _steps(payload)
    numbers = (
        range(1, steps + 1) if count >= steps else sorted({1 + i * (steps - 1) // (count - 1) for i in range(count)})
    )
    for turn, number in enumerate(numbers):
        _bring(FROM[payload])
        module = Module(payload, (str(MORTAL), str(number), ("group", "python")[turn % 2]))
        result = module.result()
        died = time.monotonic()
        attempt = Attempt()
        if result.code != -signal.SIGKILL:
            attempt.other.append(f"it ended with {result.code}: {result.message}")
        _judge(attempt, before, LIMIT)
        back = time.monotonic() - died
        left = engine.until(module.survivors, LIMIT)
        attempt.other += [f"process {pid} ({name}) is left over" for pid, name in left.items()]
        where = last(result)
        tally.add(
            f"killed before step {where.number} of {steps} ({where.what}); all is well after {back:.1f} s", attempt
        )
    _finish(tally)


def orphaned(tally: Tally, count: int, chance: random.Random) -> None:
    """Kill module and watchdog while data are exchanged; what ``prepare`` has installed has to put it in order."""
    before = _ready()
    for module, what in _held(count, chance):
        watchdog = module.watchdog()
        if watchdog is not None:
            os.kill(watchdog, signal.SIGKILL)
        module.strike(signal.SIGKILL, group=True)
        module.result()
        attempt = Attempt(other=[] if watchdog is not None else ["there was no watchdog"])
        begun = time.monotonic()
        attempt.other += gone.boot()
        _judge(attempt, before, LIMIT)
        tally.add(f"{what}; all is well {time.monotonic() - begun:.1f} s after the boot program began", attempt)
    _finish(tally)


def without_engine(tally: Tally, count: int, chance: random.Random) -> None:
    """Kill the Docker daemon while data are exchanged, and start it again."""
    before = _ready()
    for module, what in _held(count, chance):
        subprocess.run(DAEMON, shell=True, check=True)
        module.strike(signal.SIGCONT, group=False)
        time.sleep(chance.uniform(0, 3))
        subprocess.run(["service", "docker", "start"], check=True, capture_output=True)
        away = time.monotonic()
        result = module.result()
        attempt = Attempt()
        if not result.succeeded and not result.clean:
            attempt.other.append(f"no clean error: {result.message}")
        _judge(attempt, before, ENGINE_LIMIT)
        tally.add(f"{what}; all is well {time.monotonic() - away:.1f} s later; {result.message[:120]}", attempt)
    _finish(tally)


def hold(count: int, chance: random.Random) -> None:
    """Stop a cutover in the middle, for a blow from outside; ``count`` says which of the two directions."""
    before = _ready()
    _module, what = next(_held(count + 1, chance, first=count))
    print(json.dumps({"held": json.dumps({"before": sorted(before), "what": what})}), flush=True)


def after_power_cut(tally: Tally, held: str) -> None:
    """Judge what a power cut did, once the host is up again."""
    engine.PROJECT = small.STACK
    known = json.loads(held)
    attempt = Attempt()
    begun = time.monotonic()
    attempt.other += gone.boot()
    _judge(attempt, set(known["before"]), ENGINE_LIMIT)
    tally.add(f"{known['what']}; all is well {time.monotonic() - begun:.1f} s after the host was up", attempt)
    _finish(tally)


def _ready() -> set[str]:
    """Return the containers of the small stack, once all run, with a restore of it that waits."""
    before = small.up()
    if not small.record():
        must(run("small-stage"))
    _bring(BEFORE)
    return before


def _steps(payload: str) -> int:
    """Return how many steps a module has that nothing disturbs."""
    _bring(FROM[payload])
    result = Module(payload, (str(MORTAL), "0", "group")).result()
    must(result)
    found = last(result).number
    tell(f"it has {found} steps when nothing disturbs it, and takes {result.seconds:.1f} s")
    return found


def last(result: Result) -> Step:
    """Return the step that a module died before, or the last one that it has done."""
    found = LAST.search(result.text)
    return Step(int(found[1]), found[2][:90]) if found else Step(0, f"none: {result.message}")


def _held(count: int, chance: random.Random, first: int = 0) -> Iterator[tuple[Module, str]]:
    """Yield modules that stand still while data are exchanged, by turns in both directions."""
    totals: dict[str, int] = {}
    for turn in range(first, count):
        payload = (LIVE, REVERTED)[turn % 2]
        totals[payload] = totals.get(payload) or _steps(payload)
        while True:
            _bring(FROM[payload])
            number = chance.randrange(1, totals[payload] + 1)
            module = Module(payload, (str(MORTAL), str(number), "hold"))
            while not (stands := _stands(module.process.pid)) and not module.ended:
                time.sleep(0.01)
            torn = small.record()["phase"] in ("cutting", "reverting")
            if stands and torn:
                break
            # Nothing is exchanged at this step yet, or all of it was.
            if stands:
                module.strike(signal.SIGCONT, group=False)
            must(module.result())
        yield module, f"{payload} stopped before step {number}"


def _stands(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("T")
    except OSError:
        return False


def _bring(wanted: str) -> None:
    """Bring the stack into one of its two states, by the module itself, which has to work after every blow."""
    phase = small.record()["phase"]
    if phase in PHASES[wanted]:
        return
    must(run(LIVE if wanted == AFTER else REVERTED))
    found, words = small.state()
    if found != wanted:
        raise SystemExit(f"A cutover that nothing disturbed has left the stack {found}: {words}")


def must(result: Result) -> None:
    """Give up unless something has gone well that nothing disturbed."""
    if not result.succeeded:
        raise SystemExit(f"What nothing disturbed has failed: {result.message}")


def _judge(attempt: Attempt, before: set[str], limit: float) -> None:
    """Check that all run, with all data of before or all of after, and that nothing else is left."""
    down = engine.down(before, limit)
    attempt.left_down += [f"{name} is {state} after {limit:.0f} s" for name, state in down.items()]
    if down:
        # The next attempts are to find what this one found.
        subprocess.run(["docker", "start", *sorted(before)], check=False, capture_output=True)
    if engine.until(_journal, JOURNAL_LIMIT):
        # It died before it had a watchdog. Until the program runs that does so every minute, nothing is amiss.
        attempt.other += gone.boot()
    attempt.other += [f"the journal {path} is left over" for path in _journal()]
    found, words = _settled()
    record = small.record()
    if found == small.MIXED:
        attempt.lost += words
    elif record["phase"] not in PHASES[found]:
        attempt.other.append(f"the record says {record['phase']} of data as {found}")
    attempt.other += ["restart policies are still in the record"] if record["policies"] else []
    attempt.other += small.policies()
    attempt.other += [f"{path} is left over" for path in small.beside()]


def _journal() -> dict[str, str]:
    return {str(small.JOURNAL): "there"} if small.JOURNAL.exists() else {}


def _settled() -> tuple[str, list[str]]:
    """Return the state of the stack once its servers answer."""
    deadline = time.monotonic() + LIMIT
    while True:
        try:
            return small.state()
        except subprocess.CalledProcessError as error:
            if time.monotonic() > deadline:
                return small.MIXED, [f"the servers do not answer: {error.stderr[-300:]!r}"]
            time.sleep(0.2)


def _finish(tally: Tally) -> None:
    """Leave the stack as it was found, and make sure that another cutover goes through."""
    attempt = Attempt()
    for payload in (LIVE, REVERTED):
        if small.record()["phase"] in PHASES[FROM[payload]]:
            result = run(payload)
            attempt.lost += [] if result.succeeded else [f"the next cutover failed: {result.message}"]
    found, words = _settled()
    attempt.lost += [] if found == BEFORE else [f"the stack is {found} after the way back: {words}"]
    if attempt.problems:
        tally.add("at the end", attempt)
