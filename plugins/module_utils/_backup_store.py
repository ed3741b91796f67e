# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup root: where backups lie, how they are named, listed, locked and published.

``<root>/<stack>/<backup ID>/`` is complete; work in progress is ``.<backup ID>.partial`` beside it. Standard library
only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import fcntl
import os
import re
import shutil
import tempfile
import typing as t
from dataclasses import dataclass

from ._arrival import ID, arrivals, arrived
from ._errors import BusyError, StoreError
from ._files import sync_directory
from ._manifest import Manifest, read
from ._progress import phase as tell_watchers

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

DEFAULT_ROOT = "/var/backups/crm"
# Where Debian's prometheus-node-exporter looks.
DEFAULT_METRICS = "/var/lib/prometheus/node-exporter"
LATEST = "latest"
# Where the locks of the stacks are; gone after a boot, like whoever held them.
RUN = "/run/crm.continuity"
# The one line of a lock, in bytes.
LONGEST_HOLDER = 128
_STACK = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Backup:
    """A published backup."""

    stack: str
    id: str
    path: str

    def manifest(self) -> Manifest:
        """Read its manifest; raises StoreError when that is damaged."""
        return read(self.path)


class Store:
    """The backups below one root directory."""

    def __init__(self, root: str) -> None:
        self.root = root

    def stack_directory(self, stack: str) -> str:
        """Return where the backups of a stack lie."""
        if not _STACK.fullmatch(stack):
            raise StoreError(f"{stack!r} cannot be the name of a stack: use letters, digits, '-', '_' and '.'.")
        return os.path.join(self.root, stack)

    def stacks(self) -> list[str]:
        """Return the names of the stacks that have a directory here."""
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return []
        return sorted(n for n in names if _STACK.fullmatch(n) and os.path.isdir(os.path.join(self.root, n)))

    def backups(self, stack: str) -> list[Backup]:
        """Return the published backups of a stack, oldest first: in the order in which they came to be here."""
        directory = self.stack_directory(stack)
        try:
            names = os.listdir(directory)
        except FileNotFoundError:
            return []
        ids = arrived((name for name in names if is_id(name)), arrivals(self.root, stack))
        return [Backup(stack, id_, os.path.join(directory, id_)) for id_ in ids]

    def backup(self, stack: str, wanted: str = LATEST) -> Backup:
        """Return one backup by ID, or the latest; raise StoreError with what there is."""
        backups = self.backups(stack)
        if not backups:
            raise StoreError(
                f"There is no backup of stack {stack} in {self.stack_directory(stack)}. "
                "Set crm_backup_root to where the backups lie.",
                stack=stack,
            )
        if wanted == LATEST:
            return backups[-1]
        for backup in backups:
            if backup.id == wanted:
                return backup
        there = ", ".join(backup.id for backup in backups[-5:])
        raise StoreError(f"There is no backup {wanted} of stack {stack}. The latest are {there}.", stack=stack)

    def newest_manifest(self, stack: str) -> Manifest | None:
        """Return the manifest of the newest backup that has one that can be read."""
        for backup in reversed(self.backups(stack)):
            with contextlib.suppress(StoreError):
                return backup.manifest()
        return None

    def prepare(self, stack: str) -> str:
        """Create the directory of a stack, private to its owner; raise StoreError when that cannot be."""
        directory = self.stack_directory(stack)
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
            os.makedirs(directory, mode=0o700, exist_ok=True)
            # Nameless, so that a run that is killed leaves nothing.
            tempfile.TemporaryFile(dir=directory).close()
        except OSError as exc:
            raise unwritable(directory, exc) from exc
        return directory

    @contextlib.contextmanager
    def locked(self, stack: str) -> Iterator[None]:
        """Hold the lock of a stack's directory: one writes there at a time. It is freed even by SIGKILL."""
        with _flock(os.path.join(self.prepare(stack), ".lock"), stack):
            yield

    @contextlib.contextmanager
    def partial(self, stack: str, moment: datetime.datetime | None = None) -> Iterator[Partial]:
        """Yield a directory for a new backup, of now or of an earlier moment. Needs the lock.

        It is removed unless it was published.
        """
        directory = self.prepare(stack)
        self.remove_partials(stack)
        taken = {backup.id for backup in self.backups(stack)}
        id_ = new_id(moment or now(), taken)
        path = os.path.join(directory, f".{id_}.partial")
        try:
            os.mkdir(path, 0o700)
        except OSError as exc:
            raise unwritable(path, exc) from exc
        partial = Partial(stack, id_, path, os.path.join(directory, id_))
        try:
            yield partial
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def remove_partials(self, stack: str) -> list[str]:
        """Remove what runs that died left behind. Needs the lock."""
        directory = self.stack_directory(stack)
        left = [n for n in os.listdir(directory) if n.startswith(".") and n.endswith(".partial") and is_id(n[1:-8])]
        for name in left:
            shutil.rmtree(os.path.join(directory, name))
        return left

    def free_bytes(self) -> int:
        """Return the space that is left below the root."""
        return shutil.disk_usage(existing_parent(self.root)).free


