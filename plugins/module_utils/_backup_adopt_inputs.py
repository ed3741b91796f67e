# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recognise by their names which files belong to one backup that other means have made.

The runbook writes one ``<volume>_YYYY-MM-DD_HHMM.tar.gz`` after the other, so the minutes differ within one run. The
sidekick of Ticketz writes one ``ticketz-backup-YYYYmmddHHMMSS.tar.gz``. Both take the time from ``date`` in a container
without a time zone: it is UTC. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import os
import re
import typing as t
from dataclasses import dataclass

from ._errors import StoreError

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

RUNBOOK, TICKETZ = "runbook", "ticketz-backup"
# One run of the runbook takes no longer than this from its first archive to its last.
LONGEST_RUN = datetime.timedelta(hours=6)

_TICKETZ = re.compile(r"ticketz-backup-(\d{14})\.tar\.gz")
_ARCHIVE = re.compile(r"(?P<stem>.+?)\.(?:tar|tar\.gz|tgz|tar\.zst)")
_DUMP = re.compile(r"(?P<stem>.+?)\.(?:sql|dump|pgdump)(?:\.gz|\.zst)?")
_DATED = re.compile(r"(?P<name>.*?)[_.-]?(?P<date>\d{4}-?\d{2}-?\d{2})(?:[_T.-]?(?P<time>\d{2}[:h-]?\d{2}))?.*?")


@dataclass(frozen=True)
class Input:
    """A file; ``name`` is what its name says that it holds, ``made_at`` when, None where it does not say."""

    path: str
    name: str
    made_at: datetime.datetime | None

    @property
    def file(self) -> str:
        return os.path.basename(self.path)


