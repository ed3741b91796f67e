# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check that the containers of a stack run, are healthy and stay up.

Only looks. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

from ._check import Check, Clock, has_finished, mask_of, subject, unix_time
from ._stack_find import find_one

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._check import Mask
    from ._engine import Container, Engine
    from ._profile import Profile
    from ._stack import Request as StackRequest
    from ._stack import Service, Stack

NAME = "container runs"
POLL = 1.0
# The engine restarts what ends. A container that it has to restart this often while we look does not get up.
LOOP = 3


@dataclass(frozen=True)
class Request:
    """Which stack, and how long to wait for it.

    ``services`` are those that have to run; without it that is every service that has a container. ``settle`` is for
    how many seconds a container must have been up to be believed.
    """

    stack: StackRequest
    services: tuple[str, ...] = ()
    timeout: float = 120
    settle: float = 5


@dataclass(frozen=True)
class Verdict:
    """What can be said of a container now, and whether waiting could change it."""

    check: Check
    final: bool = True


def look(request: Request, engine: Engine, profiles: Mapping[str, Profile], clock: Clock | None = None) -> list[Check]:
    """Check every container of a stack, waiting for those that are starting; raise StackError for an unknown one."""
    clock = clock or Clock()
    stack = find_one(engine, profiles, request.stack)
    watch = _Watch(request, engine, stack, clock)
    services = list(stack.services)
    while True:
        verdicts = [watch.judge(service) for service in services]
        if all(verdict.final for verdict in verdicts) or watch.over():
            break
        clock.sleep(POLL)
        services = [watch.refresh(service) for service in services]
    return [*(verdict.check for verdict in verdicts), *_missing(request, stack)]


def _missing(request: Request, stack: Stack) -> list[Check]:
    there = {service.name for service in stack.services}
    where = f" in {stack.project_dir}" if stack.project_dir else ""
    return [
        Check(NAME, name, False, "has no container", remedy=f"Run docker compose up -d {name}{where}.")
        for name in request.services
        if name not in there
    ]


class _Watch:
    """Judges containers over a span of time."""

    def __init__(self, request: Request, engine: Engine, stack: Stack, clock: Clock) -> None:
        self._request = request
        self._engine = engine
        self._stack = stack
        self._clock = clock
        self._mask: Mask = mask_of(stack)
        self._began = clock.monotonic()
        self._restarts = {service.container.id: service.container.restart_count for service in stack.services}

    def over(self) -> bool:
        """Tell whether the time to wait has passed."""
        return self._waited() >= self._request.timeout

    def refresh(self, service: Service) -> Service:
        """Look at the container again; one that was removed counts as such."""
        now = self._engine.container(service.container.id)
        return replace(service, container=now or replace(service.container, state="removed"))

    def judge(self, service: Service) -> Verdict:
        """Say what is right or wrong with a container."""
        container = service.container
        if not container.running:
            return Verdict(self._stopped(service))
        restarts = container.restart_count - self._restarts[container.id]
        if restarts >= LOOP or container.state == "restarting":
            detail = f"does not stay up: {self._ending(container)}, restarted {_times(container.restart_count)} so far"
            return Verdict(self._failed(service, detail, self._logs(container)), final=restarts >= LOOP)
        if container.state == "paused":
            remedy = f"Wait if a backup is running, or run docker unpause {container.name}."
            return Verdict(self._failed(service, "is paused", remedy), final=False)
        if container.health == "unhealthy":
            return Verdict(self._failed(service, self._illness(container), self._logs(container)), final=False)
        if container.health == "starting":
            detail = f"runs, but is not healthy {self._waited():.0f} seconds after we began to wait"
            return Verdict(self._failed(service, detail, self._logs(container)), final=False)
        return self._running(service, restarts)

    def _running(self, service: Service, restarts: int) -> Verdict:
        container = service.container
        settled = self._uptime(container, restarts) >= self._request.settle
        health = "healthy" if container.health == "healthy" else "no health check"
        detail = f"runs, {health}"
        if restarts:
            words = f"{detail}, but was restarted {_times(restarts)} while we looked"
            found = self._failed(service, words, self._logs(container))
            # Applications often give up once while their database starts. A longer stay is the proof.
            return Verdict(replace(found, severity="warning") if settled else found, final=settled)
        if container.restart_count:
            detail += f"; the engine has restarted it {_times(container.restart_count)} before"
        return Verdict(Check(NAME, subject(self._stack, service), True, detail), final=settled)

    def _stopped(self, service: Service) -> Check:
        container = service.container
        if container.state == "removed":
            return self._failed(service, "was removed while we looked", "Run the check again.")
        ending = self._ending(container)
        if has_finished(self._engine, self._stack, service):
            found = self._failed(
                service, f"{ending}; it seems to have done its work", "None is needed if it was to run once."
            )
            return replace(found, severity="warning")
        found = self._failed(
            service, ending, f"See docker logs --tail 50 {container.name}, then run docker start {container.name}."
        )
        if self._request.services and service.name not in self._request.services:
            return replace(found, detail=f"{ending}; it was not asked for", severity="warning")
        return found

    def _failed(self, service: Service, detail: str, remedy: str) -> Check:
        return Check(NAME, subject(self._stack, service), False, detail, remedy=remedy)

    def _ending(self, container: Container) -> str:
        """Say how a container ended."""
        if container.state == "created":
            words = "was never started"
        else:
            words = f"has ended with exit code {self._state(container).get('ExitCode')}"
        if self._state(container).get("OOMKilled"):
            words += ", killed because memory ran out"
        error = self._mask.excerpt(self._state(container).get("Error") or "")
        return f"{words} ({error})" if error else words

    def _illness(self, container: Container) -> str:
        """Say what the health check found."""
        log = (self._state(container).get("Health") or {}).get("Log") or [{}]
        output = self._mask.excerpt(log[-1].get("Output") or "")
        return f"runs, but its health check fails: {output or 'it printed nothing'}"

    def _state(self, container: Container) -> dict[str, t.Any]:
        return dict(self._engine.inspect(container.id)["State"])

    def _uptime(self, container: Container, restarts: int) -> float:
        try:
            uptime = self._clock.now() - unix_time(container.started_at)
        except ValueError:
            uptime = 0.0
        # The engine's clock may be another one: what we saw ourselves counts as well.
        return uptime if restarts else max(uptime, self._waited())

    def _waited(self) -> float:
        return self._clock.monotonic() - self._began

    @staticmethod
    def _logs(container: Container) -> str:
        return f"See docker logs --tail 50 {container.name}."


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
