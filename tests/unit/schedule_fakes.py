# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host with timers, for tests: its own directories, modules that only note what they were asked, a clock to set."""

from __future__ import annotations

import datetime
import os
import typing as t

from ansible_collections.crm.continuity.plugins.module_utils._schedule_job import Call, Job, encode, path_of
from ansible_collections.crm.continuity.plugins.module_utils._schedule_state import (
    Host,
    Owner,
    Run,
    State,
    load,
    save,
)
from ansible_collections.crm.continuity.plugins.module_utils._scheduled_run import Runner

if t.TYPE_CHECKING:
    from pathlib import Path

# No process has that number.
DEAD = Owner(pid=2**22 + 1, started=1, boot_id="of another boot")
NIGHTLY = "*-*-* 02:00:00 UTC"
SINCE = "2026-11-18T12:00:00"
FOUND = {"stacks": [{"name": "crm"}, {"name": "ticketz"}]}
TAKEN = {
    "id": "20261122T020003Z",
    "directory": "/var/backups/crm/crm/20261122T020003Z",
    "size": 14_800_000,
    "files": 627,
    "rows": 1,
    "frozen_seconds": 0.031,
    "anomalies": [],
}
VERIFIED = {"backups": [{"bytes": 14_800_000}, {"bytes": 200_000}]}
PRUNED = {
    "stacks": [{"stack": "crm", "removed": [{}, {}], "finished": [], "kept": [{}], "overdue": [], "blocked": None}]
}


def at(text: str) -> datetime.datetime:
    """Return a moment in UTC."""
    return datetime.datetime.fromisoformat(f"{text}+00:00")


def job(name: str = "backup", calendar: str = NIGHTLY, **more: t.Any) -> Job:
    """Return a job that backs up every stack, unless told otherwise."""
    call = Call("stack_backup", {"backup_root": "/var/backups/crm"}, each=True, recognises=True, trial={})
    fields = {
        "calls": (call,),
        "find": {"details": False},
        "profiles": {"profiles": [], "shipped_profiles": [{"name": "x"}]},
    }
    return Job(**{"name": name, "calendar": calendar, "delay": 0, **fields, **more})


def run(began: str, ended: str | None = None, **more: t.Any) -> Run:
    """Return a run of a process that is gone."""
    return Run(**{"began": f"{began}+00:00", "ended": f"{ended}+00:00" if ended else None, "owner": DEAD, **more})


class FakeHost:
    """Timers below a directory."""

    def __init__(self, directory: Path) -> None:
        self.lines: list[str] = []
        self.calls: list[tuple[str, dict[str, t.Any]]] = []
        self.clock = at("2026-11-22T02:00:03")
        self.results: dict[str, t.Any] = {
            "stack_info": FOUND,
            "stack_backup": TAKEN,
            "backup_verify": VERIFIED,
            "backup_prune": PRUNED,
        }
        self.active = True
        self.directory = directory
        self.place = Host(
            state=str(directory / "state"),
            jobs=str(directory / "jobs"),
            program=str(directory / "program"),
            active=lambda _job: self.active,
        )
        self.runner = Runner(
            host=self.place,
            modules=self._run,
            say=self.lines.append,
            now=lambda: self.clock,
            locks=str(directory / "run"),
            told=lambda: "the service manager says: signal, KILL",
        )

    def install(self, wanted: Job, since: str = SINCE) -> Job:
        """Write a job as it was at some time."""
        os.makedirs(self.place.jobs, exist_ok=True)
        path = path_of(self.place.jobs, wanted.name)
        with open(path, "wb") as file:
            file.write(encode(wanted))
        moment = at(since).timestamp()
        os.utime(path, (moment, moment))
        return wanted

    def remember(self, *runs: Run, name: str = "backup") -> None:
        """Write what ran before."""
        save(self.place.state, State(name, "0.1.0", runs))

    def state(self, name: str = "backup") -> State:
        """Return what was noted."""
        return load(self.place.state, name)

    def _run(self, module: str, arguments: t.Mapping[str, t.Any], timeout: float) -> dict[str, t.Any]:
        self.calls.append((module, dict(arguments)))
        answer = self.results[module]
        found: dict[str, t.Any] = answer(arguments) if callable(answer) else answer
        return found
