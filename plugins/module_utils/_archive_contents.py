# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""List what an archive holds as of its cut, without putting anything on disk.

An archive may hold a name more than once, and names that were deleted before the cut: it is read twice, first to find
out which members count. Memory grows with the number of names that are shown, and by some bytes per member. Standard
library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import os
import typing as t
from dataclasses import dataclass

from ._archive_reader import check_sha256, judged, plain
from ._deletions import opened
from ._last_members import survey
from ._tar_gate import BLOCK_DEVICE, CHARACTER_DEVICE, DIRECTORY, FIFO, HARD_LINK, SYMBOLIC_LINK, Passage, _Gate

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._extract_files import Source
    from ._tar_gate import _Member

KINDS = {
    HARD_LINK: "hard link",
    SYMBOLIC_LINK: "link",
    CHARACTER_DEVICE: "device",
    BLOCK_DEVICE: "device",
    DIRECTORY: "directory",
    FIFO: "fifo",
}


@dataclass(frozen=True, order=True)
class Entry:
    """One name of an archive; ``target`` is that of a link, ``modified`` is in UTC."""

    name: str
    kind: str
    size: int
    mode: str
    uid: int
    gid: int
    modified: str
    target: str | None = None


@dataclass(frozen=True)
class Listing:
    """The first names by the alphabet, and how many there are of them and how many bytes in all."""

    entries: tuple[Entry, ...]
    names: int
    content_bytes: int


def contents(source: Source, limit: int) -> Listing:
    """List what is meant of an archive; raise ArchiveError when it is damaged or not that of the manifest."""
    with opened(source.deleted, source.deleted_sha256) as deletions, judged(source.archive, source.sha256, None, None):
        with plain(source.archive) as (stream, reader):
            last = survey(stream, subject=source.archive, allow_devices=True, deletions=deletions).last
        check_sha256(source.archive, reader.result, source.sha256)
        with plain(source.archive) as (stream, _reader):
            passage = _Listing(source, last, limit)
            passage.pass_on(stream, None)
    return passage.listing()


class _Listing(Passage):
    """A passage that notes what members say of themselves."""

    def __init__(self, source: Source, last: Sequence[int], limit: int) -> None:
        super().__init__(source.archive)
        self._own = _ListingGate(source, last, limit)
        self._gate = self._own

    def listing(self) -> Listing:
        return self._own.listing()


class _ListingGate(_Gate):
    def __init__(self, source: Source, last: Sequence[int], limit: int) -> None:
        super().__init__(source.archive, True, None, None)
        self._selection = source.selection
        self._verdicts = iter(last)
        self._limit = limit
        self._entries: list[Entry] = []
        self._names = 0
        self._content = 0

    def _count(self, member: _Member, kind: int, path: bytes, what: int, size: int, name: bytes) -> None:
        before = self._bytes
        super()._count(member, kind, path, what, size, name)
        if not next(self._verdicts, True) or not path or not self._selection.matches(path):
            return
        self._names += 1
        self._content += self._bytes - before
        self._entries.append(self._entry(member, kind, path, self._bytes - before))
        if len(self._entries) > 2 * self._limit + 1000:
            self._cut()

    def listing(self) -> Listing:
        self._cut()
        return Listing(tuple(self._entries), self._names, self._content)

    def _cut(self) -> None:
        self._entries = sorted(self._entries)[: self._limit]

    def _entry(self, member: _Member, kind: int, path: bytes, size: int) -> Entry:
        header = member.header
        seconds = self._changed(member) // 1_000_000_000
        links = kind in (HARD_LINK, SYMBOLIC_LINK)
        return Entry(
            name=_text(path),
            kind=KINDS.get(kind, "file"),
            size=size,
            mode=f"{self._number(header[100:108], 'mode') & 0o7777:04o}",
            uid=self._owner(member, b"uid", header[108:116]),
            gid=self._owner(member, b"gid", header[116:124]),
            modified=_time(seconds),
            target=_text(self._target(member)) if links else None,
        )

    def _owner(self, member: _Member, keyword: bytes, digits: bytes) -> int:
        if keyword in member.pax:
            return self._decimal(member.pax[keyword], "owner", b"")
        return self._number(digits, "owner")


def _text(name: bytes) -> str:
    # Results are text: what is none is shown by its bytes.
    return os.fsdecode(name).encode(errors="surrogateescape").decode(errors="backslashreplace")


def _time(seconds: int) -> str:
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
    try:
        return (epoch + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return f"@{seconds}"
