# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the report of a fleet: one page, the same as JSON, and the same as CSV.

The three are of one moment, and each replaces the last one in a single step. Runs on the control node.
Private to this collection.
"""

from __future__ import annotations

import json
import os
import typing as t
from dataclasses import dataclass

from ..module_utils._errors import ContinuityError
from ..module_utils._files import partial_file, write_all
from ..module_utils._status_rules import CRITICAL, FINE, WARNING
from ..module_utils._status_words import instant
from . import _report_csv, _report_page
from ._report_document import build, misread
from ._report_status import STANDINGS, read
from ._report_words import Clock, zone_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

PAGE, DOCUMENT, TABLE = "report.html", "report.json", "report.csv"
# Of so many hosts the result says what is wrong; the files say it of all.
MOST_WORST = 10


@dataclass(frozen=True)
class Request:
    """What to report, and where; ``statuses`` are those of the module backup_status, or None, by the host's name.

    ``asked`` is the language that was asked for, maybe auto, and ``language`` what is taken where no browser can tell.
    """

    directory: str
    statuses: Mapping[str, object]
    at: str
    timezone: str = ""
    asked: str = "auto"
    language: str = "en"
    title: str = ""
    mode: int = 0o600


@dataclass(frozen=True)
class Plan:
    """The files as they have to be, the names of those that are not so yet, and the report as data."""

    contents: Mapping[str, bytes]
    differing: tuple[str, ...]
    document: Mapping[str, t.Any]
    warning: str | None


def plan(request: Request) -> Plan:
    """Draw up the report and compare it with what is there; writes nothing. Raises ContinuityError."""
    try:
        at = instant(request.at)
    except ValueError:
        raise ContinuityError(
            f"The date of the report is {request.at}. Give it as in 2026-11-21T06:00:00-03:00 or 2026-11-21T09:00:00Z."
        ) from None
    clock = Clock(zone_of(request.timezone), at)
    earlier, warning = _earlier(os.path.join(request.directory, DOCUMENT))
    statuses = {name: read(name, status) for name, status in request.statuses.items()}
    document = build(statuses, at.isoformat(timespec="seconds"), clock.name, earlier)
    page = _report_page.render(document, clock, title=request.title, language=request.language, asked=request.asked)
    contents = {
        PAGE: page.encode(),
        DOCUMENT: (json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n").encode(),
        TABLE: _report_csv.render(document).encode(),
    }
    differing = tuple(
        name
        for name, content in contents.items()
        if not _is(os.path.join(request.directory, name), content, request.mode)
    )
    return Plan(contents, differing, document, warning)


def apply(request: Request, planned: Plan) -> None:
    """Write what differs. The page comes last: it is there only with what it says. Raises OSError."""
    if planned.differing:
        os.makedirs(request.directory, mode=0o700, exist_ok=True)
    for name in sorted(planned.differing, key=(TABLE, DOCUMENT, PAGE).index):
        with partial_file(os.path.join(request.directory, name)) as descriptor:
            os.fchmod(descriptor, request.mode)
            write_all(descriptor, planned.contents[name])


def worst_hosts(document: Mapping[str, t.Any]) -> list[dict[str, t.Any]]:
    """Return the hosts that stand worst, with the worst problem of each."""
    bad = [host for host in document["hosts"] if host["standing"] != FINE]
    bad.sort(key=lambda host: -STANDINGS.index(host["standing"]))
    found = []
    for host in bad[:MOST_WORST]:
        problem = max(host["problems"], key=lambda one: STANDINGS.index(one["severity"]), default=None)
        found.append(
            {
                "host": host["name"],
                "standing": host["standing"],
                "code": problem and problem["code"],
                "message": problem and problem["message"],
            }
        )
    return found


def summary_line(document: Mapping[str, t.Any]) -> str:
    """Return the report in one line."""
    hosts, stacks = document["summary"]["hosts"], document["summary"]["stacks"]
    said = f"Servers: {hosts[CRITICAL]} critical, {hosts[WARNING]} warning, {hosts[FINE]} ok"
    if hosts["silent"]:
        said += f"; nothing is known of {hosts['silent']}"
    if without := stacks["total"] - stacks["restorable"]:
        said += f". Stacks that cannot be restored: {without} of {stacks['total']}"
    oldest = document["summary"]["oldest_restorable"]
    if oldest:
        said += f". Oldest restorable point: {oldest['at']} ({oldest['host']}, {oldest['stack']})"
    return f"{said}."


def _earlier(path: str) -> tuple[dict[str, t.Any] | None, str | None]:
    """Return the last report, or why it cannot be compared with."""
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except FileNotFoundError:
        return None, None
    except (OSError, ValueError, RecursionError) as exc:
        wrong: str | None = str(exc)
    else:
        wrong = misread(document)
        if wrong is None:
            return document, None
    return None, f"{path} is not compared with, and is replaced: {wrong}."


def _is(path: str, content: bytes, mode: int) -> bool:
    try:
        with open(path, "rb") as file:
            return os.fstat(file.fileno()).st_mode & 0o7777 == mode and file.read() == content
    except FileNotFoundError:
        return False
