# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write one archive, in one part or in several that follow each other in time.

    tar → gate → compressor → seal → file

Each part is a run of tar and of the compressor; both kinds of compressed file may simply follow each other, and what
they decompress to is one tar archive: only the last part ends it. The gate counts what really went into the archive,
and proves that what we write is what we would accept. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ._compression import compress_stage
from ._errors import ProcessError, StoreError
from ._files import partial_file
from ._process import Pipeline, Stage
from ._tar_gate import BLOCK, Passage, Passed, Record, TruncatedArchiveError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._seal import Seal, Sealed

END = bytes(2 * BLOCK)


class ArchiveWriter:
    """An archive in the making; ``seal`` leads into its file.

    ``subject`` names what it holds in messages ("volume crm_storage").
    """

    def __init__(
        self,
        seal: Seal,
        *,
        compression: str,
        level: int | None,
        subject: str,
        record: Callable[[Record], None] | None = None,
    ) -> None:
        self._seal = seal
        self._compression = compression
        self._level = level
        self._subject = subject
        self._record = record
        self._passage = self._new_passage()

    @property
    def size(self) -> int:
        """How many bytes the file has so far."""
        return self._seal.size

    def part(self, stage: Stage, *, names: int | None = None, last: bool = False) -> tuple[int, str]:
        """Append what tar writes, and return its exit code and its words; ``names`` is its standard input.

        Raises ProcessError when a program failed, ArchiveError when the gate refuses what tar wrote.
        """
        truncated = None
        with Pipeline([stage], stdin=names) as tar, self._compressor() as sink:
            try:
                self._passage.pass_on(tar.stdout.fileno(), sink, last=last)
            except TruncatedArchiveError as exc:
                # Tar has died: its own exit code and words say more, and are asked first.
                truncated = exc
        code, words = tar.returncodes[0], tar.stderr[0]
        if truncated is not None:
            if code:
                raise ProcessError(f"Cannot {stage.name}: tar exited with {code}: {words.strip()}") from truncated
            raise truncated
        return code, words

    def end(self) -> None:
        """End an archive whose parts were none of them the last."""
        with self._compressor() as sink:
            os.write(sink, END)

    def restart(self) -> None:
        """Throw away what was written."""
        self._seal.restart()
        self._passage = self._new_passage()

    def holds(self, path: bytes) -> int:
        """Return what a name was when it was archived last, one of A_FILE, A_DIRECTORY, ANOTHER; 0 if it was not."""
        return self._passage.holds(path)

    def forget(self, path: bytes) -> bool:
        """Count a name no longer, because it is deleted since; return whether the archive holds it."""
        return self._passage.forget(path)

    def passed(self) -> Passed:
        """Return what the archive holds so far."""
        return self._passage.passed()

    def written(self) -> Sealed:
        """Return size and checksums of the file, which ends with this."""
        return self._seal.written()

    def _new_passage(self) -> Passage:
        # What the volume holds is archived, devices too; whether they may be restored is asked on import.
        return Passage(f"The archive of {self._subject}", allow_devices=True, record=self._record)

    @contextlib.contextmanager
    def _compressor(self) -> Iterator[int]:
        """Yield a descriptor to write to; what is written there arrives in the file, compressed."""
        stage = compress_stage(self._compression, f"compress the archive of {self._subject}", self._level)
        with self._seal.feed() as sink:
            if stage is None:
                yield sink
            else:
                with Pipeline([stage], stdout=sink) as compressor:
                    yield compressor.stdin.fileno()


@contextlib.contextmanager
def archive_file(destination: str, subject: str, content: Callable[[], int]) -> Iterator[int]:
    """Yield the descriptor of a new file that becomes ``destination`` when the block ends well.

    Raises StoreError when the disk is full; ``content`` is asked then how many bytes there are to archive.
    """
    try:
        with partial_file(destination) as target:
            try:
                yield target
            except ProcessError as exc:
                # A compressor that can't write says why, or not.
                if os.strerror(errno.ENOSPC) not in str(exc) and os.fstatvfs(target).f_bavail > 0:
                    raise
                raise no_space(destination, subject, content()) from exc
            except OSError as exc:
                # Explained here, while the file still takes what is lacking.
                _raise_if_full(exc, destination, subject, content)
                raise
    except OSError as exc:
        _raise_if_full(exc, destination, subject, content)
        raise


def _raise_if_full(error: OSError, destination: str, subject: str, content: Callable[[], int]) -> None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise no_space(destination, subject, content()) from error


def no_space(archive: str, subject: str, content: int) -> StoreError:
    """Explain that an archive does not fit where it is to lie."""
    place = os.path.dirname(archive) or "."
    status = os.statvfs(place)
    # Some file systems make inodes as they need them and count none.
    if status.f_files and not status.f_favail:
        return StoreError(
            f"There is no room for {archive}: the file system of {place} can hold no more files, its inodes are used "
            "up. Remove files there, or choose another path.",
            archive=archive,
        )
    return StoreError(
        f"There is not enough space for {archive}: {subject} holds {content} bytes, which need up to as much when they "
        f"do not compress, and {free_bytes(archive)} bytes are free in {place}. Free some, or choose another path.",
        archive=archive,
    )


def free_bytes(archive: str) -> int:
    """Return how many bytes are free where an archive is to lie."""
    status = os.statvfs(os.path.dirname(archive) or ".")
    return status.f_bavail * status.f_frsize
