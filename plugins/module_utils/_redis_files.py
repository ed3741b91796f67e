# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delete keys from the files of a Redis that does not run.

They cannot be edited in place. So a Redis of the same image is started on them, without a network and with rights to
nothing else; it deletes the keys, writes its files anew, ends, and is started and asked once more. A snapshot (RDB) and
an append-only file in one directory may differ, and it is the configuration that says which one counts: each is treated
by itself.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
import time
import typing as t
from dataclasses import dataclass

from ._beneath import open_directory
from ._errors import RedisError
from ._redis import _ask, _facts
from ._redis_keys import count_keys, delete_keys, key_numbers
from ._stack import StackRedis
from ._staging import sync

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._engine import Container, Engine

RDB_MAGIC = (b"REDIS0", b"VALKEY")
# Lists the parts of an append-only file, since Redis 7.
PARTS = re.compile(rb"file \S+ seq \d+ type [bhi]\b")
# A volume may be mounted above the directory with the files.
DEPTH = 2
TARGET = "/data"
# Seconds: how long a Redis may take to read its files, to write them, and to end; and how often it is asked.
PATIENCE = 3600.0
END = 60
PAUSE = 0.05


@dataclass(frozen=True)
class Persisted:
    """One file, or one set of files, that a Redis would start from: ``directory`` holds it, ``options`` name it."""

    directory: str
    appendonly: bool
    options: tuple[str, ...]
    owner: tuple[int, int]
    name: str

    @property
    def path(self) -> str:
        return os.path.join(self.directory, self.name)


def delete_from_files(engine: Engine, directory: str, image: str, patterns: Sequence[str]) -> int:
    """Delete the keys that match from every file of a Redis below a directory; return how many these were.

    Where a key is in a snapshot and in an append-only file, it counts once. Raises RedisError when such a file cannot
    be read with this image, or when keys are left; then the directory is not fit for use.
    """
    counts = [_delete(engine, file, image, patterns) for file in persisted(directory)]
    sync(directory)
    return max(counts, default=0)


def persisted(directory: str) -> list[Persisted]:
    """Return what a Redis may start from below a directory; no symbolic link is followed."""
    found: list[Persisted] = []
    pending = [("", 0)]
    while pending:
        path, depth = pending.pop()
        descriptor = open_directory(directory, os.fsencode(path))
        try:
            names = sorted(os.listdir(descriptor))
            for name in names:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                below = os.path.join(path, name)
                if stat.S_ISDIR(status.st_mode):
                    parts = _parts(descriptor, name)
                    if parts is not None:
                        options = ("--appenddirname", name, "--appendfilename", parts)
                        found.append(_found(directory, path, name, True, options, status))
                    elif depth < DEPTH:
                        pending.append((below, depth + 1))
                elif stat.S_ISREG(status.st_mode):
                    start = _start(descriptor, name)
                    if name.endswith(".rdb") and not name.startswith("temp-") and start.startswith(RDB_MAGIC):
                        found.append(_found(directory, path, name, False, ("--dbfilename", name), status))
                    elif name.endswith(".aof") and start.startswith((b"*", *RDB_MAGIC)):
                        found.append(_found(directory, path, name, True, ("--appendfilename", name), status))
        finally:
            os.close(descriptor)
    return found


def _found(
    root: str, path: str, name: str, appendonly: bool, options: tuple[str, ...], status: os.stat_result
) -> Persisted:
    return Persisted(
        os.path.normpath(os.path.join(root, path)), appendonly, options, (status.st_uid, status.st_gid), name
    )


def _parts(parent: int, name: str) -> str | None:
    """Return what the parts of an append-only file in a directory are called; None where it holds none."""
    descriptor = open_directory(parent, os.fsencode(name))
    try:
        for entry in os.listdir(descriptor):
            regular = stat.S_ISREG(os.stat(entry, dir_fd=descriptor, follow_symlinks=False).st_mode)
            if entry.endswith(".manifest") and regular and PARTS.search(_start(descriptor, entry, 4096)):
                return entry.removesuffix(".manifest")
    finally:
        os.close(descriptor)
    return None


