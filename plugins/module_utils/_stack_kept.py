# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell whether what a server or an application keeps on disk is in a backup; if not, where it is and what to do.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._stack import COMPOSE
from ._stack_servers import files_of, server_kind

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Container
    from ._stack import Data, OtherDatabase, Service, StackRedis


class Found(t.NamedTuple):
    """Where something is kept; ``how`` says what to do where that is not covered."""

    covered: bool
    where: str
    how: str = ""


def kept_data(entry: Data, content: str) -> Found:
    """Tell whether a volume that holds ``content`` is archived, and comes back after a restore."""
    place = f"{entry.kind} {entry.name}"
    if entry.anonymous:
        return Found(
            False,
            f"{content}, on {place}, which is anonymous: compose does not mount it again after a restore",
            "give it a name in the compose file",
        )
    if entry.coverage != "archive":
        return Found(False, f"{content}, on {place}, which is not covered: {entry.note}", "have that volume covered")
    return Found(True, place)


def kept_redis(cache: StackRedis, services: Sequence[Service], data: Sequence[Data]) -> Found:
    """Tell whether what a Redis holds is archived."""
    container = cache.container
    if container is None:
        return Found(
            False,
            f"Redis at {cache.host}, outside this stack",
            "move it into a container of this stack with a named volume on /data, or back it up where it runs",
        )
    service = _service(container, services)
    if service is None:
        return _elsewhere("Redis", container)
    entry = next((entry for entry in data if entry.source == cache.volume), None)
    if entry is None:
        return Found(
            False,
            f"Redis in container {container.name}, whose /data is not on a volume",
            f"mount a named volume on /data of {service.name}",
        )
    found = kept_data(entry, f"Redis in container {container.name}")
    return Found(True, f"Redis in {found.where}") if found.covered else found


def kept_files(database: OtherDatabase, services: Sequence[Service], data: Sequence[Data]) -> Found:
    """Tell whether the files of a server are archived that there is no dump for."""
    kind, container = database.kind, database.container
    if container is None:
        return Found(
            False,
            f"{kind} at {database.host}, outside this stack",
            f"there is no dump of {kind} here: move it into a container of this stack with a named volume, or back it "
            "up where it runs",
        )
    service = _service(container, services)
    if service is None:
        return _elsewhere(kind, container)
    known = server_kind(container)
    # Clients say mysql for MariaDB, too.
    kind = known.name if known is not None else kind
    entry = files_of(service, data)
    if entry is None:
        directory = known.directories[0] if known is not None else "its data directory"
        return Found(
            False,
            f"{kind} in container {container.name}, whose files are not on a volume",
            f"mount a named volume on {directory} of {service.name}",
        )
    found = kept_data(entry, f"{kind} in container {container.name}")
    return Found(True, f"{kind} in {found.where}, as files") if found.covered else found


def _elsewhere(what: str, container: Container) -> Found:
    stack = container.labels.get(COMPOSE + "project")
    return Found(
        False,
        f"{what} in container {container.name}, which belongs to {f'stack {stack}' if stack else 'no stack'}",
        "move it into this stack, or back it up there at the same time",
    )


def _service(container: Container, services: Sequence[Service]) -> Service | None:
    return next((service for service in services if service.container.id == container.id), None)
