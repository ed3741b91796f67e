# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Put some files and directories into a directory that is in use, each in one step, and without leaving it.

What is to be put there lies in a staging directory of the same file system. Directories that are there already stay as
they are, and so does what nobody wants to put there. Files that are there already are compared, and exchanged only when
that was asked for. When anything fails, what was done is undone.

No symbolic link on the way to a target is followed, see ``_beneath``. Standard library only. Private to this
collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t
from dataclasses import dataclass, field

from ._beneath import open_directory
from ._errors import StackError
from ._files import CHUNK
from ._staging import RENAME_EXCHANGE, renameat2, sync
from ._tree import walk

if t.TYPE_CHECKING:
    from collections.abc import Iterator

RENAME_NOREPLACE = 1
# File systems that know neither way say one of these.
UNKNOWN = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
# How many names a message shows.
SHOWN = 10


@dataclass
class Placement:
    """What putting a staging directory into a live one comes to; names are relative to both.

    ``directories`` are new, a parent before its children, each with its times of access and modification: those of the
    staging directory change while it is emptied.
    """

    directories: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    new: list[bytes] = field(default_factory=list)
    differing: list[bytes] = field(default_factory=list)
    same: int = 0

    @property
    def changed(self) -> bool:
        return bool(self.directories or self.new or self.differing)


def compare(staged: str, live: str) -> Placement:
    """Find out what is new in a staging directory, what differs, and what is there already. Changes nothing.

    Raises StackError where a directory would have to become something else or the other way round, and where the way to
    a target leads through a symbolic link.
    """
    placement = Placement()
    with _Pair(staged, live) as pair:
        for path, status in walk(staged):
            parent, _slash, name = path.rpartition(b"/")
            is_directory = stat.S_ISDIR(status.st_mode)
            source, target, there = -1, -1, None
            if parent not in placement.directories:
                source, target = pair.of(parent)
                there = _status(target, name)
            if there is None:
                if is_directory:
                    placement.directories[path] = (status.st_atime_ns, status.st_mtime_ns)
                else:
                    placement.new.append(path)
            elif stat.S_ISDIR(there.st_mode) != is_directory:
                kinds = ("a directory", "none") if is_directory else ("no directory", "one")
                raise StackError(
                    f"{os.fsdecode(path)!r} is {kinds[0]} in the backup and {kinds[1]} in {live}. Remove or rename "
                    "what is there first.",
                    name=os.fsdecode(path),
                )
            elif is_directory:
                continue
            elif _same(source, target, name, status, there):
                placement.same += 1
            else:
                placement.differing.append(path)
    return placement


def refuse_differing(placement: Placement, live: str) -> None:
    """Raise StackError where something that is there would be replaced."""
    names = placement.differing
    if names:
        shown = ", ".join(repr(os.fsdecode(name)) for name in names[:SHOWN])
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise StackError(
            f"{len(names)} of the files are in {live} already and differ: {shown}{more}. Nothing was changed. Set "
            "replace=true to replace them.",
            differing=[os.fsdecode(name) for name in names[:SHOWN]],
        )


def place(staged: str, live: str, placement: Placement) -> None:
    """Move everything that is new or differs to its place. What was there is in the staging directory afterwards.

    Both are on disk when this returns. After a failure the live directory is as it was.
    """
    sync(staged)
    undo = contextlib.ExitStack()
    with undo, _Pair(staged, live) as pair:
        for path in placement.directories:
            parent, _slash, name = path.rpartition(b"/")
            target = open_directory(live, parent)
            try:
                # Nobody looks into it before it has its owner and mode.
                os.mkdir(name, 0o700, dir_fd=target)
            finally:
                os.close(target)
            undo.callback(_remove_directory, live, path)
        for path in placement.new:
            parent, _slash, name = path.rpartition(b"/")
            source, target = pair.of(parent)
            _move(source, target, name)
            undo.callback(_move_back, live, staged, path)
        for path in placement.differing:
            parent, _slash, name = path.rpartition(b"/")
            source, target = pair.of(parent)
            _exchange(source, target, name)
            undo.callback(_exchange_back, live, staged, path)
        # The deepest first: what happens below a directory changes its times.
        for path, times in reversed(placement.directories.items()):
            _copy_attributes(staged, live, path, times)
        sync(live)
        undo.pop_all()


