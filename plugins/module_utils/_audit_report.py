# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the audit log says about somebody's question: chosen events, and which data were kept where until when.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._audit_chain import ANOMALOUS, OK

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ._audit_chain import Event

# What brings a backup here, and what takes a copy of it, or of a part, elsewhere.
ARRIVALS = ("backup", "adopt", "transfer")
COPIES = ("extract", "copy", "restore", "note")
TOLD = ("to", "to_database", "live", "volume", "path", "database", "table", "restore", "text")


@dataclass(frozen=True)
class Choice:
    """Which events are asked for; ``since`` and ``until`` are the beginnings of RFC 3339 times, or empty."""

    stack: str | None = None
    backup: str | None = None
    actions: tuple[str, ...] = ()
    results: tuple[str, ...] = ()
    since: str = ""
    until: str = ""
    limit: int = 0


@dataclass
class Storage:
    """One backup as data that were kept: what is in it, where it lay, since when and until when.

    ``until`` is null for one that is there; ``unrecorded`` says that it is gone and that nobody noted when.
    """

    stack: str
    backup: str
    host: str
    root: str
    since: str
    by: dict[str, t.Any]
    until: str | None = None
    removed_by: dict[str, t.Any] | None = None
    unrecorded: bool = False
    cut_at: str | None = None
    encryption: str | None = None
    volumes: list[str] = field(default_factory=list)
    databases: list[str] = field(default_factory=list)
    copies: list[dict[str, t.Any]] = field(default_factory=list)


def choose(events: Sequence[Event], choice: Choice) -> list[Event]:
    """Return the events that are asked for, oldest first; of too many, the newest."""
    chosen = [
        event
        for event in events
        if choice.stack in (None, event.stack)
        and choice.backup in (None, event.backup)
        and (not choice.actions or event.action in choice.actions)
        and (not choice.results or event.result in choice.results)
        and event.at >= choice.since
        # A day is over when all of it is.
        and (not choice.until or event.at[: len(choice.until)] <= choice.until)
    ]
    return chosen[-choice.limit :] if choice.limit else chosen


def storage(
    events: Sequence[Event], root: str, present: Mapping[str, Collection[str]], stack: str | None = None
) -> list[Storage]:
    """Return which backups were kept below a root, in the order in which they came; ``present`` are the IDs by stack.

    What is there and stands in no event is listed, too, as of an unknown time.
    """
    kept: list[Storage] = []
    open_: dict[tuple[str, str], Storage] = {}
    for event in events:
        if event.stack is None or event.backup is None or event.result not in (OK, ANOMALOUS):
            continue
        key = (event.stack, event.backup)
        if event.action == "prune" and key in open_:
            done = open_.pop(key)
            done.until, done.removed_by = event.at, dict(event.actor)
        elif event.action in ARRIVALS:
            if key not in open_:
                open_[key] = _arrival(event, root)
                kept.append(open_[key])
        elif event.action in COPIES and key in open_:
            open_[key].copies.append(_copy(event))
    for (of, id_), entry in open_.items():
        entry.unrecorded = id_ not in present.get(of, ())
    unknown = [(of, id_) for of, ids in sorted(present.items()) for id_ in sorted(ids) if (of, id_) not in open_]
    kept += [Storage(stack=of, backup=id_, host="", root=root, since="", by={}) for of, id_ in unknown]
    return [entry for entry in kept if stack in (None, entry.stack)]


def _arrival(event: Event, root: str) -> Storage:
    facts = event.facts
    return Storage(
        stack=event.stack or "",
        backup=event.backup or "",
        host=event.host,
        root=root,
        since=event.at,
        by=dict(event.actor),
        cut_at=facts.get("cut_at"),
        encryption=facts.get("encryption"),
        volumes=list(facts.get("volumes", ())),
        databases=list(facts.get("databases", ())),
    )


def _copy(event: Event) -> dict[str, t.Any]:
    """Return what went where; of events by hand, that is what they say."""
    told = {name: value for name, value in event.facts.items() if name in TOLD}
    return {"at": event.at, "action": event.action, "by": dict(event.actor), **told}
