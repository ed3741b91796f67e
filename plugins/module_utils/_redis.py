# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a Redis put what it holds on disk, so that a copy of its files is of this instant.

redis-cli runs inside the container: the same version as the server, and no client library on the host. Standard
library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import typing as t
from dataclasses import dataclass

from ._errors import ProcessError, RedisError
from ._process import Pipeline, run

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Engine
    from ._process import Stage
    from ._stack import StackRedis


# Bytes of memory that a Redis writes to its disk in a second, by a cautious guess.
SAVE_RATE = 50_000_000
# What a Redis writes before it takes the place of its file.
TEMPORARY = re.compile(r"temp-\d+\.rdb")
# Seconds: how long the copy of a Redis may take to create that, how long another save may take that was begun before,
# and how often to ask whether it is done.
APPEARS = 10.0
BUSY = 30.0
PAUSE = 0.2
# Seconds: how long a disk may take to accept what a Redis has to append to its file, which waits up to two seconds by
# itself while the disk is busy, and how often to ask.
SETTLES = 10.0
SETTLE_PAUSE = 0.005
# What marks the end of a long answer.
MARK = "crm-continuity-end"


@dataclass(frozen=True)
class RedisFacts:
    """What a Redis says of itself.

    ``directory`` is where it keeps its files, inside its container; ``save_seconds`` is how long it takes to write all
    that it holds to its disk, by the last time or by its size.
    """

    version: str
    appendonly: bool
    directory: str
    save_seconds: float


def facts(engine: Engine, cache: StackRedis) -> RedisFacts:
    """Ask a Redis for its version and how it persists; raise RedisError when it does not answer, or can't persist."""
    info = _info(engine, cache)
    appendonly = _setting(engine, cache, "appendonly") == "yes"
    if appendonly and info.get("aof_last_write_status", "ok") != "ok":
        raise RedisError(
            f"Redis in {_where(cache)} could not write its append-only file lately, so its files are not what it "
            "holds. Look at its log and at the disk of its volume."
        )
    return RedisFacts(
        version=info.get("redis_version", ""),
        appendonly=appendonly,
        directory=_setting(engine, cache, "dir"),
        save_seconds=max(
            float(info.get("rdb_last_bgsave_time_sec", 0)), round(int(info.get("used_memory", 0)) / SAVE_RATE, 3)
        ),
    )


class AppendOnly:
    """A Redis with an append-only file, asked whether everything is in it, as a context manager.

    A command is answered before it is in the file while the disk is busy with the one before: Redis then appends it up
    to two seconds later. The connection is made beforehand, because to start a program in a container takes longer
    than everything else that is done while services stand still.
    """

    def __init__(self, engine: Engine, cache: StackRedis) -> None:
        self._where = _where(cache)
        self._client = Pipeline([_stage(engine, cache)])

    def __enter__(self) -> AppendOnly:
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._client)
            self._info()
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exception: t.Any) -> None:
        # How it ends does not matter any more: a container that is stopped takes it along.
        with contextlib.suppress(ProcessError):
            self._open.__exit__(*exception)

    def settle(self) -> None:
        """Wait until everything is in the file; call it while the writers stand still. Raises RedisError."""
        deadline = time.monotonic() + SETTLES
        while (waiting := int(self._info().get("aof_buffer_length", 0))) > 0:
            if time.monotonic() > deadline:
                raise RedisError(
                    f"Redis in {self._where} still has {waiting} bytes to append to its file after {SETTLES:g} s: its "
                    "disk is too slow, or something writes that is not frozen. Run this again when it is less busy."
                )
            time.sleep(SETTLE_PAUSE)

    def _info(self) -> dict[str, str]:
        try:
            self._client.stdin.write(f"INFO persistence\nECHO {MARK}\n".encode())
            self._client.stdin.flush()
        except BrokenPipeError:
            # Its own words come with the end of the answer.
            pass
        lines: list[str] = []
        for raw in self._client.stdout:
            line = raw.decode(errors="backslashreplace").strip()
            if line.strip('"') == MARK:
                return _facts(lines)
            lines.append(line)
            _refuse(line, "INFO", self._where)
        raise RedisError(f"Redis in {self._where} does not answer any more: {' '.join(lines[-3:]) or 'it is gone'}.")


