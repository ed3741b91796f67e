# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Walk a directory tree fast and in little memory; count what is in it.

Names are bytes: a volume may hold names that are no text. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator

# How the names begin of what a restore of a whole stack keeps beside or inside a live directory, see _exchange.
KEPT_PREFIX = ".crm-restore-"
_KEPT = os.fsencode(KEPT_PREFIX)
_NEVER = sys.maxsize


@dataclass(frozen=True)
class Totals:
    """What a tree holds, its own directory not counted.

    ``files`` counts names of regular files and ``bytes`` their apparent sizes, a file with several hard links once.
    ``others`` are symbolic links, FIFOs and devices. Sockets stand apart: they are never archived. ``changed`` counts
    the files that were written to since a moment, if there was one to ask for.
    """

    files: int = 0
    directories: int = 0
    bytes: int = 0
    others: int = 0
    sockets: int = 0
    changed: int = 0

    @property
    def entries(self) -> int:
        """How many names an archive of the tree has."""
        return self.files + self.directories + self.others


def walk(directory: str) -> Iterator[tuple[bytes, os.stat_result]]:
    """Yield every entry below a directory, a directory before what is in it; follows no symbolic link.

    An entry is its path below the root, and what ``lstat`` says about it.

    Memory grows with the number of pending directories only. What vanishes on the way is left out: the tree may be
    in use. What a restore keeps in the directory itself is no content of it, and is left out too. Raises OSError for
    what cannot be read.
    """
    root = os.fsencode(directory)
    skip = len(os.path.join(root, b""))
    pending = [root]
    while pending:
        parent = pending.pop()
        try:
            entries = os.scandir(parent)
        except (FileNotFoundError, NotADirectoryError):
            if parent == root:
                raise
            continue
        with entries:
            for entry in entries:
                if parent is root and entry.name.startswith(_KEPT):
                    continue
                try:
                    status = entry.stat(follow_symlinks=False)
                except (FileNotFoundError, NotADirectoryError):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield entry.path[skip:], status


class Tally:
    """Counts entries as they come; ``since`` is in nanoseconds since 1970."""

    def __init__(self, since: int | None = None) -> None:
        self._since = _NEVER if since is None else since
        self._changed = 0
        self._counts = dict.fromkeys((stat.S_IFREG, stat.S_IFDIR, stat.S_IFSOCK), 0)
        self._others = 0
        self._size = 0
        self._linked: set[tuple[int, int]] = set()

    def add(self, status: os.stat_result) -> int:
        """Count an entry and return its kind, as in ``stat.S_IFMT``."""
        kind = stat.S_IFMT(status.st_mode)
        if kind not in self._counts:
            self._others += 1
            return kind
        self._counts[kind] += 1
        if kind == stat.S_IFREG:
            if status.st_mtime_ns > self._since:
                self._changed += 1
            if not (status.st_nlink > 1 and self._is_counted(status)):
                self._size += status.st_size
        return kind

    def totals(self) -> Totals:
        """Return what was counted so far."""
        counts = self._counts
        return Totals(
            counts[stat.S_IFREG],
            counts[stat.S_IFDIR],
            self._size,
            self._others,
            counts[stat.S_IFSOCK],
            self._changed,
        )

    def _is_counted(self, status: os.stat_result) -> bool:
        identity = (status.st_dev, status.st_ino)
        known = identity in self._linked
        self._linked.add(identity)
        return known


def scan(directory: str) -> Totals:
    """Count what is below a directory."""
    tally = Tally()
    for _path, status in walk(directory):
        tally.add(status)
    return tally.totals()


def is_empty(directory: str) -> bool:
    """Return whether a directory has no entries."""
    with os.scandir(directory) as entries:
        return next(entries, None) is None


def remove_tree(directory: str) -> None:
    """Remove a directory and all below it; raise OSError rather than enter another file system.

    A directory that is not there is no error.
    """
    try:
        device = os.lstat(directory).st_dev
    except FileNotFoundError:
        return
    root = os.fsencode(directory)
    directories = [root]
    # Parents come before their children, so the reverse order empties every directory before its turn.
    position = 0
    while position < len(directories):
        with os.scandir(directories[position]) as entries:
            for entry in entries:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.path)
                    continue
                if entry.stat(follow_symlinks=False).st_dev != device:
                    raise OSError(
                        errno.EXDEV, "is a mount point and was left alone; unmount it first", os.fsdecode(entry.path)
                    )
                directories.append(entry.path)
        position += 1
    for parent in reversed(directories):
        with contextlib.suppress(FileNotFoundError):
            os.rmdir(parent)
