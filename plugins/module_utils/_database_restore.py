# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore one PostgreSQL database: into a scratch database first, proved, and then exchanged for the live one.

``plan`` only looks and ``apply`` only acts. Until the exchange, which is one transaction, the live database is neither
locked nor changed. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace

from ._database import connect
from ._database_globals import missing_roles, read_globals, restore_globals
from ._database_location import MAINTENANCE, enter
from ._database_scratch import NAME_BYTES, Scratch, building, cut_over
from ._database_staging import require_space
from ._dump_contents import is_privilege, role_of
from ._dump_file import examine
from ._errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._database import Facts, Role
    from ._database_location import Location
    from ._dump_contents import Contents
    from ._dump_file import DumpFile
    from ._profile import Repair

# How many tables a message or a diff names.
SHOWN = 10


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types.

    ``rows`` are the expected counts by table, from the manifest; ``repair`` runs before indexes are made.
    """

    database: str
    path: str
    sha256: str | None = None
    rows: Mapping[str, int] | None = None
    replace: bool = False
    keep_previous: bool = False
    owner: str | None = None
    privileges: bool = True
    repair: tuple[Repair, ...] = ()
    jobs: int | None = None
    check_space: bool = True
    globals_path: str | None = None


@dataclass(frozen=True)
class Plan:
    """What will happen, and why. ``live_rows`` is what the database holds now, None when it does not exist."""

    request: Request
    reason: str
    dump: DumpFile
    owner: str
    user: str
    live_rows: Mapping[str, int] | None
    maintenance: str
    jobs: int

    def diff(self) -> dict[str, str]:
        rows = self.request.rows if self.request.rows is not None else self.dump.rows
        after = (
            _table(rows)
            if rows is not None
            else f"rows of {self.dump.contents.table_data} tables from {self.dump.path}\n"
        )
        return {"before": _table(self.live_rows or {}), "after": after}


@dataclass(frozen=True)
class Restored:
    """What the database holds now; ``previous`` is the name under which its former state was kept, or None."""

    rows: dict[str, int]
    tables: int
    owner: str
    previous: str | None
    repaired: tuple[str, ...]
    roles_created: tuple[str, ...]
    warnings: tuple[str, ...]


def plan(request: Request, location: Location) -> Plan:
    """Examine the dump and the server, and refuse whatever could not succeed. Changes nothing."""
    if len(request.database.encode()) > NAME_BYTES:
        raise DatabaseError(f"PostgreSQL has no names of more than {NAME_BYTES} bytes: {request.database}.")
    names = [name for name in MAINTENANCE if name != request.database]
    maintenance, session = enter(location, names, connect)
    with session:
        version = session.server_version()
        dump = examine(request.path, request.sha256, location, version // 10000)
        databases, role = session.databases(), session.role()
        roles = session.roles()
        if request.globals_path is not None:
            roles |= missing_roles(read_globals(request.globals_path), roles)
        owner = _owner(request, dump.contents, databases.get(request.database), roles, role)
        _check_server(dump, version, session.available_extensions(), role, location)
        _check_roles(request, dump.contents, owner, roles)
        if request.check_space:
            require_space(location, session, dump)
    live = None
    if request.database in databases:
        live = _live_rows(location, request.database)
        dump = _like_live(dump, location, request.database)
    return Plan(
        request=request,
        reason=_reason(request, live),
        dump=dump,
        owner=owner,
        user=role.name,
        live_rows=live,
        maintenance=maintenance,
        jobs=request.jobs or _default_jobs(dump),
    )


def apply(wanted: Plan, location: Location) -> Restored:
    """Carry out a plan. When anything fails, the live database is as it was and nothing else is left."""
    request = wanted.request
    created: tuple[str, ...] = ()
    if request.globals_path is not None:
        created = restore_globals(location, wanted.maintenance, request.globals_path)
    with building(location, wanted.maintenance, request.database, wanted.dump, wanted.owner) as scratch:
        repaired = fill(scratch, wanted)
        rows = prove(scratch, request)
        # Without statistics the first queries of the application would be planned blindly.
        scratch.analyze(wanted.jobs)
        scratch.apply_settings(privileges=request.privileges)
        if not request.replace and wanted.live_rows is not None:
            # Someone may have filled it while this was restoring.
            _reason(request, _live_rows(location, request.database))
        previous = cut_over(scratch, live_exists=wanted.live_rows is not None, keep=request.keep_previous)
    return Restored(
        rows=rows,
        tables=len(rows),
        owner=wanted.owner,
        previous=previous,
        repaired=repaired,
        roles_created=created,
        warnings=tuple(scratch.warnings),
    )


def fill(scratch: Scratch, wanted: Plan) -> tuple[str, ...]:
    """Restore all of the dump into the scratch database; return the names of the repair steps that were needed."""
    request = wanted.request
    role = wanted.owner if wanted.owner != wanted.user else None
    scratch.restore_section("pre-data", role=role, privileges=request.privileges)
    scratch.restore_section("data", jobs=wanted.jobs, role=role, privileges=request.privileges)
    with scratch.session() as session:
        steps = [step for step in request.repair if step.when is None or _is_true(session.execute(step.when))]
        for step in steps:
            session.execute(step.sql)
    scratch.restore_section("post-data", jobs=wanted.jobs, role=role, privileges=request.privileges)
    return tuple(step.name for step in steps)


def prove(scratch: Scratch, request: Request) -> dict[str, int]:
    """Count the rows of every table and return that; raise DatabaseError when they are not those of the backup."""
    with scratch.session() as session:
        rows = session.row_counts()
        expected = request.rows if request.rows is not None else scratch.dump.rows
        differences = compare_rows(expected if expected is not None else rows, rows)
        if differences:
            raise DatabaseError(
                f"What was restored from {request.path} is not what was backed up: {_some(differences)}. "
                f"Database {request.database} was not touched. Use another backup.",
                differences=differences,
            )
    return rows


def compare_rows(expected: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """Return one sentence for every table whose count differs or that only one side has."""
    differences = []
    for table in sorted({*expected, *found}):
        if table not in found:
            differences.append(f"{table} is missing")
        elif table not in expected:
            differences.append(f"{table} is not in the backup's list")
        elif expected[table] != found[table]:
            differences.append(f"{table} has {found[table]} rows instead of {expected[table]}")
    return differences


def _like_live(dump: DumpFile, location: Location, database: str) -> DumpFile:
    """Give a dump that does not say how its database was created the encoding and locale of the one it replaces."""
    if "LOCALE" in dump.contents.create_options or "LC_COLLATE" in dump.contents.create_options:
        return dump
    with connect(location.connection(database)) as session:
        options = create_options(session.facts())
    return replace(dump, contents=replace(dump.contents, create_options=options))


def create_options(facts: Facts) -> str:
    """Return the SQL that creates a database with the encoding and locale of another one of the same server."""
    values = {"ENCODING": facts.encoding}
    # Older servers have libc's only, and no word for it.
    if facts.server_version_num >= 150000:
        values["LOCALE_PROVIDER"] = facts.locale_provider
    if facts.locale is not None and facts.locale_provider in ("icu", "builtin"):
        values[f"{facts.locale_provider.upper()}_LOCALE"] = facts.locale
    values |= {"LC_COLLATE": facts.collate, "LC_CTYPE": facts.ctype}
    return " ".join("{} = '{}'".format(key, value.replace("'", "''")) for key, value in values.items())


def _owner(request: Request, contents: Contents, current: str | None, roles: frozenset[str], role: Role) -> str:
    if request.owner is not None:
        return request.owner
    if current is not None:
        return current
    return contents.owner if contents.owner in roles else role.name


def _check_server(dump: DumpFile, version: int, extensions: Mapping[str, bool], role: Role, location: Location) -> None:
    contents = dump.contents
    if not (role.superuser or role.create_database):
        raise DatabaseError(
            f"User {role.name} may not create databases in {location.name}, which a safe restore needs. "
            f"Use a superuser, or: ALTER ROLE {role.name} CREATEDB."
        )
    if contents.server_major > version // 10000:
        raise DatabaseError(
            f"{dump.path} is of PostgreSQL {contents.server_major}, and {location.name} runs {version // 10000}. "
            "A dump can be restored into the same version or a newer one.",
            path=dump.path,
        )
    missing = [name for name in contents.extensions if name not in extensions]
    if missing:
        raise DatabaseError(
            f"{dump.path} needs extensions that {location.name} does not have: {', '.join(missing)}. "
            "Install their packages there, or use the image that the backup names.",
            extensions=missing,
        )
    forbidden = [name for name in contents.extensions if not (role.superuser or extensions[name])]
    if forbidden:
        raise DatabaseError(
            f"{dump.path} needs extensions that only a superuser may create: {', '.join(forbidden)}. "
            f"User {role.name} is none; give one that is.",
            extensions=forbidden,
        )


def _check_roles(request: Request, contents: Contents, owner: str, roles: frozenset[str]) -> None:
    if owner not in roles:
        raise DatabaseError(f"There is no role {owner} to own database {request.database}. Create it first.")
    if not request.privileges:
        return
    needed = {*contents.grantees, *(role_of(text) for text in contents.settings if is_privilege(text))} - {None}
    missing = sorted(name for name in needed if name is not None and name not in roles)
    if missing:
        raise DatabaseError(
            f"{request.path} grants privileges to roles that the server does not have: {', '.join(missing)}. Create "
            "them, restore them from the dump of the roles (globals), or leave the grants out (privileges=false).",
            roles=missing,
        )


def _live_rows(location: Location, database: str) -> dict[str, int]:
    with connect(location.connection(database)) as session:
        # A view or a foreign table is something to lose too, although it has no rows of its own.
        return {} if session.is_empty() else session.row_counts() or {"(views)": 0}


def _reason(request: Request, live: Mapping[str, int] | None) -> str:
    name = f"database {request.database}"
    if live is None:
        return f"{name} does not exist"
    if not live:
        return f"{name} is empty"
    holds = f"{len(live)} tables with {sum(live.values())} rows"
    if not request.replace:
        largest = sorted(live.items(), key=lambda entry: -entry[1])
        raise DatabaseError(
            f"{name[0].upper()}{name[1:]} is not empty: it holds {holds} "
            f"({_some([f'{table}: {count}' for table, count in largest])}). It was left alone. "
            "Set replace=true to exchange it for the backup.",
            rows=dict(live),
        )
    return f"replace=true: {name} holds {holds}"


def _default_jobs(dump: DumpFile) -> int:
    # Below this, starting sessions costs more than they save.
    if dump.plain_size < 32 * 1024 * 1024:
        return 1
    return max(1, min(4, os.cpu_count() or 1))


def _some(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _table(rows: Mapping[str, int]) -> str:
    return "".join(f"{table}: {count} rows\n" for table, count in sorted(rows.items()))


def _is_true(rows: list[tuple[t.Any, ...]]) -> bool:
    return bool(rows and rows[0][0])
