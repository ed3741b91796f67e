# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker Engine of this machine: talk to it, install it, start it, and stop what was started here."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import time
import typing as t
from pathlib import Path

from .console import TestbedError, say
from .process import as_root, attempt, proxies, run, run_logged, which
from .state import DOCKERD_LOG, DOCKERD_RECORD, LOGS, STATE, locked

if t.TYPE_CHECKING:
    from collections.abc import Sequence

# command: package. debian-archive-keyring comes along for mmdebstrap on Ubuntu.
TOOLS = {"mmdebstrap": "mmdebstrap", "ssh": "openssh-client", "ssh-keygen": "openssh-client"}
DEBIAN_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PID_FILE = Path("/var/run/docker.pid")
DEFAULT_SOCKET = "/var/run/docker.sock"
START_TIMEOUT = 60


def docker(*arguments: str, stdin: bytes | t.IO[bytes] | None = None) -> str:
    """Run one command of the Docker client and return what it printed."""
    return run([*docker_command(), *arguments], stdin)


def docker_command() -> tuple[str, ...]:
    """Return how the client is called: with sudo where the engine's socket is not open to this user."""
    program = which("docker")
    if program is None:
        raise TestbedError("There is no docker command. Run: tests/testbed/testbed engine")
    socket = os.environ.get("DOCKER_HOST", "").removeprefix("unix://") or DEFAULT_SOCKET
    if os.path.exists(socket) and not os.access(socket, os.W_OK):
        return tuple(as_root([program]))
    return (program,)


def version() -> str | None:
    """Return the version of the engine that answers, or None."""
    if which("docker") is None:
        return None
    done = attempt([*docker_command(), "version", "--format", "{{.Server.Version}}"])
    return done.stdout.decode().strip() if done.returncode == 0 else None


def ensure() -> None:
    """Make sure that an engine answers and that the tools are there; install and start what is missing."""
    _refuse_remote_engine()
    with locked("engine"):
        _install_tools()
        if version() is None:
            _bring_up()
    say(f"Docker Engine {version()} answers")


def stop_what_was_started() -> None:
    """Stop the dockerd that ``ensure`` started; leave any other alone."""
    if not DOCKERD_RECORD.exists():
        return
    record = json.loads(DOCKERD_RECORD.read_text())
    pid = int(record["pid"])
    if _started_at(pid) == record["started"]:
        say(f"stopping the dockerd that was started here (process {pid})")
        # The shell's own kill: the program is in a package that a small system lacks.
        run(as_root(["sh", "-c", f"kill {pid}"]))
        deadline = time.monotonic() + START_TIMEOUT
        while _started_at(pid) == record["started"]:
            if time.monotonic() > deadline:
                raise TestbedError(f"dockerd (process {pid}) does not stop. See {DOCKERD_LOG}.")
            time.sleep(0.2)
    DOCKERD_RECORD.unlink()


def _refuse_remote_engine() -> None:
    host = os.environ.get("DOCKER_HOST", "")
    if host and not host.startswith("unix://"):
        raise TestbedError(f"DOCKER_HOST is {host}, but servers are reached on 127.0.0.1. Unset DOCKER_HOST.")


def _install_tools() -> None:
    missing = {package for command, package in TOOLS.items() if which(command) is None}
    if not DEBIAN_KEYRING.exists():
        missing.add("debian-archive-keyring")
    if missing:
        _install(sorted(missing))


def _bring_up() -> None:
    systemd = Path("/run/systemd/system").is_dir()
    if which("dockerd") is None or which("docker") is None:
        packages = ["docker.io", "iptables", "ca-certificates"]
        _update_package_lists()
        # A package of its own since Debian 13; before, and on Ubuntu, docker.io brings it.
        if b"Package:" in attempt(["apt-cache", "show", "docker-cli"]).stdout:
            packages.append("docker-cli")
        _install(packages)
    if systemd:
        run(as_root(["systemctl", "start", "docker"]))
        _wait_for_engine(None)
        return
    try:
        if version() is None:
            _mount_cgroups()
            say("starting dockerd by hand: this machine was not booted by systemd")
            _wait_for_engine(_start_dockerd())
    finally:
        # The package's script may have started it during the installation; that counts as ours too.
        pid = int(PID_FILE.read_text()) if PID_FILE.exists() else 0
        started = _started_at(pid)
        if started is not None:
            DOCKERD_RECORD.write_text(json.dumps({"pid": pid, "started": started}))


def _install(packages: Sequence[str]) -> None:
    say(f"installing from the distribution: {' '.join(packages)}")
    _update_package_lists()
    _apt_get("install", "--yes", "--no-install-recommends", *packages)


@functools.cache
def _update_package_lists() -> None:
    # The lists of a fresh machine are empty, and those of an old one name files that are gone.
    _apt_get("update")


def _apt_get(*arguments: str) -> None:
    if which("apt-get") is None:
        raise TestbedError("There is no apt-get here. Install and start Docker Engine, mmdebstrap and ssh yourself.")
    LOGS.mkdir(parents=True, exist_ok=True)
    variables = {"DEBIAN_FRONTEND": "noninteractive", **proxies()}
    run_logged(as_root(["apt-get", "--quiet", *arguments], variables), LOGS / "packages.log")


def _mount_cgroups() -> None:
    """Mount the control groups where nothing booted the machine properly."""
    if any(line.split()[2] in {"cgroup", "cgroup2"} for line in Path("/proc/mounts").read_text().splitlines()):
        return
    _install(["cgroupfs-mount"])
    run(as_root(["cgroupfs-mount"]))


def _start_dockerd() -> subprocess.Popen[bytes]:
    program = which("dockerd")
    if program is None:
        raise TestbedError("The package docker.io is installed but dockerd is not there. Reinstall docker.io.")
    STATE.mkdir(parents=True, exist_ok=True)
    with DOCKERD_LOG.open("ab") as log:
        return subprocess.Popen(
            as_root([program], proxies()), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )


def _wait_for_engine(process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while version() is None:
        if (process is not None and process.poll() is not None) or time.monotonic() > deadline:
            where = f"The end of {DOCKERD_LOG}:\n  {_tail(DOCKERD_LOG)}" if process else "See: journalctl -u docker"
            raise TestbedError(f"dockerd did not come up. {where}")
        time.sleep(0.3)


def _tail(path: Path) -> str:
    return "\n  ".join(path.read_text(errors="replace").splitlines()[-10:])


def _started_at(pid: int) -> str | None:
    """Return the start time of a living process, which tells it from a later one with the same number."""
    try:
        # The name, in parentheses, may hold spaces. Behind it: the state first, the start time as the 20th field.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]
