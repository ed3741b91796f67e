# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of a database, their columns, and which of them refer to which, as its catalog says it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._errors import DatabaseError
from ._pg_commands import identifier, label

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._database import Database

_TABLES = """
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind = 'p',
       (SELECT json_agg(json_build_array(
                   a.attname, format_type(a.atttypid, a.atttypmod), a.attgenerated <> '',
                   a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND y.typdefault IS NULL) ORDER BY a.attnum)
          FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
"""
_REFERENCES = "SELECT DISTINCT conrelid::bigint, confrelid::bigint FROM pg_constraint WHERE contype = 'f' ORDER BY 1, 2"


@dataclass(frozen=True)
class Column:
    """A column; PostgreSQL computes one that is ``generated``, and a row must give one that is ``required``."""

    name: str
    type: str
    generated: bool
    required: bool


@dataclass(frozen=True)
class Table:
    """A table of a user. Rows of one that is ``partitioned`` are in other tables."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    partitioned: bool = False

    @property
    def label(self) -> str:
        return label(self.schema, self.name)

    @property
    def quoted(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"

    @property
    def alone(self) -> str:
        """The table in SQL without those that inherit from it, whose rows are their own."""
        return self.quoted if self.partitioned else f"ONLY {self.quoted}"

    @property
    def written(self) -> tuple[str, ...]:
        """The columns that rows are written with."""
        return tuple(column.name for column in self.columns if not column.generated)


@dataclass(frozen=True)
class Catalog:
    """The tables of one schema by name, all tables by their OID, and references from one to another by OID."""

    tables: Mapping[str, Table]
    by_oid: Mapping[int, Table]
    references: tuple[tuple[int, int], ...]

    def children(self, oid: int) -> list[Table]:
        """Return the other tables that refer to a table; of a partitioned one, the whole and its parts."""
        return [self.by_oid[child] for child, parent in self.references if parent == oid and child != oid]

    def parents_first(self, tables: Iterable[Table]) -> list[Table]:
        """Sort tables so that those that others refer to come before them, where they do not refer to each other."""
        waiting = {table.oid: table for table in tables}
        ordered: list[Table] = []
        while waiting:
            free = [
                table
                for oid, table in waiting.items()
                if not any(child == oid != parent and parent in waiting for child, parent in self.references)
            ]
            # In a circle nobody is first.
            ordered += [waiting.pop(table.oid) for table in free or list(waiting.values())[:1]]
        return ordered


def read_catalog(session: Database, schema: str) -> Catalog:
    """Ask a database for its tables; raise DatabaseError when the schema has none."""
    by_oid = {
        oid: Table(oid, space, name, tuple(Column(*column) for column in columns or ()), partitioned)
        for oid, space, name, partitioned, columns in session.execute(_TABLES)
    }
    tables = {table.name: table for table in by_oid.values() if table.schema == schema}
    if not tables:
        raise DatabaseError(
            f"The database has no tables in the schema {schema}. Start the application once, so that it creates them, "
            "or name another schema."
        )
    known = tuple(pair for pair in references(session) if by_oid.keys() >= set(pair))
    return Catalog(tables, by_oid, known)


def references(session: Database) -> tuple[tuple[int, int], ...]:
    """Return which table refers to which by a foreign key that is there now."""
    return tuple((child, parent) for child, parent in session.execute(_REFERENCES))


def count(session: Database, table: Table) -> int:
    """Return the exact number of rows of a table."""
    return int(session.execute(f"SELECT count(*) FROM {table.alone}")[0][0])
