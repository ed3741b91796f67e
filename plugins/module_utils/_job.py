# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What this host knows of the backups that were begun on it: who began each, whether it still runs, how it ended.

A control node that goes away, by a dropped connection or by a kill, does not end a backup; so its result is kept here,
for the next run to find:

    <stack>.json            the last backup of the stack that was begun, by whomever
    <stack>.<token>.json    one whose result somebody waited for; gone once it arrived there

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ._backup_store import now
from ._errors import ContinuityError
from ._files import write_atomically
from ._journal import started
from ._progress import TOKEN

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

JOBS = "/var/lib/crm.continuity/jobs"
OK, ANOMALOUS, FAILED, DIED = "ok", "anomalous", "failed", "died"
# Of a result, for those who only want to know what became of it.
SUMMARY = ("id", "directory", "cut_at", "size")
EVERY = 1.0


@dataclass(frozen=True)
class Job:
    """One backup that was begun; ``process`` tells its process from a later one of the same number.

    ``outcome`` is None while it runs; ``result`` is what the module returned.
    """

    stack: str
    root: str
    pid: int
    process: int
    began_at: str
    actor: Mapping[str, t.Any] = field(default_factory=dict)
    token: str | None = None
    ended_at: str | None = None
    outcome: str | None = None
    message: str | None = None
    result: Mapping[str, t.Any] = field(default_factory=dict)

    @property
    def runs(self) -> bool:
        return self.outcome is None and started(self.pid) == self.process

    @property
    def who(self) -> str:
        """Name the one who began it, for messages."""
        return str(self.actor.get("user") or "somebody")

    def same(self, other: Job | None) -> bool:
        """Tell whether another record is of the same run."""
        return other is not None and (other.pid, other.process) == (self.pid, self.process)

    def summary(self) -> dict[str, t.Any]:
        """Return what became of it, in a few words."""
        return {
            "began_at": self.began_at,
            "ended_at": self.ended_at,
            "actor": dict(self.actor),
            "outcome": self.outcome or DIED,
            "message": self.message or (None if self.outcome else "Its process ended without a result."),
            **{name: self.result.get(name) for name in SUMMARY},
        }


class Jobs:
    """The job records of one stack. What cannot be written is left out: it is not worth a backup."""

    def __init__(self, stack: str, directory: str | None = None) -> None:
        self.stack = stack
        self._directory = directory or JOBS

    def begin(self, root: str, actor: Mapping[str, t.Any], token: str | None) -> Job:
        """Note that this process begins a backup. Needs the lock of the stack."""
        pid = os.getpid()
        given = {name: value for name, value in actor.items() if value}
        job = Job(self.stack, root, pid, started(pid) or 0, _timestamp(), given, token)
        with contextlib.suppress(OSError):
            os.makedirs(self._directory, mode=0o700, exist_ok=True)
            self._write(None, job)
            if token is not None:
                self._write(token, job)
        return job

    def end(
        self, job: Job, outcome: str, message: str | None = None, result: Mapping[str, t.Any] | None = None
    ) -> None:
        """Note how a backup ended that this process began."""
        ended = replace(job, ended_at=_timestamp(), outcome=outcome, message=message, result=result or {})
        with contextlib.suppress(OSError):
            if job.same(self.latest()):
                self._write(None, ended)
            if job.token is not None:
                self._write(job.token, ended)

    def latest(self) -> Job | None:
        """Return the last backup that was begun."""
        return self._read(None)

    def wait(self, job: Job) -> Job | None:
        """Wait until a backup of another process ends; None when it dies without a result."""
        while True:
            # Asked before reading: a process notes its end first.
            runs = job.runs
            for known in (self._read(job.token) if job.token else None, self.latest()):
                if known is not None and known.outcome is not None and job.same(known):
                    return known
            if not runs:
                return None
            time.sleep(EVERY)

    def take_over(self, job: Job, token: str | None) -> None:
        """Let the result of a job wait for another one than who began it."""
        with contextlib.suppress(OSError):
            if token is not None:
                self._write(token, job)
            if job.token is not None and job.token != token:
                os.unlink(self._path(job.token))

    def collect(self, own: str | None = None) -> list[dict[str, t.Any]]:
        """Return what ended and nobody came for, oldest first, and forget it; ``own`` is what we wait for ourselves."""
        found = []
        for token in self._waiting():
            job = self._read(token)
            if token == own or (job is not None and job.runs):
                continue
            with contextlib.suppress(OSError):
                os.unlink(self._path(token))
            if job is not None:
                found += [*job.result.get("collected", ()), job.summary()]
        return sorted(found, key=lambda one: str(one["began_at"]))

    def _waiting(self) -> list[str]:
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        begin, end = f"{self.stack}.", ".json"
        tokens = [name[len(begin) : -len(end)] for name in names if name.startswith(begin) and name.endswith(end)]
        return sorted(one for one in tokens if TOKEN.fullmatch(one))

    def _path(self, token: str | None) -> str:
        return os.path.join(self._directory, f"{self.stack}{f'.{token}' if token else ''}.json")

    def _write(self, token: str | None, job: Job) -> None:
        write_atomically(self._path(token), json.dumps(asdict(job)).encode())

    def _read(self, token: str | None) -> Job | None:
        try:
            with open(self._path(token), encoding="utf-8") as stream:
                return Job(**json.load(stream))
        except (OSError, ValueError, TypeError):
            # One that cannot be read says nothing.
            return None


class Kept:
    """The record of what this process does; ``result`` is to be set before the end."""

    def __init__(self, begin: Callable[[], Job]) -> None:
        self._begin = begin
        self.job: Job | None = None
        self.result: Mapping[str, t.Any] = {}

    def begin(self) -> None:
        """Note that it begins."""
        self.job = self._begin()


@contextlib.contextmanager
def kept(jobs: Jobs, root: str, actor: Mapping[str, t.Any], token: str | None) -> Iterator[Kept]:
    """Note how the block ends, if it began anything."""
    record = Kept(lambda: jobs.begin(root, actor, token))
    try:
        yield record
    except Exception as exc:
        if record.job is not None:
            jobs.end(record.job, FAILED, _words(exc))
        raise
    if record.job is not None:
        jobs.end(record.job, ANOMALOUS if record.result.get("anomalies") else OK, result=record.result)


def _words(error: Exception) -> str:
    """Return what is known of an error, as the result of the module has it; a bug may say anything."""
    if isinstance(error, ContinuityError):
        return str(error)
    if isinstance(error, OSError):
        return f"{f'{error.filename}: ' if error.filename else ''}{error.strerror or error}"
    return type(error).__name__


def _timestamp() -> str:
    return now().isoformat(timespec="seconds")
