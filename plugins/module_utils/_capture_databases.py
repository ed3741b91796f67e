# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The databases of a backup: dumps of snapshots that were taken while the applications stood still, and roles.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import typing as t
import urllib.parse

from ._compression import suffix
from ._database import connect
from ._database_dump import dump_database
from ._database_globals import dump_globals
from ._manifest import Artifact
from ._progress import writing

if t.TYPE_CHECKING:
    from ._backup_store import Partial
    from ._database import Database, Snapshot
    from ._database_location import Location
    from ._stack import StackDatabase
    from ._stack_backup import Plan


class Databases:
    """The databases of a stack, as a context manager: sessions that are open, and their snapshots."""

    def __init__(self, wanted: Plan, partial: Partial) -> None:
        self._wanted = wanted
        self._partial = partial
        self._open = contextlib.ExitStack()
        self._sessions: list[Database] = []
        self._snapshots: list[Snapshot] = []

    def __enter__(self) -> Databases:
        return self

    def __exit__(self, *exception: t.Any) -> bool | None:
        return self._open.__exit__(*exception)

    def connect(self) -> None:
        """Open a session with every database, before anything stands still."""
        for database, location in self._wanted.databases:
            session = connect(location.connection(database.name))
            self._open.callback(session.close)
            self._sessions.append(session)

    def cut(self) -> None:
        """Take and keep a snapshot of every database."""
        self._snapshots = [self._open.enter_context(session.snapshot()) for session in self._sessions]

    def dump(self) -> tuple[list[Artifact], list[str]]:
        """Dump the snapshots; return the artifacts, and remarks."""
        dumped = [
            _dump(self._wanted, self._partial, name, described["globals"], database, snapshot.id)
            for name, described, database, snapshot in zip(
                dump_names(self._wanted),
                self._wanted.described["databases"],
                self._wanted.databases,
                self._snapshots,
                strict=True,
            )
        ]
        return [artifact for artifact, _remarks in dumped], [line for _artifact, remarks in dumped for line in remarks]

    def roles(self) -> list[Artifact]:
        """Dump the roles of every server once."""
        names = [entry["globals"] for entry in self._wanted.described["databases"]]
        pairs = zip(names, self._wanted.databases, strict=True)
        servers = {server: (database.name, location) for server, (database, location) in pairs}
        return [
            _roles(self._wanted, self._partial, server, database, location)
            for server, (database, location) in servers.items()
        ]


def dump_names(wanted: Plan) -> list[str]:
    """Return the paths of the dumps inside a backup, in the order of the databases."""
    names = [database.name for database, _location in wanted.databases]
    servers = [entry["globals"] for entry in wanted.described["databases"]]
    ending = f".dump{suffix(wanted.request.compression)}{wanted.request.encryption.suffix}"
    return [
        f"databases/{file_name(name)}{f'@{file_name(server)}' if names.count(name) > 1 else ''}{ending}"
        for name, server in zip(names, servers, strict=True)
    ]


def _dump(
    wanted: Plan,
    partial: Partial,
    name: str,
    server: str,
    located: tuple[StackDatabase, Location],
    snapshot: str,
) -> tuple[Artifact, tuple[str, ...]]:
    request = wanted.request
    database, location = located
    path = partial.file(name)
    with writing(f"database {database.name}", path, name):
        dumped = dump_database(
            location,
            database.name,
            path,
            compression=request.compression,
            level=request.level,
            snapshot=snapshot,
            encryption=request.encryption,
        )
    artifact = Artifact(
        path=name,
        kind="dump",
        size=dumped.size,
        sha256=dumped.sha256,
        plain_sha256=dumped.plain_sha256,
        source=database.name,
        compression=request.compression,
        facts={"rows": dumped.rows, "tables": dumped.tables, "sequences": dumped.sequences, "server": server},
    )
    return artifact, tuple(f"database {database.name}: {warning}" for warning in dumped.warnings)


def _roles(wanted: Plan, partial: Partial, server: str, database: str, location: Location) -> Artifact:
    request = wanted.request
    name = f"databases/{file_name(server)}.globals.sql{suffix(request.compression)}{request.encryption.suffix}"
    dumped = dump_globals(
        location,
        database,
        partial.file(name),
        compression=request.compression,
        level=request.level,
        encryption=request.encryption,
    )
    return Artifact(
        path=name,
        kind="globals",
        size=dumped.size,
        sha256=dumped.sha256,
        plain_sha256=dumped.plain_sha256,
        source=server,
        compression=request.compression,
        facts={"role_passwords": dumped.role_passwords},
    )


def file_name(name: str) -> str:
    """Return the name of a database or server as a part of the name of a file."""
    # A database may have any name; '%' keeps two different ones different.
    quoted = {c: urllib.parse.quote(c, safe="", errors="surrogateescape") for c in name if not c.isalnum()}
    return "".join(quoted.get(c, c) for c in name)
