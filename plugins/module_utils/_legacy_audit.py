# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out what on a host looks like backup and is not, and what nothing covers.

Looks at settings, crontabs, archives, containers and at the backups of this collection; changes nothing. Standard
library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import glob
import os
import pwd
import typing as t
from dataclasses import dataclass

from ._backup_store import Store
from ._errors import ContinuityError, StoreError
from ._legacy_archives import adoptable, examine, search
from ._legacy_cron import check_crontab, check_name
from ._legacy_finding import CRITICAL, INFO, SEVERITIES, WARNING, Finding
from ._legacy_settings import SIDEKICK, UNREAD, unread, unread_settings
from ._stack import COMPOSE
from ._stack_find import find
from ._stack_other_databases import with_unnamed

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._engine import Container, Engine
    from ._manifest import Manifest
    from ._profile import Profile
    from ._stack import Stack

PLACES = ("/opt", "/srv", "/home", "/root", "/backup", "/backups", "/var/backups")
CRONTABS = ("/etc/crontab", "/etc/cron.d/*", "/var/spool/cron/crontabs/*", "/var/spool/cron/*")
# Scripts that run-parts runs, by their names.
PERIODIC = ("/etc/cron.hourly/*", "/etc/cron.daily/*", "/etc/cron.weekly/*", "/etc/cron.monthly/*")
DAEMONS = ("/usr/sbin/cron", "/usr/sbin/crond", "/usr/sbin/cronie", "/usr/sbin/bcron-start")
SETTINGS = ("*.yml", "*.yaml", ".env*", "*.env", "env/*", "env/.env*")
OTHER_SETTINGS = ("/etc/prometheus/*.yml",)
LONGEST_TEXT = 1 << 20
# Volumes in which other means keep what they write.
_KEEPERS = ("backup", "retrieve", "dump")


@dataclass(frozen=True)
class Request:
    """Where to look, how many of the newest files of each kind to read, and after how many days one is old.

    ``filesystem`` is the directory that stands for ``/``.
    """

    root: str
    places: tuple[str, ...] = PLACES
    newest: int = 3
    max_age: float = 2.0
    filesystem: str = ""


@dataclass(frozen=True)
class Cover:
    """One volume, directory or database, and the newest backup that holds it."""

    kind: str
    name: str
    stack: str | None
    backup: str | None
    cut_at: str | None
    note: str = ""

    @property
    def covered(self) -> bool:
        return self.backup is not None


@dataclass(frozen=True)
class Report:
    """What was found, the worst first; what could be adopted; and what is covered by what."""

    findings: tuple[Finding, ...]
    adoptable: tuple[dict[str, t.Any], ...]
    coverage: tuple[Cover, ...]
    files: int


def audit(request: Request, engine: Engine | None, profiles: Mapping[str, Profile]) -> Report:
    """Look at everything. Without an ``engine``, what runs in containers stays unknown, and that is said."""
    findings: list[Finding] = []
    containers: list[Container] = []
    coverage: list[Cover] = []
    if engine is None:
        message = "No container engine answers: settings of containers and what is covered could not be looked at."
        findings.append(Finding("engine", WARNING, "docker", message))
    else:
        containers = engine.containers()
        findings += _sidekicks(containers)
        coverage = _coverage(request, engine, profiles, containers, findings)
        findings += [_uncovered(cover) for cover in coverage if not cover.covered and not cover.note]
    findings += _settings(request, containers)
    findings += _crontabs(request, _Host(request.filesystem, containers if engine is not None else None))
    files = search(_places(request, engine, containers), [request.root])
    examined = examine(files, request.newest, request.max_age)
    findings += examined.findings
    order = {severity: place for place, severity in enumerate(SEVERITIES)}
    unique = sorted(set(findings), key=lambda one: (order[one.severity], one.kind, one.where, one.message))
    return Report(tuple(unique), tuple(adoptable(files, examined.sound)), tuple(coverage), len(files))


