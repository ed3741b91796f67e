# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let a host back itself up: the program, the jobs, and what starts them; or take all of that away again.

An archive that a run still uses stays until the next time. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import glob
import hashlib
import json
import os
import stat
import typing as t
import zipfile
import zlib
from dataclasses import dataclass, field

from ._backup_store import RUN
from ._errors import ProcessError, StoreError
from ._files import partial_file, sync_directory, write_all
from ._metrics import SCHEDULE, metrics_path
from ._process import Stage, program, run
from ._schedule_calendar import UTC
from ._schedule_job import CRON, DEFAULT_JOBS, SYSTEMD, Job, encode, names, path_of
from ._schedule_metrics import refresh
from ._schedule_state import CRON_TABLE, DEFAULT_PROGRAM, DEFAULT_STATE, RUNNING, VERSION_FILE, load
from ._schedule_units import MARK, UNITS, Ways, calendar_of, files

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator

BOOTED = "/run/systemd/system"
STAMPS = "/var/lib/systemd/timers"
PROGRAM = "crm-continuity.pyz"
# The units that belong to a job, and nothing else of ours.
PREFIX = "crm-continuity-"
CRONS = ("cron", "crond")
AUTO = "auto"


class Services(t.Protocol):
    """The service manager of a host."""

    def runs(self, unit: str) -> bool:
        """Tell whether a unit is active, and will be after the next boot."""

    def reload(self) -> None:
        """Read the units again."""

    def pause(self, unit: str) -> None:
        """Stop a unit until it is started anew."""

    def start(self, unit: str) -> None:
        """Start a unit anew, now and after every boot."""

    def stop(self, unit: str) -> None:
        """Stop a unit for good."""


class Systemd:
    """The service manager itself."""

    def runs(self, unit: str) -> bool:
        return self._asked("is-active", unit) and self._asked("is-enabled", unit)

    def reload(self) -> None:
        self._told("daemon-reload")

    def pause(self, unit: str) -> None:
        self._told("stop", unit)

    def start(self, unit: str) -> None:
        self._told("enable", unit)
        self._told("restart", unit)

    def stop(self, unit: str) -> None:
        self._told("disable", "--now", unit)
        # Else it would be listed as failed for ever.
        self._asked("reset-failed", unit.replace(".timer", ".service"))

    def _asked(self, what: str, unit: str) -> bool:
        argv = [program("systemctl", "systemd"), "--quiet", what, unit]
        return run(Stage(f"ask for {unit}", argv, accept=frozenset(range(256)))).returncode == 0

    def _told(self, *what: str) -> None:
        run(Stage(f"tell systemd to {' '.join(what)}", [program("systemctl", "systemd"), "--quiet", *what]))


@dataclass(frozen=True)
class Request:
    """What the host has to run; no jobs mean that all is taken away.

    ``digest`` is that of the archive for it, and ``archive`` where that lies on the host, where it was brought;
    ``version`` and ``ansible_core`` say what is in it.
    """

    jobs: tuple[Job, ...]
    digest: str = ""
    version: str = ""
    ansible_core: str = ""
    archive: str | None = None
    memory_max: str = "2G"
    python: str = "/usr/bin/python3"
    metrics_directory: str | None = None


@dataclass(frozen=True)
class Change:
    """A file as it is and as it will be; None where there is none. A ``target`` makes it a link."""

    path: str
    before: str | None
    after: str | None
    mode: int = 0o644
    target: str | None = None


@dataclass(frozen=True)
class Plan:
    """What differs. ``archive`` is the path that has to be brought, ``spare`` are older ones that no run uses.

    ``renewed`` are timers that get another time.
    """

    request: Request
    changes: tuple[Change, ...]
    archive: str | None
    spare: tuple[str, ...]
    start: tuple[str, ...]
    stop: tuple[str, ...]
    reload: bool
    renewed: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.changes or self.archive or self.start or self.stop or self.spare)

    @property
    def archives(self) -> tuple[str, ...]:
        """The archives that come and go."""
        return (*((self.archive,) if self.archive else ()), *self.spare)

    @property
    def diff(self) -> dict[str, str]:
        """What changes in words; the archive by its name only."""

        def told(side: str) -> str:
            texts = [(change.path, getattr(change, side)) for change in self.changes]
            words = "".join(f"==== {path}\n{text}" for path, text in texts if text is not None)
            archives = self.spare if side == "before" else (self.archive,) if self.archive else ()
            return words + "".join(f"==== {path}\n" for path in archives)

        return {"before": told("before"), "after": told("after")}


@dataclass(frozen=True)
class Places:
    """Where things lie on a host."""

    program: str = DEFAULT_PROGRAM
    jobs: str = DEFAULT_JOBS
    state: str = DEFAULT_STATE
    locks: str = RUN
    root: str = "/"
    services: Services = field(default_factory=Systemd)

    def at(self, path: str) -> str:
        """Return where a file of the system lies; elsewhere in tests only."""
        return os.path.join(self.root, path.lstrip("/"))


