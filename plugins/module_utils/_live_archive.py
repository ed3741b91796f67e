# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archive a directory while it is in use, then only what changed, until everything stands still.

The whole directory is read first, and looked at before: a file that changes after it was looked at is read again by
``catch_up``, which looks at every name and reads what may differ. The last look is taken while the writers stand
still, so the archive ends as what the directory is then, however long the first reading took. Names that were archived
and are gone by then become a list beside the archive; later members of a name win over earlier ones on extraction.

Big files that are being written to are read twice only, at first and at the cut.

What a look can't see is read again at every later one: what changed just before it (see PathIndex). Before each look
in use everything is brought to disk, so that pages of mapped files are clean: the next store to one changes the time
of status change again.

A directory may be another one while it is read, and the same again at the next look. So what was read counts as what
was looked at only if its time of modification is the same, and where directories may have been moved it is read again.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import stat
import tempfile
import time
import typing as t
from dataclasses import dataclass, replace

from ._archive_writer import ArchiveWriter, archive_file
from ._encryption import NO_ENCRYPTION
from ._errors import ArchiveError, ProcessError
from ._path_index import PathIndex
from ._process import STDERR_KEPT
from ._seal import sealed, write_sealed
from ._staging import sync
from ._tar import Complaints, complaints, create_stage, list_stage, vanished
from ._tar_gate import A_DIRECTORY, ANOTHER
from ._tree import Tally, Totals, scan, walk
from ._volume_directory import file_system
from ._volume_export import changed, nested

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._encryption import Encryption
    from ._process import Stage
    from ._seal import Seal, Sealed
    from ._tar_gate import Passed, Record

# What is stored through a mapping changes no time there, or nobody knows.
UNOBSERVED = ("tmpfs", "ramfs", "hugetlbfs", "fuse", "9p", "virtiofs")
UNOBSERVED_REMARK = (
    "its file system does not tell what changes, so it was read while the services stood still. Move it to a local "
    "disk to make that shorter"
)
# A file of so many bytes that was written to in the last so many nanoseconds is not read again before the cut.
BIG = 32 << 20
QUIET = 10_000_000_000
BUFFER = 1 << 16
# Tar's exit code when something could not be read.
FAILED = 2


@dataclass(frozen=True)
class Caught:
    """What one look found to read again: names, and the bytes of the files among them."""

    entries: int
    bytes: int


@dataclass(frozen=True)
class Archived:
    """A finished archive: what the directory was at the last look; what was archived of it, if it did not stand still.

    ``superseded`` counts the names that the archive holds more than once; ``deleted`` those that are to be removed
    after an extraction, which are in ``deletions``, a file beside the archive, unless there are none.
    """

    written: Sealed
    totals: Totals
    superseded: int
    deleted: int
    deletions: Sealed | None
    warnings: tuple[str, ...]


