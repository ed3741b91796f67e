# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the report says things: its words in two languages, times, sizes and durations.

All that is not a word reads the same in both languages but for the sign before the decimals, which the page exchanges.
Runs on the control node. Private to this collection.
"""

from __future__ import annotations

import datetime
import os
import typing as t
import zoneinfo
from dataclasses import dataclass

import yaml

from ..module_utils._errors import ContinuityError
from ..module_utils._status_words import instant
from ._problem_words import labels

if t.TYPE_CHECKING:
    from collections.abc import Mapping

SOURCES = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "report"))
ENGLISH, PORTUGUESE = "en", "pt-BR"
LANGUAGES = (ENGLISH, PORTUGUESE)

NOTHING = "\u2013"
_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


@dataclass(frozen=True)
class Moment:
    """A moment as it is said: in the zone of the report, and in UTC as briefly as that zone allows."""

    local: str
    utc: str
    # Minutes of the clock on the wall since 1970, which is what the page counts in.
    minutes: int


class Clock:
    """Says moments in one zone, and how long before the report they were."""

    def __init__(self, zone: datetime.tzinfo | None, at: datetime.datetime) -> None:
        # Without one it is that of the control node, whatever it is called.
        self.zone = zone
        self.at = at
        # Each is said several times, and a thousand servers have 60,000 of them.
        self._said: dict[str, Moment] = {}

    @property
    def name(self) -> str:
        """Return the zone as it is called, with its offset at the time of the report."""
        local = self.at.astimezone(self.zone)
        sign_and_digits = f"{local:%z}"
        offset = f"UTC{sign_and_digits[:3]}:{sign_and_digits[3:5]}"
        name = getattr(self.zone, "key", None)
        return f"{name} ({offset})" if name else offset

    def moment(self, rfc3339: str) -> Moment:
        """Return a moment as it is said."""
        if rfc3339 not in self._said:
            self._said[rfc3339] = self._moment(instant(rfc3339))
        return self._said[rfc3339]

    def ago(self, rfc3339: str) -> str:
        """Return how long before the report a moment was; none is after it."""
        minutes = max(0, int((self.at - instant(rfc3339)).total_seconds() // 60))
        if minutes < 90:
            return f"{minutes} min"
        return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"

    def _moment(self, utc: datetime.datetime) -> Moment:
        local = utc.astimezone(self.zone)
        if not local.utcoffset():
            said = "UTC"
        else:
            said = f"{utc:%H:%M} UTC" if utc.date() == local.date() else f"{utc:%Y-%m-%d %H:%M} UTC"
        wall = local.replace(tzinfo=datetime.timezone.utc)
        return Moment(f"{local:%Y-%m-%d %H:%M}", said, int(wall.timestamp() // 60))


def zone_of(name: str) -> datetime.tzinfo | None:
    """Return the zone of a name such as America/Sao_Paulo, or that of the control node for none."""
    if name:
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ContinuityError(
                f"The control node knows no time zone {name}. Give one such as America/Sao_Paulo or UTC, or install "
                "tzdata."
            ) from None
    own = os.environ.get("TZ", "").lstrip(":") or os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    try:
        return zoneinfo.ZoneInfo(own)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def language_of(wanted: str, environment: Mapping[str, str]) -> str:
    """Return the language that a page is written in before a browser is asked: that of the control node for auto."""
    if wanted != "auto":
        return wanted
    spoken = next((environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), "")
    return PORTUGUESE if spoken.lower().startswith("pt") else ENGLISH


def words() -> dict[str, dict[str, str]]:
    """Return the words of each language; the name of a problem has the key ``p_<code>``."""
    with open(os.path.join(SOURCES, "words.yml"), encoding="utf-8") as file:
        known = t.cast("dict[str, dict[str, str]]", yaml.safe_load(file))
    return {
        language: {**said, **{f"p_{code}": f"{name[0].upper()}{name[1:]}" for code, name in labels(language).items()}}
        for language, said in known.items()
    }


def size(count: float | None) -> str:
    """Return a number of bytes as it is said."""
    if count is None:
        return NOTHING
    value, unit = float(count), 0
    # 999.96 MB would be said as 1000 MB.
    while round(abs(value)) >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 or abs(value) >= 99.95 else f"{value:.1f} {_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """Return a duration as it is said."""
    if seconds is None:
        return NOTHING
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
