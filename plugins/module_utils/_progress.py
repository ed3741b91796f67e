# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell whoever asked how far a long operation is: in a small file in memory, replaced every moment.

An operation says what it does (``phase``, ``step``) and what is to be expected of it (``expect``). A thread beside it
measures and writes, by looking at the files that are read or written; the operation itself does nothing more for it,
least of all while services stand still. All of this costs nothing when nobody asked.

Who asks gives the module an environment variable with a token, under which the file and the job record (see _job) are
found. Standard library only. Private to this collection.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import threading
import time
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

PROGRESS = "/run/crm.continuity/progress"
# What the action plugin sets; see plugin_utils/_progress_action.py.
VARIABLE = "CRM_CONTINUITY_JOB"
TOKEN = re.compile(r"[0-9a-f]{32}")
EVERY = 0.5
# Seconds over which a rate is measured: long enough not to jump, short enough to follow.
WINDOW = 15.0
# What killed runs of a day ago have left is removed.
STALE = 86400


def token() -> str | None:
    """Return under what name somebody wants to know of this run; None when nobody does."""
    given = os.environ.get(VARIABLE, "")
    return given if TOKEN.fullmatch(given) else None


def place(name: str) -> str:
    """Return where the progress of a run is written."""
    return os.path.join(PROGRESS, f"{name}.json")


class Rate:
    """Bytes per second over the last moments."""

    def __init__(self) -> None:
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def see(self, moment: float, size: int) -> None:
        """Note how much is done by now."""
        self._seen.append((moment, size))
        while len(self._seen) > 2 and self._seen[1][0] < moment - WINDOW:
            self._seen.popleft()

    def value(self) -> float | None:
        """Return the rate; None before there is one."""
        if len(self._seen) < 2:
            return None
        (since, before), (until, after) = self._seen[0], self._seen[-1]
        return max(0, after - before) / (until - since) if until > since else None


class Reporter:
    """How far one operation is; every method may be called by any thread.

    Bytes are counted by ``key``, such as the path of an artifact, so that one may be worked on several times.
    """

    def __init__(self, operation: str, subject: str | None) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, t.Any] = {"operation": operation, "subject": subject, "phase": "begin", "step": None}
        self._key: str | None = None
        self._measure: Callable[[], int] | None = None
        self._expected: dict[str, int | None] = {}
        self._done: dict[str, int] = {}
        self._rate = Rate()
        self._followed: str | None = None

    def phase(self, name: str) -> None:
        """Begin a part of the operation."""
        with self._lock:
            self._told["phase"] = name

    def expect(self, sizes: Mapping[str, int | None]) -> None:
        """Say how many bytes each key will have; None for what nobody knows."""
        with self._lock:
            self._expected.update(sizes)

    def follow(self, path: str | None) -> None:
        """Tell from now on what another run tells in a file; None goes back to what this one does."""
        with self._lock:
            self._followed = path

    @contextlib.contextmanager
    def step(self, subject: str, key: str, measure: Callable[[], int]) -> Iterator[None]:
        """Say that the block works on ``key``; ``measure`` returns how many bytes of it are done by now."""
        with self._lock:
            self._told["step"], self._key, self._measure = subject, key, measure
        try:
            yield
        finally:
            with self._lock:
                self._look()
                self._told["step"] = self._key = self._measure = None

    def finished(self, key: str) -> None:
        """Say that nothing is left to do of a key, of which less may have been seen."""
        with self._lock:
            expected = self._expected.get(key)
            if expected is not None:
                self._done[key] = expected

    def _look(self) -> None:
        if self._measure is not None and self._key is not None:
            # What is thrown away and written again does not go backwards.
            self._done[self._key] = max(self._done.get(self._key, 0), self._measure())

    def snapshot(self, moment: float) -> dict[str, t.Any]:
        """Return all that is known at a moment of the monotonic clock."""
        with self._lock:
            if self._followed is not None:
                with contextlib.suppress(OSError, ValueError), open(self._followed, encoding="utf-8") as stream:
                    return {**json.load(stream), "attached": True}
                return {**self._told, "attached": True}
            self._look()
            size = sum(self._done.values())
            self._rate.see(moment, size)
            rate = self._rate.value()
            known = list(self._expected.values())
            whole = sum(one for one in known if one is not None) if known and None not in known else None
            step = None if self._key is None else self._done.get(self._key, 0)
            return {
                **self._told,
                "step_bytes": step,
                "step_expected": None if self._key is None else self._expected.get(self._key),
                "bytes": size,
                "expected": whole,
                "rate": None if rate is None else round(rate),
                "eta": _left(size, whole, rate),
            }


