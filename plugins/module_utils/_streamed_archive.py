# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Archive a volume that this host cannot read by a path: the engine reads it, through a container that mounts it.

The engine sends a tar stream of its own making: all of the volume, at the cut only, since nobody tells what has
changed; without holes in sparse files and without most extended attributes. A container that stands still, or does not
run, will do. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import typing as t

from ._archive_writer import ArchiveWriter, archive_file
from ._encryption import NO_ENCRYPTION
from ._live_archive import Archived, Caught
from ._seal import sealed
from ._tree import Totals

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._encryption import Encryption
    from ._process import Stage
    from ._seal import Seal

REMARK = (
    "it cannot be read by a path of this host, so the engine read it while the services stood still: slower, without "
    "most extended attributes, and sparse files in full"
)


class StreamedArchive:
    """The archive of one volume in the making. ``streamed_archive`` makes one."""

    def __init__(self, stage: Stage, seal: Seal, *, compression: str, level: int | None, subject: str) -> None:
        self._stage = stage
        self._writer = ArchiveWriter(seal, compression=compression, level=level, subject=subject)

    def start(self) -> None:
        """Do nothing yet: what was read now would have to be read again."""

    def catch_up(self, *, still: bool, exact: bool = True) -> Caught:
        """Read everything, if this is the cut; ``exact`` makes no difference, the engine does not tell."""
        if not still:
            return Caught(0, 0)
        self._writer.part(self._stage, last=True)
        passed = self._writer.passed()
        return Caught(passed.entries, passed.bytes)

    def finish(self, deletions: str) -> Archived:
        """Return what was archived; nothing is ever listed in the file ``deletions``."""
        passed = self._writer.passed()
        return Archived(
            written=self._writer.written(),
            totals=Totals(passed.files, passed.directories, passed.bytes, passed.others),
            superseded=passed.duplicates,
            deleted=0,
            deletions=None,
            warnings=(),
        )


@contextlib.contextmanager
def streamed_archive(
    stage: Stage,
    destination: str,
    *,
    compression: str,
    level: int | None,
    subject: str,
    encryption: Encryption = NO_ENCRYPTION,
) -> Iterator[StreamedArchive]:
    """Yield the archive of what ``stage`` sends; ``destination`` is there when the block ends well, and on disk.

    ``subject`` names the volume in messages ("volume crm_storage"). Raises StoreError when the disk is full.
    """
    with (
        archive_file(destination, subject, lambda: 0) as target,
        sealed(target, encryption, f"the archive of {subject}") as seal,
    ):
        yield StreamedArchive(stage, seal, compression=compression, level=level, subject=subject)
