# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List the backups below a root and what each holds: by their manifests, and on request by what is in the archives.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import asdict, dataclass

from ._archive_contents import contents
from ._audit import AuditLog
from ._backup_store import LATEST, Store
from ._catalogue import Catalogue
from ._errors import ArchiveError, StoreError
from ._extract_files import source_of

if t.TYPE_CHECKING:
    from ._backup_store import Backup
    from ._manifest import Artifact, Manifest


@dataclass(frozen=True)
class Request:
    """Which backups to describe: of one stack or all, one ID, the latest, or all; and whether with their manifests.

    With ``contents``, the archives are read, too; ``artifact`` names one by its path or by the volume or database that
    it holds, ``path`` a part of its volume, and ``limit`` is how many names of each archive are shown.
    """

    root: str
    stack: str | None = None
    id: str | None = None
    manifest: bool = False
    contents: bool = False
    artifact: str | None = None
    path: str = ""
    limit: int = 1000


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
    catalogue = _catalogue(request.root)
    return [{**_describe(backup, request), "standing": _standing(backup, catalogue)} for backup in chosen]


def _catalogue(root: str) -> Catalogue | None:
    try:
        return Catalogue(AuditLog(root))
    except StoreError:
        # The backups are there all the same.
        return None


def _standing(backup: Backup, catalogue: Catalogue | None) -> dict[str, t.Any] | None:
    if catalogue is None:
        return None
    standing = catalogue.entry(backup).standing
    return {"word": standing.word, **asdict(standing)}


def _refuse(store: Store, request: Request) -> None:
    if request.stack is not None:
        store.backup(request.stack, request.id or LATEST)
    raise StoreError(f"There is no backup {request.id} of any stack in {store.root}.")


def _describe(backup: Backup, request: Request) -> dict[str, t.Any]:
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
    if request.manifest:
        entry["manifest"] = asdict(manifest)
    if request.contents:
        entry["contents"] = [_contents(artifact, manifest, backup, request) for artifact in _chosen(manifest, request)]
    return entry


def _chosen(manifest: Manifest, request: Request) -> list[Artifact]:
    """Return the artifacts that have contents to list, or the one that was asked for."""
    listed = [artifact for artifact in manifest.artifacts if artifact.kind == "dump" or _is_archive(artifact)]
    if request.artifact is None:
        return listed
    found = [artifact for artifact in listed if request.artifact in (artifact.path, artifact.source)]
    if not found:
        there = ", ".join(artifact.path for artifact in listed)
        raise StoreError(f"Backup {manifest.id} of {manifest.stack} holds no {request.artifact}. It holds {there}.")
    return found


def _is_archive(artifact: Artifact) -> bool:
    return artifact.kind in ("archive", "config") and ".tar" in artifact.path


def _contents(artifact: Artifact, manifest: Manifest, backup: Backup, request: Request) -> dict[str, t.Any]:
    entry: dict[str, t.Any] = {
        "artifact": artifact.path,
        "kind": artifact.kind,
        "source": artifact.source,
        "problem": None,
    }
    if artifact.kind == "dump":
        # What is in a dump can only be asked with the programs of its server; the rows were counted when it was made.
        return {**entry, "tables": dict(artifact.facts["rows"])}
    source = source_of(manifest, backup.path, artifact, request.path, allow_devices=True)
    try:
        listing = contents(source, request.limit)
    except (ArchiveError, StoreError) as exc:
        return {**entry, "problem": str(exc)}
    except FileNotFoundError:
        return {**entry, "problem": f"{source.archive} is missing."}
    return {
        **entry,
        "entries": [asdict(found) for found in listing.entries],
        "names": listing.names,
        "more": listing.names - len(listing.entries),
        "content_bytes": listing.content_bytes,
    }
