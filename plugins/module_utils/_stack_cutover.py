# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a staged restore become live, go back to what was live before, or give that up for good.

    live        stop what uses the data, exchange everything, start it again
    reverted    the same in the other direction
    committed   remove what waits
    expired     the same for every restore of the stack whose time is over

``plan`` only looks and ``take`` only acts. From the first stop to the last start a watchdog stands by: whatever dies,
what ran runs again, with all data of before or all of after. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime
import time
import typing as t
from dataclasses import dataclass, field

from ._backup_store import locked_on_host, now, tell_phase
from ._cutover import back, dependents_first, forward, hold, mend, refuse_paused, release, stop, strangers, users
from ._errors import StackError
from ._freeze import Target, examine, wait_healthy
from ._restore_record import DEFAULT_RECORDS, Record, records, remove, stacks, write
from ._revive import required, revive_all
from ._stack import COMPOSE
from ._stack import Request as StackRequest
from ._stack_find import find_one
from ._stack_thaw import recover
from ._stage_servers import Access, Servers
from ._watchdog import Watch, Watchdog

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ._engine import Container, Engine
    from ._journal import Entry
    from ._profile import Profile

LIVE, REVERTED, COMMITTED, EXPIRED = "live", "reverted", "committed", "expired"
STATES = (LIVE, REVERTED, COMMITTED, EXPIRED)
# What a restore has to be in to become that.
FROM = {LIVE: ("staged", "reverted"), REVERTED: ("live",), COMMITTED: ("staged", "live", "reverted", "committing")}
TIMEOUT = 900.0
HEALTH_TIMEOUT = 120.0
KEEP_HOURS = 72.0


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types.

    Without ``id`` the newest restore that was ever live is meant, to go live the newest of all, and to give up all of
    them. ``keep_hours`` is how long what was live
    before is kept; ``timeout`` and ``health_timeout`` are seconds.
    """

    stack: str
    state: str
    id: str | None = None
    keep_hours: float = KEEP_HOURS
    timeout: float = TIMEOUT
    health_timeout: float = HEALTH_TIMEOUT
    access: Access = field(default_factory=Access)
    directory: str = field(default_factory=lambda: DEFAULT_RECORDS)


@dataclass(frozen=True)
class Plan:
    """What will happen: to which restores, and which containers are stopped for it."""

    request: Request
    records: tuple[Record, ...]
    stopped: tuple[Container, ...] = ()
    others: tuple[Container, ...] = ()


@dataclass(frozen=True)
class Done:
    """What has happened. ``seconds`` are those of stop, exchange and start: how long the services were away."""

    records: tuple[Record, ...]
    seconds: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    @property
    def downtime(self) -> float:
        """Seconds from the first stop to the last start."""
        return round(sum(self.seconds.values()), 3)


def described(kept: Sequence[Record]) -> list[dict[str, t.Any]]:
    """Return what a result and the audit log say of restores."""
    return [{"id": record.id, "backup": record.backup, "kept_until": record.kept_until} for record in kept]


def only_stack(directory: str | None = None) -> str | None:
    """Return the stack of this host that has restores, None when there is none; raise StackError for several."""
    found = [stack for stack in stacks(directory or DEFAULT_RECORDS) if records(directory or DEFAULT_RECORDS, stack)]
    if len(found) <= 1:
        return found[0] if found else None
    raise StackError(f"Several stacks of this host have restores: {', '.join(found)}. Name one: stack.")


def take(
    request: Request, engine: Engine, profiles: Mapping[str, Profile], connect: Callable[[], Engine]
) -> tuple[Plan, Done]:
    """Plan and act under the lock of the stack; ``connect`` returns another connection to the engine."""
    with locked_on_host(request.stack) as lock:
        remarks = (
            *mend(request.stack, lambda _host, _timeout: engine, request.access, request.directory),
            *recover(request.stack),
        )
        wanted = plan(request, engine, profiles)
        if request.state in (COMMITTED, EXPIRED):
            kept = tuple(commit(record, engine, request) for record in wanted.records)
            return wanted, Done(kept, remarks=remarks)
        if not wanted.records:
            return wanted, Done((), remarks=remarks)
        done, seconds, more = _exchange(wanted, engine, connect, lock)
        return wanted, Done((done,), seconds, (*remarks, *more))


def plan(request: Request, engine: Engine, profiles: Mapping[str, Profile]) -> Plan:
    """Find the restores that are meant, and refuse what could not succeed. Changes nothing."""
    known = records(request.directory, request.stack)
    if request.state == EXPIRED:
        return Plan(request, tuple(record for record in known if _expired(record)))
    if request.state == COMMITTED and request.id is None:
        return Plan(request, tuple(record for record in known if record.phase in FROM[COMMITTED]))
    record = _chosen(request, known)
    if record is None or request.state == COMMITTED:
        return Plan(request, () if record is None else (record,))
    running = [c for c in engine.containers() if c.running and c.labels.get(COMPOSE + "project") == request.stack]
    using = users(engine, record)
    strangers(using, request.stack)
    with Servers(engine, request.stack, record.databases, request.access) as servers:
        servers.connect()
        (servers.check_forward if request.state == LIVE else servers.check_back)()
        serving = {container.id for container in servers.containers()}
    if request.state == REVERTED:
        for volume in record.volumes:
            volume.exchange.check_back()
    writing = _writing(engine, profiles, request.stack)
    mounting = {container.id for container in using}
    affected = [c for c in running if c.id in mounting or (c.id in writing and c.id not in serving)]
    refuse_paused(affected)
    stopped = dependents_first(affected)
    ids = {container.id for container in stopped}
    return Plan(request, (record,), tuple(stopped), tuple(c for c in running if c.id not in ids))


def commit(record: Record, engine: Engine, request: Request) -> Record:
    """Remove what waits, for good; what is live stays as it is."""
    record = write(request.directory, record.at("committing"))
    with Servers(engine, record.stack, record.databases, request.access) as servers:
        servers.discard()
    for volume in record.volumes:
        volume.exchange.discard()
    remove(request.directory, record)
    return record


def _chosen(request: Request, known: Sequence[Record]) -> Record | None:
    """Return the restore that is meant, None when it is in that state already; raise StackError when there is none."""
    fitting = [record for record in known if record.phase in FROM[request.state]]
    if request.id is not None:
        found = next((record for record in known if record.id == request.id), None)
        if found is None and request.state == COMMITTED:
            return None
        if found is None:
            raise StackError(
                f"There is no restore {request.id} of stack {request.stack} on this host. "
                f"{_list(known) or 'There is none at all: what was kept has been given up, or nothing was restored.'}",
                stack=request.stack,
            )
        if found.phase == request.state:
            return None
        if found not in fitting:
            raise StackError(
                f"Restore {found.id} of stack {request.stack} is {found.phase}, so it cannot become {request.state}.",
                stack=request.stack,
            )
        return found
    # The newest decides: a second run must not go back one more step.
    newest = [record for record in known if record in fitting or record.phase == request.state][-1:]
    if newest and newest[0].phase == request.state:
        return None
    if not fitting:
        raise StackError(
            f"Stack {request.stack} has no restore that could become {request.state}. "
            f"{_list(known) or 'Nothing was restored here, or what was kept has been given up.'}",
            stack=request.stack,
        )
    return fitting[-1]


def _list(known: Sequence[Record]) -> str:
    return "There are: " + ", ".join(f"{record.id} ({record.phase})" for record in known) + "." if known else ""


def _writing(engine: Engine, profiles: Mapping[str, Profile], stack: str) -> set[str]:
    """Return the containers of services that a profile wants to stand still while data are captured."""
    try:
        found = find_one(engine, profiles, StackRequest(stack))
    except StackError:
        # Nothing of it is here yet.
        return set()
    return {s.container.id for s in found.services if s.rule is not None and s.rule.freeze != "none"}


def _expired(record: Record) -> bool:
    if record.phase == "committing":
        return True
    over = record.kept_until is not None and now() > datetime.datetime.fromisoformat(record.kept_until)
    return over and record.phase in FROM[COMMITTED]


def _exchange(
    wanted: Plan, engine: Engine, connect: Callable[[], Engine], lock: int | None
) -> tuple[Record, dict[str, float], list[str]]:
    request, record = wanted.request, wanted.records[0]
    to_live = request.state == LIVE
    clock = _Clock(lock)
    healthy = [_target(container, "stop") for container in wanted.stopped if container.health == "healthy"]
    with _guarded(wanted, engine, connect, lock) as entries:
        try:
            record = hold(engine, record, wanted.stopped, request.directory)
            clock.begin("stop")
            stop(engine, wanted.stopped)
            clock.begin("exchange")
            record = write(request.directory, record.at("cutting" if to_live else "reverting"))
            with Servers(engine, request.stack, record.databases, request.access) as servers:
                (forward if to_live else back)(record, engine, servers)
            until = (now() + datetime.timedelta(hours=request.keep_hours)).isoformat(timespec="seconds")
            record = write(request.directory, record.at(request.state, kept_until=until))
            clock.begin("start")
            required(revive_all(entries, connect))
            clock.end()
        except BaseException:
            if to_live:
                _undo(wanted, record, engine)
            # Half reverted is not undone: the watchdog, or the next run, completes it.
            raise
        record = release(engine, record, request.directory)
    return record, clock.seconds, wait_healthy(engine, healthy, request.health_timeout)


def _undo(wanted: Plan, record: Record, engine: Engine) -> None:
    """Bring the former state back after a failure; services are started by the watchdog, which sees the failure."""
    request = wanted.request
    if record.phase not in ("cutting", "live"):
        return
    record = write(request.directory, record.at("cutting"))
    again = [engine.container(container.id) for container in wanted.stopped]
    stop(engine, [container for container in again if container is not None])
    with Servers(engine, request.stack, record.databases, request.access) as servers:
        back(record, engine, servers)
    write(request.directory, record.at("staged"))


@contextlib.contextmanager
def _guarded(
    wanted: Plan, engine: Engine, connect: Callable[[], Engine], lock: int | None
) -> Iterator[Sequence[Entry]]:
    """Keep a watchdog at hand, even where nothing runs: somebody may start services on data that are half exchanged.

    Yields what has to run again, in the order of stopping.
    """
    targets = [_target(container, "stop") for container in wanted.stopped]
    others = [_target(container, "none") for container in wanted.others]
    request = wanted.request
    watch = Watch(
        connect,
        lock,
        mend=lambda: mend(request.stack, lambda _host, _timeout: connect(), request.access, request.directory),
    )
    entries = [
        examine(container, target)
        for container, target in zip((*wanted.stopped, *wanted.others), (*targets, *others), strict=True)
    ]
    with Watchdog(watch, request.stack, targets, others, timeout=request.timeout):
        yield entries


def _target(container: Container, mode: str) -> Target:
    return Target(container.labels.get(COMPOSE + "service", container.name), container.id, mode)


class _Clock:
    """Measures what follows one another, and says in the lock of the stack what that is."""

    def __init__(self, lock: int | None) -> None:
        self._lock = lock
        self.seconds: dict[str, float] = {}
        self._name: str | None = None
        self._since = 0.0

    def begin(self, name: str) -> None:
        self.end()
        tell_phase(self._lock, name)
        self._name, self._since = name, time.monotonic()

    def end(self) -> None:
        if self._name is not None:
            self.seconds[self._name] = round(time.monotonic() - self._since, 3)
        self._name = None
