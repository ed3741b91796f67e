# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A private directory where a server's programs and this process exchange files.

What a program in a container prints passes through the daemon in small pieces, at a fraction of the speed of a pipe.
Where this host sees the file systems of its containers, files and pipes are opened directly instead.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import posixpath
import typing as t
from dataclasses import dataclass

from ._errors import ProcessError
from ._files import CHUNK
from ._process import Pipeline, Stage, program, run

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._database_location import Location

# On disk, where /tmp may be memory.
PARENT = "/var/tmp"


@dataclass
class Workplace:
    """The directory. ``path`` is its name for the programs; ``descriptor`` is None where it cannot be opened here."""

    location: Location
    path: str
    descriptor: int | None = None
    _removed: bool = False

    def put(self, name: str, stages: Sequence[Stage], stdin: int) -> str:
        """Write what comes out of a pipeline to a new file, and return its path for the programs."""
        path = posixpath.join(self.path, name)
        if self.descriptor is None:
            writer = self.location.command(f"write {path} in {self.location.name}", ["dd", f"of={path}", "bs=1M"])
            with Pipeline([*stages, writer], stdin=stdin):
                pass
            return path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=self.descriptor)
        try:
            self._hand_over(file, self.descriptor)
            copy = Stage(f"copy to {path}", [program("cat", "coreutils")])
            with Pipeline(stages or [copy], stdin=stdin, stdout=file):
                pass
        finally:
            os.close(file)
        return path

    def fifo(self, name: str) -> tuple[str, int] | None:
        """Make a named pipe; returns its path for the programs and its reading end, or None where it cannot be made.

        The reading end does not wait for a writer.
        """
        if self.descriptor is None:
            return None
        os.mkfifo(name, 0o600, dir_fd=self.descriptor)
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor)
        self._hand_over(file, self.descriptor)
        # The more a pipe holds, the less often both ends wait for each other. Best effort: an old kernel says no.
        with contextlib.suppress(OSError):
            fcntl.fcntl(file, fcntl.F_SETPIPE_SZ, CHUNK)
        return posixpath.join(self.path, name), file

    def remove(self) -> None:
        """Remove the directory; what is open in it stays usable."""
        if not self._removed:
            run(self.location.command(f"remove {self.path} in {self.location.name}", ["rm", "-rf", self.path]))
            self._removed = True

    @staticmethod
    def _hand_over(file: int, directory: int) -> None:
        # With user namespaces, root of the container is someone else here.
        owner = os.fstat(directory)
        os.fchown(file, owner.st_uid, owner.st_gid)


@contextlib.contextmanager
def workplace(location: Location, key: str) -> Iterator[Workplace]:
    """Yield an empty directory of this key; it is gone afterwards. What a killed run left under the key goes first."""
    place = Workplace(location, posixpath.join(PARENT, f"crm-continuity-{key}"))
    create = location.command(f"create {place.path} in {location.name}", ["mkdir", "-m", "700", place.path])
    try:
        try:
            run(create)
        except ProcessError:
            run(location.command(f"remove {place.path} in {location.name}", ["rm", "-rf", place.path]))
            run(create)
        place.descriptor = opened(location, place.path)
        try:
            yield place
        finally:
            if place.descriptor is not None:
                os.close(place.descriptor)
    finally:
        # When the container is gone, so is the directory; the reason for leaving matters more.
        with contextlib.suppress(ProcessError):
            place.remove()


def opened(location: Location, path: str) -> int | None:
    """Open a directory that the programs see, or return None when this process does not see it.

    A symbolic link on the way would lead out of a container into this host, so none is followed. That a directory made
    by a program is there at all proves that it is the right container, and not another process of the same number.
    """
    root = location.root()
    if root is None:
        return None
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    try:
        current = os.open(root, flags)
        for part in path.strip("/").split("/"):
            try:
                following = os.open(part, flags | os.O_NOFOLLOW, dir_fd=current)
            finally:
                os.close(current)
            current = following
    except OSError:
        return None
    return current
