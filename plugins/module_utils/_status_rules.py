# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the backups of a host: stable codes, how bad each is, and from which threshold on.

Pure functions of what ``_status`` found. The same codes stand in the check, the report, the alerts and the
notifications. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field, fields

from ._errors import StoreError
from ._retention import DAMAGED
from ._stack_settings import of_stack
from ._status_words import TEXTS, instant, say, since

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Iterator, Mapping

    from ._status import StackStatus

FINE, WARNING, CRITICAL = "ok", "warning", "critical"
_ORDER = (FINE, WARNING, CRITICAL)

# How bad each is. The last ones are found on the control node, of a host that did not answer as it should.
CODES: Mapping[str, str] = {
    "stale": CRITICAL,
    "failed": CRITICAL,
    "never": CRITICAL,
    "too_small": CRITICAL,
    "anomalous": WARNING,
    "damaged": CRITICAL,
    "unverified": WARNING,
    "undrilled": WARNING,
    "not_uploaded": WARNING,
    "disk_warning": WARNING,
    "disk_critical": CRITICAL,
    "frozen_long": WARNING,
    "clock": CRITICAL,
    "engine": CRITICAL,
    "log": CRITICAL,
    "schedule_dead": CRITICAL,
    "schedule_missed": WARNING,
    "versions": WARNING,
    "uncovered": WARNING,
    "half_installed": CRITICAL,
    "unreachable": CRITICAL,
    "password": CRITICAL,
    "broken": CRITICAL,
}


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be, of a stack or of the host as a whole.

    ``says`` names the text of the message in _status_words, and ``facts`` is what is filled in there; None where
    others have found the words.
    """

    code: str
    message: str
    stack: str | None = None
    says: str | None = None
    facts: Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def severity(self) -> str:
        return CODES[self.code]

    def described(self) -> dict[str, t.Any]:
        return {
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "stack": self.stack,
            "says": self.says,
            "facts": dict(self.facts),
        }


def problem(code: str, says: str, facts: Mapping[str, t.Any], stack: str | None = None) -> Problem:
    """Return a problem with the message that its text and its facts make."""
    return Problem(code, say(TEXTS[says], facts), stack, says, facts)


@dataclass(frozen=True)
class Alerts:
    """Thresholds; 0 turns one off.

    A nightly run is not done at the same minute every night, so ``max_age_hours`` is a little more than a day.
    ``expect_drills`` and ``expect_uploads`` also ask for what a stack never had; without them, only a stack that was
    ever drilled or uploaded is told when that has stopped. Without ``expect_backups``, the stack is given up: only
    what is wrong with the backups that it has is told.
    """

    max_age_hours: float = 26
    min_bytes: int = 1 << 20
    max_unverified_days: float = 8
    max_undrilled_days: float = 30
    max_unuploaded_hours: float = 26
    disk_warn: float = 80
    disk_critical: float = 90
    max_freeze_seconds: float = 5
    max_clock_skew: float = 60
    expect_backups: bool = True
    expect_drills: bool = False
    expect_uploads: bool = False


NORMAL = Alerts()


def alerts(given: Mapping[str, t.Any], stack: str = "") -> Alerts:
    """Return the thresholds for a stack: those that are given, and over them those given for it in ``stacks``.

    Raises StoreError for what makes no sense.
    """
    stacks = given.get("stacks") or {}
    if not isinstance(stacks, dict) or not all(isinstance(one, dict) for one in stacks.values()):
        raise StoreError("alerts: stacks has to hold thresholds by name of a stack, as in {crm: {max_age_hours: 30}}.")
    wanted = of_stack(given, stack)
    types = {field.name: type(field.default) for field in fields(Alerts)}
    for name, value in wanted.items():
        if name not in types:
            raise StoreError(f"alerts has no threshold {name}. It has {', '.join(types)} and stacks.")
        if types[name] is bool:
            if not isinstance(value, bool):
                raise StoreError(f"alerts: {name} is {value!r}, and has to be true or false.")
        elif not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
            raise StoreError(f"alerts: {name} is {value!r}, and has to be a number from 0 on.")
    return Alerts(**wanted)


def worst(problems: Iterable[Mapping[str, t.Any]]) -> str:
    """Return the standing that problems, as they are described, come to."""
    return max((problem["severity"] for problem in problems), key=_ORDER.index, default=FINE)


def of_backups(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> list[Problem]:
    """Return what is wrong with the backups of one stack at a moment of the host's clock."""
    return [
        Problem(code, f"Stack {status.stack}: {say(TEXTS[says], facts)}", status.stack, says, facts)
        for code, says, facts in _all(status, wanted, now)
    ]


