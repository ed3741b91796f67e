# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide which backups of one stack stay and which may go: a pure function of what is known of them.

No clock is asked. What counts is the order in which backups arrived, and periods (days, weeks, …) in which there are
backups: one that was taken while the clock was wrong, or a month without backups, makes no other backup older. Where an
ID is behind the one that arrived before it, the clock was set back: a new era begins, and no period reaches from one
era into another. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import itertools
import typing as t
from dataclasses import dataclass, fields

from ._arrival import timeline
from ._errors import StoreError
from ._stack_settings import of_stack

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

VERIFIED = "verified"
UNVERIFIED = "unverified"
ANOMALOUS = "anomalous"
DAMAGED = "damaged"
# Those that take a place in a rule.
GOOD = (VERIFIED, UNVERIFIED)


@dataclass(frozen=True)
class Rules:
    """How many to keep: the last ones, and one of each of so many hours, days, weeks, months and years.

    ``days`` keeps all of so many days. ``min_verified`` of the newest that were verified always stay.
    """

    keep_last: int = 0
    keep_hourly: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    days: int = 0
    min_verified: int = 2


@dataclass(frozen=True)
class Candidate:
    """What is known of one backup; ``held`` is the reason of a hold."""

    id: str
    standing: str
    held: str | None = None


@dataclass(frozen=True)
class Decision:
    """What stays and why, what goes, and what would go if there were not ``blocked``, the reason to keep it all.

    All in the order of arrival, the oldest first.
    """

    keep: Mapping[str, tuple[str, ...]]
    remove: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()
    blocked: str | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Placed:
    candidate: Candidate
    moment: datetime.datetime
    era: int


def rules(given: Mapping[str, t.Any], stack: str) -> Rules:
    """Return the rules for a stack: those that are given, and over them those given for it in ``stacks``.

    Raises StoreError for what makes no sense.
    """
    wanted = of_stack(given, stack)
    known = {field.name for field in fields(Rules)}
    for name, value in wanted.items():
        if name not in known:
            raise StoreError(f"retention has no rule {name}. It has {', '.join(sorted(known))} and stacks.")
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise StoreError(f"retention: {name} is {value!r}, and has to be a whole number from 0 on.")
    made = Rules(**wanted)
    if made.min_verified < 1:
        raise StoreError("retention: min_verified is 0, and at least 1 backup that was verified has to stay.")
    if not any(getattr(made, name) for name in known - {"min_verified"}):
        raise StoreError(f"retention has no rule for stack {stack}, such as keep_daily: nothing says what may go.")
    return made


def decide(
    wanted: Rules,
    candidates: Iterable[Candidate],
    arrivals: Sequence[str] = (),
    *,
    distrust: str | None = None,
    failed: str | None = None,
) -> Decision:
    """Decide about all backups of a stack.

    ``arrivals`` are the IDs in the order in which backups arrived, also of those that are gone. ``distrust`` is why the
    audit log proves nothing, ``failed`` is said of the last try to take a backup when that failed. Nothing goes in
    either case, nor when the newest backup is not verified, nor when too few are.
    """
    by_id = {one.id: one for one in candidates}
    placed_ids = timeline(by_id, arrivals)
    placed = [_Placed(by_id[id_], moment(id_), era) for id_, era in placed_ids if id_ in by_id]
    if not placed:
        return Decision({})
    reasons = _reasons(wanted, placed)
    keep = {id_: tuple(said) for id_, said in reasons.items() if said}
    rest = tuple(id_ for id_, said in reasons.items() if not said)
    remarks = tuple(_remarks(placed))
    blocked = _blocked(wanted, placed, distrust, failed)
    if blocked is None:
        return Decision(keep, rest, remarks=remarks)
    everything = {id_: keep.get(id_, ("nothing is removed now",)) for id_ in reasons}
    return Decision(everything, overdue=rest, blocked=blocked, remarks=remarks)


def moment(id_: str) -> datetime.datetime:
    """Return the time that an ID says; the oldest there is for one that is no time, such as of a 31st of February."""
    try:
        return datetime.datetime.strptime(id_.partition("-")[0] + "+0000", "%Y%m%dT%H%M%SZ%z")
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)


