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
from ._errors import StackError, StoreError
from ._tar import create_stage
from ._volume_directory import data_directory

if t.TYPE_CHECKING:
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
            + " Move its data to a volume of the local driver, or name the volume in exclude.",
            stack=stack.name,
        )
    missing = [state for state in stack.session if not state.covered]
    if missing and require_session:
        raise StackError(
            " ".join(
                f"The {state.holds} of the WhatsApp session ({state.profile}) would not be in the backup: they are in "
                f"{state.where}."
                for state in missing
            )
            + " Without them every number has to be paired again after a restore. Cover that store, or set "
            "require_session to false.",
            stack=stack.name,
        )


def check_tools(compression: str, level: int | None) -> None:
    """Refuse a level that the compression does not have, and a host that lacks tar or the compressor."""
    compress_stage(compression, "compress", level)
    create_stage("/", "archive")


def uncovered(stack: Stack) -> list[str]:
    """Name what the stack uses and the backup does not hold, for its warnings."""
    kept = {data.source for data in stack.archived()}
    warnings = [
        f"The session's {state.holds} are not covered: {state.where}." for state in stack.session if not state.covered
    ]
    for cache in stack.redis:
        if cache.container is None:
            warnings.append(f"Redis at {cache.host} is not covered: it is not in a container of this host.")
        elif cache.volume not in kept:
            warnings.append(f"Redis in container {cache.container.name} is not covered: its /data is not on a volume.")
    return warnings


def data_directories(engine: Engine, stack: Stack) -> list[str]:
    """Return the directories of this host that hold the stack's data; raise when one to archive cannot be read."""
    archived = [data_directory(engine, data.kind, data.source) for data in stack.archived()]
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
    for backup in reversed(Store(root).backups(stack)):
        try:
            return backup.manifest().size
        except StoreError:
            continue
    return 0
