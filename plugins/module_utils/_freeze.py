# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freeze the services that write, and bring back exactly what ran.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ._cgroup import locate, opened
from ._errors import EngineError, FreezeError
from ._journal import Entry
from ._revive import COMPOSE, HEALTH_PAUSE, REFUSALS, Outcome, Reviver, required, thaw
from ._stack import depends_on

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._engine import Container, Engine
    from ._stack import Service, Stack

MODES = ("pause", "stop", "none")
STOP_TIMEOUT = 30


@dataclass(frozen=True)
class Target:
    """A container to freeze, and how: pause or stop."""

    service: str
    container: str
    mode: str


@dataclass(frozen=True)
class Frozen:
    """How long a service stood still, in seconds."""

    service: str
    mode: str
    seconds: float


def targets(stack: Stack, overrides: dict[str, str]) -> list[Target]:
    """Return what has to stand still for the stack's archives to be of one instant, dependents first, Redis last.

    That is every running service that the profile freezes, and every other running one that can write to archived
    data; a database server whose files are archived is stopped, one whose databases are dumped goes on. ``overrides``
    maps service names to a mode. A container that is paused or stopped already stays so.
    """
    caches = {cache.container.id for cache in stack.redis if cache.container is not None}
    dumped = {database.container.id for database in stack.databases if database.container is not None}
    archived = {data.source for data in stack.archived()}
    copied = {name for data in stack.archived() for name in data.servers}
    chosen = []
    for service in dependents_first(stack.services):
        container = service.container
        if container.id in dumped:
            # Whatever else it writes to: a dump needs a server that answers.
            continue
        writes = any(mount.source in archived and not mount.read_only for mount in container.mounts)
        unknown = "stop" if service.name in copied else ("pause" if writes else "none")
        mode = overrides.get(service.name, service.rule.freeze if service.rule is not None else unknown)
        if mode != "none" and container.state in ("running", "restarting"):
            # The engine does not pause a container that it is about to start again.
            chosen.append(Target(service.name, container.id, "stop" if container.state == "restarting" else mode))
    return sorted(chosen, key=lambda target: target.container in caches)


def guarded(stack: Stack, frozen: Sequence[Target]) -> list[Target]:
    """Return everything of the stack that runs, ``frozen`` first: what has to run again whatever happens.

    An engine that dies takes containers along that were never frozen, and does not start them again by itself.
    """
    known = {target.container for target in frozen}
    others = [
        Target(service.name, service.container.id, "none")
        for service in dependents_first(stack.services)
        if service.container.state in ("running", "restarting") and service.container.id not in known
    ]
    return [*frozen, *others]


def dependents_first(services: Sequence[Service]) -> list[Service]:
    """Sort services so that each comes before those it depends on."""
    by_name: dict[str, list[Service]] = {}
    for service in services:
        by_name.setdefault(service.name, []).append(service)
    depth: dict[str, int] = {}

    def measure(name: str, above: frozenset[str]) -> int:
        if name not in depth:
            below = [
                measure(other, above | {name})
                for service in by_name[name]
                for other in service.depends_on
                if other in by_name and other not in above
            ]
            depth[name] = max(below, default=-1) + 1
        return depth[name]

    return sorted(services, key=lambda service: (-measure(service.name, frozenset({service.name})), service.name))


@dataclass(frozen=True)
class _Standing:
    """A target that stands still: since when, and what the engine said of it then."""

    entry: Entry
    since: float
    started_at: str = ""


