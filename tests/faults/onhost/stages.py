# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores that fail before anything was exchanged: the stack goes on as if nobody had tried."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import typing as t
from dataclasses import dataclass

from . import cutovers, engine, small
from .aftermath import LIMIT
from .cutovers import MORTAL
from .damage import flip
from .module import Module, Result, run
from .small import BEFORE
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

STAGE = "small-stage"
FULL = ("space", "full", "free", "MiB left")
# Volumes that a disk of their own is mounted on, and what is left there, in KiB: less than is needed.
DISKS = {"storage": (100, 800, 1_500), "postgres": (4_000, 20_000, 30_000)}
ENOUGH = 1 << 30


@dataclass(frozen=True)
class Unfit:
    """A payload that reads a backup that is not what it should be, and a word of the reason that is wanted."""

    payload: str
    word: str


UNFIT = (Unfit("small-broken", ""), Unfit("small-newer", "18"))


def killed(tally: Tally, count: int, chance: random.Random) -> None:
    """Kill the module while it stages: by turns before one of its steps, and at any moment."""
    before = _ready()
    usual = Module(STAGE, (str(MORTAL), "0", "group")).result()
    steps = cutovers.last(usual).number
    tell(f"it has {steps} steps when nothing disturbs it, and takes {usual.seconds:.1f} s")
    for turn in range(count):
        if turn % 2:
            module = Module(STAGE)
            time.sleep(chance.uniform(0.3, usual.seconds))
            # Too late is no attempt of its own, and no harm.
            module.strike(signal.SIGKILL, group=turn % 4 == 1)
        else:
            number = 1 + turn * (steps - 1) // max(count - 1, 1)
            module = Module(STAGE, (str(MORTAL), str(number), ("group", "python")[turn // 2 % 2]))
        result = module.result()
        attempt = Attempt()
        left = engine.until(module.survivors, LIMIT)
        attempt.other += [f"process {pid} ({name}) is left over" for pid, name in left.items()]
        _judge(attempt, before)
        tally.add(f"killed after {result.seconds:.1f} s, before {cutovers.last(result).what}", attempt)
    attempt = Attempt()
    result = run(STAGE)
    attempt.lost += [] if result.succeeded else [f"the next restore cannot be staged: {result.message}"]
    attempt.other += [f"{path} is left over after the next run" for path in small.beside()]
    tally.add("nothing is left over after the next run", attempt)


def full(tally: Tally, count: int) -> None:
    """Stage on disks without room for it: those of the volumes, and that of the database server."""
    for volume, rooms in DISKS.items():
        _ready()
        with _disk(volume) as resize:
            before = small.running()
            for room in rooms[-count:]:
                resize(room << 10)
                result = run(STAGE)
                attempt = _refused(result, FULL)
                resize(None)
                _judge(attempt, before, clean=True)
                tally.add(f"{room} KiB left for {volume}: {result.message[:180]}", attempt)


def unfit(tally: Tally) -> None:
    """Stage backups whose checksums are right and whose content is not."""
    before = _ready()
    for one in UNFIT:
        result = run(one.payload)
        attempt = _refused(result, (one.word,))
        _judge(attempt, before, clean=True)
        tally.add(f"{one.payload}: {result.message[:200]}", attempt)


def flipped(tally: Tally, count: int, chance: random.Random) -> None:
    """Flip one bit of any file of the backup, also of its manifest and signature, and stage that."""
    before = _ready()
    files = sorted(path for path in small.ROOT.glob(f"{small.STACK}/2*/**/*") if path.is_file())
    for number in range(count):
        path = files[number % len(files)]
        flip(path, bit := chance.randrange(path.stat().st_size * 8))
        result = run(STAGE)
        flip(path, bit)
        attempt = _refused(result, ("",))
        _judge(attempt, before, clean=True)
        tally.add(f"bit {bit} of {path.name}: {result.message[:120]}", attempt)


def untouched(tally: Tally) -> None:
    """Check that the stack is as it was, after something that came from outside."""
    attempt = Attempt()
    _judge(attempt, small.running())
    tally.add("looked at afterwards", attempt)


@contextlib.contextmanager
def _disk(volume: str) -> Iterator[Callable[[int | None], None]]:
    """Give a volume a disk of its own; yields what leaves so many bytes of it, or enough."""
    place = small.VOLUMES / f"{small.STACK}_{volume}"
    stop = ["docker", "compose", "--project-directory", small.PROJECT, "stop"]
    small.up()
    subprocess.run(stop, check=True, capture_output=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ENOUGH}", "tmpfs", "/mnt"], check=True)
    subprocess.run(["cp", "-a", f"{place}/.", "/mnt"], check=True)
    subprocess.run(["mount", "--move", "/mnt", str(place)], check=True)

    def resize(left: int | None) -> None:
        status = os.statvfs(place)
        size = ENOUGH if left is None else (status.f_blocks - status.f_bfree) * status.f_frsize + left
        subprocess.run(["mount", "-o", f"remount,size={size}", str(place)], check=True)

    try:
        small.up()
        yield resize
    finally:
        subprocess.run(stop, check=True, capture_output=True)
        subprocess.run(["umount", str(place)], check=True)
        small.up()


def _ready() -> list[str]:
    """Return what says of every container since when it runs, once all of them do."""
    small.up()
    if small.record():
        cutovers.must(run("small-committed"))
    return small.running()


def _refused(result: Result, words: Sequence[str]) -> Attempt:
    attempt = Attempt()
    if result.succeeded:
        attempt.undetected.append("it was staged")
    elif not result.clean or not any(word in result.message for word in words):
        attempt.other.append(f"no clean error: {result.message}")
    return attempt


def _judge(attempt: Attempt, before: list[str], *, clean: bool = False) -> None:
    """Check that nobody has touched the stack; with ``clean`` that nothing is left beside it either."""
    attempt.left_down += sorted(set(before) - set(small.running()))
    found, words = small.state()
    attempt.lost += [] if found == BEFORE else [f"the stack is {found}: {words}"]
    attempt.other += [f"the journal {small.JOURNAL} is there"] if small.JOURNAL.exists() else []
    if clean:
        attempt.other += [f"{path} is left over" for path in small.beside()]
        attempt.other += ["there is a record of it"] if small.record() else []
