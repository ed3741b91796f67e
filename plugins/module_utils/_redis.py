# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a Redis put what it holds on disk, so that a copy of its files is of this instant.

redis-cli runs inside the container: the same version as the server, and no client library on the host. Standard
library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._errors import ProcessError, RedisError
from ._process import run

if t.TYPE_CHECKING:
    from ._engine import Engine
    from ._stack import StackRedis


@dataclass(frozen=True)
class RedisFacts:
    """What a Redis says of itself."""

    version: str
    appendonly: bool


def facts(engine: Engine, cache: StackRedis) -> RedisFacts:
    """Ask a Redis for its version and how it persists; raise RedisError when it does not answer."""
    info = dict(line.partition(":")[::2] for line in _ask(engine, cache, "INFO", "server").splitlines())
    appendonly = _ask(engine, cache, "CONFIG", "GET", "appendonly").split()
    return RedisFacts(info.get("redis_version", ""), appendonly[-1:] == ["yes"])


def flush(engine: Engine, cache: StackRedis) -> str:
    """Bring the files up to date and return how: ``aof`` (they always are) or ``save``.

    With an append-only file every command has been written before it was answered; without one the files are as old
    as the last snapshot, so a new one is made. Call it while the writers stand still.
    """
    if facts(engine, cache).appendonly:
        return "aof"
    answer = _ask(engine, cache, "SAVE").strip()
    if answer != "OK":
        raise RedisError(f"Redis in {_where(cache)} could not save: {answer}.")
    return "save"


def _ask(engine: Engine, cache: StackRedis, *words: str) -> str:
    if cache.container is None:
        raise RedisError(f"Redis at {cache.host} is not in a container of this host.")
    user = ["--user", cache.user] if cache.user and cache.user != "default" else []
    env = {"REDISCLI_AUTH": cache.password} if cache.password else {}
    stage = engine.exec_stage(
        cache.container.id, f"ask Redis in {_where(cache)}", ["redis-cli", *user, *words], env=env
    )
    try:
        answer = run(stage).stdout.decode(errors="backslashreplace")
    except ProcessError as exc:
        raise RedisError(str(exc)) from exc
    # redis-cli ends with 0 for an error that the server answers.
    if answer.startswith(("NOAUTH", "WRONGPASS", "ERR", "MISCONF", "LOADING", "(error)")):
        raise RedisError(f"Redis in {_where(cache)} refused {words[0]}: {answer.strip()}")
    return answer


def _where(cache: StackRedis) -> str:
    return f"container {cache.container.name}" if cache.container is not None else cache.host
