# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The few things this collection asks of a container engine.

The only file that imports the Docker SDK. Everything else takes an Engine, and unit tests hand it a fake.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import traceback
import typing as t
from dataclasses import dataclass, field

from ._errors import EngineError
from ._process import Stage, program

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

try:
    import docker
    import docker.errors
    import docker.types
    import requests

    SDK_IMPORT_ERROR: str | None = None
    # A stream that breaks half-way raises an error of requests, not one of the SDK.
    FAILURES: tuple[type[Exception], ...] = (docker.errors.DockerException, requests.RequestException)
except ImportError:
    SDK_IMPORT_ERROR = traceback.format_exc()
    FAILURES = ()

DEFAULT_HOST = "unix:///var/run/docker.sock"
# Marks containers of our own, for whoever wonders what they are.
APART = "crm.continuity.apart"


@dataclass(frozen=True)
class Mount:
    """What a container mounts: a volume (``source`` is its name), a bind (a path of the host) or a tmpfs."""

    kind: str
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True)
class Network:
    """A network that a container is connected to; ``address`` is empty while it is stopped."""

    name: str
    address: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Container:
    """A container as the engine describes it; ``state`` is running, paused, exited, created, restarting or dead.

    ``pid`` is the number of its first process on the engine's host, 0 while there is none.
    """

    id: str
    name: str
    image: str
    image_id: str
    state: str
    health: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    command: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    networks: tuple[Network, ...] = ()
    started_at: str = ""
    restart_count: int = 0
    pid: int = 0
    restart_policy: str = ""

    @property
    def running(self) -> bool:
        return self.state in ("running", "paused", "restarting")


@dataclass(frozen=True)
class Volume:
    """A volume; ``mountpoint`` is a path of the host, readable there only for the ``local`` driver."""

    name: str
    driver: str
    mountpoint: str
    labels: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """An image that is on the host; ``digests`` are those of registries, ``env`` is what it sets by itself."""

    id: str
    digests: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EngineInfo:
    """Which engine this is and where it keeps its data."""

    version: str
    root: str
    host: str


class Engine(t.Protocol):
    """What the operations need; DockerEngine provides it. Every method raises EngineError when the engine refuses."""

    def info(self) -> EngineInfo:
        """Describe the engine."""

    def containers(self) -> list[Container]:
        """Return all containers, also those that do not run."""

    def container(self, id_: str) -> Container | None:
        """Return one container by ID or name, or None."""

    def inspect(self, id_: str) -> dict[str, t.Any]:
        """Return the engine's own description of a container, with all its secrets."""

    def volume(self, name: str) -> Volume | None:
        """Return a volume, or None when there is none of that name."""

    def create_volume(
        self, name: str, *, driver: str = "local", labels: Mapping[str, str], options: Mapping[str, str]
    ) -> Volume:
        """Create a volume; returns the existing one when it is already there."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume that nothing uses."""

    def image_digests(self, image_id: str) -> tuple[str, ...]:
        """Return the registry digests of an image (``name@sha256:…``); empty for an image built locally."""

    def image(self, reference: str) -> Image | None:
        """Return what a reference stands for on this host, or None when no such image is here."""

    def pause(self, id_: str) -> None:
        """Freeze every process of a running container."""

    def unpause(self, id_: str) -> None:
        """Let a paused container go on."""

    def stop(self, id_: str, timeout: int) -> None:
        """Stop a container; kill it after ``timeout`` seconds."""

    def start(self, id_: str) -> None:
        """Start a stopped container."""

    def set_restart_policy(self, id_: str, policy: str) -> None:
        """Change when the engine starts a container by itself: no, always, unless-stopped, on-failure, on-failure:3."""

    def logs(self, id_: str, tail: int, since: int | None = None) -> str:
        """Return the last ``tail`` lines that a container printed, of those no older than ``since`` (Unix time)."""

    def run_apart(
        self, image: str, argv: Sequence[str], *, name: str, directory: str, target: str, user: str
    ) -> Container:
        """Start a program in a new container that has no network and no rights, and sees one directory of the host.

        What the image would run by itself is not run. An older container of that name is removed first.
        """

    def remove(self, id_: str) -> None:
        """Remove a container with its anonymous volumes, even while it runs; one that is not there is no error."""

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
        """Return a pipeline stage that runs a program inside a container, its input and output connected.

        Values of ``env`` reach the program but never an argument list.
        """

    def copy_stage(self, container: str, path: str, name: str) -> Stage:
        """Return a pipeline stage that writes what a container has at a path as a tar archive, itself as ``./``.

        The container may be running, paused or stopped; what it mounts there is what is read.
        """


