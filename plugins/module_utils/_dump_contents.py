# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read what PostgreSQL's programs print about a dump: versions, extensions, roles, and how the database was set up.

Pure functions over text. Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._errors import DatabaseError
from ._pg_commands import identifier

if t.TYPE_CHECKING:
    from collections.abc import Iterator

NAME = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
_HEADER = re.compile(
    r"^-- Name: (?P<name>.*); Type: (?P<kind>[A-Z ]+); Schema: .*; Owner: (?P<owner>.*?)(?:; Tablespace: .*)?$"
)
VERSION = re.compile(r"Dumped from database version (?P<text>(?P<major>\d+)\S*)")
_OPTION = re.compile(
    r"(ENCODING|LOCALE_PROVIDER|LOCALE|LC_COLLATE|LC_CTYPE|ICU_LOCALE|ICU_RULES|BUILTIN_LOCALE)"
    r" ?= ?('(?:[^']|'')*'|\w+)"
)
_GRANTEE = re.compile(rf" (?:TO|FROM) (?:GROUP )?({NAME}|PUBLIC)(?: WITH GRANT OPTION)?;$", re.MULTILINE)
_OTHER_ROLE = re.compile(
    rf"^(?:SET SESSION AUTHORIZATION ({NAME});|ALTER DEFAULT PRIVILEGES FOR ROLE ({NAME}) )", re.MULTILINE
)
# What pg_dump says about the database itself: before and after its name.
_ABOUT_DATABASE = re.compile(
    rf"\A(ALTER DATABASE |ALTER ROLE {NAME} IN DATABASE |COMMENT ON DATABASE |(?:GRANT|REVOKE) [A-Z, ]+? ON DATABASE )"
    rf"{NAME}( .*)\Z",
    re.DOTALL,
)
# Decided by the restore itself, or in the way of the next one.
_NEVER_RESTORED = re.compile(r" (?:OWNER TO|IS_TEMPLATE|ALLOW_CONNECTIONS|REFRESH COLLATION)\b")


@dataclass(frozen=True)
class Contents:
    """What a dump says about itself.

    ``create_options`` is the SQL for its encoding and locale, ``settings`` are statements about the database with
    ``{database}`` in place of its name, ``grantees`` are the roles that its privileges need, ``table_data`` is the
    number of tables whose rows it holds, ``listing`` the table of contents.
    """

    server_version: str
    server_major: int
    database: str
    owner: str
    create_options: str
    schemas: tuple[str, ...]
    extensions: tuple[str, ...]
    table_data: int
    settings: tuple[str, ...]
    grantees: frozenset[str]
    listing: str


@dataclass(frozen=True)
class Entry:
    """One object of a script written by pg_dump or pg_restore."""

    kind: str
    name: str
    owner: str
    sql: str


def contents(listing: str, script: str) -> Contents:
    """Combine what ``pg_restore --list`` and ``pg_restore --create --schema-only`` printed."""
    version = VERSION.search(script)
    found = list(entries(script))
    created = next((entry for entry in found if entry.kind == "DATABASE"), None)
    if version is None or created is None:
        raise DatabaseError(
            "The dump does not say from which server and database it is. It was not written by pg_dump."
        )
    grants = [entry for entry in found if entry.kind in ("ACL", "DEFAULT ACL")]
    return Contents(
        server_version=version["text"],
        server_major=int(version["major"]),
        database=created.name,
        owner=created.owner,
        create_options=create_options(created.sql.partition(";")[0]),
        schemas=tuple(entry.name for entry in found if entry.kind == "SCHEMA"),
        extensions=tuple(entry.name for entry in found if entry.kind == "EXTENSION"),
        table_data=table_data(listing),
        settings=tuple(_settings(found)),
        grantees=frozenset(name for entry in grants for name in roles_of(entry.sql)),
        listing=listing,
    )


def table_data(listing: str) -> int:
    """Return of how many tables a dump holds the rows."""
    return len(re.findall(r"^\d+; \d+ \d+ TABLE DATA ", listing, re.MULTILINE))


