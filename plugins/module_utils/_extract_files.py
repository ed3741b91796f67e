# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Get files and directories out of the archive of a backup, to look at them or to put them back.

    file → decompressor → gate, selection → tar → staging directory → deletions → compare → place

Nothing is put in place before the whole archive was read and had the checksum of the manifest. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t
from dataclasses import dataclass

from ._archive_reader import check_sha256, judged, plain
from ._archive_selection import Found, Selection, find, pass_selected
from ._deletions import Parents, opened
from ._errors import ArchiveError, StoreError
from ._placement import compare, place, refuse_differing
from ._process import Pipeline
from ._staging import staging
from ._tar import extract_stage
from ._tar_gate import A_DIRECTORY, A_FILE, ANOTHER
from ._tree import walk
from ._volume_directory import data_directory, has_quota

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._engine import Engine
    from ._files import Written
    from ._manifest import Artifact, Manifest


@dataclass(frozen=True)
class Source:
    """One archive of a backup, and what is meant of it."""

    archive: str
    sha256: str
    deleted: str | None
    deleted_sha256: str | None
    selection: Selection
    allow_devices: bool = False


@dataclass(frozen=True)
class Target:
    """Where it goes. ``may_stage_beside`` says that a sibling of the directory is of the same file system."""

    directory: str
    may_stage_beside: bool


@dataclass(frozen=True)
class Extracted:
    """What was put in place, or would be: counts of names, directories that were there already not among them."""

    directory: str
    files: int
    content_bytes: int
    placed: int
    replaced: int
    unchanged: int

    @property
    def changed(self) -> bool:
        return bool(self.placed or self.replaced)


def source_of(manifest: Manifest, directory: str, artifact: Artifact, path: str, *, allow_devices: bool) -> Source:
    """Describe an archive of a backup that lies in ``directory``."""
    deletions = manifest.find("deletions", artifact.source) if artifact.kind == "archive" else None
    return Source(
        archive=os.path.join(directory, artifact.path),
        sha256=artifact.sha256,
        deleted=os.path.join(directory, deletions.path) if deletions else None,
        deleted_sha256=deletions.sha256 if deletions else None,
        selection=Selection(path),
        allow_devices=allow_devices,
    )


def live_target(engine: Engine, entry: t.Mapping[str, t.Any]) -> Target:
    """Return where a volume or bound directory of a manifest is on this host; raise where it is not."""
    volume = engine.volume(entry["source"]) if entry["kind"] == "volume" else None
    directory = data_directory(engine, entry["kind"], entry["source"])
    return Target(directory, may_stage_beside=volume is None or not has_quota(volume))


def look(source: Source) -> Found:
    """Read all of an archive and find what is meant; raise when it is damaged, or when there is nothing of it."""
    with _deletions(source) as deletions, judged(source.archive, source.sha256, None, None):
        with plain(source.archive) as (stream, reader):
            found = find(
                stream,
                subject=source.archive,
                selection=source.selection,
                deletions=deletions,
                allow_devices=source.allow_devices,
            )
        check_sha256(source.archive, reader.result, source.sha256)
    if not found.kinds and not source.selection.everything:
        raise StoreError(
            f"{source.archive} holds nothing at {source.selection.path!r} as of the backup. List what it holds with "
            "backup_info, contents=true.",
            archive=source.archive,
        )
    return found


def extract(source: Source, found: Found, target: Target, *, replace: bool, act: bool) -> Extracted:
    """Put what was found into a directory; without ``act`` only find out what that would do.

    Raises StackError for what is there already and differs, unless ``replace``.
    """
    if not os.path.isdir(target.directory):
        if not act:
            names = len(found.kinds)
            return Extracted(target.directory, found.files, found.content_bytes, names, 0, 0)
        os.makedirs(target.directory, mode=0o700)
    with staging(target.directory, may_exchange=target.may_stage_beside) as staged:
        _require_space(found, staged.base)
        _stage(source, found, staged.directory)
        placement = compare(staged.directory, target.directory)
        if not replace:
            refuse_differing(placement, target.directory)
        if act and placement.changed:
            place(staged.directory, target.directory, placement)
    return Extracted(
        directory=target.directory,
        files=found.files,
        content_bytes=found.content_bytes,
        placed=len(placement.new) + len(placement.directories),
        replaced=len(placement.differing),
        unchanged=placement.same,
    )


def _stage(source: Source, found: Found, directory: str) -> None:
    """Extract what was found into an empty directory, and prove that this is what is there."""
    with (
        plain(source.archive) as (stream, reader),
        Pipeline([extract_stage(directory, f"extract {source.archive}")]) as tar,
    ):
        pass_selected(
            stream,
            tar.stdin.fileno(),
            subject=source.archive,
            selection=source.selection,
            found=found,
            allow_devices=source.allow_devices,
        )
    _check_read_again(source, reader.result)
    _remove(directory, found.surplus)
    arrived = {path: _kind(status) for path, status in walk(directory)}
    wanted = {**found.kinds, **dict.fromkeys(found.above - found.surplus, A_DIRECTORY)}
    if arrived != wanted:
        odd = sorted(name for name in arrived.keys() | wanted.keys() if arrived.get(name) != wanted.get(name))
        raise ArchiveError(
            f"{len(odd)} names of {source.archive} did not arrive on disk as they are in the archive, such as "
            f"{os.fsdecode(odd[0])!r}. Does the file system tell upper and lower case apart?",
            archive=source.archive,
        )


def _check_read_again(source: Source, read: Written) -> None:
    if read.sha256 != source.sha256:
        raise ArchiveError(f"{source.archive} changed while it was read. Run this again.", archive=source.archive)


def _remove(directory: str, names: set[bytes]) -> None:
    with contextlib.closing(Parents(directory)) as parents:
        # What is below a directory goes before it.
        for name in sorted(names, key=lambda name: (-name.count(b"/"), name)):
            parent, base = parents.of(name)
            try:
                os.unlink(base, dir_fd=parent)
            except IsADirectoryError:
                os.rmdir(base, dir_fd=parent)


def _kind(status: os.stat_result) -> int:
    if stat.S_ISREG(status.st_mode):
        return A_FILE
    return A_DIRECTORY if stat.S_ISDIR(status.st_mode) else ANOTHER


def _require_space(found: Found, directory: str) -> None:
    status = os.statvfs(directory)
    free = status.f_bavail * status.f_frsize
    if found.content_bytes > free:
        raise StoreError(
            f"What was asked for has {found.content_bytes} bytes, and {free} are free where {directory} lies. Free "
            "some.",
            directory=directory,
        )


@contextlib.contextmanager
def _deletions(source: Source) -> Iterator[t.Any]:
    with opened(source.deleted, source.deleted_sha256) as deletions:
        yield deletions
