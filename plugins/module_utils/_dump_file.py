# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at a dump before anything is restored from it: whole, readable, and what it holds.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import functools
import os
import typing as t
from dataclasses import dataclass, replace

from ._compression import FOREIGN, GZIP_MAGIC, TAR_MAGIC, ZSTD_MAGIC
from ._dump_contents import Contents, contents
from ._encryption import detect, start_of
from ._errors import DatabaseError, ProcessError, StoreError
from ._files import file_sha256, read_chunks
from ._pg_commands import restore_list, restore_rows, restore_script
from ._plain_dump import survey
from ._process import Pipeline, Stage
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._database_location import Location
    from ._plain_dump import Surveyed

# pg_dump's own format, and a SQL script.
CUSTOM, PLAIN = "custom", "plain"
MAGIC = b"PGDMP"


@dataclass(frozen=True)
class DumpFile:
    """A dump that was read to its end without an error; ``plain_size`` is what it is without compression.

    ``rows`` are the counts by table of a plain dump; None where a dump does not tell.
    """

    path: str
    compression: str
    size: int
    plain_size: int
    contents: Contents
    format: str = CUSTOM
    rows: Mapping[str, int] | None = None
    encrypted: bool = False


def examine(path: str, sha256: str | None, location: Location, version: int) -> DumpFile:
    """Read a dump to its end and describe it; one in the custom format with the programs of its future server.

    Raises StoreError when it is missing, damaged, not what ``sha256`` says, or a script that pg_dump did not write, and
    DatabaseError when it is too new for the server.
    """
    if not os.path.isfile(path):
        raise StoreError(f"There is no dump {path}.", path=path)
    if sha256 is not None:
        found = file_sha256(path)
        if found.sha256 != sha256:
            raise StoreError(
                f"{path} is damaged: its SHA-256 is {found.sha256}, and {sha256} is expected. Nothing was restored. "
                "Use another copy or another backup.",
                path=path,
            )
    compression = compression_of(path)
    size = os.path.getsize(path)
    encrypted = detect(path) != "none"
    if format_of(path, compression) == PLAIN:
        script = survey_script(path, compression)
        return DumpFile(path, compression, size, script.size, script.contents, PLAIN, script.rows, encrypted)
    plain_size = _plain_size(path, compression)
    listing = read_dump(path, compression, location.client(f"list {path}", restore_list(), version=version))
    definitions = read_dump(path, compression, location.client(f"read {path}", restore_script(), version=version))
    return DumpFile(path, compression, size, plain_size, contents(listing, definitions), encrypted=encrypted)


def compression_of(path: str, plain: bytes = b"") -> str:
    """Return how a file is compressed whose content begins with ``plain``; raise StoreError when it is not ours."""
    start = start_of(path, 512)
    for compression, magic in (("zstd", ZSTD_MAGIC), ("gzip", GZIP_MAGIC)):
        if start.startswith(magic):
            return compression
    foreign = [remedy for magic, remedy in FOREIGN.items() if start.startswith(magic)]
    offset, magic = TAR_MAGIC
    if start[offset:].startswith(magic):
        foreign.append("is a tar archive. If pg_dump -Ft made it, turn it into a script first: pg_restore --file=x.sql")
    if start.startswith(plain) and not foreign:
        return "none"
    problem = foreign[0] if foreign else "is not a dump of this collection, or its beginning is damaged"
    raise StoreError(f"{path} {problem}. Nothing was restored.", path=path)


def format_of(path: str, compression: str) -> str:
    """Return CUSTOM for a dump that begins like one; anything else has to prove that it is a script."""
    head = Stage(f"read the beginning of {path}", ["head", "--bytes=5"])
    try:
        return CUSTOM if _read_through(path, compression, head).encode() == MAGIC else PLAIN
    except ProcessError as exc:
        raise _damaged(path, exc) from exc


def survey_script(path: str, compression: str) -> Surveyed:
    """Read a SQL script to its end and describe it; raise StoreError when it is damaged or no script of pg_dump."""
    return _surveyed(path, compression, [])


def survey_rows(path: str, compression: str, location: Location, version: int) -> Surveyed:
    """Describe a dump in the custom format by the script that it becomes, which says how many rows it holds."""
    return _surveyed(path, compression, [location.client(f"read {path}", restore_rows(), version=version)])


def _surveyed(path: str, compression: str, readers: list[Stage]) -> Surveyed:
    # What was refused at its beginning is not read to its end.
    unpack = unpack_stages(path, compression, may_leave=True) or [Stage(f"read {path}", ["cat"], reader_may_leave=True)]
    stages = [*unpack, *(replace(one, reader_may_leave=True) for one in readers)]
    refusal = StoreError(f"{path} could not be read to its end.", path=path)
    try:
        with open(path, "rb") as stream, Pipeline(stages, stdin=stream.fileno()) as pipeline:
            try:
                return survey(functools.partial(os.read, pipeline.stdout.fileno()), path)
            except StoreError as exc:
                # Perhaps the decompressor has failed: its exit code and words say more, and are asked first.
                refusal = exc
    except ProcessError as exc:
        raise _damaged(path, exc) from exc
    raise refusal


def read_dump(path: str, compression: str, reader: Stage) -> str:
    """Return what a program prints that reads the beginning of a dump from its standard input."""
    try:
        return _read_through(path, compression, reader)
    except ProcessError as exc:
        raise DatabaseError(f"{path} cannot be restored. {exc} {_advice(str(exc))}".rstrip(), path=path) from exc


def _read_through(path: str, compression: str, reader: Stage) -> str:
    stages = [*unpack_stages(path, compression, may_leave=True), reader]
    with open(path, "rb") as stream, Pipeline(stages, stdin=stream.fileno()) as pipeline:
        return b"".join(read_chunks(pipeline.stdout)).decode(errors="backslashreplace")


def _plain_size(path: str, compression: str) -> int:
    """Unpack the whole file to nowhere, which checks the compressor's own checksums, and return the size."""
    unpack = unpack_stages(path, compression)
    if not unpack:
        return os.path.getsize(path)
    try:
        with open(path, "rb") as stream, Pipeline(unpack, stdin=stream.fileno()) as pipeline:
            return sum(len(chunk) for chunk in read_chunks(pipeline.stdout))
    except ProcessError as exc:
        raise _damaged(path, exc) from exc


def _damaged(path: str, cause: ProcessError) -> StoreError:
    return StoreError(f"{path} is damaged. {cause} Use another copy or another backup.", path=path)


def _advice(words: str) -> str:
    if "unsupported version" in words:
        return "It was written by a newer pg_dump: restore it into a server of that version or newer."
    if "valid archive" in words or "too short" in words:
        return "It is not a dump in pg_dump's custom format."
    return ""
