# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore the database of a backup under another name, to look at it, and remove it again.

Its name says that it is none that an application uses, and its comment says what it was made from; only a database with
both is ever removed. Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._database import connect
from ._database_location import MAINTENANCE, enter
from ._database_restore import Request as RestoreRequest
from ._database_restore import apply as restore_apply
from ._database_restore import plan as restore_plan
from ._database_scratch import NAME_BYTES, building, cut_over
from ._errors import DatabaseError, ProcessError
from ._pg_commands import identifier, literal, restore_rows_of
from ._process import run

if t.TYPE_CHECKING:
    from ._database import PostgreSQL
    from ._database_location import Location
    from ._dump_table import Table
    from ._profile import Repair

SUFFIX = "__crm_look"
_MARK = "Made by crm.continuity to look at: "
_NAME = re.compile(r"[a-z_][a-z0-9_]*")


@dataclass(frozen=True)
class Look:
    """A database to look at: its whole name, what it is of, and whether it is there, as wanted or otherwise."""

    name: str
    comment: str
    exists: bool
    current: bool


def look_at(location: Location, name: str, origin: str) -> Look:
    """Find out whether a database to look at is there already; ``origin`` says what it is to be made from.

    Raises DatabaseError for a name that cannot be, and for a database of that name that was not made here.
    """
    base = name.removesuffix(SUFFIX)
    whole = base + SUFFIX
    if not _NAME.fullmatch(base) or len(whole) > NAME_BYTES:
        raise DatabaseError(
            f"{name!r} cannot be the name of a database to look at: use up to {NAME_BYTES - len(SUFFIX)} lower-case "
            "letters, digits and _."
        )
    with _control(location) as session:
        rows = session.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = %s", (whole,)
        )
    found = str(rows[0][0] or "") if rows else None
    if found is not None and not found.startswith(_MARK):
        raise DatabaseError(f"Database {whole} is there already and was not made to look at. Choose another name.")
    comment = _MARK + origin
    return Look(whole, comment, found is not None, found == comment)


def make(
    look: Look,
    location: Location,
    path: str,
    sha256: str,
    rows: t.Mapping[str, int],
    repair: tuple[Repair, ...],
    table: Table | None,
) -> dict[str, int]:
    """Restore a dump under the name of ``look``, in place of what is there; return its row counts.

    With a table, the rows of that one only; the others are there, and empty.
    """
    request = RestoreRequest(
        database=look.name,
        path=path,
        sha256=sha256,
        rows=rows,
        replace=True,
        privileges=False,
        repair=repair,
    )
    wanted = restore_plan(request, location)
    if table is None:
        found = restore_apply(wanted, location).rows
    else:
        with building(location, wanted.maintenance, look.name, wanted.dump, wanted.owner) as scratch:
            role = wanted.owner if wanted.owner != wanted.user else None
            scratch.restore_section("pre-data", role=role, privileges=False)
            argv = restore_rows_of(location.target(scratch.name), scratch.staging.archive, table.schema, table.name)
            version = scratch.control.server_version() // 10000
            try:
                run(location.client(f"restore {table.label}", argv, version=version, run_id=scratch.run_id))
            except ProcessError as exc:
                raise DatabaseError(str(exc), path=path) from exc
            with scratch.session() as session:
                found = {table.label: int(session.execute(f"SELECT count(*) FROM ONLY {table.sql}")[0][0])}
            if found != {table.label: table.rows}:
                raise DatabaseError(
                    f"{table.label} has {found[table.label]} rows instead of {table.rows}. Use another backup.",
                    path=path,
                )
            cut_over(scratch, live_exists=look.exists, keep=False)
    with _control(location) as session:
        session.execute(f"COMMENT ON DATABASE {identifier(look.name)} IS {literal(look.comment)}")
    return found


def remove(look: Look, location: Location) -> None:
    """Remove a database that was made to look at."""
    with _control(location) as session:
        session.drop_database(look.name)


def _control(location: Location) -> PostgreSQL:
    return enter(location, MAINTENANCE, connect)[1]
