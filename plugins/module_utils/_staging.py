# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where imported data wait beside the live ones, and how they take their place.

Two ways. *Beside*: a sibling of the live directory is filled and the two exchange their names in one atomic step,
``renameat2(2)`` with RENAME_EXCHANGE. *Inside*: where the live directory is a mount point, carries a quota, or its file
system can't exchange names, a directory inside it is filled and its entries are moved up; a dead run is undone or
completed by the next one, by what it left:

    .crm-import-<id>/staged     filled, perhaps not wholly: nothing live was touched. Removed.
    .crm-import-<id>/old        live entries are on their way out: they are moved back.
    .crm-import-<id>/placing    all live entries are in old, new ones are on their way in: the rest is moved too.
    .crm-import-<id>.done       whatever is in it is not needed any more. Removed.
    .crm-import-<id>/times      an empty file with the times of the new directory, which change while it is emptied.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import secrets
import shutil
import time
import typing as t
from dataclasses import dataclass

from ._errors import StoreError
from ._files import sync_directory
from ._tree import KEPT_PREFIX, remove_tree
from ._volume_directory import is_mount_point

if t.TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

PREFIX = ".crm-import-"
STAGED, OLD, PLACING, TIMES = "staged", "old", "placing", "times"
DONE = ".done"
_OWN = (os.fsencode(PREFIX), os.fsencode(KEPT_PREFIX))
# Seconds.
PATIENCE = 30
SYNC_EVERY = 0.5

AT_FDCWD = -100
RENAME_EXCHANGE = 2


@dataclass(frozen=True)
class Staging:
    """A directory to fill, and the live one whose place it takes."""

    live: str
    base: str
    inside: bool

    @property
    def directory(self) -> str:
        return os.path.join(self.base, STAGED)

    def take_place(self) -> None:
        """Make the staged content the live one. Everything must be on disk already, see ``sync``."""
        if self.inside:
            _replace_entries(self.live, self.base)
        else:
            exchange(self.directory, self.live)
            sync_directory(os.path.dirname(self.live))

    def inherit(self) -> None:
        """Give the staged directory the owner, mode, times and attributes of the live one."""
        copy_attributes(self.live, self.directory)


@contextlib.contextmanager
def staging(live: str, *, may_exchange: bool = True) -> Iterator[Staging]:
    """Yield an empty staging directory for a live one, alone on this host; remove what remains of it afterwards.

    First clears up after runs that died. Raises StoreError when another import into this directory is running.
    """
    live = os.path.realpath(live)
    parent = os.path.dirname(live)
    with _locked(parent, live):
        recover(live)
        inside = not may_exchange or is_mount_point(live) or not can_exchange(parent)
        base = os.path.join(live if inside else parent, PREFIX + secrets.token_hex(4))
        # Nobody may look into it before its own directory has the mode that it is to have.
        with times_kept(live, inside):
            os.mkdir(base, 0o700)
        staged = Staging(live, base, inside)
        try:
            os.mkdir(staged.directory, 0o700)
            yield staged
        finally:
            with times_kept(live, inside):
                _discard(base)


def leftovers(live: str, *, inside: bool = False) -> list[str]:
    """Return what dead runs left beside and inside a live directory, or inside only."""
    live = os.path.realpath(live)
    places = [live] if inside else [live, os.path.dirname(live)]
    return [entry.path for place in places for entry in os.scandir(place) if entry.name.startswith(PREFIX)]


def is_torn(live: str) -> bool:
    """Return whether a run died while it moved entries of a live directory."""
    bases = [base for base in leftovers(live, inside=True) if not base.endswith(DONE)]
    return any(os.path.exists(os.path.join(base, part)) for base in bases for part in (OLD, PLACING))


def recover(live: str) -> None:
    """Undo or complete what dead runs left behind; the caller holds the lock."""
    live = os.path.realpath(live)
    for base in leftovers(live):
        inside = os.path.dirname(base) == live
        if inside and not base.endswith(DONE):
            if os.path.exists(os.path.join(base, PLACING)):
                _place(live, base)
            elif os.path.exists(os.path.join(base, OLD)):
                move_entries(os.path.join(base, OLD), live)
        with times_kept(live, inside):
            _discard(base)


