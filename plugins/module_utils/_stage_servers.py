# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The databases of a restore: renamed all at once, server by server, and renamed back.

While it waits, a database is called ``<name>__crm_staged_<stamp>``; what was live before is
``<name>__crm_previous_<stamp>``. The OID tells which of them is live, so that both directions can be tried again after
a crash. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import time
import typing as t

from ._database import connect
from ._database_location import MAINTENANCE, enter, in_container, on_host
from ._errors import DatabaseError
from ._stack import COMPOSE

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._database import Database, PostgreSQL
    from ._database_location import Location
    from ._engine import Container, Engine
    from ._restore_record import StagedDatabase

# How long a server that was just started may take to answer.
ANSWERS = 60.0
PAUSE = 0.2


class Access(t.NamedTuple):
    """How to get into a server that is not a container of the stack, and into those that refuse their own user."""

    user: str | None = None
    password: str | None = None
    sslmode: str | None = None
    sslrootcert: str | None = None


class Servers:
    """The database servers of one restore, with a session to each that is opened when it is needed."""

    def __init__(self, engine: Engine, stack: str, databases: Sequence[StagedDatabase], access: Access) -> None:
        self._engine = engine
        self._stack = stack
        self._access = access
        self._groups: dict[str, list[StagedDatabase]] = {}
        for database in databases:
            self._groups.setdefault(database.server, []).append(database)
        self._sessions: dict[str, PostgreSQL] = {}

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.disconnect()

    def disconnect(self) -> None:
        """End all sessions."""
        while self._sessions:
            self._sessions.popitem()[1].close()

    def connect(self, limit: float = 0.0) -> None:
        """Open a session with every server; wait up to ``limit`` seconds for each. Raises DatabaseError."""
        for group in self._groups.values():
            self._session(group[0], limit)

    def containers(self) -> list[Container]:
        """Return the containers of the servers that are part of the stack."""
        services = {group[0].service for group in self._groups.values()} - {None}
        return [
            container
            for container in self._engine.containers()
            if container.labels.get(COMPOSE + "project") == self._stack
            and container.labels.get(COMPOSE + "service") in services
        ]

    def check_forward(self) -> None:
        """Raise DatabaseError unless ``forward`` would do what was meant when the databases were staged."""
        for group in self._groups.values():
            there = _oids(self._session(group[0]))
            for database in group:
                if there.get(database.staged) != database.oid:
                    raise DatabaseError(
                        f"Database {database.staged}, which was restored for {database.name}, is not there any more. "
                        "Run the restore again.",
                        database=database.name,
                    )
                if (database.previous is None) == (database.name in there):
                    came = "was created" if database.previous is None else "has been removed"
                    raise DatabaseError(
                        f"Database {database.name} {came} since the restore was prepared. Run the restore again.",
                        database=database.name,
                    )

    def check_back(self) -> None:
        """Raise DatabaseError unless ``back`` would bring back what was live before."""
        for group in self._groups.values():
            there = _oids(self._session(group[0]))
            for database in group:
                if there.get(database.name) != database.oid:
                    raise DatabaseError(
                        f"Database {database.name} is not the one that this restore has put there: another restore or "
                        "somebody else has replaced it since. Revert that one first.",
                        database=database.name,
                    )
                if database.previous is not None and database.previous not in there:
                    raise DatabaseError(
                        f"Database {database.previous}, which holds what {database.name} was before the restore, is "
                        "not there any more, so it cannot be brought back.",
                        database=database.name,
                    )

    def forward(self) -> None:
        """Let every staged database take its place, all those of a server in one transaction."""
        for group in self._groups.values():
            session = self._session(group[0])
            there = _oids(session)
            waiting = [database for database in group if there.get(database.staged) == database.oid]
            renames = [(db.name, db.previous) for db in waiting if db.previous is not None and db.name in there]
            comments = {
                former: f"Kept by crm.continuity: database {name} before a restore." for name, former in renames
            }
            self._rename(session, [*renames, *((db.staged, db.name) for db in waiting)], comments)

    def back(self) -> None:
        """Undo ``forward`` as far as it was done."""
        for group in self._groups.values():
            session = self._session(group[0], ANSWERS)
            there = _oids(session)
            live = [database for database in group if there.get(database.name) == database.oid]
            renames = [(db.name, db.staged) for db in live]
            renames += [(db.previous, db.name) for db in live if db.previous is not None and db.previous in there]
            self._rename(session, renames, {})

    def discard(self) -> None:
        """Remove the databases that wait, for good, staged or former ones; live ones are left alone."""
        for group in self._groups.values():
            session = self._session(group[0])
            there = _oids(session)
            for database in group:
                for name in (database.staged, database.previous):
                    if name is not None and name in there:
                        session.drop_database(name)

    def _rename(self, session: Database, renames: Sequence[tuple[str, str]], comments: dict[str, str]) -> None:
        if renames:
            session.rename_databases(renames, comments)

    def _session(self, database: StagedDatabase, limit: float = 0.0) -> PostgreSQL:
        known = self._sessions.get(database.server)
        if known is None:
            known = self._sessions[database.server] = _patiently(lambda: self._connect(database), limit)
        return known

    def _connect(self, database: StagedDatabase) -> PostgreSQL:
        location = locate(self._engine, self._stack, database, self._access)
        return enter(location, [name for name in MAINTENANCE if name != database.name], connect)[1]


def locate(engine: Engine, stack: str, database: StagedDatabase, access: Access) -> Location:
    """Return how to reach the server of a database; raise DatabaseError when its container does not run."""
    if database.service is None:
        return on_host(
            host=database.host,
            port=database.port,
            user=access.user or "postgres",
            password=access.password,
            sslmode=access.sslmode,
            sslrootcert=access.sslrootcert,
        )
    wanted = {"project": stack, "service": database.service}
    for container in engine.containers():
        if {name: container.labels.get(COMPOSE + name) for name in wanted} == wanted:
            return in_container(engine, container.id, user=access.user, password=access.password)
    raise DatabaseError(
        f"Stack {stack} has no container of service {database.service}, whose PostgreSQL holds {database.name}. Start "
        f"it: docker compose up --detach {database.service}.",
        database=database.name,
    )


def _oids(session: Database) -> dict[str, int]:
    return {str(name): int(oid) for name, oid in session.execute("SELECT datname, oid FROM pg_database")}


def _patiently(
    connect_once: Callable[[], PostgreSQL],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> PostgreSQL:
    deadline = clock() + limit
    while clock() < deadline:
        with contextlib.suppress(DatabaseError):
            return connect_once()
        sleep(PAUSE)
    return connect_once()
