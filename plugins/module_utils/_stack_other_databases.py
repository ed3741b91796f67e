# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the databases that no profile names, on the PostgreSQL servers of a stack.

The files of these servers are not archived, because their databases are dumped: then every one has to be. What is there
has to be asked of the server. Only looks. Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, replace

from ._database_scratch import BUILDING, DOOMED, KEPT, STAMP_DIGITS
from ._errors import ContinuityError, DatabaseError
from ._profile import DatabaseRule
from ._stack_info import add_details, describe, holds_tables, listed_databases, locate, service_of
from ._stage_database import STAGED

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._engine import Engine
    from ._stack import Stack, StackDatabase

# What a restore builds beside a database, or keeps of it for a while.
_SCRATCH = re.compile(rf".*(?:{BUILDING}|{DOOMED}|{KEPT}|{STAGED})\d{{{STAMP_DIGITS}}}", re.DOTALL)


@dataclass(frozen=True)
class Unnamed:
    """What one server holds besides the databases that profiles name; ``warnings`` name what will not be dumped."""

    databases: tuple[StackDatabase, ...] = ()
    warnings: tuple[str, ...] = ()


def with_unnamed(engine: Engine, stack: Stack, exclude: Sequence[str] = ()) -> Stack:
    """Return the stack with the databases that no profile names, and a warning for each that is left out.

    ``exclude`` may name some of them. Raises DatabaseError when a server does not say what it holds.
    """
    return _extended(stack, [unnamed(engine, stack, server, exclude) for server in servers(stack)])


def describe_in_detail(engine: Engine, stack: Stack) -> dict[str, t.Any]:
    """Describe a stack with all that has to be asked for; where something does not answer, there is an ``error``."""
    found, errors = [], []
    for server in servers(stack):
        try:
            found.append(unnamed(engine, stack, server))
        except ContinuityError as exc:
            errors.append((server, str(exc)))
    whole = _extended(stack, found)
    described = describe(engine, whole)
    add_details(engine, whole, described)
    for server, error in errors:
        described["databases"][stack.databases.index(server)].setdefault("error", error)
    return described


def servers(stack: Stack) -> Iterator[StackDatabase]:
    """Return one named database of each PostgreSQL server that runs in a container of the stack itself.

    What else is on a server of another stack, or of another machine, is not this stack's.
    """
    seen: set[str] = set()
    for database in stack.databases:
        container = database.container
        if container is not None and container.id not in seen and service_of(stack, container.id) is not None:
            seen.add(container.id)
            yield database


def unnamed(engine: Engine, stack: Stack, named: StackDatabase, exclude: Sequence[str] = ()) -> Unnamed:
    """Ask the server of a named database for the others that hold tables; raises DatabaseError."""
    location = locate(engine, named)
    server = None if named.container is None else named.container.id
    # By ID: what the engine says of a container changes from one question to the next.
    known = {entry.name for entry in stack.databases if entry.container is not None and entry.container.id == server}
    databases, warnings = [], []
    for name, open_ in listed_databases(location, named.name):
        if name in known or _SCRATCH.fullmatch(name):
            continue
        if name in exclude or not open_:
            why = "it was excluded" if name in exclude else "it allows no connections"
            warnings.append(f"Database {name} of {location.name} is not covered: {why}.")
            continue
        try:
            if holds_tables(location, name):
                databases.append(_generic(named, name))
        except DatabaseError as exc:
            raise DatabaseError(
                f"{exc} No profile names this database of {location.name}, but it would be lost with the server: let "
                "that user into it, or name it in exclude to do without it.",
                database=name,
            ) from exc
    return Unnamed(tuple(databases), tuple(warnings))


def _extended(stack: Stack, found: Sequence[Unnamed]) -> Stack:
    return replace(
        stack,
        databases=(*stack.databases, *(database for entry in found for database in entry.databases)),
        warnings=(*stack.warnings, *(warning for entry in found for warning in entry.warnings)),
    )


def _generic(named: StackDatabase, name: str) -> StackDatabase:
    """Describe a database of the same server about which nothing but its name is known."""
    return replace(named, name=name, profile=None, rule=DatabaseRule(name, service=""), schema=None, sharers=())
