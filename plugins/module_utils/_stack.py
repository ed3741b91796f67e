# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model of a stack: services, volumes, databases, Redis, session state. ``_stack_find`` fills it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._engine import Container
    from ._profile import DatabaseRule, Profile, ServiceRule

# Compose labels its containers and volumes with names that begin so.
COMPOSE = "com.docker.compose."
ANONYMOUS = re.compile(r"[0-9a-f]{64}")


def depends_on(container: Container) -> tuple[str, ...]:
    """Return the services that compose starts before a container."""
    # Such as postgres:service_healthy:false,redis:service_started:true.
    needs = container.labels.get(COMPOSE + "depends_on", "")
    return tuple(word.partition(":")[0] for word in needs.split(",") if word)


@dataclass(frozen=True)
class Request:
    """Which stack the user means; everything but the name is found when it is left out.

    ``exclude`` are names of volumes, or paths inside containers, that the user does not want to keep.
    """

    name: str
    profiles: tuple[str, ...] = ()
    project_dir: str | None = None
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class Service:
    """One container of the stack; ``profile`` and ``rule`` say which part of a CRM it is, and are None if unknown.

    ``file_env`` is what an env file inside the container adds to its environment.
    """

    container: Container
    name: str
    depends_on: tuple[str, ...] = ()
    profile: str | None = None
    rule: ServiceRule | None = None
    file_env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Data:
    """A volume or a bound directory.

    ``coverage`` is how a backup covers it: "archive", "dump" (its database is dumped), "none" (there is nothing to
    keep, or the user excluded it) or "unreadable"; ``note`` says why. ``servers`` are the services of database servers
    that have their files in it and are not dumped.
    """

    name: str
    kind: str
    source: str
    mounts: tuple[tuple[str, str], ...]
    coverage: str
    note: str = ""
    purpose: str | None = None
    profile: str | None = None
    same_image: bool = False
    servers: tuple[str, ...] = ()

    @property
    def anonymous(self) -> bool:
        """Whether the engine made up its name, so that compose does not mount it again after a restore."""
        return self.kind == "volume" and ANONYMOUS.fullmatch(self.source) is not None


@dataclass(frozen=True)
class Tls:
    """How the application encrypts its connection to PostgreSQL, in libpq's terms; the files are paths of this host."""

    mode: str | None = None
    root_certificate: str | None = None
    certificate: str | None = None
    key: str | None = None


@dataclass(frozen=True)
class StackDatabase:
    """A PostgreSQL database that the stack uses; ``container`` is None when it lives outside the stack's networks.

    ``profile`` is None where no profile names it. ``sharers`` are other profiles that keep their data in the same
    database. ``address`` is how this host reaches a ``host`` that only the container knows by that name.
    """

    name: str
    profile: str | None
    rule: DatabaseRule
    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    schema: str | None = None
    container: Container | None = None
    sharers: tuple[str, ...] = ()
    address: str | None = None
    tls: Tls = Tls()


@dataclass(frozen=True)
class OtherDatabase:
    """A database of a server that there is no dump for, such as MySQL; ``kind`` is the name of that program.

    ``container`` is None when it lives outside the stack's networks.
    """

    name: str
    profile: str
    kind: str
    host: str
    container: Container | None = None


@dataclass(frozen=True)
class StackRedis:
    """A Redis that the stack uses; ``volume`` is where the engine keeps its /data, if that is kept at all."""

    name: str
    profiles: tuple[str, ...]
    host: str
    password: str | None = field(repr=False)
    container: Container | None = None
    volume: str | None = None
    user: str | None = None


@dataclass(frozen=True)
class SessionState:
    """One part of the WhatsApp session: what it is, where it is, and whether a backup of the stack covers it.

    ``how`` says what to do where it does not; it is empty where it does.
    """

    profile: str
    rule: str
    holds: str
    place: str
    covered: bool
    where: str
    how: str = ""


@dataclass(frozen=True)
class Outside:
    """Data that an application keeps outside the volumes and databases of its stack.

    ``where`` names the place without secrets. ``how`` says how a backup covers it, or what to do where it does not.
    """

    profile: str | None
    name: str
    covered: bool
    where: str
    how: str


@dataclass(frozen=True)
class Stack:
    """One compose project on one host."""

    name: str
    project_dir: str | None
    compose_files: tuple[str, ...]
    environment_files: tuple[str, ...]
    profiles: tuple[Profile, ...]
    services: tuple[Service, ...]
    data: tuple[Data, ...]
    databases: tuple[StackDatabase, ...]
    redis: tuple[StackRedis, ...]
    session: tuple[SessionState, ...]
    warnings: tuple[str, ...]
    others: tuple[OtherDatabase, ...] = ()
    outside: tuple[Outside, ...] = ()

    def archived(self) -> tuple[Data, ...]:
        """Return the volumes and directories that a backup archives."""
        return tuple(data for data in self.data if data.coverage == "archive")
