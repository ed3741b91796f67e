# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at a running compose stack from the server it runs on: its containers, addresses and volumes.

Shared by the generator and the fingerprint. Knows nothing of the collection, because it serves to check it.
"""

from __future__ import annotations

import json
import subprocess
import typing as t
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psycopg2
from resp import Redis

if t.TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

LABEL = "com.docker.compose"


class StackError(Exception):
    """The stack is not there or not running."""


@dataclass(frozen=True)
class Container:
    """What matters of one container."""

    id: str
    service: str
    image: str
    environment: dict[str, str]
    command: list[str]
    address: str
    # Volume name and place on the server, by the path inside the container.
    volumes: dict[str, tuple[str, Path]]

    def post(self, port: int, path: str, body: dict[str, t.Any], **headers: str) -> t.Any:
        """Post JSON to the application in the container and return the JSON of its reply."""
        request = urllib.request.Request(
            f"http://{self.address}:{port}{urllib.parse.quote(path)}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", **headers},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            said = error.read().decode("utf-8", "replace")
            raise StackError(f"{self.service} answered POST {path} with {error.code}: {said}") from None


@dataclass(frozen=True)
class Stack:
    """One compose project."""

    project: str
    containers: tuple[Container, ...]

    def service(self, name: str) -> Container:
        """The container of a service."""
        for container in self.containers:
            if container.service == name:
                return container
        raise StackError(f"Project {self.project} has no container of a service {name}. Is the stack up?")

    def folder(self, service: str, path: str) -> Path:
        """Where a volume of a service lies on this server."""
        volumes = self.service(service).volumes
        if path not in volumes:
            raise StackError(f"Service {service} of project {self.project} has no volume at {path}.")
        return volumes[path][1]

    def postgres(self) -> Container:
        """The container of the database server."""
        return next((one for one in self.containers if "PGDATA" in one.environment), None) or self.service("postgres")

    def redis(self) -> Container:
        """The container of Redis."""
        return next((one for one in self.containers if "redis-server" in one.command), None) or self.service("redis")

    def connect(self, database: str, user: str | None = None, password: str | None = None) -> Connection:
        """Open a connection to a database, as the superuser of the container unless another user is named."""
        container = self.postgres()
        environment = container.environment
        connection: Connection = psycopg2.connect(
            host=container.address,
            port=5432,
            dbname=database,
            user=user or environment.get("POSTGRES_USER", "postgres"),
            password=password or environment.get("POSTGRES_PASSWORD", ""),
            client_encoding="UTF8",
            connect_timeout=10,
        )
        return connection

    def connect_redis(self, database: int = 0) -> Redis:
        """Open a connection to one of the databases of Redis."""
        container = self.redis()
        words = container.command
        password = words[words.index("--requirepass") + 1] if "--requirepass" in words else None
        return Redis(container.address, 6379, password, database)

    def address_of(self, uri: str) -> tuple[str, str, str]:
        """User, password and database of a postgresql:// address."""
        parts = urllib.parse.urlsplit(uri)
        return (
            urllib.parse.unquote(parts.username or ""),
            urllib.parse.unquote(parts.password or ""),
            parts.path.lstrip("/"),
        )


def find_stack(project_dir: str) -> Stack:
    """Find the running stack whose compose files are in a directory."""
    label = f"label={LABEL}.project.working_dir={project_dir.rstrip('/')}"
    ids = _docker("ps", "--quiet", "--no-trunc", "--filter", label, "--filter", f"label={LABEL}.oneoff=False").split()
    if not ids:
        raise StackError(f"No container of a compose project in {project_dir} is running. Start the stack first.")
    found = json.loads(_docker("inspect", *ids))
    project = found[0]["Config"]["Labels"][f"{LABEL}.project"]
    containers = sorted((_container(entry) for entry in found), key=lambda one: one.service)
    return Stack(project, tuple(containers))


def _container(entry: dict[str, t.Any]) -> Container:
    config = entry["Config"]
    networks = entry["NetworkSettings"]["Networks"].values()
    return Container(
        id=entry["Id"],
        service=config["Labels"][f"{LABEL}.service"],
        image=config["Image"],
        environment=dict(item.split("=", 1) for item in config["Env"] or []),
        command=list(config["Cmd"] or []),
        address=next((network["IPAddress"] for network in networks if network["IPAddress"]), ""),
        volumes={
            mount["Destination"]: (mount["Name"], Path(mount["Source"]))
            for mount in entry["Mounts"]
            if mount["Type"] == "volume"
        },
    )


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"docker {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout
