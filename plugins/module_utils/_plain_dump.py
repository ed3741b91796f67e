# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Understand a dump that is a SQL script: what it holds, whether it is whole, and what of it goes to psql.

``survey`` reads it for the sake of the verdict; ``feed`` reads it again and yields what psql is given. Both refuse what
pg_dump would not have written. Standard library only. Private to this collection.
"""

from __future__ import annotations

import hashlib
import re
import typing as t
from collections import Counter
from dataclasses import dataclass

from ._dump_contents import NAME, VERSION, Contents, about_database, create_options, name_of, roles_of
from ._errors import StoreError
from ._pg_commands import identifier, label
from ._plain_dump_rules import (
    ANOTHER_KIND,
    COPY,
    COPY_STATEMENT,
    CREATE_DATABASE,
    CREATE_EXTENSION,
    CREATE_SCHEMA,
    CREATE_TABLE,
    DATABASE,
    INSERT,
    INSERT_STATEMENT,
    OUTER,
    OWNER,
    PARTITIONED,
    POST_DATA,
    PRIVILEGE,
    SET_STATEMENT,
    SETTING,
    SETVAL,
    SKIPPED,
    verdict_of,
)
from ._sql_script import Command, Comment, Script, Statement

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# The two halves that a restore runs its repairs between.
BEFORE, AFTER = "before", "after"

_BEGINS = "-- PostgreSQL database dump"
_ENDS = "-- PostgreSQL database dump complete"
_CLUSTER = "-- PostgreSQL database cluster dump"
_ROWS = re.compile(r"-- Data for Name: .*; Type: TABLE DATA; ")
# How the words begin that land in the file when nobody looks at the exit code.
_COMPLAINT = re.compile(r"(?:\S*/)?(?:pg_dump|pg_dumpall|psql|docker|Error|sh|bash|OCI runtime)\b[^\n]{0,200}")
# They may show how somebody tried to connect.
_CREDENTIALS = re.compile(r"//[^@\s]*@|password=\S*")


@dataclass(frozen=True)
class Surveyed:
    """What a whole script holds. ``rows`` are None where its rows cannot be told apart by table.

    ``size`` and ``sha256`` are of the script itself; ``has_rows`` says whether it was made with rows at all.
    """

    contents: Contents
    rows: dict[str, int] | None
    sequences: dict[str, int | None]
    has_rows: bool
    size: int
    sha256: str


def survey(read: Callable[[int], bytes], subject: str) -> Surveyed:
    """Read a script to its end, and describe it.

    Raises StoreError, with what ``subject`` is instead, when it is no whole script of pg_dump.
    """
    source = _Measured(read)
    reading = _Reading(source.read, subject)
    found = _Found()
    for step in reading.steps():
        found.add(step, reading)
    if not found.tables and not found.partitioned:
        raise StoreError(f"{subject} holds no tables: it was made without the definitions, or of an empty database.")
    return Surveyed(
        contents=found.contents(reading),
        rows=dict(found.tables) if found.exact else None,
        sequences=found.sequences,
        has_rows=found.has_rows or reading.announces_rows,
        size=source.size,
        sha256=source.sha256,
    )


def feed(
    read: Callable[[int], bytes], subject: str, half: str, *, role: str | None, privileges: bool, key: str | None
) -> Iterator[bytes]:
    """Yield what psql is given of one half of a script; objects will belong to ``role``, or to who is connected.

    With a ``key``, psql is told first to accept no command of its own but the one that names the key.
    """
    reading = _Reading(read, subject)
    if key is not None:
        yield f"\\restrict {key}\n".encode()
    become = f"SET ROLE {identifier(role)};\n".encode() if role is not None else b""
    yield become
    for step in reading.steps():
        wanted = reading.half == half and (privileges or step.verdict != PRIVILEGE)
        if step.verdict == COPY:
            if wanted:
                yield step.sql + b";\n"
            for piece in reading.rows():
                if wanted:
                    yield piece
            if wanted:
                yield b"\\.\n"
        elif step.verdict in (SKIPPED, DATABASE):
            continue
        elif step.verdict == OUTER and role is not None and wanted:
            # Extensions may need a superuser, their comments their owner: they are not made by the role.
            schema = CREATE_SCHEMA.match(step.text)
            to_role = f"ALTER SCHEMA {schema[1]} OWNER TO {identifier(role)};\n" if schema is not None else ""
            yield b"RESET ROLE;\n" + step.sql + b";\n" + to_role.encode() + become
        # A session begins with the settings that the other half ended with.
        elif wanted or step.verdict == SETTING:
            yield step.sql + b";\n"


@dataclass(frozen=True)
class _Step:
    """A statement and what becomes of it. ``text`` is its beginning, or all of a statement that was recognised."""

    verdict: int
    sql: bytes
    text: str
    words: tuple[bytes, ...]


class _Measured:
    """A source of bytes that are counted and hashed on the way."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._digest = hashlib.sha256()
        self.size = 0

    def read(self, size: int) -> bytes:
        data = self._read(size)
        self._digest.update(data)
        self.size += len(data)
        return data

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


