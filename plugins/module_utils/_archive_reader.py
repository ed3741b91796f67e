# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read an archive that is to be imported: decompressed, hashed on the way, and with errors that say what is wrong.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
import typing as t

from ._compression import detect
from ._errors import ArchiveError, ProcessError, StoreError
from ._files import CHUNK, Written, file_sha256
from ._process import Alongside, Pipeline
from ._tar_gate import TooBigArchiveError, TruncatedArchiveError
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def plain(archive: str) -> Iterator[tuple[int, Alongside[Written]]]:
    """Yield a descriptor that reads the tar stream of an archive, and who hashes the archive meanwhile.

    Raises ArchiveError when the archive can't be decrypted or decompressed.
    """
    stages = unpack_stages(archive, detect(archive), f"decompress {archive}")
    stopped = threading.Event()
    truncated = None
    failed_elsewhere = False
    with open(archive, "rb", buffering=0) as stream, Alongside(lambda: _hash(archive, stopped), lambda: None) as hasher:
        try:
            if not stages:
                yield stream.fileno(), hasher
                return
            with Pipeline(stages, stdin=stream.fileno()) as decompressor:
                try:
                    yield decompressor.stdout.fileno(), hasher
                except TruncatedArchiveError as exc:
                    # Perhaps the decompressor has failed: its exit code and words say more, and are asked first.
                    truncated = exc
                except ProcessError:
                    failed_elsewhere = True
                    raise
        except ProcessError as exc:
            stopped.set()
            if failed_elsewhere or not stages:
                raise
            raise ArchiveError(f"{archive} is damaged. {exc}", archive=archive) from exc
        except BaseException:
            stopped.set()
            raise
    if truncated is not None:
        raise truncated


def _hash(archive: str, stopped: threading.Event) -> Written:
    """Return size and checksum of an archive, or of some of it when nobody wants to know any more."""
    digest = hashlib.sha256()
    size = 0
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    with open(archive, "rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            if stopped.is_set():
                break
            digest.update(view[:count])
            size += count
    return Written(size, digest.hexdigest())


@contextlib.contextmanager
def judged(archive: str, sha256: str | None, max_bytes: int | None, free: int | None) -> Iterator[int | None]:
    """Yield how much content is allowed; make errors inside the block say what is really wrong with the archive."""
    limits = [limit for limit in (max_bytes, free) if limit is not None]
    try:
        yield min(limits, default=None)
    except ArchiveError as exc:
        if sha256 is not None:
            # Whatever was found there, an archive that is not the expected one is the reason.
            check_sha256(archive, file_sha256(archive), sha256, also=str(exc))
        if isinstance(exc, TooBigArchiveError) and min(limits) != max_bytes:
            raise _no_space(archive, free) from exc
        raise
    except ProcessError as exc:
        if os.strerror(errno.ENOSPC) in str(exc) or os.strerror(errno.EDQUOT) in str(exc):
            raise _no_space(archive, free) from exc
        raise


def check_sha256(archive: str, read: Written, expected: str, also: str = "") -> None:
    if read.sha256 != expected.strip().lower():
        raise ArchiveError(
            f"{archive} is damaged or not the expected archive: its SHA-256 is {read.sha256}, and should be "
            f"{expected}. Use another backup.{' ' if also else ''}{also}",
            archive=archive,
            sha256=read.sha256,
        )


def _no_space(archive: str, free: int | None) -> StoreError:
    return StoreError(
        f"There is not enough space to extract {archive}: {free} bytes are free where the volume lies, and the old and "
        "the new content must fit there at the same time. Free some. The old content is untouched.",
        archive=archive,
    )
