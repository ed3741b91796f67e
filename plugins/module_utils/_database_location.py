# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a PostgreSQL server is, and how its own programs are run there.

A server in a container is reached with SQL over the container's network address, and its programs run inside it: they
are then exactly of the server's version. Any other server is reached over TCP with the programs of this host.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import glob
import os
import re
import typing as t
from dataclasses import dataclass, replace

from ._database import Connection
from ._errors import DatabaseError, ProcessError
from ._pg_commands import conninfo, environment
from ._process import Stage, program, run

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._database import PostgreSQL
    from ._engine import Container, Engine

# Sessions of the programs are named "<APPLICATION> tool <id>", the one that watches over them "<APPLICATION> <id>".
APPLICATION = "crm.continuity"

DEFAULT_PORT = 5432
# Databases that every server has, to work on others from.
MAINTENANCE = ("postgres", "template1")
_LOCAL = ("localhost", "127.0.0.1", "::1")


class Location(t.Protocol):
    """A PostgreSQL server; InContainer and OnHost provide it."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def default_database(self) -> str:
        """The database that is meant when none is named."""

    @property
    def sees_data_directory(self) -> bool:
        """Whether programs that run there see the files of the server."""

    def connection(self, database: str) -> Connection:
        """Return how SQL reaches a database of the server."""

    def target(self, database: str) -> str:
        """Return the connection string of a database for the programs."""

    def client(
        self,
        what: str,
        argv: Sequence[str],
        *,
        version: int,
        run_id: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> Stage:
        """Return a stage that runs one of PostgreSQL's programs, fit for a server of a major version."""

    def command(self, what: str, argv: Sequence[str]) -> Stage:
        """Return a stage that runs any other program where the clients run."""

    def root(self) -> str | None:
        """Return where this process may find the root directory of the programs, or None where it cannot."""


