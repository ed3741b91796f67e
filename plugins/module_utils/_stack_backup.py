# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take one backup of one stack: look, freeze, cut, thaw, finish, publish.

``plan`` only looks and ``apply`` only acts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import functools
import os
import platform
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ._anomaly import MARK, NORMAL, limits
from ._arrival import by_id
from ._audit import AuditLog
from ._backup_gate import weigh
from ._backup_preflight import (
    check_coverage,
    check_freeze,
    check_profiles,
    check_root,
    check_tools,
    data_directories,
    streamed,
    uncovered,
    unencrypted,
)
from ._backup_store import Store, locked_on_host, new_id, now, tell_phase, unwritable
from ._capture import Capture, capture
from ._capture_caches import late_volumes
from ._capture_databases import dump_names
from ._capture_volumes import archive_name
from ._compression import tool
from ._config_bundle import collect
from ._database_dump import open_snapshot
from ._encryption import NO_ENCRYPTION, Encryption
from ._encryption import tool as encryption_tool
from ._errors import StoreError
from ._freeze import targets, wait_healthy
from ._manifest import Manifest
from ._progress import expect
from ._publication import publish
from ._redis import facts as redis_facts
from ._signature import usable_key
from ._stack_find import find_one
from ._stack_info import database_facts, describe, locate, service_of
from ._stack_other_databases import with_unnamed
from ._stack_thaw import recover
from ._streamed_archive import REMARK as STREAMED
from ._watchdog import Watch
from ._writers import unfrozen_writers

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._anomaly import Anomaly, Limits
    from ._backup_store import Backup, Partial
    from ._config_bundle import Bundle
    from ._database_location import Location
    from ._engine import Container, Engine
    from ._freeze import Target
    from ._profile import Profile
    from ._redis import RedisFacts
    from ._signature import Signer
    from ._stack import Data, Stack, StackDatabase, StackRedis
    from ._stack import Request as StackRequest


FREEZE_BUDGET = 1.0
FREEZE_TIMEOUT = 300.0
HEALTH_TIMEOUT = 120.0


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types.

    ``freeze`` maps service names to modes; ``version`` is that of the collection. All limits are in seconds: the frozen
    time that is worth a remark, the one after which everything is thawed and the backup fails, and how long to wait
    for services to be healthy again. Without a ``signing_key`` that of the host signs, where it has one. ``anomaly`` is
    what is out of the ordinary, see _anomaly.
    """

    stack: StackRequest
    root: str
    compression: str
    level: int | None
    freeze: dict[str, str]
    require_session: bool
    version: str
    freeze_budget: float = FREEZE_BUDGET
    freeze_timeout: float = FREEZE_TIMEOUT
    health_timeout: float = HEALTH_TIMEOUT
    encryption: Encryption = NO_ENCRYPTION
    signing_key: str | None = None
    anomaly: Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What the backup will consist of; ``described`` becomes the manifest's ``source``.

    ``streamed`` are the volumes that the engine has to read, each with a container and a path in it. ``moving`` are the
    volumes and directories that something goes on writing to while all of ``freeze`` is frozen; ``late`` are those of a
    Redis that writes down what it held at the cut while it goes on. ``since`` is when the backup before was cut, in
    nanoseconds since 1970, None without one.
    """

    request: Request
    stack: Stack
    described: dict[str, t.Any]
    databases: tuple[tuple[StackDatabase, Location], ...]
    caches: tuple[tuple[StackRedis, RedisFacts], ...]
    freeze: tuple[Target, ...]
    streamed: Mapping[str, tuple[str, str]]
    moving: frozenset[str]
    late: frozenset[str]
    bundle: Bundle
    warnings: tuple[str, ...]
    id: str
    path: str
    signer: Signer | None = None
    limits: Limits = NORMAL
    since: int | None = None