@dataclass(frozen=True)
class Inputs:
    """The files of one backup. ``remarks`` are about what was found and left out."""

    kind: str
    made_at: datetime.datetime
    archives: tuple[Input, ...]
    dumps: tuple[Input, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def last(self) -> datetime.datetime:
        """When the last of its archives was begun."""
        return max((entry.made_at for entry in self.archives if entry.made_at), default=self.made_at)


@dataclass
class _Files:
    """What was found: named by the operator, or in a directory that was."""

    named: list[str]
    listed: list[str]


def choose(paths: Sequence[str], date: str, archives: Collection[str], dumps: Collection[str]) -> Inputs:
    """Return the newest set of files below ``paths``, or the one of ``date``, of which a beginning is enough.

    ``archives`` and ``dumps`` are files whose content the operator has named, whatever they are called.
    """
    files = _find(paths)
    everything = [*files.named, *files.listed]
    unused = ({*archives, *dumps}) - {os.path.basename(path) for path in everything}
    if unused:
        raise StoreError(f"There is no {', '.join(sorted(unused))} among the files to adopt. Give its path in paths.")
    ticketz = [_input(path) for path in everything if _TICKETZ.fullmatch(os.path.basename(path))]
    loose = _recognised(files, archives, dumps)
    if ticketz and (loose.archives or loose.named_dumps):
        raise StoreError(
            f"{', '.join(paths)} hold both {ticketz[0].file} and other archives. They are different backups: name the "
            "files of one of them."
        )
    if ticketz:
        chosen = _of_date([(entry,) for entry in ticketz], date)
        return Inputs(TICKETZ, t.cast("datetime.datetime", chosen[0].made_at), chosen)
    return _runbook(loose, date, paths)


@dataclass
class _Loose:
    """Archives and dumps; of the dumps, those that the operator named, and those that lie beside the archives."""

    archives: list[Input]
    named_archives: bool
    named_dumps: list[Input]
    other_dumps: list[Input]


def _find(paths: Sequence[str]) -> _Files:
    found = _Files([], [])
    for path in paths:
        if os.path.isdir(path):
            found.listed += [entry.path for entry in sorted(os.scandir(path), key=lambda e: e.name) if entry.is_file()]
        elif os.path.isfile(path):
            found.named.append(path)
        else:
            raise StoreError(f"There is no {path} on this host. Give the path of a file or of a directory.", path=path)
    return found


def _recognised(files: _Files, archives: Collection[str], dumps: Collection[str]) -> _Loose:
    loose = _Loose([], not files.listed, [], [])
    for path in (*files.named, *files.listed):
        name, named = os.path.basename(path), path in files.named
        entry = _input(path)
        if _TICKETZ.fullmatch(name):
            continue
        if name in dumps or (name not in archives and _DUMP.fullmatch(name)):
            (loose.named_dumps if named or name in dumps else loose.other_dumps).append(entry)
        # In a directory, an archive without a date may be anything.
        elif name in archives or (_ARCHIVE.fullmatch(name) and (named or entry.made_at)):
            loose.archives.append(entry)
        elif named:
            raise StoreError(
                f"{path} is neither <volume>_YYYY-MM-DD_HHMM.tar.gz nor ticketz-backup-YYYYmmddHHMMSS.tar.gz nor a "
                "dump (.sql, .sql.gz, .dump). Say what it holds in volumes or databases.",
                path=path,
            )
    return loose


def _runbook(loose: _Loose, date: str, paths: Sequence[str]) -> Inputs:
    if not loose.archives and not loose.named_dumps:
        raise StoreError(
            f"There is nothing to adopt in {', '.join(paths)}: no <volume>_YYYY-MM-DD_HHMM.tar.gz and no "
            "ticketz-backup-YYYYmmddHHMMSS.tar.gz. Dumps alone have to be named as files."
        )
    chosen: tuple[Input, ...] = ()
    if loose.named_archives and not date:
        # The operator has chosen already.
        chosen = tuple(loose.archives)
        _refuse_twice(chosen)
    elif loose.archives:
        chosen = _of_date(sets(loose.archives), date)
    dumps, remarks = _beside(chosen, loose)
    times = [entry.made_at for entry in (*chosen, *dumps) if entry.made_at]
    moment = min(times) if times else min(_changed(entry.path) for entry in (*chosen, *dumps))
    return Inputs(RUNBOOK, moment, chosen, tuple(dumps), tuple(remarks))


def sets(archives: Iterable[Input]) -> list[tuple[Input, ...]]:
    """Return which archives are of one run: a run takes each volume once, and begins one after the other."""
    found: list[list[Input]] = []
    for entry in sorted(archives, key=lambda e: (_moment(e), e.name)):
        current = found[-1] if found else []
        fits = current and entry.name not in {other.name for other in current}
        if fits and _moment(entry) - _moment(current[0]) <= LONGEST_RUN:
            current.append(entry)
        else:
            found.append([entry])
    return [tuple(entries) for entries in found]


def _of_date(found: list[tuple[Input, ...]], date: str) -> tuple[Input, ...]:
    """Return the set that is meant."""
    if not date:
        return max(found, key=lambda entries: _moment(entries[0]))
    digits = re.sub(r"\D", "", date)
    fitting = [
        entries for entries in found if any(f"{_moment(entry):%Y%m%d%H%M%S}".startswith(digits) for entry in entries)
    ]
    if len(fitting) == 1 and digits:
        return fitting[0]
    shown = ", ".join(f"{_moment(entries[0]):%Y-%m-%d_%H%M%S}".removesuffix("00") for entries in fitting or found)
    if fitting:
        raise StoreError(f"There are several backups of {date}: {shown}. Give the date with its time.")
    raise StoreError(f"There is no backup of {date} among the files. There are {shown}.")


def _beside(chosen: Sequence[Input], loose: _Loose) -> tuple[list[Input], list[str]]:
    """Return the dumps that belong to the archives: those that were named, and those of the same day."""
    days = {_moment(entry).date() for entry in chosen}
    dumps, remarks = list(loose.named_dumps), []
    named = {entry.name for entry in dumps}
    by_name: dict[str, list[Input]] = {}
    for entry in loose.other_dumps:
        if entry.made_at is None:
            remarks.append(f"{entry.file} was not adopted: its name does not say of when it is. Name it in paths.")
        elif entry.made_at.date() in days and entry.name not in named:
            by_name.setdefault(entry.name, []).append(entry)
    for name, entries in sorted(by_name.items()):
        if len(entries) > 1:
            raise StoreError(
                f"There are several dumps of {name} of that day: {', '.join(entry.file for entry in entries)}. Name "
                "the one that belongs to the archives in paths."
            )
        dumps += entries
    return dumps, remarks


def _refuse_twice(chosen: Sequence[Input]) -> None:
    names = [entry.name for entry in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise StoreError(f"There are several archives of {', '.join(twice)}. Name one of each, or give the date.")


def _input(path: str) -> Input:
    name = os.path.basename(path)
    ticketz = _TICKETZ.fullmatch(name)
    if ticketz is not None:
        return Input(path, "ticketz", _time(ticketz[1]))
    known = _DUMP.fullmatch(name) or _ARCHIVE.fullmatch(name)
    stem = known["stem"] if known is not None else name
    dated = _DATED.fullmatch(stem)
    if dated is None:
        return Input(path, stem, None)
    made_at = _time(dated["date"] + (dated["time"] or "0000"))
    return Input(path, dated["name"] if made_at is not None else stem, made_at)


def _time(text: str) -> datetime.datetime | None:
    digits = re.sub(r"\D", "", text)
    try:
        return datetime.datetime.strptime(f"{digits:0<14}+0000", "%Y%m%d%H%M%S%z")
    except ValueError:
        # Digits that are no date.
        return None


def _moment(entry: Input) -> datetime.datetime:
    return entry.made_at or _changed(entry.path)


def _changed(path: str) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(os.stat(path).st_mtime, datetime.timezone.utc)
