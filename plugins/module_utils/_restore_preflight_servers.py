# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ask the PostgreSQL server that a dump is to be restored on what it is, has and holds. Only looks.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ._database import connect
from ._database_location import MAINTENANCE, enter, in_container, on_host
from ._errors import ContinuityError
from ._process import run
from ._stack_info import database_facts

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._database import PostgreSQL, Role
    from ._database_location import Location
    from ._engine import Container, Engine
    from ._stack import StackDatabase

VERSIONS = "SELECT name, version FROM pg_available_extension_versions"
LOCALES = "SELECT collcollate FROM pg_collation WHERE collcollate IS NOT NULL"
# Who else is in a database: the addresses of the stack's own containers are told apart later.
SESSIONS = (
    "SELECT coalesce(usename, ''), coalesce(application_name, ''), coalesce(host(client_addr), ''), count(*)"
    " FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid() GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
)
# PostgreSQL 15 and newer note which version of a collation a database was made with, and know the one of now.
_COLLATION_VERSION = (
    "SELECT pg_database_collation_actual_version(oid) FROM pg_database"
    " WHERE datcollate = %s AND to_jsonb(pg_database) ->> 'datlocprovider' = %s LIMIT 1"
)
TABLES = "SELECT count(*), coalesce(sum(n_live_tup), 0) FROM pg_stat_user_tables"
_PROVIDERS = {"libc": "c", "icu": "i", "builtin": "b"}


@dataclass(frozen=True)
class Session:
    """A client of a database; ``address`` is empty for one on the server's own socket."""

    user: str
    application: str
    address: str
    count: int


@dataclass(frozen=True)
class Live:
    """The database that is there under the name of one in the backup; ``rows`` is the server's own estimate."""

    facts: Mapping[str, t.Any]
    tables: int
    rows: int
    sessions: tuple[Session, ...]


@dataclass(frozen=True)
class Server:
    """What a server says of itself; ``extensions`` maps names to versions, ``trusted`` are for everyone to create."""

    name: str
    version: int
    tools: int | None
    extensions: Mapping[str, frozenset[str]]
    trusted: Mapping[str, bool]
    roles: frozenset[str]
    role: Role
    locales: frozenset[str]
    collation_version: str | None
    data_directory: str | None
    live: Live | None = field(default=None)


@dataclass(frozen=True)
class Silent:
    """Why a server could not be asked; ``runs`` where it is there and does not let us in."""

    reason: str
    runs: bool = False


def ask(
    entry: Mapping[str, t.Any],
    engine: Engine,
    containers: Mapping[str, Container],
    database: StackDatabase | None,
    login: tuple[str, str | None] | None,
) -> Server | Silent:
    """Ask the server of a database that the backup describes with ``entry``.

    ``containers`` are those of the target, by service; ``database`` is what the running stack says of the database.
    ``login`` is a user and a password that win over those of the container.
    """
    container = containers.get(entry["service"]) if entry["service"] else None
    if entry["service"] is not None and (container is None or container.state != "running"):
        state = f"is {container.state}" if container is not None else "is not there yet"
        return Silent(f"service {entry['service']} {state}: what its PostgreSQL is and has is not known before it runs")
    try:
        location = _location(entry, engine, container, login)
        if location is None:
            return Silent(
                f"the server {entry['host']}:{entry['port']} is outside the stack, and no user for it was given: what "
                "it is and has is not known"
            )
        return _asked(entry, location, database)
    except ContinuityError as exc:
        return Silent(str(exc).rstrip("."), runs=True)


def _location(
    entry: Mapping[str, t.Any], engine: Engine, container: Container | None, login: tuple[str, str | None] | None
) -> Location | None:
    """Return how the restore itself will reach the server; None where it is outside and no user was given."""
    user, password = login or (None, None)
    if container is not None:
        return in_container(engine, container.name, user=user, password=password)
    if user is None:
        return None
    return on_host(host=entry["host"], port=entry["port"], user=user, password=password)


def _maintenance(location: Location, database: str) -> PostgreSQL:
    """Connect to a database that is there whatever was lost."""
    return enter(location, (*MAINTENANCE, database), connect)[1]


def _asked(entry: Mapping[str, t.Any], location: Location, database: StackDatabase | None) -> Server:
    with _maintenance(location, entry["name"]) as session:
        versions: dict[str, set[str]] = {}
        for name, version in session.execute(VERSIONS):
            versions.setdefault(name, set()).add(version)
        number = session.server_version()
        server = Server(
            name=location.name,
            version=number,
            tools=_tools(location, number // 10000),
            extensions={name: frozenset(found) for name, found in versions.items()},
            trusted=session.available_extensions(),
            roles=session.roles(),
            role=session.role(),
            locales=frozenset(name for (name,) in session.execute(LOCALES)),
            collation_version=_collation_version(session, entry, number),
            data_directory=session.setting("data_directory"),
        )
        there = entry["name"] in session.databases()
        sessions = session.execute(SESSIONS, (entry["name"],)) if there else []
    if not there:
        return server
    with connect(location.connection(entry["name"])) as session:
        tables, rows = (session.execute(TABLES) or [(0, 0)])[0]
        facts = vars(session.facts()) if database is None else database_facts(location, database)
    live = Live(facts, int(tables), int(rows), tuple(Session(*found) for found in sessions))
    return Server(**{**vars(server), "live": live})


def _collation_version(session: PostgreSQL, entry: Mapping[str, t.Any], version: int) -> str | None:
    if version < 150000:
        return None
    provider = _PROVIDERS.get(entry["locale_provider"], entry["locale_provider"])
    rows = session.execute(_COLLATION_VERSION, (entry["collate"], provider))
    return rows[0][0] if rows else None


def _tools(location: Location, version: int) -> int | None:
    """Return the version of pg_restore there, counted as the server counts its own."""
    printed = run(location.client("ask pg_restore for its version", ["pg_restore", "--version"], version=version))
    found = re.search(r"(\d+)\.(\d+)", printed.stdout.decode(errors="replace"))
    return int(found[1]) * 10000 + int(found[2]) if found is not None else None


def foreign(live: Live, own: Sequence[str]) -> list[Session]:
    """Return the sessions that do not come from these addresses, nor from the server's own programs or ours."""
    return [
        session
        for session in live.sessions
        if session.address not in own
        and not session.application.startswith("crm.continuity")
        and (session.address or session.application)
    ]
