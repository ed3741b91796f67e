# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Unpack and prove everything of a backup beside what is live, so that only an exchange is left to do.

Volumes go into directories beside the live ones, databases into databases beside the live ones. Nothing live is
touched and nothing is stopped; when anything fails, nothing of it is left. ``plan`` only looks and ``apply`` only acts.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import functools
import os
import time
import typing as t
from dataclasses import dataclass, field, replace

from ._backup_store import locked_on_host, new_id, now, tell_phase
from ._cutover import mend
from ._database_restore import Request as DatabaseRequest
from ._database_restore import plan as plan_database
from ._errors import ContinuityError, StackError
from ._exchange import Exchange, prepare
from ._profile import Repair
from ._progress import expect, reading
from ._restore_record import DEFAULT_RECORDS, Record, StagedDatabase, StagedVolume, records, remove, write
from ._stack_thaw import recover
from ._stage_database import stage
from ._stage_servers import Access, Servers, locate
from ._staging import copy_attributes, sync
from ._volume_directory import data_directory, has_quota, mounts_below, no_exchange
from ._volume_import import unpack

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._database import PostgreSQL
    from ._database_location import Location
    from ._database_restore import Plan as DatabasePlan
    from ._engine import Engine

# What is to be done to a database, by its name, and to a volume's directory, by the volume's, before they wait.
DatabaseStep = t.Callable[[str, "PostgreSQL"], "list[str]"]
VolumeStep = t.Callable[[str, str], "list[str]"]


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types; ``volumes`` and ``databases`` as restore_check says.

    ``directory`` is that of the backup, ``backup`` its ID.
    """

    stack: str
    backup: str
    directory: str
    volumes: tuple[Mapping[str, t.Any], ...]
    databases: tuple[Mapping[str, t.Any], ...]
    allow_devices: bool = False
    jobs: int | None = None
    access: Access = field(default_factory=Access)
    records: str = field(default_factory=lambda: DEFAULT_RECORDS)


@dataclass(frozen=True)
class Plan:
    """What will be staged; ``databases`` pairs each database with its server and what restoring it means."""

    request: Request
    id: str
    directories: tuple[str | None, ...]
    databases: tuple[tuple[StagedDatabase, Location, DatabasePlan], ...]

    @property
    def replaces(self) -> bool:
        """Whether there is anything now that will have to make room."""
        return any(volume["files"] for volume in self.request.volumes) or any(
            # One that the server has made at its first start holds nothing to go back to.
            wanted.live_rows
            for _database, _location, wanted in self.databases
        )


@dataclass(frozen=True)
class Staged:
    """What waits now."""

    record: Record
    seconds: float
    content_bytes: int
    rows: int
    warnings: tuple[str, ...]


def take(
    request: Request,
    engine: Engine,
    *,
    on_database: Sequence[DatabaseStep] = (),
    on_volume: Sequence[VolumeStep] = (),
    check: Callable[[], None] = lambda: None,
) -> tuple[Plan, Staged]:
    """Plan and stage under the lock of the stack; what dead runs left is mended or removed first."""
    with locked_on_host(request.stack) as lock:
        tell = functools.partial(tell_phase, lock)
        tell("look")
        remarks = (
            *mend(request.stack, lambda _host, _timeout: engine, request.access, request.records),
            *recover(request.stack),
        )
        for record in records(request.records, request.stack):
            if record.phase in ("staging", "staged"):
                abandon(record, engine, request)
        wanted = plan(request, engine)
        expect(lambda: _expected(request))
        staged = apply(wanted, engine, tell, on_database=on_database, on_volume=on_volume, check=check)
        return wanted, replace(staged, warnings=(*remarks, *staged.warnings))


def plan(request: Request, engine: Engine) -> Plan:
    """Examine every dump, server and directory, and refuse what could not succeed. Changes nothing."""
    directories = tuple(_directory(engine, entry) for entry in request.volumes)
    databases = []
    for entry in request.databases:
        database = StagedDatabase(
            name=entry["name"],
            staged="",
            previous=None,
            oid=0,
            service=entry["service"],
            host=entry["host"],
            port=entry["port"],
            rows=0,
        )
        location = locate(engine, request.stack, database, request.access)
        databases.append((database, location, plan_database(_database_request(request, entry), location)))
    known = {record.id for record in records(request.records, request.stack)}
    return Plan(request, new_id(now(), known), directories, tuple(databases))


def apply(
    wanted: Plan,
    engine: Engine,
    tell: Callable[[str], None],
    *,
    on_database: Sequence[DatabaseStep] = (),
    on_volume: Sequence[VolumeStep] = (),
    check: Callable[[], None] = lambda: None,
) -> Staged:
    """Carry out a plan. After a failure nothing is left of it; ``check`` is called last, and may raise."""
    request = wanted.request
    began = time.monotonic()
    record = write(
        request.records,
        Record(
            stack=request.stack,
            id=wanted.id,
            backup=request.backup,
            directory=request.directory,
            docker_host=engine.info().host,
            phase="staging",
            since=now().isoformat(timespec="milliseconds"),
            replaces=wanted.replaces,
        ),
    )
    warnings: list[str] = []
    size = 0

    def note(database: StagedDatabase) -> None:
        nonlocal record
        record = write(request.records, replace(record, databases=(*record.databases, database)))

    try:
        for entry, live in zip(request.volumes, wanted.directories, strict=True):
            tell(f"stage {entry['kind']} {entry['name']}")
            record, volume = _prepared(record, request, engine, entry, live)
            with reading(f"{entry['kind']} {entry['name']}", entry["archive"]):
                size += _fill(request, entry, volume, warnings)
            for step in on_volume:
                warnings += step(entry["name"], volume.exchange.waiting)
            sync(volume.exchange.base)
        for entry, (database, location, planned) in zip(request.databases, wanted.databases, strict=True):
            tell(f"stage database {database.name}")
            with reading(f"database {database.name}", entry["dump"]):
                warnings += stage(database, location, planned, on_database, note)
        check()
        record = write(request.records, record.at("staged"))
    except BaseException:
        # What cannot be removed now, the next run removes.
        with contextlib.suppress(ContinuityError, OSError):
            for known in records(request.records, request.stack):
                if known.id == wanted.id:
                    abandon(known, engine, request)
        raise
    return Staged(
        record=record,
        seconds=round(time.monotonic() - began, 3),
        content_bytes=size,
        rows=sum(database.rows for database in record.databases),
        warnings=tuple(warnings),
    )


def abandon(record: Record, engine: Engine, request: Request) -> None:
    """Remove what was staged and never became live."""
    with Servers(engine, record.stack, record.databases, request.access) as servers:
        servers.discard()
    for volume in record.volumes:
        volume.exchange.discard()
        if volume.created and _is_empty(volume.exchange.live):
            if volume.kind == "volume":
                engine.remove_volume(volume.source)
            else:
                os.rmdir(volume.exchange.live)
    remove(request.records, record)


def _expected(request: Request) -> dict[str, int | None]:
    """Return how many bytes there are to read."""
    paths = [*(entry["archive"] for entry in request.volumes), *(entry["dump"] for entry in request.databases)]
    return {path: os.path.getsize(path) for path in paths}


def _is_empty(directory: str) -> bool:
    # Somebody may have started to use what was made for the restore, or may have removed it.
    return os.path.isdir(directory) and not os.listdir(directory)


def _directory(engine: Engine, entry: Mapping[str, t.Any]) -> str | None:
    """Return the live directory of a volume, None for one that has to be created."""
    known = engine.volume(entry["source"]) if entry["kind"] == "volume" else None
    refusal = no_exchange(entry["source"], known.options if known else entry["options"])
    if refusal is not None:
        raise StackError(refusal, volume=entry["name"])
    if entry["kind"] == "volume" and known is None:
        return None
    if entry["kind"] != "volume" and not os.path.isdir(entry["source"]):
        return None
    live = os.path.realpath(data_directory(engine, entry["kind"], entry["source"]))
    nested = mounts_below(live)
    if nested:
        raise StackError(
            f"{entry['kind'].capitalize()} {entry['name']} has file systems mounted inside ({', '.join(nested)}), "
            "which can't be replaced with it. Unmount them first.",
            volume=entry["name"],
        )
    return live


def _prepared(
    record: Record, request: Request, engine: Engine, entry: Mapping[str, t.Any], live: str | None
) -> tuple[Record, StagedVolume]:
    created = live is None
    if live is None and entry["kind"] == "volume":
        engine.create_volume(entry["source"], labels=entry["labels"], options=entry["options"])
        live = data_directory(engine, "volume", entry["source"])
    elif live is None:
        live = entry["source"]
        os.makedirs(live)
    known = engine.volume(entry["source"]) if entry["kind"] == "volume" else None

    def noted(exchange: Exchange) -> StagedVolume:
        volume = StagedVolume(
            name=entry["name"],
            kind=entry["kind"],
            source=entry["source"],
            created=created,
            files=entry["archived_files"],
            exchange=exchange,
        )
        write(request.records, replace(record, volumes=(*record.volumes, volume)))
        return volume

    exchangeable = known is None or not has_quota(known)
    volume = noted(prepare(live, record.id, may_exchange=exchangeable, note=noted))
    return replace(record, volumes=(*record.volumes, volume)), volume


def _fill(request: Request, entry: Mapping[str, t.Any], volume: StagedVolume, warnings: list[str]) -> int:
    waiting = volume.exchange.waiting
    unpacked = unpack(
        entry["archive"],
        waiting,
        sha256=entry["sha256"],
        files=entry["archived_files"],
        deleted=entry["deleted"],
        deleted_sha256=entry["deleted_sha256"],
        allow_devices=request.allow_devices,
    )
    if not unpacked.root:
        copy_attributes(volume.exchange.live, waiting)
    warnings += [f"{entry['kind']} {entry['name']}: {warning}" for warning in unpacked.warnings]
    return unpacked.content_bytes


def _database_request(request: Request, entry: Mapping[str, t.Any]) -> DatabaseRequest:
    return DatabaseRequest(
        database=entry["name"],
        path=entry["dump"],
        sha256=entry["sha256"],
        # A template of the caller may have made texts of the numbers.
        rows={table: int(count) for table, count in entry["rows"].items()} if entry["rows"] is not None else None,
        # It is the cutover that replaces something.
        replace=True,
        repair=tuple(Repair(step["name"], step["when"], step["sql"]) for step in entry["repair"]),
        jobs=request.jobs,
        globals_path=entry["globals"],
    )
