# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The archive that the sidekick of Ticketz writes: a dump and the content of two volumes in one tar.

Its members are ``backups/db_dump.sql``, ``backend-public/…`` and ``backend-private/…``; of ``--dbonly``, the first
alone. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import typing as t
from dataclasses import dataclass, field

from ._archive_reader import check_sha256, judged, plain
from ._errors import ArchiveError, StoreError
from ._files import read_chunks
from ._plain_dump import survey
from ._process import Alongside, Pipeline, Stage, program
from ._tar import extract_stage
from ._tar_gate import Passage

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._files import Written
    from ._plain_dump import Surveyed
    from ._tar_gate import Record

PROFILE = "ticketz"
DUMP = "backups/db_dump.sql"
# Where the backend mounts what a directory of the archive is the content of.
VOLUMES = {"backend-public": "/usr/src/app/public", "backend-private": "/usr/src/app/private"}


@dataclass(frozen=True)
class Contents:
    """What such an archive holds: the directories of volumes, the dump, names that nothing is known of, and bytes."""

    volumes: tuple[str, ...]
    dump: Surveyed
    strangers: tuple[str, ...]
    bytes: int
    read: Written


@dataclass
class _Look:
    """Takes note of the members that pass."""

    volumes: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    has_dump: bool = False

    def record(self, record: Record) -> None:
        top = os.fsdecode(record.path.partition(b"/")[0])
        if record.path == os.fsencode(DUMP):
            self.has_dump = True
        elif top in VOLUMES:
            if top not in self.volumes:
                self.volumes.append(top)
        elif record.path not in (b"", b"backups"):
            self.strangers.append(os.fsdecode(record.path))


def look(archive: str) -> Contents:
    """Read an archive to its end and describe it, without writing anything.

    Raises ArchiveError where it is damaged, hostile or no archive of the sidekick, StoreError where its dump is not
    whole.
    """
    found = _Look()
    passage = Passage(archive, record=found.record)
    # Tar reads to the end in any case; that the dump is not there is said below.
    take_dump = Stage(
        f"read {DUMP} of {archive}",
        [program("tar"), "--extract", "--to-stdout", "--file=-", DUMP],
        accept=frozenset({0, 2}),
    )
    with judged(archive, None, None, None), plain(archive) as (source, reader), Pipeline([take_dump]) as tar:
        subject = f"{DUMP} of {archive}"
        with Alongside(functools.partial(_survey, tar.stdout, subject), tar.close_stdin) as surveyor:
            passage.pass_on(source, tar.stdin.fileno())
    passed = passage.passed()
    if not found.has_dump:
        raise ArchiveError(
            f"{archive} holds no {DUMP}, so the sidekick of Ticketz did not make it. Adopt its parts one by one.",
            archive=archive,
        )
    if passed.duplicates:
        raise ArchiveError(f"{archive} holds {passed.duplicates} names twice, which the sidekick does not write.")
    outcome = surveyor.result
    if isinstance(outcome, StoreError):
        raise outcome
    return Contents(tuple(found.volumes), outcome, tuple(found.strangers), passed.bytes, reader.result)


@contextlib.contextmanager
def unpacked(archive: str, directory: str, expected: Written) -> Iterator[None]:
    """Extract an archive that was looked at into an empty directory, for as long as the block runs."""
    os.mkdir(directory, 0o700)
    with judged(archive, expected.sha256, None, None):
        with plain(archive) as (source, reader), Pipeline([extract_stage(directory, f"extract {archive}")]) as tar:
            Passage(archive).pass_on(source, tar.stdin.fileno())
        check_sha256(archive, reader.result, expected.sha256)
    for name in ("backups", *VOLUMES):
        _refuse_link(os.path.join(directory, name), stat.S_ISDIR)
    _refuse_link(os.path.join(directory, DUMP), stat.S_ISREG)
    yield


def _refuse_link(path: str, is_right: t.Callable[[int], bool]) -> None:
    """Refuse what leads somewhere else: it would be read from there."""
    if os.path.lexists(path) and not is_right(os.lstat(path).st_mode):
        raise ArchiveError(f"{path} is not what the sidekick of Ticketz writes there: it may be a link. Do not use it.")


def _survey(stream: t.BinaryIO, subject: str) -> Surveyed | StoreError:
    """Judge the dump; whatever is wrong with it, the rest is read, so that nobody waits for it to be."""
    try:
        return survey(functools.partial(os.read, stream.fileno()), subject)
    except StoreError as exc:
        for _chunk in read_chunks(stream):
            pass
        return exc
