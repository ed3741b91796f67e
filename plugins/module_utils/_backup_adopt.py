# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a backup of this collection from files that other means have written, which stay as they are.

``plan`` reads all of them and only looks, ``apply`` only acts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from contextlib import ExitStack
from dataclasses import dataclass, field

from ._backup_adopt_inputs import TICKETZ, choose
from ._backup_adopt_manifest import manifest_of, origin_of
from ._backup_adopt_parts import (
    REPACKED,
    DumpPart,
    VolumePart,
    check_rows,
    dump_name,
    look_at_archive,
    refuse_encrypted,
    survey_custom,
    write_dump,
    write_volume,
)
from ._backup_adopt_stack import adopter, covering, database_of, ticketz_database, ticketz_volume, volume_of
from ._backup_adopt_ticketz import DUMP, look, unpacked
from ._backup_preflight import check_tools
from ._backup_store import Store, new_id, now, unwritable
from ._capture_databases import file_name
from ._dump_file import PLAIN, compression_of, format_of, survey_script
from ._errors import StackError, StoreError
from ._files import file_sha256
from ._publication import publish
from ._signature import usable_key
from ._stack_backup import server_name
from ._stack_info import locate
from ._tree import remove_tree

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

    from ._backup_adopt_inputs import Input, Inputs
    from ._backup_store import Backup
    from ._engine import Engine
    from ._files import Written
    from ._manifest import Manifest
    from ._plain_dump import Surveyed
    from ._profile import Profile
    from ._signature import Signer
    from ._stack import Request as StackRequest
    from ._stack import Stack, StackDatabase

