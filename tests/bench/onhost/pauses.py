# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a container stand still and go on, by the engine and by its control group.

``python3 pauses.py CONTAINER TIMES`` does both in turns and prints the seconds.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable

CGROUPS = Path("/sys/fs/cgroup")
# Version 1 and 2 of control groups: file, word to stand still, word to go on, and how it says that all stand still.
FREEZERS = {
    "freezer/docker/{}/freezer.state": ("FROZEN", "THAWED", "freezer.state", "FROZEN"),
    "freezer/system.slice/docker-{}.scope/freezer.state": ("FROZEN", "THAWED", "freezer.state", "FROZEN"),
    "docker/{}/cgroup.freeze": ("1", "0", "cgroup.events", "frozen 1"),
    "system.slice/docker-{}.scope/cgroup.freeze": ("1", "0", "cgroup.events", "frozen 1"),
}


class _Connection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect("/var/run/docker.sock")

    def ask(self, method: str, path: str) -> bytes:
        self.request(method, path)
        answer = self.getresponse()
        said = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {said.decode()}")
        return said


def main() -> None:
    """Measure both ways in turns and print the seconds as JSON."""
    container, times = sys.argv[1], int(sys.argv[2])
    engine = _Connection("localhost")
    id_ = json.loads(engine.ask("GET", f"/containers/{container}/json"))["Id"]
    found = [(CGROUPS / name.format(id_), words) for name, words in FREEZERS.items()]
    path, (stand, go, state, standing) = next((path, words) for path, words in found if path.exists())

    def by_engine() -> None:
        engine.ask("POST", f"/containers/{container}/pause")
        engine.ask("POST", f"/containers/{container}/unpause")

    def by_cgroup() -> None:
        path.write_text(stand)
        while standing not in (path.parent / state).read_text():
            pass
        path.write_text(go)

    seconds: dict[str, list[float]] = {"engine": [], "cgroup": []}
    for _turn in range(times):
        seconds["engine"].append(_timed(by_engine))
        seconds["cgroup"].append(_timed(by_cgroup))
    print(json.dumps(seconds))


def _timed(act: Callable[[], None]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
