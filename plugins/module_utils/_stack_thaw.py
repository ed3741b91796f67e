# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring back what the journals name: what a backup left frozen or stopped that died together with its watchdog.

``plan`` only looks and ``apply`` only acts. Also run by the boot unit that ``prepare`` installs. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass, field, replace

from ._backup_store import locked_on_host
from ._cgroup import locate, opened
from ._cutover import mend, torn
from ._engine import connect
from ._errors import DatabaseError, EngineError, StackError, StoreError
from ._journal import DEFAULT_JOURNAL, Entry, close, path_of, read, set_aside, stacks
from ._restore_record import DEFAULT_RECORDS
from ._restore_record import stacks as restored_stacks
from ._revive import COMPOSE, REFUSALS, Revived, due, find, required, revive_all, thaw

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._engine import Engine
    from ._journal import Journal


@dataclass(frozen=True)
class Request:
    """Which stack, or all that have a journal.

    With ``force`` also what somebody still works on, and what stands still without a journal. ``docker_host`` is where
    the engine is that no journal names.
    """

    stack: str | None
    force: bool
    docker_host: str
    docker_timeout: int = 60
    journal: str = field(default_factory=lambda: DEFAULT_JOURNAL)
    records: str = field(default_factory=lambda: DEFAULT_RECORDS)


@dataclass(frozen=True)
class Plan:
    """What has to be done for one stack.

    ``damaged`` says that there is a journal that cannot be read, ``locked`` that nobody else works on the stack, and
    ``trouble`` why the engine cannot be asked.
    """

    stack: str
    journal: Journal | None
    entries: tuple[Entry, ...]
    due: tuple[Revived, ...]
    remarks: tuple[str, ...]
    damaged: bool = False
    locked: bool = True
    trouble: str = ""


