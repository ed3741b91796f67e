# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scratch database of a restore: make it beside the live one, fill it, and exchange the two.

Its name is that of the live database and a suffix by which the next run recognises what a killed one left behind.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import typing as t
from dataclasses import dataclass, field
from datetime import datetime, timezone

from ._database import connect
from ._database_location import APPLICATION
from ._database_staging import Staging, staging
from ._disk_watch import DiskWatch
from ._dump_contents import for_database, is_privilege, without_schemas_and_extensions, without_value
from ._dump_file import PLAIN
from ._errors import ContinuityError, DatabaseError, ProcessError
from ._pg_commands import analyze, can_restrict, identifier, play, psql_version, restore
from ._plain_dump import AFTER, BEFORE, feed
from ._process import Pipeline, run
from ._unpacking import unpack_stages
from ._workplace import opened

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._database import Database, PostgreSQL
    from ._database_location import Location
    from ._dump_file import DumpFile
    from ._process import Stage

# PostgreSQL cuts longer names off.
NAME_BYTES = 63
BUILDING, DOOMED, KEPT = "__crm_", "__crm_old_", "__crm_previous_"
STAMP_DIGITS = 20

# For the sessions that restore. A scratch database need not be durable before the exchange, whose commit makes
# everything before it durable too.
_SETTINGS = {"maintenance_work_mem": "128MB", "synchronous_commit": "off"}
# A role may have another default, and the script was checked under this one.
_SCRIPT_SETTINGS = {"standard_conforming_strings": "on"}


@dataclass
class Scratch:
    """A scratch database while it is being filled; ``warnings`` collects what the operator should know."""

    location: Location
    control: Database
    staging: Staging
    dump: DumpFile
    live: str
    owner: str
    stamp: str
    run_id: str
    watch: DiskWatch
    warnings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return stem(self.live) + BUILDING + self.stamp

    def session(self) -> PostgreSQL:
        """Open a session with the scratch database."""
        return connect(self.location.connection(self.name), f"{APPLICATION} {self.run_id}")

    def create(self) -> None:
        """Create it, empty, with the encoding and locale of the dump where the server has that locale."""
        options = self.dump.contents.create_options
        try:
            self.control.create_database(self.name, owner=self.owner, options=options)
        except DatabaseError as exc:
            encoding = re.match(r"ENCODING = '[^']*'", options)
            if encoding is None or exc.details.get("sqlstate") not in ("42809", "22023"):
                raise
            self.control.create_database(self.name, owner=self.owner, options=encoding[0])
            self.warnings.append(
                f"The server does not have the locale of the dump ({options}), so the database has the server's own: "
                "texts may sort in another order."
            )

    def restore_section(self, section: str, *, jobs: int = 1, role: str | None = None, privileges: bool = True) -> None:
        """Restore one section. Objects will belong to ``role``, or to the connected user when it is None.

        Of a script, definitions and rows are one section: the first call restores both, and the second one nothing.
        """
        if self.dump.format == PLAIN:
            if section != "data":
                self._play(BEFORE if section == "pre-data" else AFTER, role=role, privileges=privileges)
        elif section == "pre-data" and role is not None:
            # Extensions may need a superuser, their comments their owner: they are not made by the role.
            first, rest = without_schemas_and_extensions(self.dump.contents.listing)
            self._restore(section, use_list=self.staging.put_text("schemas.list", first), privileges=privileges)
            with self.session() as session:
                for schema in self.dump.contents.schemas:
                    session.execute(f"ALTER SCHEMA {identifier(schema)} OWNER TO {identifier(role)}")
            self._restore(
                section, use_list=self.staging.put_text("objects.list", rest), role=role, privileges=privileges
            )
        else:
            self._restore(section, jobs=jobs, role=role, privileges=privileges)

    def analyze(self, jobs: int) -> None:
        """Gather the planner's statistics."""
        self._client(
            f"analyze what was restored from {self.dump.path}", analyze(self.location.target(self.name), jobs=jobs)
        )

    def apply_settings(self, *, privileges: bool) -> None:
        """Give the database the settings, grants and comment that the dumped one had."""
        for statement in self.dump.contents.settings:
            if privileges or not is_privilege(statement):
                try:
                    self.control.execute(for_database(statement, self.name))
                except DatabaseError as exc:
                    self.warnings.append(
                        f"A setting of the database was not restored ({without_value(statement)}): {exc}"
                    )

    def _restore(
        self,
        section: str,
        *,
        jobs: int = 1,
        role: str | None = None,
        privileges: bool = True,
        use_list: str | None = None,
    ) -> None:
        argv = restore(
            self.location.target(self.name),
            self.staging.archive,
            section=section,
            jobs=jobs,
            role=role,
            privileges=privileges,
            use_list=use_list,
        )
        self._client(f"restore the {section} section of {self.dump.path}", argv)

    def _play(self, half: str, *, role: str | None, privileges: bool) -> None:
        """Let psql run one half of a script."""
        version = self.control.server_version() // 10000
        asked = self.location.client("ask psql for its version", psql_version(), version=version)
        restricts = can_restrict(run(asked).stdout.decode(errors="replace"))
        psql = self._stage(f"restore {self.dump.path}", play(self.location.target(self.name)))
        unpack = unpack_stages(self.dump.path, self.dump.compression)
        with self._explained(), open(self.dump.path, "rb") as stream, contextlib.ExitStack() as stack:
            source = stream.fileno()
            if unpack:
                source = stack.enter_context(Pipeline(unpack, stdin=source)).stdout.fileno()
            script = feed(
                functools.partial(os.read, source),
                self.dump.path,
                half,
                role=role,
                privileges=privileges,
                key=secrets.token_hex(16) if restricts else None,
            )
            with Pipeline([psql]) as pipeline:
                for piece in script:
                    pipeline.stdin.write(piece)

    def _client(self, what: str, argv: list[str]) -> None:
        with self._explained():
            run(self._stage(what, argv))

    def _stage(self, what: str, argv: list[str]) -> Stage:
        version = self.control.server_version() // 10000
        settings = _SETTINGS | (_SCRIPT_SETTINGS if self.dump.format == PLAIN else {})
        return self.location.client(what, argv, version=version, run_id=self.run_id, settings=settings)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except ProcessError as exc:
            if self.watch.free is not None:
                raise DatabaseError(
                    f"Restoring {self.dump.path} was stopped because the disk of {self.location.name} has only "
                    f"{self.watch.free >> 20} MiB left. Database {self.live} was not touched. Free some space there.",
                    free=self.watch.free,
                ) from exc
            raise DatabaseError(f"{exc} Database {self.live} was not touched.", path=self.dump.path) from exc


