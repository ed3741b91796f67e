# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at archives and dumps that other means have written: who may read them, and whether they hold anything.

Reads the newest of each kind to their end and writes nothing. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import re
import stat
import tarfile
import time
import typing as t
from dataclasses import dataclass

from ._backup_adopt_inputs import RUNBOOK, TICKETZ, choose
from ._compression import decompress_stage
from ._encryption import detect
from ._errors import ContinuityError, StoreError
from ._files import CHUNK
from ._legacy_finding import CRITICAL, INFO, WARNING, Finding
from ._process import Pipeline, Stage
from ._progress import expect, phase, reading

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_FILE = re.compile(r".+\.(?:tar|tgz|tar\.gz|tar\.zst|sql|sql\.gz|sql\.zst|dump|dump\.gz|pgdump)(?:\.age|\.gpg)?")
_DIGITS = re.compile(r"\d+")
_DATE = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_TICKETZ = re.compile(r"ticketz-backup-\d{14}\.tar\.gz")
_COMPLETE = b"-- PostgreSQL database dump complete"
_DUMP = b"-- PostgreSQL database dump"
_CUSTOM = b"PGDMP"
DEEPEST = 5
LARGEST_WALK = 200_000
DAY = 86400.0


@dataclass(frozen=True)
class File:
    """A file that looks like a backup."""

    path: str
    size: int
    mode: int
    changed: float

    @property
    def kind(self) -> str:
        """What the files of one kind in one directory have in common: their names without digits."""
        return _DIGITS.sub("#", os.path.basename(self.path))


def search(places: Iterable[str], without: Sequence[str] = ()) -> list[File]:
    """Return what looks like a backup below some directories, by its name; ``without`` is not entered."""
    found: dict[str, File] = {}
    seen = 0
    skipped = {os.path.realpath(path) for path in without}
    for place in places:
        base = place.rstrip("/").count("/")
        for directory, names, files in os.walk(place):
            deep = directory.count("/") - base >= DEEPEST
            names[:] = [] if deep else [n for n in names if os.path.realpath(os.path.join(directory, n)) not in skipped]
            seen += len(files)
            if seen > LARGEST_WALK:
                return list(found.values())
            for name in files:
                if _FILE.fullmatch(name) and (file := _file(os.path.join(directory, name))):
                    found[file.path] = file
    return sorted(found.values(), key=lambda file: file.path)


def _file(path: str) -> File | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    regular = stat.S_ISREG(status.st_mode)
    return File(path, status.st_size, stat.S_IMODE(status.st_mode), status.st_mtime) if regular else None


@dataclass(frozen=True)
class Examined:
    """What was found, and the files that could be read to their end and hold something."""

    findings: tuple[Finding, ...]
    sound: frozenset[str]


def examine(files: Sequence[File], newest: int, max_age: float) -> Examined:
    """Look at all files from outside, and read the ``newest`` of each kind; ``max_age`` is in days."""
    findings: list[Finding] = []
    sound: set[str] = set()
    for file in files:
        findings += _outside(file)
    groups = _groups(files)
    phase("read")
    expect(lambda: {file.path: file.size for group in groups for file in group[:newest]})
    for group in groups:
        for file in group[:newest]:
            with reading(file.path, file.path):
                problems = list(_inside(file))
            findings += problems
            if file.size and not any(problem.severity == CRITICAL for problem in problems):
                sound.add(file.path)
        findings += _age(group, sound, max_age)
    return Examined(tuple(findings), frozenset(sound))


def adoptable(files: Sequence[File], sound: frozenset[str]) -> list[dict[str, t.Any]]:
    """Return which files the adopter would make a backup of, one entry for each directory and kind."""
    found = []
    for directory in sorted({os.path.dirname(path) for path in sound}):
        paths = [file.path for file in files if os.path.dirname(file.path) == directory and file.path in sound]
        for kind, chosen in _choices(paths):
            found.append({"kind": kind, "paths": chosen})
    return found