class _Pair:
    """The same directory below two roots, the one that names move from and the other; one pair at a time is open."""

    def __init__(self, one: str, other: str) -> None:
        self._roots = (one, other)
        self._path: bytes | None = None
        self._open: list[int] = []

    def __enter__(self) -> _Pair:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._close()

    def of(self, path: bytes) -> tuple[int, int]:
        if path != self._path:
            self._close()
            for root in self._roots:
                self._open.append(open_directory(root, path))
            self._path = path
        source, target = self._open
        return source, target

    def _close(self) -> None:
        self._path = None
        while self._open:
            os.close(self._open.pop())


def _status(directory: int, name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _same(source: int, target: int, name: bytes, one: os.stat_result, other: os.stat_result) -> bool:
    """Return whether two entries are equal in kind, owner, mode, content and, for files, time and attributes."""
    facts = [(s.st_mode, s.st_uid, s.st_gid, s.st_rdev) for s in (one, other)]
    if facts[0] != facts[1]:
        return False
    if stat.S_ISLNK(one.st_mode):
        return os.readlink(name, dir_fd=source) == os.readlink(name, dir_fd=target)
    if not stat.S_ISREG(one.st_mode):
        return True
    if (one.st_size, one.st_mtime_ns) != (other.st_size, other.st_mtime_ns):
        return False
    with _opened(source, name) as left, _opened(target, name) as right:
        if _attributes(left) != _attributes(right):
            return False
        position = 0
        while chunk := os.pread(left, CHUNK, position):
            if chunk != os.pread(right, CHUNK, position):
                return False
            position += len(chunk)
    return True


@contextlib.contextmanager
def _opened(directory: int, name: bytes) -> Iterator[int]:
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        yield file
    finally:
        os.close(file)


def _attributes(file: int) -> dict[str, bytes]:
    # The label of SELinux belongs to the place.
    return {name: os.getxattr(file, name) for name in os.listxattr(file) if name != "security.selinux"}


def _renameat2(source: int, target: int, name: bytes, flags: int) -> None:
    number = renameat2(source, name, target, name, flags)
    if number:
        raise OSError(number, os.strerror(number), os.fsdecode(name))


def _move(source: int, target: int, name: bytes) -> None:
    """Move a name to a directory that must not have it."""
    try:
        _renameat2(source, target, name, RENAME_NOREPLACE)
    except OSError as exc:
        if exc.errno not in UNKNOWN:
            raise
        if _status(target, name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fsdecode(name)) from exc
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)


def _exchange(source: int, target: int, name: bytes) -> None:
    """Let a name of two directories exchange what it stands for."""
    try:
        _renameat2(source, target, name, RENAME_EXCHANGE)
    except OSError as exc:
        if exc.errno not in UNKNOWN:
            raise
        aside = name[:200] + b".crm-aside"
        os.rename(name, aside, src_dir_fd=target, dst_dir_fd=source)
        os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
        os.rename(aside, name, src_dir_fd=source, dst_dir_fd=source)


def _move_back(live: str, staged: str, path: bytes) -> None:
    parent, _slash, name = path.rpartition(b"/")
    with _Pair(live, staged) as pair:
        os.rename(name, name, **dict(zip(("src_dir_fd", "dst_dir_fd"), pair.of(parent), strict=True)))


def _exchange_back(live: str, staged: str, path: bytes) -> None:
    parent, _slash, name = path.rpartition(b"/")
    with _Pair(live, staged) as pair:
        _exchange(*pair.of(parent), name)


def _remove_directory(live: str, path: bytes) -> None:
    parent, _slash, name = path.rpartition(b"/")
    target = open_directory(live, parent)
    try:
        os.rmdir(name, dir_fd=target)
    finally:
        os.close(target)


def _copy_attributes(staged: str, live: str, path: bytes, times: tuple[int, int]) -> None:
    """Give a new directory the owner, mode, attributes and times of the staged one."""
    with _Pair(staged, live) as pair:
        source, target = pair.of(path)
        status = os.fstat(source)
        os.fchown(target, status.st_uid, status.st_gid)
        os.fchmod(target, stat.S_IMODE(status.st_mode))
        for name, value in _attributes(source).items():
            os.setxattr(target, name, value)
        os.utime(target, ns=times)
