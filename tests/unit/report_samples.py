# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statuses of hosts as backup_status tells them, for tests of the report: a few of every kind, or a thousand."""

from __future__ import annotations

import datetime
from typing import Any

NOW = datetime.datetime(2026, 11, 21, 9, 0, tzinfo=datetime.timezone.utc)
AT = NOW.isoformat()
ZONE = "America/Sao_Paulo"

# Names and messages that would be more than text to a page that is not careful.
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
HOSTILE_END = "</script><script>document.title='owned'</script>"
HOSTILE_QUOTES = "\" autofocus onfocus=document.title='owned' x='"


def ago(**parts: float) -> str:
    """Return a time before the report."""
    return (NOW - datetime.timedelta(**parts)).isoformat()


def problem(code: str, severity: str, message: str, stack: str | None = None, **more: Any) -> dict[str, Any]:
    return {"code": code, "severity": severity, "message": message, "stack": stack, "says": None, "facts": {}, **more}


def past(hours: float, number: int = 0, word: str = "verified", size: int = 180_000_000) -> dict[str, Any]:
    """Return one backup of a history; ``number`` makes it differ from the others."""
    cut = NOW - datetime.timedelta(hours=hours)
    return {
        "id": f"{cut:%Y%m%dT%H%M%SZ}",
        "cut_at": cut.isoformat(),
        "size": size + number * 1_300_000 + (number * 7919) % 900_000,
        "seconds": round(62 + (number * 37) % 23 + number / 10, 1),
        "freeze_seconds": round(0.08 + (number * 13) % 7 / 100, 3),
        "files": 16_000 + number * 12,
        "rows": 90_000 + number * 310,
        "word": word,
    }


def stack(
    name: str = "crm", *, hours: float = 4, days: int = 30, size: int = 180_000_000, **changes: Any
) -> dict[str, Any]:
    """Return a stack with a backup each night, the newest so many hours ago."""
    history = [past(hours + 24 * (days - 1 - number), number, size=size) for number in range(days)]
    newest = history[-1] if history else None
    told: dict[str, Any] = {
        "stack": name,
        "profiles": ["chatwoot", "evolution"],
        "standing": "ok",
        "restorable_to": newest and newest["cut_at"],
        "verified_to": newest and newest["cut_at"],
        "latest": newest
        and {
            **newest,
            "finished_at": newest["cut_at"],
            "anomalies": [],
            "remarks": 0,
            "encryption": "age",
            "signed": True,
            "held": None,
            "verified_at": newest["cut_at"],
            "drilled_at": None,
            "uploaded_at": None,
        },
        "attempt": newest and {"at": newest["cut_at"], "result": "ok", "message": None, "backup": newest["id"]},
        "last_success": newest and newest["cut_at"],
        "last_verified": newest and newest["cut_at"],
        "last_drilled": None,
        "last_uploaded": None,
        "previous_result": "ok",
        "backups": days,
        "bytes": sum(one["size"] for one in history),
        "held": 0,
        "history": history,
        "failures": [],
    }
    return {**told, **changes}


def status(*stacks: dict[str, Any], problems: tuple[dict[str, Any], ...] = (), **changes: Any) -> dict[str, Any]:
    """Return what a host says of itself."""
    order = ("ok", "warning", "critical")
    for one in stacks:
        own = [problem["severity"] for problem in problems if problem["stack"] == one["stack"]]
        one["standing"] = max([one["standing"], *own], key=order.index)
    told: dict[str, Any] = {
        "host": "node-1",
        "at": AT,
        "clock_skew": 0.2,
        "collection": "0.1.0",
        "installed": None,
        "engine": {"ok": True, "version": "27.1.0", "message": None},
        "root": "/var/backups/crm",
        "disk": {"path": "/var/backups", "total": 10**12, "used": 41 * 10**10, "free": 59 * 10**10, "percent": 41.0},
        "schedule": None,
        "standing": max((one["severity"] for one in problems), key=order.index, default="ok"),
        "problems": list(problems),
        "stacks": list(stacks),
    }
    return {**told, **changes}


