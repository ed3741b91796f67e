# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Freeze the services that write, and bring back exactly what ran.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import time
import typing as t
from dataclasses import dataclass

from ._errors import ContinuityError, EngineError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._engine import Engine
    from ._stack import Service, Stack

MODES = ("pause", "stop", "none")
STOP_TIMEOUT = 30
# One per second: as long as a Docker daemon may take to come back.
RESCUE_ATTEMPTS = 300
# More descriptors than this process has open.
MANY = 65536
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)


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
    data. ``overrides`` maps service names to a mode. A container that is paused or stopped already stays so.
    """
    caches = {cache.container.id for cache in stack.redis if cache.container is not None}
    archived = {data.source for data in stack.archived()}
    chosen = []
    for service in dependents_first(stack.services):
        container = service.container
        writes = any(mount.source in archived and not mount.read_only for mount in container.mounts)
        mode = service.rule.freeze if service.rule is not None else ("pause" if writes else "none")
        mode = overrides.get(service.name, mode)
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


class Freezer:
    """Freezes targets in order and thaws them in the opposite one; both can be called once."""

    def __init__(self, engine: Engine, wanted: Sequence[Target], clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._wanted = tuple(wanted)
        self._clock = clock
        self._since: list[tuple[Target, float]] = []

    def freeze(self, before: Callable[[Target], None]) -> None:
        """Freeze all targets, calling ``before`` for each; when one refuses, thaw those that are frozen and raise."""
        try:
            for target in self._wanted:
                before(target)
                # Noted before the call: an interrupt in the middle of it must not lose the container.
                self._since.append((target, self._clock()))
                if target.mode == "stop":
                    self._engine.stop(target.container, STOP_TIMEOUT)
                else:
                    self._engine.pause(target.container)
        except BaseException:
            self.thaw()
            raise

    def thaw(self) -> list[Frozen]:
        """Bring all frozen targets back and return how long each stood still; raise after having tried them all."""
        done, errors = [], []
        while self._since:
            target, since = self._since[-1]
            try:
                revive(self._engine, target)
            except EngineError as exc:
                errors.append(f"{target.service}: {exc}")
            # Not before: an interrupt in the middle must not lose the container.
            self._since.pop()
            done.append(Frozen(target.service, target.mode, round(self._clock() - since, 3)))
        if errors:
            raise EngineError(
                "Services could not be brought back: " + "; ".join(errors) + ". Start them with docker compose up -d."
            )
        return done


def revive(engine: Engine, target: Target) -> None:
    """Bring one frozen container back, if it is still frozen."""
    container = engine.container(target.container)
    if container is None:
        return
    if container.state == "paused":
        engine.unpause(target.container)
    elif not container.running:
        engine.start(target.container)


class Guardian:
    """A process of its own that thaws when this one dies, even by SIGKILL.

    It waits on a pipe that only this process holds open, and is a context manager around freeze and thaw. ``connect``
    gives it an engine of its own; ``keep`` is a descriptor that it keeps open for as long as it works, such as a lock.
    """

    def __init__(self, connect: Callable[[], Engine], wanted: Sequence[Target], keep: int | None = None) -> None:
        self._connect = connect
        self._wanted = tuple(wanted)
        self._keep = keep
        self._pipe = -1
        self._child = 0

    def __enter__(self) -> Guardian:
        reading, self._pipe = os.pipe()
        ready, telling = os.pipe()
        # Blocked over the fork, so that a signal to the whole group does not reach the child before it ignores it.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        self._child = os.fork()
        if self._child == 0:
            self._watch(reading, telling)
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)
        os.close(reading)
        os.close(telling)
        # Until it has a session of its own, what kills this process's group kills it too.
        os.read(ready, 1)
        os.close(ready)
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            # Without it there is nothing to dismiss: it was killed, and everything runs.
            with contextlib.suppress(BrokenPipeError):
                os.write(self._pipe, b"thawed")
        # After an error it is not told that all is well, and looks for itself.
        os.close(self._pipe)
        # An engine that refuses may do so for minutes: then the guardian goes on trying alone.
        if not isinstance(error, EngineError):
            os.waitpid(self._child, 0)

    def _watch(self, reading: int, telling: int) -> t.NoReturn:
        try:
            os.setsid()
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            os.write(telling, b"!")
            # The caller of the module waits for the end of its output.
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            _close_all_but({0, 1, 2, reading, *([] if self._keep is None else [self._keep])})
            if not os.read(reading, 1):
                self._rescue()
        finally:
            os._exit(0)

    def _rescue(self) -> None:
        waiting = list(reversed(self._wanted))
        for _attempt in range(RESCUE_ATTEMPTS):
            waiting = self._revive(waiting)
            if not waiting:
                return
            time.sleep(1)

    def _revive(self, waiting: list[Target]) -> list[Target]:
        """Try to bring all back, and return those that the engine refused."""
        refused = []
        try:
            engine = self._connect()
            for target in waiting:
                try:
                    revive(engine, target)
                except ContinuityError:
                    refused.append(target)
        except ContinuityError:
            return waiting
        return refused


def _close_all_but(kept: set[int]) -> None:
    # The limit may be far above what is open, or none (-1).
    limit = os.sysconf("SC_OPEN_MAX")
    edges = [-1, *sorted(kept), limit if 0 < limit < MANY else MANY]
    for below, above in itertools.pairwise(edges):
        # Python hands an empty range that starts at 0 to the kernel as one without an end: it would close everything.
        if below + 1 < above:
            os.closerange(below + 1, above)