_PERIODS: dict[str, Callable[[datetime.datetime], t.Any]] = {
    "keep_hourly": lambda at: (at.year, at.month, at.day, at.hour),
    "keep_daily": lambda at: (at.year, at.month, at.day),
    "keep_weekly": lambda at: at.isocalendar()[:2],
    "keep_monthly": lambda at: (at.year, at.month),
    "keep_yearly": lambda at: at.year,
}


def _reasons(wanted: Rules, placed: Sequence[_Placed]) -> dict[str, list[str]]:
    reasons: dict[str, list[str]] = {one.candidate.id: [] for one in placed}
    for one in placed:
        if one.candidate.held is not None:
            reasons[one.candidate.id].append(f"held: {one.candidate.held}")
    reasons[placed[-1].candidate.id].append("the newest")
    verified = [one for one in placed if one.candidate.standing == VERIFIED]
    for one in verified[-wanted.min_verified :]:
        reasons[one.candidate.id].append(f"min_verified {wanted.min_verified}")
    for members, all_of_them, reason in _places(wanted, [one for one in placed if one.candidate.standing in GOOD]):
        # Of one period, the newest that was verified, before one that was not.
        proved = [one for one in members if one.candidate.standing == VERIFIED]
        for one in members if all_of_them else (proved or members)[:1]:
            reasons[one.candidate.id].append(reason)
    # A bad one takes nobody's place, and stays beside those of its time.
    for members, all_of_them, reason in _places(wanted, placed):
        bad = [one.candidate for one in members if one.candidate.standing not in GOOD]
        for candidate in bad if all_of_them else bad[:1]:
            reasons[candidate.id].append(f"{candidate.standing}, beside the others: {reason}")
    return reasons


def _places(wanted: Rules, placed: Sequence[_Placed]) -> Iterator[tuple[list[_Placed], bool, str]]:
    """Yield the places that the rules have: for which backups, the newest first, whether all of them, and the rule."""
    if wanted.keep_last:
        yield list(reversed(placed[-wanted.keep_last :])), True, f"keep_last {wanted.keep_last}"
    for name, period in _PERIODS.items():
        count = getattr(wanted, name)
        for members in _periods(placed, count, period):
            yield members, False, f"{name} {count}"
    for members in _periods(placed, wanted.days, _PERIODS["keep_daily"]):
        yield members, True, f"days {wanted.days}"


def _periods(
    placed: Sequence[_Placed], count: int, period: Callable[[datetime.datetime], t.Any]
) -> Iterator[list[_Placed]]:
    """Yield the newest ``count`` periods that have backups, each with those, the newest first.

    The last period of an earlier era does not count: what a wrong clock said must not use up a place.
    """
    era = placed[-1].era if placed else 0
    for (its_era, _period), members in itertools.groupby(
        reversed(placed), key=lambda one: (one.era, period(one.moment))
    ):
        if count < 1:
            return
        if its_era == era:
            count -= 1
        era = its_era
        yield list(members)


def _blocked(wanted: Rules, placed: Sequence[_Placed], distrust: str | None, failed: str | None) -> str | None:
    """Return why nothing may go, and what to do about it."""
    if distrust is not None:
        return distrust
    newest = placed[-1].candidate
    if failed is not None:
        return f"{failed} Nothing is removed before a backup has succeeded and is verified."
    if newest.standing == ANOMALOUS:
        return (
            f"The newest backup {newest.id} is anomalous. Take another one, or, when its data is as it should be, "
            "accept it with backup_hold and state=accepted."
        )
    if newest.standing == DAMAGED:
        return f"The newest backup {newest.id} is damaged. Take another one and verify it."
    if newest.standing == UNVERIFIED:
        return f"The newest backup {newest.id} has not been verified. Verify it with level=full."
    verified = sum(one.candidate.standing == VERIFIED for one in placed)
    if verified < wanted.min_verified:
        return (
            f"Backups that were verified: {verified}, and min_verified is {wanted.min_verified}. "
            "Verify more of them with level=full."
        )
    return None


def _remarks(placed: Sequence[_Placed]) -> Iterator[str]:
    for before, one in itertools.pairwise(placed):
        if one.era != before.era:
            yield (
                f"Backup {one.candidate.id} arrived after {before.candidate.id}: the clock was wrong when one of the "
                "two was taken. Neither makes another one older."
            )
