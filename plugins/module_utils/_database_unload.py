# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write an archive of CSV files from the tables of a database, all of one moment: what ``_database_load`` reads.

``plan`` only looks and ``apply`` only acts. The archive has its name only when it is complete and was read back.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
import time
import typing as t
from dataclasses import dataclass

from ._compression import compress_stage
from ._csv_source import opened
from ._csv_text import CsvText
from ._database import connect
from ._errors import DatabaseError, StoreError
from ._files import descriptor_sha256, partial_file
from ._pg_commands import identifier
from ._process import Pipeline
from ._table_catalog import read_catalog

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._database import Database
    from ._database_location import Location
    from ._files import Written
    from ._table_catalog import Catalog, Table


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types.

    ``classic`` are the tables to write and their columns; all tables and columns when it is None.
    """

    database: str
    path: str
    schema: str = "public"
    classic: Mapping[str, Sequence[str]] | None = None
    force: bool = False


@dataclass(frozen=True)
class Unload:
    """A table, its file and the columns in it."""

    table: Table
    file: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """What will be written, and why; ``reason`` is None when nothing will.

    ``missing`` are tables and columns of the classic list that this database does not have.
    """

    request: Request
    reason: str | None
    unloads: tuple[Unload, ...]
    missing: tuple[str, ...]

    @property
    def changed(self) -> bool:
        return self.reason is not None

    def diff(self) -> dict[str, str]:
        path = self.request.path
        before = f"{path}\n" if os.path.exists(path) else ""
        return {"before": before, "after": f"{path}\n" if self.changed else before}


@dataclass(frozen=True)
class Unloaded:
    """What was written: size and checksum of the archive, rows by file, and the moment that all of them are of."""

    size: int
    sha256: str
    rows: dict[str, int]
    cut_time: str | None


def plan(request: Request, location: Location) -> Plan:
    """Look at the tables and at the path. Changes nothing."""
    directory = os.path.dirname(request.path)
    if directory and not os.path.isdir(directory):
        raise StoreError(f"{directory} is not a directory. Create it first, with mode 0700.", path=directory)
    if os.path.isdir(request.path):
        raise StoreError(f"{request.path} is a directory. Name the file to write.", path=request.path)
    with connect(location.connection(request.database)) as session:
        catalog = read_catalog(session, request.schema)
    if request.classic is None:
        tables = catalog.parents_first(catalog.tables.values())
        # The rows of a partitioned table are written with its partitions.
        chosen = [(table, table.written) for table in tables if table.written and not table.partitioned]
        missing: tuple[str, ...] = ()
    else:
        chosen, missing = _classic(catalog, request.classic)
    unloads = tuple(
        Unload(table, f"{number:03}-{table.name}.csv", columns) for number, (table, columns) in enumerate(chosen, 1)
    )
    for unload in unloads:
        if "/" in unload.file:
            raise DatabaseError(f"No file can be called like the table {unload.table.label}. Rename it first.")
    if not os.path.exists(request.path):
        return Plan(request, f"{request.path} does not exist", unloads, missing)
    return Plan(request, "force=true" if request.force else None, unloads, missing)


def apply(wanted: Plan, location: Location) -> Unloaded:
    """Carry out a plan. When anything fails, nothing has the name of the archive that had it not before."""
    request = wanted.request
    with partial_file(request.path) as descriptor:
        with connect(location.connection(request.database)) as session, session.snapshot() as moment:
            rows = _write(session, wanted, descriptor)
        written = _proved(request.path, descriptor, rows)
    return Unloaded(written.size, written.sha256, rows, moment.cut_time)


def _classic(
    catalog: Catalog, classic: Mapping[str, Sequence[str]]
) -> tuple[list[tuple[Table, tuple[str, ...]]], tuple[str, ...]]:
    chosen, missing = [], []
    for name, columns in classic.items():
        table = catalog.tables.get(name)
        if table is None:
            missing.append(name)
            continue
        chosen.append((table, tuple(column for column in columns if column in table.written)))
        missing += [f"{name}.{column}" for column in columns if column not in table.written]
    if not chosen:
        raise DatabaseError(
            f"The database has none of these tables: {', '.join(classic)}. Is it the database of this application?"
        )
    return chosen, tuple(missing)


def _write(session: Database, wanted: Plan, descriptor: int) -> dict[str, int]:
    """Write all tables to a compressor behind which the file is; return how many rows the server sent of each."""
    stage = compress_stage("gzip", f"compress {wanted.request.path}")
    if stage is None:
        raise ValueError("gzip needs no program")
    rows = {}
    now = int(time.time())
    with (
        Pipeline([stage], stdout=descriptor) as pipeline,
        tarfile.open(fileobj=pipeline.stdin, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for unload in wanted.unloads:
            # The header of a member says its size, which is known only afterwards.
            with tempfile.TemporaryFile(dir=os.path.dirname(wanted.request.path) or ".") as spool:
                listed = ", ".join(map(identifier, unload.columns))
                source = f"SELECT {listed} FROM {unload.table.alone}"
                rows[unload.file] = session.copy_to(f"COPY ({source}) TO STDOUT WITH (FORMAT csv, HEADER)", spool)
                member = tarfile.TarInfo(unload.file)
                member.size, member.mtime, member.mode = spool.tell(), now, 0o600
                spool.seek(0)
                archive.addfile(member, spool)
    return rows


def _proved(path: str, descriptor: int, rows: Mapping[str, int]) -> Written:
    """Read the archive back from its file, and compare how many rows it holds with how many the server sent."""
    found = {}
    with opened(f"/proc/self/fd/{descriptor}") as source:
        for file in source.files:
            text = CsvText(file.stream, file.name)
            while text.read(1 << 20):
                pass
            found[file.name] = text.rows
    if found != rows:
        different = sorted(name for name in {*rows, *found} if rows.get(name) != found.get(name))
        raise DatabaseError(f"What was written to {path} is not what PostgreSQL sent: {', '.join(different)}.")
    return descriptor_sha256(descriptor)
