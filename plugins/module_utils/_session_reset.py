# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clear the WhatsApp sessions of a stack, so that it has to be paired anew: ``plan`` only looks, ``apply`` only acts.

Two servers with the same credentials log each other out, and WhatsApp may log out both for good. So a copy must not
start with the sessions of the original. The functions ``clear_…`` do it for one place each, also for data that are
staged and not live yet. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import typing as t
from dataclasses import dataclass

from ._backup_store import locked_on_host
from ._beneath import matching, open_directory
from ._database import connect
from ._errors import DatabaseError, RedisError, StackError
from ._redis_files import delete_from_files
from ._redis_keys import count_keys, delete_keys, persist
from ._session_parts import parts_of_stack
from ._stack_find import find_one
from ._stack_info import locate
from ._volume_directory import data_directory

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._database import Database
    from ._engine import Engine
    from ._profile import Profile
    from ._session_parts import LivePart, Part
    from ._stack import Request as StackRequest
    from ._stack import Stack, StackRedis


@dataclass(frozen=True)
class Cleared:
    """What was cleared, or would be: ``count`` rows, keys or files."""

    profile: str
    holds: str
    place: str
    where: str
    name: str
    count: int


@dataclass(frozen=True)
class Request:
    """Whose sessions to clear; ``running_ok`` even while the application runs, ``outside_ok`` outside the stack too."""

    stack: StackRequest
    running_ok: bool = False
    outside_ok: bool = False


@dataclass(frozen=True)
class Plan:
    """What is there to clear; ``reason`` is None when nothing is."""

    stack: Stack
    parts: tuple[LivePart, ...]
    found: tuple[Cleared, ...]
    reason: str | None


def plan(request: Request, engine: Engine, profiles: Mapping[str, Profile]) -> Plan:
    """Count what is there to clear.

    Raises StackError where a part of a session cannot be cleared, or while an application runs that would write it
    back.
    """
    stack = find_one(engine, profiles, request.stack)
    parts, refusals = parts_of_stack(stack, outside_ok=request.outside_ok)
    if refusals:
        raise StackError(
            f"The sessions of stack {stack.name} were left as they are. {' '.join(refusals)}", stack=stack.name
        )
    if not parts:
        raise StackError(
            f"No profile of stack {stack.name} ({', '.join(profile.name for profile in stack.profiles)}) knows of a "
            "WhatsApp session.",
            stack=stack.name,
        )
    if not request.running_ok:
        _refuse_running(stack)
    found = tuple(entry for part in parts for entry in _clear(engine, part, act=False))
    total = sum(entry.count for entry in found)
    return Plan(stack, tuple(parts), found, "there are sessions" if total else None)


def apply(wanted: Plan, engine: Engine) -> tuple[Cleared, ...]:
    """Clear everything, and prove by asking again that nothing is left."""
    with locked_on_host(wanted.stack.name):
        return tuple(entry for part in wanted.parts for entry in _clear(engine, part, act=True))


def _refuse_running(stack: Stack) -> None:
    roles = {(profile.name, profile.session_service) for profile in stack.profiles if profile.session_service}
    names = sorted(
        s.container.name
        for s in stack.services
        if s.rule is not None and (s.profile, s.rule.name) in roles and s.container.running
    )
    if names:
        raise StackError(
            f"The sessions of stack {stack.name} are in use by {', '.join(names)}, which would write them back. Stop "
            f"{'it' if len(names) == 1 else 'them'} first (docker stop {' '.join(names)}), or set running_ok=true.",
            stack=stack.name,
            containers=names,
        )


def _clear(engine: Engine, live: LivePart, *, act: bool) -> list[Cleared]:
    if live.database is not None:
        location = locate(engine, live.database)
        with connect(location.connection(live.database.name)) as session:
            return clear_database(session, live.part, act=act)
    if live.cache is not None:
        return clear_redis(engine, live.cache, live.part, act=act)
    if live.data is None:
        raise ValueError("a part of a session is in nothing")
    return clear_directory(data_directory(engine, live.data.kind, live.data.source), live.part, act=act)


