# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archive the content of a volume: ``plan`` only looks, ``apply`` only acts.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ._archive_writer import ArchiveWriter, archive_file, free_bytes, no_space
from ._compression import COMPRESSIONS, compress_stage
from ._encryption import NO_ENCRYPTION, Encryption
from ._encryption import check as check_encryption
from ._errors import ArchiveError, StackError, StoreError
from ._seal import sealed
from ._staging import leftovers
from ._tar import complaints, create_stage, shortened
from ._tree import scan
from ._volume_directory import is_inside, mounts_below, volume_directory

if t.TYPE_CHECKING:
    from ._engine import Engine
    from ._tar import Complaints


@dataclass(frozen=True)
class Exported:
    """What was archived.

    ``plain_sha256`` is the checksum of the compressed archive before any encryption; ``content_bytes`` is the apparent
    size of all files.
    """

    size: int
    sha256: str
    plain_sha256: str
    files: int
    directories: int
    content_bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types."""

    volume: str
    archive: str
    compression: str = "zstd"
    level: int | None = None
    force: bool = False
    allow_changed: bool = False
    encryption: Encryption = NO_ENCRYPTION


@dataclass(frozen=True)
class Plan:
    """What will happen, and why; ``reason`` is None when nothing will."""

    request: Request
    directory: str
    reason: str | None
    files: int
    directories: int
    content_bytes: int

    @property
    def changed(self) -> bool:
        return self.reason is not None

    def diff(self) -> dict[str, str]:
        """Describe the archive before and after."""
        path = self.request.archive
        before = f"{path}: {os.path.getsize(path)} bytes\n" if os.path.exists(path) else ""
        after = f"{path}: {self.files} files, {self.content_bytes} bytes of content\n"
        return {"before": before, "after": after if self.changed else before}


def plan(request: Request, engine: Engine) -> Plan:
    """Compare the request with the host. Changes nothing."""
    volume = engine.volume(request.volume)
    if volume is None:
        raise StackError(
            f"Volume {request.volume} does not exist. Check its name with docker volume ls: compose puts the name of "
            "the project in front.",
            volume=request.volume,
        )
    directory = volume_directory(volume)
    if request.compression not in COMPRESSIONS:
        raise ArchiveError(f"{request.compression} is no compression. Choose one of {', '.join(COMPRESSIONS)}.")
    compress_stage(request.compression, "compress", request.level)
    check_encryption(request.encryption)
    _check_place(request.archive, directory, request.volume)
    reason = None
    if not os.path.exists(request.archive):
        reason = "the archive does not exist"
    elif request.force:
        reason = "force=true"
    if reason is None:
        return Plan(request, directory, None, 0, 0, 0)
    if leftovers(directory, inside=True):
        raise StackError(
            f"Volume {request.volume} holds what an interrupted import left behind, so its content is not whole. Run "
            "volume_import again first.",
            volume=request.volume,
        )
    totals = scan(directory)
    free = free_bytes(request.archive)
    # What a compressor makes of it can't be known; without one, the content is the least that is needed.
    if free == 0 or (request.compression == "none" and totals.bytes > free):
        raise no_space(request.archive, f"volume {request.volume}", totals.bytes)
    return Plan(request, directory, reason, totals.files, totals.directories, totals.bytes)


def apply(wanted: Plan) -> Exported:
    """Carry out a plan."""
    request = wanted.request
    return export_directory(
        wanted.directory,
        request.archive,
        compression=request.compression,
        level=request.level,
        subject=f"volume {request.volume}",
        allow_changed=request.allow_changed,
        encryption=request.encryption,
    )


def export_directory(
    source: str,
    destination: str,
    *,
    compression: str,
    level: int | None = None,
    subject: str,
    allow_changed: bool = False,
    encryption: Encryption = NO_ENCRYPTION,
) -> Exported:
    """Archive all of a directory; the archive takes its name once it is complete and on disk.

    ``subject`` names the directory in messages ("volume crm_storage"). Raises ArchiveError when files changed while
    they were read, unless ``allow_changed``, which turns that into warnings; StoreError when the disk is full;
    ProcessError when tar or the compressor failed. Nothing is left over then.
    """
    with (
        archive_file(destination, subject, lambda: scan(source).bytes) as target,
        sealed(target, encryption, f"the archive of {subject}") as seal,
    ):
        writer = ArchiveWriter(seal, compression=compression, level=level, subject=subject)
        code, words = writer.part(create_stage(source, f"archive {subject}"), last=True)
        said = complaints(words)
        if code == 1 and not allow_changed:
            raise changed(subject, said, "Stop or pause the services that write to it, or set allow_changed if")
        passed, written = writer.passed(), writer.written()
    return Exported(
        size=written.size,
        sha256=written.sha256,
        plain_sha256=written.plain_sha256,
        files=passed.files,
        directories=passed.directories,
        content_bytes=passed.bytes,
        warnings=(*nested(source), *said.warnings()),
    )


def nested(source: str) -> list[str]:
    """Return a remark for every file system that is mounted below a directory."""
    return [f"{path} is a mount point; what is mounted there is part of the archive" for path in mounts_below(source)]


def changed(subject: str, said: Complaints, remedy: str) -> ArchiveError:
    """Explain that files changed that were to stand still; ``remedy`` goes on with "single files may be torn"."""
    lines = list(shortened(said.others))
    return ArchiveError(
        f"{subject[:1].upper()}{subject[1:]} changed while it was archived, so nothing was kept: {'; '.join(lines)}. "
        f"{remedy} single files may be torn.",
        changed=lines,
    )


def _check_place(archive: str, directory: str, volume: str) -> None:
    """Refuse a path that can't take an archive, before anything is read."""
    place = os.path.dirname(archive) or "."
    if not os.path.isdir(place):
        raise StoreError(
            f"There is no directory {place} for the archive. Create it, or choose another path.", archive=archive
        )
    if os.path.isdir(archive):
        raise StoreError(f"{archive} is a directory. Name the file in it that is to hold the archive.", archive=archive)
    if is_inside(archive, directory):
        raise StoreError(
            f"{archive} lies inside volume {volume} ({directory}), so the archive would contain itself. Choose a path "
            "outside of the volume.",
            archive=archive,
        )
    if not os.access(place, os.W_OK | os.X_OK):
        reason = "is on a read-only file system" if _is_read_only(place) else f"is not writable for user {os.geteuid()}"
        raise StoreError(f"{place} {reason}, so no archive can be written there.", archive=archive)


def _is_read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
