# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the artifacts of a backup, all of one instant.

The phases, and where a first pass over the volumes of the running applications belongs:

    (live)    archive the volumes while the applications run
    freeze    writers stand still, dependents first
    cut       Redis on disk, a snapshot of every database, the volumes
    thaw      what ran, runs
    finish    dumps of the snapshots, roles, configuration

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
import urllib.parse
from dataclasses import dataclass

from ._backup_store import now
from ._compression import suffix
from ._config_bundle import write, write_containers
from ._database_dump import dump_database, open_snapshot
from ._database_globals import dump_globals
from ._freeze import Freezer, Frozen, Guardian, guarded
from ._manifest import Artifact
from ._redis import flush
from ._volume_directory import data_directory
from ._volume_export import export_directory

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ._backup_store import Partial
    from ._database import Snapshot
    from ._database_location import Location
    from ._engine import Engine
    from ._files import Written
    from ._freeze import Target
    from ._stack import Data, StackDatabase
    from ._stack_backup import Plan


@dataclass(frozen=True)
class Watch:
    """What the guardian needs: an engine of its own, and the stack's lock, which it holds until everything runs."""

    connect: Callable[[], Engine]
    lock: int | None


@dataclass(frozen=True)
class Capture:
    """What was captured: ``cut_at`` is the instant that every artifact but the configuration belongs to."""

    cut_at: str
    frozen_seconds: float
    frozen: tuple[Frozen, ...]
    artifacts: tuple[Artifact, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Cut:
    """The frozen part: snapshots that are still open, and the archives."""

    at: str
    frozen_seconds: float
    frozen: tuple[Frozen, ...]
    snapshots: tuple[Snapshot, ...]
    archives: tuple[Artifact, ...]
    warnings: tuple[str, ...]


def capture(wanted: Plan, engine: Engine, watch: Watch, partial: Partial) -> Capture:
    """Write all artifacts below ``partial``; the services run again when this returns or raises."""
    with contextlib.ExitStack() as moments:
        cut = _cut(wanted, engine, watch, partial, moments)
        dumped = [
            _dump(wanted, partial, name, described["globals"], database, snapshot.id)
            for name, described, database, snapshot in zip(
                dump_names(wanted), wanted.described["databases"], wanted.databases, cut.snapshots, strict=True
            )
        ]
    roles = [_roles(wanted, partial, server, name, location) for server, (name, location) in _servers(wanted).items()]
    configuration = _configuration(wanted, engine, partial)
    return Capture(
        cut_at=cut.at,
        frozen_seconds=cut.frozen_seconds,
        frozen=cut.frozen,
        artifacts=(*cut.archives, *(artifact for artifact, _warnings in dumped), *roles, *configuration),
        warnings=(*cut.warnings, *(warning for _artifact, warnings in dumped for warning in warnings)),
    )


def archive_name(data: Data, compression: str) -> str:
    """Return the path of the archive of a volume inside a backup."""
    return f"volumes/{data.name}.tar{suffix(compression)}"


def dump_names(wanted: Plan) -> list[str]:
    """Return the paths of the dumps inside a backup, in the order of the databases."""
    names = [database.name for database, _location in wanted.databases]
    servers = [entry["globals"] for entry in wanted.described["databases"]]
    ending = f".dump{suffix(wanted.request.compression)}"
    return [
        f"databases/{_file_name(name)}{f'@{_file_name(server)}' if names.count(name) > 1 else ''}{ending}"
        for name, server in zip(names, servers, strict=True)
    ]


def _cut(
    wanted: Plan,
    engine: Engine,
    watch: Watch,
    partial: Partial,
    moments: contextlib.ExitStack,
) -> Cut:
    freezer = Freezer(engine, wanted.freeze)
    caches = {cache.container.id: cache for cache in wanted.caches if cache.container is not None}
    flushed: set[str] = set()

    def before(target: Target) -> None:
        # The applications stand still already: Redis is the last to be frozen.
        if target.container in caches:
            flush(engine, caches[target.container])
            flushed.add(target.container)

    with Guardian(watch.connect, guarded(wanted.stack, wanted.freeze), keep=watch.lock):
        begun = time.monotonic()
        try:
            freezer.freeze(before)
            # One that is not frozen itself still has to be up to date.
            for container in caches.keys() - flushed:
                flush(engine, caches[container])
            snapshots = [
                moments.enter_context(open_snapshot(location, database.name)) for database, location in wanted.databases
            ]
            at = now().isoformat(timespec="milliseconds")
            exported = [_archive(wanted, engine, partial, data) for data in wanted.stack.archived()]
        finally:
            frozen = freezer.thaw()
    return Cut(
        at=at,
        frozen_seconds=round(time.monotonic() - begun, 3) if frozen else 0.0,
        frozen=tuple(frozen),
        snapshots=tuple(snapshots),
        archives=tuple(artifact for artifact, _warnings in exported),
        warnings=tuple(warning for _artifact, warnings in exported for warning in warnings),
    )


def _archive(wanted: Plan, engine: Engine, partial: Partial, data: Data) -> tuple[Artifact, tuple[str, ...]]:
    request = wanted.request
    name = archive_name(data, request.compression)
    exported = export_directory(
        data_directory(engine, data.kind, data.source),
        partial.file(name),
        compression=request.compression,
        level=request.level,
        subject=f"{data.kind} {data.name}",
    )
    facts = {
        "files": exported.files,
        "directories": exported.directories,
        "content_bytes": exported.content_bytes,
    }
    artifact = Artifact(
        path=name,
        kind="archive",
        size=exported.size,
        sha256=exported.sha256,
        plain_sha256=exported.plain_sha256,
        source=data.name,
        compression=request.compression,
        facts=facts,
    )
    return artifact, tuple(f"{data.kind} {data.name}: {warning}" for warning in exported.warnings)


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
    dumped = dump_database(
        location,
        database.name,
        partial.file(name),
        compression=request.compression,
        level=request.level,
        snapshot=snapshot,
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


def _servers(wanted: Plan) -> dict[str, tuple[str, Location]]:
    """Return each database server once, with one of its databases to connect to."""
    names = [entry["globals"] for entry in wanted.described["databases"]]
    pairs = zip(names, wanted.databases, strict=True)
    return {server: (database.name, location) for server, (database, location) in pairs}


def _roles(wanted: Plan, partial: Partial, server: str, database: str, location: Location) -> Artifact:
    request = wanted.request
    name = f"databases/{_file_name(server)}.globals.sql{suffix(request.compression)}"
    dumped = dump_globals(location, database, partial.file(name), compression=request.compression, level=request.level)
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


def _configuration(wanted: Plan, engine: Engine, partial: Partial) -> list[Artifact]:
    compression = wanted.request.compression
    artifacts = []
    if wanted.bundle.files:
        name = f"config/project.tar{suffix(compression)}"
        artifacts.append(_config(name, write(wanted.bundle, partial.file(name), compression), compression))
    name = "config/containers.json"
    artifacts.append(_config(name, write_containers(engine, wanted.stack, partial.file(name)), "none"))
    return artifacts


def _config(name: str, written: Written, compression: str) -> Artifact:
    return Artifact(name, "config", written.size, written.sha256, written.sha256, compression=compression)


def _file_name(name: str) -> str:
    # A database may have any name; '%' keeps two different ones different.
    quoted = {c: urllib.parse.quote(c, safe="", errors="surrogateescape") for c in name if not c.isalnum()}
    return "".join(quoted.get(c, c) for c in name)
