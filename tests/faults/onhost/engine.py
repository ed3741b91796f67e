# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the engine says of a stack, and what the kernel says of its containers: whether they stand still."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
import typing as t
import urllib.parse
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection

SOCKET = "/var/run/docker.sock"
PROJECT = "crm"
POLL = 0.005
CGROUPS = Path("/sys/fs/cgroup")
# Version 1 and 2 of control groups, each as the engine makes them by itself and with systemd.
FREEZERS = (
    "freezer/docker/*/freezer.state",
    "freezer/system.slice/docker-*.scope/freezer.state",
    "docker/*/cgroup.freeze",
    "system.slice/docker-*.scope/cgroup.freeze",
)


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(30)
        self.sock.connect(SOCKET)


def containers() -> dict[str, str]:
    """Return every container of the stack with its state: running, paused, unhealthy, …; none if no engine answers.

    One that stands still without the engine's knowledge is paused, too.
    """
    still = frozen()
    filters = urllib.parse.quote(json.dumps({"label": [f"com.docker.compose.project={PROJECT}"]}))
    connection = _Connection("localhost")
    try:
        connection.request("GET", f"/containers/json?all=1&filters={filters}")
        listed = json.load(connection.getresponse())
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return {
        entry["Names"][0].lstrip("/"): "paused" if entry["Id"] in still else _state(entry)
        for entry in listed
        if isinstance(entry, dict)
    }


def frozen() -> set[str]:
    """Return the IDs of all containers that the kernel does not let run, whoever said so; asks no engine."""
    found = set()
    for pattern in FREEZERS:
        for path in CGROUPS.glob(pattern):
            # It may go away meanwhile.
            with contextlib.suppress(OSError):
                if path.read_text().strip() in ("FROZEN", "FREEZING", "1"):
                    found.add(path.parent.name.removeprefix("docker-").removesuffix(".scope"))
    return found


def thaw() -> None:
    """Let all containers run that the kernel does not let run, whoever said so."""
    for pattern in FREEZERS:
        for path in CGROUPS.glob(pattern):
            with contextlib.suppress(OSError):
                path.write_text("THAWED" if path.name == "freezer.state" else "0")


def _state(entry: dict[str, t.Any]) -> str:
    status = str(entry["Status"])
    for word in ("Paused", "unhealthy", "health: starting"):
        if f"({word})" in status:
            return word.rpartition(" ")[2].lower()
    return str(entry["State"])


def well(limit: float = 60) -> set[str]:
    """Return all containers of the stack, once all of them run and are healthy."""
    names = set(containers())
    if not names or missing(names, limit):
        raise SystemExit(f"The stack does not run as it should: {containers()}")
    return names


def still(wanted: Collection[str]) -> dict[str, str]:
    """Return those of the ``wanted`` containers that do not run at this moment, whatever is said of their health."""
    return {name: state for name, state in _all(wanted).items() if state not in ("running", "unhealthy", "starting")}


def down(wanted: Collection[str], limit: float) -> dict[str, str]:
    """Wait until all ``wanted`` containers run, whatever is said of their health; return those that still do not."""
    return until(lambda: still(wanted), limit)


def missing(wanted: Collection[str], limit: float) -> dict[str, str]:
    """Wait until all ``wanted`` containers run and are healthy; return those that are not after so many seconds.

    The engine calls a container unhealthy from the moment it is paused until the next check after it goes on.
    """
    return until(lambda: {n: s for n, s in _all(wanted).items() if s != "running"}, limit)


def _all(wanted: Collection[str]) -> dict[str, str]:
    found = containers()
    return {name: found.get(name, "gone") for name in wanted}


def until(trouble: Callable[[], dict[str, str]], limit: float) -> dict[str, str]:
    """Ask until there is no trouble left, or the time is up; return the last answer."""
    deadline = time.monotonic() + limit
    while (found := trouble()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


class Watch:
    """Notes from when to when any container was frozen, as a context manager; seconds since it began."""

    def __init__(self) -> None:
        self.first: float | None = None
        self.last: float | None = None
        self._done = threading.Event()
        self._begun = time.monotonic()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Watch:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(POLL):
            if frozen():
                self.last = time.monotonic() - self._begun
                self.first = self.last if self.first is None else self.first
