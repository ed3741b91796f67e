# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Name the data that a stack keeps outside its volumes and its databases, and whether a backup covers it.

Object storage, managed databases, a Redis elsewhere: nothing of that is silently left out. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
import urllib.parse

from ._stack import COMPOSE, Outside
from ._stack_kept import kept_files, kept_redis
from ._stack_services import environment, find_host, first, holds, of_role

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._engine import Container, Engine
    from ._profile import OutsideRule, Profile
    from ._stack import Data, OtherDatabase, Service, StackDatabase, StackRedis

# A password in a URL may hold anything, a slash too.
_LOGIN = re.compile(r"^(\w+://)?.*@")


def outside_of(
    engine: Engine,
    services: Sequence[Service],
    profiles: Sequence[Profile],
    data: Sequence[Data],
    databases: Sequence[StackDatabase],
    others: Sequence[OtherDatabase],
    caches: Sequence[StackRedis],
) -> tuple[Outside, ...]:
    """Return what the profiles say to be outside, and the servers that no container of this host is."""
    found = [
        entry
        for profile in profiles
        for rule in profile.outside
        for service in of_role(services, profile, rule.service)[:1]
        for entry in _named(engine, services, data, profile, rule, service)
    ]
    found += [
        Outside(
            entry.profile,
            f"database {entry.name}",
            True,
            f"PostgreSQL at {entry.host}:{entry.port}",
            "it is dumped over the network, with the programs of this host",
        )
        for entry in databases
        if entry.container is None
    ]
    found += [
        Outside(entry.profile, f"database {entry.name}", *kept_files(entry, services, data))
        for entry in others
        if entry.container is None
    ]
    found += [
        Outside(", ".join(entry.profiles), f"Redis {entry.name}", *kept_redis(entry, services, data))
        for entry in caches
        if entry.container is None
    ]
    return tuple(found)


def _named(
    engine: Engine,
    services: Sequence[Service],
    data: Sequence[Data],
    profile: Profile,
    rule: OutsideRule,
    service: Service,
) -> Iterator[Outside]:
    env = environment(service, profile)
    if not holds(rule.condition, service, env):
        return
    value = first(env, rule.host)
    host = _host(value) if value else None
    container = _container(engine, services, service, host) if host else None
    where = _where(rule, env)
    if container is None:
        yield Outside(
            profile.name,
            rule.name,
            False,
            where,
            "it is outside this host: back it up where it is, for instance with versions or a copy of the bucket",
        )
        return
    covered, how = _kept(container, services, data)
    yield Outside(profile.name, rule.name, covered, f"{where} (container {container.name})", how)


def _host(value: str) -> str | None:
    try:
        return urllib.parse.urlsplit(value if "//" in value else f"//{value}").hostname
    except ValueError:
        return None


def _container(engine: Engine, services: Sequence[Service], asker: Service, host: str) -> Container | None:
    """Return the container behind a name: one that it reaches directly, or one that Traefik publishes under it."""
    direct = find_host(engine, asker.container, host)
    if direct is not None:
        return direct
    published = re.compile(rf"Host\([^)]*[`'\"]{re.escape(host)}[`'\"]", re.IGNORECASE)
    return next(
        (
            service.container
            for service in services
            for label, rule in service.container.labels.items()
            if label.startswith("traefik.") and published.search(rule)
        ),
        None,
    )


def _kept(container: Container, services: Sequence[Service], data: Sequence[Data]) -> tuple[bool, str]:
    service = next((entry.name for entry in services if entry.container.id == container.id), None)
    if service is None:
        stack = container.labels.get(COMPOSE + "project")
        other = f"stack {stack}" if stack else f"container {container.name}, which belongs to no stack"
        return False, f"it is part of {other}: back that up too, at the same time"
    kept = [
        entry.name
        for entry in data
        if entry.coverage == "archive" and not entry.anonymous and any(name == service for name, _path in entry.mounts)
    ]
    if kept:
        return True, f"it is in the archive of {', '.join(kept)}"
    return False, f"mount a named volume where {service} keeps its files"


def _where(rule: OutsideRule, env: Mapping[str, str]) -> str:
    names = dict.fromkeys((*rule.condition.when, *rule.show))
    shown = [f"{name}={_masked(env[name])}" for name in names if env.get(name)]
    return ", ".join(shown) or rule.name


def _masked(value: str) -> str:
    return _LOGIN.sub(r"\1***@", value)
