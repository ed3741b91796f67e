# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of the timers of a host: a file per job, written while it runs, and what can be told from all of them.

``<directory>/<job>.json`` (mode 0600) is written at the beginning of a run, after every step and at its end::

    {format: 1, job: backup, version: of the copy that ran,
     last_success: RFC 3339 | null,                       # when the last run began that went well
     runs: [{began, ended: RFC 3339 | null,               # oldest first, the last LONGEST
             due: RFC 3339 | null,                        # the time that it ran for; null when it was started by hand
             late: seconds after that, missed: how many times before that had no run,
             result: running | ok | failed | killed, message: str | null,
             owner: {pid, started, boot_id},
             steps: [{module, stack: str | null, ok: bool, seconds, message}]}]}

``read(directory)`` returns None on a host without timers, and otherwise::

    {version: of the installed copy | null, ansible_core: str | null,
     timers: [{name: backup, calendar, manager: systemd | cron,
               active: bool,                              # whether anything will start it
               next: RFC 3339 | null, last: RFC 3339 | null, ended: RFC 3339 | null, last_success: RFC 3339 | null,
               result: ok | failed | killed | running | null, message: str | null,
               missed: int,                               # times without a run: before the last run, and since
               late: int | null}],                        # seconds that the last run came late
     problems: [{code: schedule_dead | schedule_missed | failed, severity: warning | critical, message, stack: null,
                says, facts}]}                            # as in _status_rules

All times are in UTC. A run whose process is gone without a word counts as killed. Standard library only. Private to
this collection.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ._errors import ContinuityError, ProcessError, StoreError
from ._files import write_atomically
from ._journal import boot_id, started
from ._process import Stage, run
from ._schedule_calendar import UTC, parse
from ._schedule_job import CRON, DEFAULT_JOBS, Job, names
from ._schedule_job import read as read_job
from ._status_rules import problem

if t.TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_STATE = "/var/lib/crm.continuity/schedule"
DEFAULT_PROGRAM = "/usr/lib/crm.continuity"
VERSION_FILE = "version.json"
CRON_TABLE = "/etc/cron.d/crm-continuity-schedule"
CRON_PROCESSES = ("/run/crond.pid", "/run/cron.pid")
FORMAT = 1
LONGEST = 30
# How late a timer may be before its time counts as missed, besides its random delay: cron looks every ten minutes.
GRACE = datetime.timedelta(minutes=15)
# What counts where nothing is known but times that are yet to come: the clock was ahead when they were noted.
RECENTLY = datetime.timedelta(days=1)
AT_ONCE = datetime.timedelta()

RUNNING, OK, FAILED, KILLED = "running", "ok", "failed", "killed"


@dataclass(frozen=True)
class Owner:
    """The process of a run; another one may get its number."""

    pid: int
    started: int
    boot_id: str

    @property
    def lives(self) -> bool:
        """Whether it still runs."""
        return self.boot_id == boot_id() and self.started == started(self.pid)


@dataclass(frozen=True)
class Step:
    """One module that was run, for one stack or for all."""

    module: str
    stack: str | None
    ok: bool
    seconds: float
    message: str


@dataclass(frozen=True)
class Run:
    """One run of a job; times are RFC 3339 in UTC."""

    began: str
    owner: Owner
    ended: str | None = None
    due: str | None = None
    late: int = 0
    missed: int = 0
    result: str = RUNNING
    message: str | None = None
    steps: tuple[Step, ...] = ()

    @property
    def verdict(self) -> str:
        """How it ended, also where it could not say so itself."""
        return KILLED if self.result == RUNNING and not self.owner.lives else self.result

    @property
    def words(self) -> str | None:
        """What it has to say, also where it could not say so itself."""
        if self.result == RUNNING and self.verdict == KILLED:
            done = f"after {self.steps[-1].module}" if self.steps else "before its first step"
            return f"It was killed {done}, or the host was restarted."
        return self.message


