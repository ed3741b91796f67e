# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the images of the testbed are made of. A recipe's fingerprint tells whether a built image is still current."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
import typing as t
from dataclasses import dataclass, field

from .console import TestbedError
from .state import IMAGES, STANDINS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

REPOSITORY = "crm-continuity-testbed"
DEFAULT_FLAVOUR = "trixie"
# What a target needs, as packages of its distribution.
SERVER_PACKAGES = (
    "acl age attr ca-certificates curl docker.io docker-compose gnupg init-system-helpers iproute2 iptables isal mount "
    "openssh-server pigz procps python3 python3-docker python3-psycopg2 rsync sudo sysvinit-utils tar tini tzdata zstd"
)
FLAVOURS = {
    # Docker 26.1 with compose v2, Python 3.13.
    "trixie": f"{SERVER_PACKAGES} docker-cli",
    # Docker 20.10 with docker-compose 1.29, Python 3.11.
    "bookworm": SERVER_PACKAGES,
    # What systemd needs on top of trixie.
    "systemd": "systemd systemd-sysv",
}
# Nobody reads manuals in a test server: without them the images are a third smaller.
_UNREAD = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
BOOTSTRAP_OPTIONS = (
    "--mode=root",
    # Only what apt itself needs; what else a server has of course is in its list.
    "--variant=apt",
    "--dpkgopt=force-unsafe-io",
    *(f"--dpkgopt=path-exclude={pattern}" for pattern in _UNREAD),
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=Acquire::Retries "3"',
)
# passwd brings groupadd. Without usr-is-merged, bookworm merges /usr by a package that needs all of Perl.
SUITE_OPTIONS = {
    "trixie": ("--include=passwd",),
    "bookworm": ("--include=passwd,usr-is-merged", "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"),
}


@dataclass(frozen=True)
class File:
    """One file of a build context."""

    content: bytes
    executable: bool = False


@dataclass(frozen=True)
class Recipe:
    """One image: a Debian suite to bootstrap, or a Dockerfile with its context on top of another recipe."""

    name: str
    parent: Recipe | None
    files: Mapping[str, File]
    arguments: Mapping[str, str] = field(default_factory=dict)
    # The names by which CRM stacks know the image. Images that have some are loaded into the servers.
    tags: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        """The name of the image on this machine."""
        return f"{REPOSITORY}/{self.name}"

    @property
    def fingerprint(self) -> str:
        """A digest of everything that goes into the image, its parents included."""
        content = {
            "parent": self.parent.fingerprint if self.parent else None,
            "arguments": dict(self.arguments),
            "files": {
                path: [hashlib.sha256(file.content).hexdigest(), file.executable] for path, file in self.files.items()
            },
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def context(self) -> bytes:
        """Return the build context as a tar that is the same for the same files."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for path in sorted(self.files):
                file = self.files[path]
                member = tarfile.TarInfo(path)
                member.size = len(file.content)
                member.mode = 0o755 if file.executable else 0o644
                archive.addfile(member, io.BytesIO(file.content))
        return buffer.getvalue()


def all_recipes(flavours: Iterable[str] = (DEFAULT_FLAVOUR,)) -> list[Recipe]:
    """Return the recipes of the given server flavours and of all CRM images, parents before children."""
    trixie = _suite("trixie")
    bookworm = _suite("bookworm")
    bases = {"trixie": trixie, "bookworm": bookworm}
    # It goes into the servers by its own name: the stand-ins then travel without it.
    name = f"{REPOSITORY}/python-app:trixie"
    python_app = _layered("python-app", "trixie", trixie, "python3 python3-psycopg2 python3-redis", (name,))
    return [
        trixie,
        bookworm,
        *(recipe for flavour in flavours for recipe in _servers(flavour, bases)),
        _postgres("17", trixie, "postgresql-17 postgresql-17-pgvector", "pgvector/pgvector:pg17"),
        _postgres("15", bookworm, "postgresql-15", "postgres:15"),
        _layered("redis", "7", bookworm, "redis-server redis-tools", ("redis:7-alpine", "redis:7")),
        _layered("busybox", "trixie", trixie, None, ("alpine:latest",)),
        python_app,
        *(_application(directory, python_app) for directory in _applications()),
    ]


def _servers(flavour: str, bases: Mapping[str, Recipe]) -> list[Recipe]:
    """Return the recipe of the servers of a flavour, and of what it stands on."""
    suite = flavour if flavour in bases else DEFAULT_FLAVOUR
    server = _layered("server", suite, bases[suite], FLAVOURS[suite])
    if flavour == suite:
        return [server]
    name = f"{flavour}-server"
    return [server, Recipe(f"server:{flavour}", server, _files(IMAGES / name), _built_on(server, FLAVOURS[flavour]))]


def _suite(suite: str) -> Recipe:
    options = (*BOOTSTRAP_OPTIONS, *SUITE_OPTIONS[suite])
    return Recipe(f"base:{suite}", None, _files(IMAGES / "base"), {"SUITE": suite, "OPTIONS": shlex.join(options)})


def _layered(
    name: str, version: str, parent: Recipe, packages: str | None, tags: tuple[str, ...] = (), **arguments: str
) -> Recipe:
    return Recipe(
        f"{name}:{version}", parent, _files(IMAGES / name), {**_built_on(parent, packages), **arguments}, tags
    )


def _built_on(parent: Recipe, packages: str | None) -> dict[str, str]:
    return {"BASE": parent.image, **({"PACKAGES": packages} if packages is not None else {})}


def _postgres(version: str, parent: Recipe, packages: str, tag: str) -> Recipe:
    return _layered("postgres", version, parent, packages, (tag,), VERSION=version)


def _applications() -> list[Path]:
    return sorted(path.parent for path in STANDINS.glob("*/image.json"))


def _application(directory: Path, parent: Recipe) -> Recipe:
    """Return the recipe of a stand-in application: the files of its directory in /srv/standin."""
    path = directory / "image.json"
    try:
        described = json.loads(path.read_text())
        base, tags, command = described["base"], tuple(described["tags"]), described["cmd"]
    except (ValueError, KeyError) as exc:
        raise TestbedError(f"{path} is not a description of an image: {exc!r}") from exc
    if base != "python-app":
        raise TestbedError(f"{path}: base is {base!r}. The only base for stand-ins is python-app.")
    lines = ["ARG BASE", "FROM ${BASE}", "COPY files/ /srv/standin/"]
    lines += [f"ENV {name}={json.dumps(value)}" for name, value in described.get("env", {}).items()]
    lines.append(f"WORKDIR {described.get('workdir') or '/srv/standin'}")
    if described.get("user"):
        lines.append(f"USER {described['user']}")
    lines += [f"EXPOSE {port}" for port in described.get("exposed_ports", ())]
    lines.append(f"CMD {json.dumps(command)}")
    # What all of them share is in a directory beside them.
    files = {**_files(directory.parent / "common"), **_files(directory)}
    context = {f"files/{name}": file for name, file in files.items()}
    context["Dockerfile"] = File("\n".join((*lines, "")).encode())
    return Recipe(f"standin-{directory.name}:latest", parent, context, {"BASE": parent.image}, tags)


def _files(directory: Path) -> dict[str, File]:
    return {
        str(path.relative_to(directory)): File(path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in sorted(directory.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
