# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let all processes of a container stand still through the host's cgroup file system, and go on.

That is what the engine does too when it pauses a container, but it takes a millisecond, needs no daemon to be undone,
and leaves the health of the container alone: an engine calls a container that it has paused unhealthy until the next
probe, which takes it out of a reverse proxy for as long.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
import typing as t
from dataclasses import dataclass

from ._errors import FreezeError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROC = "/proc"
# For a process that does not react while it waits for a disk or a network file system.
LIMIT = 10.0
# The file that freezes, what it says of processes that go on, and of those that are told to stand still.
_FILES = {1: ("freezer.state", "THAWED", "FROZEN"), 2: ("cgroup.freeze", "0", "1")}
# The second is what an open file of a cgroup says that has gone.
_GONE = (errno.ENOENT, errno.ENODEV)
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Cgroup:
    """A directory of the cgroup file system, of version 1 or 2, that holds all processes of one container."""

    path: str
    version: int

    def freeze(
        self,
        limit: float = LIMIT,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Let all processes stand still; raise FreezeError when one does not within ``limit`` seconds.

        It is told to stand still then, and has to be thawed all the same.
        """
        deadline = clock() + limit
        pause = 0.0002
        while True:
            try:
                # Version 1 may stay half-way when a process forks meanwhile, and goes on when it is told again.
                self._write(_FILES[self.version][2])
                if self._stands():
                    return
            except OSError as exc:
                if exc.errno in _GONE:
                    raise FreezeError("its container has ended meanwhile") from None
                raise self._unusable(exc) from exc
            if clock() > deadline:
                raise FreezeError(f"it does not stand still within {limit:g} s: {self._restless()}")
            sleep(pause)
            pause = min(pause * 2, 0.02)

    def thaw(self) -> bool:
        """Let the processes go on; tells whether they were told to stand still before."""
        held = self.held()
        if held:
            try:
                self._write(_FILES[self.version][1])
            except OSError as exc:
                if exc.errno not in _GONE:
                    raise self._unusable(exc) from exc
        return held

    def held(self) -> bool:
        """Tell whether the processes were told to stand still; no, when there are none any more."""
        name, thawed, _frozen = _FILES[self.version]
        try:
            return self._read(name).strip() != thawed
        except OSError as exc:
            if exc.errno in _GONE:
                return False
            raise self._unusable(exc) from exc

    def _stands(self) -> bool:
        if self.version == 1:
            return self._read("freezer.state").strip() == "FROZEN"
        return "frozen 1" in self._read("cgroup.events").splitlines()

    def _restless(self) -> str:
        """Return which processes wait in the kernel, where nothing reaches them."""
        found = []
        with contextlib.suppress(OSError):
            for pid in self._read("cgroup.procs").split():
                with contextlib.suppress(OSError):
                    name, state = _status(int(pid))
                    if state == "D":
                        found.append(f"{name} ({pid})")
        if not found:
            return "its processes do not react"
        return f"{', '.join(found)} cannot be interrupted, as happens while a disk or a network share does not answer"

    def _unusable(self, exc: OSError) -> FreezeError:
        return FreezeError(f"{self.path} cannot be used: {exc.strerror}")

    def _read(self, name: str) -> str:
        with open(os.path.join(self.path, name), encoding="ascii") as file:
            return file.read()

    def _write(self, word: str) -> None:
        descriptor = os.open(os.path.join(self.path, _FILES[self.version][0]), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, word.encode())
        finally:
            os.close(descriptor)


def locate(pid: int, container: str) -> Cgroup | None:
    """Return the cgroup of a container whose first process is ``pid``; None where it cannot be reached or written.

    That is so for a user other than root, and for an engine on another machine. The process of that number may be
    quite another one then, so the cgroup counts only when the full ID of the container is in its path.
    """
    if pid <= 0:
        return None
    try:
        memberships = _read_lines(f"{PROC}/{pid}/cgroup")
        mounts = _read_lines(f"{PROC}/self/mountinfo")
    except OSError:
        return None
    # Where a host has both, the engine itself uses the freezer of version 1: its controllers are mounted there.
    for version in (1, 2):
        for path in _memberships(memberships, version):
            own = _own(path, container)
            for root, mount_point in _mounts(mounts, version) if own else ():
                cgroup = Cgroup(os.path.normpath(f"{mount_point}/{os.path.relpath(own, root)}"), version)
                inside = own == root or own.startswith(root.rstrip("/") + "/")
                if inside and os.access(os.path.join(cgroup.path, _FILES[version][0]), os.R_OK | os.W_OK):
                    return cgroup
    return None


def opened(path: str | None) -> Cgroup | None:
    """Return the cgroup at a path that was noted earlier, or None when it is gone."""
    if path is None:
        return None
    for version, (name, _thawed, _frozen) in _FILES.items():
        if os.path.exists(os.path.join(path, name)):
            return Cgroup(path, version)
    return None


def _own(path: str, container: str) -> str:
    """Return the part of a path that is all of the container: it may have cgroups of its own below."""
    parts = path.split("/")
    if ".." in parts:
        return ""
    for number, part in enumerate(parts):
        # Such as <ID>, docker-<ID>.scope or libpod-<ID>.scope.
        if container in part:
            return "/".join(parts[: number + 1])
    return ""


def _memberships(lines: list[str], version: int) -> Iterator[str]:
    for line in lines:
        # Such as 6:freezer:/docker/<ID> or 0::/system.slice/docker-<ID>.scope.
        _number, controllers, path = line.split(":", 2)
        if (version == 1 and "freezer" in controllers.split(",")) or (version == 2 and not controllers):
            yield path


def _mounts(lines: list[str], version: int) -> Iterator[tuple[str, str]]:
    """Yield which directory of the hierarchy is mounted, and where; in a container it is not its root."""
    for line in lines:
        before, _dash, after = line.partition(" - ")
        fields, (kind, _source, options) = before.split(" "), after.split(" ", 2)
        if (version == 1 and kind == "cgroup" and "freezer" in options.split(",")) or (
            version == 2 and kind == "cgroup2"
        ):
            yield _plain(fields[3]), _plain(fields[4])


def _plain(word: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), word)


def _status(pid: int) -> tuple[str, str]:
    with open(f"{PROC}/{pid}/stat", encoding="utf-8", errors="replace") as file:
        text = file.read()
    # The name stands in parentheses and may hold some itself.
    name, _parenthesis, rest = text.partition("(")[2].rpartition(")")
    return name, rest.split()[0]


def _read_lines(path: str) -> list[str]:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read().splitlines()