class DockerEngine:
    """Engine backed by the Docker SDK for Python, and by the docker command for streams."""

    def __init__(self, client: t.Any, host: str) -> None:
        self._client = client
        self._host = host

    def info(self) -> EngineInfo:
        with _explained("The Docker daemon cannot be asked about itself"):
            facts = self._client.info()
        return EngineInfo(facts.get("ServerVersion", ""), facts.get("DockerRootDir", ""), self._host)

    def containers(self) -> list[Container]:
        with _explained("The containers cannot be listed"):
            listed = self._client.api.containers(all=True)
        found = []
        for entry in listed:
            container = self.container(entry["Id"])
            # One that was removed in between is simply not there.
            if container is not None:
                found.append(container)
        return sorted(found, key=lambda container: container.name)

    def container(self, id_: str) -> Container | None:
        try:
            with _explained(f"Container {id_} cannot be inspected"):
                return _container(self._client.api.inspect_container(id_))
        except EngineError as exc:
            if isinstance(exc.__cause__, docker.errors.NotFound):
                return None
            raise

    def inspect(self, id_: str) -> dict[str, t.Any]:
        with _explained(f"Container {id_} cannot be inspected"):
            return dict(self._client.api.inspect_container(id_))

    def volume(self, name: str) -> Volume | None:
        try:
            with _explained(f"Volume {name} cannot be inspected"):
                return _volume(self._client.api.inspect_volume(name))
        except EngineError as exc:
            if isinstance(exc.__cause__, docker.errors.NotFound):
                return None
            raise

    def create_volume(
        self, name: str, *, driver: str = "local", labels: Mapping[str, str], options: Mapping[str, str]
    ) -> Volume:
        with _explained(f"Volume {name} cannot be created"):
            return _volume(
                self._client.api.create_volume(name, driver=driver, driver_opts=dict(options), labels=dict(labels))
            )

    def remove_volume(self, name: str) -> None:
        with _explained(f"Volume {name} cannot be removed"):
            self._client.api.remove_volume(name)

    def image_digests(self, image_id: str) -> tuple[str, ...]:
        try:
            with _explained(f"Image {image_id} cannot be inspected"):
                return tuple(self._client.api.inspect_image(image_id).get("RepoDigests") or ())
        except EngineError as exc:
            # A container keeps running after its image was removed by force.
            if isinstance(exc.__cause__, docker.errors.NotFound):
                return ()
            raise

    def image(self, reference: str) -> Image | None:
        try:
            with _explained(f"Image {reference} cannot be inspected"):
                raw = self._client.api.inspect_image(reference)
        except EngineError as exc:
            if isinstance(exc.__cause__, docker.errors.NotFound):
                return None
            raise
        variables = (raw.get("Config") or {}).get("Env") or ()
        return Image(
            raw["Id"], tuple(raw.get("RepoDigests") or ()), dict(entry.partition("=")[::2] for entry in variables)
        )

    def pause(self, id_: str) -> None:
        with _explained(f"Container {id_} cannot be paused"):
            self._client.api.pause(id_)

    def unpause(self, id_: str) -> None:
        with _explained(f"Container {id_} cannot be unpaused"):
            self._client.api.unpause(id_)

    def stop(self, id_: str, timeout: int) -> None:
        with _explained(f"Container {id_} cannot be stopped"):
            self._client.api.stop(id_, timeout=timeout)

    def start(self, id_: str) -> None:
        with _explained(f"Container {id_} cannot be started"):
            self._client.api.start(id_)

    def set_restart_policy(self, id_: str, policy: str) -> None:
        name, _colon, most = policy.partition(":")
        with _explained(f"The restart policy of container {id_} cannot be changed"):
            wanted = {"Name": name, "MaximumRetryCount": int(most or 0)}
            self._client.api.update_container(id_, restart_policy=wanted)

    def logs(self, id_: str, tail: int, since: int | None = None) -> str:
        with _explained(f"The log of container {id_} cannot be read"):
            return bytes(self._client.api.logs(id_, tail=tail, since=since)).decode(errors="backslashreplace")

    def run_apart(
        self, image: str, argv: Sequence[str], *, name: str, directory: str, target: str, user: str
    ) -> Container:
        self.remove(name)
        api = self._client.api
        with _explained(f"Image {image} cannot be run"):
            created = api.create_container(
                image,
                # Both are given, so that nothing of the image's own remains.
                entrypoint=[argv[0]],
                command=list(argv[1:]),
                name=name,
                user=user,
                labels={APART: directory},
                host_config=api.create_host_config(
                    mounts=[docker.types.Mount(target, directory, type="bind")],
                    network_mode="none",
                    # The owners of the files are those of the host.
                    userns_mode="host",
                    cap_drop=["ALL"],
                    security_opt=["no-new-privileges", "label=disable"],
                ),
            )
        try:
            self.start(created["Id"])
            return _container(self.inspect(created["Id"]))
        except EngineError:
            self.remove(created["Id"])
            raise

    def remove(self, id_: str) -> None:
        try:
            with _explained(f"Container {id_} cannot be removed"):
                self._client.api.remove_container(id_, v=True, force=True)
        except EngineError as exc:
            if not isinstance(exc.__cause__, docker.errors.NotFound):
                raise

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
        env = env or {}
        # "--env NAME" without a value takes it from the environment of the docker command.
        options = [option for key in sorted(env) for option in ("--env", key)]
        if user is not None:
            options += ["--user", user]
        return Stage(
            name,
            [
                program("docker", "docker-cli"),
                "--host",
                self._host,
                "exec",
                "--interactive",
                *options,
                container,
                *argv,
            ],
            env=env,
            accept=accept,
        )

    def copy_stage(self, container: str, path: str, name: str) -> Stage:
        source = f"{container}:{path.rstrip('/')}/."
        return Stage(name, [program("docker", "docker-cli"), "--host", self._host, "cp", source, "-"])


