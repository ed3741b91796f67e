# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run other programs and turn their failures into errors with their last words."""

from __future__ import annotations

import os
import shutil
import subprocess
import typing as t

from .console import TestbedError

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_NETWORK_SIGNS = ("Could not resolve", "Temporary failure", "Unable to connect", "Failed to fetch", "timed out")
# On Debian the administrator's programs are not on the PATH of an ordinary user.
_ADMIN_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))


def which(program: str) -> str | None:
    """Return the path of a program, the administrator's included."""
    return shutil.which(program, path=_ADMIN_PATH)


def as_root(argv: Sequence[str], variables: Mapping[str, str] | None = None) -> list[str]:
    """Return a command line that runs ``argv`` as root, with ``variables`` in its environment."""
    assignments = [f"{name}={value}" for name, value in (variables or {}).items()]
    command = ["env", *assignments, *argv] if assignments else list(argv)
    if os.geteuid() == 0:
        return command
    if which("sudo") is None:
        raise TestbedError(f"{argv[0]} needs root and there is no sudo. Run the testbed as root.")
    return ["sudo", *command]


def proxies() -> dict[str, str]:
    """Return the proxy settings of this environment."""
    return {name: os.environ[name] for name in PROXY_VARIABLES if name in os.environ}


def run(argv: Sequence[str], stdin: bytes | t.IO[bytes] | None = None) -> str:
    """Run a command, quietly, and return what it printed. Raise TestbedError when it fails."""
    done = attempt(argv, stdin)
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip() or done.stdout.decode(errors="replace").strip()
        raise TestbedError(f"{_shown(argv)} exited with {done.returncode}: {words}")
    return done.stdout.decode()


def attempt(argv: Sequence[str], stdin: bytes | t.IO[bytes] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command, quietly, and return how it ended."""
    content = stdin if isinstance(stdin, bytes) else None
    stream = stdin if stdin is not None and not isinstance(stdin, bytes) else None
    try:
        if content is not None:
            return subprocess.run(argv, input=content, capture_output=True, check=False)
        return subprocess.run(argv, stdin=stream or subprocess.DEVNULL, capture_output=True, check=False)
    except FileNotFoundError as exc:
        raise TestbedError(f"{argv[0]} is not installed on this machine.") from exc


def run_logged(argv: Sequence[str], log: Path, stdin: bytes | None = None) -> None:
    """Run a long command with its output in ``log``. Raise TestbedError with the end of the log when it fails."""
    with log.open("ab") as stream:
        done = subprocess.run(argv, input=stdin or b"", stdout=stream, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise TestbedError(failure(argv, done.returncode, log))


def failure(argv: Sequence[str], code: int, log: Path) -> str:
    """Describe a failed command by the end of its log."""
    tail = log.read_text(errors="replace").splitlines()[-15:]
    text = f"{_shown(argv)} exited with {code}. The end of {log}:\n  " + "\n  ".join(tail)
    if any(sign in line for sign in _NETWORK_SIGNS for line in tail):
        text += "\nCan this machine reach a mirror of Debian (http_proxy is honoured)?"
    return text


def _shown(argv: Sequence[str]) -> str:
    """Return the first words of a command line; the rest is of no help in an error."""
    return " ".join(argv[:4]) + (" …" if len(argv) > 4 else "")
