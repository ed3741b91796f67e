# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report says, as the content of report.json: the sums, what changed since the last one, and every host.

Pure functions; docs/schemas/report.schema.json describes the result. Runs on the control node.
Private to this collection.
"""

from __future__ import annotations

import collections
import re
import typing as t

from ..module_utils._status_rules import CRITICAL, FINE, WARNING
from ..module_utils._status_words import instant
from ..module_utils._version import VERSION
from ._report_status import STANDINGS, STATUS, did_not_answer, misfit, worst

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = 1

_EARLIER = {"at": "time", "hosts": [{**STATUS, "name": "text"}]}


def build(
    statuses: Mapping[str, Mapping[str, t.Any]], at: str, timezone: str, earlier: Mapping[str, t.Any] | None
) -> dict[str, t.Any]:
    """Return a report of what hosts said; ``earlier`` is the last one, see ``misread``."""
    hosts = [{"name": name, **statuses[name]} for name in sorted(statuses, key=natural)]
    return {
        "format": FORMAT,
        "at": at,
        "timezone": timezone,
        "collection": VERSION,
        "standing": worst(host["standing"] for host in hosts),
        "summary": _summary(hosts),
        "changes": _changes(hosts, at, earlier),
        "hosts": hosts,
    }


def misread(document: object) -> str | None:
    """Return why an earlier report cannot be compared with, or None."""
    if isinstance(document, dict) and document.get("format") != FORMAT:
        return f"it has format {document.get('format')!r} and not {FORMAT}"
    return misfit(document, _EARLIER)


def problems_of(host: Mapping[str, t.Any], stack: str | None) -> list[dict[str, t.Any]]:
    """Return what is wrong with a stack, and with the host as a whole; the worst first."""
    known = {one["stack"] for one in host["stacks"]}
    found = [one for one in host["problems"] if one.get("stack") == stack or one.get("stack") not in known]
    return sorted(found, key=lambda one: -STANDINGS.index(one["severity"]))


def standing_of(host: Mapping[str, t.Any], stack: Mapping[str, t.Any] | None) -> str:
    """Return how a row of the table stands: what is wrong with the host is wrong with each of its stacks."""
    if stack is None:
        return str(host["standing"])
    return worst([stack["standing"], *(one["severity"] for one in problems_of(host, stack["stack"]))])


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts crm-2 before crm-10."""
    parts = re.findall(r"([0-9]{1,18})|([^0-9]+)", name)
    return [(0, int(digits), "") if digits else (1, 0, text.lower()) for digits, text in parts] + [(2, 0, name)]


def _summary(hosts: Sequence[Mapping[str, t.Any]]) -> dict[str, t.Any]:
    stacks = [(host, stack) for host in hosts for stack in host["stacks"]]
    restorable = [(host, stack) for host, stack in stacks if stack.get("restorable_to")]
    oldest = min(restorable, key=lambda pair: instant(pair[1]["restorable_to"]), default=None)
    codes = collections.Counter(problem["code"] for host in hosts for problem in host["problems"])
    return {
        "hosts": {
            **_counted([host["standing"] for host in hosts]),
            "silent": sum(did_not_answer(host) for host in hosts),
        },
        "stacks": {
            **_counted([standing_of(host, stack) for host, stack in stacks]),
            "restorable": len(restorable),
        },
        "oldest_restorable": oldest
        and {"host": oldest[0]["name"], "stack": oldest[1]["stack"], "at": oldest[1]["restorable_to"]},
        "backups": sum(int(stack.get("backups") or 0) for _host, stack in stacks),
        "bytes": _bytes(hosts),
        "problems": dict(sorted(codes.items())),
    }


def _counted(standings: Sequence[str]) -> dict[str, int]:
    counts = collections.Counter(standings)
    return {"total": len(standings), **{name: counts[name] for name in (FINE, WARNING, CRITICAL)}}


def _bytes(hosts: Sequence[Mapping[str, t.Any]]) -> int:
    return sum(int(stack.get("bytes") or 0) for host in hosts for stack in host["stacks"])


def _changes(
    hosts: Sequence[Mapping[str, t.Any]], at: str, earlier: Mapping[str, t.Any] | None
) -> dict[str, t.Any] | None:
    if earlier is None:
        return None
    if instant(earlier["at"]) == instant(at):
        # The same report once more: what changed since the one before that still did.
        return t.cast("dict[str, t.Any] | None", earlier.get("changes"))
    before = {host["name"]: host["standing"] for host in earlier["hosts"]}
    now = {host["name"]: host["standing"] for host in hosts}
    moved = [
        {"host": name, "before": before[name], "now": standing}
        for name, standing in now.items()
        if name in before and before[name] != standing
    ]
    return {
        "since": earlier["at"],
        "worse": [one for one in moved if worst([one["before"], one["now"]]) == one["now"]],
        "better": [one for one in moved if worst([one["before"], one["now"]]) == one["before"]],
        "appeared": [name for name in now if name not in before],
        "gone": [name for name in before if name not in now],
        "bytes": _bytes(hosts) - _bytes(earlier["hosts"]),
    }
