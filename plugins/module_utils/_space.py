# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How full the disk of the backup root is, and what to say about it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ._backup_store import existing_parent

WARN = 80.0
CRITICAL = 90.0


@dataclass(frozen=True)
class Space:
    """A file system in bytes; ``free`` is what is left for us, ``level`` is ok, warning or critical."""

    path: str
    total: int
    free: int
    used_percent: float
    level: str
    message: str | None


def space(root: str, warn: float = WARN, critical: float = CRITICAL) -> Space:
    """Look at the file system that holds a root, or will hold it."""
    parent = existing_parent(os.path.realpath(root))
    status = os.statvfs(parent)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    return judge(parent, used, status.f_bavail * status.f_frsize, warn, critical)


def judge(path: str, used: int, free: int, warn: float, critical: float) -> Space:
    """Compare what is used with the limits, as df does: of what a user can have, without what is kept for root."""
    total = used + free
    percent = round(100 * used / total, 1) if total else 100.0
    level = "critical" if percent >= critical else "warning" if percent >= warn else "ok"
    message = None
    if level != "ok":
        limit = critical if level == "critical" else warn
        message = (
            f"{path} is {percent} % full ({free} bytes are free), and {limit:g} % is {level}. Prune backups, enlarge "
            "the disk or set crm_backup_root to another one."
        )
    return Space(path, total, free, percent, level, message)


def limits(params: t.Mapping[str, t.Any]) -> str | None:
    """Return what is wrong with the limits of a task, or None."""
    warn, critical = params["space_warn"], params["space_critical"]
    if 0 < warn <= critical <= 100:
        return None
    return f"space_warn is {warn:g} and space_critical {critical:g}: 0 < space_warn <= space_critical <= 100 is needed."
