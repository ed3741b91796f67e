# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look for lost files and lost sessions in what the services of a stack have logged lately.

Only looks. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._check import ESCAPES, Check, has_finished, mask_of, subject
from ._stack_find import find_one

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._check import Mask
    from ._engine import Engine
    from ._profile import Profile
    from ._stack import Request as StackRequest
    from ._stack import Service, Stack

NAME = "log without errors"
# A pattern has to look at what its line begins with, but not at megabytes of a dumped object.
LONGEST_LINE = 16 * 1024


@dataclass(frozen=True)
class Request:
    """Which stack, and which part of each log: the last ``lines``, of those no older than ``since`` (Unix time)."""

    stack: StackRequest
    lines: int = 200
    since: int | None = None


def look(request: Request, engine: Engine, profiles: Mapping[str, Profile]) -> list[Check]:
    """Search the log of every service of the profiles; raise StackError for an unknown stack."""
    stack = find_one(engine, profiles, request.stack)
    mask = mask_of(stack)
    return [
        check
        for profile in stack.profiles
        for service in stack.services
        if service.profile == profile.name and profile.logs and not has_finished(engine, stack, service)
        for check in _search(request, engine, stack, profile, service, mask)
    ]


def _search(
    request: Request, engine: Engine, stack: Stack, profile: Profile, service: Service, mask: Mask
) -> list[Check]:
    container, name = service.container, subject(stack, service)
    if (engine.inspect(container.id)["HostConfig"].get("LogConfig") or {}).get("Type") == "none":
        remedy = "Give the service another logging driver to have its log checked."
        return [Check(NAME, name, False, "it keeps no log (logging driver none)", severity="warning", remedy=remedy)]
    # Colours would stand in the middle of what the patterns look for.
    text = ESCAPES.sub("", engine.logs(container.id, request.lines, request.since))
    lines = [line[:LONGEST_LINE] for line in text.splitlines()]
    found = []
    for pattern in profile.logs:
        matches = [line for line in lines if pattern.pattern.search(line)]
        if matches:
            count = "once" if len(matches) == 1 else f"{len(matches)} times"
            detail = f"{pattern.meaning} ({count}), last: {mask.excerpt(matches[-1])}"
            remedy = f"See docker logs --tail {request.lines} {container.name}."
            found.append(Check(NAME, name, False, detail, severity=pattern.severity, remedy=remedy))
    looked = "line" if len(lines) == 1 else "lines"
    return found or [Check(NAME, name, True, f"no known error in {len(lines)} {looked}")]