@dataclass(frozen=True)
class Thawed:
    """What was, or would be, done for one stack.

    ``closed`` says that its journal is not needed any more, ``trouble`` what could not be brought back, and why.
    """

    stack: str
    revived: tuple[Revived, ...]
    remarks: tuple[str, ...]
    closed: bool = False
    trouble: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of each stack: brought back, left to whoever works on it, or not brought back, with the reasons."""

    thawed: tuple[Thawed, ...]
    busy: tuple[str, ...]
    failed: tuple[str, ...]


class StackBusyError(StackError):
    """Somebody works on the stack and brings its services back himself."""


def thaw_stacks(request: Request, *, act: bool, engine_at: Callable[[str, int], Engine] = connect) -> Outcome:
    """Bring back all that is wanted, or only say what that is. The trouble of one stack does not hold up another."""
    thawed, busy, failed = [], [], []
    for stack in [request.stack] if request.stack is not None else _concerned(request):
        try:
            with _held(request, stack) as locked:
                mended = _mended(request, stack, engine_at, locked=locked, act=act)
                wanted = plan(request, stack, engine_at, locked=locked)
                done = apply(wanted, request, engine_at) if act else summary(wanted)
                thawed.append(replace(done, remarks=(*mended, *done.remarks)))
                failed += [f"Stack {stack}: {thawed[-1].trouble}"] if thawed[-1].trouble else []
        except StackBusyError as exc:
            busy.append(str(exc))
        except (*REFUSALS, DatabaseError, StoreError) as exc:
            failed.append(f"Stack {stack}: {exc}")
    return Outcome(tuple(thawed), tuple(busy), tuple(failed))


def recover(stack: str, engine_at: Callable[[str, int], Engine] = connect, journal: str | None = None) -> list[str]:
    """Bring back what a backup of a stack left behind that died; returns remarks, none when there is nothing to do.

    Raises EngineError when something cannot be brought back. Needs the lock of the stack.
    """
    request = Request(stack, force=False, docker_host="", journal=journal or DEFAULT_JOURNAL)
    mended = mend(stack, engine_at, directory=request.records)
    found = read(request.journal, stack)
    if found is None:
        return mended
    thawed = apply(plan(request, stack, engine_at, locked=True), request, engine_at)
    if thawed.trouble:
        raise EngineError(f"An earlier backup of stack {stack} died after {found.since}. {thawed.trouble}")
    words = [f"{entry.container} ({entry.action})" for entry in thawed.revived] or ["nothing, for everything ran"]
    return [
        *mended,
        f"An earlier backup of stack {stack} died after {found.since}. Brought back now: {', '.join(words)}.",
        *thawed.remarks,
    ]


def _concerned(request: Request) -> list[str]:
    """Return the stacks that a dead run may have left in some state that is not theirs."""
    exchanged = [stack for stack in restored_stacks(request.records) if torn(stack, request.records)]
    return sorted({*stacks(request.journal), *exchanged})


def _mended(
    request: Request, stack: str, engine_at: Callable[[str, int], Engine], *, locked: bool, act: bool
) -> list[str]:
    """Bring data in order that a dead restore has left half exchanged, before anything is started on them."""
    if not locked and torn(stack, request.records):
        raise StackBusyError(
            f"The data of stack {stack} are being exchanged by a restore. Nothing may be started on them until that is "
            "done, or has died and was undone. Wait for its end.",
            stack=stack,
        )
    return mend(stack, engine_at, directory=request.records) if act else []


def plan(request: Request, stack: str, engine_at: Callable[[str, int], Engine], *, locked: bool) -> Plan:
    """Find out what has to be done for a stack."""
    try:
        journal = read(request.journal, stack)
    except StoreError:
        if not request.force:
            raise
        return _orphans(request, stack, engine_at, damaged=True)
    if journal is None:
        return _orphans(request, stack, engine_at, damaged=False) if request.force else Plan(stack, None, (), (), ())
    wanted, remarks, trouble = [], [], ""
    try:
        engine = engine_at(journal.docker_host, request.docker_timeout)
    except EngineError as exc:
        # What was frozen by its cgroup needs no engine.
        engine = None
        trouble = str(exc)
    for entry in reversed(journal.entries):
        cgroup = opened(entry.cgroup)
        if cgroup is not None and cgroup.held():
            wanted.append(Revived(entry.service, entry.name, "thaw"))
        if engine is not None:
            container = find(engine, entry)
            action = due(container, entry)
            if container is None:
                remarks.append(f"Service {entry.service}: container {entry.name} is gone, with none in its place.")
            elif action is not None:
                wanted.append(Revived(entry.service, container.name, action))
    return Plan(stack, journal, journal.entries, tuple(wanted), tuple(remarks), locked=locked, trouble=trouble)


def apply(wanted: Plan, request: Request, engine_at: Callable[[str, int], Engine]) -> Thawed:
    """Bring it back, and close the journal when everything runs."""
    remarks = list(wanted.remarks)
    if wanted.journal is None:
        revived = [entry for entry, thawed in zip(wanted.due, map(thaw, wanted.entries), strict=True) if thawed]
        if wanted.damaged:
            remarks.append(f"The damaged journal is now {set_aside(request.journal, wanted.stack)}.")
        return Thawed(wanted.stack, tuple(revived), tuple(remarks), closed=wanted.damaged)
    host = wanted.journal.docker_host
    outcome = revive_all(wanted.entries, lambda: engine_at(host, request.docker_timeout))
    try:
        required(outcome)
    except EngineError as exc:
        return Thawed(wanted.stack, outcome.revived, tuple(remarks), trouble=str(exc))
    # Whoever holds the lock closes it himself; a new backup may have a new one by now.
    if wanted.locked:
        close(request.journal, wanted.stack)
    return Thawed(wanted.stack, outcome.revived, tuple(remarks), closed=wanted.locked)


def summary(wanted: Plan) -> Thawed:
    """Return what ``apply`` would do, as far as that is known."""
    closed = wanted.damaged or (wanted.journal is not None and wanted.locked and not wanted.trouble)
    return Thawed(wanted.stack, wanted.due, wanted.remarks, closed, wanted.trouble)


@contextlib.contextmanager
def _held(request: Request, stack: str) -> Iterator[bool]:
    """Hold the lock of a stack; yields whether that could be. Raises StackBusyError while somebody works on it."""
    # A name that is none must not become part of a path.
    path_of(request.journal, stack)
    with contextlib.ExitStack() as held:
        try:
            locked = held.enter_context(locked_on_host(stack)) is not None
            reason = ""
        except StoreError as exc:
            locked = False
            reason = str(exc)
        try:
            journal = read(request.journal, stack)
        except StoreError:
            # It is told when it is planned what to do.
            journal = None
        if journal is not None and not request.force and (reason or journal.owner_lives) and not journal.overdue:
            raise StackBusyError(
                f"Stack {stack} is being backed up by process {journal.owner_pid} since {journal.since}. Its services "
                f"run again by {journal.deadline} at the latest. Wait until then, or thaw them now with force "
                "(thaw_force=true): the backup fails then.",
                stack=stack,
            )
        if journal is None and reason:
            raise StackBusyError(reason, stack=stack)
        yield locked


def _orphans(request: Request, stack: str, engine_at: Callable[[str, int], Engine], *, damaged: bool) -> Plan:
    """Look for what stands still without anybody knowing why."""
    engine = engine_at(request.docker_host, request.docker_timeout)
    entries, wanted, remarks = [], [], []
    for container in engine.containers():
        if container.labels.get(COMPOSE + "project") != stack:
            continue
        service = container.labels.get(COMPOSE + "service", container.name)
        if container.state != "running":
            remarks.append(f"Service {service}: container {container.name} is {container.state}. Is it meant to be?")
            continue
        cgroup = locate(container.pid, container.id)
        if cgroup is not None and cgroup.held():
            entries.append(Entry(service, container.id, container.name, "pause", "cgroup", cgroup.path))
            wanted.append(Revived(service, container.name, "thaw"))
    return Plan(stack, None, tuple(entries), tuple(wanted), tuple(remarks), damaged=damaged)
