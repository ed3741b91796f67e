# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell Prometheus about the timers of a host, also after a run that was killed: ``crm_backup_schedule.prom``.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t

from ._errors import StoreError
from ._metrics import SCHEDULE, Metric, metrics_path, publish, render
from ._schedule_calendar import parse
from ._schedule_job import names, read
from ._schedule_state import OK, RUNNING, instant, load

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Sequence

    from ._schedule_job import Job
    from ._schedule_state import State


def refresh(directory: str | None, jobs: str, states: str, now: datetime.datetime) -> list[str]:
    """Write the metrics of this host's timers, and return what was in the way. One that is damaged hides no other."""
    remarks: list[str] = []
    timers: list[tuple[Job, State]] = []
    try:
        for name in names(jobs):
            try:
                timers.append((read(jobs, name), load(states, name)))
            except StoreError as exc:
                remarks.append(f"There are no metrics of the timer {name}: {exc}")
        write(directory, timers, now)
    except OSError as exc:
        remarks.append(f"The metrics of the timers could not be written: {exc}")
    return remarks


def write(directory: str | None, timers: Sequence[tuple[Job, State]], now: datetime.datetime) -> str | None:
    """Write the metrics of all timers and return where; None where there is no such directory. Raises OSError."""
    if not directory or not os.path.isdir(directory):
        return None
    publish(directory, {SCHEDULE: render(schedule_metrics(timers, now))})
    return metrics_path(directory, SCHEDULE)


def schedule_metrics(timers: Sequence[tuple[Job, State]], now: datetime.datetime) -> Iterator[Metric]:
    """Yield what there is to tell of the timers; what never happened has no sample."""
    begun = [(job.name, state.last) for job, state in timers]
    ended = [
        (job.name, next((run for run in reversed(state.runs) if run.verdict != RUNNING), None)) for job, state in timers
    ]
    upcoming = [(job, parse(job.calendar).after(now)) for job, _state in timers]
    yield _of_each(
        "last_run_timestamp_seconds",
        "When the last run of a timer began.",
        [(name, _unix(run.began)) for name, run in begun if run is not None],
    )
    yield _of_each(
        "last_run_success",
        "Whether the last run that has ended did so well. One that was killed did not.",
        [(name, float(run.verdict == OK)) for name, run in ended if run is not None],
    )
    yield _of_each(
        "last_success_timestamp_seconds",
        "When the last run began that ended well.",
        [(job.name, _unix(state.last_success)) for job, state in timers if state.last_success],
    )
    yield _of_each(
        "missed_runs",
        "How many times before the last run had none.",
        [(name, float(run.missed)) for name, run in begun if run is not None],
    )
    yield _of_each(
        "next_timestamp_seconds",
        "When the timer runs again at the latest. A time that lies in the past tells of a timer that is dead.",
        # Its random delay may be hours, to spread hundreds of hosts.
        [(job.name, moment.timestamp() + job.delay) for job, moment in upcoming if moment is not None],
    )


def _of_each(name: str, meaning: str, samples: Sequence[tuple[str, float]]) -> Metric:
    return Metric(f"crm_backup_schedule_{name}", meaning, [({"timer": timer}, value) for timer, value in samples])


def _unix(moment: str) -> float:
    return instant(moment).timestamp()
