# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CSV files of an archive or a directory, one after the other, without unpacking anything to the disk.

    file → decompressor → gate → tarfile → one stream per table

The gate refuses what is damaged or hostile before anything of it is looked at. Standard library only. Private to this
collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import tarfile
import typing as t
from dataclasses import dataclass, field

from ._archive_reader import check_sha256, plain
from ._errors import ArchiveError, StoreError
from ._files import CHUNK
from ._process import Alongside, enlarge_pipe
from ._tar_gate import pass_through

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._database import Readable

# 012-Messages.csv is of the table Messages. The number is for people, and may be missing.
_NAME = re.compile(r"(?:\d+-)?(?P<table>.+)\.csv", re.DOTALL)


@dataclass(frozen=True)
class CsvFile:
    """One file, to be read before the next one is asked for."""

    name: str
    table: str
    size: int
    stream: Readable


@dataclass
class CsvSource:
    """All CSV files of an archive or a directory. ``ignored`` collects the names of other files on the way.

    ``sha256`` is that of the archive, known when it was read to its end.
    """

    path: str
    files: Iterator[CsvFile]
    ignored: list[str] = field(default_factory=list)
    sha256: str | None = None


def opened(path: str, sha256: str | None = None) -> contextlib.AbstractContextManager[CsvSource]:
    """Open an archive or a directory of CSV files.

    When the block ends well, all of an archive was read and is what ``sha256`` says. Raises ArchiveError for one that
    is damaged, hostile, or holds no CSV file.
    """
    if not os.path.exists(path):
        raise StoreError(f"There is no {path} on this host. Copy the archive there first.", path=path)
    if os.path.isdir(path):
        if sha256 is not None:
            raise StoreError(f"{path} is a directory, which has no checksum. Leave sha256 out.", path=path)
        source = CsvSource(path, iter(()))
        source.files = _known(path, _in_directory(path, source.ignored))
        return contextlib.nullcontext(source)
    return _archive(path, sha256)


@contextlib.contextmanager
def _archive(path: str, sha256: str | None) -> Iterator[CsvSource]:
    with plain(path) as (descriptor, hasher):
        reading, writing = os.pipe()
        enlarge_pipe(writing)
        with (
            open(reading, "rb", buffering=0) as stream,
            Alongside(lambda: _gate(path, descriptor, writing), stream.close),
        ):
            source = CsvSource(path, iter(()))
            source.files = _known(path, _in_archive(stream, source.ignored))
            yield source
            # Whatever was not asked for is still checked.
            while stream.read(CHUNK):
                pass
    source.sha256 = hasher.result.sha256
    if sha256 is not None:
        check_sha256(path, hasher.result, sha256)


def _gate(path: str, source: int, sink: int) -> None:
    try:
        pass_through(source, sink, subject=path)
    except BrokenPipeError:
        # Whoever reads has had enough, and says why.
        pass
    finally:
        os.close(sink)


def _in_archive(stream: t.BinaryIO, ignored: list[str]) -> Iterator[CsvFile]:
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK, errors="surrogateescape") as archive:
            for member in archive:
                name = os.path.basename(member.name)
                content = archive.extractfile(member) if member.isreg() else None
                match = _NAME.fullmatch(name)
                if content is not None and match is not None:
                    yield CsvFile(name, match["table"], member.size, content)
                elif not member.isdir():
                    ignored.append(name)
    except tarfile.TarError as exc:
        raise ArchiveError(f"The archive cannot be read any further: {exc}.") from exc


def _in_directory(path: str, ignored: list[str]) -> Iterator[CsvFile]:
    for name in sorted(os.listdir(path)):
        match = _NAME.fullmatch(name)
        if match is None:
            ignored.append(name)
            continue
        with open(os.open(os.path.join(path, name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{path}/{name} is no file.", path=path)
            yield CsvFile(name, match["table"], status.st_size, stream)


def _known(path: str, files: Iterator[CsvFile]) -> Iterator[CsvFile]:
    names: dict[str, str] = {}
    for file in files:
        if file.table in names:
            raise ArchiveError(
                f"{path} holds two files of the table {file.table}: {names[file.table]} and {file.name}. Remove one.",
                path=path,
            )
        names[file.table] = file.name
        yield file
    if not names:
        raise ArchiveError(
            f"{path} holds no CSV file. An archive of Ticketz' retrieve holds files such as 012-Messages.csv.",
            path=path,
        )