class LiveArchive:
    """The archive of one directory in the making; ``live_archive`` makes one."""

    def __init__(
        self,
        directory: str,
        seal: Seal,
        names: t.BinaryIO,
        *,
        compression: str,
        level: int | None,
        subject: str,
        since: int | None,
    ) -> None:
        self._directory = directory
        self._since = since
        self._subject = subject
        self._encryption = seal.encryption
        # Every name that the archive holds, each followed by a NUL.
        self._names = names
        self._writer = ArchiveWriter(seal, compression=compression, level=level, subject=subject, record=self._record)
        self._index = PathIndex()
        self._by_path = False
        self._turned = False
        self._totals = Totals()
        self._sockets: tuple[str, ...] = ()
        self._torn: tuple[str, ...] = ()
        self._exact = True
        # Where changes can't be seen, everything is read at the last look.
        self._observed = not file_system(directory).startswith(UNOBSERVED)

    def start(self) -> None:
        """Read everything, while the directory is in use."""
        if self._observed:
            self._whole(still=False)

    def catch_up(self, *, still: bool, exact: bool = True) -> Caught:
        """Look at everything, and read what may have changed since the last look.

        ``still`` says that this is the last look and that the writers stand still; without ``exact`` some may not.
        Raises ArchiveError when something changes although everything stands still.
        """
        self._exact = exact
        if not self._observed:
            return self._whole(still=True) if still else Caught(0, 0)
        with _scratch() as listed:
            caught = self._look(listed, still)
            if caught is None:
                # A name that is a directory now, or is none any more: the end of an archive can't say so.
                return self._whole(still=still)
            if caught.entries:
                listed.seek(0)
                stage = list_stage(self._directory, f"archive what changed in {self._subject}", live=not still)
                self._by_path = True
                self._part(stage, still, listed.fileno())
        if still and self._turned:
            # Only where something may write while everything else stands still.
            return self._whole(still=True)
        return caught

    def finish(self, deletions: str) -> Archived:
        """End the archive, and write the names that are gone to the file ``deletions`` if there are any."""
        self._writer.end()
        gone = self._gone()
        first = next(gone, None)
        written = None
        deleted = 0
        if first is not None:
            entries = (b"./%b\0" % path for path in itertools.chain([first], gone))
            written = write_sealed(deletions, self._encryption, f"the deleted names of {self._subject}", entries)
            deleted = self._forgotten
        passed = self._writer.passed()
        self._prove(passed)
        return Archived(
            written=self._writer.written(),
            # The same, unless something came or went while it was archived.
            totals=replace(
                self._totals, files=passed.files, directories=passed.directories, others=passed.others, sockets=0
            ),
            superseded=passed.duplicates,
            deleted=deleted,
            deletions=written,
            warnings=(
                *(() if self._observed else (UNOBSERVED_REMARK,)),
                *nested(self._directory),
                *Complaints(self._sockets, self._torn).warnings(),
            ),
        )

    def _whole(self, *, still: bool) -> Caught:
        """Read everything, from the start of the archive."""
        self._names.seek(0)
        self._names.truncate()
        self._writer.restart()
        self._index = PathIndex()
        self._by_path = self._turned = False
        self._look(None, still)
        stage = create_stage(self._directory, f"archive {self._subject}", live=not still)
        self._part(stage, still)
        return Caught(self._totals.entries, self._totals.bytes)

    def _look(self, listed: t.BinaryIO | None, still: bool) -> Caught | None:
        """Note what every name is, and list those to read again; None when the archive can't go on."""
        if self._turned:
            return None
        began = time.time_ns()
        if not still:
            sync(self._directory)
        index, holds = self._index, self._writer.holds
        index.begin()
        tally = Tally(self._since)
        entries = size = 0
        shifts = _Shifts()
        root = os.stat(self._directory)
        if index.see(b"", root, began) and listed is not None:
            shifts.see(b"", root, changed=True)
            listed.write(b"./\0")
            entries += 1
        for path, status in walk(self._directory):
            kind = tally.add(status)
            if kind == stat.S_IFSOCK:
                # No archive can hold one.
                continue
            differs = index.see(path, status, began, moved=shifts.doubtful(path))
            if listed is None:
                continue
            if kind == stat.S_IFDIR:
                shifts.see(path, status, changed=differs)
            if not (differs or shifts.moved(path)):
                continue
            held = holds(path)
            if (held == A_DIRECTORY and kind != stat.S_IFDIR) or (held == ANOTHER and kind == stat.S_IFDIR):
                return None
            if not still and status.st_size >= BIG and status.st_mtime_ns > began - QUIET:
                # A database or a log, which will have changed again by the cut: it is read then.
                index.doubt(path)
                continue
            listed.write(b"./%b\0" % path)
            entries += 1
            if kind == stat.S_IFREG:
                size += min(status.st_size, status.st_blocks * 512)
        if listed is not None:
            listed.flush()
        self._totals = tally.totals()
        return Caught(entries, size)

    def _part(self, stage: Stage, still: bool, names: int | None = None) -> None:
        """Append what tar reads."""
        try:
            code, words = self._writer.part(stage, names=names)
        except ArchiveError:
            if still:
                raise
            # Such as a directory where a symbolic link was: the next look begins from the start.
            self._turned = True
        else:
            self._judge(code, words, still)

    def _judge(self, code: int, words: str, still: bool) -> None:
        """Decide about what tar said."""
        said = complaints(words)
        self._sockets += said.sockets
        wrong = [line for line in said.others if not vanished(line)]
        if code == FAILED and (wrong or not said.others or len(words) >= STDERR_KEPT or (still and self._exact)):
            raise ProcessError(f"Cannot archive {self._subject}: tar exited with {code}: {words.strip()}")
        if still and said.others:
            if self._exact:
                raise changed(self._subject, said, "Freeze whatever writes to it, or set its freeze to none if")
            self._torn += said.others

    def _record(self, record: Record) -> None:
        self._index.keep(record.path, record.changed, by_path=self._by_path)
        if not record.before:
            self._names.write(record.path + b"\0")
        elif (record.before == A_DIRECTORY) != (record.now == A_DIRECTORY):
            self._turned = True

    def _gone(self) -> Iterator[bytes]:
        """Yield the names that the archive holds and that were not there at the last look; the gate forgets them."""
        self._forgotten = 0
        for path in _names(self._names):
            if not self._index.seen(path) and self._writer.forget(path):
                self._forgotten += 1
                yield path

    def _prove(self, passed: Passed) -> None:
        """Compare what the archive holds with what was there at the last look."""
        totals = self._totals
        found = (passed.files, passed.directories, passed.others)
        there = (totals.files, totals.directories, totals.others)
        if self._exact and found != there:
            raise ArchiveError(
                f"The archive of {self._subject} is not whole, so nothing was kept: there are {there[0]} files, "
                f"{there[1]} directories and {there[2]} other names, and {found[0]}, {found[1]} and {found[2]} were "
                "archived. Something writes there that is not frozen: freeze it, or set its freeze to none if it may "
                "be archived while it changes."
            )


