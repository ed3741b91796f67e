# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check a backup against its manifest by reading it back.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from dataclasses import dataclass

from ._backup_store import LATEST, Store
from ._compression import decompress_stage
from ._deletions import opened
from ._dump_file import MAGIC, PLAIN, survey_script
from ._errors import ArchiveError, ContinuityError, StoreError
from ._files import file_sha256, read_chunks
from ._manifest import NAME, SUMS
from ._process import Pipeline, Stage
from ._tar_gate import check as check_archive

if t.TYPE_CHECKING:
    from ._backup_store import Backup
    from ._manifest import Artifact, Manifest

ALL = "all"
LEVELS = ("quick", "full")
# What every manifest says of an archive; the other facts were not always written.
ALWAYS = ("files", "directories")
WORDS = {"others": "other entries", "superseded": "superseded names", "deleted": "deleted names"}


@dataclass(frozen=True)
class Request:
    """Which backups to verify: of one stack or all; one ID, the latest, or all; and how thoroughly."""

    root: str
    stack: str | None = None
    id: str = LATEST
    level: str = "full"


@dataclass(frozen=True)
class Verdict:
    """What was found of one backup; ``bytes`` were read."""

    stack: str
    id: str
    path: str
    artifacts: int
    bytes: int
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(request: Request) -> list[Verdict]:
    """Return a verdict on every backup that was asked for. Raises StoreError when there is none."""
    store = Store(request.root)
    backups: list[Backup] = []
    for stack in [request.stack] if request.stack else store.stacks():
        of_stack = store.backups(stack)
        if request.stack and request.id != ALL:
            backups.append(store.backup(stack, request.id))
        elif request.id == LATEST:
            backups += of_stack[-1:]
        else:
            backups += [backup for backup in of_stack if request.id in (ALL, backup.id)]
    if not backups:
        which = "" if request.id in (ALL, LATEST) else f" {request.id}"
        where = store.stack_directory(request.stack) if request.stack else request.root
        raise StoreError(f"There is no backup{which} below {where}. Set crm_backup_root to where the backups lie.")
    return [_verify(backup, request.level) for backup in backups]


def _verify(backup: Backup, level: str) -> Verdict:
    try:
        manifest = backup.manifest()
    except StoreError as exc:
        return Verdict(backup.stack, backup.id, backup.path, 0, 0, (str(exc),))
    problems = _identity(backup, manifest) + _unexpected(backup, manifest) + _strays(manifest)
    count = 0
    for artifact in manifest.artifacts:
        found, read = _check(backup, manifest, artifact, level)
        problems += [f"{artifact.path}: {problem}" for problem in found]
        count += read
    return Verdict(backup.stack, backup.id, backup.path, len(manifest.artifacts), count, tuple(problems))


def _identity(backup: Backup, manifest: Manifest) -> list[str]:
    if (manifest.id, manifest.stack) == (backup.id, backup.stack):
        return []
    return [f"{NAME} is that of backup {manifest.id} of stack {manifest.stack}: the directory was renamed or exchanged"]


def _unexpected(backup: Backup, manifest: Manifest) -> list[str]:
    expected = {NAME, SUMS, *(artifact.path for artifact in manifest.artifacts)}
    found = {
        os.path.relpath(os.path.join(directory, name), backup.path)
        for directory, directories, names in os.walk(backup.path)
        # A link to a directory would let the artifacts lie elsewhere.
        for name in (*names, *(name for name in directories if os.path.islink(os.path.join(directory, name))))
    }
    return [f"{name} is not in the manifest" for name in sorted(found - expected)]


def _strays(manifest: Manifest) -> list[str]:
    return [
        f"{artifact.path} is a list of deleted names that belongs to no archive"
        for artifact in manifest.artifacts
        if artifact.kind == "deletions" and _belonging(manifest, "archive", artifact) is None
    ]


def _belonging(manifest: Manifest, kind: str, other: Artifact) -> Artifact | None:
    """Return the archive of a list, or the list of an archive."""
    return None if other.source is None else manifest.find(kind, other.source)


def _check(backup: Backup, manifest: Manifest, artifact: Artifact, level: str) -> tuple[list[str], int]:
    """Return what is wrong with an artifact, and how many bytes were read to know."""
    path = os.path.join(backup.path, artifact.path)
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return ["is missing"], 0
    except OSError as exc:
        return [f"cannot be read: {exc.strerror}"], 0
    if not stat.S_ISREG(status.st_mode):
        return ["is not a regular file"], 0
    size = status.st_size
    if size != artifact.size:
        return [f"has {size} bytes, and {artifact.size} are expected"], 0
    if level == "quick":
        return [], 0
    try:
        written = file_sha256(path)
        if written.sha256 != artifact.sha256:
            return [f"is damaged: its SHA-256 is {written.sha256}, and {artifact.sha256} is expected"], size
        if artifact.kind == "archive":
            return _check_archive(backup, manifest, artifact), size
        if artifact.kind == "deletions":
            with opened(path):
                # Whether its names are in the archive is a question to the archive.
                return [], size
        if artifact.kind == "dump":
            return _check_dump(path, artifact), size
    except ContinuityError as exc:
        return [str(exc)], size
    except OSError as exc:
        return [f"cannot be read: {exc.strerror}"], size
    return [], size


def _unpacked(path: str, artifact: Artifact) -> Stage:
    return decompress_stage(artifact.compression, f"decompress {path}") or Stage(f"read {path}", ["cat"])


def _check_archive(backup: Backup, manifest: Manifest, artifact: Artifact) -> list[str]:
    path = os.path.join(backup.path, artifact.path)
    listed = _belonging(manifest, "deletions", artifact)
    with contextlib.ExitStack() as stack:
        try:
            if listed is None:
                deletions = stack.enter_context(opened(None))
            else:
                deletions = stack.enter_context(opened(os.path.join(backup.path, listed.path), listed.sha256))
        except (ArchiveError, OSError):
            # That is said of the list itself. Without it, the archive can't be counted.
            deletions = None
        stream = stack.enter_context(open(path, "rb"))
        with Pipeline([_unpacked(path, artifact)], stdin=stream.fileno()) as pipeline:
            passed = check_archive(
                pipeline.stdout.fileno(), subject=artifact.path, allow_devices=True, deleted=deletions or ()
            )
    if deletions is None:
        return []
    found = {
        "files": passed.files,
        "directories": passed.directories,
        "others": passed.others,
        "superseded": passed.duplicates,
        "deleted": deletions.count,
    }
    return [
        f"holds {count} {WORDS.get(what, what)}, and {artifact.facts.get(what)} are expected"
        for what, count in found.items()
        if count != artifact.facts.get(what) and (what in ALWAYS or what in artifact.facts)
    ]


def _check_dump(path: str, artifact: Artifact) -> list[str]:
    if artifact.facts.get("format") == PLAIN:
        rows = survey_script(path, artifact.compression).rows
        return [] if rows == artifact.facts["rows"] else ["does not hold the rows that the manifest says"]
    # Its checksum is right, so it is what was read back with pg_restore when it was written: this finds a mix-up.
    stage = _unpacked(path, artifact)
    start = b""
    with open(path, "rb") as stream, Pipeline([stage], stdin=stream.fileno()) as pipeline:
        for chunk in read_chunks(pipeline.stdout):
            start = start or chunk[: len(MAGIC)]
    return [] if start == MAGIC else ["is not a PostgreSQL dump in the custom format"]
