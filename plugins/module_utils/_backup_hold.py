# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exempt a backup from pruning, end that, or accept one that is anomalous: each is an event of the audit log.

``plan`` only looks and ``apply`` only acts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

from ._audit import AuditLog
from ._backup_store import Store
from ._catalogue import ACCEPT, Catalogue
from ._errors import StoreError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._backup_store import Backup
    from ._catalogue import Entry, Standing

HELD = "held"
RELEASED = "released"
ACCEPTED = "accepted"
STATES = (HELD, RELEASED, ACCEPTED)
_ACTIONS = {HELD: "hold", RELEASED: "release", ACCEPTED: ACCEPT}


@dataclass(frozen=True)
class Request:
    """What is to be of which backup, and why."""

    root: str
    stack: str
    id: str
    state: str
    reason: str
    actor: Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """``change`` is what has to be done in words, None when nothing has."""

    request: Request
    entry: Entry
    change: str | None
    warnings: tuple[str, ...]

    @property
    def backup(self) -> Backup:
        return self.entry.backup


def plan(request: Request) -> Plan:
    """Find the backup and compare it with what is wanted. Raises StoreError when it is not there."""
    backup = Store(request.root).backup(request.stack, request.id)
    catalogue = Catalogue(AuditLog(request.root))
    entry = catalogue.entry(backup)
    return Plan(request, entry, _change(request, entry.standing), tuple(catalogue.warnings()))


def _change(request: Request, standing: Standing) -> str | None:
    if request.state == HELD:
        return None if standing.held == request.reason else f"hold: {request.reason}"
    if request.state == RELEASED:
        return None if standing.held is None else f"release, which was held: {standing.held}"
    if not standing.anomalies or standing.accepted is not None:
        return None
    return f"accept: {request.reason}"


def after(wanted: Plan) -> Standing:
    """Return what the backup counts as when the plan has been carried out."""
    standing, reason = wanted.entry.standing, wanted.request.reason
    if wanted.change is None:
        return standing
    if wanted.request.state == ACCEPTED:
        return replace(standing, accepted=reason)
    return replace(standing, held=reason if wanted.request.state == HELD else None)


def apply(wanted: Plan) -> dict[str, t.Any] | None:
    """Note it in the audit log, and return the event; None when nothing had to be done.

    Raises StoreError when it cannot be noted, and when the backup was pruned at the same time.
    """
    if wanted.change is None:
        return None
    request, backup = wanted.request, wanted.backup
    facts: dict[str, t.Any] = {"reason": request.reason}
    if request.state == ACCEPTED:
        facts["anomalies"] = list(wanted.entry.standing.anomalies)
    event = AuditLog(request.root).append(
        _ACTIONS[request.state], stack=backup.stack, backup=backup.id, actor=request.actor, facts=facts
    )
    # Who prunes renames first and reads the log then: one of the two notices.
    if not os.path.isdir(backup.path):
        raise StoreError(f"{backup.path} was pruned at this moment, or is about to come back: run this again.")
    return event.receipt
