# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Load an archive of CSV files into the tables of a database that an application has created: all of it, or nothing.

``plan`` only looks and ``apply`` only acts. Everything happens in one transaction: PostgreSQL reads the files as they
are, counts, checks every constraint, and only then anybody sees the rows. A scratch database would cost more time than
it saves, and the application would lose its connections. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._csv_plan import Load, make_room, match, no_table
from ._csv_source import opened
from ._csv_text import CsvText
from ._database import connect
from ._errors import ArchiveError, DatabaseError
from ._pg_commands import identifier
from ._profile import CsvRule
from ._sequence_sync import sync
from ._table_catalog import count, read_catalog, references
from ._table_shape import bare

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._csv_plan import Room
    from ._csv_source import CsvFile
    from ._database import Database
    from ._database_location import Location
    from ._profile import ResetStep, SequenceRule
    from ._sequence_sync import Synced
    from ._table_catalog import Catalog

# From here on, building an index anew is faster than to maintain it.
LARGE = 1 << 20
SHOWN = 12
# Where rows go that need a part of them left out.
PASSAGE = "crm_continuity_load"
LOCK_NOT_AVAILABLE, DEADLOCK = "55P03", "40P01"


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types; ``reset`` clears WhatsApp sessions after loading."""

    database: str
    path: str
    schema: str = "public"
    sha256: str | None = None
    replace: bool = False
    skip_columns: bool = False
    skip_tables: bool = False
    rule: CsvRule = field(default_factory=CsvRule)
    sequences: tuple[SequenceRule, ...] = ()
    reset: tuple[ResetStep, ...] = ()


@dataclass(frozen=True)
class Plan:
    """What will happen. ``skipped`` are files of tables that are not there, ``ignored`` are other files."""

    request: Request
    loads: tuple[Load, ...]
    room: Room
    skipped: tuple[str, ...]
    ignored: tuple[str, ...]
    sha256: str | None

    @property
    def reason(self) -> str:
        there = f", {len(self.room.emptied)} are to be emptied" if self.room.emptied else ""
        return f"{len(self.loads)} tables are to be filled{there}"

    def rows(self) -> dict[str, int]:
        """Return how many rows each table will have."""
        return {load.table.label: load.rows for load in self.loads}

    def diff(self) -> dict[str, str]:
        return {
            "before": _table(dict.fromkeys(self.rows(), 0) | dict(self.room.emptied)),
            "after": _table(dict.fromkeys(self.room.emptied, 0) | self.rows()),
        }


@dataclass(frozen=True)
class Loaded:
    """What was loaded: rows by table, sequences that were raised, and what was cleared of sessions."""

    rows: dict[str, int]
    synced: Synced
    reset: dict[str, int]


def plan(request: Request, location: Location) -> Plan:
    """Read all of the archive and look at the tables; refuse what could not succeed. Changes nothing."""
    problems: list[str] = []
    loads: list[Load] = []
    skipped: list[str] = []
    with connect(location.connection(request.database)) as session:
        catalog = read_catalog(session, request.schema)
        with opened(request.path, request.sha256) as source:
            for file in source.files:
                table = catalog.tables.get(file.table)
                text = _text(request, file)
                rows = _rows(text)
                if table is not None:
                    load, found = match(table, file.name, file.size, rows, text.columns, skip=request.skip_columns)
                    loads.append(load)
                    problems += found
                elif request.skip_tables:
                    skipped.append(file.name)
                else:
                    problems.append(no_table(file.name, file.table, catalog, request.schema))
        room = _room(session, catalog, request, loads)
    problems += _occupied(room)
    if problems:
        raise DatabaseError(
            f"{request.path} cannot be loaded into database {request.database}, which was left as it is. "
            f"{' '.join(problems)}",
            problems=problems,
            not_empty={label: rows for label, (rows, _why) in room.refused.items()},
        )
    loads = [load for load in loads if load.table.label not in room.kept]
    if not loads:
        raise ArchiveError(f"{request.path} holds nothing that could be loaded.", path=request.path)
    return Plan(
        request=request,
        loads=tuple(sorted(loads, key=lambda load: load.file)),
        room=room,
        skipped=tuple(skipped),
        ignored=tuple(source.ignored),
        sha256=source.sha256,
    )


def apply(wanted: Plan, location: Location) -> Loaded:
    """Carry out a plan. When anything fails, nothing has changed."""
    request = wanted.request
    try:
        with connect(location.connection(request.database)) as session:
            with session.transaction():
                loaded = _load(session, wanted)
            # Without statistics the first queries of the application would be planned blindly.
            for load in wanted.loads:
                session.execute(f"ANALYZE {load.table.quoted}")
    except DatabaseError as exc:
        advice = ""
        if exc.details.get("sqlstate") in (LOCK_NOT_AVAILABLE, DEADLOCK):
            advice = " Somebody uses these tables: stop the application, and try again."
        raise DatabaseError(f"{exc}{advice} Nothing was loaded.", **exc.details) from exc
    return loaded


def _load(session: Database, wanted: Plan) -> Loaded:
    request = wanted.request
    session.execute("SET LOCAL maintenance_work_mem = '128MB'")
    session.execute(
        "SELECT set_config('search_path', %s || ', ' || current_setting('search_path'), true)",
        (identifier(request.schema),),
    )
    emptied = wanted.room.tables
    touched = {table.oid: table for table in (*(load.table for load in wanted.loads), *emptied)}
    tables = [touched[oid] for oid in sorted(touched)]
    session.execute(f"LOCK TABLE {', '.join(table.quoted for table in tables)} IN ACCESS EXCLUSIVE MODE")
    _refuse_changes(session, wanted)
    large = [load.table.oid for load in wanted.loads if load.size >= LARGE]
    with bare(session, sorted(touched), large, [table.oid for table in emptied]):
        if emptied:
            session.execute(f"TRUNCATE {', '.join(table.alone for table in emptied)}")
        _copy_all(session, wanted)
    rows = {load.table.label: count(session, load.table) for load in wanted.loads}
    if rows != wanted.rows():
        different = [
            f"{name} has {rows[name]} rows instead of {many}"
            for name, many in wanted.rows().items()
            if rows[name] != many
        ]
        raise DatabaseError(f"What was loaded from {request.path} is not what it holds: {', '.join(different)}.")
    return Loaded(rows, sync(session, request.sequences), _reset(session, request.reset))


def _copy_all(session: Database, wanted: Plan) -> None:
    request = wanted.request
    waiting = {load.table.name: load for load in wanted.loads}
    # Only those that could not be taken off, such as of partitions. Mostly there is none, and one pass is enough.
    held = references(session)
    while waiting:
        missing = set(waiting)
        with opened(request.path, wanted.sha256) as source:
            for file in source.files:
                missing.discard(file.table)
                load = waiting.get(file.table)
                if load is not None and not _must_wait(load, waiting.values(), held):
                    _copy(session, request, waiting.pop(file.table), file)
        if missing:
            raise ArchiveError(f"{request.path} was changed meanwhile: the file of {min(missing)} is gone.")
        if waiting and all(_must_wait(load, waiting.values(), held) for load in waiting.values()):
            # In a circle nobody is first; PostgreSQL says which row it is about.
            held = ()


def _must_wait(load: Load, waiting: Iterable[Load], held: Sequence[tuple[int, int]]) -> bool:
    """Tell whether the rows of a table refer to some that are still to come."""
    own = load.table.oid
    parents = {parent for child, parent in held if child == own != parent}
    return any(other.table.oid in parents for other in waiting)


def _copy(session: Database, request: Request, load: Load, file: CsvFile) -> None:
    text = _text(request, file)
    if text.columns != load.header:
        raise ArchiveError(f"{request.path} was changed meanwhile: {file.name} has other columns.")
    target = load.table.quoted
    listed = ", ".join(map(identifier, load.columns))
    direct = load.columns == load.header
    if not direct:
        types = {column.name: column.type for column in load.table.columns if column.name in load.columns}
        # What nobody wants has no type that it could violate.
        columns = ", ".join(f"{identifier(name)} {types.get(name, 'text')}" for name in load.header)
        session.execute(f"CREATE TEMPORARY TABLE {PASSAGE} ({columns}) ON COMMIT DROP")
    into = f"{target} ({listed})" if direct else f"pg_temp.{PASSAGE}"
    try:
        session.copy_from(f"COPY {into} FROM STDIN WITH (FORMAT csv, HEADER, ENCODING 'UTF8')", text)
        if not direct:
            session.execute(
                f"INSERT INTO {target} ({listed}) OVERRIDING SYSTEM VALUE SELECT {listed} FROM pg_temp.{PASSAGE}"
            )
            session.execute(f"DROP TABLE pg_temp.{PASSAGE}")
    except DatabaseError as exc:
        line, column = exc.details.get("line"), exc.details.get("column")
        place = "".join([f", line {line}" if line else "", f", column {column}" if column else ""])
        raise DatabaseError(f"{file.name}{place}: {exc}", file=file.name, **exc.details) from exc


def _reset(session: Database, steps: Sequence[ResetStep]) -> dict[str, int]:
    cleared = {}
    for step in steps:
        if step.when is None or session.execute(step.when)[0][0]:
            cleared[step.name] = int(session.execute(step.count)[0][0])
            session.execute(step.sql)
            if session.execute(step.count)[0][0]:
                raise DatabaseError(
                    f"Something is left of what should be cleared: {step.name}. Mend it in the profile."
                )
    return cleared


def _refuse_changes(session: Database, wanted: Plan) -> None:
    """Look again, now that nobody else can write: what was not there before must not be lost."""
    catalog = read_catalog(session, wanted.request.schema)
    room = _room(session, catalog, wanted.request, wanted.loads)
    if room.refused or room.emptied.keys() - wanted.room.emptied.keys():
        raise DatabaseError("The tables have been written to since they were looked at. Stop the application first.")
    for load in wanted.loads:
        if catalog.by_oid.get(load.table.oid) != load.table:
            raise DatabaseError(f"{load.table.label} was altered since it was looked at. Stop the application first.")


def _room(session: Database, catalog: Catalog, request: Request, loads: Sequence[Load]) -> Room:
    return make_room(session, catalog, [load.table for load in loads], request.rule, replace=request.replace)


def _occupied(room: Room) -> list[str]:
    if not room.refused:
        return []
    names = [f"{label} ({rows} rows{f'; it {why}' if why else ''})" for label, (rows, why) in room.refused.items()]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [
        f"These tables are not empty: {', '.join(names[:SHOWN])}{more}. Load into a new installation, or set "
        "replace=true to delete what is there."
    ]


def _text(request: Request, file: CsvFile) -> CsvText:
    return CsvText(file.stream, f"{file.name} of {request.path}")


def _rows(text: CsvText) -> int:
    while text.read(1 << 20):
        pass
    return text.rows


def _table(rows: Mapping[str, int]) -> str:
    return "".join(f"{label}: {number} rows\n" for label, number in sorted(rows.items()))
