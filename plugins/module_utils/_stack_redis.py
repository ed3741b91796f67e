# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the Redis servers of a stack, and where each keeps its data.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
import urllib.parse
from dataclasses import replace

from ._stack import StackRedis
from ._stack_databases import split_url
from ._stack_services import environment, find_host, first, holds, of_role, repository

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Container, Engine
    from ._profile import Profile, RedisRule
    from ._stack import Service

REDIS_IMAGES = re.compile(r"(^|[/-])(redis|valkey|keydb|dragonfly)([-/]|$)")
# Where Redis has its files: in the official images, in Bitnami's.
REDIS_DATA = ("/data", "/bitnami/redis/data", "/bitnami/valkey/data")


def redis_of(engine: Engine, services: Sequence[Service], profiles: Sequence[Profile]) -> tuple[StackRedis, ...]:
    """Return the Redis servers that the applications name, and the others that run in the stack."""
    found: dict[str, StackRedis] = {}
    for profile in profiles:
        for rule in profile.redis:
            for service in of_role(services, profile, rule.service)[:1]:
                cache = _cache(engine, service, profile, rule)
                if cache is not None:
                    key = cache.container.id if cache.container else cache.host
                    # Applications often share one Redis.
                    earlier = found.get(key)
                    found[key] = replace(earlier, profiles=(*earlier.profiles, profile.name)) if earlier else cache
    known = {cache.container.id for cache in found.values() if cache.container is not None}
    for service in services:
        container = service.container
        if container.id not in known and REDIS_IMAGES.search(repository(container.image)):
            volume = _redis_volume(container)
            found[container.id] = StackRedis(
                service.name, (), service.name, _own_password(container), container, volume
            )
    return tuple(found.values())


def _cache(engine: Engine, service: Service, profile: Profile, rule: RedisRule) -> StackRedis | None:
    env = environment(service, profile)
    if not holds(rule.condition, service, env):
        return None
    url = first(env, rule.url)
    parts = split_url(url) if url else None
    host = parts.hostname if parts else first(env, rule.host)
    if not host:
        return None
    password = (parts.password if parts else None) or first(env, rule.password)
    container = find_host(engine, service.container, host)
    return StackRedis(
        name=rule.name,
        profiles=(profile.name,),
        host=host,
        password=urllib.parse.unquote(password) if password else _own_password(container),
        container=container,
        volume=_redis_volume(container),
        # Redis before 6 knows no users, and clients then send "default" or anything.
        user=urllib.parse.unquote(parts.username) if parts and parts.username and parts.password else None,
    )


def _own_password(container: Container | None) -> str | None:
    if container is None:
        return None
    words = container.command
    for index, word in enumerate(words):
        if word == "--requirepass" and index + 1 < len(words):
            return words[index + 1]
        match = re.search(r"--requirepass\s+(\S+)", word)
        if match:
            # Inside "sh -c", the shell would have read the variable and the quotes.
            value = match.group(1).strip("\"'")
            return container.env.get(value.strip("${}"), value) if value.startswith("$") else value
    return container.env.get("REDIS_PASSWORD")


def _redis_volume(container: Container | None) -> str | None:
    mounts = container.mounts if container else ()
    found = (
        mount.source
        for path in REDIS_DATA
        for mount in mounts
        if mount.kind != "tmpfs" and f"{path}/".startswith(mount.target.rstrip("/") + "/")
    )
    return next(found, None)
