# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins for the outside world, written by hand: an engine in memory, and short ways to describe what it runs."""

from __future__ import annotations

import typing as t
from dataclasses import replace
from pathlib import Path

import yaml

from ansible_collections.crm.continuity.plugins.module_utils._engine import (
    Container,
    EngineInfo,
    Image,
    Mount,
    Network,
    Volume,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import Artifact, Manifest
from ansible_collections.crm.continuity.plugins.module_utils._module import validate
from ansible_collections.crm.continuity.plugins.module_utils._process import Stage
from ansible_collections.crm.continuity.plugins.module_utils._profile import Profile, load

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parents[2]


class FakeEngine:
    """An Engine that holds its containers and volumes in memory, and notes what is done to them in ``calls``.

    ``refuses`` maps a call, such as ``("pause", "web")``, to the words of the EngineError that it raises. ``answers``
    maps the first word of a program run in a container to the shell command that answers in its place.
    """

    def __init__(self, containers: Sequence[Container] = (), volumes: Sequence[Volume] = ()) -> None:
        self.by_id = {container.id: container for container in containers}
        self.volumes = {volume.name: volume for volume in volumes}
        self.images: dict[str, Image] = {}
        self.calls: list[tuple[str, str]] = []
        self.refuses: dict[tuple[str, str], str] = {}
        self.answers: dict[str, str] = {}
        self.stages: list[Stage] = []

    def info(self) -> EngineInfo:
        return EngineInfo("20.10.24", "/var/lib/docker", "unix:///fake.sock")

    def containers(self) -> list[Container]:
        return sorted(self.by_id.values(), key=lambda container: container.name)

    def container(self, id_: str) -> Container | None:
        return next((c for c in self.by_id.values() if id_ in (c.id, c.name)), None)

    def inspect(self, id_: str) -> dict[str, t.Any]:
        container = self.by_id[id_]
        environment = [f"{name}={value}" for name, value in container.env.items()]
        config = {"Env": environment, "Labels": dict(container.labels)}
        return {"Id": container.id, "Name": f"/{container.name}", "Config": config}

    def volume(self, name: str) -> Volume | None:
        return self.volumes.get(name)

    def create_volume(
        self, name: str, *, driver: str = "local", labels: Mapping[str, str], options: Mapping[str, str]
    ) -> Volume:
        return self.volumes.setdefault(name, Volume(name, driver, f"/volumes/{name}", labels, options))

    def remove_volume(self, name: str) -> None:
        del self.volumes[name]

    def image_digests(self, image_id: str) -> tuple[str, ...]:
        return ()

    def image(self, reference: str) -> Image | None:
        return self.images.get(reference)

    def pause(self, id_: str) -> None:
        self._do("pause", id_, "paused")

    def unpause(self, id_: str) -> None:
        self._do("unpause", id_, "running")

    def stop(self, id_: str, timeout: int) -> None:
        self._do("stop", id_, "exited")

    def start(self, id_: str) -> None:
        self._do("start", id_, "running")

    def set_restart_policy(self, id_: str, policy: str) -> None:
        self.calls.append((f"restart={policy}", id_))
        self.by_id[id_] = replace(self.by_id[id_], restart_policy=policy)

    def logs(self, id_: str, tail: int) -> str:
        return ""

    def exec_stage(
        self,
        container: str,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        accept: frozenset[int] = frozenset({0}),
    ) -> Stage:
        script = next((self.answers[key] for key in (" ".join(argv), argv[0]) if key in self.answers), "exit 127")
        self.stages.append(Stage(name, tuple(argv), env or {}))
        return Stage(name, ["/bin/sh", "-c", script], env=env or {}, accept=accept)

    def _do(self, verb: str, id_: str, state: str) -> None:
        self.calls.append((verb, id_))
        if (verb, id_) in self.refuses:
            raise EngineError(self.refuses[verb, id_])
        self.by_id[id_] = replace(self.by_id[id_], state=state)


def container(
    service: str,
    image: str,
    *,
    project: str | None = "crm",
    networks: Sequence[str] | None = None,
    volumes: Mapping[str, str] | None = None,
    binds: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
    depends_on: Sequence[str] = (),
    **more: t.Any,
) -> Container:
    """Describe a container of a compose project; its ID is the name of the service, or of project and service.

    ``volumes`` maps paths inside the container to volumes, ``binds`` to paths of the host. A path that ends in ``:ro``
    is mounted read-only.
    """
    project_labels = {
        "com.docker.compose.project": project,
        "com.docker.compose.service": service,
        "com.docker.compose.project.working_dir": f"/opt/{project}",
        "com.docker.compose.project.config_files": f"/opt/{project}/compose.yml",
        "com.docker.compose.depends_on": ",".join(f"{name}:service_started:false" for name in depends_on),
    }
    id_ = service if project in ("crm", None) else f"{project}-{service}"
    mounts = [
        Mount(kind, source, path.removesuffix(":ro"), path.endswith(":ro"))
        for kind, entries in (("volume", volumes or {}), ("bind", binds or {}))
        for path, source in entries.items()
    ]
    return Container(
        id=more.pop("id", id_),
        name=more.pop("name", f"{project}-{service}-1" if project else service),
        image=image,
        image_id=more.pop("image_id", f"sha256:{image}"),
        state=more.pop("state", "running"),
        labels={
            **({name: value for name, value in project_labels.items() if value} if project else {}),
            **(labels or {}),
        },
        mounts=tuple(mounts),
        networks=tuple(Network(name, "", (service,)) for name in networks or (f"{project}_default",)),
        **more,
    )


def volume(name: str, driver: str = "local", **more: t.Any) -> Volume:
    """Describe a volume where the engine keeps it by default."""
    return Volume(name, driver, f"/var/lib/docker/volumes/{name}/_data", **more)


def shipped() -> list[dict[str, t.Any]]:
    """Return the data of the profiles that the collection ships."""
    return [yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((ROOT / "profiles").glob("*.yml"))]


def shipped_profiles(*own: dict[str, t.Any]) -> dict[str, Profile]:
    """Return the profiles as a module gets them, with the user's own laid over them."""
    return load(shipped(), own, validate)


def artifact(path: str, kind: str = "archive", **more: t.Any) -> Artifact:
    """Describe an artifact of a backup."""
    return Artifact(
        path, kind, more.pop("size", 3), more.pop("sha256", "0" * 64), more.pop("plain_sha256", "0" * 64), **more
    )


def manifest(**more: t.Any) -> Manifest:
    """Describe a backup of a stack with one volume and one database, as stack_backup writes it."""
    facts: dict[str, t.Any] = {
        "id": "20261121T020000Z",
        "stack": "crm",
        "host": "crm-a",
        "started_at": "2026-11-21T02:00:00.000+00:00",
        "cut_at": "2026-11-21T02:00:01.500+00:00",
        "finished_at": "2026-11-21T02:00:09.000+00:00",
        "collection_version": "0.1.0",
        "source": source(),
        "freeze": {"seconds": 1.25, "services": [{"service": "rails", "mode": "pause", "seconds": 1.25}]},
        "artifacts": (
            artifact(
                "volumes/crm_storage.tar.zst",
                source="crm_storage",
                compression="zstd",
                facts={"files": 2, "directories": 1, "content_bytes": 11},
            ),
            artifact(
                "databases/chatwoot.dump.zst",
                "dump",
                source="chatwoot",
                compression="zstd",
                facts={"rows": {"public.accounts": 2}, "tables": 1, "sequences": {}},
            ),
            artifact(
                "databases/postgres.globals.sql.zst",
                "globals",
                source="postgres",
                compression="zstd",
                facts={"role_passwords": True},
            ),
            artifact("config/project.tar.zst", "config", compression="zstd"),
        ),
        "session": (),
        "tools": {"engine": "20.10.24", "compression": "zstd"},
        "warnings": (),
    }
    return Manifest(**{**facts, **more})


def source(**more: t.Any) -> dict[str, t.Any]:
    """Describe what the backup of ``manifest()`` was taken from."""
    facts: dict[str, t.Any] = {
        "profiles": ["chatwoot"],
        "project_dir": "/opt/crm",
        "compose_files": ["/opt/crm/compose.yml"],
        "environment_files": [],
        "services": [
            {
                "service": "rails",
                "container": "crm-rails-1",
                "container_id": "c0ffee",
                "image": "chatwoot/chatwoot:v4.15.1",
                "image_id": "sha256:" + "a" * 64,
                "repository": "chatwoot/chatwoot",
                "digests": [],
                "state": "running",
                "health": None,
                "profile": "chatwoot",
                "role": "web",
                "depends_on": ["postgres"],
            }
        ],
        "volumes": [
            {
                "name": "crm_storage",
                "kind": "volume",
                "source": "crm_storage",
                "driver": "local",
                "mountpoint": "/var/lib/docker/volumes/crm_storage/_data",
                "labels": {"com.docker.compose.project": "crm", "com.docker.compose.volume": "storage"},
                "options": {},
                "mounts": [{"service": "rails", "path": "/app/storage"}],
                "coverage": "archive",
                "note": "",
                "purpose": "attachments",
                "profile": "chatwoot",
                "same_image": False,
            }
        ],
        "databases": [
            {
                "name": "chatwoot",
                "profile": "chatwoot",
                "host": "postgres",
                "port": 5432,
                "user": "chatwoot",
                "schema": None,
                "container": "crm-postgres-1",
                "service": "postgres",
                "covered": True,
                "owner": "chatwoot",
                "server_version": "16.11",
                "server_version_num": 160011,
                "encoding": "UTF8",
                "collate": "en_US.utf8",
                "ctype": "en_US.utf8",
                "locale_provider": "libc",
                "locale": None,
                "collation_version": "2.41",
                "extensions": {"plpgsql": "1.0", "vector": "0.8.1"},
                "schemas": ["public"],
                "size": 8704000,
                "schema_version": "20260301000000",
                "superuser": "postgres",
                "globals": "postgres",
                "repair": [],
                "repair_steps": [],
            }
        ],
        "redis": [],
        "secrets": {"chatwoot": ["SECRET_KEY_BASE"]},
    }
    return {**facts, **more}
