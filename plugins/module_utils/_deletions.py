# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The names that an archive holds and that were deleted before its cut: read their list, remove them from a directory.

The list is a file of its own beside the archive. Each entry is a name as tar has it, ``./path/of/thing``, and ends with
a NUL; any order will do. Whoever can write a list must not be able to remove anything outside of the directory that the
archive was extracted into: every entry is checked before one is used, and links are never followed.

Memory stays flat: eight bytes per directory of the list. Standard library only. Private to this collection.
"""

from __future__ import annotations

import array
import contextlib
import errno
import os
import typing as t

from ._encryption import SUFFIXES, detect, start_of
from ._errors import ArchiveError, ProcessError
from ._files import descriptor_sha256, read_chunks, write_all
from ._process import Pipeline
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ENDING = ".deleted"
# What follows the name of a volume in that of its archive.
ARCHIVE_ENDINGS = (".tar.zst", ".tar.gz", ".tar")
# A list that is encrypted is held in memory, and may have so many bytes.
LARGEST = 1 << 28

ROOT = b"./"
# Both bound what is held in memory; no file system has longer paths.
PORTION = 1 << 16
LONGEST_NAME = 1 << 16
USUAL_NAME = 1 << 12
SHOWN = 200

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def beside(archive: str) -> str | None:
    """Return where the list of an archive is by its name; None where there is none."""
    for encrypted in SUFFIXES.values():
        for ending in ARCHIVE_ENDINGS:
            if archive.endswith(ending + encrypted):
                path = archive[: -len(ending + encrypted)] + ENDING + encrypted
                return path if os.path.lexists(path) else None
    return None


def _decrypted(path: str) -> int:
    """Return a file in memory with the entries of an encrypted list; raise ArchiveError when it is damaged."""
    memory = os.memfd_create("deleted", os.MFD_CLOEXEC)
    try:
        # Whatever is wrong with the key is found out here, and with the rest below.
        start_of(path, 1)
        with open(path, "rb") as stream, Pipeline(unpack_stages(path, "none"), stdin=stream.fileno()) as pipeline:
            for chunk in read_chunks(pipeline.stdout):
                write_all(memory, chunk)
                if os.fstat(memory).st_size > LARGEST:
                    raise ArchiveError(f"{path} has more than {LARGEST} bytes. Use another backup.", deleted=path)
    except ProcessError as exc:
        os.close(memory)
        raise ArchiveError(f"{path} is damaged. {exc} Use another backup.", deleted=path) from exc
    except BaseException:
        os.close(memory)
        raise
    return memory


@contextlib.contextmanager
def opened(path: str | None, sha256: str | None = None) -> Iterator[Deletions]:
    """Yield a list that was read once and found sound; without a path, one that names nothing.

    Raises ArchiveError when it is damaged or not the expected one, and for an entry that cannot be right.
    """
    if path is None:
        yield Deletions("")
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if sha256 is not None:
            found = descriptor_sha256(descriptor).sha256
            if found != sha256.strip().lower():
                raise ArchiveError(
                    f"{path} is damaged or not the expected list of deleted names: its SHA-256 is {found}, and should "
                    f"be {sha256}. Use another backup.",
                    deleted=path,
                    sha256=found,
                )
        if detect(path) != "none":
            memory = _decrypted(path)
            os.close(descriptor)
            descriptor = memory
        deletions = Deletions(path, descriptor)
        deletions.count = sum(1 for _name in deletions)
        if deletions.count == 0:
            raise ArchiveError(f"{path} is empty, and a list of deleted names never is. Use another backup.")
        yield deletions
    finally:
        os.close(descriptor)


class Deletions:
    """A list that is open for reading. Iterating yields the names without their ``./``."""

    def __init__(self, path: str, descriptor: int = -1) -> None:
        self.path = path
        self.count = 0
        self._descriptor = descriptor

    def __iter__(self) -> Iterator[bytes]:
        return (name for _position, name in self._entries())

    def remove(self, directory: str) -> None:
        """Remove the names from a directory that the archive was extracted into; what is left keeps its times.

        Raises ArchiveError for a name that is not there, that lies behind a link, or that is a directory which holds
        anything that is not on the list.
        """
        # Where in the list the directories are, by depth: each one's turn comes when it is empty.
        directories: dict[int, array.array[int]] = {}
        with contextlib.closing(Parents(directory)) as parents:
            for position, name in self._entries():
                with self._explained(name):
                    parent, base = parents.of(name)
                    try:
                        os.unlink(base, dir_fd=parent)
                    except IsADirectoryError:
                        directories.setdefault(name.count(b"/"), array.array("Q")).append(position)
            for depth in sorted(directories, reverse=True):
                for position in directories[depth]:
                    name = self._at(position)
                    with self._explained(name):
                        parent, base = parents.of(name)
                        os.rmdir(base, dir_fd=parent)

    def _entries(self) -> Iterator[tuple[int, bytes]]:
        """Yield every entry with its place in the file."""
        if not self.path:
            return
        position = end = 0
        rest = b""
        while portion := os.pread(self._descriptor, PORTION, end):
            end += len(portion)
            *entries, rest = (rest + portion).split(b"\0")
            for entry in entries:
                yield position, self._checked(entry)
                position += len(entry) + 1
            if len(rest) > LONGEST_NAME:
                self._checked(rest)
        if rest:
            raise ArchiveError(
                f"{self.path} is truncated: it stops in the middle of a name. Use another backup.", deleted=self.path
            )

    def _at(self, position: int) -> bytes:
        found, end = b"", b""
        for size in (USUAL_NAME, LONGEST_NAME + 1):
            if not end:
                found, end, _rest = os.pread(self._descriptor, size, position).partition(b"\0")
        return self._checked(found)

    def _checked(self, entry: bytes) -> bytes:
        name = entry[len(ROOT) :]
        if len(entry) > LONGEST_NAME:
            raise self._refusal(entry, f"is longer than {LONGEST_NAME} bytes")
        if not entry.startswith(ROOT):
            raise self._refusal(entry, "does not begin with ./")
        for part in name.split(b"/"):
            if part in (b"", b".", b".."):
                raise self._refusal(entry, "is not the name of anything that an archive holds")
        return name

    @contextlib.contextmanager
    def _explained(self, name: bytes) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            why = {
                errno.ENOENT: "was not extracted",
                errno.ENOTDIR: "lies in what is no directory",
                errno.ENOTEMPTY: "is a directory that holds more than is on the list",
            }.get(exc.errno or 0)
            if why is None:
                raise
            raise self._refusal(ROOT + name, why) from exc

    def _refusal(self, entry: bytes, why: str) -> ArchiveError:
        shown = repr(os.fsdecode(entry[:SHOWN]))
        return ArchiveError(
            f"{self.path} is refused as a list of deleted names: {shown} {why}. Use another backup.", deleted=self.path
        )


class Parents:
    """The directory that a name is in, opened step by step so that no link is followed.

    One at a time is open, and it is given its times back when it is left.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._path: bytes | None = None
        self._descriptor = -1
        self._times = (0, 0)

    def of(self, name: bytes) -> tuple[int, bytes]:
        """Return a descriptor of the directory that ``name`` is in, good until the next call, and the last part."""
        parent, _slash, base = name.rpartition(b"/")
        if parent != self._path:
            self.close()
            self._descriptor = self._open(parent)
            status = os.fstat(self._descriptor)
            self._times = (status.st_atime_ns, status.st_mtime_ns)
            self._path = parent
        return self._descriptor, base

    def close(self) -> None:
        if self._path is not None:
            self._path = None
            try:
                os.utime(self._descriptor, ns=self._times)
            finally:
                os.close(self._descriptor)

    def _open(self, path: bytes) -> int:
        descriptor = os.open(self._root, _DIRECTORY)
        for part in path.split(b"/") if path else ():
            try:
                below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor
