# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exchange everything that a restore has staged for what is live, as one group, and undo that from any point.

Volumes come first, while whatever mounts them stands still; the databases of each server follow in one transaction.
Undoing goes the other way, and is what becomes of an exchange that died: see ``mend``, which the watchdog and the boot
unit call before they start anything. Standard library only. Private to this collection.
"""

from __future__ import annotations

import concurrent.futures
import os
import time
import typing as t

from ._engine import connect
from ._errors import EngineError, StackError
from ._freeze import STOP_TIMEOUT
from ._restore_record import DEFAULT_RECORDS, records, write
from ._stack import COMPOSE, depends_on
from ._stage_servers import ANSWERS, Access, Servers
from ._volume_directory import is_inside

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ._engine import Container, Engine
    from ._restore_record import Record

# The engine starts containers of these policies when it starts itself, also those that were stopped.
STUBBORN, UNLESS_STOPPED = ("always", "on-failure"), "unless-stopped"
AT_ONCE = 16
DOCKER_TIMEOUT = 60
# Once a second for as long as a container may take to stop.
ATTEMPTS, PAUSE = 10, 1.0
NO_ACCESS = Access()


def users(engine: Engine, record: Record) -> list[Container]:
    """Return the containers that run and mount something that is to be exchanged."""
    return [container for container in engine.containers() if container.running and _mounts(container, record)]


def forward(record: Record, engine: Engine, servers: Servers) -> None:
    """Make everything live that waits; raises ContinuityError half-way. Whatever mounts it must stand still."""
    for volume in record.volumes:
        volume.exchange.forward()
    _answering(engine, servers)
    servers.forward()


def back(record: Record, engine: Engine, servers: Servers) -> None:
    """Make everything live again that was before, however far an exchange had come.

    Stops whatever mounts it and runs by now; nothing is started but the servers whose databases are renamed.
    """
    _answering(engine, servers)
    servers.back()
    stop(engine, users(engine, record))
    for volume in reversed(record.volumes):
        volume.exchange.back()


def stop(engine: Engine, containers: Iterable[Container], timeout: int = STOP_TIMEOUT) -> None:
    """Stop containers, those first that others do not depend on, and as many as possible at once."""
    for wave in _waves(container for container in containers if container.running):
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [pool.submit(engine.stop, container.id, timeout) for container in wave]:
                done.result()


def dependents_first(containers: Iterable[Container]) -> list[Container]:
    """Sort containers so that each comes before those that it depends on."""
    return [container for wave in _waves(containers) for container in wave]


def _waves(containers: Iterable[Container]) -> Iterator[list[Container]]:
    left = sorted(containers, key=lambda container: container.name)
    while left:
        needed = {name for container in left for name in depends_on(container)}
        # In a circle nobody comes first.
        wave = [container for container in left if container.labels.get(COMPOSE + "service") not in needed] or left
        yield wave
        left = [container for container in left if container not in wave]


def hold(engine: Engine, record: Record, containers: Iterable[Container], directory: str) -> Record:
    """Keep the engine from starting containers by itself, and note in the record what to give back to them."""
    policies = {c.id: c.restart_policy for c in containers if c.restart_policy.partition(":")[0] in STUBBORN}
    held = write(directory, record.at(record.phase, policies=policies))
    for id_ in policies:
        engine.set_restart_policy(id_, UNLESS_STOPPED)
    return held


def release(engine: Engine, record: Record, directory: str) -> Record:
    """Give the containers their restart policies back."""
    if not record.policies:
        return record
    for id_, policy in record.policies.items():
        if engine.container(id_) is not None:
            engine.set_restart_policy(id_, policy)
    return write(directory, record.at(record.phase, policies={}))


def torn(stack: str, directory: str = DEFAULT_RECORDS) -> list[Record]:
    """Return the restores of a stack that exchange data at this moment, or that have died while they did."""
    return [record for record in records(directory, stack) if record.torn]


def mend(
    stack: str,
    engine_at: Callable[[str, int], Engine] = connect,
    access: Access = NO_ACCESS,
    directory: str = DEFAULT_RECORDS,
) -> list[str]:
    """Undo or complete what a dead run has left half exchanged; return a remark on each restore. Needs the lock."""
    remarks = []
    for record in records(directory, stack):
        if not record.torn and not record.policies:
            continue
        engine = engine_at(record.docker_host, DOCKER_TIMEOUT)
        mended = record
        if record.torn:
            with Servers(engine, stack, record.databases, access) as servers:
                back(record, engine, servers)
            mended = write(directory, record.at("staged" if record.phase == "cutting" else "reverted"))
            remarks.append(
                f"A restore of stack {stack} from backup {record.backup} died while it exchanged data. All is as it "
                "was before."
            )
        remarks += _released(engine, mended, directory)
    return remarks


def _released(engine: Engine, record: Record, directory: str) -> list[str]:
    """Give the restart policies back; what the engine refuses must not keep services from being started."""
    for left in range(ATTEMPTS, 0, -1):
        try:
            release(engine, record, directory)
        except EngineError as exc:
            if left == 1:
                return [f"Stack {record.stack}: {exc}"]
            # It may still be busy with what a dead run has asked of it.
            time.sleep(PAUSE)
        else:
            break
    return []


def strangers(containers: Sequence[Container], stack: str) -> None:
    """Raise StackError for a container of somebody else that mounts what is to be exchanged."""
    others = sorted(c.name for c in containers if c.labels.get(COMPOSE + "project") != stack)
    if others:
        raise StackError(
            f"Containers that are not part of stack {stack} run and use its data: {', '.join(others)}. Stop them "
            "first: they would go on with the old content.",
            containers=others,
        )


def refuse_paused(containers: Sequence[Container]) -> None:
    """Raise StackError for a container that somebody has paused: it could not be brought back as it is."""
    paused = sorted(container.name for container in containers if container.state == "paused")
    if paused:
        raise StackError(
            f"Containers are paused: {', '.join(paused)}. Unpause or stop them first (docker unpause, docker stop).",
            containers=paused,
        )


def _answering(engine: Engine, servers: Servers) -> None:
    """Start the servers that do not run, and wait until all of them answer."""
    stopped = [container for container in servers.containers() if not container.running]
    if stopped:
        servers.disconnect()
    for container in stopped:
        engine.start(container.id)
    servers.connect(ANSWERS)


def _mounts(container: Container, record: Record) -> bool:
    named = {volume.source for volume in record.volumes if volume.kind == "volume"}
    places = [volume.exchange.live for volume in record.volumes]
    return any(
        mount.source in named
        if mount.kind == "volume"
        else mount.kind == "bind" and any(_touches(mount.source, place) for place in places)
        for mount in container.mounts
    )


def _touches(source: str, place: str) -> bool:
    # One that binds a parent sees whatever is there; only one that binds the directory or a part of it keeps it.
    return os.path.exists(source) and is_inside(source, place)
