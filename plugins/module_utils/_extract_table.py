# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Get one table out of the dump of a backup: into a file, or back into the live database.

The live table is filled in one transaction, which ends with proofs and is rolled back when one fails: the number of
rows, and that no row of any table refers to one that is not there. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import secrets
import typing as t
from dataclasses import dataclass

from ._database import connect
from ._database_location import APPLICATION
from ._dump_table import copy_statement, csv_header, csv_line, definition, opened
from ._errors import DatabaseError, ProcessError
from ._files import partial_file, write_hashed
from ._pg_commands import dialogue, identifier, literal
from ._process import Pipeline

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ._database import Database
    from ._database_location import Location
    from ._dump_table import Rows, Table
    from ._files import Written
    from ._process import Stage

CSV, SQL = "csv", "sql"
# How much is handed over at once.
PORTION = 1 << 16

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a
WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY a.attnum
"""
# Foreign keys of the table and to it. Those of partitions are the same ones again.
_FOREIGN_KEYS = """
SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text, c.confrelid = %(table)s,
  ARRAY(SELECT attname::text FROM unnest(c.conkey) WITH ORDINALITY k (n, i)
    JOIN pg_attribute ON attrelid = c.conrelid AND attnum = k.n ORDER BY k.i),
  ARRAY(SELECT attname::text FROM unnest(c.confkey) WITH ORDINALITY k (n, i)
    JOIN pg_attribute ON attrelid = c.confrelid AND attnum = k.n ORDER BY k.i)
FROM pg_constraint c
WHERE c.contype = 'f' AND c.convalidated AND c.conparentid = 0 AND %(table)s IN (c.conrelid, c.confrelid)
ORDER BY c.conname
"""
_SEQUENCES = """
SELECT s.oid::regclass::text, a.attname
FROM pg_depend d
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
  AND d.refobjid = %s
