# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decide which problems of a fleet are worth telling now, given what was told before.

A status comes from its host as it is: whoever is root there can put anything into it. So nothing in it is trusted to
have the right type, and a host with a thousand problems gets no more room than one with a single problem.
Private to this collection.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone

from ._problem_words import translated
from ._report_status import SILENT

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

CRITICAL, WARNING, RECOVERED = "critical", "warning", "recovered"
FAILURE, ANOMALY, STALE, NOTICE, RECOVERY, ALWAYS = "failure", "anomaly", "stale", "warning", "recovery", "always"
EVENTS = (FAILURE, ANOMALY, STALE, NOTICE, RECOVERY, ALWAYS)

# The worst first. What is not named here is a failure when it is critical, and a warning otherwise.
KINDS = {
    "damaged": FAILURE,
    "failed": FAILURE,
    "never": FAILURE,
    "unreachable": FAILURE,
    "password": FAILURE,
    "broken": FAILURE,
    "half_installed": FAILURE,
    "engine": FAILURE,
    "log": FAILURE,
    "schedule_dead": FAILURE,
    "disk_critical": FAILURE,
    "anomalous": ANOMALY,
    "too_small": ANOMALY,
    "stale": STALE,
    "not_uploaded": STALE,
    "schedule_missed": STALE,
}
RANKS = {code: rank for rank, code in enumerate(KINDS)}
# With one of these, nobody knows what runs, and these are found out from what runs.
NO_ENGINE, FROM_ENGINE = frozenset({"engine", "half_installed"}), frozenset({"never", "uncovered"})
# What is told instead of another when it gets worse.
WORSE = {"disk_warning": "disk_critical"}
# Of these a new text is news; of all others it only counts hours or percents.
TELLING = frozenset({FAILURE, ANOMALY})
UNWELL = frozenset({"failed", "refused", "anomalous"})

# Languages that a message is told in beside English.
OTHERS = ("pt-BR",)
PROBLEMS_OF_A_HOST = 100
FORGOTTEN_AFTER = timedelta(days=90)
UNREADABLE = "What it answered is not a status. Look at it with crm.continuity.check."


@dataclass(frozen=True)
class Item:
    """One thing to tell: a problem, or one that is over."""

    host: str
    stack: str
    code: str
    kind: str
    severity: str
    message: str
    # None for what is new.
    since: datetime | None = None
    restorable_to: str | None = None
    # The message by language, where it is known in others than English.
    translations: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """What identifies the problem on its host."""
        return f"{self.stack}/{self.code}"


@dataclass(frozen=True)
class Told:
    """What is remembered of a problem: since when it stands, and what was told of it, if anything was."""

    kind: str
    severity: str
    since: datetime
    told: datetime | None
    mark: str


@dataclass(frozen=True)
class HostMemory:
    """What is remembered of a host, and when it was last looked at."""

    seen: datetime
    problems: Mapping[str, Told]


@dataclass(frozen=True)
class Memory:
    """What is remembered of the fleet, and when the last digest was sent."""

    hosts: Mapping[str, HostMemory]
    sent: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """What to tell, worst first; what stands in all; how the servers stand; and what to remember."""

    news: tuple[Item, ...]
    standing: tuple[Item, ...]
    unchanged: int
    counts: Mapping[str, int]
    delivered: Memory
    undelivered: Memory


def decide(
    statuses: Mapping[str, object],
    memory: Memory | None,
    now: datetime,
    *,
    events: Collection[str],
    repeat: timedelta,
) -> Decision:
    """Return what to tell of ``statuses``, by host; without a memory, all that stands and what has just recovered."""
    news: list[Item] = []
    standing: list[Item] = []
    unchanged = 0
    delivered = {host: known for host, known in _hosts(memory).items() if now - known.seen < FORGOTTEN_AFTER}
    undelivered = dict(delivered)
    counts = dict.fromkeys(("ok", WARNING, CRITICAL), 0)
    for host, status in statuses.items():
        before = _hosts(memory).get(host, HostMemory(now, {})).problems
        found = {item.key: item for item in _problems(host, status)}
        counts[_standing(found.values())] += 1
        after: dict[str, Told] = {}
        kept: dict[str, Told] = {}
        for key, item in found.items():
            known = before.get(key)
            seen = replace(item, since=known.since) if known else item
            standing.append(seen)
            mark = Told(seen.kind, seen.severity, seen.since or now, known.told if known else None, _mark(seen))
            if seen.kind not in events:
                after[key] = kept[key] = mark
            elif known is None or _is_news(seen, known, now, repeat):
                news.append(seen)
                after[key] = replace(mark, told=now)
                kept[key] = known or mark
            else:
                unchanged += 1
                # What was told stays as it was told, so that a change is measured by that.
                after[key] = kept[key] = known
        restorable = _restorable(status)
        # Then nothing is known of the stacks: what was wrong there is neither worse nor better.
        silent = not _stacks(status) and any(item.code in SILENT for item in found.values())
        # As with what it says now: nobody fills the memory with what is hidden.
        for key, known in list(before.items())[:PROBLEMS_OF_A_HOST]:
            if key in found:
                continue
            stack, _slash, code = key.partition("/")
            if silent and code in SILENT:
                continue
            if silent or _hidden(stack, code, found):
                after[key] = kept[key] = known
            elif known.told is not None and RECOVERY in events:
                news.append(Item(host, stack, code, RECOVERY, RECOVERED, "", known.since, restorable.get(stack)))
                kept[key] = known
        if memory is None and RECOVERY in events:
            news += _recovered(host, status, now, repeat)
        delivered[host] = HostMemory(now, after)
        undelivered[host] = HostMemory(now, kept)
    sent = memory.sent if memory else None
    return Decision(
        news=_worst_first(news),
        standing=_worst_first(standing),
        unchanged=unchanged,
        counts=counts,
        delivered=Memory(delivered, now if news or ALWAYS in events else sent),
        undelivered=Memory(undelivered, sent),
    )


