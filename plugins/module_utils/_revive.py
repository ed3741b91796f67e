# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring containers back that a journal names, whatever has become of them meanwhile.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import time
import typing as t
from dataclasses import dataclass

from ._cgroup import opened
from ._errors import EngineError, FreezeError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._engine import Container, Engine
    from ._journal import Entry

COMPOSE = "com.docker.compose."
# How long a container that was just started may take to be healthy before those that depend on it go on.
HEALTH_LIMIT = 20.0
HEALTH_PAUSE = 0.2
# What does not hold up the other containers. A signal does.
REFUSALS = (EngineError, FreezeError)


@dataclass(frozen=True)
class Revived:
    """A container that was brought back, or has to be: ``action`` is thaw, unpause or start."""

    service: str
    container: str
    action: str


@dataclass(frozen=True)
class Outcome:
    """What was brought back, what could not be (with the reason), and what is gone for good."""

    revived: tuple[Revived, ...] = ()
    refused: tuple[tuple[Entry, str], ...] = ()
    gone: tuple[Entry, ...] = ()


class Reviver:
    """Brings containers back one by one; one that depends on another waits until that is healthy."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._sleep = sleep
        # What was started by the name of the service: its ID, and until when others wait for it.
        self._started: dict[str, list[tuple[str, float]]] = {}

    def wait_for(self, entry: Entry) -> None:
        """Wait until those that were started, and that a container depends on, are healthy, or will not be."""
        for service in entry.depends_on:
            for id_, deadline in self._started.pop(service, []):
                while self._clock() < deadline:
                    container = self._engine.container(id_)
                    # Without a health check it has none; one that is unhealthy or has ended is not worth waiting for.
                    if container is None or not container.running or container.health != "starting":
                        break
                    self._sleep(HEALTH_PAUSE)

    def restart(self, entry: Entry) -> Revived | None:
        """Let the engine do what a container needs to run; return that, or None when it runs or is gone."""
        container = find(self._engine, entry)
        action = due(container, entry)
        if container is None or action is None:
            return None
        if action == "unpause":
            self._engine.unpause(container.id)
        else:
            self._engine.start(container.id)
            self._started.setdefault(entry.service, []).append((container.id, self._clock() + HEALTH_LIMIT))
        return Revived(entry.service, container.name, action)


def thaw(entry: Entry) -> bool:
    """Let a container go on that was frozen by its cgroup, which needs no engine; tells whether it had to be."""
    cgroup = opened(entry.cgroup)
    return cgroup is not None and cgroup.thaw()


def due(container: Container | None, entry: Entry) -> str | None:
    """Return what the engine has to do so that a container runs, or None."""
    if container is None:
        return None
    # One that was not ours to freeze was paused by somebody else.
    if container.state == "paused":
        return "unpause" if entry.mode == "pause" else None
    return None if container.running else "start"


def find(engine: Engine, entry: Entry) -> Container | None:
    """Return the container of an entry, or the one that compose has put in its place."""
    container = engine.container(entry.id)
    if container is not None or entry.project is None:
        return container
    wanted = {"project": entry.project, "service": entry.service, "container-number": entry.number}
    for candidate in engine.containers():
        if {name: candidate.labels.get(COMPOSE + name) for name in wanted} == wanted:
            return candidate
    return None


def revive_all(
    entries: Sequence[Entry],
    connect: Callable[[], Engine],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Outcome:
    """Bring back everything that can be; what the engine refuses does not hold up the rest.

    Containers frozen by their cgroup go on first, without an engine: it may be the engine that has died.
    """
    revived, refused, gone = [], [], []
    for entry in reversed(entries):
        try:
            if thaw(entry):
                revived.append(Revived(entry.service, entry.name, "thaw"))
        except REFUSALS as exc:
            refused.append((entry, str(exc)))
    try:
        engine = connect()
    except REFUSALS as exc:
        return Outcome(tuple(revived), tuple((entry, str(exc)) for entry in entries))
    reviver = Reviver(engine, clock, sleep)
    for entry in reversed(entries):
        try:
            reviver.wait_for(entry)
            done = reviver.restart(entry)
            if done is not None:
                revived.append(done)
            elif find(engine, entry) is None:
                gone.append(entry)
        except REFUSALS as exc:
            refused.append((entry, str(exc)))
    return Outcome(tuple(revived), tuple(refused), tuple(gone))


def required(outcome: Outcome) -> None:
    """Raise EngineError with all reasons when something could not be brought back."""
    if outcome.refused:
        # An engine that does not answer does so for all of them in the same words.
        reasons: dict[str, list[str]] = {}
        for entry, reason in outcome.refused:
            reasons.setdefault(reason, []).append(entry.service)
        raise EngineError(
            "Services could not be brought back: "
            + "; ".join(f"{', '.join(services)}: {reason}" for reason, services in reasons.items())
            + ". Start them with docker compose up -d."
        )