def _choices(paths: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    ticketz = sorted(path for path in paths if _TICKETZ.fullmatch(os.path.basename(path)))
    if ticketz:
        yield TICKETZ, ticketz[-1:]
    rest = [path for path in paths if path not in ticketz and not path.endswith((".age", ".gpg"))]
    if not rest:
        return
    try:
        if ticketz:
            # In a directory with both, the adopter wants the files by name: those of the newest day.
            newest = max((_day(path) for path in rest), default="")
            inputs = choose([path for path in rest if newest and _day(path) == newest], "", (), ())
        else:
            inputs = choose([os.path.dirname(rest[0])], "", (), ())
    except StoreError:
        return
    chosen = [entry.path for entry in (*inputs.archives, *inputs.dumps)]
    if set(chosen) <= set(rest):
        yield RUNBOOK, chosen


def _day(path: str) -> str:
    found = _DATE.search(os.path.basename(path))
    return "".join(found.groups()) if found else ""


def _groups(files: Sequence[File]) -> list[list[File]]:
    """Return the files of each kind in each directory, the newest first."""
    groups: dict[tuple[str, str], list[File]] = {}
    for file in files:
        groups.setdefault((os.path.dirname(file.path), file.kind), []).append(file)
    return [sorted(group, key=lambda file: (file.changed, file.path), reverse=True) for group in groups.values()]


def _outside(file: File) -> Iterator[Finding]:
    if not file.size:
        yield Finding("empty", CRITICAL, file.path, "The file is empty: whatever should have been written was not.")
    elif file.mode & 0o004 and _reachable(os.path.dirname(file.path)) and detect(file.path) == "none":
        message = f"Every user of this host may read it (mode {file.mode:04o}), and it is not encrypted: chmod 600."
        yield Finding("exposed", CRITICAL, file.path, message)


def _reachable(directory: str) -> bool:
    """Tell whether every user may enter a directory."""
    while True:
        if not os.stat(directory).st_mode & 0o001:
            return False
        if directory in ("/", ""):
            return True
        directory = os.path.dirname(directory)


def _age(group: Sequence[File], sound: set[str], max_age: float) -> Iterator[Finding]:
    newest = next((file for file in group if file.path in sound), None)
    if newest is None:
        return
    days = (time.time() - newest.changed) / DAY
    if days > max_age:
        message = f"It is the newest of its kind that can be read, and {days:.0f} days old."
        yield Finding("stale", WARNING, newest.path, message)


def _inside(file: File) -> Iterator[Finding]:
    if not file.size:
        return
    if detect(file.path) != "none":
        yield Finding("encrypted", INFO, file.path, "It is encrypted, so it was not looked into.")
        return
    try:
        yield from _read(file)
    except (ContinuityError, OSError, tarfile.TarError, EOFError) as exc:
        message = (
            f"It cannot be read to its end ({_first_line(exc)}): it is damaged or truncated, and restores nothing."
        )
        yield Finding("damaged", CRITICAL, file.path, message)


def _read(file: File) -> Iterator[Finding]:
    name = os.path.basename(file.path)
    compression = "gzip" if name.endswith((".gz", ".tgz")) else "zstd" if name.endswith(".zst") else "none"
    unpack = decompress_stage(compression, f"unpack {file.path}")
    with open(file.path, "rb") as stream:
        stages = [unpack or Stage(f"read {file.path}", ["cat"])]
        with Pipeline(stages, stdin=stream.fileno()) as pipeline:
            if ".tar" in name or name.endswith(".tgz"):
                yield from _tar(file, pipeline.stdout)
            else:
                yield from _dump(file, pipeline.stdout)


def _tar(file: File, stream: t.BinaryIO) -> Iterator[Finding]:
    members, size, dump = 0, 0, None
    with tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.isfile():
                members, size = members + 1, size + member.size
                if os.path.basename(member.name) == "db_dump.sql":
                    dump = member.size
    _drain(stream)
    if _TICKETZ.fullmatch(os.path.basename(file.path)) and not dump:
        message = (
            "The dump in it is empty: pg_dump failed, and the sidekick said 'Backup completed'."
            if dump == 0
            else "There is no dump of the database in it."
        )
        yield Finding("empty", CRITICAL, file.path, message)
    elif not size:
        yield Finding("empty", CRITICAL, file.path, f"It holds {members} files, and no byte in them.")


def _dump(file: File, stream: t.BinaryIO) -> Iterator[Finding]:
    start = end = b""
    while chunk := stream.read(CHUNK):
        start = start or chunk[:4096]
        end = (end + chunk)[-4096:]
    if start.startswith(_CUSTOM):
        return
    if not start.strip():
        yield Finding("empty", CRITICAL, file.path, "There is nothing in the dump: whatever should have dumped failed.")
    elif _DUMP not in start:
        message = "It does not begin as a dump of PostgreSQL: it may hold an error message, or be of something else."
        yield Finding("damaged", CRITICAL, file.path, message)
    elif _COMPLETE not in end:
        message = "The dump does not end as pg_dump ends one: it was cut off, and restores a part of the tables."
        yield Finding("damaged", CRITICAL, file.path, message)


def _drain(stream: t.BinaryIO) -> None:
    # What comes after the last member belongs to the checksum of the compressed file.
    while stream.read(CHUNK):
        pass


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0][:200]