def _hosts(memory: Memory | None) -> Mapping[str, HostMemory]:
    return memory.hosts if memory else {}


def _hidden(stack: str, code: str, found: Mapping[str, Item]) -> bool:
    """Return whether what is wrong with a host keeps it from seeing another problem, which then is not over."""
    codes = {item.code for item in found.values()}
    # Its backups cannot be read at all, or nothing is certain of what was tried.
    if stack and not found.keys().isdisjoint(("/damaged", "/log")):
        return True
    return (code in FROM_ENGINE and bool(codes & NO_ENGINE)) or WORSE.get(code) in codes


def _is_news(item: Item, known: Told, now: datetime, repeat: timedelta) -> bool:
    if known.told is None or not lately(known.told, now, repeat):
        return True
    worse = item.severity == CRITICAL and known.severity != CRITICAL
    return worse or (item.kind in TELLING and _mark(item) != known.mark)


def lately(then: datetime, now: datetime, span: timedelta) -> bool:
    """Return whether a time is within a span before now; one of a clock that was ahead is not."""
    return timedelta(0) <= now - then < span


def _mark(item: Item) -> str:
    """Return what tells one text from another, numbers left out: those of hours, bytes and backup IDs."""
    return hashlib.sha256(re.sub(r"[0-9]+", "0", item.message).encode("utf-8", "replace")).hexdigest()[:16]


def _standing(items: Collection[Item]) -> str:
    severities = {item.severity for item in items}
    return CRITICAL if CRITICAL in severities else WARNING if severities else "ok"


def _problems(host: str, status: object) -> list[Item]:
    """Return the problems of a host, one for each code of each stack."""
    if not isinstance(status, dict) or not isinstance(status.get("problems"), list):
        return [Item(host, "", "broken", FAILURE, CRITICAL, UNREADABLE)]
    restorable = _restorable(status)
    items: dict[str, Item] = {}
    for entry in status["problems"]:
        problem = entry if isinstance(entry, dict) else {"code": "broken", "message": UNREADABLE}
        code = _text(problem.get("code")).replace("/", "_") or "broken"
        stack = _text(problem.get("stack")).replace("/", "_")
        severity = WARNING if problem.get("severity") == WARNING else CRITICAL
        kind = KINDS.get(code, FAILURE if severity == CRITICAL else NOTICE)
        message, *others = (
            _text(words, 2000).removeprefix(f"Stack {stack}: ")
            for words in (problem.get("message"), *(translated(problem, language) for language in OTHERS))
        )
        translations = {language: words for language, words in zip(OTHERS, others, strict=True) if words}
        point = restorable.get(stack)
        item = Item(host, stack, code, kind, severity, message, restorable_to=point, translations=translations)
        if item.key not in items or items[item.key].severity == WARNING:
            items[item.key] = item
    return sorted(items.values(), key=_order)[:PROBLEMS_OF_A_HOST]


def _stacks(status: object) -> list[dict[str, t.Any]]:
    stacks = status.get("stacks") if isinstance(status, dict) else None
    return [stack for stack in stacks if isinstance(stack, dict)] if isinstance(stacks, list) else []


def _restorable(status: object) -> dict[str, str]:
    return {
        _text(stack.get("stack")).replace("/", "_"): _text(stack.get("restorable_to"), 40) for stack in _stacks(status)
    }


def _recovered(host: str, status: object, now: datetime, recent: timedelta) -> list[Item]:
    """Return the stacks whose last attempt went well after one that did not; for who remembers nothing."""
    items = []
    for stack in _stacks(status):
        attempt = stack.get("attempt")
        if not isinstance(attempt, dict) or attempt.get("result") != "ok":
            continue
        before = stack.get("previous_result")
        at = parse_time(attempt.get("at"))
        if isinstance(before, str) and before in UNWELL and at is not None and now - at < recent:
            name = _text(stack.get("stack")).replace("/", "_")
            code = "anomalous" if before == "anomalous" else "failed"
            restorable = _text(stack.get("restorable_to"), 40)
            items.append(Item(host, name, code, RECOVERY, RECOVERED, "", restorable_to=restorable))
    return items[:PROBLEMS_OF_A_HOST]


def _order(item: Item) -> tuple[int, int, str, str]:
    severity = (CRITICAL, WARNING, RECOVERED).index(item.severity)
    rank = RANKS.get(item.code, len(RANKS))
    return (severity, rank, item.stack, item.code)


def _worst_first(items: list[Item]) -> tuple[Item, ...]:
    """Sort by severity, and within one the first of every host before the second of any."""
    ranked: list[tuple[tuple[int, int, tuple[int, int, str, str], str], Item]] = []
    seen: dict[tuple[str, str], int] = {}
    for item in sorted(items, key=_order):
        turn = seen[item.host, item.severity] = seen.get((item.host, item.severity), -1) + 1
        ranked.append(((_order(item)[0], turn, _order(item), item.host), item))
    return tuple(item for _rank, item in sorted(ranked, key=lambda pair: pair[0]))


def _text(value: object, limit: int = 100) -> str:
    return value[:limit] if isinstance(value, str) else ""


def parse_time(value: object) -> datetime | None:
    """Return a time of RFC 3339, or None for anything else."""
    if not isinstance(value, str):
        return None
    try:
        # Python 3.10 does not know the Z.
        parsed = datetime.fromisoformat(re.sub(r"Z$", "+00:00", value))
    except ValueError:
        return None
    return parsed.astimezone(timezone.utc) if parsed.tzinfo else None