@dataclass(frozen=True)
class State:
    """The runs of a job, oldest first."""

    job: str
    version: str
    runs: tuple[Run, ...] = ()
    last_success: str | None = None

    @property
    def last(self) -> Run | None:
        """The last run."""
        return self.runs[-1] if self.runs else None

    def followed_by(self, new: Run) -> State:
        """Return the state with another run, as that is now."""
        success = new.began if new.result == OK else self.last_success
        return replace(self, runs=(*self.runs, new)[-LONGEST:], last_success=success)

    def without_last(self) -> State:
        """Return the state before its last run."""
        return replace(self, runs=self.runs[:-1])


@dataclass(frozen=True)
class Due:
    """What there is to do at a moment: the last time that has come, and how many before it had no run."""

    moment: datetime.datetime | None
    missed: int = 0


def due(
    job: Job,
    state: State,
    now: datetime.datetime,
    *,
    begun: datetime.datetime | None = None,
    wait: datetime.timedelta = AT_ONCE,
) -> Due:
    """Return what came due since the last run began, or since the job was installed, and ``wait`` ago.

    ``begun`` is when a run began that the state may not know of.
    """
    times = parse(job.calendar).between(_since(job, state, now, begun), now - wait)
    return Due(times[-1], len(times) - 1) if times else Due(None)


def load(directory: str, job: str, version: str = "") -> State:
    """Return the state of a job, an empty one where there is none; raise StoreError when it is damaged."""
    path = os.path.join(directory, f"{job}.json")
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except FileNotFoundError:
        return State(job, version)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StoreError(
            f"{path} is damaged ({exc}), so it is not known what ran. Remove it: the next run begins a new one.",
            path=path,
        ) from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Run the task as root (become).", path=path) from exc


def save(directory: str, state: State) -> None:
    """Bring a state to the disk, all of it or nothing; raises OSError."""
    os.makedirs(directory, mode=0o700, exist_ok=True)
    content = json.dumps({"format": FORMAT, **asdict(state)}, indent=2, ensure_ascii=False) + "\n"
    write_atomically(os.path.join(directory, f"{state.job}.json"), content.encode())


def decode(content: bytes) -> State:
    """Read what ``save`` has written; raises ValueError, KeyError or TypeError for anything else."""
    data = json.loads(content)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    runs = tuple(
        Run(**{**entry, "owner": Owner(**entry["owner"]), "steps": tuple(Step(**step) for step in entry["steps"])})
        for entry in data.pop("runs")
    )
    for entry in runs:
        instant(entry.began)
    return State(**data, runs=runs)


def is_active(job: Job) -> bool:
    """Ask whether anything will start the job: the timer of systemd, or cron with its table."""
    if job.manager == CRON:
        return os.path.exists(CRON_TABLE) and cron_lives()
    stage = Stage(
        "ask for a timer", ["systemctl", "is-active", "--quiet", f"{job.unit}.timer"], accept=frozenset(range(256))
    )
    try:
        return run(stage).returncode == 0
    except ProcessError:
        return False


def cron_lives() -> bool:
    """Tell whether cron runs on this host."""
    for path in CRON_PROCESSES:
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            if started(int(file.read())) is not None:
                return True
    return False


@dataclass(frozen=True)
class Host:
    """Where things lie on a host, and who knows whether a job is started by anything."""

    state: str = DEFAULT_STATE
    jobs: str = DEFAULT_JOBS
    program: str = DEFAULT_PROGRAM
    active: Callable[[Job], bool] = field(default=is_active)