def exchange(one: str, other: str) -> None:
    """Let two paths exchange what they name, in one atomic step; raise OSError where that is not possible."""
    number = renameat2(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE)
    if number:
        raise OSError(number, os.strerror(number), one, None, other)


def renameat2(source: int, name: bytes, target: int, other: bytes, flags: int) -> int:
    """Call renameat2(2) with two open directories and a name in each; return 0, or the number of the error."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "renameat2"):
        return errno.ENOSYS
    return 0 if libc.renameat2(source, name, target, other, flags) == 0 else ctypes.get_errno()


def sync(path: str) -> None:
    """Bring all of the file system of a path to disk; raise OSError when that fails."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(descriptor) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
    finally:
        os.close(descriptor)


def sync_until(path: str, ended: threading.Event) -> None:
    """Keep bringing a file system to disk until ``ended``, so that there is little left to do for the final sync."""
    while not ended.wait(SYNC_EVERY):
        sync(path)


@contextlib.contextmanager
def _locked(directory: str, live: str) -> Iterator[None]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"Another import into {live} is running. Wait for it, or stop it, and run this again.", directory=live
            ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def times_kept(directory: str, wanted: bool) -> Iterator[None]:
    """Leave no trace of what comes and goes in a directory in its time of modification."""
    before = os.stat(directory)
    yield
    if wanted:
        os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))


def _discard(base: str) -> None:
    """Remove what is not needed any more; a run that dies here must not be mistaken for one that died before."""
    doomed = base
    if not base.endswith(DONE) and os.path.exists(base):
        doomed = base + DONE
        os.rename(base, doomed)
        sync_directory(os.path.dirname(base))
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return remove_tree(doomed)
        except OSError as exc:
            # When a run is killed, its tar goes on until it notices that its input has ended.
            if exc.errno not in (errno.ENOTEMPTY, errno.ENOENT) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def can_exchange(parent: str) -> bool:
    """Return whether the file system of a directory lets two names in it be exchanged in one step."""
    base = os.path.join(parent, PREFIX + secrets.token_hex(4))
    one, other = os.path.join(base, "one"), os.path.join(base, "other")
    os.mkdir(base, 0o700)
    try:
        os.mkdir(one)
        os.mkdir(other)
        exchange(one, other)
    except OSError as exc:
        if exc.errno in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV):
            return False
        raise
    finally:
        remove_tree(base)
    return True


def _replace_entries(live: str, base: str) -> None:
    """Move the entries of a live directory out and the staged ones in; undo it when that fails half-way."""
    try:
        with open(os.path.join(base, TIMES), "wb"):
            _set_times(os.path.join(base, STAGED), os.path.join(base, TIMES))
        os.mkdir(os.path.join(base, OLD), 0o700)
        sync_directory(base)
        move_entries(live, os.path.join(base, OLD))
        # From here on a dead run is completed, before it is undone.
        os.rename(os.path.join(base, STAGED), os.path.join(base, PLACING))
        sync_directory(base)
        _place(live, base)
    except BaseException:
        recover(live)
        raise


def _place(live: str, base: str) -> None:
    placing = os.path.join(base, PLACING)
    move_entries(placing, live)
    copy_attributes(placing, live)
    _set_times(os.path.join(base, TIMES), live)
    sync_directory(live)


def move_entries(source: str, target: str) -> None:
    """Move everything from one directory into another of the same file system, but what is kept there by us."""
    with os.scandir(os.fsencode(source)) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(_OWN)]
    for name in names:
        os.rename(os.path.join(os.fsencode(source), name), os.path.join(os.fsencode(target), name))
    sync_directory(target)


def _set_times(source: str, target: str) -> None:
    status = os.stat(source)
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def copy_attributes(source: str, target: str) -> None:
    """Give a directory the owner, mode, times and attributes of another one."""
    status = os.stat(source)
    os.chown(target, status.st_uid, status.st_gid)
    # Mode, times and extended attributes, of which ACLs are some; the owner comes first, as it clears special bits.
    shutil.copystat(source, target)