def manager(places: Places, wanted: str = AUTO) -> str:
    """Return who starts the jobs on this host; raise StoreError when nobody would."""
    if wanted in (AUTO, SYSTEMD) and os.path.isdir(places.at(BOOTED)):
        return SYSTEMD
    if wanted == SYSTEMD:
        raise StoreError("This host was not started by systemd, so no timer would run. Use cron (schedule_manager).")
    if not any(_installed(name) for name in CRONS):
        raise StoreError("This host has neither systemd nor cron, so nothing would start a backup. Install cron.")
    tables = os.path.dirname(CRON_TABLE)
    if not os.path.isdir(places.at(tables)):
        raise StoreError(f"The cron of this host reads no {tables}, so nothing would start a backup. Install another.")
    return CRON


def plan(request: Request, places: Places) -> Plan:
    """Compare a host with what it has to run; raises StoreError for a job that runs while it is to be removed."""
    wanted = _wanted(request, places)
    links: dict[str, str] = {}
    archive = _archive(request, places)
    if archive:
        links[os.path.join(places.program, PROGRAM)] = os.path.basename(archive)
    kept = {job.name for job in request.jobs}
    for name in names(places.jobs):
        if name not in kept:
            _refuse_while_it_runs(places, name)
    gone = [path for path in _ours(places, kept) if path not in wanted and path not in links]
    units = places.at(UNITS)
    timers = [path for path in gone if os.path.dirname(path) == units and path.endswith(".timer")]
    # When systemd has started it last.
    stamps = [_stamp(places, path) for path in timers]
    metrics = metrics_path(request.metrics_directory or "", SCHEDULE)
    gone += [path for path in (*stamps, *(() if kept else (metrics,))) if os.path.isfile(path)]
    changes = [
        *(_change(path, text, mode) for path, (text, mode) in wanted.items()),
        *(_link(path, target) for path, target in links.items()),
        *(Change(path, _text(path), None) for path in sorted(gone)),
    ]
    found = tuple(change for change in changes if change is not None)
    touched = {change.path for change in found if os.path.dirname(change.path) == units}
    names_of_timers = [f"{job.unit}.timer" for job in request.jobs if job.manager == SYSTEMD]
    start = [n for n in names_of_timers if os.path.join(units, n) in touched or not places.services.runs(n)]
    stop = [os.path.basename(path) for path in timers] if os.path.isdir(places.at(BOOTED)) else []
    missing = archive if archive and _content(archive) != request.digest else None
    spare = [path for path in _archives(places) if path != archive and not _used(path)]
    renewed = [
        os.path.basename(change.path)
        for change in found
        if change.path in touched
        and change.before is not None
        and change.after is not None
        and calendar_of(change.before) != calendar_of(change.after)
    ]
    return Plan(
        request=request,
        changes=found,
        archive=missing,
        spare=tuple(spare),
        start=tuple(start),
        stop=tuple(sorted(stop)),
        reload=bool(touched),
        renewed=tuple(renewed),
    )