def clear_database(session: Database, part: Part, *, act: bool = True) -> list[Cleared]:
    """Clear what a database holds of a session, all of it or nothing; without ``act`` count it only.

    Raises DatabaseError when something is left.
    """
    cleared = []
    with _transaction(session, part.schema or "public"):
        for step in part.steps:
            if step.when is not None and not _first(session, step.when):
                continue
            count = int(_first(session, step.count))
            if act and count:
                session.execute(step.sql)
                left = int(_first(session, step.count))
                if left:
                    raise DatabaseError(
                        f"{left} of {count} rows are left of what should be cleared ({step.name} in {part.where}). "
                        f"Nothing was changed there. Mend sql or count in the profile {part.profile}."
                    )
            cleared.append(_cleared(part, step.name, count))
    return cleared


def clear_directory(root: str, part: Part, *, act: bool = True) -> list[Cleared]:
    """Delete what a volume holds of a session; ``root`` is where its content is. Without ``act`` count it only.

    No symbolic link is followed, and directories stay. Raises StackError where the way to the files leads through one.
    """
    cleared = []
    try:
        base = open_directory(root, os.fsencode(part.directory))
    except FileNotFoundError:
        # The application has not made it yet.
        return [_cleared(part, step.name, 0) for step in part.steps]
    try:
        for step in part.steps:
            count = 0
            for path in matching(base, step.files):
                count += 1
                if act:
                    _unlink(base, path)
            cleared.append(_cleared(part, step.name, count))
        if act:
            os.fsync(base)
    finally:
        os.close(base)
    return cleared


def clear_redis(engine: Engine, cache: StackRedis, part: Part, *, act: bool = True) -> list[Cleared]:
    """Delete what a running Redis holds of a session, also from its files; without ``act`` count it only.

    Raises RedisError when something is left.
    """
    if cache.container is not None and cache.container.state != "running":
        raise RedisError(
            f"Redis in container {cache.container.name} is {cache.container.state}, so it cannot be asked. Start it "
            f"(docker start {cache.container.name}) and try again."
        )
    cleared = []
    for step in part.steps:
        count = count_keys(engine, cache, step.keys)
        if act and count:
            count = delete_keys(engine, cache, step.keys)
            left = count_keys(engine, cache, step.keys)
            if left:
                raise RedisError(
                    f"{left} keys are left of {step.name} in {part.where}. Does something still write them?"
                )
        cleared.append(_cleared(part, step.name, count))
    if act and any(entry.count for entry in cleared):
        persist(engine, cache)
    return cleared


def clear_redis_files(engine: Engine, directory: str, image: str, part: Part) -> list[Cleared]:
    """Delete what the files of a Redis that does not run hold of a session; ``directory`` is where they are.

    A Redis of this image is started on them, apart from everything else. Raises RedisError when something is left, or
    when it cannot read them.
    """
    return [_cleared(part, step.name, delete_from_files(engine, directory, image, step.keys)) for step in part.steps]


def _cleared(part: Part, name: str, count: int) -> Cleared:
    return Cleared(part.profile, part.holds, part.place, part.where, name, count)


def _first(session: Database, query: str) -> t.Any:
    rows = session.execute(query)
    return rows[0][0] if rows else 0


@contextlib.contextmanager
def _transaction(session: Database, schema: str) -> Iterator[None]:
    session.execute("BEGIN")
    try:
        session.execute("SELECT set_config('search_path', %s, true)", (schema,))
        yield
    except BaseException:
        with contextlib.suppress(DatabaseError):
            session.execute("ROLLBACK")
        raise
    session.execute("COMMIT")


def _unlink(base: int, path: bytes) -> None:
    parent, _slash, name = path.rpartition(b"/")
    descriptor = open_directory(base, parent)
    try:
        os.unlink(name, dir_fd=descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
