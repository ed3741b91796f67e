# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replace the content of a volume by that of an archive: ``plan`` only looks, ``apply`` only acts.

    file → decompressor → gate → tar → staging directory → deletions → exchange
         ↘ hash

The live directory is touched in the last step only, after everything was extracted, what its list names as deleted was
removed, and the rest was counted, verified and brought to disk. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import typing as t
from dataclasses import dataclass, field

from ._archive_reader import check_sha256, judged, plain
from ._compression import detect
from ._deletions import beside, opened
from ._errors import ArchiveError, StackError
from ._last_members import pass_last, survey
from ._process import Alongside, Pipeline
from ._staging import is_torn, leftovers, staging, sync, sync_until
from ._tar import compare_stage, complaints, extract_stage
from ._tar_gate import pass_through
from ._tree import Totals, scan
from ._volume_directory import has_quota, mounts_below, refuse_users, volume_directory

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ._deletions import Deletions
    from ._engine import Engine
    from ._files import Written
    from ._last_members import Survey
    from ._tar_gate import Passed

NUMBERS_DIFFER = "they hold different numbers of files"


@dataclass(frozen=True)
class Imported:
    """What was put in place; ``superseded`` and ``deleted`` count what the archive held besides.

    ``root`` says whether the archive had something to say about the directory itself.
    """

    size: int
    sha256: str
    files: int
    directories: int
    content_bytes: int
    superseded: int
    deleted: int
    root: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types; either ``volume`` or ``directory`` is the target.

    ``deleted`` is the archive's list of deleted names; without it, one that lies beside the archive counts.
    """

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
    deleted: str | None = None
    deleted_sha256: str | None = None

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
    with _deletions(request.archive, request.deleted, request.deleted_sha256) as deletions:
        if torn:
            difference: str | None = "an interrupted import left it torn"
        else:
            difference = _difference(request, directory, before, deletions)
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
    with (
        _deletions(request.archive, request.deleted, request.deleted_sha256) as deletions,
        judged(request.archive, request.sha256, request.max_bytes, free) as limit,
    ):
        found, read = _surveyed(request, deletions, limit)
        _check_expected(request.archive, found.passed, read, request.sha256, request.files, deletions)
    return _imported(found.passed, found.content_bytes, read, deletions)


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
            deleted=request.deleted,
            deleted_sha256=request.deleted_sha256,
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
    deleted: str | None = None,
    deleted_sha256: str | None = None,
    allow_devices: bool = False,
    max_bytes: int | None = None,
    may_exchange: bool = True,
    before_exchange: Callable[[], None] = lambda: None,
) -> Imported:
    """Replace all content of a directory by that of an archive, or leave it as it is.

    ``sha256`` and ``files``, where given, must be those of the archive; ``max_bytes`` limits its content, and so does
    the free space. What ``deleted`` lists, or else the list beside the archive, is not put in place. At the last moment
    ``before_exchange`` is called and may raise. Raises ArchiveError for an archive or a list that is damaged, hostile,
    too big or not the expected one; ProcessError when tar failed; StoreError when another import into the directory is
    running or the disk is full. What a dead import left behind is cleared up first.
    """
    with staging(target, may_exchange=may_exchange) as staged:
        unpacked = unpack(
            archive,
            staged.directory,
            sha256=sha256,
            files=files,
            deleted=deleted,
            deleted_sha256=deleted_sha256,
            allow_devices=allow_devices,
            max_bytes=max_bytes,
        )
        if not unpacked.root:
            staged.inherit()
        sync(staged.base)
        before_exchange()
        staged.take_place()
    return unpacked


def unpack(
    archive: str,
    directory: str,
    *,
    sha256: str | None = None,
    files: int | None = None,
    deleted: str | None = None,
    deleted_sha256: str | None = None,
    allow_devices: bool = False,
    max_bytes: int | None = None,
) -> Imported:
    """Extract an archive into an empty directory, prove what arrived, and return that; see ``import_directory``.

    Leaves whatever it made behind when it raises, and does not bring it to disk.
    """
    with (
        _deletions(archive, deleted, deleted_sha256) as deletions,
        judged(archive, sha256, max_bytes, _free(directory)) as limit,
    ):
        passed, read, warnings = _extract(archive, directory, allow_devices, limit, deletions)
        _check_expected(archive, passed, read, sha256, files, deletions)
        deletions.remove(directory)
        extracted = scan(directory)
        _check_extracted(archive, passed, extracted)
        return _imported(passed, extracted.bytes, read, deletions, warnings)


def _extract(
    archive: str, directory: str, allow_devices: bool, limit: int | None, deletions: Deletions
) -> tuple[Passed, Written, tuple[str, ...]]:
    ended = threading.Event()
    with (
        plain(archive) as (source, reader),
        Alongside(lambda: sync_until(directory, ended), ended.set),
        Pipeline([extract_stage(directory, f"extract {archive}")]) as tar,
    ):
        passed = pass_through(
            source,
            tar.stdin.fileno(),
            subject=archive,
            allow_devices=allow_devices,
            max_bytes=limit,
            deleted=deletions,
        )
    return passed, reader.result, complaints(tar.stderr[0]).warnings()


def _difference(request: Request, directory: str, before: Totals, deletions: Deletions) -> str | None:
    """Return the first difference between an archive and a directory; None when there is none.

    Reads no further than that, unless the archive may hold what an extraction does not leave: then the comparison has
    to know first which members count.
    """
    if request.files not in (None, before.files):
        return NUMBERS_DIFFER
    difference = None
    if deletions.count == 0:
        difference = _compared(request, directory, before, deletions)
        if difference in (None, NUMBERS_DIFFER):
            return difference
    try:
        with judged(request.archive, request.sha256, request.max_bytes, None) as limit:
            found, _read = _surveyed(request, deletions, limit, most=before.entries + deletions.count)
    except _DifferentError:
        return NUMBERS_DIFFER
    # The directory itself may have come twice, too, which is no superseded name.
    return difference if all(found.last) else _compared(request, directory, before, deletions, found.last)


def _compared(
    request: Request, directory: str, before: Totals, deletions: Deletions, last: Sequence[int] = ()
) -> str | None:
    """Return the first difference between the members of an archive that count and a directory.

    Without a survey, all of them count. Compares what ``compare_stage`` does, and the numbers of entries.
    """
    with tempfile.TemporaryFile() as found:

        def stop_early(entries: int) -> None:
            if entries > before.entries + deletions.count or os.fstat(found.fileno()).st_size:
                raise _DifferentError

        stage = compare_stage(directory, f"compare {request.archive} with volume {request.volume}")
        try:
            with judged(request.archive, request.sha256, request.max_bytes, None) as limit:
                with plain(request.archive) as (source, reader), Pipeline([stage], stdout=found.fileno()) as tar:
                    passed = pass_last(
                        source,
                        tar.stdin.fileno(),
                        subject=request.archive,
                        allow_devices=request.allow_devices,
                        max_bytes=limit,
                        each=stop_early,
                        deletions=deletions,
                        last=last,
                    )
                _check_expected(request.archive, passed, reader.result, request.sha256, request.files, deletions)
        except (_DifferentError, BrokenPipeError):
            # A broken pipe: tar met something that it can't compare, and gave up.
            pass
        else:
            if tar.returncodes == [0] and passed.entries == before.entries:
                return None
        found.seek(0)
        line = found.readline().decode(errors="backslashreplace").strip()
    return line or NUMBERS_DIFFER


def _surveyed(
    request: Request, deletions: Deletions, limit: int | None, most: int | None = None
) -> tuple[Survey, Written]:
    """Read all of an archive; raise _DifferentError once it holds more names than ``most``."""

    def stop_early(entries: int) -> None:
        if most is not None and entries > most:
            raise _DifferentError

    with plain(request.archive) as (source, reader):
        found = survey(
            source,
            subject=request.archive,
            allow_devices=request.allow_devices,
            max_bytes=limit,
            each=stop_early,
            deletions=deletions,
        )
    return found, reader.result


@contextlib.contextmanager
def _deletions(archive: str, path: str | None, sha256: str | None) -> Iterator[Deletions]:
    """Open the list of deleted names of an archive: the one given, or the one that lies beside it."""
    path = path or beside(archive)
    if path is None and sha256 is not None:
        raise ArchiveError(
            f"The list of deleted names of {archive} is expected to have SHA-256 {sha256}, and does not lie beside the "
            "archive. Put it there, or set deleted.",
            archive=archive,
        )
    with opened(path, sha256) as deletions:
        yield deletions


def _imported(
    passed: Passed, content_bytes: int, read: Written, deletions: Deletions, warnings: tuple[str, ...] = ()
) -> Imported:
    return Imported(
        size=read.size,
        sha256=read.sha256,
        files=passed.files,
        directories=passed.directories,
        content_bytes=content_bytes,
        superseded=passed.duplicates,
        deleted=deletions.count,
        root=passed.root,
        warnings=warnings,
    )


def _check_expected(
    archive: str, passed: Passed, read: Written, sha256: str | None, files: int | None, deletions: Deletions
) -> None:
    """Raise ArchiveError when what passed the gate is not what was expected."""
    if sha256 is not None:
        check_sha256(archive, read, sha256)
    if files is not None and passed.files != files:
        missing = passed.files > files and deletions.count == 0
        raise ArchiveError(
            f"{archive} is not the expected archive: it holds {passed.files} files, and should hold {files}."
            f"{' Does its list of deleted names lie beside it?' if missing else ''}",
            archive=archive,
        )


def _check_extracted(archive: str, passed: Passed, extracted: Totals) -> None:
    """Count what arrived on disk: a file system that folds names would silently lose files."""
    held = (passed.files, passed.directories, passed.others)
    arrived = (extracted.files, extracted.directories, extracted.others)
    if held != arrived:
        raise ArchiveError(
            f"{archive} holds {_counted(held)}, of which {_counted(arrived)} arrived on disk. Does the file system "
            "tell upper and lower case apart?",
            archive=archive,
        )


def _counted(numbers: tuple[int, int, int]) -> str:
    return "{} files, {} directories and {} other entries".format(*numbers)


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


def _free(directory: str) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def _described(files: int, directories: int, size: int) -> str:
    return f"files: {files}\ndirectories: {directories}\nbytes: {size}\n"


class _DifferentError(Exception):
    """Ends a comparison at the first difference."""
