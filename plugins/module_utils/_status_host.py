# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a host stands: its stacks and their backups, its disk, engine, audit log and schedule, in one small answer.

Only looks, and never fails for what is wrong: that is a problem in the answer. Standard library only. Private to this
collection.
"""

from __future__ import annotations

import importlib.util
import math
import platform
import typing as t
from dataclasses import dataclass, field

from . import _status_facts as facts
from ._backup_store import now
from ._errors import ContinuityError, ProcessError
from ._process import program
from ._schedule_state import read as read_schedule
from ._space import space
from ._stack import COMPOSE
from ._stack_services import recognise
from ._status import StackStatus, shortened
from ._status_rules import CRITICAL, FINE, Problem, alerts, of_backups, problem, worst
from ._version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._engine import Engine
    from ._profile import Profile
    from ._status_facts import Facts
    from ._status_rules import Alerts

# Programs and Python packages without which no backup can be taken, and the packages that bring them.
PROGRAMS = {"tar": "tar", "zstd": "zstd"}
LIBRARIES = {"docker": "python3-docker", "psycopg2": "python3-psycopg2"}


@dataclass(frozen=True)
class Request:
    """What to look at; ``stacks`` are the names of those that have to be backed up here, found or not.

    ``alerts`` are thresholds, see _status_rules. ``heads`` is where this host remembers the end of its audit logs.
    """

    root: str
    stacks: tuple[str, ...] = ()
    alerts: Mapping[str, t.Any] = field(default_factory=dict)
    heads: str | None = None


def look(
    request: Request,
    connect: Callable[[], Engine],
    profiles: Mapping[str, Profile],
    missing: tuple[str, ...] = (),
    schedule: Callable[[], dict[str, t.Any] | None] = read_schedule,
) -> dict[str, t.Any]:
    """Return how the host stands; ``missing`` are packages. Raises StoreError for thresholds that make no sense."""
    wanted = alerts(request.alerts)
    for stack in request.alerts.get("stacks") or {}:
        alerts(request.alerts, stack)
    moment = now()
    known = facts.read(request.root, heads=request.heads)
    engine, running = ask(connect, profiles)
    disk, problems = look_at_disk(request.root, wanted)
    problems += _host(engine, known, missing)
    timers = schedule()
    installed = timers["version"] if timers else None
    problems += _versions(installed)
    stacks, missed = _stacks(request, known, running)
    problems += missed
    if engine["ok"] and not stacks:
        problems.append(problem("never", "never_anything", {}))
    for name, status in stacks.items():
        if not any(one.stack == name for one in missed):
            problems += of_backups(status, alerts(request.alerts, name), moment)
    described = [one.described() for one in problems] + (timers["problems"] if timers else [])
    listed = [_brief(one) for one in described]
    return {
        "host": platform.node(),
        "at": moment.isoformat(timespec="seconds"),
        "clock_skew": None,
        "collection": VERSION,
        "installed": installed,
        "engine": engine,
        "root": request.root,
        "disk": disk,
        "schedule": {name: [_brief(one) for one in timers[name]] for name in ("timers", "problems")}
        if timers
        else None,
        "standing": worst(listed),
        "problems": listed,
        "stacks": [
            status.described(worst(one for one in listed if one["stack"] == name))
            for name, status in sorted(stacks.items())
        ],
    }


def _brief(told: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return a problem or a timer with the beginning of what it says, and without what may be a secret in it."""
    brief = {**told, "message": shortened(told["message"]) if told["message"] else None}
    if "facts" in told:
        facts = told["facts"]
        brief["facts"] = {name: shortened(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}
    return brief


def _stacks(
    request: Request, known: Facts, running: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, StackStatus], list[Problem]]:
    """Return all stacks, those that have backups, should have, or run, and what is said of those nobody ever tried."""
    stacks = {one.stack: one for one in known.stacks}
    uncovered = [
        _uncovered(name, profiles)
        for name, profiles in sorted(running.items())
        if name not in stacks and name not in request.stacks and alerts(request.alerts, name).expect_backups
    ]
    for name in (*request.stacks, *running):
        stacks.setdefault(name, StackStatus(name, profiles=running.get(name, ())))
    return stacks, uncovered


def missing_packages() -> tuple[str, ...]:
    """Return the packages without which this host cannot take a backup, and which it does not have."""
    found = [package for name, package in LIBRARIES.items() if importlib.util.find_spec(name) is None]
    for name, package in PROGRAMS.items():
        try:
            program(name)
        except ProcessError:
            found.append(package)
    return tuple(found)


def ask(
    connect: Callable[[], Engine], profiles: Mapping[str, Profile]
) -> tuple[dict[str, t.Any], dict[str, tuple[str, ...]]]:
    """Return whether the engine answers, and the stacks that run on it with the profiles that match."""
    running: dict[str, set[str]] = {}
    try:
        engine = connect()
        version = engine.info().version
        for container in engine.containers():
            project = container.labels.get(COMPOSE + "project")
            if not project or container.labels.get(COMPOSE + "oneoff", "False").lower() == "true":
                continue
            profile = recognise(container, profiles, ()).profile
            if profile is not None:
                running.setdefault(project, set()).add(profile)
    except ContinuityError as exc:
        return {"ok": False, "version": None, "message": shortened(str(exc))}, {}
    stacks = {name: tuple(sorted(names)) for name, names in running.items()}
    return {"ok": True, "version": version, "message": None}, stacks


def look_at_disk(root: str, wanted: Alerts) -> tuple[dict[str, t.Any] | None, list[Problem]]:
    """Return how full the file system of a root is, and what to say about it."""
    try:
        found = space(root, wanted.disk_warn or math.inf, wanted.disk_critical or math.inf)
    except OSError as exc:
        return None, [problem("disk_critical", "disk_gone", {"root": root, "error": exc.strerror})]
    told = {
        "path": found.path,
        "total": found.total,
        "used": found.total - found.free,
        "free": found.free,
        "percent": found.used_percent,
    }
    if found.level == FINE:
        return told, []
    limit = wanted.disk_critical if found.level == CRITICAL else wanted.disk_warn
    facts = {"path": found.path, "percent": found.used_percent, "free": found.free, "limit": limit}
    return told, [problem(f"disk_{found.level}", "disk", facts)]


def _host(engine: Mapping[str, t.Any], known: Facts, missing: tuple[str, ...]) -> list[Problem]:
    found = []
    if missing:
        found.append(problem("half_installed", "half_installed", {"packages": ", ".join(missing)}))
    if not engine["ok"] and LIBRARIES["docker"] not in missing:
        found.append(Problem("engine", str(engine["message"])))
    if known.unreadable is not None:
        found.append(problem("damaged", "damaged_root", {"error": known.unreadable}))
    if known.problem is not None:
        found.append(problem("log", "log", {"error": known.problem}))
    return found


def _versions(installed: str | None) -> list[Problem]:
    if installed in (None, VERSION):
        return []
    return [problem("versions", "versions", {"installed": installed, "version": VERSION})]


def _uncovered(name: str, profiles: tuple[str, ...]) -> Problem:
    return problem("uncovered", "uncovered", {"name": name, "profiles": ", ".join(profiles)}, name)
