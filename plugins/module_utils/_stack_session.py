# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out where the WhatsApp session of a stack is, and whether a backup covers it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._stack import SessionState
from ._stack_services import environment, of_role

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._profile import Profile, SessionRule
    from ._stack import Data, Service, StackDatabase, StackRedis

UNNAMED = "on an anonymous volume that compose does not mount again after a restore: give it a name"


def session_state(
    profile: Profile,
    services: Sequence[Service],
    databases: Sequence[StackDatabase],
    caches: Sequence[StackRedis],
    data: Sequence[Data],
) -> list[SessionState]:
    """Return the parts of the WhatsApp session that a profile knows of, by the first of its rules that holds."""
    if profile.session_service is None:
        return []
    states = []
    for service in of_role(services, profile, profile.session_service)[:1]:
        env = environment(service, profile)
        rule = next((rule for rule in profile.session_rules if _holds(rule, env)), None)
        if rule is None:
            states.append(
                SessionState(
                    profile.name, "no rule", "WhatsApp session", "unknown", False, "no rule of the profile fits"
                )
            )
            continue
        for store in rule.stores:
            covered, where = _store(store.place, store.path, profile, service, databases, caches, data)
            states.append(SessionState(profile.name, rule.name, store.holds, store.place, covered, where))
    return states


def _holds(rule: SessionRule, env: Mapping[str, str]) -> bool:
    return all(env.get(name, "").strip().lower() == value.strip().lower() for name, value in rule.when.items())


def _store(
    place: str,
    path: str | None,
    profile: Profile,
    service: Service,
    databases: Sequence[StackDatabase],
    caches: Sequence[StackRedis],
    data: Sequence[Data],
) -> tuple[bool, str]:
    if place == "database":
        database = next((entry for entry in databases if profile.name in (entry.profile, *entry.sharers)), None)
        return (True, f"database {database.name}") if database else (False, "a database that was not found")
    if place == "redis":
        return _redis_store(profile, caches, data)
    if place == "volume":
        entry = _holder(path or "/", service, data)
        if entry is None:
            return False, f"{path} inside the container: mount a volume there"
        if entry.anonymous:
            return False, f"{path} of {service.name}, {UNNAMED}"
        return entry.coverage == "archive", f"{entry.kind} {entry.name}"
    return False, "outside this host"


def _holder(path: str, service: Service, data: Sequence[Data]) -> Data | None:
    """Return what is mounted on a path of a service, or nearest above it."""
    found = [
        (len(target), entry)
        for entry in data
        for name, target in entry.mounts
        if name == service.name and f"{path}/".startswith(target.rstrip("/") + "/")
    ]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _redis_store(profile: Profile, caches: Sequence[StackRedis], data: Sequence[Data]) -> tuple[bool, str]:
    cache = next((entry for entry in caches if profile.name in entry.profiles), None)
    if cache is None:
        return False, "a Redis that was not found"
    if cache.container is None:
        return False, f"Redis at {cache.host}, outside this stack"
    kept = next((entry for entry in data if entry.source == cache.volume and entry.coverage == "archive"), None)
    if kept is None:
        return False, f"Redis in container {cache.container.name}, whose /data is not on a volume: mount one"
    if kept.anonymous:
        return False, f"Redis in container {cache.container.name}, {UNNAMED}"
    return True, f"Redis in volume {kept.name}"
