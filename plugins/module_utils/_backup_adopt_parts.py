# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a backup that is made of files that are there: read and judge each, and write its artifact.

An archive or a dump that is good as it is becomes an artifact byte for byte. Standard library only. Private to this
collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ._archive_reader import judged, plain
from ._backup_adopt_ticketz import DUMP
from ._capture_volumes import archive_name
from ._compression import compress_stage, detect, suffix
from ._database import connect
from ._dump_file import CUSTOM, examine, survey_rows
from ._encryption import detect as encryption_of
from ._errors import ArchiveError, StoreError
from ._files import file_sha256, partial_file, read_chunks, write_hashed
from ._manifest import Artifact
from ._process import Pipeline
from ._streamed_archive import streamed_archive
from ._tar import create_stage
from ._tar_gate import check

if t.TYPE_CHECKING:
    from ._backup_store import Partial
    from ._database_location import Location
    from ._files import Written
    from ._plain_dump import Surveyed
    from ._stack import Data, StackDatabase

# What is taken out of an archive is compressed as a backup of this collection is.
REPACKED = "zstd"


@dataclass(frozen=True)
class VolumePart:
    """The archive of a volume; ``member`` is the directory of a bigger archive that it is, else None."""

    data: Data
    path: str
    read: Written
    compression: str
    facts: dict[str, int]
    member: str | None = None

    @property
    def artifact(self) -> str:
        return archive_name(self.data, self.compression)


@dataclass(frozen=True)
class DumpPart:
    """The dump of a database; ``member`` is the file of an archive that it is, else None."""

    database: StackDatabase
    server: str
    path: str
    read: Written
    compression: str
    format: str
    surveyed: Surveyed
    artifact: str
    member: str | None = None


def look_at_archive(path: str, data: Data) -> VolumePart:
    """Read an archive of a volume to its end; raise ArchiveError for one that is damaged or hostile."""
    refuse_encrypted(path)
    compression = detect(path)
    with judged(path, None, None, None), plain(path) as (source, reader):
        # What the volume holds is kept, devices too; whether they may be restored is asked on import.
        passed = check(source, subject=path, allow_devices=True)
    if not passed.entries and not passed.root:
        raise ArchiveError(f"{path} holds nothing, not even the directory of the volume. Use another backup.")
    facts = {
        "files": passed.files,
        "directories": passed.directories,
        "others": passed.others,
        "content_bytes": passed.bytes,
        "superseded": passed.duplicates,
        "deleted": 0,
    }
    return VolumePart(data, path, reader.result, compression, facts)


def refuse_encrypted(path: str) -> None:
    """Raise StoreError for a file that is encrypted: what is adopted is read, and kept as it is."""
    if encryption_of(path) != "none":
        raise StoreError(f"{path} is encrypted. Decrypt it first, and adopt what you get.", path=path)


def survey_custom(path: str, compression: str, location: Location, database: str) -> Surveyed:
    """Read a dump in the custom format to its end, with the programs of the server that it is for."""
    with connect(location.connection(database)) as session:
        version = session.server_version() // 10000
    examine(path, None, location, version)
    return survey_rows(path, compression, location, version)


def check_rows(surveyed: Surveyed, subject: str) -> None:
    """Refuse a dump that is sound but no backup: without rows, or with rows that cannot be counted by table."""
    if not surveyed.has_rows:
        raise StoreError(f"{subject} holds no rows of any table: it was made with --schema-only. Use another dump.")
    if surveyed.rows is None:
        raise StoreError(
            f"{subject} does not say which partitions its rows belong to: it was made with --load-via-partition-root. "
            "Make it without, or restore it with database_restore."
        )


def dump_name(stem: str, format_: str, compression: str) -> str:
    """Return the path of a dump inside a backup."""
    # What is not compressed yet is on its way.
    kept = compression if compression != "none" else REPACKED
    return f"databases/{stem}.{'dump' if format_ == CUSTOM else 'sql'}{suffix(kept)}"


def write_volume(part: VolumePart, partial: Partial, unpacked: str) -> Artifact:
    """Write the archive of a volume below ``partial``; ``unpacked`` is where a bigger archive was extracted."""
    destination, facts = partial.file(part.artifact), part.facts
    if part.member is None:
        written = _copy(part.path, destination, part.read)
    else:
        subject = f"volume {part.data.name}"
        stage = create_stage(os.path.join(unpacked, part.member), f"archive {subject}")
        with streamed_archive(stage, destination, compression=part.compression, level=None, subject=subject) as archive:
            archive.catch_up(still=True)
            archived = archive.finish("")
        written, totals = archived.written, archived.totals
        facts = {
            "files": totals.files,
            "directories": totals.directories,
            "others": totals.others,
            "content_bytes": totals.bytes,
            "superseded": 0,
            "deleted": 0,
        }
    return Artifact(
        path=part.artifact,
        kind="archive",
        size=written.size,
        sha256=written.sha256,
        plain_sha256=written.sha256,
        source=part.data.name,
        compression=part.compression,
        facts=facts,
    )


def write_dump(part: DumpPart, partial: Partial, unpacked: str) -> Artifact:
    """Write the dump of a database below ``partial``, compressed where it is not."""
    destination = partial.file(part.artifact)
    compression = part.compression
    if part.member is None and compression != "none":
        written = _copy(part.path, destination, part.read)
    else:
        source = part.path if part.member is None else os.path.join(unpacked, DUMP)
        # One that was read through its archive is known by its content.
        expected = part.read.sha256 if part.member is None else part.surveyed.sha256
        written, compression = _compress(source, destination, expected), REPACKED
    return Artifact(
        path=part.artifact,
        kind="dump",
        size=written.size,
        sha256=written.sha256,
        plain_sha256=written.sha256,
        source=part.database.name,
        compression=compression,
        facts={
            "format": part.format,
            "rows": part.surveyed.rows,
            "tables": part.surveyed.contents.table_data,
            "sequences": part.surveyed.sequences,
            "server": part.server,
        },
    )


def _copy(source: str, destination: str, expected: Written) -> Written:
    with partial_file(destination) as target, open(source, "rb") as stream:
        written = write_hashed(target, read_chunks(stream))
        if written != expected:
            raise _changed(source)
    return written


def _compress(source: str, destination: str, expected: str) -> Written:
    stage = compress_stage(REPACKED, f"compress {source}")
    if stage is None:
        raise ValueError(f"{REPACKED} is no compression")
    with partial_file(destination) as target, open(source, "rb") as stream:
        with Pipeline([stage], stdin=stream.fileno()) as pipeline:
            written = write_hashed(target, read_chunks(pipeline.stdout))
        if file_sha256(source).sha256 != expected:
            raise _changed(source)
    return written


def _changed(source: str) -> StoreError:
    return StoreError(f"{source} was changed while it was adopted. Try again when nothing writes to it.", path=source)