def read(
    directory: str = DEFAULT_STATE, *, host: Host | None = None, now: datetime.datetime | None = None
) -> dict[str, t.Any] | None:
    """Tell how the timers of this host stand, or None where there are none; what is wrong stands in ``problems``."""
    place = replace(host or Host(), state=directory)
    moment = now or datetime.datetime.now(UTC)
    found = names(place.jobs)
    if not found:
        return None
    timers: list[dict[str, t.Any]] = []
    problems: list[dict[str, t.Any]] = []
    for name in found:
        try:
            job = read_job(place.jobs, name)
            state = load(directory, name)
            timer, wrong = _timer(job, state, place.active(job), moment)
        except ContinuityError as exc:
            wrong = [_problem("schedule_dead", "critical", "timer_unjudged", {"timer": name, "error": str(exc)})]
        else:
            timers.append(timer)
        problems += wrong
    return {**installed(place.program), "timers": timers, "problems": problems}


def installed(program: str = DEFAULT_PROGRAM) -> dict[str, str | None]:
    """Return the version of the copy of this collection for timers, and of ansible-core; None where there is none."""
    data: t.Any = None
    with contextlib.suppress(OSError, ValueError), open(os.path.join(program, VERSION_FILE), "rb") as file:
        data = json.loads(file.read())
    known = data if isinstance(data, dict) else {}
    return {"version": known.get("version"), "ansible_core": known.get("ansible_core")}


def instant(text: str) -> datetime.datetime:
    """Read a time of a state."""
    return datetime.datetime.fromisoformat(text)


def stamp(moment: datetime.datetime) -> str:
    """Write a time of a state."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _since(job: Job, state: State, now: datetime.datetime, begun: datetime.datetime | None = None) -> datetime.datetime:
    noted = (job.since, *(instant(entry.began) for entry in state.runs), *(() if begun is None else (begun,)))
    # Times that are yet to come tell of a clock that was ahead. If they counted, nothing would be due before them.
    return max((moment for moment in noted if moment <= now), default=now - RECENTLY)


def _timer(
    job: Job, state: State, active: bool, now: datetime.datetime
) -> tuple[dict[str, t.Any], list[dict[str, t.Any]]]:
    calendar = parse(job.calendar)
    last = state.last
    verdict = last.verdict if last else None
    overdue: list[datetime.datetime] = []
    if verdict != RUNNING:
        latest = now - GRACE - datetime.timedelta(seconds=job.delay)
        overdue = calendar.between(_since(job, state, now), latest)
    upcoming = calendar.after(now)
    timer = {
        "name": job.name,
        "calendar": job.calendar,
        "manager": job.manager,
        "active": active,
        "next": stamp(upcoming) if upcoming and active else None,
        "last": last.began if last else None,
        "ended": last.ended if last else None,
        "last_success": state.last_success,
        "result": verdict,
        "message": last.words if last else None,
        "missed": (last.missed if last else 0) + len(overdue),
        "late": last.late if last and last.due else None,
    }
    return timer, list(_problems(job, last, active=active, overdue=overdue))


def _problems(
    job: Job, last: Run | None, *, active: bool, overdue: list[datetime.datetime]
) -> t.Iterator[dict[str, t.Any]]:
    facts: dict[str, t.Any] = {"timer": job.name}
    if not active:
        if job.manager == CRON:
            yield _problem("schedule_dead", "critical", "timer_without_cron", facts)
        else:
            yield _problem("schedule_dead", "critical", "timer_inactive", {**facts, "unit": job.unit})
    if overdue:
        facts["at"] = stamp(overdue[-1])
        if len(overdue) > 1:
            yield _problem("schedule_missed", "critical", "timer_overdue_again", {**facts, "times": len(overdue) - 1})
        else:
            yield _problem("schedule_missed", "critical", "timer_overdue", facts)
    elif last and last.missed:
        yield _problem("schedule_missed", "warning", "timer_missed", {**facts, "at": last.began, "times": last.missed})
    if last and last.verdict in (FAILED, KILLED):
        error = last.words or last.verdict
        yield _problem("failed", "critical", "timer_failed", {**facts, "at": last.began, "error": error})


def _problem(code: str, severity: str, says: str, facts: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return a problem as it is told; how bad it is depends on more than its code."""
    return {**problem(code, says, facts).described(), "severity": severity}