def entries(script: str) -> Iterator[Entry]:
    """Yield the objects of a script, each with its statements."""
    header: re.Match[str] | None = None
    lines: list[str] = []
    for line in script.split("\n"):
        match = _HEADER.match(line)
        if match is None:
            lines.append(line)
            continue
        if header is not None:
            yield Entry(header["kind"], header["name"], header["owner"], _code(lines))
        header, lines = match, []
    if header is not None:
        yield Entry(header["kind"], header["name"], header["owner"], _code(lines))


def statements(sql: str) -> list[str]:
    """Split SQL into statements; as far as pg_dump and pg_dumpall use its syntax."""
    found: list[str] = []
    start = 0
    for token in re.finditer(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|^\\[^\n]*|;""", sql, re.MULTILINE):
        if token[0] == ";":
            found.append(sql[start : token.start()].strip())
            start = token.end()
        elif token[0].startswith(("--", "\\")) and not sql[start : token.start()].strip():
            start = token.end()
    return [text for text in found if text]


def without_schemas_and_extensions(listing: str) -> tuple[str, str]:
    """Split a table of contents into schemas and extensions with their comments, and all the rest."""
    first: list[str] = []
    rest: list[str] = []
    for line in listing.splitlines(keepends=True):
        early = re.match(r"\d+; \d+ \d+ (?:(?:SCHEMA|EXTENSION) - |COMMENT - (?:SCHEMA|EXTENSION) )", line)
        (first if early else rest).append(line)
    return "".join(first), "".join(rest)


def name_of(text: str) -> str:
    """Return the name that an identifier in SQL stands for."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text


def _settings(found: list[Entry]) -> Iterator[str]:
    for entry in found:
        about = entry.kind in ("DATABASE", "DATABASE PROPERTIES") or (
            entry.kind in ("ACL", "COMMENT") and entry.name.startswith("DATABASE ")
        )
        for statement in statements(entry.sql) if about else ():
            setting = about_database(statement)
            if setting is not None:
                yield setting


def create_options(statement: str) -> str:
    """Return the SQL for encoding and locale in the statement that creates a database."""
    return " ".join(f"{key} = {value}" for key, value in _OPTION.findall(statement))


def about_database(statement: str) -> str | None:
    """Return a statement about the database itself as one of the ``settings``; None for one that is not restored."""
    match = _ABOUT_DATABASE.match(statement)
    if match is None or _NEVER_RESTORED.match(match[2]):
        return None
    before, after = (part.replace("{", "{{").replace("}", "}}") for part in (match[1], match[2]))
    return f"{before}{{database}}{after}"


def for_database(statement: str, name: str) -> str:
    """Return one of the ``settings`` for a database of this name."""
    return statement.format(database=identifier(name))


def role_of(statement: str) -> str | None:
    """Return the role that one of the ``settings`` needs, or None when it needs none."""
    match = re.match(rf"ALTER ROLE ({NAME}) IN DATABASE ", statement)
    roles = [match[1]] if match else [name for name in _GRANTEE.findall(f"{statement};") if name != "PUBLIC"]
    is_privilege = match is not None or statement.startswith(("GRANT ", "REVOKE "))
    return name_of(roles[0]) if roles and is_privilege else None


def is_privilege(statement: str) -> bool:
    """Return whether one of the ``settings`` is about a role."""
    return statement.startswith(("GRANT ", "REVOKE ", "ALTER ROLE "))


def without_value(statement: str) -> str:
    """Return one of the ``settings`` for a message: a value may be a secret."""
    return re.split(r" (?:TO|IS|=) ", statement, maxsplit=1)[0].replace("{database}", "").replace("  ", " ").strip()


def roles_of(sql: str) -> Iterator[str]:
    """Yield the roles that privileges are granted to or taken from."""
    for name in _GRANTEE.findall(sql):
        if name != "PUBLIC":
            yield name_of(name)
    for pair in _OTHER_ROLE.findall(sql):
        yield name_of(pair[0] or pair[1])


def _code(lines: list[str]) -> str:
    # psql's own commands (\connect, \restrict) stand on lines of their own.
    return "\n".join(line for line in lines if not line.startswith("\\"))