# The code of a problem, the name of its text, and the facts in that.
Found = tuple[str, str, dict[str, t.Any]]


def _all(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> Iterator[Found]:
    if wanted.expect_backups:
        yield from _attempted(status)
        if not status.backups:
            yield "never", "never", {}
            return
        yield from _aged(status, wanted, now)
        yield from _proved(status, wanted, now)
    yield from _newest(status, wanted)


def _attempted(status: StackStatus) -> Iterator[Found]:
    attempt = status.attempt
    if attempt is not None and attempt.result in ("failed", "refused"):
        if attempt.message:
            yield "failed", "failed", {"at": attempt.at, "error": attempt.message}
        else:
            yield "failed", "failed_silently", {"at": attempt.at}


def _aged(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> Iterator[Found]:
    point = status.restorable_to
    if point is None:
        yield "stale", "stale_without_any", {}
        return
    age = since(point, now)
    if wanted.max_age_hours and age > wanted.max_age_hours * 3600:
        yield "stale", "stale", {"at": point, "age": round(age), "limit": wanted.max_age_hours}
    if wanted.max_clock_skew and -age > wanted.max_clock_skew:
        yield "clock", "clock_of_backup", {"at": point}


def _newest(status: StackStatus, wanted: Alerts) -> Iterator[Found]:
    latest = status.latest
    if latest is None:
        return
    if latest.word == DAMAGED:
        yield "damaged", "damaged", {"id": latest.id, "error": latest.damage}
        return
    if status.damaged:
        yield "damaged", "damaged_before", {"ids": ", ".join(status.damaged)}
    if latest.anomalies and not latest.accepted:
        yield "anomalous", "anomalous", {"id": latest.id, "anomalies": " ".join(latest.anomalies[:3])}
    if latest.size is not None and latest.size < wanted.min_bytes and not latest.accepted:
        yield "too_small", "too_small", {"id": latest.id, "size": latest.size, "limit": wanted.min_bytes}
    if wanted.max_freeze_seconds and (latest.freeze_seconds or 0) > wanted.max_freeze_seconds:
        facts = {"id": latest.id, "seconds": latest.freeze_seconds, "limit": wanted.max_freeze_seconds}
        yield "frozen_long", "frozen_long", facts


def _proved(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> Iterator[Found]:
    first = status.first_at or status.restorable_to
    verified = status.last_verified or first
    if wanted.max_unverified_days and verified and since(verified, now) > wanted.max_unverified_days * 86400:
        yield _missed("unverified", status.last_verified, limit=wanted.max_unverified_days)
    drilled = status.last_drilled or (first if wanted.expect_drills else None)
    if wanted.max_undrilled_days and drilled and since(drilled, now) > wanted.max_undrilled_days * 86400:
        yield _missed("undrilled", status.last_drilled, limit=wanted.max_undrilled_days)
    uploaded = status.last_uploaded or (first if wanted.expect_uploads else None)
    if status.last_uploaded and status.last_success and instant(status.last_success) < instant(status.last_uploaded):
        # There was nothing to copy since.
        uploaded = None
    if wanted.max_unuploaded_hours and uploaded and since(uploaded, now) > wanted.max_unuploaded_hours * 3600:
        yield _missed("not_uploaded", status.last_uploaded)


def _missed(code: str, last: str | None, **facts: float) -> Found:
    """Return what is said of something that is to be done regularly, and was done last at a time or never."""
    return (code, code, {"at": last, **facts}) if last else (code, f"{code}_ever", facts)


def with_clock(
    status: Mapping[str, t.Any], asked: float, answered: float, given: Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """Return the answer of a host with how its clock stands to ours; Unix times of our question and its arrival."""
    there = instant(status["at"]).timestamp()
    # The host tells no fractions.
    skew = there + 1 - asked if there + 1 < asked else max(there - answered, 0.0)
    limit = alerts({name: value for name, value in given.items() if value is not None}).max_clock_skew
    answer = {**status, "clock_skew": round(skew)}
    if not limit or abs(skew) <= limit:
        return answer
    found = problem("clock", "clock_ahead" if skew > 0 else "clock_behind", {"skew": round(abs(skew))})
    problems = [*status["problems"], found.described()]
    return {**answer, "problems": problems, "standing": worst(problems)}
