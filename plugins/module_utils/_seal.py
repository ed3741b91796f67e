# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The last step of everything that a backup writes: into its file, encrypted on the way where that is wanted.

    compressor → (hash → encryptor →) file
                                       ↑ hash

One encryptor takes all parts of a file, however much time lies between them, and what was not encrypted is on no disk.
Both checksums are made on the way. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import typing as t
from dataclasses import dataclass

from ._encryption import encrypt_stage
from ._errors import ProcessError
from ._files import Following, Written, partial_file, read_chunks, write_all, write_hashed
from ._process import Alongside, Pipeline, enlarge_pipe

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ._encryption import Encryption
    from ._process import Stage

NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Sealed(Written):
    """A file that was written; ``plain_sha256`` is of the same before encryption."""

    plain_sha256: str


class Seal:
    """Where the bytes of one file go, in an open file; ``sealed`` makes one."""

    def __init__(self, target: int, encryption: Encryption, subject: str) -> None:
        self.encryption = encryption
        self._target = target
        self._stage: Stage | None = encrypt_stage(encryption, f"encrypt {subject}")
        self._encryptor: Pipeline | None = None
        self._ended = False
        self._whole: Written | None = None
        self._following = Following(target)
        self._plain = hashlib.sha256()

    @property
    def size(self) -> int:
        """How many bytes the file has so far."""
        return os.fstat(self._target).st_size

    @property
    def encrypts(self) -> bool:
        return self._stage is not None

    @contextlib.contextmanager
    def feed(self) -> Iterator[int]:
        """Yield a descriptor; what is written there arrives in the file. May be used again and again.

        Raises OSError when the disk is full, and ProcessError when the encryptor fails.
        """
        ended = threading.Event()
        with Alongside(lambda: self._following.until(ended), ended.set):
            if self._stage is None:
                yield self._target
                return
            encryptor = self._begun(self._stage)
            try:
                with _piped(lambda source: self._encrypt(read_chunks(source), encryptor)) as sink:
                    yield sink
            except BrokenPipeError:
                # The encryptor has died: its own words say more.
                self._finish()
                raise

    def take(self, chunks: Iterable[bytes]) -> None:
        """Write all of the file, from this process; raises like ``feed``."""
        if self._stage is None:
            self._whole = write_hashed(self._target, chunks)
            return
        encryptor = self._begun(self._stage)
        ended = threading.Event()
        with Alongside(lambda: self._following.until(ended), ended.set):
            try:
                self._encrypt(chunks, encryptor)
            except BrokenPipeError:
                self._finish()
                raise

    def end(self) -> None:
        """End the file: nothing may follow."""
        if self._ended:
            return
        self._ended = True
        ended = threading.Event()
        with Alongside(lambda: self._following.until(ended), ended.set):
            if self._stage is not None:
                # Also what is empty has to be recognised when it is decrypted.
                self._begun(self._stage)
            self._finish()

    def restart(self) -> None:
        """Throw away what was written."""
        self.abandon()
        os.lseek(self._target, 0, os.SEEK_SET)
        os.ftruncate(self._target, 0)
        self._following.restart()
        self._plain = hashlib.sha256()

    def abandon(self) -> None:
        """End the encryptor at once."""
        encryptor, self._encryptor = self._encryptor, None
        if encryptor is not None:
            reason = InterruptedError("what is written is thrown away")
            encryptor.__exit__(type(reason), reason, None)

    def written(self) -> Sealed:
        """Return size and checksums of the file, which ends with this."""
        self.end()
        written = self._whole or self._following.written()
        plain = self._plain.hexdigest() if self.encrypts else written.sha256
        return Sealed(written.size, written.sha256, plain)

    def _begun(self, stage: Stage) -> Pipeline:
        if self._encryptor is None:
            self._encryptor = Pipeline([stage], stdout=self._target).__enter__()
        return self._encryptor

    def _encrypt(self, chunks: Iterable[bytes], encryptor: Pipeline) -> None:
        sink = encryptor.stdin.fileno()
        for chunk in chunks:
            self._plain.update(chunk)
            write_all(sink, chunk)

    def _finish(self) -> None:
        encryptor, self._encryptor = self._encryptor, None
        if encryptor is None:
            return
        try:
            encryptor.__exit__(None, None, None)
        except ProcessError as exc:
            # age writes it in small letters.
            words = str(exc).lower()
            for number in NO_SPACE:
                if os.strerror(number).lower() in words:
                    raise OSError(number, os.strerror(number)) from exc
            raise


@contextlib.contextmanager
def sealed(target: int, encryption: Encryption, subject: str) -> Iterator[Seal]:
    """Yield the way into an open, empty file; when the block ends well, so does the file.

    ``subject`` names what it holds in messages ("the dump of crm").
    """
    seal = Seal(target, encryption, subject)
    try:
        yield seal
        seal.end()
    except BaseException:
        seal.abandon()
        raise


def write_sealed(path: str, encryption: Encryption, subject: str, chunks: Iterable[bytes]) -> Sealed:
    """Write a file of mode 0600 that takes its name when it is complete."""
    with partial_file(path) as target, sealed(target, encryption, subject) as seal:
        seal.take(chunks)
        return seal.written()


@contextlib.contextmanager
def _piped(reader: Callable[[t.BinaryIO], None]) -> Iterator[int]:
    """Yield a descriptor to write to, which another thread reads from as long as the block runs."""
    reading, writing = os.pipe()
    enlarge_pipe(writing)

    def read() -> None:
        # Whoever writes notices when nobody reads any more.
        with open(reading, "rb", buffering=0) as source:
            reader(t.cast("t.BinaryIO", source))

    with Alongside(read, lambda: os.close(writing)):
        yield writing