@dataclass(frozen=True)
class Partial:
    """A backup in the making."""

    stack: str
    id: str
    path: str
    final: str

    def file(self, relative: str) -> str:
        """Return the path of an artifact, with its directory made."""
        path = os.path.join(self.path, relative)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        return path

    def publish(self) -> Backup:
        """Give the backup its final name, once everything in it has reached the disk."""
        for directory, _names, _files in os.walk(self.path, topdown=False):
            sync_directory(directory)
        os.rename(self.path, self.final)
        sync_directory(os.path.dirname(self.final))
        return Backup(self.stack, self.id, self.final)


@contextlib.contextmanager
def locked_on_host(stack: str) -> Iterator[int | None]:
    """Hold the lock of a stack on this host, whatever root its backups go to.

    Yields the descriptor that holds it, for another process to hold it too; None for a user who may not use RUN.
    """
    try:
        os.makedirs(RUN, mode=0o700, exist_ok=True)
        path = os.path.join(RUN, f"{stack}.lock")
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except PermissionError:
        yield None
        return
    with _flock(path, stack) as descriptor:
        yield descriptor


@contextlib.contextmanager
def _flock(path: str, stack: str) -> Iterator[int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as exc:
        raise unwritable(path, exc) from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            told = os.pread(descriptor, LONGEST_HOLDER, 0).decode(errors="replace").strip() or "another process"
            holder, _colon, phase = told.partition(": ")
            doing = f" ({phase})" if phase else ""
            raise BusyError(
                f"Stack {stack} is busy: {holder} works on it{doing}. Wait for its end and run this again.", stack=stack
            ) from None
        try:
            _tell(descriptor, f"process {os.getpid()} since {now().isoformat(timespec='seconds')}")
        except OSError as exc:
            raise unwritable(path, exc) from exc
        yield descriptor
    finally:
        os.close(descriptor)


def tell_phase(descriptor: int | None, phase: str) -> None:
    """Say what is done from now on to whoever watches, and in the lock that is held, if any, to whoever asks for it."""
    tell_watchers(phase)
    if descriptor is None:
        return
    with contextlib.suppress(OSError):
        holder = os.pread(descriptor, LONGEST_HOLDER, 0).decode(errors="replace").partition(": ")[0].strip()
        _tell(descriptor, f"{holder}: {phase}")


def _tell(descriptor: int, line: str) -> None:
    # Padded instead of cut off before: nobody reads half of it.
    os.pwrite(descriptor, f"{line:<{LONGEST_HOLDER - 1}}\n".encode(), 0)
    os.ftruncate(descriptor, LONGEST_HOLDER)


def now() -> datetime.datetime:
    """Return the time in UTC."""
    return datetime.datetime.now(datetime.timezone.utc)


def new_id(moment: datetime.datetime, taken: Collection[str]) -> str:
    """Return the ID of a backup that starts now; a second one in the same second gets ``-2``."""
    base = moment.strftime("%Y%m%dT%H%M%SZ")
    candidates = (base, *(f"{base}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)


def is_id(name: str) -> bool:
    """Tell whether a name is that of a backup."""
    return ID.fullmatch(name) is not None


def existing_parent(path: str) -> str:
    """Return the nearest directory above ``path`` that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    return path


FULL = (errno.ENOSPC, errno.EDQUOT)


def unwritable(path: str, exc: OSError) -> StoreError:
    """Explain why nothing can be written below the backup root."""
    if exc.errno == errno.EROFS:
        return StoreError(f"{path} is on a read-only file system. Mount it writable or set crm_backup_root.", path=path)
    if exc.errno in FULL:
        return StoreError(f"{path} is full. Free space there or set crm_backup_root to another disk.", path=path)
    return StoreError(f"{path} cannot be written: {exc.strerror}. Mend it or set crm_backup_root.", path=path)
