# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module, exactly as Ansible has sent it, and let it die by SIGKILL right before its n-th step.

    mortal.py NUMBER group|python|hold PAYLOAD

A step is whatever the world can see of it: a request to the engine that changes something, a name that comes, goes or
is exchanged on a disk, a process that is started, a statement that changes a database. Python itself tells of nearly
all of them before they are done (PEP 578), whatever the module calls its functions. ``hold`` stops the process instead
of killing it, for a blow from outside. Without a number to die at it says at its
end how many steps there were. Standard library and psycopg2 only.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import typing as t

import psycopg2
import psycopg2.extensions

# Events of sys.audit that precede a change; what they tell first says what it is that changes.
EVENTS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.fork")
# Where Python and the module itself unpack what they run.
SCRATCH = ("/tmp/", "/root/.ansible/", "ansible_")
SAID = "last step "
CHANGES = ("ALTER", "COMMIT", "CREATE", "DROP")


class Steps:
    """Counts steps, and ends the process before one of them."""

    def __init__(self, last: int, how: str) -> None:
        self._last = last
        self._how = how
        self._owner = os.getpid()
        self._done = 0
        self._lock = threading.Lock()

    def audit(self, event: str, arguments: tuple[t.Any, ...]) -> None:
        """Take part in what Python is about to do."""
        if event == "http.client.send":
            line = bytes(arguments[1]).split(b"\r\n")[0].decode(errors="replace")
            if line.startswith(("POST", "DELETE")):
                self.step(line.split(" HTTP")[0])
        elif event == "ctypes.dlsym" and arguments[1] == "renameat2":
            self.step("renameat2")
        elif event in EVENTS and not _nothing(event, str(arguments[0] if arguments else "")):
            self.step(f"{event} {' '.join(str(word) for word in arguments[:2])}")

    def step(self, what: str) -> None:
        """Count one step; what a child of this process does is not counted."""
        if os.getpid() != self._owner:
            return
        with self._lock:
            self._done += 1
            if self._done == self._last:
                os.write(2, f"\n{SAID}{self._done}: {what[:300]}\n".encode())
                self._end()

    def report(self) -> None:
        """Say how many there were."""
        if os.getpid() == self._owner:
            os.write(2, f"\n{SAID}{self._done}: the end\n".encode())

    def _end(self) -> None:
        if self._how == "group":
            os.killpg(0, signal.SIGKILL)
        os.kill(self._owner, signal.SIGSTOP if self._how == "hold" else signal.SIGKILL)


def _nothing(event: str, path: str) -> bool:
    return path.startswith(SCRATCH) or (event == "os.mkdir" and os.path.exists(path))


def mortal(steps: Steps) -> type[psycopg2.extensions.connection]:
    """Return a kind of session that counts statements that change something."""

    class Cursor(psycopg2.extensions.cursor):
        def execute(self, query: t.Any, parameters: t.Any = None) -> None:
            if str(query).startswith(CHANGES):
                steps.step(str(query))
            super().execute(query, parameters)

    class Session(psycopg2.extensions.connection):
        def cursor(self, *arguments: t.Any, **more: t.Any) -> t.Any:
            return super().cursor(*arguments, **{"cursor_factory": Cursor, **more})

    return Session


def main() -> None:
    """Run the payload in this very process."""
    number, how, payload = sys.argv[1:]
    steps = Steps(int(number), how)
    connect = psycopg2.connect
    kind = mortal(steps)
    psycopg2.connect = lambda *arguments, **more: connect(*arguments, **{"connection_factory": kind, **more})
    sys.addaudithook(steps.audit)
    sys.argv = [payload]
    try:
        runpy.run_path(payload, run_name="__main__")
    finally:
        steps.report()


if __name__ == "__main__":
    main()
