# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is wrong with the backups of a host: stable codes, how bad each is, and from which threshold on.

Pure functions of what ``_status`` found. The same codes stand in the check, the report, the alerts and the
notifications. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import typing as t
from dataclasses import dataclass, fields

from ._errors import StoreError
from ._retention import DAMAGED
from ._stack_settings import of_stack

if t.TYPE_CHECKING:
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
    """One thing that is not as it should be, of a stack or of the host as a whole."""

    code: str
    message: str
    stack: str | None = None

    @property
    def severity(self) -> str:
        return CODES[self.code]

    def described(self) -> dict[str, t.Any]:
        return {"code": self.code, "severity": self.severity, "message": self.message, "stack": self.stack}


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
        elif not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise StoreError(f"alerts: {name} is {value!r}, and has to be a number from 0 on.")
    return Alerts(**wanted)


def worst(problems: Iterable[Mapping[str, t.Any]]) -> str:
    """Return the standing that problems, as they are described, come to."""
    return max((problem["severity"] for problem in problems), key=_ORDER.index, default=FINE)


def of_backups(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> list[Problem]:
    """Return what is wrong with the backups of one stack at a moment of the host's clock."""
    return [Problem(code, f"Stack {status.stack}: {words}", status.stack) for code, words in _all(status, wanted, now)]


def _all(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> Iterator[tuple[str, str]]:
    if wanted.expect_backups:
        yield from _attempted(status)
        if not status.backups:
            yield "never", "there is no backup of it. Run crm.continuity.backup."
            return
        yield from _aged(status, wanted, now)
        yield from _proved(status, wanted, now)
    yield from _newest(status, wanted)


def _attempted(status: StackStatus) -> Iterator[tuple[str, str]]:
    attempt = status.attempt
    if attempt is not None and attempt.result in ("failed", "refused"):
        why = f": {attempt.message}" if attempt.message else "."
        yield "failed", f"the last try to back it up, at {told(attempt.at)}, failed{why}"


def _aged(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> Iterator[tuple[str, str]]:
    if status.restorable_to is None:
        yield "stale", "none of its backups is whole, so it cannot be restored. Run crm.continuity.backup now."
        return
    age = since(status.restorable_to, now)
    if wanted.max_age_hours and age > wanted.max_age_hours * 3600:
        yield (
            "stale",
            f"it can only be restored to {told(status.restorable_to)}, which is {span(age)} ago; "
            f"{wanted.max_age_hours:g} hours are allowed. Find out why nothing was backed up since, and run "
            "crm.continuity.backup.",
        )
    if wanted.max_clock_skew and -age > wanted.max_clock_skew:
        yield (
            "clock",
            f"its newest backup is of {told(status.restorable_to)}, which is in the future of this host. Set the "
            "clock (timedatectl), and take a new backup.",
        )


def _newest(status: StackStatus, wanted: Alerts) -> Iterator[tuple[str, str]]:
    latest = status.latest
    if latest is None:
        return
    if latest.word == DAMAGED:
        yield (
            "damaged",
            f"backup {latest.id} is damaged: {latest.damage}. Take a new one, and find out what happened to the disk.",
        )
        return
    if others := [entry.id for entry in status.history if entry.word == DAMAGED]:
        yield "damaged", f"{', '.join(others[:5])} cannot be restored. Run crm.continuity.verify to see why."
    if latest.anomalies and not latest.accepted:
        yield (
            "anomalous",
            f"backup {latest.id} is out of the ordinary: {' '.join(latest.anomalies[:3])} Look at the data; if all is "
            "as it should be, run crm.continuity.hold with hold_state=accepted.",
        )
    if latest.size is not None and latest.size < wanted.min_bytes and not latest.accepted:
        yield (
            "too_small",
            f"backup {latest.id} has {latest.size} bytes, and min_bytes is {wanted.min_bytes}. Look at what it holds "
            "(crm.continuity.backup_info), or set crm_alerts.min_bytes for this stack.",
        )
    if wanted.max_freeze_seconds and (latest.freeze_seconds or 0) > wanted.max_freeze_seconds:
        yield (
            "frozen_long",
            f"its services stood still for {latest.freeze_seconds:.1f} seconds for backup {latest.id}; "
            f"{wanted.max_freeze_seconds:g} are allowed. Look at the load and the disk of the host at that time.",
        )


def _proved(status: StackStatus, wanted: Alerts, now: datetime.datetime) -> Iterator[tuple[str, str]]:
    first = status.first_at or status.restorable_to
    verified = status.last_verified or first
    if wanted.max_unverified_days and verified and since(verified, now) > wanted.max_unverified_days * 86400:
        when = f"The last one was verified at {told(status.last_verified)}" if status.last_verified else "None ever was"
        yield (
            "unverified",
            f"no backup was verified in {wanted.max_unverified_days:g} days. {when}. Run crm.continuity.verify.",
        )
    drilled = status.last_drilled or (first if wanted.expect_drills else None)
    if wanted.max_undrilled_days and drilled and since(drilled, now) > wanted.max_undrilled_days * 86400:
        when = f"The last one was drilled at {told(status.last_drilled)}" if status.last_drilled else "None ever was"
        yield (
            "undrilled",
            f"no backup was restored for a proof in {wanted.max_undrilled_days:g} days. {when}. Run a drill.",
        )
    uploaded = status.last_uploaded or (first if wanted.expect_uploads else None)
    if status.last_uploaded and status.last_success and instant(status.last_success) < instant(status.last_uploaded):
        # There was nothing to copy since.
        uploaded = None
    if wanted.max_unuploaded_hours and uploaded and since(uploaded, now) > wanted.max_unuploaded_hours * 3600:
        when = f"since {told(status.last_uploaded)}" if status.last_uploaded else "ever"
        yield "not_uploaded", f"no backup was copied elsewhere {when}. Look at the last upload, and run it again."


def with_clock(
    status: Mapping[str, t.Any], asked: float, answered: float, given: Mapping[str, t.Any]
) -> dict[str, t.Any]:
    """Return the answer of a host with how its clock stands to ours; Unix times of our question and its arrival."""
    there = instant(status["at"]).timestamp()
    # The host tells no fractions.
    skew = there + 1 - asked if there + 1 < asked else max(there - answered, 0.0)
    limit = alerts({name: value for name, value in given.items() if value is not None}).max_clock_skew
    told = {**status, "clock_skew": round(skew)}
    if not limit or abs(skew) <= limit:
        return told
    words = (
        f"The clock of the host is {span(abs(skew))} {'ahead of' if skew > 0 else 'behind'} that of the control node. "
        "Set it (timedatectl set-ntp true): backups are named and aged by it."
    )
    problems = [*status["problems"], Problem("clock", words).described()]
    return {**told, "problems": problems, "standing": worst(problems)}


def told(moment: str | None) -> str:
    """Return a moment as it is said to people: to the minute, in UTC."""
    return f"{instant(moment):%Y-%m-%d %H:%M} UTC" if moment else "an unknown time"


def instant(moment: str) -> datetime.datetime:
    """Return the moment that an RFC 3339 time names; Python 3.10 does not know the Z."""
    return datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")).astimezone(datetime.timezone.utc)


def since(moment: str, now: datetime.datetime) -> float:
    """Return the seconds that have gone by."""
    return (now - instant(moment)).total_seconds()


def span(seconds: float) -> str:
    """Return a duration as it is said to people."""
    if seconds < 180:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.0f} hours" if seconds < 172800 else f"{seconds / 86400:.0f} days"
