# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where pg_restore finds the unpacked dump: several of its processes can only read at once from a file.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import typing as t
from dataclasses import dataclass

from ._database_location import OnHost
from ._dump_file import CUSTOM
from ._errors import DatabaseError, ProcessError
from ._process import run
from ._unpacking import unpack_stages
from ._workplace import PARENT, Workplace, workplace

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._database import Database
    from ._database_location import Location
    from ._dump_file import DumpFile

# Tables, their indexes and the write-ahead log take more than the text of a dump.
GROWTH = 1.5


@dataclass(frozen=True)
class Staging:
    """A private directory beside the server's programs; ``archive`` is the dump there, in the plain custom format.

    A script is not put there: psql reads it as it comes.
    """

    place: Workplace
    archive: str

    def put_text(self, name: str, text: str) -> str:
        """Write a small file and return its path for the programs."""
        with tempfile.TemporaryFile() as stream:
            stream.write(text.encode())
            stream.seek(0)
            return self.place.put(name, [], stream.fileno())


@contextlib.contextmanager
def staging(location: Location, dump: DumpFile, key: str) -> Iterator[Staging]:
    """Yield the unpacked dump where pg_restore can read it; it is gone afterwards."""
    with workplace(location, key) as place:
        yield Staging(place, _placed(place, dump) if dump.format == CUSTOM else "")


def require_space(location: Location, session: Database, dump: DumpFile) -> None:
    """Raise DatabaseError unless the disks have room: a full disk would stop the live database too."""
    needs = {PARENT: 0 if dump.format != CUSTOM or _readable_in_place(location, dump) else dump.plain_size}
    data = session.setting("data_directory") if location.sees_data_directory else None
    if data is not None:
        needs[data] = int(dump.plain_size * GROWTH)
    by_disk: dict[str, tuple[int, int, str]] = {}
    for path, need in needs.items():
        found = _free(location, path)
        if found is not None:
            disk, free = found
            by_disk[disk] = (free, by_disk.get(disk, (0, 0, ""))[1] + need, path)
    for free, need, path in by_disk.values():
        if need > free:
            raise DatabaseError(
                f"Restoring {dump.path} needs about {need >> 20} MiB on the disk of {path} in {location.name}, and "
                f"{free >> 20} MiB are free. Free some space, or set check_space=false if you know better.",
                needed=need,
                free=free,
            )


def _placed(place: Workplace, dump: DumpFile) -> str:
    if _readable_in_place(place.location, dump):
        return os.path.abspath(dump.path)
    unpack = unpack_stages(dump.path, dump.compression, f"unpack {dump.path} for {place.location.name}")
    with open(dump.path, "rb") as stream:
        return place.put("dump", unpack, stream.fileno())


def _readable_in_place(location: Location, dump: DumpFile) -> bool:
    return isinstance(location, OnHost) and dump.compression == "none" and not dump.encrypted


def _free(location: Location, path: str) -> tuple[str, int] | None:
    """Return which disk a path is on and how many bytes are free there, or None where that cannot be said."""
    try:
        printed = run(location.command(f"ask for the free space of {path}", ["df", "-P", "-k", path])).stdout.decode()
        words = printed.splitlines()[-1].split()
        return f"{words[0]} {words[-1]}", int(words[-3]) * 1024
    except (ProcessError, IndexError, ValueError):
        return None
