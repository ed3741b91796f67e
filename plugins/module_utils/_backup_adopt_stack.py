# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which volume or database of a stack a file is of, and what of the stack the files do not hold.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._backup_adopt_inputs import TICKETZ
from ._backup_adopt_ticketz import PROFILE, VOLUMES
from ._errors import StackError
from ._stack import COMPOSE, Request
from ._stack_find import find, find_one
from ._stack_other_databases import with_unnamed
from ._stack_session import Places, session_state

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ._backup_adopt_inputs import Input, Inputs
    from ._engine import Engine
    from ._profile import Profile
    from ._stack import Data, SessionState, Stack, StackDatabase

LEFT_OUT = "the files that were adopted do not hold it"
ADOPT_DUMP = "adopt a dump of that database too"


def adopter(
    engine: Engine,
    profiles: Mapping[str, Profile],
    request: Request | None,
    inputs: Inputs,
    given: Mapping[str, str],
) -> Stack:
    """Return the stack that files are of: the one that was named, or the only one that may be meant."""
    kind = inputs.kind
    if request is not None:
        stack = find_one(engine, profiles, request)
    else:
        found = find(engine, profiles)
        if kind == TICKETZ:
            found = [stack for stack in found if PROFILE in {profile.name for profile in stack.profiles}]
        else:
            names = [given.get(entry.file, entry.name) for entry in inputs.archives]
            found = [stack for stack in found if all(_fitting(stack, engine, name) for name in names)]
        if len(found) != 1:
            meant = ", ".join(stack.name for stack in found) or "none"
            raise StackError(
                f"The files may be of several stacks of this host, or of none ({meant}). Name the stack. One that is "
                "not there yet has to be deployed first: its volumes and databases say where the data belongs."
            )
        stack = found[0]
    if kind == TICKETZ and PROFILE not in {profile.name for profile in stack.profiles}:
        raise StackError(f"Stack {stack.name} is no Ticketz, and the archive is one of Ticketz. Name another stack.")
    return with_unnamed(engine, stack, ())


def volume_of(stack: Stack, engine: Engine, entry: Input, given: Mapping[str, str]) -> Data:
    """Return the volume that an archive is of; raise StackError with what there is where that is not clear."""
    wanted = given.get(entry.file, entry.name)
    fitting = _fitting(stack, engine, wanted)
    if len(fitting) != 1:
        there = ", ".join(data.name for data in stack.data)
        raise StackError(
            f"Stack {stack.name} has no volume {wanted}, which {entry.file} is of by its name. It has {there}. Say "
            f"which one it is: volumes={{{entry.file!r}: …}}.",
            stack=stack.name,
        )
    if fitting[0].coverage == "dump":
        raise StackError(
            f"{entry.file} is a copy of the files of a PostgreSQL server ({fitting[0].name}), which is of use only if "
            "the server stood still, and no part of a backup: leave it out, and adopt a dump of its databases.",
            stack=stack.name,
        )
    return fitting[0]


def database_of(stack: Stack, entry: Input, said: str, given: Mapping[str, str]) -> StackDatabase:
    """Return the database that a dump is of; ``said`` is what the dump itself calls it, if it does."""
    names = [database.name for database in stack.databases]
    wanted = given.get(entry.file)
    for name in (wanted,) if wanted is not None else (said, entry.name):
        if names.count(name) == 1:
            return stack.databases[names.index(name)]
    if wanted is None and len(names) == 1:
        return stack.databases[0]
    raise StackError(
        f"It is not clear which database {entry.file} is of. Stack {stack.name} has {', '.join(names) or 'none'}. Say "
        f"which one it is: databases={{{entry.file!r}: …}}.",
        stack=stack.name,
    )


def ticketz_volume(stack: Stack, member: str) -> Data:
    """Return the volume that a directory of the sidekick's archive is the content of."""
    path = VOLUMES[member]
    backends = {s.name for s in stack.services if s.profile == PROFILE and s.rule is not None}
    for data in stack.data:
        if any(service in backends and target.rstrip("/") == path for service, target in data.mounts):
            return data
    raise StackError(
        f"No service of stack {stack.name} mounts a volume on {path}, where {member} belongs. Mount one first.",
        stack=stack.name,
    )


def ticketz_database(stack: Stack) -> StackDatabase:
    """Return the database of Ticketz."""
    found = [database for database in stack.databases if PROFILE in (database.profile, *database.sharers)]
    if not found:
        raise StackError(f"Stack {stack.name} has no database of Ticketz.", stack=stack.name)
    return found[0]


def covering(stack: Stack, volumes: Collection[Data], databases: Collection[StackDatabase]) -> Stack:
    """Return the stack as a backup of these volumes and databases covers it."""
    servers = {database.container.id for database in databases if database.container is not None}
    services = {service.name for service in stack.services if service.container.id in servers}
    data = tuple(_covered(entry, volumes, services) for entry in stack.data)
    places = Places(stack.services, stack.databases, stack.others, stack.redis, data, stack.outside)
    session = tuple(
        _without_database(state, profile, databases)
        for profile in stack.profiles
        for state in session_state(profile, places)
    )
    # What is outside of the stack is in no such file.
    outside = tuple(replace(one, covered=False, how=LEFT_OUT) for one in stack.outside)
    return replace(stack, data=data, session=session, outside=outside, warnings=())


def _fitting(stack: Stack, engine: Engine, name: str) -> list[Data]:
    exact = [data for data in stack.data if name in (data.name, data.source)]
    # The runbook's stack has its volumes without the name of the project before.
    return exact or [data for data in stack.data if _short_name(engine, data) == name]


def _covered(entry: Data, volumes: Collection[Data], dumped: Collection[str]) -> Data:
    if entry.source in {data.source for data in volumes}:
        return replace(entry, coverage="archive")
    if entry.coverage == "dump" and any(service in dumped for service, _path in entry.mounts):
        return entry
    return replace(entry, coverage="none", note=LEFT_OUT)


def _without_database(state: SessionState, profile: Profile, databases: Collection[StackDatabase]) -> SessionState:
    there = any(profile.name in (database.profile, *database.sharers) for database in databases)
    if state.place != "database" or there:
        return state
    return replace(state, covered=False, how=ADOPT_DUMP)


def _short_name(engine: Engine, data: Data) -> str | None:
    volume = engine.volume(data.source) if data.kind == "volume" else None
    return volume.labels.get(COMPOSE + "volume") if volume is not None else None
