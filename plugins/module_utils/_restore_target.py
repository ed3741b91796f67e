# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore a stack under another name, or into another directory: what each part of the backup is called there.

The backup's description of its source is rewritten, so that everything after it works as for the stack itself. Only
decides. Standard library only. Private to this collection.
"""

from __future__ import annotations

import posixpath
import typing as t
from dataclasses import dataclass, field, replace

from ._errors import StackError
from ._restore_preflight_compose import Composed
from ._restore_preflight_findings import REFUSE, WARN, Finding
from ._stack import ANONYMOUS, COMPOSE

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._manifest import Manifest
    from ._restore_preflight_compose import Mounted, Unknown

# What compose writes on a volume to know later whether its definition has changed; the name is a part of that.
CONFIG_HASH = COMPOSE + "config-hash"


@dataclass(frozen=True)
class Target:
    """What the restored stack is to be called, and where it is to be; empty: as it was.

    ``volumes`` maps names of volumes and directories of the backup to others, ``databases`` those of databases on
    servers outside the stack.
    """

    stack: str | None = None
    project_dir: str | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)
    databases: Mapping[str, str] = field(default_factory=dict)


def is_clone(target: Target, manifest: Manifest) -> bool:
    """Tell whether the restored stack is another than the one that was backed up."""
    return target.stack not in (None, manifest.stack)


def retarget(manifest: Manifest, target: Target) -> Manifest:
    """Return the manifest as if the backup were one of the target; raise StackError for a map that names nothing."""
    old, new = manifest.stack, target.stack or manifest.stack
    before = manifest.source["project_dir"]
    after = target.project_dir or before
    if is_clone(target, manifest) and target.project_dir is None and before is not None:
        after = posixpath.join(posixpath.dirname(before), new)
    _check_map(target.volumes, [entry["source"] for entry in manifest.source["volumes"]], "volumes")
    _check_map(target.databases, [entry["name"] for entry in manifest.source["databases"]], "databases")
    source = {
        **manifest.source,
        "project_dir": after,
        "volumes": [_volume(entry, target, (old, new), (before, after)) for entry in manifest.source["volumes"]],
    }
    for key in ("compose_files", "environment_files"):
        source[key] = [_moved(path, before, after) for path in manifest.source[key]]
    return replace(manifest, stack=new, source=source)


def as_mounted(manifest: Manifest, original: Manifest, target: Target, compose: Composed | Unknown) -> Manifest:
    """Return the manifest with the volumes of a clone called as compose will call them, where that is known."""
    if not is_clone(target, original) or not isinstance(compose, Composed):
        return manifest
    entries = []
    for entry, before in zip(manifest.source["volumes"], original.source["volumes"], strict=True):
        mounted = mounted_for(entry, compose)
        known = before["source"] not in target.volumes and mounted is not None and mounted.kind == entry["kind"]
        entries.append({**entry, "source": mounted.source} if known and mounted else entry)
    return replace(manifest, source={**manifest.source, "volumes": entries})


def mounted_for(entry: Mapping[str, t.Any], compose: Composed) -> Mounted | None:
    """Return what compose mounts where a volume of the backup was mounted; None where that is nothing."""
    for mount in entry["mounts"]:
        for found in compose.mounts(mount["service"]):
            if found.target == mount["path"].rstrip("/"):
                return found
    return None


def is_anonymous(entry: Mapping[str, t.Any]) -> bool:
    """Tell whether the engine made up the name of a volume."""
    return entry["kind"] == "volume" and ANONYMOUS.fullmatch(entry["source"]) is not None


def collisions(
    manifest: Manifest, original: Manifest, target: Target, exists: Callable[[Mapping[str, t.Any]], bool]
) -> list[Finding]:
    """Return what a clone would share with the original, and so overwrite or fight over."""
    if not is_clone(target, original):
        return []
    found = []
    for entry, before in zip(manifest.source["volumes"], original.source["volumes"], strict=True):
        if entry["coverage"] not in ("archive", "dump"):
            continue
        if is_anonymous(before):
            message = (
                f"Volume {before['source'][:12]}… on {before['mounts'][0]['path']} of {before['mounts'][0]['service']} "
                f"has no name of its own, so compose mounts a new one in {manifest.stack}, and it is left out. Give it "
                "a name in the compose file before the next backup."
            )
            found.append(Finding("mounts", WARN, before["name"], message))
        elif entry["source"] == before["source"] and exists(entry):
            what = "Volume" if entry["kind"] == "volume" else "Directory"
            message = (
                f"{what} {entry['source']} would be the one of {manifest.stack} too, and it is there already: the "
                f"restore would overwrite what belongs to {original.stack}. Give it another place in the compose file "
                f"of {manifest.stack}, and say so: volumes: {{{before['source']}: …}}."
            )
            found.append(Finding("shared_data", REFUSE, entry["name"], message))
    return [*found, *_outside(manifest, original, target)]


def _outside(manifest: Manifest, original: Manifest, target: Target) -> list[Finding]:
    found = []
    for entry in original.source["databases"]:
        if entry["service"] is None and target.databases.get(entry["name"], entry["name"]) == entry["name"]:
            message = (
                f"Database {entry['name']} is on the server {entry['host']}:{entry['port']} outside the stack: "
                f"{manifest.stack} would overwrite the one of {original.stack}. Give it another name there, and say "
                f"so: databases: {{{entry['name']}: …}}; the environment of {manifest.stack} has to name it too."
            )
            found.append(Finding("shared_data", REFUSE, entry["name"], message))
    for entry in original.source["redis"]:
        if entry["container"] is None or entry["service"] is None:
            message = (
                f"Redis {entry['name']} at {entry['host']} is outside the stack: {manifest.stack} and {original.stack} "
                "would read and overwrite each other's keys, queues and sessions. Give the new stack a Redis of its "
                "own, or another database number or prefix."
            )
            found.append(Finding("outside", REFUSE, entry["name"], message))
    for entry in original.source.get("outside", ()):
        message = (
            f"{entry['name']}: {manifest.stack} would use the same place as {original.stack} ({entry['where']}) and "
            "change it. Give it one of its own, or leave it if that is meant."
        )
        found.append(Finding("outside", WARN, entry["name"], message))
    return found


def _check_map(given: Mapping[str, str], known: list[str], option: str) -> None:
    unknown = sorted(given.keys() - set(known))
    if unknown:
        raise StackError(
            f"{option} maps {', '.join(unknown)}, which the backup does not have. It has {', '.join(sorted(known))}."
        )


def _volume(
    entry: Mapping[str, t.Any], target: Target, stacks: tuple[str, str], places: tuple[str | None, str | None]
) -> dict[str, t.Any]:
    old, new = stacks
    source, labels = entry["source"], dict(entry["labels"])
    if old != new and labels.get(COMPOSE + "project") == old:
        labels[COMPOSE + "project"] = new
        labels.pop(CONFIG_HASH, None)
    if source in target.volumes:
        return {**entry, "source": target.volumes[source], "labels": labels}
    if entry["kind"] == "bind":
        return {**entry, "source": _moved(source, *places)}
    if old != new and source == f"{old}_{labels.get(COMPOSE + 'volume')}":
        return {**entry, "source": f"{new}_{labels[COMPOSE + 'volume']}", "labels": labels}
    return {**entry, "labels": labels}


def _moved(path: str, before: str | None, after: str | None) -> str:
    """Return where a path of the old project directory is in the new one; others stay where they are."""
    if before is None or after is None:
        return path
    if path == before:
        return after
    inside = path.startswith(before.rstrip("/") + "/")
    return posixpath.join(after, posixpath.relpath(path, before)) if inside else path
