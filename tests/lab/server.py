# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server of the testbed, reached over SSH as any host is, and modules of the collection made ready to run there."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]
TESTBED = ROOT / "tests" / "testbed" / "testbed"
STATE = ROOT / "build" / "testbed"
INVENTORY = STATE / "inventory.yml"
# Everything that is brought to a server for a measurement.
LAB = "/root/lab"
DEATH_LIMIT = 60
STARTED = time.monotonic()


class LabError(Exception):
    """Something the measurement itself needs has failed; the message ends with what was printed."""


def say(text: str) -> None:
    """Print one line of progress; stdout belongs to the table."""
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", file=sys.stderr, flush=True)


class Server:
    """One server. All that runs there goes through one SSH connection."""

    def __init__(self, name: str, control: str) -> None:
        self.name = name
        self._ssh = [
            *("ssh", "-F", str(STATE / "ssh_config")),
            *("-o", "ControlMaster=auto", "-o", f"ControlPath={control}/%C", "-o", "ControlPersist=600"),
            name,
        ]

    def run(self, *argv: str, stdin: bytes = b"", accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
        """Run a program on the server; raise LabError unless it ends with one of ``accept``."""
        return self.shell(shlex.join(argv), stdin=stdin, accept=accept)

    def shell(
        self, command: str, *, stdin: bytes = b"", accept: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a line of shell on the server."""
        done = subprocess.run([*self._ssh, command], input=stdin, capture_output=True, check=False)
        if done.returncode not in accept:
            raise LabError(f"{self.name}: {command[:300]} exited with {done.returncode}: {_words(done)}")
        return done

    @contextlib.contextmanager
    def connected(self, command: str, *, terminal: bool) -> Iterator[None]:
        """Run a line of shell through a connection of its own that may be killed, as long as the context lasts."""
        options = ("-F", str(STATE / "ssh_config"), "-o", "ControlPath=none", "-tt" if terminal else "-T")
        argv = ["ssh", *options, self.name, command]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            yield

    def stream(self, *argv: str) -> Iterator[str]:
        """Run a program on the server and yield the lines that it prints, as they come."""
        with subprocess.Popen(
            [*self._ssh, shlex.join(argv)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as process:
            yield from process.stdout or ()
        if process.returncode != 0:
            raise LabError(f"{self.name}: {shlex.join(argv)[:300]} exited with {process.returncode}.")

    def ask(self, *argv: str, stdin: bytes = b"") -> t.Any:
        """Run a program on the server that answers in JSON."""
        return json.loads(self.run(*argv, stdin=stdin).stdout)

    def copy(self, source: Path, destination: str) -> None:
        """Bring a directory of the repository to the server."""
        packed = subprocess.run(
            ["tar", "-C", str(source), "--exclude=__pycache__", "-cf", "-", "."], stdout=subprocess.PIPE, check=True
        )
        self.shell(f"mkdir -p {destination} && tar --no-same-owner -xf - -C {destination}", stdin=packed.stdout)

    def module(
        self,
        name: str,
        module: str,
        arguments: Mapping[str, t.Any],
        *,
        collections: Path | None = None,
        accept: Sequence[int] = (0,),
    ) -> Prepared:
        """Run a module once as Ansible does, and keep what Ansible sent to the server, to run exactly that again.

        ``collections`` is where Ansible finds another version of the collection than this one.
        """
        place = f"{LAB}/payloads/{name}"
        env = {"ANSIBLE_KEEP_REMOTE_FILES": "1", "ANSIBLE_REMOTE_TMP": place, "ANSIBLE_PIPELINING": "0"}
        env |= {"ANSIBLE_COLLECTIONS_PATH": str(collections)} if collections else {}
        words = [f"crm.continuity.{module}", "-a", json.dumps(arguments)]
        begun = time.monotonic()
        done = _ansible("ansible", "-i", str(INVENTORY), self.name, "--one-line", "-m", *words, env=env, accept=accept)
        seconds = time.monotonic() - begun
        payload = f"{LAB}/payloads/{name}.py"
        self.shell(f"mv {place}/*/AnsiballZ_{module}.py {payload} && rm -rf {place}")
        text = done.stdout.decode()
        return Prepared(payload, json.loads(text[text.index("{") :]), seconds)

    def playbook(self, name: str, *options: str, accept: Sequence[int] = (0,)) -> subprocess.CompletedProcess[bytes]:
        """Run a playbook of the collection as an operator would."""
        argv = ("ansible-playbook", "-i", str(INVENTORY), "--limit", self.name, f"crm.continuity.{name}", *options)
        return _ansible(*argv, accept=accept)

    def cut_power(self, program: str) -> None:
        """Run a Python program that lets the server die at once, and wait until it has."""
        # In a session of its own: the connection is among the first to die.
        self.shell(f"setsid python3 {program} </dev/null >/dev/null 2>&1", accept=(0, 255))
        self.close()
        deadline = time.monotonic() + DEATH_LIMIT
        while self._state() == "running":
            if time.monotonic() > deadline:
                raise LabError(f"Server {self.name} still runs {DEATH_LIMIT} s after its power was cut.")
            time.sleep(0.2)

    def _state(self) -> str:
        listed = _testbed("status").stdout.decode().splitlines()
        return next((line.split()[1] for line in listed if line.split()[0] == self.name), "gone")

    def boot(self) -> None:
        """Start the server again."""
        done = _testbed("up", self.name)
        if done.returncode != 0:
            raise LabError(f"{self.name} did not boot: {_words(done)}")

    def close(self) -> None:
        """Let go of the connection."""
        subprocess.run([*self._ssh[:-1], "-O", "exit", self.name], check=False, capture_output=True)


class Prepared(t.NamedTuple):
    """A module on the server with its arguments, the result of its first run, and how long that took by Ansible."""

    payload: str
    result: dict[str, t.Any]
    seconds: float


@contextlib.contextmanager
def server(name: str, *, keep: bool) -> Iterator[Server]:
    """Yield a new server of the testbed; it is removed afterwards, unless it is to be kept."""
    say(f"starting server {name}")
    # An old one may hold what an interrupted run left behind.
    _testbed("down", name)
    started = _testbed("up", name)
    if started.returncode != 0:
        raise LabError(f"The server could not be started: {_words(started)}")
    with tempfile.TemporaryDirectory(prefix="crm-lab-") as control:
        found = Server(name, control)
        try:
            yield found
        finally:
            found.close()
            if not keep:
                _testbed("down", name)


def _testbed(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(TESTBED), *arguments], check=False, capture_output=True)


def _ansible(
    *argv: str, env: Mapping[str, str] | None = None, accept: Sequence[int] = (0,)
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0", **(env or {})}
    done = subprocess.run(argv, capture_output=True, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False)
    if done.returncode not in accept:
        raise LabError(f"{' '.join(argv)[:300]} exited with {done.returncode}: {_words(done)}")
    return done


def _words(done: subprocess.CompletedProcess[bytes]) -> str:
    return (done.stderr + done.stdout).decode(errors="replace").strip()[-3000:]
