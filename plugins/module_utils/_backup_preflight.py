# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything about a backup that can be wrong and can be found out before a service is touched.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t

from ._backup_store import Store, existing_parent
from ._compression import compress_stage
from ._encryption import NO_ENCRYPTION
from ._encryption import check as check_encryption
from ._errors import EngineError, StackError, StoreError
from ._stack_kept import kept_files, kept_redis
from ._tar import create_stage
from ._volume_directory import data_directory

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._encryption import Encryption
    from ._engine import Engine
    from ._stack import Stack


def check_profiles(stack: Stack) -> None:
    """Refuse a stack that no profile describes."""
    if not stack.profiles:
        images = ", ".join(sorted({service.container.image for service in stack.services}))
        raise StackError(
            f"Stack {stack.name} matches no profile (its images are {images}), so it is not known where its data is. "
            "Name a profile in crm_stacks, or describe the stack in crm_profiles.",
            stack=stack.name,
        )


def check_coverage(stack: Stack, require_session: bool) -> None:
    """Refuse a stack whose volumes cannot be read, or whose WhatsApp session would not be in the backup."""
    unreadable = [data for data in stack.data if data.coverage == "unreadable"]
    if unreadable:
        raise StackError(
            " ".join(
                f"Volume {data.name} of stack {stack.name} cannot be backed up: {data.note}." for data in unreadable
            )
            + " Create it, or name the volume in exclude.",
            stack=stack.name,
        )
    missing = [state for state in stack.session if not state.covered]
    if missing and require_session:
        raise StackError(
            " ".join(
                f"The {state.holds} of the WhatsApp session ({state.profile}) would not be in the backup: they are in "
                f"{state.where}: {state.how}."
                for state in missing
            )
            + " Without them every number has to be paired again after a restore. Cover that store, or set "
            "require_session to false.",
            stack=stack.name,
        )


def check_tools(compression: str, level: int | None, encryption: Encryption = NO_ENCRYPTION) -> None:
    """Refuse a level that the compression does not have, keys that do not encrypt, and a host that lacks a program."""
    compress_stage(compression, "compress", level)
    check_encryption(encryption)
    create_stage("/", "archive")


def unencrypted(encryption: Encryption) -> list[str]:
    """Return a remark where everything lies open in the backup."""
    if encryption.enabled:
        return []
    return [
        "The backup is not encrypted: it holds the passwords and keys of the configuration and all data, readable for "
        "whoever can read the files. Set crm_encryption."
    ]


def uncovered(stack: Stack) -> list[str]:
    """Name what the stack uses and the backup does not hold, for its warnings."""
    # Servers that are no containers are among what is outside.
    servers = [
        *(
            (f"Redis {cache.name}", kept_redis(cache, stack.services, stack.data))
            for cache in stack.redis
            if cache.container is not None
        ),
        *(
            (f"Database {other.name}", kept_files(other, stack.services, stack.data))
            for other in stack.others
            if other.container is not None
        ),
    ]
    return [
        *(
            f"The session's {state.holds} are not covered: {state.where}: {state.how}."
            for state in stack.session
            if not state.covered
        ),
        *(f"{what} is not covered: {found.where}: {found.how}." for what, found in servers if not found.covered),
        *(f"Outside: {one.name} is not covered: {one.where}: {one.how}." for one in stack.outside if not one.covered),
    ]


def check_freeze(stack: Stack, overrides: Mapping[str, str]) -> list[str]:
    """Return warnings about modes that a database server cannot be given, or should not."""
    dumped = {database.container.id for database in stack.databases if database.container is not None}
    copied = {name for data in stack.archived() for name in data.servers}
    asked = {service.name for service in stack.services if service.container.id in dumped}
    goes_on = [
        f"freeze names {name}, which goes on running: its databases are dumped, and that takes a server that answers."
        for name, mode in sorted(overrides.items())
        if mode != "none" and name in asked
    ]
    torn = [
        f"freeze lets {name} run while its files are copied: they will not be of one instant, and the server may "
        "refuse them after a restore. Use stop, or pause."
        for name, mode in sorted(overrides.items())
        if mode == "none" and name in copied
    ]
    return goes_on + torn


def streamed(engine: Engine, stack: Stack) -> dict[str, tuple[str, str]]:
    """Return the volumes that no path of this host leads to, each with a container and the path it is mounted on there.

    The driver may keep them elsewhere, or the engine runs on another machine, or they are mounted only while one of
    their containers runs.
    """
    found = {}
    for data in stack.archived():
        if data.kind != "volume":
            continue
        try:
            data_directory(engine, data.kind, data.source)
        except EngineError:
            if _is_ours(engine, data.source):
                raise
            holders = [
                (not service.container.running, service.container.id, mount.target)
                for service in stack.services
                for mount in service.container.mounts
                if mount.kind == "volume" and mount.source == data.source
            ]
            found[data.source] = min(holders)[1:]
    return found


def _is_ours(engine: Engine, name: str) -> bool:
    """Tell whether a volume has to be a directory of this host."""
    volume = engine.volume(name)
    plain = volume is not None and volume.driver == "local" and not volume.options.get("device")
    return plain and os.path.isdir(engine.info().root)


def data_directories(engine: Engine, stack: Stack) -> list[str]:
    """Return the directories of this host that hold the stack's data; raise when one to archive cannot be read."""
    by_path = [data for data in stack.archived() if data.source not in streamed(engine, stack)]
    archived = [data_directory(engine, data.kind, data.source) for data in by_path]
    volumes = [engine.volume(data.source) for data in stack.data if data.kind == "volume"]
    return [*archived, *(volume.mountpoint for volume in volumes if volume is not None and volume.mountpoint)]


def check_root(root: str, stack: Stack, directories: list[str]) -> None:
    """Refuse a backup root inside the stack's own data, on a read-only disk, or on one that is too full."""
    real = os.path.realpath(root)
    for path in directories:
        inside = os.path.realpath(path)
        if real == inside or real.startswith(inside + os.sep):
            raise StoreError(
                f"The backup root {root} lies inside {path}, which is backed up itself. "
                "Set crm_backup_root to a directory outside the stack's data.",
                path=root,
            )
    parent = existing_parent(real)
    status = os.statvfs(parent)
    if status.f_flag & os.ST_RDONLY:
        raise StoreError(
            f"{parent} is on a read-only file system. Mount it writable or set crm_backup_root.", path=root
        )
    free = status.f_bavail * status.f_frsize
    needed = _last_size(root, stack.name)
    if free < needed:
        raise StoreError(
            f"{parent} has {free} bytes free, and the last backup of stack {stack.name} took {needed}. "
            "Free space there or set crm_backup_root to another disk.",
            path=root,
        )


def _last_size(root: str, stack: str) -> int:
    newest = Store(root).newest_manifest(stack)
    return newest.size if newest else 0
