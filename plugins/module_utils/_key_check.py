# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prove that a key which never leaves the control node opens the newest backups of a host.

The host shows the beginning of every encrypted artifact, and small ones as a whole; the control node decrypts them and
tells the host how that went, for its audit log. Standard library only. Private to this collection.
"""

from __future__ import annotations

import base64
import hashlib
import os
import typing as t
from dataclasses import dataclass, field

from ._backup_store import LATEST, Store
from ._compression import GZIP_MAGIC, ZSTD_MAGIC
from ._encryption import detect, head, holding
from ._errors import ContinuityError, StoreError
from ._process import Pipeline
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._backup_store import Backup
    from ._encryption import Keys

# More than the header, and what age encrypts as one piece.
SHOWN = 96 << 10
# What the content of a compressed artifact begins with.
_MAGIC = {"zstd": ZSTD_MAGIC, "gzip": GZIP_MAGIC}


@dataclass(frozen=True)
class Request:
    """Whose newest backup, or which one; of all stacks without a ``stack``."""

    root: str
    stack: str | None = None
    id: str = LATEST


@dataclass(frozen=True)
class Opened:
    """What a key opened of a backup; nothing can be opened of one that is not ``encrypted``."""

    stack: str
    id: str
    encrypted: bool
    artifacts: int = 0
    whole: int = 0
    problems: tuple[str, ...] = field(default_factory=tuple)

    @property
    def ok(self) -> bool:
        return not self.problems


def show(request: Request) -> list[dict[str, t.Any]]:
    """Return what a control node needs to try a key; raises StoreError when there is no such backup."""
    store = Store(request.root)
    stacks = [request.stack] if request.stack else [stack for stack in store.stacks() if store.backups(stack)]
    if not stacks:
        raise StoreError(f"There is no backup below {request.root}. Set crm_backup_root to where the backups lie.")
    return [_show(store.backup(stack, request.id)) for stack in stacks]


def _show(backup: Backup) -> dict[str, t.Any]:
    manifest = backup.manifest()
    artifacts = []
    for artifact in manifest.artifacts:
        path = os.path.join(backup.path, artifact.path)
        if detect(path) == "none":
            continue
        with open(path, "rb") as stream:
            content = stream.read(SHOWN)
        artifacts.append(
            {
                "path": artifact.path,
                "compression": artifact.compression,
                "plain_sha256": artifact.plain_sha256,
                "whole": len(content) == artifact.size,
                "content": base64.b64encode(content).decode("ascii"),
            }
        )
    return {"stack": backup.stack, "id": backup.id, "artifacts": artifacts}


def attempt(shown: Mapping[str, t.Any], keys: Keys, directory: str) -> Opened:
    """Try a key on what a host has shown of a backup; ``directory`` is for what is still encrypted."""
    paths_by_problem: dict[str, list[str]] = {}
    for artifact in shown["artifacts"]:
        problem = _attempt(artifact, keys, os.path.join(directory, "artifact"))
        if problem is not None:
            paths_by_problem.setdefault(problem, []).append(artifact["path"])
    artifacts = shown["artifacts"]
    return Opened(
        stack=shown["stack"],
        id=shown["id"],
        encrypted=bool(artifacts),
        artifacts=len(artifacts),
        whole=sum(artifact["whole"] for artifact in artifacts),
        problems=tuple(f"{', '.join(paths)}: {problem}" for problem, paths in paths_by_problem.items()),
    )


def _attempt(artifact: Mapping[str, t.Any], keys: Keys, path: str) -> str | None:
    with open(path, "wb") as stream:
        stream.write(base64.b64decode(artifact["content"]))
    # Of many artifacts the same is wrong: it is said once.
    name = "decrypt it"
    try:
        start = head(path, detect(path), keys, 512, name)
        if not artifact["whole"]:
            return None if _is_content(start, artifact["compression"]) else "opens, and is not what it should be"
        digest = hashlib.sha256()
        with holding(keys), open(path, "rb") as stream:
            stages = unpack_stages(path, "none", name)
            with Pipeline(stages, stdin=stream.fileno()) as pipeline:
                while portion := os.read(pipeline.stdout.fileno(), SHOWN):
                    digest.update(portion)
    except ContinuityError as exc:
        return str(exc).replace(path, "it")
    if digest.hexdigest() != artifact["plain_sha256"]:
        return "opens, and is not what the manifest says"
    return None


def _is_content(start: bytes, compression: str) -> bool:
    # What is not compressed may begin with anything.
    return start.startswith(_MAGIC.get(compression, b"")) and bool(start)
