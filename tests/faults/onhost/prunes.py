# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prune on a host whose clock is wrong, whose disk is full, and whose processes die: the last good backups stay."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
import typing as t
from pathlib import Path

from . import backups
from .cutovers import MORTAL, last
from .disks import ELSEWHERE
from .module import Module, Result, run
from .tally import Attempt, Tally

if t.TYPE_CHECKING:
    import random
    from collections.abc import Iterator

CLOCKED = Path(__file__).parent / "clocked.py"
PRUNE, VERIFY = "prune-elsewhere", "verify-elsewhere"
# What the payload of the prune asks for: two stay.
KEPT = 2
DAY = 86_400
YEAR = 365 * DAY
# By how much the clock was wrong when each of the backups was taken: right, ahead by a month, behind by a year.
TAKEN = (0, 0, 30 * DAY, 0, -YEAR, 0)
# And by how much it is when they are pruned.
CLOCKS = (0, -YEAR, 30 * DAY, -10 * YEAR, 10 * YEAR)
HEADS = Path("/var/lib/crm.continuity/audit")
SAVED = Path("/root/lab/prunes")
# Characters of a message that are shown.
LONGEST = 200


def clocks(tally: Tally, count: int, chance: random.Random) -> None:
    """Prune with clocks that are wrong, and with a newest backup that nobody has verified."""
    order = _begin()
    for offset in (*CLOCKS, *(chance.randrange(-YEAR, YEAR) for _number in range(count))):
        _bring()
        attempt = _judged(_on(offset, PRUNE), order)
        tally.add(f"clock {offset / DAY:+.1f} days, all verified", attempt)
    for offset in CLOCKS:
        _bring()
        if not run("backup-elsewhere").succeeded:
            raise SystemExit("A backup to prune failed.")
        before = backups.listed(ELSEWHERE)
        result = _on(offset, PRUNE)
        attempt = Attempt()
        attempt.lost += [f"{id_} is gone" for id_ in sorted(before - backups.listed(ELSEWHERE))]
        attempt.other += [] if result.succeeded else [f"it failed: {result.message[:LONGEST]}"]
        tally.add(f"clock {offset / DAY:+.1f} days, the newest is not verified", attempt)
    _end()


def killed(tally: Tally, count: int, _chance: random.Random) -> None:
    """Kill a prune before each of its steps, or before ``count`` of them that are evenly spread."""
    order = _begin()
    _bring()
    steps = last(Module(PRUNE, (str(MORTAL), "0", "group")).result()).number
    numbers = (
        range(1, steps + 1) if count >= steps else sorted({1 + i * (steps - 1) // (count - 1) for i in range(count)})
    )
    for turn, number in enumerate(numbers):
        _bring()
        result = Module(PRUNE, (str(MORTAL), str(number), ("group", "python")[turn % 2])).result()
        attempt = Attempt()
        if result.code != -signal.SIGKILL:
            attempt.other.append(f"it ended with {result.code}: {result.message[:LONGEST]}")
        _still_good(attempt, order)
        attempt_after = _judged(run(PRUNE), order)
        attempt.lost += attempt_after.lost
        attempt.other += attempt_after.other
        where = last(result)
        tally.add(f"killed before step {where.number} of {steps} ({where.what[:80]}), then pruned again", attempt)
    _end()


def full(tally: Tally, count: int, chance: random.Random) -> None:
    """Prune on a disk without a byte left, while somebody else takes what the prune makes free, or not."""
    order = _begin()
    size = sum(path.stat().st_size for path in (SAVED / "root").rglob("*") if path.is_file())
    for number in range(count):
        with _mounted(2 * size):
            _bring()
            hungry = number % 2 == 1
            with _taken(hungry=hungry, after=chance.uniform(0, 0.3)):
                result = run(PRUNE)
            attempt = Attempt()
            if not result.succeeded and not result.clean:
                attempt.other.append(f"no clean error: {result.message[:LONGEST]}")
            if not hungry and not result.succeeded:
                attempt.other.append(f"no room was made: {result.message[:LONGEST]}")
            _still_good(attempt, order)
            after = _judged(run(PRUNE), order)
            attempt.lost += after.lost
            attempt.other += after.other
        what = "somebody takes what becomes free" if hungry else "nobody takes what becomes free"
        tally.add(f"{what}: {result.message[:100] or 'pruned'}", attempt)
    _end()


def _begin() -> list[str]:
    """Take and verify backups with clocks right and wrong; return their IDs in the order in which they came."""
    shutil.rmtree(ELSEWHERE, ignore_errors=True)
    shutil.rmtree(SAVED, ignore_errors=True)
    # The log of an earlier root of that name is not missing.
    for path in HEADS.glob(f"{ELSEWHERE.name}-*"):
        path.unlink()
    order: list[str] = []
    for offset in TAKEN:
        if not _on(offset, "backup-elsewhere").succeeded:
            raise SystemExit("A backup to prune failed.")
        order += sorted(backups.listed(ELSEWHERE) - set(order))
    if not run(VERIFY).succeeded or len(order) != len(TAKEN):
        raise SystemExit("The backups to prune are not what they should be.")
    shutil.copytree(ELSEWHERE, SAVED / "root", symlinks=True)
    shutil.copytree(HEADS, SAVED / "heads")
    return order


def _bring() -> None:
    """Let the root, and what the host remembers of its log, be as they were."""
    for path in ELSEWHERE.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.copytree(SAVED / "root", ELSEWHERE, symlinks=True, dirs_exist_ok=True)
    shutil.copytree(SAVED / "heads", HEADS, dirs_exist_ok=True)


def _end() -> None:
    shutil.rmtree(ELSEWHERE)
    shutil.rmtree(SAVED)


def _on(offset: float, payload: str) -> Result:
    return Module(payload, (str(CLOCKED), str(offset))).result() if offset else run(payload)


def _judged(result: Result, order: list[str]) -> Attempt:
    """Expect the last ones that came, and nothing else, after a prune that ended well."""
    attempt = Attempt()
    if not result.succeeded:
        attempt.other.append(f"it failed: {result.message[:LONGEST]}")
    _still_good(attempt, order)
    more = backups.listed(ELSEWHERE) - set(order[-KEPT:])
    attempt.other += [f"{id_} is still there" for id_ in sorted(more)]
    attempt.other += [f"{name} is left over" for name in backups.leftovers(ELSEWHERE)]
    return attempt


def _still_good(attempt: Attempt, order: list[str]) -> None:
    """Expect the last ones that came to be there, and everything that has the name of a backup to be whole."""
    there = backups.listed(ELSEWHERE)
    attempt.lost += [f"{id_} is gone" for id_ in order[-KEPT:] if id_ not in there]
    attempt.undetected += [why for id_ in sorted(there) if (why := backups.fault(id_, ELSEWHERE))]


@contextlib.contextmanager
def _mounted(size: int) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(ELSEWHERE)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(ELSEWHERE)], check=True)


@contextlib.contextmanager
def _taken(*, hungry: bool, after: float) -> Iterator[None]:
    """Take all space below the root; a hungry one begins to take what becomes free ``after`` so many seconds."""
    path, done = ELSEWHERE / "taken", threading.Event()

    def take() -> None:
        with path.open("ab") as file, contextlib.suppress(OSError):
            while True:
                os.write(file.fileno(), bytes(65_536))

    def eat() -> None:
        done.wait(after)
        while not done.wait(0.002):
            take()

    take()
    thread = threading.Thread(target=eat)
    if hungry:
        thread.start()
    try:
        yield
    finally:
        done.set()
        if hungry:
            thread.join()
        path.unlink()