class _Host:
    """The files, users and containers of this host."""

    def __init__(self, filesystem: str, containers: Sequence[Container] | None) -> None:
        self._filesystem = filesystem
        self._containers = None if containers is None else {container.name for container in containers}

    def is_file(self, path: str) -> bool:
        return os.path.isfile(self._filesystem + path)

    def is_executable(self, path: str) -> bool:
        return os.access(self._filesystem + path, os.X_OK)

    def text(self, path: str) -> str | None:
        text = _text(self._filesystem + path)
        return text if text is not None and text.startswith("#!") else None

    def has_user(self, name: str) -> bool:
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def has_container(self, name: str) -> bool:
        return self._containers is None or name in self._containers


def _text(path: str) -> str | None:
    """Return what a text file holds, None for what is none or cannot be read."""
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > LONGEST_TEXT:
            return None
        with open(path, "rb") as stream:
            content = stream.read(LONGEST_TEXT)
    except OSError:
        return None
    return None if b"\0" in content else content.decode(errors="replace")


def _sidekicks(containers: Sequence[Container]) -> Iterator[Finding]:
    for container in containers:
        if SIDEKICK not in container.image:
            continue
        for name in UNREAD:
            if name in container.env:
                yield unread(name, f"container {container.name}")
        if container.state == "restarting":
            message = "The sidekick begins again and again: it was started without a command, and backs up nothing."
            yield Finding("no-command", CRITICAL, f"container {container.name}", message)


def _settings(request: Request, containers: Sequence[Container]) -> Iterator[Finding]:
    paths: set[str] = set()
    for directory in _projects(containers):
        for pattern in SETTINGS:
            paths.update(glob.glob(request.filesystem + os.path.join(directory, pattern)))
    for container in containers:
        named = container.labels.get(COMPOSE + "project.config_files", "")
        paths.update(request.filesystem + path for path in named.split(",") if path.startswith("/"))
    for pattern in OTHER_SETTINGS:
        paths.update(glob.glob(request.filesystem + pattern))
    for path in sorted(paths):
        if (text := _text(path)) is not None:
            yield from unread_settings(path[len(request.filesystem) :], text)


def _projects(containers: Sequence[Container]) -> list[str]:
    found = {container.labels.get(COMPOSE + "project.working_dir", "") for container in containers}
    return sorted(directory for directory in found if directory.startswith("/"))


def _crontabs(request: Request, host: _Host) -> Iterator[Finding]:
    crontabs = [path for pattern in CRONTABS for path in sorted(glob.glob(request.filesystem + pattern))]
    about = 0
    for path in crontabs:
        if (text := _text(path)) is None:
            continue
        name = path[len(request.filesystem) :]
        found = list(check_crontab(name, text, host, system=name.startswith("/etc/")))
        if name.startswith("/etc/cron.d/"):
            found += check_name(name, text, host)
            found += _refused(path, name)
        about += len(found)
        yield from found
    for pattern in PERIODIC:
        for path in sorted(glob.glob(request.filesystem + pattern)):
            yield from check_name(path[len(request.filesystem) :], _text(path) or "", host)
    if about and not any(os.path.exists(request.filesystem + daemon) for daemon in DAEMONS):
        yield Finding(
            "cron", CRITICAL, "cron", "There are crontabs about backups, and no cron is installed to run them."
        )


def _refused(path: str, name: str) -> Iterator[Finding]:
    status = os.stat(path)
    if status.st_mode & 0o022 or status.st_uid != 0:
        yield Finding("cron", WARNING, name, "Others than root may write it, so cron does not run it.")


def _places(request: Request, engine: Engine | None, containers: Sequence[Container]) -> list[str]:
    """Return where to search: the usual places, the projects, and what other means keep their files in."""
    found = {request.filesystem + place for place in (*request.places, *_projects(containers))}
    for container in containers:
        for mount in container.mounts:
            if mount.kind == "bind" and any(word in mount.target for word in _KEEPERS):
                found.add(request.filesystem + mount.source)
    if engine is not None:
        volumes = os.path.join(engine.info().root, "volumes")
        # One that no container mounts now is not known by name: a sidekick is there only while it runs.
        names = os.listdir(volumes) if os.access(volumes, os.R_OK | os.X_OK) else []
        found |= {os.path.join(volumes, name, "_data") for name in names if any(word in name for word in _KEEPERS)}
    inside = sorted(place for place in found if os.path.isdir(place))
    return [p for p in inside if not any(p.startswith(other.rstrip("/") + "/") for other in inside if other != p)]