class BackgroundSave:
    """Lets a Redis write what it holds at one instant to its disk, while it goes on.

    Redis makes a copy of itself for that, which sees nothing of what comes later, and which writes a new file that
    takes the place of the old one at the end. ``directory`` is where these files are on this host.
    """

    def __init__(self, engine: Engine, cache: StackRedis, directory: str) -> None:
        self._engine = engine
        self._cache = cache
        self._directory = directory
        self._file = -1

    def __enter__(self) -> BackgroundSave:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._file != -1:
            os.close(self._file)

    def start(self) -> None:
        """Choose the instant: now. Call it while the writers stand still. Raises RedisError when Redis refuses."""
        before = set(self._temporary())
        answer = _ask_in_turn(self._engine, self._cache, "BGSAVE").strip()
        if not answer.startswith("Background saving started"):
            raise RedisError(f"Redis in {_where(self._cache)} could not save: {answer}. Run this again.")
        deadline = time.monotonic() + APPEARS
        # Held open, the file is told from any that a later save puts in its place.
        while self._file == -1:
            for name in self._temporary() - before:
                with contextlib.suppress(FileNotFoundError):
                    self._file = os.open(os.path.join(self._directory, name), os.O_RDONLY | os.O_CLOEXEC)
            if time.monotonic() > deadline:
                raise RedisError(
                    f"Redis in {_where(self._cache)} has begun to save, but no file of it appears in "
                    f"{self._directory}. Is its dir another one?"
                )
            time.sleep(0.001)

    def wait(self) -> None:
        """Wait until all is written; raise RedisError when it is not, or not any more."""
        while True:
            info = _info(self._engine, self._cache)
            if info.get("rdb_bgsave_in_progress") != "1":
                break
            # Ours, or a later one already.
            if self._is_in_place():
                return
            time.sleep(PAUSE)
        if info.get("rdb_last_bgsave_status") != "ok":
            raise RedisError(
                f"Redis in {_where(self._cache)} could not write what it holds. Look at its log and its disk."
            )
        self.check()

    def check(self) -> None:
        """Raise RedisError when the file is not that of the chosen instant any more."""
        if not self._is_in_place():
            raise RedisError(
                f"Redis in {_where(self._cache)} has saved once more before its file was archived, so that is not of "
                "the instant of the backup. Run this again."
            )

    def _is_in_place(self) -> bool:
        ours = os.fstat(self._file)
        with os.scandir(self._directory) as entries:
            return any(
                entry.inode() == ours.st_ino and not TEMPORARY.fullmatch(entry.name)
                for entry in entries
                if entry.is_file(follow_symlinks=False)
            )

    def _temporary(self) -> set[str]:
        return {name for name in os.listdir(self._directory) if TEMPORARY.fullmatch(name)}


def save(engine: Engine, cache: StackRedis) -> None:
    """Write all that a Redis holds to its disk, and wait for it; without an append-only file its files are stale.

    Call it while the writers stand still. Raises RedisError when Redis refuses.
    """
    answer = _ask_in_turn(engine, cache, "SAVE").strip()
    if answer != "OK":
        raise RedisError(f"Redis in {_where(cache)} could not save: {answer}.")


def _ask_in_turn(engine: Engine, cache: StackRedis, command: str) -> str:
    """Ask for a save, and once more as long as Redis is busy with another one."""
    deadline = time.monotonic() + BUSY
    while True:
        try:
            return _ask(engine, cache, command)
        except RedisError as exc:
            if "in progress" not in str(exc) or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE / 4)


def _info(engine: Engine, cache: StackRedis) -> dict[str, str]:
    return _facts(_ask(engine, cache, "INFO").splitlines())


def _facts(lines: Sequence[str]) -> dict[str, str]:
    return dict(line.partition(":")[::2] for line in lines)


def _setting(engine: Engine, cache: StackRedis, name: str) -> str:
    return _ask(engine, cache, "CONFIG", "GET", name).partition("\n")[2].strip()


def _ask(engine: Engine, cache: StackRedis, *words: str) -> str:
    try:
        answer = run(_stage(engine, cache, *words)).stdout.decode(errors="backslashreplace")
    except ProcessError as exc:
        raise RedisError(str(exc)) from exc
    _refuse(answer, words[0], _where(cache))
    return answer


def _stage(engine: Engine, cache: StackRedis, *words: str) -> Stage:
    """Return how to run redis-cli; without a command it reads commands from its standard input."""
    if cache.container is None:
        raise RedisError(f"Redis at {cache.host} is not in a container of this host.")
    user = ["--user", cache.user] if cache.user and cache.user != "default" else []
    env = {"REDISCLI_AUTH": cache.password} if cache.password else {}
    return engine.exec_stage(cache.container.id, f"ask Redis in {_where(cache)}", ["redis-cli", *user, *words], env=env)


def _refuse(answer: str, word: str, where: str) -> None:
    # redis-cli ends with 0 for an error that the server answers.
    if answer.startswith(("NOAUTH", "WRONGPASS", "ERR", "MISCONF", "LOADING", "(error)")):
        raise RedisError(f"Redis in {where} refused {word}: {answer.strip()}")


def _where(cache: StackRedis) -> str:
    return f"container {cache.container.name}" if cache.container is not None else cache.host