def _start(parent: int, name: str, size: int = 16) -> bytes:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        return os.read(file, size)
    finally:
        os.close(file)


def _delete(engine: Engine, file: Persisted, image: str, patterns: Sequence[str]) -> int:
    with _running(engine, file, image) as cache:
        before = key_numbers(engine, cache)
        deleted = delete_keys(engine, cache, patterns)
        if not deleted:
            return 0
        _rewrite(engine, cache, file)
    # What it starts with now is what counts.
    with _running(engine, file, image) as cache:
        left = count_keys(engine, cache, patterns)
        kept = sum(before.values()) - deleted
        found = sum(key_numbers(engine, cache).values())
    # Keys that expire meanwhile are no loss.
    if left or found > kept:
        raise RedisError(
            f"{file.path} still holds {left} keys that were deleted, and {found} keys instead of {kept}. Do not start "
            "a Redis from it."
        )
    return deleted


def _rewrite(engine: Engine, cache: StackRedis, file: Persisted) -> None:
    """Let Redis write its files anew: what was deleted must not be in them any more either."""
    command = "BGREWRITEAOF" if file.appendonly else "SAVE"
    answer = _ask(engine, cache, command).strip()
    if not (answer == "OK" or (file.appendonly and answer.startswith("Background append only file rewriting"))):
        raise RedisError(f"Redis could not write {file.path}: {answer}. Nothing was put in place.")
    deadline = time.monotonic() + PATIENCE
    while file.appendonly:
        info = _facts(_ask(engine, cache, "INFO", "persistence").splitlines())
        if info.get("aof_rewrite_in_progress") == info.get("aof_rewrite_scheduled") == "0":
            if info.get("aof_last_bgrewrite_status") != "ok":
                raise RedisError(f"Redis could not write {file.path}. Is the disk full? Nothing was put in place.")
            return
        if time.monotonic() > deadline:
            raise RedisError(f"Redis has not written {file.path} within {PATIENCE:g} s.")
        time.sleep(PAUSE)


@contextlib.contextmanager
def _running(engine: Engine, file: Persisted, image: str) -> Iterator[StackRedis]:
    """Yield a Redis that has read a file, in a container that is gone afterwards; leaving writes nothing by itself."""
    mark = hashlib.sha256(os.path.realpath(file.directory).encode(errors="surrogateescape")).hexdigest()[:16]
    user = ":".join(map(str, file.owner))
    container = engine.run_apart(
        image, _argv(file), name=f"crm-continuity-redis-{mark}", directory=file.directory, target=TARGET, user=user
    )
    try:
        cache = StackRedis("", (), container.name, None, container)
        _wait(engine, container, cache, file, image)
        yield cache
        engine.stop(container.id, END)
        state = engine.inspect(container.id).get("State") or {}
        if state.get("ExitCode") != 0:
            raise RedisError(
                f"Redis with {file.path} did not end cleanly: {_words(engine, container)}. Nothing was put in place."
            )
    finally:
        engine.remove(container.id)


def _argv(file: Persisted) -> list[str]:
    return [
        "sh",
        "-c",
        'umask 077; exec redis-server "$@"',
        "redis-server",
        *("--dir", TARGET, "--bind", "127.0.0.1", "--port", "6379"),
        # Nothing is written but what is asked for, so that every failure of it is noticed.
        *("--save", "", "--appendonly", "yes" if file.appendonly else "no", "--auto-aof-rewrite-percentage", "0"),
        *file.options,
    ]


def _wait(engine: Engine, container: Container, cache: StackRedis, file: Persisted, image: str) -> None:
    """Wait until Redis has read its files."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(RedisError):
            if _ask(engine, cache, "PING").strip() == "PONG":
                return
        now = engine.container(container.id)
        if now is None or not now.running or time.monotonic() > deadline:
            raise RedisError(
                f"Redis of the image {image} cannot read {file.path}: {_words(engine, container)}. "
                "Use the image that wrote it."
            )
        time.sleep(PAUSE)


def _words(engine: Engine, container: Container) -> str:
    return " ".join(engine.logs(container.id, 4).split())[-400:] or "it printed nothing"