def connect(host: str = DEFAULT_HOST, timeout: int = 60) -> DockerEngine:
    """Return the engine that answers at ``host``; raise EngineError when the SDK is missing or nothing answers."""
    if SDK_IMPORT_ERROR is not None:
        raise EngineError(
            "The Docker SDK for Python is not installed on this host. Install the package python3-docker, "
            "or run crm.continuity.prepare.",
            import_error=SDK_IMPORT_ERROR,
        )
    try:
        client = docker.DockerClient(base_url=host, timeout=timeout)
        client.ping()
    except FAILURES as exc:
        raise EngineError(f"No Docker daemon answers at {host}: {_reason(exc)}. {_remedy(exc)}", host=host) from exc
    return DockerEngine(client, host)


@contextlib.contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except FAILURES as exc:
        raise EngineError(f"{what}: {_reason(exc)}") from exc


def _reason(exc: Exception) -> str:
    explanation = getattr(exc, "explanation", None)
    return str(explanation or exc)


def _remedy(exc: Exception) -> str:
    if "Permission denied" in str(exc):
        return "Run the task as root (become) or as a member of the group that owns the socket."
    return "Start it (systemctl start docker) or set docker_host to where it listens."


def _restart_policy(raw: Mapping[str, t.Any]) -> str:
    """Return it as the command line of Docker writes it."""
    most = raw.get("MaximumRetryCount")
    return f"{raw.get('Name', '')}:{most}" if most else str(raw.get("Name", ""))


def _container(raw: Mapping[str, t.Any]) -> Container:
    config, state = raw["Config"], raw["State"]
    # Newer engines say "running" for a paused container too, and set Paused.
    status = "paused" if state.get("Paused") else state.get("Status", "")
    return Container(
        id=raw["Id"],
        name=raw["Name"].lstrip("/"),
        image=config.get("Image", ""),
        image_id=raw.get("Image", ""),
        state=status,
        health=(state.get("Health") or {}).get("Status"),
        labels=config.get("Labels") or {},
        env=dict(entry.partition("=")[::2] for entry in config.get("Env") or ()),
        command=(*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())),
        mounts=tuple(
            Mount(
                kind=mount["Type"],
                source=mount.get("Name") or mount.get("Source", ""),
                target=mount["Destination"],
                read_only=not mount.get("RW", True),
            )
            for mount in raw.get("Mounts") or ()
        ),
        networks=tuple(
            Network(name, entry.get("IPAddress", ""), tuple(entry.get("Aliases") or ()))
            for name, entry in sorted((raw.get("NetworkSettings", {}).get("Networks") or {}).items())
        ),
        started_at=state.get("StartedAt", ""),
        restart_count=raw.get("RestartCount", 0),
        pid=state.get("Pid", 0),
        restart_policy=_restart_policy((raw.get("HostConfig") or {}).get("RestartPolicy") or {}),
    )


def _volume(raw: Mapping[str, t.Any]) -> Volume:
    return Volume(
        name=raw["Name"],
        driver=raw["Driver"],
        mountpoint=raw.get("Mountpoint", ""),
        labels=raw.get("Labels") or {},
        options=raw.get("Options") or {},
    )
