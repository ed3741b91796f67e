# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare a backup with the host that it is to be restored on. Only looks.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import itertools
import os
import posixpath
import typing as t
from dataclasses import dataclass

from ._backup_store import LATEST, Store, existing_parent
from ._config_bundle import bundle_name
from ._errors import StackError
from ._stack import COMPOSE
from ._stack_info import MASK
from ._tree import scan
from ._volume_directory import LOCAL, data_directory

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._engine import Container, Engine
    from ._manifest import Artifact, Manifest

# Free space is compared with what the archives unpack to, and a little for the file system's own needs.
SPACE_MARGIN = 1.05
# How the name of the archive with the compose files begins.
BUNDLE = "config/project.tar"
# States of a service that a restore starts again; one that was stopped stays so.
STARTED = ("running", "paused", "restarting")


@dataclass(frozen=True)
class Request:
    """Which backup is to be restored; without a stack the only one below the root."""

    root: str
    stack: str | None = None
    id: str = LATEST


def check(request: Request, engine: Engine) -> dict[str, t.Any]:
    """Return what a restore will do to each volume and database, what is in its way and what speaks against it.

    ``occupied`` names the targets that hold data already: replacing them needs the operator's word. ``problems`` are
    reasons not to start. Raises StoreError when there is no such backup or its manifest is damaged.
    """
    store = Store(request.root)
    backup = store.backup(request.stack or _only_stack(store), request.id)
    manifest = backup.manifest()
    containers = [c for c in engine.containers() if c.labels.get(COMPOSE + "project") == manifest.stack]
    # What was left out of the backup is none of the restore's business.
    volumes = [
        _volume(engine, entry, manifest, backup.path)
        for entry in manifest.source["volumes"]
        if entry["coverage"] in ("archive", "dump")
    ]
    databases = [
        _database(artifact, manifest, backup.path) for artifact in manifest.artifacts if artifact.kind == "dump"
    ]
    return {
        "stack": manifest.stack,
        "id": backup.id,
        "directory": backup.path,
        "cut_at": manifest.cut_at,
        "profiles": manifest.source["profiles"],
        "project_dir": manifest.source["project_dir"],
        "config": _config(manifest, backup.path),
        "compose": compose_command(manifest),
        "services": sorted({s["service"] for s in manifest.source["services"] if s["state"] in STARTED}),
        "running": sorted(container.name for container in containers if container.running),
        "volumes": [volume for volume in volumes if volume["archive"]],
        "data_volumes": [volume for volume in volumes if not volume["archive"]],
        "databases": databases,
        "occupied": [*_filled(volumes), *_elsewhere(databases)],
        "problems": [
            *_space(engine, volumes),
            *_strangers(engine, containers, volumes),
            *_compose_files(manifest),
            *_masked(volumes),
            *_other_drivers(manifest, volumes),
        ],
    }


def _only_stack(store: Store) -> str:
    stacks = [stack for stack in store.stacks() if store.backups(stack)]
    if len(stacks) == 1:
        return stacks[0]
    if not stacks:
        raise StackError(f"There is no backup below {store.root}. Set crm_backup_root to where the backups lie.")
    raise StackError(
        f"There are backups of several stacks below {store.root}: {', '.join(stacks)}. Name one: restore_stack."
    )


def compose_command(manifest: Manifest) -> list[str]:
    """Return the compose command of the stack, up to the verb."""
    directory = manifest.source["project_dir"] or "/"
    words = ["docker", "compose", "--project-name", manifest.stack, "--project-directory", directory]
    for option, paths in (("--file", "compose_files"), ("--env-file", "environment_files")):
        for path in manifest.source[paths]:
            words += [option, posixpath.join(directory, bundle_name(path, directory))]
    return words


def _config(manifest: Manifest, directory: str) -> str | None:
    return next((os.path.join(directory, a.path) for a in manifest.artifacts if a.path.startswith(BUNDLE)), None)


