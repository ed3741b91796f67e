# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit log of a backup root: who did what to which backup, when, and how it ended.

``<root>/audit.jsonl`` has one event per line, chained (see ``_audit_chain``). What the last event was is kept outside
of the root, so that a log that was cut off shows. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import platform
import pwd
import stat
import time
import typing as t
from dataclasses import replace

from ._arrival import LOG
from ._audit_chain import ACTIONS, NOTHING, OK, RESULTS, Event, Head, digest, encode, examine, follow
from ._backup_store import now, unwritable
from ._errors import StoreError
from ._files import sync_directory, write_all, write_atomically

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._audit_chain import Problem

DEFAULT_HEADS = "/var/lib/crm.continuity/audit"
LOCK_TIMEOUT = 30.0
LONGEST_NAME = 200
_BLOCK = 1 << 16


class AuditLog:
    """The log of one root. ``remarks`` are what the last call has to say beside its result."""

    def __init__(self, root: str, heads: str | None = None) -> None:
        self.root = root
        self.path = os.path.join(root, LOG)
        self.head_path = os.path.join(heads or DEFAULT_HEADS, _name(root))
        self.remarks: list[str] = []

    def append(
        self,
        action: str,
        *,
        stack: str | None = None,
        backup: str | None = None,
        result: str = OK,
        actor: Mapping[str, t.Any] | None = None,
        facts: Mapping[str, t.Any] | None = None,
    ) -> Event:
        """Add an event, on the disk when this returns; a log that is not there begins.

        What is wrong with the end of the log is not mended but noted in an event of its own before this one. Raises
        StoreError when the log cannot be written, which leaves it as it was.
        """
        if action not in ACTIONS or result not in RESULTS:
            raise ValueError(f"An event cannot have action {action!r} and result {result!r}")
        self.remarks = []
        event = Event(
            sequence=0,
            at=now().isoformat(timespec="milliseconds"),
            action=action,
            result=result,
            stack=stack,
            backup=backup,
            actor=_known(actor or {}) or local_actor(),
            host=platform.node(),
            facts=dict(facts or {}),
            previous=NOTHING,
        )
        try:
            os.makedirs(self.root, mode=0o700, exist_ok=True)
            with self._opened(os.O_RDWR | os.O_CREAT | os.O_APPEND, fcntl.LOCK_EX) as descriptor:
                return self._append(descriptor, event)
        except OSError as exc:
            raise unwritable(self.path, exc) from exc

    def read(self, known: Sequence[Head] = ()) -> tuple[list[Event], list[Problem]]:
        """Return all events, oldest first, and what is wrong with the log; ``known`` are events as others keep them.

        A root without a log has no events, and a problem if this host remembers one. Raises StoreError when the log
        cannot be read.
        """
        self.remarks = []
        try:
            with self._opened(os.O_RDONLY, fcntl.LOCK_SH) as descriptor:
                # The head is changed under the lock only.
                return examine(_content(descriptor), self._head(), known)
        except FileNotFoundError:
            return examine(b"", self._head(), known)
        except OSError as exc:
            raise StoreError(
                f"{self.path} cannot be read: {exc.strerror}. Run the task as root (become).", path=self.path
            ) from exc

    def _append(self, descriptor: int, event: Event) -> Event:
        head = self._head()
        size = os.fstat(descriptor).st_size
        if head is not None and digest(_last_line(descriptor, size)) == head.sha256:
            # As it was left: nothing more has to be read.
            event = replace(event, sequence=head.sequence + 1, previous=head.sha256)
            line = encode(event)
            event, data = replace(event, sha256=digest(line)), line + b"\n"
        else:
            data, event, problems = follow(_content(descriptor), head, event)
            self.remarks += [f"{self.path}: {problem.message}" for problem in problems]
        try:
            write_all(descriptor, data)
            os.fsync(descriptor)
        except OSError:
            # A part of an event is none.
            os.ftruncate(descriptor, size)
            raise
        if not size:
            sync_directory(self.root)
        self._remember(event)
        return event

    def _head(self) -> Head | None:
        try:
            with open(self.head_path, "rb") as stream:
                data = json.load(stream)
            sequence, sha256 = data["sequence"], data["sha256"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return Head(sequence, sha256) if isinstance(sequence, int) and isinstance(sha256, str) else None

    def _remember(self, event: Event) -> None:
        content = {"root": os.path.realpath(self.root), **event.receipt}
        try:
            os.makedirs(os.path.dirname(self.head_path), mode=0o700, exist_ok=True)
            write_atomically(self.head_path, (json.dumps(content) + "\n").encode())
        except OSError as exc:
            self.remarks.append(
                f"{self.head_path} cannot be written: {exc.strerror}. Without it, nobody sees on this host when the "
                f"end of {self.path} is missing."
            )

    @contextlib.contextmanager
    def _opened(self, flags: int, lock: int) -> Iterator[int]:
        """Open the log and hold its lock; one that was moved away while we waited is not it any more."""
        deadline = time.monotonic() + LOCK_TIMEOUT
        while True:
            descriptor = os.open(self.path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise StoreError(f"{self.path} is not a file. Move it away.", path=self.path)
                self._lock(descriptor, lock, deadline)
                if os.path.exists(self.path) and os.path.samestat(os.stat(self.path), os.fstat(descriptor)):
                    yield descriptor
                    return
            finally:
                os.close(descriptor)

    def _lock(self, descriptor: int, lock: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"{self.path} is held by another process for more than {LOCK_TIMEOUT:.0f} seconds. "
                        "End that process and run this again.",
                        path=self.path,
                    ) from None
                time.sleep(0.02)


def local_actor() -> dict[str, str]:
    """Return who runs this process, for want of somebody who says so: who called sudo, or the user."""
    if user := os.environ.get("SUDO_USER"):
        return {"user": user}
    try:
        return {"user": pwd.getpwuid(os.getuid()).pw_name}
    except KeyError:
        return {"user": str(os.getuid())}


def _known(actor: Mapping[str, t.Any]) -> dict[str, str]:
    return {name: str(value)[:LONGEST_NAME] for name, value in actor.items() if value not in (None, "")}


def _name(root: str) -> str:
    """Return the name of the file that keeps the last event of a root's log."""
    path = os.path.realpath(root)
    return f"{os.path.basename(path) or 'root'}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.json"


def _content(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    parts = []
    offset = 0
    while part := os.pread(descriptor, max(size - offset, _BLOCK), offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _last_line(descriptor: int, size: int) -> bytes:
    """Return the last line without its line feed; nothing when it has none."""
    block = _BLOCK
    while True:
        start = max(size - block, 0)
        part = os.pread(descriptor, size - start, start)
        if not part.endswith(b"\n"):
            return b""
        line, feed, _rest = part[:-1].rpartition(b"\n")[::-1]
        if feed or not start:
            return line
        block *= 4
