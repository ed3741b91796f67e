# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a part out of a backup: ``plan`` reads and verifies it, and what it returns can be carried out.

Which part: a volume or files of it, a database or a table of it. Where to: a directory, a database to look at, or the
live place. Everything is verified against the manifest before anything is put in place. Standard library only. Private
to this collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import typing as t
from dataclasses import asdict, dataclass

from ._backup_proof import prove_manifest
from ._backup_store import LATEST, Store, locked_on_host
from ._compression import SUFFIXES as COMPRESSED
from ._database import connect
from ._dump_table import find_table
from ._encryption import SUFFIXES, held, prove
from ._errors import StackError, StoreError
from ._extract_database import look_at, make, remove
from ._extract_files import Target, extract, live_target, look, source_of
from ._extract_table import plan_live, restore_live, write_table
from ._files import file_sha256, partial_file, read_chunks, write_hashed
from ._process import Pipeline
from ._profile import Repair
from ._signature import NO_SIGNERS, Signers
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ._archive_selection import Found
    from ._backup_store import Backup
    from ._database_location import Location
    from ._dump_table import Table
    from ._engine import Engine
    from ._extract_database import Look
    from ._extract_files import Source
    from ._extract_table import Live
    from ._manifest import Artifact, Manifest

# How the function is called that finds a database server: with what the manifest says of the database.
Locate = t.Callable[[t.Mapping[str, t.Any]], "Location"]


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types and which go together."""

    root: str
    stack: str
    id: str = LATEST
    volume: str | None = None
    path: str = ""
    database: str | None = None
    table: str | None = None
    to: str | None = None
    to_database: str | None = None
    replace: bool = False
    form: str = "csv"
    allow_devices: bool = False
    signers: Signers = NO_SIGNERS


class Plan(t.Protocol):
    """Something that can be taken out of a backup, once it was verified."""

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        """Do it, or only find out what doing it would change; returns ``changed`` and what was done."""


def plan(request: Request, engine: Callable[[], Engine], locate: Locate) -> Plan:
    """Find and verify what is meant. Raises ContinuityError when it is not there or damaged.

    ``engine`` and ``locate`` are called only where something lives on the host or needs a database server.
    """
    backup = Store(request.root).backup(request.stack, request.id)
    manifest, _proof = prove_manifest(backup, request.signers)
    if request.volume is not None:
        return _plan_files(request, backup, manifest, request.volume, engine)
    artifact = _artifact(manifest, "dump", request.database or "")
    path = os.path.join(backup.path, artifact.path)
    facts = manifest.database(artifact)
    if request.table is None and request.to is not None:
        _verify(path, artifact)
        return _DumpPlan(path, artifact, request.to, request.replace)
    location = locate(facts)
    table = find_table(path, request.table, artifact.facts["rows"]) if request.table is not None else None
    _verify(path, artifact)
    if request.to_database is not None:
        origin = (
            f"{artifact.source}{f', table {table.label}' if table else ''} of backup {backup.id} of {manifest.stack}"
        )
        return _LookPlan(
            look_at(location, request.to_database, origin), location, path, artifact, facts, table, request.replace
        )
    if table is None:
        raise StackError("A whole database is put in its live place by database_restore.")
    if request.to is not None:
        return _TableFilePlan(table, location, artifact, request.to, request.form, request.replace)
    live = plan_live(table, location, str(facts["name"]), replace=request.replace)
    return _LiveTablePlan(live, manifest.stack)


def plan_absent(name: str, location: Location) -> Plan:
    """Find out whether there is a database to remove that was made to look at."""
    return _AbsentPlan(look_at(location, name, ""), location)


def _artifact(manifest: Manifest, kind: str, source: str) -> Artifact:
    found = manifest.find(kind, source)
    if found is None:
        there = sorted({str(entry.source) for entry in manifest.artifacts if entry.kind == kind})
        what = {"archive": "volume", "dump": "database"}[kind]
        raise StoreError(
            f"Backup {manifest.id} of {manifest.stack} holds no {what} {source}. It holds {', '.join(there) or 'none'}."
        )
    return found


def _verify(path: str, artifact: Artifact) -> None:
    if not os.path.isfile(path):
        raise StoreError(f"{path} is missing. Use another backup, or a copy of this one.", path=path)
    found = file_sha256(path)
    if found.sha256 != artifact.sha256:
        raise StoreError(
            f"{path} is damaged: its SHA-256 is {found.sha256}, and should be {artifact.sha256}. Nothing was changed. "
            "Use another backup.",
            path=path,
        )
    prove(path, held())


def _plan_files(
    request: Request, backup: Backup, manifest: Manifest, volume: str, engine: Callable[[], Engine]
) -> Plan:
    artifact = _artifact(manifest, "archive", volume)
    source = source_of(manifest, backup.path, artifact, request.path, allow_devices=request.allow_devices)
    if request.to is not None:
        target = Target(request.to, may_stage_beside=False)
        return _FilesPlan(source, look(source), target, request.replace, None)
    if source.selection.everything:
        raise StackError("A whole volume is put in its live place by volume_import. Give a path for a part of it.")
    entry = next(entry for entry in manifest.source["volumes"] if entry["name"] == volume)
    target = live_target(engine(), entry)
    return _FilesPlan(source, look(source), target, request.replace, manifest.stack)


@dataclass(frozen=True)
class _FilesPlan:
    source: Source
    found: Found
    target: Target
    replace: bool
    stack: str | None

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        with _locked(self.stack if act else None):
            done = extract(self.source, self.found, self.target, replace=self.replace, act=act)
        return {"changed": done.changed, **asdict(done)}


@dataclass(frozen=True)
class _DumpPlan:
    path: str
    artifact: Artifact
    to: str
    replace: bool

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        name = os.path.basename(self.artifact.path)
        for ending in (*SUFFIXES.values(), *COMPRESSED.values()):
            name = name.removesuffix(ending)

        def write(path: str) -> None:
            unpack = unpack_stages(self.path, self.artifact.compression)
            with open(self.path, "rb") as stream, partial_file(path) as descriptor:
                if not unpack:
                    write_hashed(descriptor, read_chunks(stream))
                    return
                with Pipeline(unpack, stdin=stream.fileno()) as pipeline:
                    write_hashed(descriptor, read_chunks(pipeline.stdout))

        return _put_file(os.path.join(self.to, name), write, replace=self.replace, act=act)


@dataclass(frozen=True)
class _TableFilePlan:
    table: Table
    location: Location
    artifact: Artifact
    to: str
    form: str
    replace: bool

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        table = self.table
        base = re.sub(r"[^\w.-]", "_", f"{self.artifact.source}.{table.schema}.{table.name}")
        said: dict[str, t.Any] = {"table": table.label, "rows": table.rows}

        def write(path: str) -> None:
            with connect(self.location.connection(self.location.default_database)) as session:
                version = session.server_version() // 10000
            said["encoding"] = write_table(table, self.location, version, path, self.form).encoding

        path = os.path.join(self.to, f"{base}.{self.form}")
        return {**_put_file(path, write, replace=self.replace, act=act), **said}


@dataclass(frozen=True)
class _LookPlan:
    look: Look
    location: Location
    path: str
    artifact: Artifact
    facts: dict[str, t.Any]
    table: Table | None
    replace: bool

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        look = self.look
        result: dict[str, t.Any] = {"changed": not look.current, "database": look.name}
        if look.current:
            return result
        if look.exists and not self.replace:
            raise StackError(
                f"Database {look.name} is there already, made from something else. Remove it (state=absent), choose "
                "another name, or set replace=true."
            )
        if act:
            repair = tuple(Repair(step["name"], step["when"], step["sql"]) for step in self.facts["repair_steps"])
            result["rows"] = make(
                look, self.location, self.path, self.artifact.sha256, self.artifact.facts["rows"], repair, self.table
            )
        return result


@dataclass(frozen=True)
class _AbsentPlan:
    look: Look
    location: Location

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        if act and self.look.exists:
            remove(self.look, self.location)
        return {"changed": self.look.exists, "database": self.look.name}


@dataclass(frozen=True)
class _LiveTablePlan:
    live: Live
    stack: str

    def carry_out(self, *, act: bool) -> dict[str, t.Any]:
        live = self.live
        if act:
            with locked_on_host(self.stack):
                restore_live(live)
        return {
            "changed": True,
            "table": live.table.label,
            "database": live.database,
            "rows": live.table.rows,
            "rows_before": live.rows,
        }


def _put_file(path: str, write: Callable[[str], None], *, replace: bool, act: bool) -> dict[str, t.Any]:
    """Let ``write`` make a file, and put it at ``path`` unless it is there already."""
    directory, name = os.path.split(path)
    there = os.path.lexists(path)
    result = {"changed": True, "file": path}
    if not act and not there:
        return result
    os.makedirs(directory, mode=0o700, exist_ok=True)
    made = os.path.join(directory, f".{name}.crm-extract")
    try:
        write(made)
        same = there and os.path.isfile(path) and file_sha256(path) == file_sha256(made)
        if there and not same and not replace:
            raise StackError(f"{path} is there already and differs. Set replace=true to replace it.", path=path)
        if act and not same:
            os.replace(made, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(made)
    return {**result, "changed": not same, "size": os.path.getsize(path)}


@contextlib.contextmanager
def _locked(stack: str | None) -> Iterator[None]:
    if stack is None:
        yield
        return
    with locked_on_host(stack):
        yield
