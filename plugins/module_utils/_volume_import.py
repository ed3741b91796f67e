# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replace the content of a volume by that of an archive: ``plan`` only looks, ``apply`` only acts.

    file → decompressor → gate → tar → staging directory → exchange
         ↘ hash

The live directory is touched in the last step only, after everything was extracted, counted, verified and brought to
disk. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
import threading
import typing as t
from dataclasses import dataclass, field

from ._compression import decompress_stage, detect
from ._errors import ArchiveError, ProcessError, StackError, StoreError
from ._files import CHUNK, Written, file_sha256
from ._process import Alongside, Pipeline
from ._staging import is_torn, leftovers, staging, sync, sync_until
from ._tar import compare_stage, complaints, extract_stage
from ._tar_gate import Passed, TooBigArchiveError, TruncatedArchiveError, check, pass_through
from ._tree import Totals, scan
from ._volume_directory import has_quota, mounts_below, refuse_users, volume_directory

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ._engine import Engine


@dataclass(frozen=True)
class Imported:
    """What was put in place."""

    size: int
    sha256: str
    files: int
    directories: int
    content_bytes: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types; either ``volume`` or ``directory`` is the target."""

    volume: str
    archive: str
    sha256: str | None = None
    files: int | None = None
    replace: bool = False
    create: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    driver_options: Mapping[str, str] = field(default_factory=dict)
    allow_devices: bool = False
    max_bytes: int | None = None
    directory: str | None = None

    @property
    def target(self) -> str:
        """How messages call what is filled."""
        return f"Volume {self.volume}" if self.directory is None else f"Directory {self.directory}"

    @property
    def details(self) -> dict[str, str]:
        """What names it in the result of a failure."""
        return {"volume": self.volume} if self.directory is None else {"directory": self.directory}


@dataclass(frozen=True)
class Plan:
    """What will happen, and why; ``reason`` is None when nothing will. ``directory`` is None for one to create."""

    request: Request
    reason: str | None
    directory: str | None
    may_exchange: bool
    before: Totals

    @property
    def changed(self) -> bool:
        return self.reason is not None

    def diff(self, imported: Imported | None) -> dict[str, str]:
        """Describe the content of the volume before and after."""
        before = _described(self.before.files, self.before.directories, self.before.bytes)
        if imported is None:
            return {"before": before, "after": before}
        after = _described(imported.files, imported.directories, imported.content_bytes)
        return {"before": "" if self.directory is None else before, "after": after}


def plan(request: Request, engine: Engine) -> Plan:
    """Compare the archive with the volume or directory. Changes nothing."""
    detect(request.archive)
    directory, limited = _existing(request, engine)
    if directory is None:
        if not request.create:
            raise StackError(f"{request.target} does not exist. Create it, or set create=true.", **request.details)
        return Plan(request, f"the {_kind(request)} does not exist", None, True, Totals())
    nested = mounts_below(directory)
    if nested:
        raise StackError(
            f"{request.target} has file systems mounted inside ({', '.join(nested)}), which can't be replaced with it. "
            "Unmount them first.",
            **request.details,
        )
    before = _content(directory)
    torn = is_torn(directory)
    difference = "an interrupted import left it torn" if torn else _difference(request, directory, before)
    if difference is None:
        return Plan(request, None, directory, True, before)
    refuse_users(engine, request.target, request.volume, directory)
    if before.entries == 0 and not torn:
        difference = f"the {_kind(request)} is empty"
    elif not request.replace:
        raise StackError(
            f"{request.target} is not empty: it holds {before.files} files ({before.bytes} bytes) and differs "
            f"from the archive ({difference}). Set replace=true to replace all of it.",
            files=before.files,
            **request.details,
        )
    return Plan(request, difference, directory, not limited, before)


def _existing(request: Request, engine: Engine) -> tuple[str | None, bool]:
    """Return the directory to fill, None where it does not exist, and whether the engine limits its size."""
    if request.directory is not None:
        return (request.directory if os.path.isdir(request.directory) else None), False
    volume = engine.volume(request.volume)
    return (None, False) if volume is None else (volume_directory(volume), has_quota(volume))


def _kind(request: Request) -> str:
    return "volume" if request.directory is None else "directory"


def rehearse(wanted: Plan) -> Imported:
    """Read all of the archive as ``apply`` would, and return what ``apply`` would return. Changes nothing."""
    request = wanted.request
    free = None if wanted.directory is None else _free(wanted.directory)
    with _judged(request.archive, request.sha256, request.max_bytes, free) as limit:
        with _plain(request.archive) as (source, reader):
            passed = check(source, subject=request.archive, allow_devices=request.allow_devices, max_bytes=limit)
        return _imported(request.archive, passed, reader.result, request.sha256, request.files)


def apply(wanted: Plan, engine: Engine) -> Imported:
    """Carry out a plan. After a failure the target is as it was; one that did not exist does not exist."""
    request = wanted.request
    created = wanted.directory is None
    live = wanted.directory or _create(request, engine)
    try:
        return import_directory(
            request.archive,
            live,
            sha256=request.sha256,
            files=request.files,
            allow_devices=request.allow_devices,
            max_bytes=request.max_bytes,
            may_exchange=wanted.may_exchange,
            # A container may have started since the plan was made.
            before_exchange=lambda: refuse_users(engine, request.target, request.volume, live),
        )
    except BaseException:
        if created:
            _remove(request, engine)
        raise


def _create(request: Request, engine: Engine) -> str:
    if request.directory is None:
        created = engine.create_volume(request.volume, labels=request.labels, options=request.driver_options)
        return volume_directory(created)
    os.makedirs(request.directory)
    return request.directory


def _remove(request: Request, engine: Engine) -> None:
    if request.directory is None:
        engine.remove_volume(request.volume)
    else:
        # Empty still: what was staged is cleared up before this.
        os.rmdir(request.directory)


def import_directory(
    archive: str,
    target: str,
    *,
    sha256: str | None = None,
    files: int | None = None,
    allow_devices: bool = False,
    max_bytes: int | None = None,
    may_exchange: bool = True,
    before_exchange: Callable[[], None] = lambda: None,
) -> Imported:
    """Replace all content of a directory by that of an archive, or leave it as it is.

    ``sha256`` and ``files``, where given, must be those of the archive; ``max_bytes`` limits its content, and so does
    the free space. ``before_exchange`` is called at the last moment and may raise. Raises ArchiveError for an archive
    that is damaged, hostile, too big or not the expected one; ProcessError when tar failed; StoreError when another
    import into the directory is running or the disk is full. What a dead import left behind is cleared up first.
    """
    with staging(target, may_exchange=may_exchange) as staged:
        with _judged(archive, sha256, max_bytes, _free(staged.base)) as limit:
            passed, read, warnings = _extract(archive, staged.directory, allow_devices, limit)
            imported = _imported(archive, passed, read, sha256, files, warnings)
            _check_extracted(archive, passed, scan(staged.directory))
        if not passed.root:
            staged.inherit()
        sync(staged.base)
        before_exchange()
        staged.take_place()
    return imported


def _extract(
    archive: str, directory: str, allow_devices: bool, limit: int | None
) -> tuple[Passed, Written, tuple[str, ...]]:
    ended = threading.Event()
    with (
        _plain(archive) as (source, reader),
        Alongside(lambda: sync_until(directory, ended), ended.set),
        Pipeline([extract_stage(directory, f"extract {archive}")]) as tar,
    ):
        passed = pass_through(source, tar.stdin.fileno(), subject=archive, allow_devices=allow_devices, max_bytes=limit)
    return passed, reader.result, complaints(tar.stderr[0]).warnings()


def _difference(request: Request, directory: str, before: Totals) -> str | None:
    """Return the first difference between an archive and a directory; None when there is none.

    Reads no further than that. Compares what ``compare_stage`` does, and the numbers of entries.
    """
    with tempfile.TemporaryFile() as found:

        def stop_early(entries: int) -> None:
            if entries > before.entries or os.fstat(found.fileno()).st_size:
                raise _DifferentError

        stage = compare_stage(directory, f"compare {request.archive} with volume {request.volume}")
        try:
            with _judged(request.archive, request.sha256, request.max_bytes, None) as limit:
                with _plain(request.archive) as (source, reader), Pipeline([stage], stdout=found.fileno()) as tar:
                    passed = pass_through(
                        source,
                        tar.stdin.fileno(),
                        subject=request.archive,
                        allow_devices=request.allow_devices,
                        max_bytes=limit,
                        each=stop_early,
                    )
                _imported(request.archive, passed, reader.result, request.sha256, request.files)
        except (_DifferentError, BrokenPipeError):
            # A broken pipe: tar met something that it can't compare, and gave up.
            pass
        else:
            if tar.returncodes == [0] and passed.entries == before.entries:
                return None
        found.seek(0)
        line = found.readline().decode(errors="backslashreplace").strip()
    return line or "they hold different numbers of files"


@contextlib.contextmanager
def _plain(archive: str) -> Iterator[tuple[int, Alongside[Written]]]:
    """Yield a descriptor that reads the tar stream of an archive, and who hashes the archive meanwhile.

    Raises ArchiveError when the archive can't be decompressed.
    """
    stage = decompress_stage(detect(archive), f"decompress {archive}")
    stopped = threading.Event()
    truncated = None
    failed_elsewhere = False
    with open(archive, "rb", buffering=0) as stream, Alongside(lambda: _hash(archive, stopped), lambda: None) as hasher:
        try:
            if stage is None:
                yield stream.fileno(), hasher
                return
            with Pipeline([stage], stdin=stream.fileno()) as decompressor:
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
            if failed_elsewhere or stage is None:
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
def _judged(archive: str, sha256: str | None, max_bytes: int | None, free: int | None) -> Iterator[int | None]:
    """Yield how much content is allowed; make errors inside the block say what is really wrong with the archive."""
    limits = [limit for limit in (max_bytes, free) if limit is not None]
    try:
        yield min(limits, default=None)
    except ArchiveError as exc:
        if sha256 is not None:
            # Whatever was found there, an archive that is not the expected one is the reason.
            _check_sha256(archive, file_sha256(archive), sha256, also=str(exc))
        if isinstance(exc, TooBigArchiveError) and min(limits) != max_bytes:
            raise _no_space(archive, free) from exc
        raise
    except ProcessError as exc:
        if os.strerror(errno.ENOSPC) in str(exc) or os.strerror(errno.EDQUOT) in str(exc):
            raise _no_space(archive, free) from exc
        raise


def _imported(
    archive: str,
    passed: Passed,
    read: Written,
    sha256: str | None,
    files: int | None,
    warnings: tuple[str, ...] = (),
) -> Imported:
    """Return what passed the gate; raise ArchiveError when it is not what was expected."""
    if sha256 is not None:
        _check_sha256(archive, read, sha256)
    if files is not None and passed.files != files:
        raise ArchiveError(
            f"{archive} is not the expected archive: it holds {passed.files} files, and should hold {files}.",
            archive=archive,
        )
    return Imported(
        size=read.size,
        sha256=read.sha256,
        files=passed.files,
        directories=passed.directories,
        content_bytes=passed.bytes,
        warnings=warnings,
    )


def _check_sha256(archive: str, read: Written, expected: str, also: str = "") -> None:
    if read.sha256 != expected.strip().lower():
        raise ArchiveError(
            f"{archive} is damaged or not the expected archive: its SHA-256 is {read.sha256}, and should be "
            f"{expected}. Use another backup.{' ' if also else ''}{also}",
            archive=archive,
            sha256=read.sha256,
        )


def _check_extracted(archive: str, passed: Passed, extracted: Totals) -> None:
    """Count what arrived on disk: a file system that folds names would silently lose files."""
    # Members that came twice may have replaced whole directories.
    if passed.duplicates == 0 and passed.entries != extracted.entries:
        raise ArchiveError(
            f"{archive} holds {passed.entries} entries, of which {extracted.entries} arrived on disk. Does the file "
            "system tell upper and lower case apart?",
            archive=archive,
        )


def _content(directory: str) -> Totals:
    """Count what a volume holds, without what dead imports left there."""
    total = scan(directory)
    for path in leftovers(directory, inside=True):
        left = scan(path)
        total = Totals(
            files=total.files - left.files,
            directories=total.directories - left.directories - 1,
            bytes=total.bytes - left.bytes,
            others=total.others - left.others,
            sockets=total.sockets - left.sockets,
        )
    return total


def _no_space(archive: str, free: int | None) -> StoreError:
    return StoreError(
        f"There is not enough space to extract {archive}: {free} bytes are free where the volume lies, and the old and "
        "the new content must fit there at the same time. Free some. The old content is untouched.",
        archive=archive,
    )


def _free(directory: str) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _described(files: int, directories: int, size: int) -> str:
    return f"files: {files}\ndirectories: {directories}\nbytes: {size}\n"


class _DifferentError(Exception):
    """Ends a comparison at the first difference."""
