# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read crontabs, and find lines about backups that cannot work.

Decisions over text; whether a file, a user or a container is there is asked from a ``Host``. No command line is
repeated in a finding, for passwords stand in them. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import re
import shlex
import typing as t
from dataclasses import dataclass

from ._legacy_finding import CRITICAL, WARNING, Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_ASSIGNMENT = re.compile(r"\s*[A-Za-z_][A-Za-z0-9_]*\s*=")
_BACKUP = re.compile(r"backup|dump|sidekick|retrieve|\btar\b|restic|borg|rclone|rsync", re.IGNORECASE)
_SHELLS = frozenset({"sh", "bash", "dash", "/bin/sh", "/bin/bash", "/usr/bin/bash", "/usr/bin/env"})
# What Debian's cron and run-parts take for the name of a file to run.
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_PASSWORD = re.compile(r"(?:PGPASSWORD|MYSQL_PWD|RESTIC_PASSWORD|BORG_PASSPHRASE)=(?![\"']?[$\"'])\S|--password=[^\s$]")

# What is wrong in a command line or a script: a pattern, how bad it is, and why.
_RULES: tuple[tuple[str, re.Pattern[str], str, str], ...] = (
    (
        "no-command",
        re.compile(r"compose\b[^|;&]*\sup\b[^|;&]*sidekick"),
        CRITICAL,
        "starts the sidekick without a command, upon which it prints 'Unrecognized command' and ends: nothing is "
        "backed up. It would have to be: docker compose run --rm SERVICE backup",
    ),
    (
        "no-terminal",
        re.compile(r"docker\b[^|;&]*\s(?:exec|run)\s[^|;&]*-(?:t\b|it\b|ti\b|-tty\b)"),
        CRITICAL,
        "asks Docker for a terminal, and cron has none: the command fails. Leave -t out.",
    ),
    (
        "lost-failure",
        re.compile(r"pg_dump(?:all)?\b[^|;&]*\|(?!\|)"),
        WARNING,
        "sends a dump through a pipe: when pg_dump fails, the pipe still succeeds and leaves an empty file.",
    ),
    (
        "blind-retention",
        re.compile(r"\bfind\b[^|;&]*-(?:mtime|mmin|ctime)\s+\+\S+[^|;&]*(?:-delete|\brm\b)"),
        WARNING,
        "deletes files by age alone: when new ones fail or stay away, the last good one goes, too.",
    ),
    (
        "wrong-name",
        re.compile(r"backup_\$\{?(?:DATE|TIMESTAMP|NOW)\}?\.tar\.gz"),
        WARNING,
        "looks for backup_DATE.tar.gz, a name that the sidekick never writes: it calls its archives "
        "ticketz-backup-YYYYmmddHHMMSS.tar.gz.",
    ),
)


class Host(t.Protocol):
    """What a crontab refers to."""

    def is_file(self, path: str) -> bool: ...

    def is_executable(self, path: str) -> bool: ...

    def text(self, path: str) -> str | None:
        """Return the beginning of a script, None for what is none or cannot be read."""

    def has_user(self, name: str) -> bool: ...

    def has_container(self, name: str) -> bool:
        """Whether there is one; yes where nobody can tell."""


@dataclass(frozen=True)
class Job:
    """One line of a crontab."""

    where: str
    user: str | None
    command: str


def jobs(path: str, text: str, *, system: bool) -> list[Job]:
    """Return the commands of a crontab; those of the system name a user."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or _ASSIGNMENT.match(line):
            continue
        times = 1 if stripped.startswith("@") else 5
        words = stripped.split(None, times + system)
        if len(words) == times + system + 1:
            found.append(Job(f"{path}:{number}", words[times] if system else None, words[-1]))
    return found


def check_crontab(path: str, text: str, host: Host, *, system: bool) -> Iterator[Finding]:
    """Yield what cannot work in a crontab, of what is about backups."""
    about = [job for job in jobs(path, text, system=system) if _is_backup(job, host)]
    for job in about:
        yield from _check(job, host)
    if about and not text.endswith("\n"):
        last = len(text.splitlines())
        if about[-1].where == f"{path}:{last}":
            yield Finding(
                "cron", CRITICAL, about[-1].where, "The last line does not end with a line feed: cron ignores it."
            )


def check_name(path: str, text: str, host: Host) -> Iterator[Finding]:
    """Yield whether cron and run-parts pass over a file of /etc/cron.d or /etc/cron.daily because of its name."""
    name = os.path.basename(path)
    if not _NAME.fullmatch(name) and _BACKUP.search(name + text):
        message = (
            f"Files with other characters than letters, digits, '_' and '-' in their names are ignored: rename {name}."
        )
        yield Finding("cron", CRITICAL, path, message)


def check_script(path: str, text: str, host: Host) -> Iterator[Finding]:
    """Yield what cannot work in a script that a crontab runs."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("#"):
            yield from _rules(f"{path}:{number}", line)
            yield from _containers(f"{path}:{number}", line, host)


def _is_backup(job: Job, host: Host) -> bool:
    # Where the user was forgotten, the program is taken for one.
    if _BACKUP.search(job.command) or _BACKUP.search(job.user or ""):
        return True
    program = _program(job.command)
    text = host.text(program) if program else None
    return bool(text and re.search(r"pg_dump|sidekick|docker (?:run|volume)|\btar\b", text))


def _check(job: Job, host: Host) -> Iterator[Finding]:
    where, command = job.where, job.command
    if job.user is not None and not host.has_user(job.user):
        message = f"There is no user {job.user[:32]!r}: the field before the command names who runs it."
        yield Finding("cron", CRITICAL, where, message)
    if re.search(r"(?<!\\)%", command):
        message = "The command ends at its first '%', and the rest becomes its input: write '\\%'."
        yield Finding("cron", CRITICAL, where, message)
    program = _program(command)
    if program is not None and not host.is_file(program):
        yield Finding("cron", CRITICAL, where, f"It runs {program}, which does not exist.")
    elif program is not None and command.split()[0] == program and not host.is_executable(program):
        yield Finding("cron", CRITICAL, where, f"It runs {program}, which is not executable.")
    if _without_project(command):
        message = "Compose looks for its file in the directory that it is run in, and for cron that is a home: give -f."
        yield Finding("cron", CRITICAL, where, message)
    yield from _rules(where, command)
    yield from _containers(where, command, host)
    text = host.text(program) if program is not None else None
    if program is not None and text is not None:
        yield from check_script(program, text, host)


def _without_project(command: str) -> bool:
    composes = re.search(r"docker[ -]compose\b", command)
    return bool(composes and not re.search(r"(?:\s-f|--file|--project-directory|\bcd\s|COMPOSE_FILE)", command))


def _rules(where: str, line: str) -> Iterator[Finding]:
    for kind, pattern, severity, message in _RULES:
        if pattern.search(line):
            yield Finding(kind, severity, where, f"The line {message}")
    if _PASSWORD.search(line):
        message = "A password stands in it, for everybody who may read the file, and in the list of processes."
        yield Finding("exposed-secret", WARNING, where, message)


def _containers(where: str, line: str, host: Host) -> Iterator[Finding]:
    for name in re.findall(r"docker\s+exec\s+(?:-\S+\s+)*([A-Za-z0-9][\w.-]+)", line):
        if not host.has_container(name):
            message = f"It runs something in the container {name}, and there is none of that name."
            yield Finding("no-container", CRITICAL, where, message)


def _program(command: str) -> str | None:
    """Return the file that a command runs, where it is given by its path."""
    try:
        words = shlex.split(command.partition("%")[0])
    except ValueError:
        words = command.split()
    words = [word for word in words if not re.fullmatch(r"[A-Za-z_]\w*=.*", word)]
    while words and (words[0] in _SHELLS or words[0] in ("bash", "nice", "ionice")):
        words = [word for word in words[1:] if not word.startswith("-")] if "-c" not in words else []
    return words[0] if words and words[0].startswith("/") else None
