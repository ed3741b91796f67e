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
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Totals:
    """What a tree holds, its own directory not counted.

    ``files`` counts names of regular files and ``bytes`` their apparent sizes, a file with several hard links once.
    ``others`` are symbolic links, FIFOs and devices. Sockets stand apart: they are never archived.
    """

    files: int = 0
    directories: int = 0
    bytes: int = 0
    others: int = 0
    sockets: int = 0

    @property
    def entries(self) -> int:
        """How many names an archive of the tree has."""
        return self.files + self.directories + self.others


class Entry(t.NamedTuple):
    """One name of a tree: its path below the root, and what ``lstat`` says about it."""

    path: bytes
    status: os.stat_result


def walk(directory: str) -> Iterator[Entry]:
    """Yield every entry below a directory, a directory before what is in it; follows no symbolic link.

    Memory grows with the number of pending directories only. What vanishes on the way is left out: the tree may be
    in use. Raises OSError for what cannot be read.
    """
    root = os.fsencode(directory)
    skip = len(os.path.join(root, b""))
    pending = [root]
    while pending:
        parent = pending.pop()
        try:
            entries = os.scandir(parent)
        except FileNotFoundError:
            if parent == root:
                raise
            continue
        with entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                yield Entry(entry.path[skip:], status)


def scan(directory: str) -> Totals:
    """Count what is below a directory."""
    files = directories = size = others = sockets = 0
    linked: set[tuple[int, int]] = set()
    for _path, status in walk(directory):
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFREG:
            files += 1
            if status.st_nlink > 1:
                identity = (status.st_dev, status.st_ino)
                if identity in linked:
                    continue
                linked.add(identity)
            size += status.st_size
        elif kind == stat.S_IFDIR:
            directories += 1
        elif kind == stat.S_IFSOCK:
            sockets += 1
        else:
            others += 1
    return Totals(files, directories, size, others, sockets)


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
