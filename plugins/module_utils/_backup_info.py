# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List the backups below a root and what each holds, without opening an artifact.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ._backup_store import LATEST, Store
from ._errors import StoreError

if t.TYPE_CHECKING:
    from ._backup_store import Backup


@dataclass(frozen=True)
class Request:
    """Which backups to describe: of one stack or all, one ID, the latest, or all; and whether with their manifests."""

    root: str
    stack: str | None = None
    id: str | None = None
    manifest: bool = False


def describe(request: Request) -> list[dict[str, t.Any]]:
    """Return the backups, oldest first per stack. One with a damaged manifest is listed with its ``problem``.

    Raises StoreError when an ID was asked for that does not exist.
    """
    store = Store(request.root)
    stacks = [request.stack] if request.stack else store.stacks()
    chosen: list[Backup] = []
    for stack in stacks:
        backups = store.backups(stack)
        if request.id == LATEST:
            chosen += backups[-1:]
        else:
            chosen += [backup for backup in backups if request.id in (None, backup.id)]
    if not chosen and request.id not in (None, LATEST):
        _refuse(store, request)
    return [_describe(backup, request.manifest) for backup in chosen]


def _refuse(store: Store, request: Request) -> None:
    if request.stack is not None:
        store.backup(request.stack, request.id or LATEST)
    raise StoreError(f"There is no backup {request.id} of any stack in {store.root}.")


def _describe(backup: Backup, with_manifest: bool) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {"stack": backup.stack, "id": backup.id, "path": backup.path, "problem": None}
    try:
        manifest = backup.manifest()
    except StoreError as exc:
        return {**entry, "problem": str(exc)}
    entry.update(
        size=manifest.size,
        cut_at=manifest.cut_at,
        host=manifest.host,
        profiles=manifest.source["profiles"],
        frozen_seconds=manifest.freeze["seconds"],
        artifacts=len(manifest.artifacts),
        warnings=list(manifest.warnings),
    )
    return {**entry, "manifest": asdict(manifest)} if with_manifest else entry