class _Reading:
    """One way through a script."""

    def __init__(self, read: Callable[[int], bytes], subject: str) -> None:
        self.subject = subject
        self._begun = False
        self._complete = False
        self._connected = False
        self._script = Script(self._watched(read), subject)
        self.half = BEFORE
        self.version: re.Match[str] | None = None
        self.database: str | None = None
        self.announces_rows = False

    def rows(self) -> Iterator[bytes]:
        """Yield the rows of a COPY."""
        return self._script.rows()

    def steps(self) -> Iterator[_Step]:
        """Yield all statements; raise StoreError at the first thing that pg_dump would not have written."""
        for part in self._script.parts():
            if isinstance(part, Comment):
                self._comment(part.text.decode(errors="replace"))
            elif isinstance(part, Command):
                self._command(part)
            else:
                yield self._step(part)
        if not self._complete:
            raise StoreError(
                f"{self.subject} is truncated: the words that pg_dump ends a dump with are missing. "
                "The dump was interrupted, or its disk was full."
            )

    def _watched(self, read: Callable[[int], bytes]) -> Callable[[int], bytes]:
        """Judge the beginning before anything is made of it."""
        started = False

        def first(size: int) -> bytes:
            nonlocal started
            data = read(size)
            if not started:
                started = True
                self._judge_beginning(data)
            return data

        return first

    def _judge_beginning(self, data: bytes) -> None:
        if not data:
            raise StoreError(f"{self.subject} is empty: whatever should have been dumped was not.")
        words = data[:4096].decode(errors="replace")
        complaint = _COMPLAINT.match(words)
        if complaint is not None:
            shown = _CREDENTIALS.sub("***", complaint[0]).strip()
            raise StoreError(f"{self.subject} holds an error message instead of a dump: {shown!r}.")
        if not words.startswith("--"):
            raise StoreError(f"{self.subject} does not begin as a dump of pg_dump does.")

    def _comment(self, text: str) -> None:
        if text == _CLUSTER:
            raise StoreError(f"{self.subject} {ANOTHER_KIND.format('several databases')}.")
        if text == _BEGINS and self._begun:
            raise StoreError(f"{self.subject} holds more than one dump. Split it, one database in each file.")
        self._begun = self._begun or text == _BEGINS
        self._complete = self._complete or text == _ENDS
        self.announces_rows = self.announces_rows or _ROWS.match(text) is not None
        self.version = self.version or VERSION.search(text)

    def _command(self, command: Command) -> None:
        name = command.words[0]
        if name in (b"\\restrict", b"\\unrestrict"):
            # They are for a psql that reads the file itself; ours has a key of its own.
            return
        if name == b"\\connect" and len(command.words) == 2 and self.database is not None and not self._connected:
            self._connected = True
            return
        if name in (b"\\connect", b"\\c"):
            raise StoreError(f"{self.subject} {ANOTHER_KIND.format('several databases')} (line {command.line}).")
        raise StoreError(
            f"{self.subject} holds a command for psql, {name.decode(errors='replace')[:20]!r} (line {command.line}), "
            "which pg_dump does not write. It could run programs.",
            line=command.line,
        )

    def _step(self, statement: Statement) -> _Step:
        if not self._begun or self._complete:
            where = "after its end" if self._complete else "before the words that pg_dump begins a dump with"
            raise StoreError(f"{self.subject} holds statements {where} (line {statement.line}).", line=statement.line)
        # What decides stands at the beginning; only these have to be known as a whole.
        whole = len(statement.sql) <= 1 << 16 or statement.words[:1] == (b"select",)
        text = (statement.sql if whole else statement.sql[: 1 << 16]).decode(errors="backslashreplace")
        verdict = verdict_of(text, statement.words)
        if not isinstance(verdict, int):
            shown = b" ".join(statement.words[:2]).upper().decode(errors="replace") or "nothing known"
            why = verdict or f"holds a statement that pg_dump does not write: {shown}"
            raise StoreError(f"{self.subject} {why} (line {statement.line}).", line=statement.line)
        created = CREATE_DATABASE.match(text)
        if created is not None:
            self.database = name_of(created[1])
        if POST_DATA.match(text) is not None:
            self.half = AFTER
        return _Step(verdict, statement.sql, text, statement.words)


