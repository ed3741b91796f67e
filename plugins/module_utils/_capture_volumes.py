# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The volumes of a backup: archived while the applications run, brought up to date while they stand still.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import typing as t

from ._compression import suffix
from ._encryption import NO_ENCRYPTION
from ._live_archive import Caught, live_archive
from ._manifest import Artifact
from ._progress import writing
from ._streamed_archive import streamed_archive
from ._volume_directory import data_directory

if t.TYPE_CHECKING:
    from ._backup_store import Partial
    from ._encryption import Encryption
    from ._engine import Engine
    from ._live_archive import Archived
    from ._stack import Data
    from ._stack_backup import Plan

# Rounds of catching up, and how little is left to do when one more is not worth it.
ROUNDS = 3
FEW_ENTRIES = 500
FEW_BYTES = 8 << 20


class Archive(t.Protocol):
    """What LiveArchive and StreamedArchive have in common."""

    def start(self) -> None:
        """Read everything that can be read while it is in use."""

    def catch_up(self, *, still: bool, exact: bool = True) -> Caught:
        """Read what may have changed since; ``still`` says that this is the cut."""

    def finish(self, deletions: str) -> Archived:
        """End the archive, and write the file ``deletions`` if something is to be removed after an extraction."""


class Volumes:
    """The archives of all volumes and directories of a stack, as a context manager."""

    def __init__(self, wanted: Plan, engine: Engine, partial: Partial) -> None:
        self._wanted = wanted
        self._engine = engine
        self._partial = partial
        self._open = contextlib.ExitStack()
        self._archives: list[tuple[Data, str, Archive]] = []

    def __enter__(self) -> Volumes:
        with self._open:
            for data in self._wanted.stack.archived():
                path = archive_name(data, self._wanted.request.compression, self._wanted.request.encryption)
                making = self._making(data, self._partial.file(path))
                self._archives.append((data, path, self._open.enter_context(making)))
            self._open = self._open.pop_all()
        return self

    def __exit__(self, *exception: t.Any) -> bool | None:
        return self._open.__exit__(*exception)

    def _making(self, data: Data, file: str) -> contextlib.AbstractContextManager[Archive]:
        request, subject = self._wanted.request, f"{data.kind} {data.name}"
        compression, level, encryption = request.compression, request.level, request.encryption
        holder = self._wanted.streamed.get(data.source)
        if holder is None:
            directory = data_directory(self._engine, data.kind, data.source)
            return live_archive(
                directory,
                file,
                compression=compression,
                level=level,
                subject=subject,
                encryption=encryption,
                since=self._wanted.since,
            )
        stage = self._engine.copy_stage(*holder, f"archive {subject}")
        return streamed_archive(
            stage, file, compression=compression, level=level, subject=subject, encryption=encryption
        )

    def start(self) -> None:
        """Archive everything, while it is in use."""
        for data, path, archive in self._archives:
            with self._told(data, path):
                archive.start()

    def _told(self, data: Data, path: str) -> contextlib.AbstractContextManager[None]:
        return writing(f"{data.kind} {data.name}", os.path.join(self._partial.path, path), path)

    def catch_up(self) -> None:
        """Archive what changed meanwhile, until little is left to do or it does not get less."""
        before = None
        for _round in range(ROUNDS):
            caught = []
            for data, path, archive in self._archives:
                with self._told(data, path):
                    caught.append(archive.catch_up(still=False))
            left = Caught(sum(one.entries for one in caught), sum(one.bytes for one in caught))
            if left.entries <= FEW_ENTRIES and left.bytes <= FEW_BYTES:
                return
            # One that changes as fast as it is read will not get better by reading it again.
            if before is not None and left.bytes * 2 > before.bytes and left.entries * 2 > before.entries:
                return
            before = left

    def cut(self) -> None:
        """Archive what is left, while everything stands still that is to stand still."""
        self._finally(late=False)

    def cut_late(self) -> None:
        """Archive what is left of those volumes whose content of the cut has only been written since."""
        self._finally(late=True)

    def _finally(self, *, late: bool) -> None:
        for data, path, archive in self._archives:
            if (data.source in self._wanted.late) == late:
                with self._told(data, path):
                    archive.catch_up(still=True, exact=data.source not in self._wanted.moving)

    def finish(self) -> tuple[list[Artifact], list[str]]:
        """End the archives; return the artifacts, and remarks."""
        artifacts, remarks = [], []
        for data, path, archive in self._archives:
            deletions = deletions_name(data, self._wanted.request.encryption)
            archived = archive.finish(self._partial.file(deletions))
            totals, written = archived.totals, archived.written
            facts = {
                "files": totals.files,
                "directories": totals.directories,
                "others": totals.others,
                "content_bytes": totals.bytes,
                "superseded": archived.superseded,
                "deleted": archived.deleted,
            }
            if self._wanted.since is not None and data.source not in self._wanted.streamed:
                facts["changed"] = totals.changed
            compression = self._wanted.request.compression
            artifacts.append(
                Artifact(
                    path=path,
                    kind="archive",
                    size=written.size,
                    sha256=written.sha256,
                    plain_sha256=written.plain_sha256,
                    source=data.name,
                    compression=compression,
                    facts=facts,
                )
            )
            if archived.deletions is not None:
                gone = archived.deletions
                artifacts.append(
                    Artifact(deletions, "deletions", gone.size, gone.sha256, gone.plain_sha256, source=data.name)
                )
            remarks += [f"{data.kind} {data.name}: {warning}" for warning in archived.warnings]
        return artifacts, remarks


def archive_name(data: Data, compression: str, encryption: Encryption = NO_ENCRYPTION) -> str:
    """Return the path of the archive of a volume inside a backup."""
    return f"volumes/{data.name}.tar{suffix(compression)}{encryption.suffix}"


def deletions_name(data: Data, encryption: Encryption = NO_ENCRYPTION) -> str:
    """Return the path of the list of names that are to be removed after an extraction of a volume's archive."""
    return f"volumes/{data.name}.deleted{encryption.suffix}"
