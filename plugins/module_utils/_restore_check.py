# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compare a backup with the host that it is to be restored on. Only looks.

What a restore would do, to what, and every reason not to start: the questions of one topic are in a
``_restore_preflight_*.py`` each. Standard library only. Private to this collection.
"""

from __future__ import annotations

import itertools
import os
import typing as t
from dataclasses import asdict, dataclass, field

from ._backup_proof import described, prove, told
from ._backup_store import LATEST, Store
from ._encryption import held
from ._encryption import prove as prove_key
from ._errors import StackError
from ._restore_preflight_artifacts import check as check_artifacts
from ._restore_preflight_compose import (
    POLICIES,
    Composed,
    Unknown,
    bundle,
    compose_command,
    composed,
    variables_to_hide,
)
from ._restore_preflight_findings import OK, REFUSE, WARN, Finding, messages, settled
from ._restore_preflight_images import compare, fits, pins, volume_finding
from ._restore_preflight_images import findings as image_findings
from ._restore_preflight_names import check as check_names
from ._restore_preflight_postgresql import check as check_postgresql
from ._restore_preflight_postgresql import schema_version
from ._restore_preflight_secrets import check as check_secrets
from ._restore_preflight_secrets import of_backup, of_target
from ._restore_preflight_servers import Server, ask
from ._restore_preflight_space import DATABASE, MARGIN, Need
from ._restore_preflight_space import check as check_space
from ._restore_target import Target, as_mounted, collisions, is_anonymous, is_clone, retarget
from ._signature import NO_SIGNERS, Signers
from ._stack import COMPOSE
from ._stack import Request as StackRequest
from ._stack_find import find_one
from ._stack_info import MASK
from ._tree import scan
from ._volume_directory import LOCAL, data_directory, no_exchange

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ._engine import Container, Engine
    from ._manifest import Artifact, Manifest
    from ._profile import Profile
    from ._restore_preflight_images import Comparison
    from ._restore_preflight_servers import Silent
    from ._stack import Stack

    Render = Callable[[Manifest, str, str, Sequence[str], Iterable[str]], Composed | Unknown]

# In the project directory: the images of the backup, for compose.
PINS = "compose.pinned.yml"
# States of a service that a restore starts again; one that was stopped stays so.
STARTED = ("running", "paused", "restarting")


@dataclass(frozen=True)
class Request:
    """Which backup is to be restored, as what, and what the operator allows; without a stack the only one of the root.

    ``config`` is what happens to compose and env files, ``images`` to images that differ. ``overrides`` are further
    compose files of the host. ``login`` is a user and a password for the database servers.
    """

    root: str
    stack: str | None = None
    id: str = LATEST
    target: Target = field(default_factory=Target)
    config: str = POLICIES[0]
    images: str = "warn"
    allow: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    login: tuple[str, str | None] | None = field(default=None, repr=False)
    signers: Signers = NO_SIGNERS


@dataclass(frozen=True)
class Scene:
    """The backup, as it is called on this host, and what is there now.

    ``original`` is the manifest as it was written; ``own`` and ``others`` are the containers of the target and the
    rest, ``by_service`` those of the target by service. ``servers`` go with the dumps of the manifest.
    """

    request: Request
    engine: Engine
    directory: str
    manifest: Manifest
    original: Manifest
    compose: Composed | Unknown
    own: tuple[Container, ...]
    others: tuple[Container, ...]
    by_service: Mapping[str, Container]
    compared: tuple[Comparison, ...]
    servers: tuple[tuple[Artifact, dict[str, t.Any], Server | Silent], ...]

    @property
    def clone(self) -> bool:
        return is_clone(self.request.target, self.original)


def check(
    request: Request, engine: Engine, profiles: Mapping[str, Profile] | None = None, render: Render = composed
) -> dict[str, t.Any]:
    """Return what a restore will do to each volume and database, what is in its way and what speaks against it.

    ``occupied`` names the targets that hold data already: replacing them needs the operator's word. ``problems`` are
    reasons not to start, ``remarks`` what to know before. ``render`` asks compose what it would start.
    Raises StoreError when there is no such backup, its manifest is damaged or of another one, or its signature is not
    that of its host.
    """
    store = Store(request.root)
    backup = store.backup(request.stack or _only_stack(store), request.id)
    original, proof = prove(backup, request.signers)
    prove_keys(original, backup.path)
    before = of_backup(original, backup.path)
    manifest = retarget(original, request.target)
    compose = render(manifest, backup.path, request.config, request.overrides, variables_to_hide(before.values()))
    scene = _scene(request, engine, profiles or {}, backup.path, (original, manifest), compose)
    manifest = scene.manifest
    after, origin = of_target(engine, compose, scene.by_service)
    # What was left out of the backup is none of the restore's business.
    volumes, left_out = _volumes(scene)
    databases = [_database(scene, artifact, facts) for artifact, facts, _server in scene.servers]
    pinned = _pinned(scene)
    findings = settled(
        [
            *check_artifacts(original, backup.path),
            Finding("signature", OK if proof.signer else WARN, original.host, told(proof, original)),
            *_compose_files(scene),
            *collisions(manifest, original, request.target, lambda entry: _exists(engine, entry)),
            *_other_drivers(manifest, volumes),
            *_mounted_when_used(volumes),
            *_masked(volumes),
            *_sessions(manifest),
            *_strangers(scene, volumes),
            *_space(scene, volumes),
            *_databases(scene),
            *image_findings(scene.compared, request.images),
            *(volume_finding(entry, manifest.stack) for entry in left_out),
            *check_secrets(manifest, profiles or {}, before, after, origin),
            *_names(scene),
        ],
        request.allow,
    )
    return {
        "stack": manifest.stack,
        "source_stack": original.stack,
        "id": backup.id,
        "directory": backup.path,
        "cut_at": manifest.cut_at,
        "signature": described(proof),
        "profiles": manifest.source["profiles"],
        "project_dir": manifest.source["project_dir"],
        "config": _config(manifest, backup.path),
        "compose": compose_command(manifest, [*request.overrides, *([pinned] if pinned else [])]),
        "services": _services(manifest),
        "running": sorted(container.name for container in scene.own if container.running),
        "volumes": [volume for volume in volumes if volume["archive"]],
        "data_volumes": [volume for volume in volumes if not volume["archive"]],
        "left_out": [entry["name"] for entry in left_out],
        "databases": databases,
        "pins": pins(scene.compared),
        "pins_file": pinned,
        "session_default": "reset" if scene.clone else "keep",
        "sessions_covered": all(state["covered"] for state in manifest.session),
        "occupied": [*_filled(volumes), *_live(scene), *_elsewhere(databases)],
        "problems": messages(findings, REFUSE),
        "remarks": messages(findings, WARN),
        "preflight": [asdict(found) for found in findings],
    }


def prove_keys(manifest: Manifest, directory: str) -> None:
    """Raise StoreError unless the keys of this run open every encrypted artifact of a backup."""
    for artifact in manifest.artifacts:
        path = os.path.join(directory, artifact.path)
        # One that is missing is for the verification to say.
        if os.path.isfile(path):
            prove_key(path, held())


def _only_stack(store: Store) -> str:
    stacks = [stack for stack in store.stacks() if store.backups(stack)]
    if len(stacks) == 1:
        return stacks[0]
    if not stacks:
        raise StackError(f"There is no backup below {store.root}. Set crm_backup_root to where the backups lie.")
    raise StackError(
        f"There are backups of several stacks below {store.root}: {', '.join(stacks)}. Name one: restore_stack."
    )


def _scene(
    request: Request,
    engine: Engine,
    profiles: Mapping[str, Profile],
    directory: str,
    manifests: tuple[Manifest, Manifest],
    compose: Composed | Unknown,
) -> Scene:
    original, manifest = manifests
    containers = engine.containers()
    own = tuple(c for c in containers if c.labels.get(COMPOSE + "project") == manifest.stack)
    # One that runs tells the truth; a stopped one of the same service may be an older copy.
    by_service = {c.labels.get(COMPOSE + "service", c.name): c for c in sorted(own, key=lambda c: c.running)}
    stack = _stack(engine, profiles, manifest.stack) if own else None
    servers = []
    for artifact in manifest.artifacts:
        if artifact.kind == "dump":
            facts = manifest.database(artifact)
            facts["name"] = request.target.databases.get(facts["name"], facts["name"])
            known = next((entry for entry in stack.databases if entry.name == facts["name"]), None) if stack else None
            servers.append((artifact, facts, ask(facts, engine, by_service, known, request.login)))
    return Scene(
        request=request,
        engine=engine,
        directory=directory,
        manifest=as_mounted(manifest, original, request.target, compose),
        original=original,
        compose=compose,
        own=own,
        others=tuple(c for c in containers if c not in own),
        by_service=by_service,
        compared=tuple(compare(manifest, engine, compose, by_service)),
        servers=tuple(servers),
    )


def _stack(engine: Engine, profiles: Mapping[str, Profile], name: str) -> Stack | None:
    try:
        return find_one(engine, profiles, StackRequest(name))
    except StackError:
        # What is there may be of another kind than the backup: it is compared as far as it goes.
        return None


def _pinned(scene: Scene) -> str | None:
    """Return the path of the compose file that has to say which images are started; None where none has to."""
    project = scene.manifest.source["project_dir"]
    wanted = scene.request.images == "pin" and pins(scene.compared)
    return os.path.join(project, PINS) if project and wanted else None


def _services(manifest: Manifest) -> list[str]:
    return sorted({s["service"] for s in manifest.source["services"] if s["state"] in STARTED})


def _config(manifest: Manifest, directory: str) -> str | None:
    found = bundle(manifest)
    return os.path.join(directory, found.path) if found is not None else None


def _volumes(scene: Scene) -> tuple[list[dict[str, t.Any]], list[Mapping[str, t.Any]]]:
    """Return the volumes that are restored or whose databases are, and those that stay as they are."""
    request = scene.request
    restored, left_out = [], []
    for entry in scene.manifest.source["volumes"]:
        if entry["coverage"] not in ("archive", "dump") or (scene.clone and is_anonymous(entry)):
            continue
        if entry["same_image"] and entry["coverage"] == "archive" and not fits(entry, scene.compared, request.images):
            left_out.append(entry)
            if "same_image" not in request.allow:
                continue
        restored.append(_volume(scene, entry))
    return restored, [entry for entry in left_out if "same_image" not in request.allow]


def _exists(engine: Engine, entry: Mapping[str, t.Any]) -> bool:
    return os.path.isdir(entry["source"]) if entry["kind"] == "bind" else engine.volume(entry["source"]) is not None


def _volume(scene: Scene, entry: Mapping[str, t.Any]) -> dict[str, t.Any]:
    engine, manifest, directory = scene.engine, scene.manifest, scene.directory
    artifact = manifest.find("archive", entry["name"])
    deletions = manifest.find("deletions", entry["name"])
    there = _exists(engine, entry)
    by_path = there and not _has_other_driver(entry) and no_exchange(entry["source"], entry["options"]) is None
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


def _database(scene: Scene, artifact: Artifact, facts: Mapping[str, t.Any]) -> dict[str, t.Any]:
    globals_ = scene.manifest.find("globals", facts["globals"])
    return {
        "name": facts["name"],
        "service": facts["service"],
        "host": facts["host"],
        "port": facts["port"],
        "owner": facts["owner"],
        "repair": facts["repair_steps"],
        "dump": os.path.join(scene.directory, artifact.path),
        "sha256": artifact.sha256,
        "rows": artifact.facts["rows"],
        "globals": os.path.join(scene.directory, globals_.path) if globals_ else None,
        "globals_sha256": globals_.sha256 if globals_ else None,
    }


def _filled(volumes: list[dict[str, t.Any]]) -> list[str]:
    return [f"{volume['kind']} {volume['name']} ({volume['files']} files)" for volume in volumes if volume["files"]]


def _live(scene: Scene) -> list[str]:
    return [
        f"database {facts['name']} ({server.live.tables} tables, about {server.live.rows} rows)"
        for _artifact, facts, server in scene.servers
        if isinstance(server, Server) and server.live is not None and server.live.tables and facts["service"]
    ]


def _elsewhere(databases: list[dict[str, t.Any]]) -> list[str]:
    # What such a server holds may not be known here, and it outlives the host of the stack.
    return [
        f"database {database['name']} at {database['host']}:{database['port']} (outside the stack)"
        for database in databases
        if database["service"] is None
    ]


def _databases(scene: Scene) -> list[Finding]:
    own = [network.address for container in scene.own for network in container.networks if network.address]
    found: list[Finding] = []
    for _artifact, facts, server in scene.servers:
        roles = scene.manifest.find("globals", facts["globals"]) is not None
        verdicts = {
            entry.service: entry.verdict
            for entry in scene.compared
            for service in scene.manifest.source["services"]
            if service["service"] == entry.service and service["profile"] == facts["profile"]
        }
        same = all(verdict == "same" for verdict in verdicts.values()) if verdicts else None
        found += check_postgresql(facts, server, own, globals_=roles)
        found += schema_version(facts, server, same_image=same or scene.request.images == "pin")
    return found


def _space(scene: Scene, volumes: list[dict[str, t.Any]]) -> list[Finding]:
    # New content is laid beside the old one before the two are exchanged.
    needs = []
    for volume in volumes:
        artifact = scene.manifest.find("archive", volume["name"])
        if artifact is not None:
            inodes = sum(artifact.facts.get(name, 0) for name in ("files", "directories", "others"))
            needs.append(Need(_place(scene.engine, volume), int(volume["content_bytes"] * MARGIN), inodes))
    for _artifact, facts, server in scene.servers:
        if facts["service"] is not None:
            needs.append(Need(_data_place(scene, facts, server), int((facts.get("size") or 0) * DATABASE)))
    return check_space(needs)


def _place(engine: Engine, volume: Mapping[str, t.Any]) -> str:
    if volume["kind"] == "bind":
        return os.path.dirname(str(volume["source"]).rstrip("/")) or "/"
    found = engine.volume(volume["source"])
    return os.path.dirname(found.mountpoint) if found is not None and found.mountpoint else engine.info().root


def _data_place(scene: Scene, facts: Mapping[str, t.Any], server: Server | Silent) -> str:
    """Return where on this host the server of a database has its files, or will have them."""
    container = scene.by_service.get(facts["service"])
    directory = server.data_directory if isinstance(server, Server) else None
    for mount in container.mounts if container is not None and directory else ():
        if f"{directory}/".startswith(mount.target.rstrip("/") + "/"):
            volume = scene.engine.volume(mount.source) if mount.kind == "volume" else None
            return volume.mountpoint if volume is not None else mount.source
    return scene.engine.info().root


def _masked(volumes: list[dict[str, t.Any]]) -> list[Finding]:
    return [
        Finding(
            "volume_secret",
            REFUSE,
            volume["name"],
            f"Volume {volume['name']} was mounted with a secret, which the manifest does not hold. Create it first, "
            "with docker volume create or from its compose file.",
        )
        for volume in volumes
        if not volume["exists"] and any(MASK in value for value in volume["options"].values())
    ]


def _other_drivers(manifest: Manifest, volumes: list[dict[str, t.Any]]) -> list[Finding]:
    others = {entry["name"]: entry["driver"] for entry in manifest.source["volumes"] if _has_other_driver(entry)}
    return [
        Finding(
            "volume_driver",
            REFUSE,
            volume["name"],
            f"Volume {volume['name']} uses the driver {others[volume['name']]}, so no path of this host leads to it, "
            "and it cannot be put back in one step. The RESTORE.md of the backup has the commands for this stack.",
        )
        for volume in volumes
        if volume["archive"] and volume["name"] in others
    ]


def _mounted_when_used(volumes: list[dict[str, t.Any]]) -> list[Finding]:
    return [
        Finding("volume_driver", REFUSE, volume["name"], f"{refusal} The RESTORE.md of the backup has the commands.")
        for volume in volumes
        if volume["archive"]
        for refusal in [no_exchange(volume["source"], volume["options"])]
        if refusal is not None
    ]


def _sessions(manifest: Manifest) -> list[Finding]:
    return [
        Finding(
            "session_state",
            WARN,
            state["place"],
            f"The backup does not hold {state['where']} ({state['holds']} of {state['profile']}): what is there now "
            "stays, and numbers whose keys are lost have to be paired again. The validation does not ask for connected "
            "sessions.",
        )
        for state in manifest.session
        if not state["covered"]
    ]


def _has_other_driver(entry: Mapping[str, t.Any]) -> bool:
    return entry["driver"] not in (None, LOCAL)


def _strangers(scene: Scene, volumes: list[dict[str, t.Any]]) -> list[Finding]:
    sources = {volume["source"]: volume["name"] for volume in volumes}
    return [
        Finding(
            "volume_in_use",
            REFUSE,
            sources[mount.source],
            f"Container {container.name}, which is not of this stack, runs and uses {sources[mount.source]}. "
            "Stop it first.",
        )
        for container in scene.others
        if container.running
        for mount in container.mounts
        if mount.source in sources
    ]


def _names(scene: Scene) -> list[Finding]:
    compose = scene.compose
    if isinstance(compose, Composed):
        services = _services(scene.manifest)
        return check_names(scene.manifest, scene.original, compose, scene.engine, scene.others, services)
    return []


def _compose_files(scene: Scene) -> list[Finding]:
    manifest, compose = scene.manifest, scene.compose
    # Without compose files nothing can be started here.
    if manifest.source["project_dir"] is None or not manifest.source["compose_files"]:
        message = "The backup names no compose file, so the stack cannot be started from it."
        return [Finding("compose_files", REFUSE, manifest.stack, message)]
    if bundle(manifest) is None or scene.request.config == "never":
        command = compose_command(manifest)
        paths = [path for option, path in itertools.pairwise(command) if option == "--file"]
        why = (
            "The backup holds no compose files"
            if bundle(manifest) is None
            else "The compose files of the backup are not put back (restore_config=never)"
        )
        missing = [
            f"{why}, and there is no {path} here. Put it there first; config/containers.json of the backup describes "
            "the containers."
            for path in paths
            if not os.path.isfile(path)
        ]
        if missing:
            return [Finding("compose_files", REFUSE, manifest.stack, message) for message in missing]
    if isinstance(compose, Composed):
        return [Finding("compose", OK, manifest.stack, f"Compose reads {compose.origin}.")]
    if compose.broken:
        message = f"Compose does not understand the files that would be there: {compose.reason}. Mend them."
        return [Finding("compose", REFUSE, manifest.stack, message)]
    message = (
        f"What compose would start is not known ({compose.reason}): images, ports and secrets are compared with the "
        "containers that are there."
    )
    return [Finding("compose", WARN, manifest.stack, message)]