def _coverage(
    request: Request,
    engine: Engine,
    profiles: Mapping[str, Profile],
    containers: Sequence[Container],
    findings: list[Finding],
) -> list[Cover]:
    try:
        stacks = find(engine, profiles)
    except ContinuityError as exc:
        findings.append(Finding("stacks", WARNING, "docker", f"The stacks of this host could not be told apart: {exc}"))
        stacks = []
    coverage: list[Cover] = []
    for stack in stacks:
        known = stack
        try:
            known = with_unnamed(engine, stack)
        except ContinuityError as exc:
            message = f"Its database servers could not be asked what else they hold: {exc}"
            findings.append(Finding("databases", WARNING, f"stack {stack.name}", message))
        coverage += _of_stack(request, known, findings)
    names = {stack.name for stack in stacks}
    seen = {cover.name for cover in coverage}
    for container in containers:
        project = container.labels.get(COMPOSE + "project")
        if project in names:
            continue
        for mount in container.mounts:
            if mount.kind == "volume" and mount.source not in seen:
                seen.add(mount.source)
                coverage.append(Cover("volume", mount.source, project, None, None))
    return coverage


def _of_stack(request: Request, stack: Stack, findings: list[Finding]) -> list[Cover]:
    manifest = _newest(request, stack.name, findings)
    held = {(a.kind, a.source) for a in manifest.artifacts} if manifest is not None else set()
    dumped = {source for kind, source in held if kind == "dump"}
    rows = []
    for data in stack.data:
        there = ("archive", data.source) in held or (data.coverage == "dump" and bool(dumped))
        note = data.note or "there is nothing to keep" if data.coverage == "none" else ""
        rows.append(_cover(data.kind, data.source, stack, manifest if there else None, note))
    rows += [
        _cover("database", database.name, stack, manifest if database.name in dumped else None, "")
        for database in stack.databases
    ]
    rows += [_cover(f"{other.kind} database", other.name, stack, None, "") for other in stack.others]
    for outside in stack.outside:
        if not outside.covered:
            message = (
                f"{outside.name} is outside of the stack, in {outside.where}, and no backup holds it: {outside.how}"
            )
            findings.append(Finding("uncovered", WARNING, f"stack {stack.name}", message))
    return rows


def _cover(kind: str, name: str, stack: Stack, manifest: Manifest | None, note: str) -> Cover:
    if manifest is None:
        return Cover(kind, name, stack.name, None, None, note)
    return Cover(kind, name, stack.name, manifest.id, manifest.cut_at, note)


def _newest(request: Request, stack: str, findings: list[Finding]) -> Manifest | None:
    """Return the manifest of the newest backup that has one."""
    for backup in reversed(Store(request.root).backups(stack)):
        try:
            manifest = backup.manifest()
        except StoreError as exc:
            findings.append(Finding("damaged", CRITICAL, backup.path, str(exc)))
            continue
        age = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(manifest.cut_at)
        if age > datetime.timedelta(days=request.max_age):
            message = f"The newest backup of stack {stack} is {age.days} days old."
            findings.append(Finding("stale", WARNING, backup.path, message))
        return manifest
    return None


def _uncovered(cover: Cover) -> Finding:
    if cover.stack is None or cover.kind.endswith(" database"):
        return Finding("uncovered", WARNING, f"{cover.kind} {cover.name}", "No backup of this collection holds it.")
    severity = CRITICAL if cover.kind in ("volume", "bind", "database") else INFO
    message = f"No backup of this collection holds it; it belongs to stack {cover.stack}."
    return Finding("uncovered", severity, f"{cover.kind} {cover.name}", message)
