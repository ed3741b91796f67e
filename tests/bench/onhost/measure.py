# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a program on the host where it works and measure it: how long it takes, or how much memory it needs.

The request is one line of JSON on the standard input: {"argv": […], "memory": false}. Time and memory are never
measured in one run, because looking at memory costs time. Runs on the server; standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

EVERY = 0.01
KEPT = 100_000


@dataclass
class Memory:
    """What was seen of a process and all that it started, in bytes.

    ``together`` is the greatest sum of the resident sets of all processes at one instant, sampled every 10 ms; pages
    that two of them share count twice. ``alone`` is the kernel's own high-water mark (VmHWM) of the first process.
    """

    together: int = 0
    alone: int = 0
    processes: int = 0
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self, pid: int) -> None:
        """Sample until ``done``."""
        while not self.done.wait(EVERY):
            tree = _family(pid)
            self.together = max(self.together, sum(_status(member, "VmRSS") for member in tree))
            self.alone = max(self.alone, _status(pid, "VmHWM"))
            self.processes = max(self.processes, len(tree))


def _family(pid: int) -> list[int]:
    found = [pid]
    for member in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{member}/task"):
                found += [int(child) for child in Path(f"/proc/{member}/task/{task}/children").read_text().split()]
    return found


def _status(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) * 1024
    return 0


def measure(argv: list[str], *, memory: bool) -> dict[str, t.Any]:
    """Run a program and return how it went."""
    # What ran before may have left work for the disk: nobody pays for another's.
    os.sync()
    seen = Memory()
    with tempfile.TemporaryFile() as output:
        begun = time.perf_counter()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
        watcher = threading.Thread(target=seen.watch, args=(process.pid,))
        if memory:
            watcher.start()
        _pid, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - begun
        # The process is gone already: Popen must not look for it.
        process.returncode = os.waitstatus_to_exitcode(status)
        seen.done.set()
        if memory:
            watcher.join()
        output.seek(max(0, output.seek(0, os.SEEK_END) - KEPT))
        words = output.read().decode(errors="replace")
    return {
        "code": process.returncode,
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "together": seen.together,
        "alone": seen.alone,
        "processes": seen.processes,
        "output": words,
    }


def main() -> None:
    """Measure what the standard input asks for and print the result as one line of JSON."""
    request = json.load(sys.stdin)
    print(json.dumps(measure(request["argv"], memory=request["memory"])))


if __name__ == "__main__":
    main()
