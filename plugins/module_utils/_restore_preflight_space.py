# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether there is room for what a restore lays beside the live data: bytes and inodes, by file system.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ._backup_store import existing_parent
from ._restore_preflight_findings import OK, REFUSE, Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterable

# A little for the file system's own needs.
MARGIN = 1.05
# Work of pg_restore: the dump unpacked beside the server, and the write-ahead log of loading it.
DATABASE = 1.5


@dataclass(frozen=True)
class Need:
    """What something takes below a directory, which need not exist yet."""

    path: str
    bytes: int
    inodes: int = 0


def check(needs: Iterable[Need]) -> list[Finding]:
    """Compare what is needed with what is free, once for each file system."""
    disks: dict[int, list[Need]] = {}
    places: dict[int, str] = {}
    for need in needs:
        place = existing_parent(need.path)
        device = os.stat(place).st_dev
        disks.setdefault(device, []).append(need)
        places.setdefault(device, place)
    return [_disk(places[device], entries) for device, entries in disks.items()]


def _disk(place: str, needs: list[Need]) -> Finding:
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    needed = sum(need.bytes for need in needs)
    inodes = sum(need.inodes for need in needs)
    if needed > free:
        message = f"{place} has {free} bytes free, and the restore needs {needed}. Free space there first."
        return Finding("space", REFUSE, place, message)
    # Some file systems have no fixed number, and say zero.
    if status.f_files and inodes > status.f_favail:
        message = (
            f"{place} has {status.f_favail} inodes free, and the restore makes {inodes} files and directories. Remove "
            "files there first."
        )
        return Finding("space", REFUSE, place, message)
    return Finding("space", OK, place, f"{place} has room for the {needed} bytes that the restore needs.")
