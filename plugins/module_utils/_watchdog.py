# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A process of its own that thaws when this one dies, even by SIGKILL, or when it takes too long.

It belongs to no session: a connection or a control node that goes away does not reach it, and it ignores the signals
that end one. Where logind is told to end every process of a session (KillUserProcesses), it ends too, and the unit that
``prepare`` installs brings back what the journal names.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import signal
import socket
import time
import typing as t
from dataclasses import dataclass, field

from ._cgroup import opened
from ._errors import FreezeError, FreezeTimeoutError
from ._freeze import examine
from ._journal import DEFAULT_JOURNAL, Entry, close, new, write
from ._revive import revive_all

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._engine import Engine
    from ._freeze import Target

# One per second: as long as a Docker daemon may take to come back. After that the unit of ``prepare`` goes on.
ATTEMPTS = 300
PAUSE = 1.0
# How long this process waits for an answer, which takes a millisecond unless the watchdog is thawing.
PATIENCE = 30.0
# More descriptors than this process has open.
MANY = 65536
_SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
# What the two say to each other, in one byte.
_READY, _CONFIRM, _YES, _NO, _DISMISSED, _TRIED = b"!", b"?", b"y", b"n", b".", b"t"


@dataclass(frozen=True)
class Watch:
    """What the watchdog needs: an engine of its own, and the stack's lock, which it holds until everything runs.

    ``journal`` is the directory of the journals. ``mend`` brings data in order before anything starts, where a process
    that dies may leave them half exchanged; at the deadline that process is killed first.
    """

    connect: Callable[[], Engine]
    lock: int | None
    journal: str = field(default_factory=lambda: DEFAULT_JOURNAL)
    mend: Callable[[], object] | None = None


