# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at a dump before anything is restored from it: whole, readable, and what it holds.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace

from ._compression import FOREIGN, GZIP_MAGIC, ZSTD_MAGIC, decompress_stage
from ._dump_contents import Contents, contents
from ._errors import DatabaseError, ProcessError, StoreError
from ._files import file_sha256, read_chunks
from ._pg_commands import restore_list, restore_script
from ._process import Pipeline, Stage

if t.TYPE_CHECKING:
    from ._database_location import Location

# How a compressor ends whose reader has seen enough.
SIGPIPE = -13


@dataclass(frozen=True)
class DumpFile:
    """A dump that was read to its end without an error; ``plain_size`` is what it is without compression."""

    path: str
    compression: str
    size: int
    plain_size: int
    contents: Contents


def examine(path: str, sha256: str | None, location: Location, version: int) -> DumpFile:
    """Read a dump to its end and describe it with the programs of the server that will receive it.

    Raises StoreError when it is missing, damaged or not what ``sha256`` says, and DatabaseError when it is no dump in
    the custom format or too new for the server.
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
    compression = compression_of(path, b"PGDMP")
    plain_size = _plain_size(path, compression)
    listing = read_dump(path, compression, location.client(f"list {path}", restore_list(), version=version))
    script = read_dump(path, compression, location.client(f"read {path}", restore_script(), version=version))
    return DumpFile(path, compression, os.path.getsize(path), plain_size, contents(listing, script))


def compression_of(path: str, plain: bytes) -> str:
    """Return how a file is compressed whose content begins with ``plain``; raise StoreError when it is not ours."""
    with open(path, "rb") as stream:
        start = stream.read(64)
    for compression, magic in (("zstd", ZSTD_MAGIC), ("gzip", GZIP_MAGIC), ("none", plain)):
        if start.startswith(magic):
            return compression
    foreign = [remedy for magic, remedy in FOREIGN.items() if start.startswith(magic)]
    if start.startswith(b"--"):
        foreign.append("is a plain SQL dump, and this restores pg_dump's custom format: load it with psql")
    problem = foreign[0] if foreign else "is not a dump of this collection, or its beginning is damaged"
    raise StoreError(f"{path} {problem}. Nothing was restored.", path=path)


def read_dump(path: str, compression: str, reader: Stage) -> str:
    """Return what a program prints that reads the beginning of a dump from its standard input."""
    stages = [reader]
    unpack = decompress_stage(compression, f"unpack {path}")
    if unpack is not None:
        stages.insert(0, replace(unpack, accept=unpack.accept | {SIGPIPE}))
    try:
        with open(path, "rb") as stream, Pipeline(stages, stdin=stream.fileno()) as pipeline:
            return b"".join(read_chunks(pipeline.stdout)).decode(errors="backslashreplace")
    except ProcessError as exc:
        raise DatabaseError(f"{path} cannot be restored. {exc} {_advice(str(exc))}".rstrip(), path=path) from exc


def _plain_size(path: str, compression: str) -> int:
    """Unpack the whole file to nowhere, which checks the compressor's own checksums, and return the size."""
    unpack = decompress_stage(compression, f"unpack {path}")
    if unpack is None:
        return os.path.getsize(path)
    try:
        with open(path, "rb") as stream, Pipeline([unpack], stdin=stream.fileno()) as pipeline:
            return sum(len(chunk) for chunk in read_chunks(pipeline.stdout))
    except ProcessError as exc:
        raise StoreError(
            f"{path} is damaged. {exc} Nothing was restored. Use another copy or another backup.", path=path
        ) from exc


def _advice(words: str) -> str:
    if "unsupported version" in words:
        return "It was written by a newer pg_dump: restore it into a server of that version or newer."
    if "text format dump" in words:
        return "It is a plain SQL dump; this restores pg_dump's custom format."
    if "valid archive" in words or "too short" in words:
        return "It is not a dump in pg_dump's custom format."
    return ""