@dataclass(frozen=True)
class InContainer:
    """A PostgreSQL server that runs in a container."""

    engine: Engine
    container: str
    sql: Connection
    port: int = DEFAULT_PORT  # inside; the one of ``sql`` may be published under another number

    @property
    def name(self) -> str:
        return f"container {self.container}"

    @property
    def default_database(self) -> str:
        return self.sql.dbname

    @property
    def sees_data_directory(self) -> bool:
        return True

    def connection(self, database: str) -> Connection:
        return replace(self.sql, dbname=database)

    def target(self, database: str) -> str:
        # Without a host: the socket, which the image trusts or asks for the same password.
        return conninfo(database=database, user=self.sql.user, port=self.port)

    def client(
        self,
        what: str,
        argv: Sequence[str],
        *,
        version: int,
        run_id: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> Stage:
        del version  # the programs beside the server are the server's
        env = environment(password=self.sql.password, application=f"{APPLICATION} tool {run_id}", settings=settings)
        return self.engine.exec_stage(self.container, what, argv, env=env)

    def command(self, what: str, argv: Sequence[str]) -> Stage:
        return self.engine.exec_stage(self.container, what, argv)

    def root(self) -> str | None:
        pid = (self.engine.inspect(self.container).get("State") or {}).get("Pid")
        return f"/proc/{pid}/root" if pid else None


@dataclass(frozen=True)
class OnHost:
    """A PostgreSQL server that is reached over the network, with the client programs of this host."""

    sql: Connection

    @property
    def name(self) -> str:
        return f"PostgreSQL at {self.sql.where}"

    @property
    def default_database(self) -> str:
        return self.sql.dbname

    @property
    def sees_data_directory(self) -> bool:
        return self.sql.host in _LOCAL or self.sql.host.startswith("/")

    def connection(self, database: str) -> Connection:
        return replace(self.sql, dbname=database)

    def target(self, database: str) -> str:
        return conninfo(database=database, user=self.sql.user, host=self.sql.host, port=self.sql.port)

    def client(
        self,
        what: str,
        argv: Sequence[str],
        *,
        version: int,
        run_id: str = "",
        settings: Mapping[str, str] | None = None,
    ) -> Stage:
        env = environment(
            password=self.sql.password,
            application=f"{APPLICATION} tool {run_id}",
            settings=settings,
            sslmode=self.sql.sslmode,
            sslrootcert=self.sql.sslrootcert,
            sslcert=self.sql.sslcert,
            sslkey=self.sql.sslkey,
        )
        return Stage(what, [_client_program(argv[0], version), *argv[1:]], env=env)

    def command(self, what: str, argv: Sequence[str]) -> Stage:
        return Stage(what, [program(argv[0]), *argv[1:]])

    def root(self) -> str | None:
        return "/"


def enter(
    location: Location, names: Sequence[str], connect: Callable[[Connection], PostgreSQL]
) -> tuple[str, PostgreSQL]:
    """Connect to the first of several databases that lets us in; return its name and the session.

    Raises the DatabaseError of the first one when none does.
    """
    failures = []
    for name in names:
        try:
            return name, connect(location.connection(name))
        except DatabaseError as exc:
            failures.append(exc)
    raise failures[0]


def in_container(
    engine: Engine,
    container: str,
    *,
    user: str | None = None,
    password: str | None = None,
    database: str | None = None,
    port: int | None = None,
) -> InContainer:
    """Find out how to reach the PostgreSQL server of a container; what is given here wins over its environment.

    Raises DatabaseError when the container is missing or does not run.
    """
    found = engine.container(container)
    if found is None:
        raise DatabaseError(
            f"There is no container {container}. Give the name or the ID of the container that runs PostgreSQL.",
            container=container,
        )
    if found.state != "running":
        raise DatabaseError(
            f"Container {found.name} is {found.state}, so its PostgreSQL does not answer. "
            f"Bring it back (docker {'unpause' if found.state == 'paused' else 'start'} {found.name}) and try again.",
            container=found.name,
        )
    superuser = _setting(engine, found, "POSTGRES_USER") or "postgres"
    source = "the option password"
    if password is None:
        # The password of the environment belongs to the user of the environment.
        own = user is None or user == superuser
        password = _setting(engine, found, "POSTGRES_PASSWORD") if own else None
        source = f"POSTGRES_PASSWORD of container {found.name}" if password else "none was given or found"
    inner_port = port or _server_port(found)
    addresses = _addresses(engine, found, inner_port)
    return InContainer(
        engine,
        found.name,
        Connection(
            host=addresses[0][0],
            port=addresses[0][1],
            alternatives=tuple(addresses[1:]),
            user=user or superuser,
            password=password,
            password_source=source,
            dbname=database or _setting(engine, found, "POSTGRES_DB") or superuser,
        ),
        inner_port,
    )


def on_host(
    *,
    host: str,
    port: int,
    user: str,
    password: str | None = None,
    database: str | None = None,
    sslmode: str | None = None,
    sslrootcert: str | None = None,
    sslcert: str | None = None,
    sslkey: str | None = None,
    source: str = "the option password",
) -> OnHost:
    """Describe a PostgreSQL server that listens on the network or on a socket of this host.

    ``sslrootcert`` is the certificate of the authority that the server has to have its own from; ``sslcert`` and
    ``sslkey`` are those of the client. ``source`` is where the password came from, for messages.
    """
    return OnHost(
        Connection(
            host=host,
            port=port,
            user=user,
            password=password,
            password_source=source if password is not None else "none was given",
            dbname=database or user,
            sslmode=sslmode,
            sslrootcert=sslrootcert,
            sslcert=sslcert,
            sslkey=sslkey,
        )
    )


def _setting(engine: Engine, container: Container, name: str) -> str | None:
    """Return a variable of the image's environment, also when a file holds it (Docker secrets)."""
    path = container.env.get(f"{name}_FILE")
    if not path:
        return container.env.get(name) or None
    try:
        read = run(engine.exec_stage(container.name, f"read {name}_FILE of container {container.name}", ["cat", path]))
    except ProcessError as exc:
        raise DatabaseError(f"{exc} Give the value as an option.", container=container.name) from exc
    # The image's entry point reads it with $(< file), which drops the line's end.
    return read.stdout.decode().rstrip("\n") or None


def _server_port(container: Container) -> int:
    words = list(container.command)
    for index, word in enumerate(words):
        following = words[index + 1] if index + 1 < len(words) else ""
        if word in ("-p", "--port") and following.isdigit():
            return int(following)
        match = re.fullmatch(r"(?:-p|--port=|port=)(\d+)", word)
        if match is not None:
            return int(match[1])
    port = container.env.get("PGPORT", "")
    return int(port) if port.isdigit() else DEFAULT_PORT


def _addresses(engine: Engine, container: Container, port: int) -> list[tuple[str, int]]:
    """Return where SQL may reach the container: its own addresses first, then the ports that it publishes."""
    addresses = [(network.address, port) for network in container.networks if network.address]
    if any(network.name == "host" for network in container.networks):
        addresses.append(("127.0.0.1", port))
    published = (engine.inspect(container.id).get("NetworkSettings") or {}).get("Ports") or {}
    for binding in published.get(f"{port}/tcp") or ():
        host = binding.get("HostIp") or "127.0.0.1"
        addresses.append(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), int(binding["HostPort"])))
    if not addresses:
        raise DatabaseError(
            f"Container {container.name} has no network address and publishes no port {port}, so its PostgreSQL cannot "
            "be reached. Connect it to a network, for example with: docker network connect bridge " + container.name,
            container=container.name,
        )
    return addresses


def _client_program(name: str, version: int) -> str:
    """Return the path of a client program for a server of a major version.

    The same version is best, a newer one works, an older one is refused by the server's dumps. Distributions install
    several side by side in directories of their own.
    """
    candidates: dict[int, str] = {}
    for pattern in ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"):
        for directory in glob.glob(pattern):
            number = re.search(r"(\d+)/bin$", directory)
            path = os.path.join(directory, name)
            if number is not None and os.access(path, os.X_OK):
                candidates.setdefault(int(number[1]), path)
    fitting = sorted(number for number in candidates if number >= version)
    if fitting:
        return candidates[fitting[0]]
    path = program(name, f"postgresql-client-{version}")
    printed = run(Stage(f"ask {name} for its version", [path, "--version"])).stdout.decode()
    found = re.search(r"(\d+)(?:\.\d+|devel|beta\d+|rc\d+)", printed)
    if found is None or int(found[1]) < version:
        raise DatabaseError(
            f"The server is PostgreSQL {version}, and {path} on this host is older ({printed.strip()}). "
            f"Install the package postgresql-client-{version}; apt.postgresql.org has what the distribution lacks."
        )
    return path