class Watchdog:
    """A context manager around freezing and thawing. It writes the journal first, and closes it when everything runs.

    ``wanted`` is what will be frozen, in that order, and ``guarded`` what else has to run afterwards.
    """

    def __init__(
        self, watch: Watch, stack: str, wanted: Sequence[Target], guarded: Sequence[Target], timeout: float
    ) -> None:
        self._watch = watch
        self._stack = stack
        known = {target.container for target in wanted}
        self._targets = (*wanted, *(target for target in guarded if target.container not in known))
        self._timeout = timeout
        self._deadline = 0.0
        self._entries: tuple[Entry, ...] = ()
        self._line: socket.socket
        self._child = 0
        self._owner = os.getpid()

    def __enter__(self) -> Watchdog:
        engine = self._watch.connect()
        self._entries = tuple(self._examined(engine))
        journal = new(self._stack, engine.info().host, self._entries, self._timeout)
        self._deadline = time.monotonic() + self._timeout
        self._line, other = socket.socketpair()
        try:
            with other:
                self._child = self._fork(other)
            # Until it has a session of its own, what kills this process's group kills it too.
            if self._heard(PATIENCE) != _READY:
                raise BrokenPipeError(errno.EPIPE, "it ended at once")
        except OSError as exc:
            self._line.close()
            raise FreezeError(f"No watchdog could be started: {exc.strerror or exc}. Nothing was frozen.") from exc
        try:
            # Only now: a journal that nobody closes would tell of a death that froze nothing.
            write(self._watch.journal, journal)
        except BaseException:
            self._dismiss()
            self._line.close()
            raise
        return self

    def confirm(self) -> None:
        """Make sure that nothing was thawed so far; raise FreezeTimeoutError when it was, or may have been.

        Only the watchdog decides: once it has said yes, it thaws nothing before the deadline.
        """
        try:
            self._say(_CONFIRM)
            answer = self._heard(PATIENCE)
        except TimeoutError:
            answer = _NO
        except OSError:
            # It was killed. It may have thawed before, but not before the deadline.
            answer = b""
        if answer == _YES or (not answer and time.monotonic() < self._deadline):
            return
        raise self._too_long()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        with self._line:
            if error is None:
                # Before it is dismissed: one of the two always takes care.
                close(self._watch.journal, self._stack)
                self._dismiss()
                return
            # It is not told that all is well, and looks for itself. An engine that refuses may do so for minutes: after
            # the first attempt it goes on alone.
            self._line.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                self._heard(PATIENCE)
        if isinstance(error, FreezeError) and time.monotonic() >= self._deadline:
            # The freezer only sees that somebody has thawed.
            raise self._too_long() from error

    def _dismiss(self) -> None:
        # Where it was killed, everything runs, and there is nothing to dismiss.
        with contextlib.suppress(OSError):
            self._say(_DISMISSED)
            os.waitpid(self._child, 0)

    def _too_long(self) -> FreezeTimeoutError:
        return FreezeTimeoutError(
            f"Services stood still for more than {self._timeout:g} s (freeze_timeout) and were thawed, so what was "
            "captured is not of one instant. Allow more time, or see what slows the host down."
        )

    def _examined(self, engine: Engine) -> list[Entry]:
        entries = []
        for target in self._targets:
            container = engine.container(target.container)
            if container is None:
                # The freezer says so of one that is to be frozen; any other does not run any more, and that is that.
                continue
            entry = examine(container, target)
            cgroup = opened(entry.cgroup)
            if cgroup is not None and cgroup.held():
                raise FreezeError(
                    f"Service {target.service} ({container.name}) stands still already, although the engine says that "
                    f"it runs: {cgroup.path} is frozen. Thaw it (ansible-playbook crm.continuity.thaw -e "
                    f"thaw_stack={self._stack} -e thaw_force=true) and run this again."
                )
            entries.append(entry)
        return entries

    def _fork(self, line: socket.socket) -> int:
        # Blocked over the fork: a signal to the whole group must not reach the child before it ignores it.
        previous = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            child = os.fork()
            if child == 0:
                self._watch_over(line)
            return child
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, previous)

    def _say(self, word: bytes) -> None:
        self._line.sendall(word)

    def _heard(self, limit: float) -> bytes:
        self._line.settimeout(limit)
        return self._line.recv(1)

    # From here on: the other process.

    def _watch_over(self, line: socket.socket) -> t.NoReturn:
        try:
            os.setsid()
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            line.sendall(_READY)
            # The caller of the module waits for the end of its output.
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nothing, descriptor)
            lock = self._watch.lock
            _close_all_but({0, 1, 2, line.fileno(), *([] if lock is None else [lock])})
            self._decide(line)
        finally:
            os._exit(0)

    def _decide(self, line: socket.socket) -> None:
        attempts = None
        while True:
            # After the deadline it looks again and again: the other process may still freeze something.
            wait = self._deadline - time.monotonic() if attempts is None else PAUSE if attempts else None
            readable, _writable, _broken = select.select([line], [], [], None if wait is None else max(wait, 0))
            if readable:
                word = line.recv(1)
                if word == _CONFIRM:
                    line.sendall(_YES if attempts is None else _NO)
                elif word == _DISMISSED:
                    return
                else:
                    self._rescue(line)
                    return
            elif self._watch.mend is not None:
                # Two must not exchange data at once.
                os.kill(self._owner, signal.SIGKILL)
                self._rescue(line)
                return
            else:
                attempts = ATTEMPTS if attempts is None else attempts - 1
                self._revive()

    def _rescue(self, line: socket.socket) -> None:
        for _attempt in range(ATTEMPTS):
            runs = self._revive()
            if runs:
                close(self._watch.journal, self._stack)
            # Whoever waits for the first attempt may have gone.
            with contextlib.suppress(OSError):
                line.sendall(_TRIED)
            if runs:
                return
            time.sleep(PAUSE)

    def _revive(self) -> bool:
        try:
            if self._watch.mend is not None:
                self._watch.mend()
            return not revive_all(self._entries, self._watch.connect).refused
        except Exception:
            # Whatever it is: nobody is told, and services may stand still. The next attempt may go better.
            return False


def _close_all_but(kept: set[int]) -> None:
    # The limit may be far above what is open, or none (-1).
    limit = os.sysconf("SC_OPEN_MAX")
    edges = [-1, *sorted(kept), limit if 0 < limit < MANY else MANY]
    for below, above in itertools.pairwise(edges):
        # Python hands an empty range that starts at 0 to the kernel as one without an end: it would close everything.
        if below + 1 < above:
            os.closerange(below + 1, above)