@dataclass(frozen=True)
class Taken:
    """A published backup; ``remarks`` are about what was before it."""

    backup: Backup
    manifest: Manifest
    remarks: tuple[str, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()


def plan(request: Request, engine: Engine, profiles: Mapping[str, Profile]) -> Plan:
    """Find out what a backup has to hold, and try everything that can fail before a service is touched."""
    stack = with_unnamed(engine, find_one(engine, profiles, request.stack), request.stack.exclude)
    check_profiles(stack)
    check_coverage(stack, request.require_session)
    directories = data_directories(engine, stack)
    check_root(request.root, stack, directories)
    check_tools(request.compression, request.level, request.encryption)
    signer = usable_key(request.signing_key)
    normal = limits(request.anomaly, stack.name)
    described = describe(engine, stack)
    databases = tuple((database, locate(engine, database)) for database in stack.databases)
    for entry, (database, location) in zip(described["databases"], databases, strict=True):
        entry.update(database_facts(location, database), **for_restore(stack, database, location))
        # Fails where the program is missing or too old.
        location.client(f"dump {database.name}", ["pg_dump"], version=entry["server_version_num"] // 10000)
    caches = tuple((cache, redis_facts(engine, cache)) for cache in _caches(stack))
    for entry, cache in zip(described["redis"], stack.redis, strict=True):
        entry.update(next((asdict(facts) for known, facts in caches if known is cache), {}))
    frozen = targets(stack, request.freeze)
    late = late_volumes(engine, stack, caches, frozen, request.freeze_budget)
    # It has to go on, and so does whatever else could write to its volume.
    frozen = [target for target in frozen if target.container not in late.values()]
    writers = unfrozen_writers(engine, stack, frozen)
    by_engine = streamed(engine, stack)
    bundle = collect(stack, [request.root, *directories])
    store = Store(request.root)
    id_ = new_id(now(), {backup.id for backup in store.backups(stack.name)})
    return Plan(
        request=request,
        stack=stack,
        described=described,
        databases=databases,
        caches=caches,
        freeze=tuple(frozen),
        streamed=by_engine,
        moving=frozenset(data.source for data, _container in writers),
        late=frozenset(late),
        bundle=bundle,
        warnings=(
            *stack.warnings,
            *bundle.warnings,
            *uncovered(stack),
            *unencrypted(request.encryption),
            *_unknown_services(stack, request.freeze),
            *check_freeze(stack, request.freeze),
            *_strangers(stack, writers),
            *_misplaced(stack, caches),
            *(f"volume {name}: {STREAMED}." for name in by_engine),
        ),
        id=id_,
        path=os.path.join(store.stack_directory(stack.name), id_),
        signer=signer,
        limits=normal,
        since=_last_cut(store, stack.name),
    )


def _last_cut(store: Store, stack: str) -> int | None:
    """Return when the backup before was cut; None where the clock was set since, and times of files say nothing."""
    backups = store.backups(stack)
    for place in reversed(range(len(backups))):
        try:
            cut_at = datetime.datetime.fromisoformat(backups[place].manifest().cut_at)
        except (StoreError, ValueError):
            continue
        set_back = place > 0 and by_id(backups[place].id) < by_id(backups[place - 1].id)
        return None if set_back or cut_at > now() else int(cut_at.timestamp() * 1_000_000_000)
    return None


def _unknown_services(stack: Stack, freeze: Mapping[str, str]) -> list[str]:
    # One setting may serve several stacks, so this is no error.
    unknown = freeze.keys() - {service.name for service in stack.services}
    return [f"freeze names {name}, and stack {stack.name} has no such service." for name in sorted(unknown)]


def _strangers(stack: Stack, writers: Sequence[tuple[Data, Container]]) -> list[str]:
    """Name what writes to the stack's data without being part of it; services that are not to be frozen are known."""
    own = {service.container.id for service in stack.services}
    return [
        f"{data.kind} {data.name} is also written to by container {container.name}, which is not part of stack "
        f"{stack.name} and is not frozen: what it writes during the cut may be torn."
        for data, container in writers
        if container.id not in own
    ]


def _misplaced(stack: Stack, caches: Sequence[tuple[StackRedis, RedisFacts]]) -> list[str]:
    """Name each Redis that keeps its files elsewhere than on the volume that is archived."""
    remarks = []
    for cache, facts in caches:
        mounts = cache.container.mounts if cache.container is not None else ()
        places = [mount.target.rstrip("/") for mount in mounts if mount.source == cache.volume]
        if facts.directory and not any(f"{facts.directory}/".startswith(f"{place}/") for place in places):
            remarks.append(
                f"Redis {cache.name} of stack {stack.name} keeps its files in {facts.directory}, which is not on "
                f"volume {cache.volume}, so they are not covered: mount a volume there, or set its dir to {places[0]}."
            )
    return remarks


def take(
    request: Request,
    engine: Engine,
    profiles: Mapping[str, Profile],
    connect: Callable[[], Engine],
    begun: Callable[[], None] = lambda: None,
) -> tuple[Plan, Taken]:
    """Plan and take one backup; ``connect`` returns another connection to the engine.

    ``begun`` is called once nobody else works on the stack. Whatever happens, what ran before runs afterwards, and
    nothing but a complete backup gets a backup's name.
    """
    # A stack that is not there has no lock.
    stack = find_one(engine, profiles, request.stack).name
    with locked_on_host(stack) as lock:
        begun()
        tell = functools.partial(tell_phase, lock)
        tell("look")
        recovered = recover(stack)
        # What runs now is only known while nobody else freezes it; nothing is created for what cannot be backed up.
        wanted = plan(request, engine, profiles)
        expect(lambda: _expected(wanted))
        with Store(request.root).locked(stack):
            taken = apply(wanted, engine, Watch(connect, lock), tell)
        return wanted, replace(taken, remarks=tuple(recovered))


def _tell_nobody(_phase: str) -> None:
    """Take the place of whoever wants to know."""


def _expected(wanted: Plan) -> dict[str, int | None]:
    """Return how many bytes each archive and dump of the backup before has."""
    newest = Store(wanted.request.root).newest_manifest(wanted.stack.name)
    before = {artifact.path: artifact.size for artifact in newest.artifacts} if newest else {}
    return {name: before.get(name) for name in names(wanted)}


def apply(wanted: Plan, engine: Engine, watch: Watch, tell: Callable[[str], None] = _tell_nobody) -> Taken:
    """Carry out a plan that was made under the stack's lock; ``tell`` is called with each phase that begins."""
    store = Store(wanted.request.root)
    with store.partial(wanted.stack.name) as partial:
        started = _timestamp()
        try:
            captured = capture(wanted, engine, watch, partial, tell)
            unwell = wait_healthy(engine, captured.stillness.healthy, wanted.request.health_timeout)
            tell("publish")
            manifest = _manifest(wanted, engine, partial, started, captured, unwell)
            manifest, found = weigh(manifest, AuditLog(wanted.request.root), wanted.limits)
            return Taken(*publish(partial, manifest, wanted.signer), anomalies=found)
        except OSError as exc:
            # What the engine, the databases and the project directory refuse are errors of their own: this is the
            # disk of the root.
            raise unwritable(partial.path, exc) from exc


def names(wanted: Plan) -> list[str]:
    """Return the archives and dumps that the backup will hold."""
    request = wanted.request
    archives = [archive_name(data, request.compression, request.encryption) for data in wanted.stack.archived()]
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
        "frozen": taken.manifest.freeze["services"],
        "artifacts": [artifact.path for artifact in artifacts if artifact.kind in ("archive", "dump")],
        "anomalies": [asdict(anomaly) for anomaly in taken.anomalies],
        "remarks": [*(one for one in taken.manifest.warnings if not one.startswith(MARK)), *taken.remarks],
    }


def for_restore(stack: Stack, database: StackDatabase, location: Location) -> dict[str, t.Any]:
    """Return what a manifest says of a database for the sake of its restore."""
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


def _manifest(
    wanted: Plan, engine: Engine, partial: Partial, started: str, captured: Capture, remarks: Sequence[str]
) -> Manifest:
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
        freeze={
            "seconds": captured.stillness.seconds,
            "services": [asdict(entry) for entry in captured.stillness.services],
            "phases": captured.stillness.phases,
        },
        artifacts=captured.artifacts,
        session=tuple(wanted.described["session"]),
        encryption=wanted.request.encryption.described(),
        tools={
            "engine": engine.info().version,
            "compression": tool(wanted.request.compression),
            "encryption": encryption_tool(wanted.request.encryption.method),
        },
        warnings=(*wanted.warnings, *captured.warnings, *remarks),
    )


def _timestamp() -> str:
    return now().isoformat(timespec="milliseconds")
