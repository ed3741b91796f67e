# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take what hosts said of themselves as the report reads it, and let no host be missing.

Whoever said nothing, or something that cannot be read, is a host with a problem. What a host says may be hostile or of
another version of the collection: nothing is believed beyond its type. Runs on the control node.
Private to this collection.
"""

from __future__ import annotations

import math
import typing as t

from ..module_utils._status import MOST_FAILURES, MOST_HISTORY
from ..module_utils._status_rules import CRITICAL, FINE, WARNING
from ..module_utils._status_words import instant
from ._host_status import of_result

if t.TYPE_CHECKING:
    from collections.abc import Mapping

STANDINGS = (FINE, WARNING, CRITICAL)
# Problems that say why there is nothing else to say of a host.
SILENT = frozenset({"unreachable", "password", "half_installed", "broken"})

# No answer of ours is deeper; one that is was made to bring down who reads it.
DEEPEST = 20
MOST_PROBLEMS = 200

# What the report reads of a status. A question mark: may be null or missing.
_PAST = {"id": "text", "cut_at": "time", "size": "number?", "seconds": "number?", "freeze_seconds": "number?"}
_LATEST = {**_PAST, "files": "number?", "rows": "number?", "encryption": "text?", "held": "text?", "word": "text?"}
_STACK = {
    "stack": "text",
    "standing": "standing",
    "restorable_to": "time?",
    "verified_to": "time?",
    "last_success": "time?",
    "last_verified": "time?",
    "last_drilled": "time?",
    "last_uploaded": "time?",
    "backups": "number?",
    "bytes": "number?",
    "latest": ({**_LATEST, "signed": "truth?"}, "?"),
    "attempt": ({"at": "time", "result": "text", "message": "text?"}, "?"),
    "history": [{**_PAST, "word": "text?"}],
    "failures": [{"at": "time", "action": "text?", "message": "text?"}],
}
_PROBLEM = {"code": "text", "severity": "standing", "message": "text", "stack": "text?"}
STATUS: t.Any = {
    "host": "text?",
    "at": "time?",
    "collection": "text?",
    "standing": "standing",
    "disk": ({"percent": "number"}, "?"),
    "schedule": ({"timers": [{"name": "text", "next": "time?", "last": "time?", "result": "text?"}]}, "?"),
    "problems": [_PROBLEM],
    "stacks": [_STACK],
}


def answer(hostvars: t.Any, host: str, variable: str) -> object:
    """Return what a host said; without that the error that kept it from being asked, if that is known."""
    if host not in hostvars:
        return None
    # A fact holds no templates. To look for some in those of a thousand hosts takes longer than all of the report.
    known = hostvars.raw_get(host)
    status = known.get(variable)
    failure = known.get("ansible_failed_result")
    if status is None and isinstance(failure, dict):
        return of_result(plain(failure), host)
    # Now, and not when all are there: Ansible's own types take several times the space.
    return None if status is None else plain(status)


def read(name: str, status: object) -> dict[str, t.Any]:
    """Return what a host said, or what is to be said of it when that is nothing or cannot be read."""
    if status is None:
        return _silent(name, {})
    told = plain(status)
    wrong = misfit(told, STATUS)
    if wrong is None:
        return _bounded(told)
    return _silent(name, {"msg": f"its answer cannot be read, because {wrong}; its collection may be another"})


def _bounded(told: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a status with no more of what there may be much of than a host of ours tells."""
    if len(told["problems"]) > MOST_PROBLEMS:
        worst_first = sorted(told["problems"], key=lambda one: -STANDINGS.index(one["severity"]))
        told["problems"] = worst_first[:MOST_PROBLEMS]
    for stack in told["stacks"]:
        stack["history"], stack["failures"] = stack["history"][-MOST_HISTORY:], stack["failures"][:MOST_FAILURES]
    return told


def _silent(name: str, result: dict[str, t.Any]) -> dict[str, t.Any]:
    # Nobody said it at a certain time.
    return {**of_result(result, name), "at": None}


def did_not_answer(status: Mapping[str, t.Any]) -> bool:
    """Return whether nothing is known of the stacks of a host."""
    return not status["stacks"] and any(problem["code"] in SILENT for problem in status["problems"])


def worst(standings: t.Iterable[str]) -> str:
    """Return the worst of some standings."""
    return max(standings, key=STANDINGS.index, default=FINE)


def plain(value: t.Any, depth: int = 0) -> t.Any:
    """Return a value with nothing but the types of JSON in it; Ansible's own carry tags and templates.

    What JSON has no word for, or what lies too deep, becomes null.
    """
    if isinstance(value, (dict, list, tuple)) and depth == DEEPEST:
        return None
    if isinstance(value, dict):
        return {_text(key): plain(entry, depth + 1) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, depth + 1) for entry in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return _text(value)


def _text(value: object) -> str:
    # Half of a surrogate pair cannot be written as UTF-8.
    return str(value).encode("utf-8", "replace").decode("utf-8")


def misfit(value: t.Any, shape: t.Any, path: str = "") -> str | None:
    """Return where a value is not of a shape, or None."""
    if isinstance(shape, tuple):
        return None if value is None else misfit(value, shape[0], path)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{path} is no list"
        return next((wrong for i, one in enumerate(value) if (wrong := misfit(one, shape[0], f"{path}[{i}]"))), None)
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return f"{path or 'it'} is no dictionary"
        entries = ((value.get(name), inner, f"{path}.{name}".lstrip(".")) for name, inner in shape.items())
        return next((wrong for one, inner, where in entries if (wrong := misfit(one, inner, where))), None)
    kind = shape.rstrip("?")
    if value is None:
        return None if shape != kind else f"{path} is missing"
    return None if _is(kind, value) else f"{path} is no {kind}"


def _is(kind: str, value: object) -> bool:
    if kind == "number":
        # Beyond that, no number of ours is one, and what is made of it overflows.
        return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e18
    if kind == "truth":
        return isinstance(value, bool)
    if not isinstance(value, str):
        return False
    if kind == "standing":
        return value in STANDINGS
    if kind == "time":
        try:
            # Beyond these, a moment has no time in some zones.
            return 1970 <= instant(value).year < 9999
        except (ValueError, OverflowError):
            return False
    return True
