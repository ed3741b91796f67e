# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What compose would start after a restore, as compose itself reads the files that will then be there.

The files are those of the project directory, of the backup, or of both, as the operator wants it. Nothing is written
but a private temporary directory. Values of variables are known here and must not be shown. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import posixpath
import re
import shutil
import tarfile
import tempfile
import typing as t
from dataclasses import dataclass, field

from ._check import Mask
from ._config_bundle import bundle_name
from ._errors import ContinuityError, ProcessError, StackError
from ._files import file_sha256, read_chunks
from ._process import Pipeline, Stage, program, run
from ._profile import SECRET
from ._unpacking import unpack_stages

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ._manifest import Artifact, Manifest

# How the name of the archive with the compose files begins.
BUNDLE = "config/project.tar"
# What a restore does with files that are there already: keep them, take those of the backup, or put nothing back.
POLICIES = ("missing", "replace", "never")
MEMORY = "/run"
_PROJECT_NAME = re.compile(r"^[ \t]*(?:export[ \t]+)?COMPOSE_PROJECT_NAME[ \t]*=[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_TOP_NAME = re.compile(r"^name:[ \t]*[\"']?([A-Za-z0-9_-]+)[\"']?[ \t]*(?:#.*)?$", re.MULTILINE)


@dataclass(frozen=True)
class Mounted:
    """What compose mounts on a path of a service; ``source`` is the name of the volume, or a path of the host."""

    kind: str
    source: str
    target: str
    external: bool = False


@dataclass(frozen=True)
class Port:
    """A port of the host that a service publishes."""

    address: str
    number: int
    protocol: str


@dataclass(frozen=True)
class Composed:
    """What compose would start.

    ``origin`` says whose files these are; ``names`` are the project names that they hold, by file.
    """

    origin: str
    model: Mapping[str, t.Any] = field(repr=False)
    names: Mapping[str, str] = field(default_factory=dict)

    def service(self, name: str) -> Mapping[str, t.Any]:
        return dict((self.model.get("services") or {}).get(name) or {})

    def services(self) -> list[str]:
        return sorted(self.model.get("services") or {})

    def image(self, service: str) -> str | None:
        return self.service(service).get("image")

    def environment(self, service: str) -> dict[str, str]:
        """Return the variables that a container of the service would get. Compose doubles every dollar it prints."""
        found = self.service(service).get("environment") or {}
        return {name: str(value).replace("$$", "$") for name, value in found.items() if value is not None}

    def mounts(self, service: str) -> list[Mounted]:
        volumes = self.model.get("volumes") or {}
        found = []
        for entry in self.service(service).get("volumes") or ():
            kind, source = entry.get("type"), entry.get("source")
            if kind not in ("volume", "bind") or not source:
                continue
            described = (volumes.get(source) or {}) if kind == "volume" else {}
            name = described.get("name") or source
            found.append(Mounted(kind, name, entry.get("target", "").rstrip("/"), bool(described.get("external"))))
        return found

    def ports(self, service: str) -> list[Port]:
        found = []
        for entry in self.service(service).get("ports") or ():
            first, _dash, last = str(entry.get("published") or "").partition("-")
            if first.isdigit():
                numbers = range(int(first), int(last or first) + 1)
                address, protocol = entry.get("host_ip") or "", entry.get("protocol") or "tcp"
                found += [Port(address, number, protocol) for number in numbers]
        return found

    def networks(self) -> dict[str, bool]:
        """Return the names of the networks, each with whether it is somebody else's."""
        described = (self.model.get("networks") or {}).items()
        return {(entry or {}).get("name") or key: bool((entry or {}).get("external")) for key, entry in described}


@dataclass(frozen=True)
class Unknown:
    """Why it is not known what compose would start; ``broken`` where compose itself refuses the files."""

    reason: str
    broken: bool = False


def bundle(manifest: Manifest) -> Artifact | None:
    """Return the archive with compose and env files, if the backup has one."""
    return next((artifact for artifact in manifest.artifacts if artifact.path.startswith(BUNDLE)), None)


def compose_command(manifest: Manifest, overrides: Sequence[str] = (), directory: str | None = None) -> list[str]:
    """Return the compose command of the stack, up to the verb; its files may lie in another ``directory``.

    ``overrides`` are further compose files of this host, whose settings win.
    """
    project = manifest.source["project_dir"] or "/"
    place = directory or project
    words = ["docker", "compose", "--project-name", manifest.stack, "--project-directory", place]
    for option, paths in (("--file", "compose_files"), ("--env-file", "environment_files")):
        for path in manifest.source[paths]:
            words += [option, posixpath.join(place, bundle_name(path, project))]
        if option == "--file":
            words += [word for path in overrides for word in (option, path)]
    return words


def composed(
    manifest: Manifest, directory: str, policy: str, overrides: Sequence[str], hidden: Iterable[str]
) -> Composed | Unknown:
    """Let compose read the files as they will be after a restore of the backup in ``directory``.

    ``hidden`` are values that must not appear in a message of compose.
    """
    project = manifest.source["project_dir"]
    artifact = bundle(manifest)
    if project is None or not manifest.source["compose_files"]:
        return Unknown("the backup names no compose file")
    try:
        with tempfile.TemporaryDirectory(prefix="crm.continuity.", dir=_memory()) as scratch:
            if artifact is None or policy == "never":
                command = compose_command(manifest, overrides)
                return _asked(command, project, project, "the files of the project directory", manifest, hidden)
            origin = _lay_out(os.path.join(directory, artifact.path), artifact, project, scratch, policy)
            command = compose_command(manifest, overrides, scratch)
            return _asked(command, scratch, project, origin, manifest, hidden)
    except (ContinuityError, tarfile.TarError, OSError, EOFError, ValueError) as exc:
        return Unknown(str(exc).rstrip("."))


def _memory() -> str | None:
    """Return a directory that no disk keeps, for the secrets of env files; None for a user who has none."""
    return MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None


def _lay_out(path: str, artifact: Artifact, project: str, scratch: str, policy: str) -> str:
    """Put the files of a bundle into a directory, or those that are there already instead; say whose they are."""
    if file_sha256(path).sha256 != artifact.sha256:
        raise StackError(f"{path} is damaged: its checksum is not the one of the manifest")
    kept = taken = 0
    for member, content in _members(path, artifact.compression):
        there = os.path.join(project, member)
        place = os.path.join(scratch, member)
        os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
        if policy == "missing" and os.path.isfile(there):
            shutil.copyfile(there, place)
            kept += 1
        else:
            with open(place, "wb") as stream:
                stream.write(content)
            taken += 1
    if kept and taken:
        return "the files that are there, and those of the backup that are missing there"
    return "the files of the project directory" if kept else "the files of the backup"


def _members(path: str, compression: str) -> Iterator[tuple[str, bytes]]:
    """Return the regular files of a bundle; links lead out of it, and what is no plain name inside is not ours."""
    stages = unpack_stages(path, compression) or [Stage(f"read {path}", ["cat"])]
    with open(path, "rb") as stream, Pipeline(stages, stdin=stream.fileno()) as pipeline:
        with tarfile.open(fileobj=pipeline.stdout, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                name = posixpath.normpath(member.name)
                if content is not None and not name.startswith(("/", "../")) and name not in (".", ".."):
                    yield name, content.read()
        # Or the program that unpacks would find nobody to write to.
        for _chunk in read_chunks(pipeline.stdout):
            pass


def _asked(
    command: Sequence[str], place: str, project: str, origin: str, manifest: Manifest, hidden: Iterable[str]
) -> Composed | Unknown:
    docker = program("docker", "docker-cli")
    try:
        run(Stage("look for docker compose", [docker, "compose", "version"]))
    except ProcessError:
        return Unknown("docker compose is not installed on this host")
    missing = [path for option, path in itertools.pairwise(command) if option == "--file" and not os.path.isfile(path)]
    if missing:
        return Unknown(f"there is no {missing[0].replace(place, project)}")
    try:
        argv = [docker, *command[1:], "--profile", "*", "config", "--format", "json"]
        printed = run(Stage("read the compose files", argv)).stdout.decode()
    except ProcessError as exc:
        return Unknown(Mask(hidden).excerpt(str(exc).replace(place, project)).rstrip("."), broken=True)
    return Composed(origin, json.loads(printed.replace(place, project)), _project_names(command, place, project))


def _project_names(command: Sequence[str], place: str, project: str) -> dict[str, str]:
    """Return the project names that compose and env files hold, by the path of the file."""
    paths = {path for option, path in itertools.pairwise(command) if option in ("--file", "--env-file")}
    found = {}
    for path in sorted({*paths, os.path.join(place, ".env")}):
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
            match = _TOP_NAME.search(text) if path.endswith((".yml", ".yaml")) else _PROJECT_NAME.search(text)
            if match is not None:
                found[path.replace(place, project)] = match[1]
    return found


def variables_to_hide(environments: Iterable[Mapping[str, str]]) -> list[str]:
    """Return the values that no message may show."""
    return [value for environment in environments for name, value in environment.items() if SECRET.search(name)]