def _left(size: int, whole: int | None, rate: float | None) -> int | None:
    """Return how many seconds are left; None when nobody can tell."""
    # The first moments say little.
    if whole is None or not rate or size > whole or size * 100 < whole:
        return None
    return round((whole - size) / rate)


_current: Reporter | None = None


@contextlib.contextmanager
def reporting(operation: str, subject: str | None = None) -> Iterator[None]:
    """Write how far the block is, as long as it runs, if somebody asked for it."""
    global _current  # noqa: PLW0603 - one run is one process
    name = token()
    if name is None:
        yield
        return
    reporter = _current = Reporter(operation, subject)
    ended = threading.Event()
    writer = threading.Thread(target=_write_until, args=(reporter, place(name), ended), daemon=True)
    writer.start()
    try:
        yield
    finally:
        _current = None
        ended.set()
        writer.join()


def phase(name: str) -> None:
    """Begin a part of the operation."""
    if _current is not None:
        _current.phase(name)


def expect(sizes: Callable[[], Mapping[str, int | None]]) -> None:
    """Say how many bytes there will be; ``sizes`` is only called if somebody asked."""
    if _current is not None:
        _current.expect(sizes())


@contextlib.contextmanager
def following(name: str | None) -> Iterator[None]:
    """Tell what the run of another token tells, as long as the block runs; with None, only that there is one."""
    if _current is None:
        yield
        return
    _current.follow(place(name or "nobody"))
    try:
        yield
    finally:
        _current.follow(None)


@contextlib.contextmanager
def writing(subject: str, path: str, key: str) -> Iterator[None]:
    """Say that the block writes a file, such as ``archive of volume crm_storage``."""
    if _current is None:
        yield
        return
    with _current.step(subject, key, lambda: _written(path)):
        yield


@contextlib.contextmanager
def reading(subject: str, path: str) -> Iterator[None]:
    """Say that the block reads a file to its end, itself or by programs that it starts; the key is its path."""
    if _current is None:
        yield
        return
    real = os.path.realpath(path)
    with _current.step(subject, path, lambda: _read(real)):
        yield
    _current.finished(path)


def _written(path: str) -> int:
    """Return the size of a file, which has another name until it is complete; see partial_file."""
    directory, name = os.path.split(path)
    for candidate in (os.path.join(directory, f".{name}.partial"), path):
        with contextlib.suppress(OSError):
            return os.stat(candidate).st_size
    return 0


def _read(real: str) -> int:
    """Return how far a file has been read by the slowest of those in this process who read it.

    A program that was started with it as its input shares the position.
    """
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{number}") == real:
                found.append(os.lseek(int(number), 0, os.SEEK_CUR))
    return min(found, default=0)


def _write_until(reporter: Reporter, path: str, ended: threading.Event) -> None:
    # Whatever is wrong with this place is not worth a backup.
    with contextlib.suppress(OSError):
        directory = os.path.dirname(path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _clear(directory)
        try:
            while not ended.wait(EVERY):
                _replace(path, json.dumps(reporter.snapshot(time.monotonic())))
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _replace(path: str, text: str) -> None:
    # In memory there is nothing to bring to a disk.
    partial = f"{path}.partial"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    os.replace(partial, path)


def _clear(directory: str) -> None:
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        with contextlib.suppress(FileNotFoundError):
            if os.stat(path).st_mtime < time.time() - STALE:
                os.unlink(path)