class _Found:
    """What a survey collects."""

    def __init__(self) -> None:
        self.tables: Counter[str] = Counter()
        self.partitioned: set[str] = set()
        self.exact = True
        self.has_rows = False
        self.sequences: dict[str, int | None] = {}
        self._schema = "public"
        self._owners: Counter[str] = Counter()
        self._schemas: list[str] = []
        self._extensions: list[str] = []
        self._grantees: set[str] = set()
        self._settings: list[str] = []
        self._options = self._encoding = ""

    def add(self, step: _Step, reading: _Reading) -> None:
        """Take note of a statement, and read its rows if it has some."""
        text = step.text
        if step.verdict == COPY:
            copied = t.cast("re.Match[str]", COPY_STATEMENT.match(text))
            self._count(copied[1], sum(piece.count(b"\n") for piece in reading.rows()))
        elif step.verdict == INSERT:
            self._insert(step)
        elif step.verdict == SETTING:
            self._setting(text)
        elif step.verdict == PRIVILEGE:
            self._grantees |= set(roles_of(f"{text};"))
        elif step.verdict == DATABASE:
            self._options = self._options or create_options(text)
            self._settings += filter(None, [about_database(text)])
        self._object(text)

    def contents(self, reading: _Reading) -> Contents:
        """Return what the script says about itself."""
        if reading.version is None:
            raise StoreError(f"{reading.subject} does not say from which server it is, as a dump of pg_dump does.")
        owner = self._owners.most_common(1)
        return Contents(
            server_version=reading.version["text"],
            server_major=int(reading.version["major"]),
            database=reading.database or "",
            owner=owner[0][0] if owner else "",
            create_options=self._options or self._encoding,
            schemas=tuple(self._schemas),
            extensions=tuple(self._extensions),
            table_data=len(self.tables),
            settings=tuple(self._settings),
            grantees=frozenset(self._grantees),
            listing="",
        )

    def _object(self, text: str) -> None:
        table, schema, extension = (pattern.match(text) for pattern in (CREATE_TABLE, CREATE_SCHEMA, CREATE_EXTENSION))
        owner = OWNER.match(text)
        if table is not None and PARTITIONED.search(text) is None:
            self.tables[self._label(table[1])] += 0
        elif table is not None:
            self.partitioned.add(self._label(table[1]))
        elif schema is not None and schema[1] != "public":
            self._schemas.append(name_of(schema[1]))
        elif extension is not None:
            self._extensions.append(name_of(extension[1]))
        elif owner is not None:
            self._owners[name_of(owner[1])] += 1
        else:
            sequence = SETVAL.match(text)
            if sequence is not None:
                name = self._label(sequence[1][1:-1].replace("''", "'"))
                self.sequences[name] = int(sequence[2]) if sequence[3] == "true" else None

    def _setting(self, text: str) -> None:
        given = SET_STATEMENT.match(text)
        if given is not None and given[1] == "search_path":
            self._schema = name_of(given[2].partition(",")[0].strip())
        elif given is not None and given[1] == "client_encoding":
            self._encoding = f"ENCODING = {given[2]}"

    def _insert(self, step: _Step) -> None:
        into = t.cast("re.Match[str]", INSERT_STATEMENT.match(step.text))
        # DEFAULT VALUES is a row of a table without columns.
        self._count(into[1], step.words[step.words.index(b"values") :].count(b"(") or 1)

    def _count(self, name: str, rows: int) -> None:
        found = self._label(name)
        self.has_rows = True
        if found in self.tables:
            self.tables[found] += rows
        elif found in self.partitioned:
            # Which partition they go to is for the server to say.
            self.exact = False

    def _label(self, qualified: str) -> str:
        names = [name_of(part) for part in re.findall(NAME, qualified)]
        return label(names[0] if len(names) > 1 else self._schema, names[-1])
