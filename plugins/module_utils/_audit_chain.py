# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log as a chain: each line is one event and holds the SHA-256 of the line before.

So a line cannot be changed, removed, added or moved without the lines after it telling. What the last line was has to
be known from elsewhere: a ``Head`` is kept outside of the log. Standard library only. Private to this collection.
"""

from __future__ import annotations

import hashlib
import json
import typing as t
from dataclasses import asdict, dataclass, field, fields, replace

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ACTIONS = (
    "backup",
    "verify",
    "restore",
    "cutover",
    "revert",
    "commit",
    "thaw",
    "prune",
    "hold",
    "release",
    "accept",
    "drill",
    "key",
    "rekey",
    "adopt",
    "transfer",
    "copy",
    "extract",
    "load",
    "reset",
    "import",
    "note",
    "seal",
)
OK = "ok"
FAILED = "failed"
ANOMALOUS = "anomalous"
REFUSED = "refused"
RESULTS = (OK, FAILED, ANOMALOUS, REFUSED)
SEAL = "seal"
# What the first line holds as the checksum of the line before.
NOTHING = "0" * 64
# What a further line would hide, or make look like something else.
_FADING = ("torn", "truncated", "replaced")
_TORN = ["torn"]
_DIGITS = frozenset("0123456789abcdef")


@dataclass(frozen=True)
class Event:
    """One line. ``at`` is RFC 3339 in UTC, ``previous`` the SHA-256 of the line before without its line feed.

    ``actor`` says who asked for it (user, job, control_node), ``host`` where it happened; ``facts`` depend on the
    action. ``sha256`` is that of the line itself and does not stand in it.
    """

    sequence: int
    at: str
    action: str
    result: str
    stack: str | None
    backup: str | None
    actor: Mapping[str, t.Any]
    host: str
    facts: Mapping[str, t.Any]
    previous: str
    sha256: str = field(default="", compare=False)

    @property
    def receipt(self) -> dict[str, t.Any]:
        """What a control node may keep, to find this very event in the log again."""
        return {"sequence": self.sequence, "sha256": self.sha256}


@dataclass(frozen=True)
class Head:
    """What is known of one event from elsewhere; of the last one, when it is kept by who appends."""

    sequence: int
    sha256: str


@dataclass(frozen=True)
class Problem:
    """Something about a log that is not as it was written; ``line`` counts from 1, 0 is the log as a whole.

    A ``harmless`` one is what a power cut or a move to another host leaves: no event is lost or changed.
    """

    kind: str
    line: int
    message: str
    harmless: bool = False


_TYPES: dict[str, t.Any] = {
    "sequence": int,
    "at": str,
    "action": str,
    "result": str,
    "stack": (str, type(None)),
    "backup": (str, type(None)),
    "actor": dict,
    "host": str,
    "facts": dict,
    "previous": str,
}


def encode(event: Event) -> bytes:
    """Return the line of an event, without the line feed."""
    content = {one.name: getattr(event, one.name) for one in fields(event) if one.name != "sha256"}
    return json.dumps(content, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def decode(line: bytes) -> Event | None:
    """Return the event of a line, or None when it is none."""
    try:
        data = json.loads(line.decode("ascii"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or data.keys() != _TYPES.keys():
        return None
    if not all(isinstance(data[name], type_) for name, type_ in _TYPES.items()):
        return None
    if isinstance(data["sequence"], bool) or data["sequence"] < 1 or data["result"] not in RESULTS:
        return None
    if len(data["previous"]) != len(NOTHING) or not _DIGITS.issuperset(data["previous"]):
        return None
    return Event(**data, sha256=digest(line))


def digest(line: bytes) -> str:
    """Return the checksum by which the next line knows this one."""
    return hashlib.sha256(line).hexdigest()


def examine(content: bytes, head: Head | None = None, known: Sequence[Head] = ()) -> tuple[list[Event], list[Problem]]:
    """Return the events of a log in the order of its lines, and all that is wrong with it.

    ``head`` is the last event as the host keeps it, ``known`` are events as others remember them. Without a ``head``
    nobody can tell whether the end is missing, which is a harmless problem.
    """
    *lines, tail = content.split(b"\n")
    found = [decode(line) for line in lines]
    events = [event for event in found if event is not None]
    problems: list[Problem] = []
    previous, expected = NOTHING, 1
    for number, (line, event) in enumerate(zip(lines, found, strict=True), 1):
        if event is None:
            problems.append(_no_event(number, line, found[number] if number < len(found) else None))
        else:
            problems += _links(number, event, previous, expected)
            expected = event.sequence + 1
            problems += _noted(number, event)
        previous = digest(line)
    if tail:
        message = f"The last line was not written to its end ({len(tail)} bytes). The next event seals it."
        problems.append(Problem("torn", len(lines) + 1, message, harmless=True))
    if head is not None:
        problems += _compare(events, [head], "as this host remembers it")
    elif content:
        message = "This host remembers no last event of this log: whether its end is missing cannot be seen here."
        problems.append(Problem("unproved", 0, message, harmless=True))
    problems += _compare(events, known, "as was said to be known")
    return events, problems


def follow(content: bytes, head: Head | None, event: Event) -> tuple[bytes, Event, list[Problem]]:
    """Return what has to be written after ``content`` for an event, the event as it stands there, and what is wrong.

    What only the head and the end of the log show now would be hidden by a line that follows, so it is noted in an
    event of its own.
    """
    *lines, tail = content.split(b"\n")
    if tail:
        lines.append(tail)
    events, problems = examine(content, head)
    fading = [problem for problem in problems if problem.kind in _FADING]
    sequence = max([one.sequence for one in events] + ([head.sequence] if head else []), default=0) + 1
    previous = digest(lines[-1]) if lines else NOTHING
    written = [b""] if tail else []
    if fading:
        if head is None:
            # Nobody knows how much was there before the torn line.
            fading += [problem for problem in problems if problem.kind == "unproved"]
        facts = {
            "problems": sorted({problem.kind for problem in fading}),
            "messages": [problem.message for problem in fading],
            "known": asdict(head) if head else None,
        }
        seal = replace(
            event,
            sequence=sequence,
            action=SEAL,
            result=OK,
            stack=None,
            backup=None,
            facts=facts,
            previous=previous,
        )
        written.append(encode(seal))
        sequence, previous = sequence + 1, digest(written[-1])
    event = replace(event, sequence=sequence, previous=previous)
    written.append(encode(event))
    return b"\n".join(written) + b"\n", replace(event, sha256=digest(written[-1])), fading


def _no_event(number: int, line: bytes, after: Event | None) -> Problem:
    # Only who appends the next event can tell a power cut from a change: it compared the line before with the head.
    if after is not None and after.action == SEAL and after.previous == digest(line) and _seals(after) == _TORN:
        message = f"Line {number} was not written to its end; event {after.sequence} took note of it."
        return Problem("torn", number, message, harmless=True)
    return Problem("damaged", number, f"Line {number} is not an event: it was changed or damaged.")


def _seals(event: Event) -> t.Any:
    return event.facts.get("problems")


def _noted(number: int, event: Event) -> list[Problem]:
    """Repeat what an event of its own says was wrong before it."""
    if event.action != SEAL or _seals(event) == _TORN:
        return []
    messages = event.facts.get("messages")
    words = " ".join(map(str, messages)) if isinstance(messages, list) else ""
    return [Problem("noted", number, f"Event {event.sequence} at {event.at} took note of this: {words}")]


def _links(number: int, event: Event, previous: str, expected: int) -> list[Problem]:
    problems = []
    if event.previous != previous:
        what = f"line {number - 1}" if number > 1 else "nothing"
        message = (
            f"Line {number} (event {event.sequence}) was not written after {what} as it is now: "
            "a line was changed, removed, added or moved."
        )
        problems.append(Problem("broken", number, message))
    if event.sequence > expected:
        message = f"Before line {number}, {_span(expected, event.sequence - 1)} missing."
        problems.append(Problem("missing", number, message))
    elif event.sequence < expected:
        message = f"Line {number} holds event {event.sequence} where event {expected} has to be."
        problems.append(Problem("moved", number, message))
    return problems


def _compare(events: Sequence[Event], heads: Sequence[Head], how: str) -> list[Problem]:
    problems = []
    last = max((event.sequence for event in events), default=0)
    for head in heads:
        if any((event.sequence, event.sha256) == (head.sequence, head.sha256) for event in events):
            continue
        if head.sequence > last:
            message = f"At the end of the log, {_span(last + 1, head.sequence)} missing."
            problems.append(Problem("truncated", 0, message))
        else:
            message = f"Event {head.sequence} is not the one {how}: the log was changed or written anew."
            problems.append(Problem("replaced", 0, message))
    return problems


def _span(first: int, last: int) -> str:
    return f"event {first} is" if first == last else f"events {first} to {last} are"
