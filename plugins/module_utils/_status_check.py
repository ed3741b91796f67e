# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sum up the statuses of many hosts: one line per stack, all problems with their hosts, and how many stand how.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._status_rules import CRITICAL, FINE, WARNING, worst
from ._status_words import instant, since, span, told

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WORDS = {FINE: "OK", WARNING: "WARNING", CRITICAL: "CRITICAL"}


def summed_up(statuses: Mapping[str, Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return the statuses of hosts by their names in the inventory as lines for people and as problems for programs."""
    problems = [
        {"host": host, **problem} for host, status in sorted(statuses.items()) for problem in status["problems"]
    ]
    standings = [status["standing"] for status in statuses.values()]
    return {
        "standing": worst(problems),
        "hosts": len(statuses),
        **{standing: standings.count(standing) for standing in (FINE, WARNING, CRITICAL)},
        "stacks": [
            {
                "host": host,
                **{
                    name: stack.get(name)
                    for name in ("stack", "standing", "restorable_to", "verified_to", "last_success", "last_drilled")
                },
            }
            for host, status in sorted(statuses.items())
            for stack in status["stacks"]
        ],
        "problems": problems,
        "lines": [line for host, status in sorted(statuses.items()) for line in lines(host, status)],
    }


def lines(host: str, status: Mapping[str, t.Any]) -> Iterator[str]:
    """Return one line for each stack of a host, and one for each problem of the host and of its stacks."""
    problems = status["problems"]
    if not status["stacks"]:
        yield f"{host}: {_WORDS[status['standing']]}: {'no stack' if status.get('engine') else 'no answer'}"
    for stack in status["stacks"]:
        yield f"{host} {stack['stack']}: {_WORDS[stack['standing']]}: {_sentence(stack, status.get('at'))}"
    for problem in problems:
        yield f"{host}: {problem['severity']} {problem['code']}: {problem['message']}"


def _sentence(stack: Mapping[str, t.Any], at: str | None) -> str:
    point, verified, drilled = (stack.get(name) for name in ("restorable_to", "verified_to", "last_drilled"))
    if point is None:
        return "cannot be restored" if stack.get("backups") else "has no backup"
    age = f", {span(max(since(point, instant(at)), 0.0))} ago" if at else ""
    parts = [
        f"can be restored to {told(point)}{age}",
        f"verified to {told(verified)}" if verified else "never verified",
        f"drilled {told(drilled)}" if drilled else "never drilled",
    ]
    latest = stack.get("latest") or {}
    if latest.get("size") is not None:
        parts.append(f"{latest['size'] / 1e6:.1f} MB in {latest.get('seconds') or 0:.0f} s")
        parts.append(f"frozen {latest.get('freeze_seconds') or 0:.1f} s")
    return ", ".join(parts)