class _Shifts:
    """The directories that may have been others meanwhile, in one look.

    To move a directory changes the time of status change of its own and of the directory that it is in, and nothing of
    what is in it. To add a name to a directory changes its time of modification in the same moment.
    """

    def __init__(self) -> None:
        self._changed: set[bytes] = set()
        self._below: set[bytes] = set()
        self._moved: set[bytes] = set()

    def see(self, path: bytes, status: os.stat_result, *, changed: bool) -> None:
        """Note a directory, which comes before what is in it."""
        parent = path.rpartition(b"/")[0]
        renamed = changed and status.st_ctime_ns != status.st_mtime_ns
        if parent in self._moved or (renamed and parent in self._changed):
            self._moved.add(path)
        # The directory that is archived is the same one always.
        if path and (changed or parent in self._below):
            self._below.add(path)
        if changed:
            self._changed.add(path)

    def doubtful(self, path: bytes) -> bool:
        """Return whether a directory above a name has changed at all."""
        return bool(self._below) and path.rpartition(b"/")[0] in self._below

    def moved(self, path: bytes) -> bool:
        """Return whether a directory above a name seems to have been moved."""
        return bool(self._moved) and path.rpartition(b"/")[0] in self._moved


@contextlib.contextmanager
def live_archive(
    directory: str,
    destination: str,
    *,
    compression: str,
    level: int | None,
    subject: str,
    encryption: Encryption = NO_ENCRYPTION,
    since: int | None = None,
) -> Iterator[LiveArchive]:
    """Yield the archive of a directory; ``destination`` is there when the block ends well, and on disk.

    ``subject`` names the directory in messages ("volume crm_storage"). Files that were written to ``since``, in
    nanoseconds since 1970, are counted. Raises StoreError when the disk is full.
    """
    with (
        archive_file(destination, subject, lambda: scan(directory).bytes) as target,
        sealed(target, encryption, f"the archive of {subject}") as seal,
        _scratch(os.path.dirname(destination)) as names,
    ):
        yield LiveArchive(directory, seal, names, compression=compression, level=level, subject=subject, since=since)


def _scratch(directory: str | None = None) -> t.BinaryIO:
    return t.cast("t.BinaryIO", tempfile.TemporaryFile(buffering=BUFFER, dir=directory))


def _names(log: t.BinaryIO) -> Iterator[bytes]:
    log.seek(0)
    rest = b""
    while chunk := log.read(BUFFER):
        *whole, rest = (rest + chunk).split(b"\0")
        yield from whole
