# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One line about the result of a module, for the journal of the host and the state of a timer.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Result = Mapping[str, t.Any]

# A message of a failure may quote much of what a program printed.
LONGEST = 2000


def summary(module: str, result: Result) -> str:
    """Say in a line what a module did that went well."""
    words = _WORDS.get(module)
    try:
        return words(result) if words else _changed(result)
    except (KeyError, TypeError):
        # A result of another shape is no reason to fail.
        return _changed(result)


def remarks(result: Result) -> list[str]:
    """Return what a module that went well remarks or warns of."""
    warnings = (_warned(warning) for warning in result.get("warnings") or ())
    return [str(one)[:LONGEST] for one in (*(result.get("remarks") or ()), *warnings)]


def failure(result: Result) -> str:
    """Say why a module failed."""
    return str(result.get("msg") or "It gave no reason.")[:LONGEST]


def _warned(warning: t.Any) -> t.Any:
    # As ansible-core writes it since 2.19, for a control node to read.
    event = warning.get("event") if isinstance(warning, dict) else None
    return event.get("msg") if isinstance(event, dict) else warning


def _changed(result: Result) -> str:
    return "changed" if result.get("changed") else "nothing to do"


def _found(result: Result) -> str:
    return f"{_count(len(result['stacks']), 'stack')}: {', '.join(stack['name'] for stack in result['stacks'])}"


def _backup(result: Result) -> str:
    if result.get("not_needed"):
        return str(result["not_needed"])
    if "size" not in result:
        return f"would go to {result['directory']}"
    words = [
        str(result["id"]),
        _megabytes(result["size"]),
        _count(result["files"], "file"),
        _count(result["rows"], "row"),
        f"frozen for {result['frozen_seconds']:g} s",
    ]
    words += [f"ANOMALOUS: {anomaly['message']}" for anomaly in result["anomalies"]]
    if result.get("attached"):
        words.append("taken by somebody else meanwhile")
    return ", ".join(words)


def _expired(result: Result) -> str:
    given_up = [restore["id"] for restore in result["restores"]]
    return f"gave up what was kept of {', '.join(given_up)}" if given_up else "nothing kept that is due"


def _verified(result: Result) -> str:
    if not result["backups"]:
        return "no stack has backups"
    read = sum(backup["bytes"] for backup in result["backups"])
    return f"{_count(len(result['backups']), 'backup')} sound, {_megabytes(read)} read"


def _pruned(result: Result) -> str:
    each = [
        f"{stack['stack']}: {len(stack['removed']) + len(stack['finished'])} go, {len(stack['kept'])} stay"
        + (f", nothing may be removed ({stack['blocked']})" if stack["overdue"] else "")
        for stack in result["stacks"]
    ]
    return "; ".join(each) or "no stack has backups"


_WORDS: dict[str, Callable[[Result], str]] = {
    "stack_info": _found,
    "stack_backup": _backup,
    "stack_cutover": _expired,
    "backup_verify": _verified,
    "backup_prune": _pruned,
}


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
