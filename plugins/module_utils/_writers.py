# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out what goes on writing to the data of a stack while its services are frozen.

Only looks. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._volume_directory import is_inside

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Container, Engine, Mount
    from ._freeze import Target
    from ._stack import Data, Stack


def unfrozen_writers(engine: Engine, stack: Stack, frozen: Sequence[Target]) -> list[tuple[Data, Container]]:
    """Return each archived volume or directory that a running container can write to which is not to be frozen."""
    still = {target.container for target in frozen}
    # One that the user has paused stands still, too.
    moving = [c for c in engine.containers() if c.state in ("running", "restarting") and c.id not in still]
    return [
        (data, container)
        for data in stack.archived()
        for container in moving
        if any(_writes(mount, data) for mount in container.mounts)
    ]


def _writes(mount: Mount, data: Data) -> bool:
    if mount.read_only or mount.kind != data.kind:
        return False
    if mount.kind == "volume":
        return mount.source == data.source
    # A part of it, or a directory that it is a part of.
    return is_inside(mount.source, data.source) or is_inside(data.source, mount.source)