@contextlib.contextmanager
def building(location: Location, maintenance: str, live: str, dump: DumpFile, owner: str) -> Iterator[Scratch]:
    """Yield an empty scratch database for ``live``; when the block fails, nothing of it is left.

    Only one restore of a database runs at a time. What killed ones left behind is removed first.
    """
    run_id = secrets.token_hex(6)
    with connect(location.connection(maintenance), f"{APPLICATION} {run_id}") as control:
        if not control.try_lock(f"{APPLICATION} restore {live}"):
            raise DatabaseError(f"Database {live} is being restored by another run. Wait for it to end.", database=live)
        control.terminate_orphans(APPLICATION)
        for name in leftovers(live, control.databases()):
            control.drop_database(name)
        key = hashlib.sha256(f"{location.name} {live}".encode()).hexdigest()[:16]
        with staging(location, dump, key) as place, _watching(place, control, maintenance, run_id, dump) as watch:
            stamp = f"{datetime.now(timezone.utc):%Y%m%d%H%M%S%f}"
            scratch = Scratch(location, control, place, dump, live, owner, stamp, run_id, watch)
            try:
                scratch.create()
                yield scratch
            except BaseException:
                # An interruption may have cost the session; what cannot be removed now, the next run removes.
                with contextlib.suppress(ContinuityError), connect(location.connection(maintenance)) as other:
                    other.drop_database(scratch.name)
                raise


@contextlib.contextmanager
def _watching(
    staging: Staging, control: Database, maintenance: str, run_id: str, dump: DumpFile
) -> Iterator[DiskWatch]:
    """End the programs of this run when the disk of the server runs full."""
    location = staging.place.location
    data = control.setting("data_directory") if location.sees_data_directory else None
    # Only where the workplace was found is it certain which container the process number stands for.
    visible = data is not None and staging.place.descriptor is not None
    directory = opened(location, data) if data is not None and visible else None
    try:
        with connect(location.connection(maintenance)) as session:
            watch = DiskWatch(directory, lambda: _stop(session, run_id), DiskWatch.reserve_for(dump.plain_size))
            with watch.running():
                yield watch
    finally:
        if directory is not None:
            os.close(directory)


def _stop(session: Database, run_id: str) -> None:
    # When the server is gone already, there is nothing to stop.
    with contextlib.suppress(DatabaseError):
        session.terminate(f"{APPLICATION} tool {run_id}")


def cut_over(scratch: Scratch, *, live_exists: bool, keep: bool) -> str | None:
    """Exchange the scratch database for the live one in one transaction; returns the name of the kept one."""
    renames = [(scratch.name, scratch.live)]
    former = stem(scratch.live) + (KEPT if keep else DOOMED) + scratch.stamp
    comments = {}
    if live_exists:
        renames.insert(0, (scratch.live, former))
    if live_exists and keep:
        comments[former] = f"Kept by crm.continuity: database {scratch.live} as it was before a restore."
    scratch.control.rename_databases(renames, comments)
    if not live_exists:
        return None
    if keep:
        return former
    try:
        scratch.control.drop_database(former)
    except DatabaseError as exc:
        scratch.warnings.append(f"The former state of the database is still there as {former}: {exc}")
    return None


def stem(live: str) -> str:
    """Return what the names of a database's scratch databases begin with; short enough for every suffix."""
    room = NAME_BYTES - len(KEPT) - STAMP_DIGITS
    if len(live.encode()) <= room:
        return live
    digest = hashlib.sha256(live.encode()).hexdigest()[:8]
    return live.encode()[: room - 9].decode(errors="ignore") + "_" + digest


def leftovers(live: str, databases: Iterable[str]) -> list[str]:
    """Return the scratch databases of killed restores; not those that were kept on purpose."""
    pattern = re.compile(rf"{re.escape(stem(live))}(?:{BUILDING}|{DOOMED})\d{{{STAMP_DIGITS}}}")
    return [name for name in databases if pattern.fullmatch(name)]
