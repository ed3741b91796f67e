# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take one backup of one stack: look, freeze, cut, thaw, finish, publish.

``plan`` only looks and ``apply`` only acts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import platform
import typing as t
from dataclasses import asdict, dataclass, replace

from ._backup_preflight import (
    check_coverage,
    check_profiles,
    check_root,
    check_tools,
    data_directories,
    uncovered,
)
from ._backup_store import Store, locked_on_host, new_id, now, unwritable
from ._capture import Capture, Watch, archive_name, capture, dump_names
from ._compression import tool
from ._config_bundle import collect
from ._database_dump import open_snapshot
from ._files import write_atomically
from ._freeze import targets
from ._instructions import NAME as INSTRUCTIONS
from ._instructions import render
from ._manifest import NAME as MANIFEST
from ._manifest import SUMS, Artifact, Manifest, encode, sums
from ._redis import facts as redis_facts
from ._stack_find import find_one
from ._stack_info import database_facts, describe, locate, service_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._backup_store import Backup, Partial
    from ._config_bundle import Bundle
    from ._database_location import Location
    from ._engine import Engine
    from ._freeze import Target
    from ._profile import Profile
    from ._stack import Request as StackRequest
    from ._stack import Stack, StackDatabase, StackRedis


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types.

    ``freeze`` maps service names to modes; ``version`` is that of the collection.
    """

    stack: StackRequest
    root: str
    compression: str
    level: int | None
    freeze: dict[str, str]
    require_session: bool
    version: str


@dataclass(frozen=True)
class Plan:
    """What the backup will consist of; ``described`` becomes the manifest's ``source``."""

    request: Request
    stack: Stack
    described: dict[str, t.Any]
    databases: tuple[tuple[StackDatabase, Location], ...]
    caches: tuple[StackRedis, ...]
    freeze: tuple[Target, ...]
    bundle: Bundle
    warnings: tuple[str, ...]
    id: str
    path: str


@dataclass(frozen=True)
class Taken:
    """A published backup."""

    backup: Backup
    manifest: Manifest


