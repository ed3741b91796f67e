# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writing files so that a reader sees either all of a backup or none of it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator

CHUNK = 1 << 20
FLUSH_EVERY = 8 << 20


@dataclass(frozen=True)
class Written:
    """What was written: enough to recognise the same bytes later."""

    size: int
    sha256: str


@contextlib.contextmanager
def partial_file(path: str) -> Iterator[int]:
    """Yield the descriptor of a new file of mode 0600 that becomes ``path`` when the block ends well.

    The bytes go to ``.<name>.partial`` beside ``path``, reach the disk, and only then take the name. When the block
    raises, ``path`` is untouched and nothing is left over.
    """
    directory, name = os.path.split(path)
    partial = os.path.join(directory, f".{name}.partial")
    descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.fchmod(descriptor, 0o600)  # also when a dead run left it behind with another mode
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(partial, path)
        sync_directory(directory or ".")
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data``; ``os.write`` alone may stop half-way."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def write_hashed(descriptor: int, chunks: Iterable[bytes]) -> Written:
    """Write ``chunks`` to a descriptor and return their size and checksum."""
    digest = hashlib.sha256()
    size = 0
    for chunk in chunks:
        write_all(descriptor, chunk)
        digest.update(chunk)
        size += len(chunk)
    return Written(size, digest.hexdigest())


def write_atomically(path: str, data: bytes) -> Written:
    """Write a small file under its final name with mode 0600, or not at all."""
    with partial_file(path) as descriptor:
        return write_hashed(descriptor, [data])


class Following:
    """Hashes a file from its start while somebody still writes it, in one go or in several.

    What arrived in the file is hashed, and the bytes need not pass through here on their way to it. Their way to the
    disk begins meanwhile, so that there is little left to do for the final fsync.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._view = memoryview(bytearray(CHUNK))
        self.restart()

    def restart(self) -> None:
        """Begin at the start again: the file was truncated."""
        self._digest = hashlib.sha256()
        self._size = self._flushed = 0

    def until(self, ended: threading.Event) -> None:
        """Hash what arrives until ``ended`` is set and all was read."""
        while True:
            # Asked before reading: what was written before the end is read after it.
            last = ended.is_set()
            count = os.preadv(self._descriptor, [self._view], self._size)
            if count:
                self._digest.update(self._view[:count])
                self._size += count
                if self._size - self._flushed >= FLUSH_EVERY:
                    # The kernel drops pages that are on disk, and starts to write those that are not.
                    os.posix_fadvise(
                        self._descriptor, self._flushed, self._size - self._flushed, os.POSIX_FADV_DONTNEED
                    )
                    self._flushed = self._size
            elif last:
                return
            else:
                ended.wait(0.01)

    def written(self) -> Written:
        """Return what was hashed so far."""
        return Written(self._size, self._digest.hexdigest())


def read_chunks(stream: t.BinaryIO, size: int = CHUNK) -> Iterator[bytes]:
    """Yield what a pipe or file holds, as it comes, until its end."""
    while chunk := os.read(stream.fileno(), size):
        yield chunk


def size_or_problem(path: str) -> int | str:
    """Return the size of a regular file in bytes, or what is wrong with it ("is missing"); a link is not followed."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return "is missing"
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    return status.st_size if stat.S_ISREG(status.st_mode) else "is not a regular file"


def file_sha256(path: str) -> Written:
    """Read a file and return its size and checksum; how far that is can be seen from outside, see _progress."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _hashed(lambda buffer, _size: os.readv(descriptor, [buffer]))
    finally:
        os.close(descriptor)


def descriptor_sha256(descriptor: int) -> Written:
    """Read an open file from its start, leave its position alone, and return its size and checksum."""
    return _hashed(lambda buffer, size: os.preadv(descriptor, [buffer], size))


def _hashed(read: Callable[[bytearray, int], int]) -> Written:
    digest = hashlib.sha256()
    size = 0
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    while count := read(buffer, size):
        digest.update(view[:count])
        size += count
    return Written(size, digest.hexdigest())


def sync_directory(path: str) -> None:
    """Make a rename in this directory survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