def timer(name: str, **changes: Any) -> dict[str, Any]:
    """Return a timer that is due in an hour, and ran 23 hours ago."""
    return {"name": name, "next": ago(hours=-1), "last": ago(hours=23), "result": "ok", **changes}


def unreachable(message: str = "Failed to connect to the host via ssh: Connection timed out") -> dict[str, Any]:
    found = problem("unreachable", "critical", message)
    return status(problems=(found,), disk=None, engine=None, host=None, at=None)


def five() -> dict[str, dict[str, Any]]:
    """Return a small fleet in which something of every kind is to be seen."""
    failed = (
        "pg_dump ended with 1: could not connect to server: Connection refused. Start PostgreSQL, and run it again."
    )
    late = stack("crm", hours=55, size=2_400_000_000)
    late["failures"] = [
        {"at": ago(hours=7), "action": "backup", "message": failed},
        {"at": ago(hours=31), "action": "backup", "message": failed},
    ]
    late["attempt"] = {"at": ago(hours=7), "result": "failed", "message": failed, "backup": None}
    odd = stack("ticketz", hours=6, size=640_000_000, last_verified=ago(days=10), last_drilled=ago(days=12))
    odd["history"][-1]["word"] = "anomalous"
    odd["history"][-9]["word"] = "damaged"
    return {
        "crm-1": status(stack(), stack("ticketz", hours=4.1, size=64_000_000, last_drilled=ago(days=2)), host="crm-1"),
        "crm-2": status(stack(size=510_000_000, hours=3.9), host="crm-2"),
        "crm-3": status(
            late,
            stack("ticketz", size=71_000_000),
            problems=(
                problem("failed", "critical", f"Stack crm: the last try to back it up failed: {failed}", "crm"),
                problem(
                    "stale",
                    "critical",
                    "Stack crm: it can only be restored to 2026-11-19 02:00 UTC, which is 2 days ago; 26 hours are "
                    "allowed. Find out why nothing was backed up since, and run crm.continuity.backup.",
                    "crm",
                    says="stale",
                    facts={"at": "2026-11-19T02:00:00+00:00", "age": 198000, "limit": 26},
                ),
                problem("disk_warning", "warning", "/var/backups is 84 % full. Prune, or make room."),
            ),
            host="crm-3",
            disk={"percent": 84.0},
            schedule={"timers": [timer("backup", result="failed"), timer("verify", next=None)], "problems": []},
        ),
        "crm-4": status(
            odd,
            problems=(
                problem("anomalous", "warning", "Stack ticketz: its newest backup is out of the ordinary.", "ticketz"),
                problem("unverified", "warning", "Stack ticketz: no backup was verified in 8 days.", "ticketz"),
            ),
            host="crm-4",
        ),
        "crm-10": unreachable(),
    }


def many(count: int = 1000) -> dict[str, dict[str, Any]]:
    """Return a large fleet with two stacks on each host, and something wrong with one in twenty."""
    fleet: dict[str, dict[str, Any]] = {}
    for number in range(1, count + 1):
        name = f"crm-{number:04d}.example.com"
        first = stack("crm", hours=4 + number % 60 / 60, size=150_000_000 + number * 1_100_000)
        second = stack("ticketz", hours=4 + number % 50 / 60, size=40_000_000 + number * 90_000)
        if number % 97 == 0:
            fleet[name] = unreachable(f"ssh: connect to host {name} port 22: No route to host")
        elif number % 41 == 0:
            failure = "No space left on device below /var/backups/crm. Make room or prune, and run the backup again."
            first["failures"] = [{"at": ago(hours=hours), "action": "backup", "message": failure} for hours in (7, 31)]
            found = problem("failed", "critical", f"Stack crm: the last try to back it up failed: {failure}", "crm")
            fleet[name] = status(first, second, problems=(found,), host=name)
        elif number % 33 == 0:
            found = problem("disk_warning", "warning", "/var/backups is 83 % full. Prune, or make room.")
            fleet[name] = status(first, second, problems=(found,), host=name)
        else:
            fleet[name] = status(first, second, host=name)
    return fleet