def plan(request: Request, engine: Engine, profiles: Mapping[str, Profile]) -> Plan:
    """Find out what a backup has to hold, and try everything that can fail before a service is touched."""
    stack = find_one(engine, profiles, request.stack)
    check_profiles(stack)
    check_coverage(stack, request.require_session)
    directories = data_directories(engine, stack)
    check_root(request.root, stack, directories)
    check_tools(request.compression, request.level)
    described = describe(engine, stack)
    databases = tuple((database, locate(engine, database)) for database in stack.databases)
    for entry, (database, location) in zip(described["databases"], databases, strict=True):
        entry.update(database_facts(location, database), **_for_restore(stack, database, location))
        # Fails where the program is missing or too old.
        location.client(f"dump {database.name}", ["pg_dump"], version=entry["server_version_num"] // 10000)
    caches = _caches(stack)
    for entry, cache in zip(described["redis"], stack.redis, strict=True):
        if cache in caches:
            entry.update(asdict(redis_facts(engine, cache)))
    bundle = collect(stack, [request.root, *directories])
    store = Store(request.root)
    id_ = new_id(now(), {backup.id for backup in store.backups(stack.name)})
    return Plan(
        request=request,
        stack=stack,
        described=described,
        databases=databases,
        caches=caches,
        freeze=tuple(targets(stack, request.freeze)),
        bundle=bundle,
        warnings=(*stack.warnings, *bundle.warnings, *uncovered(stack), *_unknown_services(stack, request.freeze)),
        id=id_,
        path=os.path.join(store.stack_directory(stack.name), id_),
    )


def _unknown_services(stack: Stack, freeze: Mapping[str, str]) -> list[str]:
    # One setting may serve several stacks, so this is no error.
    unknown = freeze.keys() - {service.name for service in stack.services}
    return [f"freeze names {name}, and stack {stack.name} has no such service." for name in sorted(unknown)]


def take(
    request: Request, engine: Engine, profiles: Mapping[str, Profile], connect: Callable[[], Engine]
) -> tuple[Plan, Taken]:
    """Plan and take one backup; ``connect`` returns another connection to the engine.

    Whatever happens, what ran before runs afterwards, and nothing but a complete backup gets a backup's name.
    """
    # Nothing is created for a stack that is not there or cannot be backed up.
    stack = plan(request, engine, profiles).stack.name
    with locked_on_host(stack) as lock, Store(request.root).locked(stack):
        # What runs now is only known while nobody else freezes it.
        wanted = plan(request, engine, profiles)
        return wanted, apply(wanted, engine, Watch(connect, lock))


def apply(wanted: Plan, engine: Engine, watch: Watch) -> Taken:
    """Carry out a plan that was made under the stack's lock."""
    store = Store(wanted.request.root)
    with store.partial(wanted.stack.name) as partial:
        started = _timestamp()
        try:
            captured = capture(wanted, engine, watch, partial)
            manifest = _with_instructions(_manifest(wanted, engine, partial, started, captured), partial)
            encoded = encode(manifest)
            write_atomically(partial.file(SUMS), sums(manifest, encoded))
            write_atomically(partial.file(MANIFEST), encoded)
            return Taken(partial.publish(), manifest)
        except OSError as exc:
            # What the engine, the databases and the project directory refuse are errors of their own: this is the
            # disk of the root.
            raise unwritable(partial.path, exc) from exc


def names(wanted: Plan) -> list[str]:
    """Return the archives and dumps that the backup will hold."""
    archives = [archive_name(data, wanted.request.compression) for data in wanted.stack.archived()]
    return archives + dump_names(wanted)


def summary(taken: Taken) -> dict[str, t.Any]:
    """Return what the operator wants to know of a backup that was taken."""
    artifacts = taken.manifest.artifacts
    return {
        "id": taken.backup.id,
        "directory": taken.backup.path,
        "cut_at": taken.manifest.cut_at,
        "size": taken.manifest.size,
        "files": sum(artifact.facts.get("files", 0) for artifact in artifacts),
        "rows": sum(sum(artifact.facts.get("rows", {}).values()) for artifact in artifacts),
        "frozen_seconds": taken.manifest.freeze["seconds"],
        "artifacts": [artifact.path for artifact in artifacts if artifact.kind in ("archive", "dump")],
        "remarks": list(taken.manifest.warnings),
    }


def _for_restore(stack: Stack, database: StackDatabase, location: Location) -> dict[str, t.Any]:
    steps = database.rule.repair
    return {
        "repair": [step.sql for step in steps if step.when is None or _is_true(location, database.name, step.when)],
        "repair_steps": [asdict(step) for step in steps],
        "globals": server_name(stack, database),
    }


def _is_true(location: Location, database: str, query: str) -> bool:
    with open_snapshot(location, database) as moment:
        rows = moment.database.execute(query)
    # A query that finds nothing says no.
    return bool(rows and rows[0][0])


def server_name(stack: Stack, database: StackDatabase) -> str:
    """Return what tells the database servers of a stack apart in the names of files."""
    if database.container is None:
        return f"{database.host}-{database.port}"
    return service_of(stack, database.container.id) or database.container.name


def _caches(stack: Stack) -> tuple[StackRedis, ...]:
    """Return the Redis servers whose files are archived while they run, and have to be up to date."""
    kept = {data.source for data in stack.archived()}
    return tuple(
        cache
        for cache in stack.redis
        if cache.container is not None and cache.container.state == "running" and cache.volume in kept
    )


def _manifest(wanted: Plan, engine: Engine, partial: Partial, started: str, captured: Capture) -> Manifest:
    source = {key: value for key, value in wanted.described.items() if key not in ("name", "session", "warnings")}
    return Manifest(
        id=partial.id,
        stack=wanted.stack.name,
        host=platform.node(),
        started_at=started,
        cut_at=captured.cut_at,
        finished_at=_timestamp(),
        collection_version=wanted.request.version,
        source=source,
        freeze={"seconds": captured.frozen_seconds, "services": [asdict(entry) for entry in captured.frozen]},
        artifacts=captured.artifacts,
        session=tuple(wanted.described["session"]),
        tools={"engine": engine.info().version, "compression": tool(wanted.request.compression)},
        warnings=(*wanted.warnings, *captured.warnings),
    )


def _with_instructions(manifest: Manifest, partial: Partial) -> Manifest:
    text = render(manifest).encode(errors="surrogateescape")
    written = write_atomically(partial.file(INSTRUCTIONS), text)
    instructions = Artifact(INSTRUCTIONS, "instructions", written.size, written.sha256, written.sha256)
    return replace(manifest, artifacts=(*manifest.artifacts, instructions))


def _timestamp() -> str:
    return now().isoformat(timespec="milliseconds")