def _volume(engine: Engine, entry: Mapping[str, t.Any], manifest: Manifest, directory: str) -> dict[str, t.Any]:
    artifact = manifest.find("archive", entry["name"])
    deletions = manifest.find("deletions", entry["name"])
    there = os.path.isdir(entry["source"]) if entry["kind"] == "bind" else engine.volume(entry["source"]) is not None
    by_path = there and not _has_other_driver(entry)
    files = scan(data_directory(engine, entry["kind"], entry["source"])).files if by_path else 0
    return {
        "name": entry["name"],
        "kind": entry["kind"],
        "source": entry["source"],
        "labels": entry["labels"],
        "options": entry["options"],
        "exists": there,
        "files": files,
        "content_bytes": artifact.facts["content_bytes"] if artifact else 0,
        "archive": os.path.join(directory, artifact.path) if artifact else None,
        "sha256": artifact.sha256 if artifact else None,
        "archived_files": artifact.facts["files"] if artifact else None,
        "deleted": os.path.join(directory, deletions.path) if deletions else None,
        "deleted_sha256": deletions.sha256 if deletions else None,
    }


def _database(artifact: Artifact, manifest: Manifest, directory: str) -> dict[str, t.Any]:
    facts = manifest.database(artifact)
    globals_ = manifest.find("globals", facts["globals"])
    return {
        "name": facts["name"],
        "service": facts["service"],
        "host": facts["host"],
        "port": facts["port"],
        "owner": facts["owner"],
        "repair": facts["repair_steps"],
        "dump": os.path.join(directory, artifact.path),
        "sha256": artifact.sha256,
        "rows": artifact.facts["rows"],
        "globals": os.path.join(directory, globals_.path) if globals_ else None,
        "globals_sha256": globals_.sha256 if globals_ else None,
    }


def _filled(volumes: list[dict[str, t.Any]]) -> list[str]:
    return [f"{volume['kind']} {volume['name']} ({volume['files']} files)" for volume in volumes if volume["files"]]


def _elsewhere(databases: list[dict[str, t.Any]]) -> list[str]:
    # What such a server holds is not known here, and it outlives the host of the stack.
    return [
        f"database {database['name']} at {database['host']}:{database['port']} (outside the stack)"
        for database in databases
        if database["service"] is None
    ]


def _space(engine: Engine, volumes: list[dict[str, t.Any]]) -> list[str]:
    # New content is laid beside the old one before the two are exchanged.
    needed = int(sum(volume["content_bytes"] for volume in volumes) * SPACE_MARGIN)
    root = existing_parent(engine.info().root)
    status = os.statvfs(root)
    free = status.f_bavail * status.f_frsize
    if needed <= free:
        return []
    return [f"{root} has {free} bytes free, and the restore needs {needed}. Free space there first."]


def _masked(volumes: list[dict[str, t.Any]]) -> list[str]:
    return [
        f"Volume {volume['name']} was mounted with a secret, which the manifest does not hold. Create it first, with "
        "docker volume create or from its compose file."
        for volume in volumes
        if not volume["exists"] and any(MASK in value for value in volume["options"].values())
    ]


def _other_drivers(manifest: Manifest, volumes: list[dict[str, t.Any]]) -> list[str]:
    others = {entry["name"]: entry["driver"] for entry in manifest.source["volumes"] if _has_other_driver(entry)}
    return [
        f"Volume {volume['name']} uses the driver {others[volume['name']]}, so no path of this host leads to it, and "
        "it cannot be put back in one step. The RESTORE.md of the backup has the commands for this stack."
        for volume in volumes
        if volume["archive"] and volume["name"] in others
    ]


def _has_other_driver(entry: Mapping[str, t.Any]) -> bool:
    return entry["driver"] not in (None, LOCAL)


def _strangers(engine: Engine, own: list[Container], volumes: list[dict[str, t.Any]]) -> list[str]:
    mine = {container.id for container in own}
    sources = {volume["source"]: volume["name"] for volume in volumes}
    return [
        f"Container {container.name}, which is not of this stack, runs and uses {sources[mount.source]}. Stop it first."
        for container in engine.containers()
        if container.running and container.id not in mine
        for mount in container.mounts
        if mount.source in sources
    ]


def _compose_files(manifest: Manifest) -> list[str]:
    # Without compose files nothing can be started here.
    if manifest.source["project_dir"] is None or not manifest.source["compose_files"]:
        return ["The backup names no compose file, so the stack cannot be started from it."]
    if any(artifact.path.startswith(BUNDLE) for artifact in manifest.artifacts):
        return []
    command = compose_command(manifest)
    paths = [path for option, path in itertools.pairwise(command) if option == "--file"]
    return [
        f"The backup holds no compose files, and there is no {path} here. Put it there first; config/containers.json "
        "of the backup describes the containers."
        for path in paths
        if not os.path.isfile(path)
    ]
