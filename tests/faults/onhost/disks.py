# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Disks that are full, read-only or no disks at all, where the backups are to go."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
import typing as t
from pathlib import Path

from . import backups, engine
from .aftermath import LIMIT, and_again, at_the_end
from .module import Module, run
from .tally import Attempt, Tally, tell

if t.TYPE_CHECKING:
    import random
    from collections.abc import Iterator

# The root that the payload "backup-elsewhere" writes to.
ELSEWHERE = Path("/var/backups/elsewhere")
VOLUMES = Path("/var/lib/docker/volumes")
# Of a file that changes all the time, and of the disk that is left at most: less than that.
CHANGED = 2_000_000
SPARED = 1_000_000
WORDS = ("full", "space", "free", "inodes")
# What a root keeps of a backup that failed: the lock, and the audit log that tells of it.
STAY = (".lock", "audit.jsonl")


def full(tally: Tally, count: int, chance: random.Random) -> None:
    """Take backups on disks that are too small by a random amount, or have room but no inodes."""
    before = engine.well()
    whole = _size(max(backups.listed()))
    for number in range(count):
        inodes = number % 6 == 5
        room = chance.randrange(2, 24) if inodes else chance.randrange(8 * 1024, whole)
        with _mounted(f"nr_inodes={room},size=1g" if inodes else f"size={room}"):
            attempt, message = _refused(WORDS)
            # One that has fitted after all is no leftover.
            done = {ELSEWHERE / backups.STACK / id_ for id_ in backups.listed(ELSEWHERE)}
            left = [path for path in ELSEWHERE.rglob("*") if path.is_file() and not done & set(path.parents)]
            size = sum(path.stat().st_size for path in left if path.name not in STAY)
            attempt.other += [f"{size} bytes are left over"] if size else []
        tally.add(f"{room} {'inodes' if inodes else f'of {whole} bytes'}: {message[:140]}", attempt)
    _still_works(tally)
    at_the_end(tally, before)


def full_in_delta(tally: Tally, count: int, chance: random.Random) -> None:
    """Let somebody else take the rest of the disk at the moment of the freeze: what was captured live has fitted."""
    before = engine.well()
    whole = _size(max(backups.listed()))
    for _number in range(count):
        with _mounted(f"size={3 * whole}"), _changing():
            module = Module("backup-elsewhere")
            module.wait_phase("freeze")
            _take_all(ELSEWHERE / "taken", chance.randrange(0, SPARED))
            result = module.result()
            attempt = Attempt()
            if result.succeeded:
                attempt.undetected.append("the backup succeeded on a disk without room for it")
            elif not result.clean or not any(word in result.message for word in WORDS):
                attempt.other.append(f"no clean error: {result.message}")
            attempt.lost += [f"{id_} is listed" for id_ in backups.listed(ELSEWHERE)]
            attempt.other += [f"{name} is left over" for name in backups.leftovers(ELSEWHERE)]
            attempt.left_down += [f"{name} is {state}" for name, state in engine.down(before, LIMIT).items()]
            attempt.other += [f"the journal {path} is left over" for path in backups.journal()]
        tally.add(result.message[:140] or "it fitted", attempt)
    _still_works(tally)
    at_the_end(tally, before)


@contextlib.contextmanager
def _changing() -> Iterator[None]:
    """Change a file of the stack all the time, so that there is something left to capture when it stands still."""
    path = VOLUMES / "crm_chatwoot_storage" / "_data" / "changing"
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.01):
            path.write_bytes(os.urandom(CHANGED))

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        path.unlink()


def _take_all(path: Path, spared: int) -> None:
    with path.open("wb") as file, contextlib.suppress(OSError):
        status = os.statvfs(path.parent)
        os.posix_fallocate(file.fileno(), 0, max(0, status.f_bavail * status.f_frsize - spared))


def read_only(tally: Tally) -> None:
    """Take backups where nothing can be written; nothing may be frozen for that."""
    before = engine.well()
    for what, options in (("empty", "ro"), ("with room", "size=1g,ro")):
        with _mounted(options):
            _untouched(tally, f"read-only and {what}", ("read-only",))
    with _mounted("size=1g"):
        if not run("backup-elsewhere").succeeded:
            raise SystemExit("A backup on an empty disk with room failed.")
        known = backups.listed(ELSEWHERE)
        subprocess.run(["mount", "-o", "remount,ro", str(ELSEWHERE)], check=True)
        _untouched(tally, "made read-only after a first backup", ("read-only",), known)
    ELSEWHERE.rmdir()
    ELSEWHERE.write_text("not a directory\n")
    try:
        _untouched(tally, "a file where the root should be", ("directory", "exist"))
    finally:
        ELSEWHERE.unlink()
    _still_works(tally)
    at_the_end(tally, before)


def _untouched(tally: Tally, what: str, words: tuple[str, ...], known: frozenset[str] | set[str] = frozenset()) -> None:
    with engine.Watch() as watch:
        attempt, message = _refused(words, known)
    attempt.other += ["services were frozen for nothing"] if watch.first is not None else []
    tally.add(f"{what}: {message[:140]}", attempt)


def _refused(words: tuple[str, ...], known: frozenset[str] | set[str] = frozenset()) -> tuple[Attempt, str]:
    """Run a backup that has to fail, and check that it fails cleanly and leaves nothing behind."""
    before = set(engine.containers())
    result = run("backup-elsewhere")
    attempt = Attempt()
    if result.succeeded:
        # It fitted after all, by better compression than the last one: then it must be whole.
        new = backups.listed(ELSEWHERE) - known
        attempt.undetected += [why for id_ in new if (why := backups.fault(id_, ELSEWHERE))]
    elif not result.clean or not any(word in result.message for word in words):
        attempt.other.append(f"no clean error: {result.message}")
    else:
        attempt.lost += [f"{id_} is listed" for id_ in backups.listed(ELSEWHERE) - known]
        attempt.other += [f"{name} is left over" for name in backups.leftovers(ELSEWHERE)]
    attempt.left_down += [f"{name} is {state}" for name, state in engine.down(before, LIMIT).items()]
    return attempt, result.message or "it fitted"


@contextlib.contextmanager
def _mounted(options: str) -> Iterator[None]:
    if not ELSEWHERE.is_dir():
        ELSEWHERE.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(ELSEWHERE)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(ELSEWHERE)], check=True)


def _size(id_: str) -> int:
    return sum(path.stat().st_size for path in (backups.ROOT / backups.STACK / id_).rglob("*") if path.is_file())


def _still_works(tally: Tally) -> None:
    """Make sure that none of this has harmed the real root."""
    known = backups.listed()
    attempt = Attempt()
    and_again(attempt)
    if attempt.problems:
        tally.add("the next backup on the real disk", attempt)
    else:
        tell("the next backup on the real disk is whole")
    backups.prune(known)
