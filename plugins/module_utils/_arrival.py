# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order the backups of a stack came to their root: not by their IDs, which say what the clock said.

A clock that was wrong for a while gives IDs that stay the highest for years; the order of the audit log does not ask
it. Standard library only. Private to this collection.
"""

from __future__ import annotations

import itertools
import os
import re
import typing as t

from ._audit_chain import ANOMALOUS, OK, decode

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LOG = "audit.jsonl"
TAKEN = "backup"
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[0-9]+)?")


def by_id(id_: str) -> tuple[str, int]:
    """Return what sorts IDs: two of one second have a number."""
    base, _dash, number = id_.partition("-")
    return base, int(number) if number.isdigit() else 1


def arrivals(root: str, stack: str) -> list[str]:
    """Return the IDs of all backups of a stack that the log of a root says were taken there, in that order.

    What was adopted or brought here is older than the moment when it came: its place is that of its ID. Without a log
    that can be read, nothing is known. Lines that are no events are left out: whether the log is whole matters for
    what it proves, not for this.
    """
    try:
        with open(os.path.join(root, LOG), "rb") as stream:
            # Decoding is what takes the time of a long log.
            lines = [line.rstrip(b"\n") for line in stream if b'"action":"backup"' in line]
    except OSError:
        return []
    events = [event for event in map(decode, lines) if event is not None]
    return [
        event.backup
        for event in events
        if event.action == TAKEN
        and event.stack == stack
        and event.backup is not None
        and ID.fullmatch(event.backup)
        and event.result in (OK, ANOMALOUS)
    ]


def arrived(ids: Iterable[str], arrivals: Sequence[str]) -> list[str]:
    """Return IDs in the order in which backups arrived.

    One that the audit log does not know comes after the last one known whose ID is smaller: too new rather than too
    old, for the newest has to be verified before anything goes.
    """
    wanted = set(ids)
    return [id_ for id_, _era in timeline(wanted, arrivals) if id_ in wanted]


def timeline(ids: Iterable[str], arrivals: Sequence[str]) -> list[tuple[str, int]]:
    """Return all IDs, also of backups that are gone, in the order of arrival, and the era of each.

    Where an ID is behind the one that arrived before it, the clock was set back and a new era begins. What is gone
    counts, or its removal would change the decision on the others.
    """
    # One that was used again is that of the last one.
    ordered = list(dict.fromkeys(reversed(arrivals)))[::-1]
    for stranger in sorted(set(ids).difference(ordered), key=by_id):
        smaller = [place for place, id_ in enumerate(ordered) if by_id(id_) < by_id(stranger)]
        ordered.insert(smaller[-1] + 1 if smaller else 0, stranger)
    eras = itertools.accumulate((by_id(one) < by_id(before) for before, one in itertools.pairwise(ordered)), initial=0)
    return list(zip(ordered, eras, strict=False))
