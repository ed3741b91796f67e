# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as CSV (RFC 4180), one line for every stack of every host.

A spreadsheet runs a cell that begins like a formula. Such a text gets an apostrophe in front, which spreadsheets take
as "this is text". Runs on the control node. Private to this collection.
"""

from __future__ import annotations

import csv
import io
import typing as t

from ..module_utils._status_words import instant
from ._report_document import problems_of, standing_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COLUMNS = (
    "host",
    "stack",
    "standing",
    "restorable_to",
    "verified_to",
    "backup",
    "size",
    "seconds",
    "freeze_seconds",
    "files",
    "rows",
    "backups",
    "bytes",
    "last_success",
    "last_verified",
    "last_drilled",
    "last_uploaded",
    "attempt_at",
    "attempt_result",
    "disk_percent",
    "next_run",
    "problems",
    "messages",
)

# What makes a formula in one program or another, also in the wide forms of East Asian keyboards.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def render(document: Mapping[str, t.Any]) -> str:
    """Return the content of report.csv."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in _rows(document):
        writer.writerow([cell(row.get(name)) for name in COLUMNS])
    return text.getvalue()


def cell(value: object) -> object:
    """Return a value as it may stand in a spreadsheet."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    # On one line, and without what a terminal or a parser would act on.
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    return f"'{line}" if line.startswith(FORMULA) else line


def _rows(document: Mapping[str, t.Any]) -> Iterator[dict[str, t.Any]]:
    for host in document["hosts"]:
        timers = (host.get("schedule") or {}).get("timers") or []
        for stack in host["stacks"] or [None]:
            told = stack or {}
            latest, attempt = told.get("latest") or {}, told.get("attempt") or {}
            problems = problems_of(host, told.get("stack"))
            yield {
                **{name: value for name, value in {**latest, **told}.items() if name in COLUMNS},
                "host": host["name"],
                "standing": standing_of(host, stack),
                "backup": latest.get("id"),
                "attempt_at": attempt.get("at"),
                "attempt_result": attempt.get("result"),
                "disk_percent": (host.get("disk") or {}).get("percent"),
                "next_run": min((one["next"] for one in timers if one.get("next")), key=instant, default=None),
                "problems": " ".join(one["code"] for one in problems),
                "messages": " | ".join(one["message"] for one in problems),
            }
