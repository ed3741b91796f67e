# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the volumes and bound directories of a stack, and how a backup covers each.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import typing as t
from dataclasses import replace

from ._stack import Data
from ._stack_servers import POSTGRESQL, server_kind

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Engine, Mount
    from ._profile import Profile, VolumeRule
    from ._stack import Service, StackDatabase

# Where PostgreSQL has its files unless PGDATA says otherwise: in the official image and in Bitnami's.
POSTGRES_DATA = ("/var/lib/postgresql/data", "/bitnami/postgresql/data")
# A mount inside one of these is the machine's, not the stack's.
SYSTEM_BINDS = ("/var/run", "/run", "/etc", "/proc", "/sys", "/dev", "/usr", "/lib")


def data_of(
    engine: Engine,
    services: Sequence[Service],
    profiles: Sequence[Profile],
    databases: Sequence[StackDatabase],
    project_dir: str | None,
    exclude: Sequence[str],
    warnings: list[str],
) -> tuple[Data, ...]:
    """Return the volumes and data directories that the services mount, each with how it is covered."""
    users: dict[tuple[str, str], list[tuple[Service, Mount]]] = {}
    for service in services:
        for mount in service.container.mounts:
            if mount.kind in ("volume", "bind"):
                users.setdefault((mount.kind, mount.source), []).append((service, mount))
    dumped = {database.container.id for database in databases if database.container is not None}
    found = []
    for (kind, source), mounts in sorted(users.items()):
        data = _datum(engine, kind, source, mounts, profiles, dumped, project_dir)
        if data is None:
            continue
        if exclude and {data.name, data.source, *(path for _service, path in data.mounts)} & set(exclude):
            data = replace(data, coverage="none", note="it was excluded")
            warnings.append(f"{data.kind} {data.name} is not covered: {data.note}.")
        elif data.coverage == "archive" and data.note:
            warnings.append(f"{data.kind} {data.name}: {data.note}.")
        if data.coverage == "archive" and data.anonymous:
            warnings.append(
                f"volume {data.name} on {data.mounts[0][1]} of {data.mounts[0][0]} is archived, but it is anonymous: "
                "after a restore compose mounts a new one instead. Give it a name in the compose file."
            )
        found.append(data)
    _check_required(services, profiles, found, warnings)
    return tuple(_told_apart(found))


def _datum(
    engine: Engine,
    kind: str,
    source: str,
    users: Sequence[tuple[Service, Mount]],
    profiles: Sequence[Profile],
    dumped: set[str],
    project_dir: str | None,
) -> Data | None:
    mounts = tuple((service.name, mount.target) for service, mount in users)
    rule_profile, rule = _volume_rule(users, profiles)
    if kind == "bind" and rule is None and not _is_data_bind(source, users):
        return None
    writers = [(service, mount) for service, mount in users if not mount.read_only]
    coverage, note = "archive", ""
    if any(service.container.id in dumped and _is_postgres_data(service, mount) for service, mount in users):
        coverage, note = "dump", "its databases are dumped"
    elif kind == "volume":
        # What no path of the host leads to is read by the engine.
        if engine.volume(source) is None:
            coverage, note = "unreadable", "it does not exist"
    elif not writers:
        coverage, note = "none", "it is mounted read-only and holds nothing that the services write"
    servers = {
        service.name: note_
        for service, _mount in writers
        if coverage == "archive" and service.container.id not in dumped and (note_ := _as_files(service))
    }
    if servers:
        note = "; ".join(servers[name] for name in sorted(servers))
    return Data(
        name=source if kind == "volume" else _bind_name(source, project_dir),
        kind=kind,
        source=source,
        mounts=mounts,
        coverage=coverage,
        note=note,
        purpose=rule.purpose if rule else None,
        profile=rule_profile,
        same_image=bool(servers) or (rule is not None and rule.same_image),
        servers=tuple(sorted(servers)),
    )


def _as_files(server: Service) -> str | None:
    """Return what to know about the files of a database server that is not dumped; None for any other service."""
    kind = server_kind(server.container)
    if kind is None:
        return None
    why = "which no profile names, so there is no dump of it" if kind is POSTGRESQL else "which is not dumped"
    return (
        f"it holds the files of {kind.name} in {server.name}, {why}: they are copied while "
        "it is stopped, unless freeze says otherwise, and a restore puts them back like any other volume, for the same "
        f"version of the server ({server.container.image})"
    )


def _volume_rule(
    users: Sequence[tuple[Service, Mount]], profiles: Sequence[Profile]
) -> tuple[str | None, VolumeRule | None]:
    for service, mount in users:
        for profile in profiles:
            if service.profile != profile.name or service.rule is None:
                continue
            for rule in profile.volumes:
                if rule.path == mount.target.rstrip("/") and (not rule.services or service.rule.name in rule.services):
                    return profile.name, rule
    return None, None


def _is_postgres_data(service: Service, mount: Mount) -> bool:
    given = service.container.env.get("PGDATA")
    target = mount.target.rstrip("/")
    return any(f"{place}/".startswith(target + "/") for place in ((given,) if given else POSTGRES_DATA))


def _is_data_bind(source: str, users: Sequence[tuple[Service, Mount]]) -> bool:
    """Tell a bound data directory from the machine's own files and from bound configuration."""
    if any(source == place or source.startswith(place + "/") for place in SYSTEM_BINDS) or source == "/":
        return False
    # A file belongs to the configuration, which is kept with the project directory.
    return any(not mount.read_only for _service, mount in users) and not os.path.isfile(source)


def _bind_name(source: str, project_dir: str | None) -> str:
    relative = posixpath.relpath(source, project_dir) if project_dir else source
    path = source if relative.startswith("..") else relative
    # Bound is the project directory itself.
    return "bind-" + (re.sub(r"[^A-Za-z0-9_.-]+", "-", path).strip("-.") or "project")


def _told_apart(found: Sequence[Data]) -> list[Data]:
    """Give a longer name to data whose name another has: archives are named after it."""
    names = [data.name for data in found]
    return [
        replace(
            data, name=f"{data.name}-{hashlib.sha256(data.source.encode(errors='surrogateescape')).hexdigest()[:8]}"
        )
        if data.kind == "bind" and names.count(data.name) > 1
        else data
        for data in found
    ]


def _check_required(
    services: Sequence[Service], profiles: Sequence[Profile], found: Sequence[Data], warnings: list[str]
) -> None:
    for profile in profiles:
        roles = {service.rule.name for service in services if service.profile == profile.name and service.rule}
        for rule in profile.volumes:
            wanted = rule.required and (not rule.services or roles & set(rule.services))
            if wanted and not any(data.profile == profile.name and data.purpose == rule.purpose for data in found):
                warnings.append(
                    f"No volume is mounted on {rule.path} ({profile.title}: {rule.purpose}): what the application "
                    "writes there is lost with its container, and is not covered."
                )
