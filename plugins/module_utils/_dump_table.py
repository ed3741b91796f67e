# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read the definition and the rows of one table out of a dump, with the programs of a server.

Rows come as PostgreSQL's COPY writes them; they are only ever data, whatever a dump holds. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import re
import typing as t
from dataclasses import dataclass

from ._dump_contents import NAME, name_of
from ._dump_file import compression_of, read_dump
from ._errors import DatabaseError, ProcessError
from ._pg_commands import identifier, label, restore_table
from ._process import Pipeline
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._database_location import Location

_COPY = re.compile(rf"COPY .* \((?P<columns>{NAME}(?:, {NAME})*)\) FROM stdin;")
_NAME = re.compile(NAME)
_ENCODING = re.compile(rb"SET client_encoding = '([A-Za-z0-9_-]+)';")
# A column in the definition of a table, as pg_dump writes it: a name, a type and whatever follows.
_COLUMN = re.compile(rf"    (?P<name>{NAME}) (?P<rest>.+?),?")
_GENERATED = re.compile(r" GENERATED ALWAYS AS \(.*\) STORED\b")
END = b"\\.\n"
# How many tables a message names.
SHOWN = 20

_ESCAPES = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_QUOTED = re.compile(rb"[\",\n\r]")


@dataclass(frozen=True)
class Table:
    """A table of a dump. ``rows`` is how many the manifest says."""

    dump: str
    schema: str
    name: str
    rows: int

    @property
    def label(self) -> str:
        return label(self.schema, self.name)

    @property
    def sql(self) -> str:
        return f"{identifier(self.schema)}.{identifier(self.name)}"


@dataclass
class Rows:
    """The rows of a table, to be read once and to the end: lines without their end, as COPY writes them."""

    columns: tuple[str, ...]
    encoding: str
    lines: Iterator[bytes]


def find_table(dump: str, wanted: str, rows: Mapping[str, int]) -> Table:
    """Return the table that is meant by ``name``, ``schema.name``, or either of them quoted as in SQL.

    Raises DatabaseError when there is none, or there are several.
    """
    meant = [name for name in rows if wanted in _spellings(name)]
    if len(meant) != 1:
        names = sorted(meant or rows)
        there = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        what = "names several tables" if meant else "is no table"
        raise DatabaseError(f"{wanted} {what} of {dump}. There are {there}.", table=wanted)
    schema, name = _split(meant[0])
    return Table(dump, schema, name, rows[meant[0]])


def _spellings(name: str) -> set[str]:
    schema, bare = _split(name)
    return {name, bare, identifier(bare), f"{schema}.{bare}", f"{schema}.{identifier(bare)}"}


def _split(name: str) -> tuple[str, str]:
    schema = _NAME.match(name)
    if schema is None:
        raise DatabaseError(f"{name} is not the name of a table with its schema.")
    return name_of(schema[0]), name_of(name[schema.end() + 1 :])


def definition(table: Table, location: Location, version: int) -> dict[str, str]:
    """Return the columns of a table that have rows of their own, each with its type and what follows it."""
    what = f"read the definition of {table.label} in {table.dump}"
    argv = restore_table(table.schema, table.name, section="pre-data")
    script = read_dump(table.dump, compression_of(table.dump, b"PGDMP"), location.client(what, argv, version=version))
    _before, start, body = script.partition("\nCREATE TABLE ")
    if not start:
        _before, start, body = script.partition("\nCREATE UNLOGGED TABLE ")
    columns = {}
    for line in body.partition("\n)")[0].split("\n")[1:]:
        found = _COLUMN.fullmatch(line)
        if found is not None and not line.startswith("    CONSTRAINT ") and not _GENERATED.search(line):
            columns[name_of(found["name"])] = found["rest"]
    if not columns:
        raise DatabaseError(f"{table.dump} holds no definition of a table {table.label}.", table=table.label)
    return columns


@contextlib.contextmanager
def opened(table: Table, location: Location, version: int) -> Iterator[Rows]:
    """Yield the rows of a table.

    Raises DatabaseError when the dump is not whole, or when other than as many rows were read as the manifest says;
    both is only known at the end of the block.
    """
    what = f"read {table.label} out of {table.dump}"
    reader = location.client(what, restore_table(table.schema, table.name, section="data"), version=version)
    stages = [*unpack_stages(table.dump, compression_of(table.dump, b"PGDMP"), may_leave=True), reader]
    counter = _Counter()
    try:
        with open(table.dump, "rb") as stream, Pipeline(stages, stdin=stream.fileno()) as pipeline:
            columns, encoding = _header(pipeline.stdout, table)
            yield Rows(columns, encoding, counter.lines(pipeline.stdout))
            for _rest in pipeline.stdout:
                pass
    except ProcessError as exc:
        raise DatabaseError(f"{exc} Nothing was changed.", path=table.dump) from exc
    if not counter.ended or counter.rows != table.rows:
        raise DatabaseError(
            f"{table.dump} holds {counter.rows} rows of {table.label}, and should hold {table.rows}. Nothing was "
            "changed. Use another backup.",
            table=table.label,
        )


def copy_statement(table: Table, columns: tuple[str, ...]) -> str:
    """Return the statement that takes rows."""
    return f"COPY {table.sql} ({', '.join(map(identifier, columns))}) FROM stdin;"


def csv_header(columns: tuple[str, ...]) -> bytes:
    return b",".join(_field(column.encode()) for column in columns) + b"\n"


def csv_line(line: bytes) -> bytes:
    """Return a row as CSV: NULL is nothing at all, and an empty text is a pair of quotes."""
    fields = (b"" if field == b"\\N" else _field(_plain(field)) for field in line.split(b"\t"))
    return b",".join(fields) + b"\n"


def _field(value: bytes) -> bytes:
    # The end mark of COPY, too: older servers would take it for that.
    if value in (b"", b"\\.") or _QUOTED.search(value):
        return b'"' + value.replace(b'"', b'""') + b'"'
    return value


def _plain(field: bytes) -> bytes:
    if b"\\" not in field:
        return field
    return _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), field)


def _header(stream: t.BinaryIO, table: Table) -> tuple[tuple[str, ...], str]:
    encoding = "UTF8"
    for line in stream:
        said = _ENCODING.match(line)
        if said is not None:
            encoding = said[1].decode()
        if line.startswith(b"COPY "):
            found = _COPY.fullmatch(line.decode(errors="surrogateescape").rstrip("\n"))
            if found is not None:
                return tuple(name_of(name[0]) for name in _NAME.finditer(found["columns"])), encoding
            break
    raise DatabaseError(f"{table.dump} holds no rows of {table.label} that can be read.", table=table.label)


class _Counter:
    def __init__(self) -> None:
        self.rows = 0
        self.ended = False

    def lines(self, stream: t.BinaryIO) -> Iterator[bytes]:
        for line in stream:
            if line == END:
                self.ended = True
                return
            self.rows += 1
            yield line[:-1]
