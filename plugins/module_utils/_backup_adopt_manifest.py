# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest of a backup that was made of other files: what they are of, and what they lack.

The files say little of where they are from. So the manifest describes the stack that is there now, but for what the
files do say, and names what nobody knows. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import platform
import typing as t

from ._backup_adopt_inputs import TICKETZ
from ._backup_store import now
from ._compression import tool
from ._errors import ContinuityError
from ._manifest import Manifest
from ._stack_backup import for_restore, server_name
from ._stack_info import database_facts, describe, locate

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ._backup_adopt import Plan
    from ._backup_adopt_inputs import Inputs
    from ._backup_adopt_parts import DumpPart, VolumePart
    from ._engine import Engine
    from ._manifest import Artifact
    from ._stack import Stack, StackDatabase

MINUTE = datetime.timedelta(minutes=1)


def origin_of(inputs: Inputs, parts: Iterable[VolumePart | DumpPart]) -> dict[str, t.Any]:
    """Return what a manifest says of the files that a backup was made of."""
    read = {part.path: part.read for part in parts}
    return {
        "kind": inputs.kind,
        "made_at": _timestamp(inputs.made_at),
        "files": [{"path": path, "size": read[path].size, "sha256": read[path].sha256} for path in sorted(read)],
    }


def manifest_of(wanted: Plan, engine: Engine, id_: str, artifacts: Sequence[Artifact]) -> Manifest:
    """Return the manifest of a backup whose artifacts are written."""
    described = describe(engine, wanted.stack)
    dumps = {(part.database.name, part.server): part for part in wanted.dumps}
    databases, unasked = [], []
    for entry, database in zip(described["databases"], wanted.stack.databases, strict=True):
        part = dumps.get((database.name, server_name(wanted.stack, database)))
        try:
            databases.append({**entry, **_database(engine, wanted.stack, database, part)})
        except ContinuityError as exc:
            # What is not in the backup need not answer.
            if part is not None:
                raise
            unasked.append(f"Database {database.name} was not looked at: {exc}")
    source = {key: value for key, value in described.items() if key not in ("name", "session", "warnings")}
    moment = _timestamp(wanted.moment)
    return Manifest(
        id=id_,
        stack=wanted.stack.name,
        host=platform.node(),
        started_at=moment,
        cut_at=moment,
        finished_at=_timestamp(now()),
        collection_version=wanted.request.version,
        source={**source, "databases": databases},
        freeze={"seconds": 0.0, "services": []},
        artifacts=tuple(artifacts),
        session=tuple(described["session"]),
        tools={"engine": engine.info().version, "compression": tool("zstd")},
        warnings=(*missing(wanted), *described["warnings"], *wanted.remarks, *unasked),
        origin=wanted.origin,
    )


def missing(wanted: Plan) -> list[str]:
    """Return what the files do not hold, or nobody knows about them, for the operator."""
    stack, inputs = wanted.stack, wanted.inputs
    kept = {part.data.source for part in wanted.volumes}
    dumped = {(part.database.name, part.server) for part in wanted.dumps}
    remarks = [
        f"Adopted from {_sources(wanted)}. Nothing is known of whether the applications stood still meanwhile.",
        "The files hold no compose files, environment files or secrets. Keep those of that time with the backup: "
        "without them what the applications have encrypted cannot be read.",
        "The files do not say which version of the applications wrote them; the manifest names the images that are "
        "there now.",
    ]
    if inputs.last - inputs.made_at >= MINUTE:
        remarks.append(
            f"The archives were begun one after the other, from {inputs.made_at:%H:%M} to {inputs.last:%H:%M} UTC: "
            "they are not of one instant."
        )
    if inputs.kind == TICKETZ:
        remarks.append("The sidekick dumps the database first and copies the media afterwards, while Ticketz runs.")
    remarks += [
        f"{data.kind} {data.name} is not covered: {data.note}."
        for data in stack.data
        if data.source not in kept and data.coverage != "dump" and data.note
    ]
    remarks += [
        f"Database {database.name} is not covered: the files that were adopted hold no dump of it."
        for database in stack.databases
        if (database.name, server_name(stack, database)) not in dumped
    ]
    remarks += [
        f"volume {data.name} has to be of the same version as the image it is mounted into: leave it out if the "
        "application was updated since."
        for data in stack.data
        if data.source in kept and data.same_image
    ]
    return remarks


def _sources(wanted: Plan) -> str:
    return ", ".join(entry["path"] for entry in wanted.origin["files"])


def _database(engine: Engine, stack: Stack, database: StackDatabase, part: DumpPart | None) -> dict[str, t.Any]:
    location = locate(engine, database)
    facts = {**database_facts(location, database), **for_restore(stack, database, location)}
    return {**facts, "covered": part is not None, **(_said(part, facts) if part is not None else {})}


def _said(part: DumpPart, live: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return what the dump says of its database, in the place of what the server says of the one that is there."""
    contents = part.surveyed.contents
    # As PostgreSQL counts: 15.18 is 150018. A beta has a word in the place of the number.
    minor = contents.server_version.partition(".")[2]
    return {
        "server_version": contents.server_version,
        "server_version_num": contents.server_major * 10000 + (int(minor) if minor.isdigit() else 0),
        "owner": contents.owner or live["owner"],
        "extensions": {name: live["extensions"][name] for name in contents.extensions if name in live["extensions"]},
        "schemas": sorted({*contents.schemas, "public"}),
        "size": part.surveyed.size,
        # Which migrations had run is only in the rows.
        "schema_version": None,
    }


def _timestamp(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