ORDER BY 1
"""
_TRIGGERS = "SELECT tgname FROM pg_trigger WHERE tgrelid = %s AND NOT tgisinternal AND tgenabled IN ('A', 'R')"


@dataclass(frozen=True)
class ForeignKey:
    """Rows of ``table`` refer to rows of ``other``, column by column."""

    name: str
    table: str
    other: str
    incoming: bool
    columns: tuple[str, ...]
    others: tuple[str, ...]


@dataclass(frozen=True)
class Live:
    """The live table that is to be filled; ``rows`` is how many it holds now."""

    table: Table
    database: str
    location: Location
    version: int
    rows: int
    keys: tuple[ForeignKey, ...]
    sequences: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TableFile:
    """A file with the rows of a table."""

    path: str
    written: Written
    rows: int
    encoding: str


def write_table(table: Table, location: Location, version: int, path: str, form: str) -> TableFile:
    """Write the rows of a table to a new file, as CSV with a header, or as SQL for psql."""
    with partial_file(path) as descriptor, opened(table, location, version) as rows:
        written = write_hashed(descriptor, _portions(_csv(rows) if form == CSV else _sql(table, rows)))
        encoding = rows.encoding
    return TableFile(path, written, table.rows, encoding)


def plan_live(table: Table, location: Location, database: str, *, replace: bool) -> Live:
    """Look at the live table and refuse what could not succeed. Changes nothing."""
    with connect(location.connection(database)) as session:
        version = session.server_version() // 10000
        if not session.role().superuser:
            raise DatabaseError(
                f"User {session.role().name} is no superuser, and only one may keep triggers from changing rows while "
                f"they are restored. Write {table.label} to a file instead, or give a superuser."
            )
        session.execute("SELECT set_config('search_path', '', false)")
        oid = _oid(session, table, database)
        _check_columns(table, database, definition(table, location, version), session.execute(_COLUMNS, (oid,)))
        triggers = [name for (name,) in session.execute(_TRIGGERS, (oid,))]
        if triggers:
            raise DatabaseError(
                f"{table.label} of database {database} has triggers that fire during a restore, too: "
                f"{', '.join(triggers)}. They could change its rows. Write the table to a file instead."
            )
        rows = int(session.execute(f"SELECT count(*) FROM ONLY {table.sql}")[0][0])
        if rows and not replace:
            raise DatabaseError(
                f"{table.label} of database {database} is not empty: it holds {rows} rows. Nothing was changed. Set "
                "replace=true to replace all of them.",
                rows=rows,
            )
        keys = tuple(
            ForeignKey(name, own, other, incoming, tuple(columns), tuple(others))
            for name, own, other, incoming, columns, others in session.execute(_FOREIGN_KEYS, {"table": oid})
        )
        sequences = tuple((str(name), str(column)) for name, column in session.execute(_SEQUENCES, (oid,)))
    return Live(table, database, location, version, rows, keys, sequences)


def restore_live(live: Live) -> None:
    """Replace the rows of a live table by those of the dump, in one transaction.

    Raises DatabaseError when that cannot be; then the table is as it was.
    """
    run_id = secrets.token_hex(6)
    table, location = live.table, live.location
    argv = dialogue(location.target(live.database))
    program = location.client(
        f"restore {table.label} of database {live.database}", argv, version=live.version, run_id=run_id
    )
    with connect(location.connection(live.database), f"{APPLICATION} {run_id}") as session:
        try:
            _play(live, program)
        except BaseException as exc:
            # Killing the docker command would leave the program running inside the container.
            with contextlib.suppress(DatabaseError):
                session.terminate(f"{APPLICATION} tool {run_id}")
            if isinstance(exc, ProcessError):
                raise DatabaseError(f"{exc} {table.label} is as it was.", table=table.label) from exc
            raise
        session.execute(f"ANALYZE {table.sql}")


def _play(live: Live, program: Stage) -> None:
    with Pipeline([program]) as psql:
        with contextlib.suppress(_RefusedError), opened(live.table, live.location, live.version) as rows:
            for portion in _portions(_before(live, rows), _lines(rows.lines), [b"\\.\n"]):
                try:
                    psql.stdin.write(portion)
                except BrokenPipeError as exc:
                    raise _RefusedError from exc
        # Only now, after every exit code and the number of rows of the dump were right.
        psql.stdin.write(_after(live))


def _before(live: Live, rows: Rows) -> Iterator[bytes]:
    table = live.table
    own = sorted({key.table for key in live.keys} | {key.other for key in live.keys})
    statements = [
        "BEGIN",
        "SET LOCAL search_path = ''",
        f"SET LOCAL client_encoding = {literal(rows.encoding)}",
        "SET LOCAL row_security = off",
        "SET LOCAL statement_timeout = 0",
        "SET LOCAL lock_timeout = '60s'",
        # Triggers would change rows, and those of foreign keys would delete rows of other tables.
        "SET LOCAL session_replication_role = replica",
        f"LOCK TABLE {table.sql} IN ACCESS EXCLUSIVE MODE",
        # No row may come or go that the proofs at the end would not see.
        *(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE" for name in own),
        *_emptied(live),
    ]
    yield "".join(f"{statement};\n" for statement in statements).encode()
    yield copy_statement(table, rows.columns).encode(errors="surrogateescape") + b"\n"


def _emptied(live: Live) -> list[str]:
    table = live.table
    check = _raise_unless(
        f"(SELECT count(*) FROM ONLY {table.sql}) = {live.rows}",
        f"{table.label} has changed meanwhile; run this again",
    )
    if not live.rows:
        return [check]
    # What other tables refer to cannot be truncated alone.
    referred = any(key.incoming and key.table != key.other for key in live.keys)
    return [check, f"DELETE FROM ONLY {table.sql}" if referred else f"TRUNCATE ONLY {table.sql}"]


def _after(live: Live) -> bytes:
    table = live.table
    statements = [
        _raise_unless(
            f"(SELECT count(*) FROM ONLY {table.sql}) = {table.rows}",
            f"{table.label} does not hold the {table.rows} rows of the backup",
        ),
        *(_raise_unless(f"NOT EXISTS ({_orphans(key)})", _orphaned(key)) for key in live.keys),
    ]
    for sequence, column in live.sequences:
        # Never backwards: numbers that were given out meanwhile may be known elsewhere.
        statements.append(
            f"SELECT pg_catalog.setval({literal(sequence)}::regclass, m.m) FROM {sequence} s,"
            f" (SELECT max({identifier(column)}) AS m FROM {table.sql}) m"
            " WHERE m.m > s.last_value OR (m.m = s.last_value AND NOT s.is_called)"
        )
    statements.append("COMMIT")
    return "".join(f"{statement};\n" for statement in statements).encode(errors="surrogateescape")


def _orphans(key: ForeignKey) -> str:
    """Return the query for rows that refer to what is not there; one with a NULL refers to nothing."""
    pairs = list(zip(key.columns, key.others, strict=True))
    given = " AND ".join(f"r.{identifier(column)} IS NOT NULL" for column, _other in pairs)
    equal = " AND ".join(f"o.{identifier(other)} = r.{identifier(column)}" for column, other in pairs)
    return f"SELECT FROM {key.table} r WHERE {given} AND NOT EXISTS (SELECT FROM {key.other} o WHERE {equal})"


def _orphaned(key: ForeignKey) -> str:
    return (
        f"rows of {key.table} would refer to rows of {key.other} that are not there ({key.name}); restore both tables, "
        "or the whole database"
    )


def _raise_unless(condition: str, message: str) -> str:
    body = f"BEGIN IF NOT ({condition}) THEN RAISE EXCEPTION USING MESSAGE = {literal(message)}; END IF; END"
    mark = f"$crm_{secrets.token_hex(4)}$"
    return f"DO {mark}{body}{mark}"


def _oid(session: Database, table: Table, database: str) -> int:
    rows = session.execute(
        "SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        (table.schema, table.name),
    )
    if not rows or rows[0][1] != "r":
        raise DatabaseError(
            f"Database {database} has no table {table.label} to put the rows into. Restore the database into a scratch "
            "database (to_database), or write the table to a file (to).",
            table=table.label,
        )
    return int(rows[0][0])


def _check_columns(table: Table, database: str, dumped: dict[str, str], live: Sequence[tuple[t.Any, ...]]) -> None:
    """Raise DatabaseError unless both sides have the same columns of the same types, in any order."""
    there = {str(name): str(kind) for name, kind in live}
    problems = [f"{name} is only in the backup" for name in dumped if name not in there]
    problems += [f"{name} is only in the database" for name in there if name not in dumped]
    problems += [
        f"{name} is {kind} in the database, and {dumped[name]} in the backup"
        for name, kind in there.items()
        if name in dumped and not f"{dumped[name]} ".startswith(f"{kind} ")
    ]
    if problems:
        raise DatabaseError(
            f"{table.label} has other columns in database {database} than in the backup: {'; '.join(problems)}. "
            "Nothing was changed. Write the table to a file, or restore the whole database.",
            columns=problems,
        )


class _RefusedError(Exception):
    """psql has ended before all rows were read; why will be said by itself."""


def _csv(rows: Rows) -> Iterator[bytes]:
    yield csv_header(rows.columns)
    yield from map(csv_line, rows.lines)


def _sql(table: Table, rows: Rows) -> Iterator[bytes]:
    yield f"SET client_encoding = {literal(rows.encoding)};\n".encode()
    yield copy_statement(table, rows.columns).encode(errors="surrogateescape") + b"\n"
    yield from _lines(rows.lines)
    yield b"\\.\n"


def _lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    return (line + b"\n" for line in lines)


def _portions(*sources: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the same bytes in bigger pieces: there may be millions of short lines."""
    parts: list[bytes] = []
    size = 0
    for source in sources:
        for part in source:
            parts.append(part)
            size += len(part)
            if size > PORTION:
                yield b"".join(parts)
                parts, size = [], 0
    yield b"".join(parts)