# Beside the artifacts of a partial backup, and gone before it is published.
UNPACKED = ".unpacked"


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types.

    ``volumes`` and ``databases`` say what a file holds whose name does not; without a ``stack``, the only one that
    may be meant is found. Without a ``signing_key`` that of the host signs, where it has one.
    """

    root: str
    paths: tuple[str, ...]
    version: str
    stack: StackRequest | None = None
    date: str = ""
    volumes: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, str] = field(default_factory=dict)
    signing_key: str | None = None


@dataclass(frozen=True)
class Plan:
    """What the backup will consist of; ``reason`` is None when the files were adopted before, as ``id``.

    ``stack`` is as the files cover it, ``unpacked`` how many bytes are extracted on the way.
    """

    request: Request
    reason: str | None
    stack: Stack
    inputs: Inputs
    volumes: tuple[VolumePart, ...]
    dumps: tuple[DumpPart, ...]
    origin: dict[str, t.Any]
    moment: datetime.datetime
    remarks: tuple[str, ...]
    id: str
    path: str
    unpacked: int = 0
    signer: Signer | None = None

    @property
    def artifacts(self) -> list[str]:
        return [*(part.artifact for part in self.volumes), *(part.artifact for part in self.dumps)]

    def diff(self) -> dict[str, str]:
        if self.reason is None:
            return {"before": "", "after": ""}
        return {"before": "", "after": "".join(f"{self.path}/{name}\n" for name in self.artifacts)}


@dataclass(frozen=True)
class _Parts:
    volumes: tuple[VolumePart, ...]
    dumps: tuple[DumpPart, ...]
    remarks: tuple[str, ...] = ()
    unpacked: int = 0


def plan(request: Request, engine: Engine, profiles: Mapping[str, Profile]) -> Plan:
    """Choose the files, read them to their end, and find out what of the stack each is. Changes nothing.

    Raises ArchiveError, StoreError or StackError for files that are damaged, hostile, incomplete or of something else.
    """
    inputs = choose(request.paths, request.date, request.volumes, request.databases)
    stack = adopter(engine, profiles, request.stack, inputs, request.volumes)
    check_tools(REPACKED, None)
    signer = usable_key(request.signing_key)
    parts = _ticketz(inputs, stack) if inputs.kind == TICKETZ else _loose(inputs, request, stack, engine)
    origin = origin_of(inputs, (*parts.volumes, *parts.dumps))
    store = Store(request.root)
    before = _adopted(store, stack.name, origin)
    # One from a clock that is wrong must not be the latest backup for ever.
    moment = min(inputs.made_at, now())
    id_ = before.id if before else new_id(moment, {backup.id for backup in store.backups(stack.name)})
    return Plan(
        request=request,
        reason=None if before else f"the files of {inputs.made_at:%Y-%m-%d %H:%M} are not in {request.root} yet",
        stack=covering(stack, [part.data for part in parts.volumes], [part.database for part in parts.dumps]),
        inputs=inputs,
        volumes=parts.volumes,
        dumps=parts.dumps,
        origin=origin,
        moment=moment,
        remarks=(*inputs.remarks, *parts.remarks),
        id=id_,
        path=before.path if before else os.path.join(store.stack_directory(stack.name), id_),
        unpacked=parts.unpacked,
        signer=signer,
    )


def apply(wanted: Plan, engine: Engine) -> tuple[Backup, Manifest]:
    """Carry out a plan: write the artifacts and publish them as a backup of the moment that the files are of."""
    store = Store(wanted.request.root)
    name = wanted.stack.name
    with store.locked(name), store.partial(name, wanted.moment) as partial:
        if _adopted(store, name, wanted.origin) is not None:
            raise StoreError(f"Another run has adopted these files meanwhile, see {store.stack_directory(name)}.")
        _check_space(wanted, store)
        place = os.path.join(partial.path, UNPACKED)
        try:
            with ExitStack() as stack:
                if wanted.inputs.kind == TICKETZ:
                    archive = wanted.inputs.archives[0].path
                    stack.callback(remove_tree, place)
                    stack.enter_context(unpacked(archive, place, wanted.dumps[0].read))
                artifacts = [write_volume(part, partial, place) for part in wanted.volumes]
                artifacts += [write_dump(part, partial, place) for part in wanted.dumps]
            return publish(partial, manifest_of(wanted, engine, partial.id, artifacts), wanted.signer)
        except OSError as exc:
            raise unwritable(partial.path, exc) from exc


def summary(backup: Backup, manifest: Manifest) -> dict[str, t.Any]:
    """Return what the operator wants to know of a backup that was made."""
    facts = [artifact.facts for artifact in manifest.artifacts]
    return {
        "id": backup.id,
        "directory": backup.path,
        "size": manifest.size,
        "files": sum(fact.get("files", 0) for fact in facts),
        "rows": sum(sum(fact.get("rows", {}).values()) for fact in facts),
        "artifacts": [artifact.path for artifact in manifest.artifacts if artifact.kind in ("archive", "dump")],
        "remarks": list(manifest.warnings),
    }


def _loose(inputs: Inputs, request: Request, stack: Stack, engine: Engine) -> _Parts:
    archives = [(entry, volume_of(stack, engine, entry, request.volumes)) for entry in inputs.archives]
    _refuse_twice([(entry.file, data.source) for entry, data in archives])
    dumps = [_dump(entry, request, stack, engine) for entry in inputs.dumps]
    _refuse_twice([(os.path.basename(part.path), part.artifact.partition(".")[0]) for part in dumps])
    return _Parts(tuple(look_at_archive(entry.path, data) for entry, data in archives), tuple(dumps))


def _refuse_twice(named: list[tuple[str, str]]) -> None:
    targets = [target for _file, target in named]
    twice = sorted(file for file, target in named if targets.count(target) > 1)
    if twice:
        raise StackError(f"{' and '.join(twice)} are of the same volume or database. Name one of them.")


def _dump(entry: Input, request: Request, stack: Stack, engine: Engine) -> DumpPart:
    read = file_sha256(entry.path)
    refuse_encrypted(entry.path)
    compression = compression_of(entry.path)
    format_ = format_of(entry.path, compression)
    surveyed = survey_script(entry.path, compression) if format_ == PLAIN else None
    said = surveyed.contents.database if surveyed is not None else ""
    database = database_of(stack, entry, said, request.databases)
    if surveyed is None:
        surveyed = survey_custom(entry.path, compression, locate(engine, database), database.name)
    return _dump_part(stack, database, entry.path, read, (compression, format_), surveyed)


def _dump_part(
    stack: Stack,
    database: StackDatabase,
    path: str,
    read: Written,
    kind: tuple[str, str],
    surveyed: Surveyed,
    member: str | None = None,
) -> DumpPart:
    check_rows(surveyed, path if member is None else f"{member} of {path}")
    compression, format_ = kind
    server = server_name(stack, database)
    alone = [other.name for other in stack.databases].count(database.name) == 1
    stem = file_name(database.name) + ("" if alone else f"@{file_name(server)}")
    artifact = dump_name(stem, format_, compression)
    return DumpPart(database, server, path, read, compression, format_, surveyed, artifact, member)


def _ticketz(inputs: Inputs, stack: Stack) -> _Parts:
    archive = inputs.archives[0].path
    database = ticketz_database(stack)
    found = look(archive)
    volumes = tuple(
        VolumePart(ticketz_volume(stack, member), archive, found.read, REPACKED, {}, member) for member in found.volumes
    )
    dump = _dump_part(stack, database, archive, found.read, ("none", PLAIN), found.dump, DUMP)
    remarks = []
    if found.strangers:
        shown = ", ".join(found.strangers[:3])
        remarks.append(f"{archive} also holds {len(found.strangers)} names that are left out, such as {shown}.")
    return _Parts(volumes, (dump,), tuple(remarks), found.bytes + found.dump.size)


def _adopted(store: Store, stack: str, origin: Mapping[str, t.Any]) -> Backup | None:
    """Return the backup that the same files were made to before."""
    wanted = {entry["sha256"] for entry in origin["files"]}
    for backup in store.backups(stack):
        try:
            before = backup.manifest().origin
        except StoreError:
            # A damaged one is as good as none.
            continue
        if before is not None and {entry["sha256"] for entry in before["files"]} == wanted:
            return backup
    return None


def _check_space(wanted: Plan, store: Store) -> None:
    # What is extracted lies there until it is archived again, and an archive is no bigger than what it holds.
    needed = 2 * wanted.unpacked if wanted.unpacked else sum(entry["size"] for entry in wanted.origin["files"])
    free = store.free_bytes()
    if needed > free:
        raise StoreError(
            f"{store.root} has {free} bytes free, and to adopt these files takes up to {needed}. Free space there, or "
            "set crm_backup_root to another disk.",
            path=store.root,
        )