class Freezer:
    """Freezes targets in order and thaws them in the opposite one; both can be called once.

    ``healthy`` are the targets that were healthy when they were frozen.
    """

    def __init__(
        self,
        engine: Engine,
        wanted: Sequence[Target],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._wanted = tuple(wanted)
        self._clock = clock
        self._sleep = sleep
        self._standing: list[_Standing] = []
        self.healthy: tuple[Target, ...] = ()

    def freeze(self, before: Callable[[Target], None]) -> None:
        """Freeze all targets, calling ``before`` for each; when one refuses, thaw those that are frozen and raise."""
        present = [(target, _present(self._engine, target)) for target in self._wanted]
        self.healthy = tuple(target for target, container in present if container.health == "healthy")
        found = [(target, examine(container, target), container.started_at) for target, container in present]
        try:
            for target, entry, started_at in found:
                before(target)
                # Noted before the call: an interrupt in the middle of it must not lose the container.
                self._standing.append(_Standing(entry, self._clock(), started_at))
                self._hold(entry)
        except BaseException:
            self._bring_back()
            raise

    def thaw(self) -> list[Frozen]:
        """Bring all frozen targets back and return how long each stood still.

        Raises after having tried them all: EngineError when one does not run, FreezeError when one did not stand still
        until now, so that the cut is torn.
        """
        torn = [standing.entry.service for standing in self._standing if not self._stands(standing)]
        done = self._bring_back()
        if torn:
            raise FreezeError(
                f"Services did not stand still until the end: {', '.join(torn)}. Somebody has thawed, restarted or "
                "removed them meanwhile, so what was captured is not of one instant. Run this again, and leave them "
                "alone while it works."
            )
        return done

    def _hold(self, entry: Entry) -> None:
        cgroup = opened(entry.cgroup)
        if entry.mode == "stop":
            self._engine.stop(entry.id, STOP_TIMEOUT)
        elif cgroup is None:
            self._engine.pause(entry.id)
        else:
            try:
                cgroup.freeze()
            except FreezeError as exc:
                raise FreezeError(
                    f"Service {entry.service} ({entry.name}) cannot be frozen: {exc}. Mend that, or freeze it in "
                    f"another way (crm_freeze: {{{entry.service}: stop}})."
                ) from exc

    def _stands(self, standing: _Standing) -> bool:
        entry = standing.entry
        if entry.method == "cgroup":
            cgroup = opened(entry.cgroup)
            return cgroup is not None and cgroup.held()
        try:
            container = self._engine.container(entry.id)
        except EngineError:
            # It will say so again when it is asked to bring the container back.
            return True
        if container is None:
            return False
        if entry.mode == "pause":
            return container.state == "paused"
        # One that was started and has ended again has changed its data all the same.
        return not container.running and container.started_at == standing.started_at

    def _bring_back(self) -> list[Frozen]:
        done, woken, refused = [], [], []
        reviver = Reviver(self._engine, self._clock, self._sleep)
        while self._standing:
            standing = self._standing[-1]
            entry = standing.entry
            try:
                reviver.wait_for(entry)
                if thaw(entry):
                    woken.append(entry)
                else:
                    reviver.restart(entry)
            except REFUSALS as exc:
                refused.append((entry, str(exc)))
            # Not before: an interrupt in the middle must not lose the container.
            self._standing.pop()
            done.append(Frozen(entry.service, entry.mode, round(self._clock() - standing.since, 3)))
        # A container that was killed while it stood still ends only now. Looked for when nobody waits for it any more.
        for entry in woken:
            try:
                reviver.restart(entry)
            except REFUSALS as exc:
                refused.append((entry, str(exc)))
        required(Outcome(refused=tuple(refused)))
        return done


def examine(container: Container, target: Target) -> Entry:
    """Return what has to be known of a container to bring it back, and how it can be frozen."""
    cgroup = locate(container.pid, container.id) if target.mode == "pause" else None
    method = None if target.mode == "none" else "engine" if cgroup is None else "cgroup"
    return Entry(
        service=target.service,
        id=container.id,
        name=container.name,
        mode=target.mode,
        method=method,
        cgroup=None if cgroup is None else cgroup.path,
        project=container.labels.get(COMPOSE + "project"),
        number=container.labels.get(COMPOSE + "container-number"),
        depends_on=depends_on(container),
    )


def wait_healthy(
    engine: Engine,
    healthy: Sequence[Target],
    limit: float,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[str]:
    """Wait up to ``limit`` seconds until targets that were healthy are so again; return a remark on each that is not.

    Does not wait when there is nothing to wait for.
    """
    begun = clock()
    while True:
        remarks = []
        for target in healthy:
            container = engine.container(target.container)
            health = "gone" if container is None else container.health if container.running else container.state
            if health != "healthy":
                seconds = clock() - begun
                remarks.append(
                    f"Service {target.service} was healthy before it stood still and is {health} {seconds:.0f} s after."
                )
        if not remarks or clock() - begun >= limit:
            return remarks
        sleep(min(HEALTH_PAUSE, limit))


def _present(engine: Engine, target: Target) -> Container:
    container = engine.container(target.container)
    if container is None:
        raise EngineError(
            f"The container of service {target.service} is gone: it was removed or created anew since the backup "
            "began. Run this again when nobody works on the stack."
        )
    return container
