# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run modules of the collection: exactly what Ansible has sent to this host, once more."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

from . import backups, engine

if t.TYPE_CHECKING:
    import signal
    from collections.abc import Sequence

PAYLOADS = Path("/root/lab/payloads")
# What a backup does, one after the other, as it says in the stack's lock.
PHASES = (
    *("look", "live", "catch-up", "journal", "freeze", "redis", "cut", "delta", "thaw"),
    *("dump", "configuration", "publish"),
)
LIMIT = 600


@dataclass(frozen=True)
class Result:
    """How a module ended and what it said."""

    code: int
    said: dict[str, t.Any] | None
    text: str
    seconds: float

    @property
    def succeeded(self) -> bool:
        return self.code == 0 and self.said is not None and not self.said.get("failed")

    @property
    def message(self) -> str:
        """The error message, or the end of what was printed when it is none of ours."""
        return str(self.said.get("msg", "")) if self.said is not None else f"no JSON: {self.text[-400:]}"

    @property
    def clean(self) -> bool:
        """Whether this is an error that was foreseen: a message, and no traceback."""
        return self.code != 0 and self.said is not None and bool(self.said.get("msg")) and "Traceback" not in self.text


class Module:
    """A module that runs, in a session and process group of its own, as one that Ansible has started over SSH."""

    def __init__(self, name: str, through: Sequence[str] = ()) -> None:
        """Start it, by itself or by another program that is told to run it."""
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by its result
        self.begun = time.monotonic()
        self.process = subprocess.Popen(
            ["python3", *through, str(PAYLOADS / f"{name}.py")],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def wait_frozen(self) -> bool:
        """Wait until a container is frozen; return False when the module ended before."""
        while not engine.frozen():
            if self.ended:
                return False
            time.sleep(engine.POLL)
        return True

    def wait_thawed(self) -> None:
        """Wait until no container is frozen any more."""
        while engine.frozen() and not self.ended:
            time.sleep(engine.POLL)

    @property
    def phase(self) -> str:
        """What it says that it is doing; nothing before it has the lock and after its end."""
        found = backups.working()
        # The line of whoever had the lock before is still there.
        return found[1] if found is not None and found[0] == self.process.pid and not self.ended else ""

    def wait_phase(self, wanted: str) -> str:
        """Wait until it has reached a phase, and return the one that it is in; nothing when it has ended."""
        reached = PHASES[PHASES.index(wanted) :]
        while (phase := self.phase) not in reached:
            if self.ended:
                return ""
            # Not for long: some phases are over in a millisecond.
            time.sleep(0.0002)
        return phase

    def watchdog(self) -> int | None:
        """Return the process that stands by to thaw when this one dies."""
        same = backups.running(Path(f"/proc/{self.process.pid}/cmdline").read_bytes())
        with contextlib.suppress(ProcessLookupError):
            return next((int(pid) for pid in same if os.getsid(int(pid)) == int(pid) != self.process.pid), None)
        return None

    def strike(self, number: signal.Signals, *, group: bool) -> None:
        """Send a signal to the process alone or to its whole group."""
        if group:
            os.killpg(self.process.pid, number)
        else:
            os.kill(self.process.pid, number)

    def result(self) -> Result:
        """Wait for its end."""
        self.process.wait(LIMIT)
        seconds = time.monotonic() - self.begun
        self._output.seek(0)
        text = self._output.read().decode(errors="replace")
        self._output.close()
        try:
            # Whoever runs it may have added a line of his own.
            said, _end = json.JSONDecoder().raw_decode(text, text.index("{"))
        except ValueError:
            said = None
        return Result(self.process.returncode, said if isinstance(said, dict) else None, text, seconds)

    def survivors(self) -> dict[str, str]:
        """Return the processes of its session that are still there."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    name, _bracket, fields = (entry / "stat").read_text().partition("(")[2].rpartition(") ")
                except OSError:
                    continue
                state, _parent, _group, session = fields.split()[:4]
                if session == str(self.process.pid) and state != "Z":
                    found[entry.name] = name
        return found


def run(name: str) -> Result:
    """Run a module to its end."""
    return Module(name).result()
