# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a timer is due: the calendar expressions of systemd, as far as backups need them, for every host alike.

``systemd.time(7)`` describes them. A host without systemd has nobody else who could read them, and with systemd it is
this that tells which runs were missed. What is not understood is refused and never guessed at: seconds with a fraction
and days counted from the end of a month. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import itertools
import re
import typing as t
import zoneinfo
from dataclasses import dataclass

from ._errors import StoreError

if t.TYPE_CHECKING:
    from collections.abc import Iterator

UTC = datetime.timezone.utc
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SHORTHANDS = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
    "annually": "*-01-01 00:00:00",
}
YEARS = (1970, 2199)
# A day such as 29 February comes round within eight years.
HORIZON = datetime.timedelta(days=8 * 366 + 1)

_DATE = re.compile(r"(?:([^-\s]+)-)?([^-\s]+)-([^-\s]+)")
_TIME = re.compile(r"([^:\s]+):([^:\s]+)(?::([^:\s]+))?")
_PART = re.compile(r"(\*)|(\d+)(?:\.\.(\d+))?(?:/(\d+))?")


@dataclass(frozen=True)
class Calendar:
    """A calendar expression; ``zone`` is None for the time of the host."""

    text: str
    weekdays: frozenset[int]
    years: frozenset[int]
    months: frozenset[int]
    days: frozenset[int]
    times: tuple[datetime.time, ...]
    zone: zoneinfo.ZoneInfo | datetime.timezone | None

    def after(self, moment: datetime.datetime) -> datetime.datetime | None:
        """Return the first time later than ``moment``, in UTC, or None when there is none within eight years."""
        return next(self._from(moment), None)

    def between(self, begin: datetime.datetime, end: datetime.datetime, limit: int = 1000) -> list[datetime.datetime]:
        """Return the times later than ``begin`` and not later than ``end``, in UTC, the first ``limit`` of them."""
        found = itertools.takewhile(lambda moment: moment <= end, self._from(begin))
        return list(itertools.islice(found, limit))

    def _from(self, begin: datetime.datetime) -> Iterator[datetime.datetime]:
        # One day earlier: where clocks are set back, a day is longer than its hours.
        first = begin.astimezone(self.zone).date() - datetime.timedelta(days=1)
        for number in range(HORIZON.days):
            day = first + datetime.timedelta(days=number)
            if (
                day.weekday() in self.weekdays
                and day.year in self.years
                and day.month in self.months
                and day.day in self.days
            ):
                for time in self.times:
                    moment = self._moment(datetime.datetime.combine(day, time))
                    if moment is not None and moment > begin:
                        yield moment

    def _moment(self, local: datetime.datetime) -> datetime.datetime | None:
        aware = local.astimezone(UTC) if self.zone is None else local.replace(tzinfo=self.zone).astimezone(UTC)
        # Where clocks are set forward, an hour does not exist.
        return aware if aware.astimezone(self.zone).replace(tzinfo=None) == local else None


def parse(text: str) -> Calendar:
    """Read an expression; raise StoreError that says what is wrong with it."""
    words = text.split()
    zone: zoneinfo.ZoneInfo | datetime.timezone | None = None
    if len(words) > 1 and re.match(r"[A-Za-z]", words[-1]) and words[-1].lower() not in SHORTHANDS:
        named = _zone(words[-1])
        if named is not None:
            zone, words = named, words[:-1]
    if len(words) == 1 and words[0].lower() in SHORTHANDS:
        words = SHORTHANDS[words[0].lower()].split()
    try:
        weekdays = _weekdays(words.pop(0)) if words and re.match(r"[A-Za-z]", words[0]) else frozenset(range(7))
        date = _DATE.fullmatch(words[0]) if words else None
        if date:
            words.pop(0)
        year, month, day = date.groups() if date else ("*", "*", "*")
        time = _TIME.fullmatch(words[0]) if words else None
        if time:
            words.pop(0)
        hour, minute, second = time.groups() if time else ("0", "0", "0")
        if words or not text.split():
            raise ValueError(f"{' '.join(words) or 'nothing'!r} is neither weekdays, a date, a time nor a time zone")
        return Calendar(
            text=text,
            weekdays=weekdays,
            years=_field("year", year or "*", *YEARS),
            months=_field("month", month, 1, 12),
            days=_field("day", day, 1, 31),
            times=tuple(
                datetime.time(*parts)
                for parts in itertools.product(
                    sorted(_field("hour", hour, 0, 23)),
                    sorted(_field("minute", minute, 0, 59)),
                    sorted(_field("second", second or "0", 0, 59)),
                )
            ),
            zone=zone,
        )
    except ValueError as exc:
        raise StoreError(
            f"{text!r} is no calendar expression: {exc}. Write it as systemd.time(7) does, such as *-*-* 02:00:00 or "
            "Sun *-*-* 01:00:00 America/Sao_Paulo."
        ) from exc


def _zone(name: str) -> zoneinfo.ZoneInfo | datetime.timezone | None:
    if name == "UTC":
        return UTC
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _weekdays(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        begin, dots, end = part.partition("..")
        first = _weekday(begin)
        last = _weekday(end) if dots else first
        if last < first:
            raise ValueError(f"{part!r} ends before it begins; a week begins on Monday")
        found.update(range(first, last + 1))
    return frozenset(found)


def _weekday(word: str) -> int:
    for number, name in enumerate(WEEKDAYS):
        if word.lower() in (name, name[:3]):
            return number
    raise ValueError(f"{word!r} is neither a weekday nor a time zone of this host")


def _field(name: str, text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            # cron knows it. systemd does not, and would refuse the timer.
            hint = ": a step begins with a number, as in 0/15" if part.startswith("*/") else ""
            raise ValueError(f"{part!r} is no {name}{hint}")
        star, begin, end, step = match.groups()
        first = low if star else int(begin)
        # With a step and no end, it goes on to the greatest value there is.
        last = int(end) if end else (high if star or step else first)
        if not low <= first <= last <= high or step == "0":
            raise ValueError(f"{part!r} is no {name} from {low} to {high}")
        found.update(range(first, last + 1, int(step or 1)))
    return frozenset(found)