def apply(wanted: Plan, places: Places) -> list[str]:
    """Bring a host into the state of the plan, the program before what starts it; return remarks."""
    if wanted.archive:
        _bring(wanted, places)
    for unit in wanted.stop:
        places.services.stop(unit)
    for change in wanted.changes:
        if change.after is None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(change.path)
        elif change.target is not None:
            _relink(change.path, change.target)
        else:
            private = os.path.dirname(change.path) == places.jobs
            since = _since(change) if private else None
            os.makedirs(os.path.dirname(change.path), mode=0o700 if private else 0o755, exist_ok=True)
            with partial_file(change.path) as descriptor:
                os.fchmod(descriptor, change.mode)
                write_all(descriptor, change.after.encode())
            if since is not None:
                os.utime(change.path, ns=(since, since))
    # Else systemd would make up at once for a time that nobody wanted when it was: it counts from the last start, which
    # it remembers of an active timer when it reads the new time, and has from the stamp when it starts one.
    for unit in wanted.renewed:
        places.services.pause(unit)
        with contextlib.suppress(FileNotFoundError):
            os.utime(_stamp(places, unit))
    if wanted.reload:
        places.services.reload()
    for unit in wanted.start:
        places.services.start(unit)
    for path in wanted.spare:
        # A run may have begun meanwhile.
        if not _used(path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
    if not wanted.request.jobs:
        for path in glob.glob(os.path.join(glob.escape(places.locks), "schedule-*.lock")):
            os.unlink(path)
        parents = [os.path.dirname(path) for path in (places.jobs, places.state)]
        for directory in (places.jobs, places.state, places.program, *parents):
            # Where anything else lies, it is not ours.
            with contextlib.suppress(OSError):
                os.rmdir(directory)
    # What they say of the next time must not be that of another calendar, nor begin with the first run.
    now = datetime.datetime.now(UTC)
    directories = sorted({job.metrics_directory for job in wanted.request.jobs if job.metrics_directory})
    return [remark for path in directories for remark in refresh(path, places.jobs, places.state, now)]


def trial(name: str, request: Request, places: Places) -> dict[str, t.Any]:
    """Let the host run a job in check mode, as the timer would; return what the program says about it."""
    argv = [request.python, "-I", os.path.join(places.program, PROGRAM), "try", name]
    try:
        done = run(Stage(f"try the job {name}", argv, accept=frozenset({0, 1})))
    except ProcessError as exc:
        return {"job": name, "ok": False, "message": str(exc), "steps": []}
    # Before its answer it tells of every step.
    lines = [line for line in done.stdout.splitlines() if line.startswith(b"{")]
    if not lines:
        return {"job": name, "ok": False, "message": done.stderr.strip(), "steps": []}
    return dict(json.loads(lines[-1]))


def _wanted(request: Request, places: Places) -> dict[str, tuple[str, int]]:
    ways = Ways(request.python, os.path.join(places.program, PROGRAM), request.memory_max)
    found = {path_of(places.jobs, job.name): (encode(job).decode(), 0o600) for job in request.jobs}
    kind = request.jobs[0].manager if request.jobs else CRON
    found.update({places.at(path): (text, 0o644) for path, text in files(kind, request.jobs, ways).items()})
    if request.jobs:
        versions = {"version": request.version, "ansible_core": request.ansible_core}
        found[os.path.join(places.program, VERSION_FILE)] = (json.dumps(versions) + "\n", 0o644)
    return found


def _ours(places: Places, kept: Collection[str]) -> Iterator[str]:
    """Yield the files that any installation may have made, but the archives and the states of the jobs that stay."""
    yield from (path_of(places.jobs, name) for name in names(places.jobs))
    yield from (os.path.join(places.state, f"{name}.json") for name in names(places.state) if name not in kept)
    for path in (os.path.join(places.program, name) for name in (PROGRAM, VERSION_FILE)):
        if os.path.lexists(path):
            yield path
    units = glob.glob(os.path.join(glob.escape(places.at(UNITS)), f"{PREFIX}*"))
    # Other roles have units of that name, too.
    yield from (path for path in (*units, places.at(CRON_TABLE)) if (_text(path) or "").startswith(MARK))


def _stamp(places: Places, timer: str) -> str:
    return places.at(os.path.join(STAMPS, f"stamp-{os.path.basename(timer)}"))


def _archive(request: Request, places: Places) -> str | None:
    return os.path.join(places.program, f"crm-continuity-{request.digest[:16]}.pyz") if request.jobs else None


def _archives(places: Places) -> list[str]:
    found = glob.glob(os.path.join(glob.escape(places.program), "crm-continuity-*.pyz"))
    return sorted(path for path in found if not os.path.islink(path))


def _content(path: str) -> str | None:
    """Return the digest of what is in an archive, as the control node counts it; None for one that is damaged."""
    total = hashlib.sha256()
    try:
        with zipfile.ZipFile(path) as packed:
            for name in sorted(packed.namelist()):
                content = packed.read(name)
                total.update(f"{name}\0{len(content)}\0".encode())
                total.update(content)
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return None
    return total.hexdigest()


def _bring(wanted: Plan, places: Places) -> None:
    given = wanted.request.archive
    if given is None or _content(given) != wanted.request.digest:
        raise StoreError(f"The archive did not arrive on this host as it was sent ({given}). Run this again.")
    os.makedirs(places.program, mode=0o755, exist_ok=True)
    with open(given, "rb") as source, partial_file(str(wanted.archive)) as descriptor:
        os.fchmod(descriptor, 0o644)
        write_all(descriptor, source.read())


def _used(path: str) -> bool:
    """Tell whether a run holds an archive."""
    try:
        with open(path, "rb") as archive:
            fcntl.flock(archive, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _refuse_while_it_runs(places: Places, name: str) -> None:
    try:
        last = load(places.state, name).last
    except StoreError:
        # A state that cannot be read goes, too.
        return
    if last and last.verdict == RUNNING:
        message = f"The job {name} runs since {last.began}. Wait for its end, or stop it, and remove its timer then."
        raise StoreError(message, job=name)


def _change(path: str, text: str, mode: int) -> Change | None:
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return Change(path, None, text, mode)
    before = _text(path) if stat.S_ISREG(status.st_mode) else None
    same = before == text and stat.S_IMODE(status.st_mode) == mode
    return None if same else Change(path, before, text, mode)


def _link(path: str, target: str) -> Change | None:
    before = os.readlink(path) if os.path.islink(path) else None
    if before == target:
        return None
    return Change(path, f"-> {before}\n" if before else None, f"-> {target}\n", target=target)


def _since(change: Change) -> int | None:
    """Return since when a job counts that keeps its calendar: what it missed until now was missed all the same."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(change.before or "")["calendar"] == json.loads(change.after or "")["calendar"]:
            return os.stat(change.path).st_mtime_ns
    return None


def _relink(path: str, target: str) -> None:
    partial = f"{path}.partial"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial)
    os.symlink(target, partial)
    os.replace(partial, path)
    sync_directory(os.path.dirname(path))


def _text(path: str) -> str | None:
    if os.path.islink(path):
        return f"-> {os.readlink(path)}\n"
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def _installed(name: str) -> bool:
    try:
        program(name)
    except ProcessError:
        return False
    return True
