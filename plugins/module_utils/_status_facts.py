# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the backup root and its audit log say about every stack, whatever is wrong with either.

Only looks. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._arrival import TAKEN
from ._audit import AuditLog
from ._backup_store import Store
from ._catalogue import Catalogue, Entry, Standing
from ._errors import StoreError
from ._status import StackStatus, of_stack

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._audit_chain import Event
    from ._backup_store import Backup
    from ._status import Attempt


@dataclass(frozen=True)
class Facts:
    """The stacks of a root; ``problem`` says what is wrong with the audit log, ``unreadable`` with the root itself."""

    stacks: tuple[StackStatus, ...]
    problem: str | None
    unreadable: str | None

    def stack(self, name: str) -> StackStatus:
        """Return one stack; one that nothing is known of has no backups."""
        return next((one for one in self.stacks if one.stack == name), StackStatus(name))


def read(root: str, attempts: Sequence[tuple[str, Attempt]] = (), heads: str | None = None) -> Facts:
    """Return what is known of every stack that has a directory below a root, or an event of a try to back it up.

    ``attempts`` are tries of stacks that the log may not know of.
    """
    store = Store(root)
    catalogue: Catalogue | None = None
    problem: str | None = None
    events: list[Event] = []
    try:
        log = AuditLog(root, heads)
        catalogue = Catalogue(log)
        events = catalogue.events
        # What an event has taken note of is known.
        fresh = [one.message for one in catalogue.problems if not one.harmless and one.kind != "noted"]
        if fresh:
            problem = f"{log.path} is not as it was written: {' '.join(fresh[:3])}"
    except StoreError as exc:
        problem = str(exc)
    names, unreadable = set[str](), None
    try:
        names.update(store.stacks())
    except OSError as exc:
        unreadable = f"{root} cannot be read: {exc.strerror}"
    names |= {stack for stack, _last in attempts}
    names |= {event.stack for event in events if event.stack and event.action == TAKEN}
    last = dict(attempts)
    stacks = tuple(of_stack(name, _entries(store, catalogue, name), events, last.get(name)) for name in sorted(names))
    return Facts(stacks, problem, unreadable)


def _entries(store: Store, catalogue: Catalogue | None, stack: str) -> list[Entry]:
    try:
        if catalogue is not None:
            return catalogue.entries(stack)
        return [_without_log(backup) for backup in store.backups(stack)]
    except StoreError:
        # Its name cannot be that of a directory here.
        return []
    except OSError:
        # A bad block of the disk must not hide the other backups.
        return [_apart(backup, catalogue) for backup in _listed(store, stack)]


def _listed(store: Store, stack: str) -> list[Backup]:
    try:
        return store.backups(stack)
    except OSError:
        return []


def _apart(backup: Backup, catalogue: Catalogue | None) -> Entry:
    try:
        return catalogue.entry(backup) if catalogue is not None else _without_log(backup)
    except OSError as exc:
        return Entry(backup, Standing(damage=f"{exc.filename or backup.path}: {exc.strerror}"), None)


def _without_log(backup: Backup) -> Entry:
    try:
        return Entry(backup, Standing(), backup.manifest())
    except StoreError as exc:
        return Entry(backup, Standing(damage=str(exc)), None)
