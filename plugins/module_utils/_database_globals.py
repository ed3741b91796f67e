# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles of a PostgreSQL server: dump them beside the databases, and create the missing ones elsewhere.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import secrets
import typing as t
from dataclasses import dataclass

from ._compression import compress_stage
from ._database import connect
from ._database_location import APPLICATION
from ._database_output import Client, write_output
from ._dump_contents import NAME, name_of, statements
from ._dump_file import compression_of
from ._encryption import NO_ENCRYPTION
from ._errors import DatabaseError
from ._files import partial_file, read_chunks
from ._pg_commands import dump_globals as dump_globals_command
from ._process import Pipeline
from ._seal import sealed
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ._database_location import Location
    from ._encryption import Encryption

_CREATE = re.compile(rf"CREATE ROLE ({NAME})\Z")
_ALTER = re.compile(rf"(?:ALTER|COMMENT ON) ROLE ({NAME}) (?!IN DATABASE )")
_MEMBER = re.compile(rf"(GRANT ({NAME}) TO ({NAME})(?: WITH [A-Z, ]+?)?)(?: GRANTED BY {NAME})?\Z")


@dataclass(frozen=True)
class DumpedGlobals:
    """What was written; ``role_passwords`` says whether it holds the roles' passwords (as hashes)."""

    path: str
    size: int
    sha256: str
    plain_sha256: str
    role_passwords: bool


def dump_globals(
    location: Location,
    database: str,
    destination: str,
    *,
    compression: str = "zstd",
    level: int | None = None,
    encryption: Encryption = NO_ENCRYPTION,
) -> DumpedGlobals:
    """Write roles and tablespaces of the server as SQL; without passwords where the user is no superuser.

    ``database`` is only the one to connect to.
    """
    run_id = secrets.token_hex(6)
    what = f"the roles of {location.name}"
    with connect(location.connection(database), f"{APPLICATION} {run_id}") as session:
        superuser = session.role().superuser
        argv = dump_globals_command(location.target(database), role_passwords=superuser)
        program = Client(location, f"dump {what}", argv, session.server_version() // 10000, run_id)
        compressor = compress_stage(compression, f"compress {what}", level)
        with partial_file(destination) as target, sealed(target, encryption, what) as seal:
            written = write_output(program, compressor, seal, destination, session).written
    return DumpedGlobals(destination, written.size, written.sha256, written.plain_sha256, superuser)


def restore_globals(location: Location, database: str, path: str) -> tuple[str, ...]:
    """Create the roles of a dump that the server lacks, and return their names; those that exist are left alone."""
    sql = read_globals(path)
    with connect(location.connection(database)) as session:
        missing = missing_roles(sql, session.roles())
        session.execute("BEGIN")
        for statement in for_roles(sql, missing):
            try:
                session.execute(statement)
            except DatabaseError as exc:
                # The statement itself may hold the hash of a password.
                subject = " ".join(statement.split()[:3])
                raise DatabaseError(f"The roles were not created, {subject} failed: {exc}", path=path) from exc
        session.execute("COMMIT")
    return tuple(sorted(missing))


def missing_roles(sql: str, existing: Iterable[str]) -> frozenset[str]:
    """Return the roles that a dump creates and a server lacks."""
    found = (_CREATE.match(statement) for statement in statements(sql))
    return frozenset(name_of(match[1]) for match in found if match is not None) - frozenset(existing)


def for_roles(sql: str, names: frozenset[str]) -> list[str]:
    """Return the statements of a dump that create and describe these roles and their memberships."""
    chosen = []
    for statement in statements(sql):
        subject = _CREATE.match(statement) or _ALTER.match(statement)
        member = _MEMBER.match(statement)
        if subject is not None and name_of(subject[1]) in names:
            chosen.append(statement)
        elif member is not None and names & {name_of(member[2]), name_of(member[3])}:
            # Who granted it there may not exist here; here it is the role that restores.
            chosen.append(member[1])
    return chosen


def read_globals(path: str) -> str:
    """Return the SQL of a dump of the roles."""
    unpack = unpack_stages(path, compression_of(path, b"--"))
    with open(path, "rb") as stream:
        if not unpack:
            return stream.read().decode()
        with Pipeline(unpack, stdin=stream.fileno()) as pipeline:
            return b"".join(read_chunks(pipeline.stdout)).decode()
