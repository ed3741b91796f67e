# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the artifacts of a backup, all of one instant.

    live, catch-up   archive the volumes while the applications run, then what changed meanwhile
    journal          note on disk what is about to be frozen; a watchdog stands by
    freeze           writers stand still, dependents first, Redis last
    redis            what is only in the memory of Redis is put on its disk
    cut              a snapshot of every database
    delta            what has changed in the volumes since
    thaw             what ran, runs
    dump             dumps of the snapshots, roles
    configuration    compose and environment files, containers

So how long services stand still depends on what they changed in the last moments, not on how much there is. Standard
library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import time
import typing as t
from dataclasses import dataclass, field

from ._backup_store import now
from ._capture_caches import Caches
from ._capture_databases import Databases
from ._capture_volumes import Volumes
from ._compression import suffix
from ._config_bundle import write, write_containers
from ._freeze import Freezer, Frozen, guarded
from ._manifest import Artifact
from ._watchdog import Watchdog

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._backup_store import Partial
    from ._engine import Engine
    from ._freeze import Target
    from ._seal import Sealed
    from ._stack_backup import Plan
    from ._watchdog import Watch


@dataclass(frozen=True)
class Stillness:
    """How long services stood still: all in all, each of them, and by what was done, the phases from freeze to thaw.

    ``healthy`` are those that were healthy before.
    """

    seconds: float
    services: tuple[Frozen, ...]
    phases: dict[str, float] = field(default_factory=dict)
    healthy: tuple[Target, ...] = ()


@dataclass(frozen=True)
class Capture:
    """What was captured: ``cut_at`` is the instant that every artifact but the configuration belongs to."""

    cut_at: str
    stillness: Stillness
    artifacts: tuple[Artifact, ...]
    warnings: tuple[str, ...]


def capture(wanted: Plan, engine: Engine, watch: Watch, partial: Partial, tell: Callable[[str], None]) -> Capture:
    """Write all artifacts below ``partial``; the services run again when this returns or raises.

    ``tell`` is called with the name of each phase when it begins.
    """
    with Databases(wanted, partial) as databases, Caches(wanted, engine) as caches:
        with Volumes(wanted, engine, partial) as volumes:
            tell("live")
            volumes.start()
            tell("catch-up")
            volumes.catch_up()
            databases.connect()
            caches.connect()
            at, stillness = _cut(wanted, engine, watch, volumes, databases, caches, tell)
            caches.wait()
            volumes.cut_late()
            caches.check()
            archives, remarks = volumes.finish()
        tell("dump")
        dumps, more = databases.dump()
    roles = databases.roles()
    tell("configuration")
    configuration = _configuration(wanted, engine, partial)
    return Capture(
        cut_at=at,
        stillness=stillness,
        artifacts=(*archives, *dumps, *roles, *configuration),
        warnings=(*_over_budget(wanted, stillness), *remarks, *more),
    )


def _cut(
    wanted: Plan,
    engine: Engine,
    watch: Watch,
    volumes: Volumes,
    databases: Databases,
    caches: Caches,
    tell: Callable[[str], None],
) -> tuple[str, Stillness]:
    freezer = Freezer(engine, wanted.freeze)
    phases = _Phases(tell)

    def before(target: Target) -> None:
        # The applications stand still already: Redis is the last to be frozen.
        if caches.wants(target.container):
            phases.begin("redis")
            caches.save(target.container)
            phases.begin("freeze")

    tell("journal")
    with _watched(wanted, watch) as watchdog:
        try:
            phases.begin("freeze")
            freezer.freeze(before)
            phases.begin("redis")
            caches.save_rest()
            phases.begin("cut")
            databases.cut()
            at = now().isoformat(timespec="milliseconds")
            phases.begin("delta")
            volumes.cut()
            if watchdog is not None:
                watchdog.confirm()
        finally:
            phases.begin("thaw")
            frozen = freezer.thaw()
            phases.end()
    if not frozen:
        return at, Stillness(0.0, ())
    return at, Stillness(phases.total(), tuple(frozen), phases.seconds(), freezer.healthy)


@contextlib.contextmanager
def _watched(wanted: Plan, watch: Watch) -> Iterator[Watchdog | None]:
    if not wanted.freeze:
        yield None
        return
    everything = guarded(wanted.stack, wanted.freeze)
    timeout = wanted.request.freeze_timeout
    with Watchdog(watch, wanted.stack.name, wanted.freeze, everything, timeout=timeout) as watchdog:
        yield watchdog


class _Phases:
    """Measures what happens one after the other."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._current: str | None = None
        self._since = 0.0
        self._exact: dict[str, float] = {}

    def begin(self, name: str) -> None:
        """End the current phase and begin another one."""
        self._tell(name)
        self.end()
        self._current = name

    def end(self) -> None:
        moment = time.monotonic()
        if self._current is not None:
            self._exact[self._current] = self._exact.get(self._current, 0.0) + moment - self._since
        self._current, self._since = None, moment

    def seconds(self) -> dict[str, float]:
        return {name: round(exact, 3) for name, exact in self._exact.items()}

    def total(self) -> float:
        return round(sum(self._exact.values()), 3)


def _over_budget(wanted: Plan, stillness: Stillness) -> list[str]:
    """Compare the time that our own work took with the budget; how long a service takes to stop is its own affair."""
    budget = wanted.request.freeze_budget
    ours = {name: stillness.phases.get(name, 0.0) for name in ("redis", "cut", "delta")}
    if sum(ours.values()) <= budget:
        return []
    return [
        f"Services stood still for {stillness.seconds} s, and freeze_budget is {budget} s: to save Redis took "
        f"{ours['redis']} s, the snapshots of the databases {ours['cut']} s, and what had changed in the volumes "
        f"{ours['delta']} s."
    ]


def _configuration(wanted: Plan, engine: Engine, partial: Partial) -> list[Artifact]:
    compression, encryption = wanted.request.compression, wanted.request.encryption
    artifacts = []
    if wanted.bundle.files:
        name = f"config/project.tar{suffix(compression)}{encryption.suffix}"
        artifacts.append(_config(name, write(wanted.bundle, partial.file(name), compression, encryption), compression))
    name = f"config/containers.json{encryption.suffix}"
    written = write_containers(engine, wanted.stack, partial.file(name), encryption)
    artifacts.append(_config(name, written, "none"))
    return artifacts


def _config(name: str, written: Sealed, compression: str) -> Artifact:
    return Artifact(name, "config", written.size, written.sha256, written.plain_sha256, compression=compression)
