# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which columns of a CSV file go into which columns of a table, and which tables must make room for the rows.

Decisions only. What is in the way is returned as sentences, so that an operator learns of all of it at once. Standard
library only. Private to this collection.
"""

from __future__ import annotations

import difflib
import typing as t
from dataclasses import dataclass

from ._table_catalog import count

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._database import Database
    from ._profile import CsvRule
    from ._table_catalog import Catalog, Table


@dataclass(frozen=True)
class Load:
    """A file and its table. ``header`` are the columns of the file; of these, ``columns`` go into the table.

    ``computed`` are generated columns, which PostgreSQL computes anew; ``dropped`` are those that the table lacks.
    """

    table: Table
    file: str
    size: int
    rows: int
    header: tuple[str, ...]
    columns: tuple[str, ...]
    computed: tuple[str, ...]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Room:
    """Which tables have to be emptied, with how many rows, and which keep theirs in spite of a file.

    ``refused`` are tables that are not empty, with the number of their rows and why that is a matter.
    """

    emptied: Mapping[str, int]
    kept: tuple[str, ...]
    refused: Mapping[str, tuple[int, str]]
    tables: tuple[Table, ...]


def match(
    table: Table, file: str, size: int, rows: int, header: Sequence[str], *, skip: bool
) -> tuple[Load, list[str]]:
    """Compare the columns of a file with those of its table; return what to load, and what is in the way."""
    there = {column.name: column for column in table.columns}
    dropped = tuple(name for name in header if name not in there)
    computed = tuple(name for name in header if name in there and there[name].generated)
    columns = tuple(name for name in header if name not in (*dropped, *computed))
    problems = []
    if dropped and not skip:
        problems.append(
            f"{file} has columns that {table.label} does not have: {', '.join(dropped)}. To leave them out, set "
            "unknown_columns=skip."
        )
    missing = [column.name for column in table.columns if column.required and column.name not in columns]
    if missing:
        problems.append(f"{file} lacks columns that a row of {table.label} must have: {', '.join(missing)}.")
    if not columns:
        problems.append(f"{file} has no column of {table.label}.")
    return Load(table, file, size, rows, tuple(header), columns, computed, dropped), problems


def no_table(file: str, name: str, catalog: Catalog, schema: str) -> str:
    """Return the sentence about a file whose table is not there."""
    folded = {known.lower(): known for known in catalog.tables}
    close = difflib.get_close_matches(name.lower(), list(folded), n=1)
    hint = f" Is it {folded[close[0]]}?" if close else ""
    return (
        f"{file} is of a table that the schema {schema} does not have: {name}.{hint} Rename the file, or set "
        "unknown_tables=skip to leave it out."
    )


def make_room(session: Database, catalog: Catalog, tables: Sequence[Table], rule: CsvRule, *, replace: bool) -> Room:
    """Find out which of the tables hold rows, and which rows of other tables refer to those."""
    return _Rooms(lambda table: count(session, table), catalog, rule, replace=replace).make(tables)


class _Rooms:
    def __init__(self, rows_of: Callable[[Table], int], catalog: Catalog, rule: CsvRule, *, replace: bool) -> None:
        self._rows_of = rows_of
        self._catalog = catalog
        self._rule = rule
        self._replace = replace
        self._emptied: dict[str, int] = {}
        self._refused: dict[str, tuple[int, str]] = {}
        self._tables: list[Table] = []

    def make(self, tables: Sequence[Table]) -> Room:
        kept = []
        loaded = []
        for table in tables:
            rows = self._rows_of(table)
            if rows and table.name in self._rule.keep:
                kept.append(table.label)
            else:
                loaded.append(table)
                if rows:
                    self._empty(table, rows, "")
        seen = {table.oid for table in loaded}
        for parent in self._tables:
            for child in self._catalog.children(parent.oid):
                if child.oid not in seen:
                    seen.add(child.oid)
                    if rows := self._rows_of(child):
                        self._empty(child, rows, f"refers to {parent.label}, and no file is of it")
        return Room(self._emptied, tuple(kept), self._refused, tuple(self._tables))

    def _empty(self, table: Table, rows: int, why: str) -> None:
        limit = self._rule.initial.get(table.name, 0)
        if table.name not in self._rule.keep and (self._replace or limit is None or rows <= limit):
            self._emptied[table.label] = rows
            self._tables.append(table)
        else:
            self._refused[table.label] = (rows, why)
