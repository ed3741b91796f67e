# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reach what lies below a directory without ever leaving it: every step is opened by itself, and follows no link.

An application, or whoever could write an archive, may have put a symbolic link anywhere in a volume. A path that is
resolved by the kernel in one go would follow it out of there, as root. Names are bytes: a volume may hold names that
are no text. Standard library only. Private to this collection.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import typing as t

from ._errors import StackError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def open_directory(root: str | int, path: bytes = b"") -> int:
    """Return a descriptor of a directory below ``root``, itself a path or a descriptor.

    Raises StackError where a part of the path is a symbolic link; OSError where it is missing or no directory.
    """
    current = os.open(root, DIRECTORY & ~os.O_NOFOLLOW) if isinstance(root, str) else os.dup(root)
    for part in path.split(b"/") if path else ():
        try:
            following = _step(current, part, path)
        finally:
            os.close(current)
        current = following
    return current


def _step(parent: int, part: bytes, path: bytes) -> int:
    if part in (b"", b".", b".."):
        raise ValueError(f"{path!r} is not in its shortest form")
    try:
        return os.open(part, DIRECTORY, dir_fd=parent)
    except OSError as exc:
        # Which one of the two it is depends on the kernel.
        if exc.errno in (errno.ELOOP, errno.ENOTDIR) and is_link(parent, part):
            raise StackError(
                f"{os.fsdecode(path)!r} leads through a symbolic link ({os.fsdecode(part)!r}), which is not followed: "
                "it could lead out of the directory. Remove the link, or name what it points to."
            ) from exc
        raise


def is_link(parent: int, name: bytes) -> bool:
    """Return whether a name in an open directory is a symbolic link."""
    try:
        os.readlink(name, dir_fd=parent)
    except OSError:
        return False
    return True


def matching(root: str | int, patterns: Sequence[str]) -> Iterator[bytes]:
    """Yield the files, links and whatever else but directories below ``root`` whose paths match one of some patterns.

    ``*``, ``?`` and ``[]`` stand for characters of one name. Directories behind links are not entered.
    """
    for pattern in patterns:
        descriptor = open_directory(root)
        try:
            yield from _matching(descriptor, os.fsencode(pattern).split(b"/"), b"")
        finally:
            os.close(descriptor)


def _matching(directory: int, pattern: Sequence[bytes], above: bytes) -> Iterator[bytes]:
    for name in sorted(map(os.fsencode, os.listdir(directory))):
        if not fnmatch.fnmatchcase(name, pattern[0]):
            continue
        path = above + name
        try:
            below = os.open(name, DIRECTORY, dir_fd=directory)
        except OSError as exc:
            if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                raise
            if len(pattern) == 1:
                yield path
            continue
        try:
            if len(pattern) > 1:
                yield from _matching(below, pattern[1:], path + b"/")
        finally:
            os.close(below)
