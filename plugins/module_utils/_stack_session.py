# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find out where the WhatsApp session of a stack is, and whether a backup covers it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ._stack import SessionState
from ._stack_kept import Found, kept_data, kept_files, kept_redis
from ._stack_servers import holder
from ._stack_services import environment, holds, of_role

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._profile import Profile, SessionRule, SessionStore
    from ._stack import Data, OtherDatabase, Outside, Service, StackDatabase, StackRedis


@dataclass(frozen=True)
class Places:
    """Where a session may be: everything that was found of the stack."""

    services: Sequence[Service]
    databases: Sequence[StackDatabase]
    others: Sequence[OtherDatabase]
    caches: Sequence[StackRedis]
    data: Sequence[Data]
    outside: Sequence[Outside]


def session_state(profile: Profile, places: Places) -> list[SessionState]:
    """Return the parts of the WhatsApp session that a profile knows of, by the first of its rules that holds."""
    states: list[SessionState] = []
    found = rule_of(profile, places.services)
    if found is None:
        return states
    service, rule = found
    if rule is None:
        how = f"add a rule to session in the profile {profile.name}"
        states.append(
            SessionState(
                profile.name, "no rule", "WhatsApp session", "unknown", False, "no rule of the profile fits", how
            )
        )
        return states
    for store in rule.stores:
        kept = _store(store, profile, service, places)
        states.append(SessionState(profile.name, rule.name, store.holds, store.place, *kept))
    return states


def rule_of(profile: Profile, services: Sequence[Service]) -> tuple[Service, SessionRule | None] | None:
    """Return the service whose environment decides where the session is, and the rule that holds for it.

    None where the profile knows of no session, or the stack has no such service.
    """
    if profile.session_service is None:
        return None
    for service in of_role(services, profile, profile.session_service):
        env = environment(service, profile)
        return service, next((rule for rule in profile.session_rules if holds(rule.condition, service, env)), None)
    return None


def _store(store: SessionStore, profile: Profile, service: Service, places: Places) -> Found:
    if store.place == "database":
        return _database_store(profile, places)
    if store.place == "redis":
        return _redis_store(profile, places)
    if store.place == "volume":
        path = store.path or "/"
        entry = holder(path, service.name, places.data)
        if entry is None:
            return Found(False, f"{path} inside the container", "mount a volume there")
        return kept_data(entry, f"{path} of {service.name}")
    said = next((e for e in places.outside if (e.profile, e.name) == (profile.name, store.outside)), None)
    if said is not None:
        return Found(said.covered, said.where, "" if said.covered else said.how)
    return Found(False, "outside this host", "back it up where it is")


def _database_store(profile: Profile, places: Places) -> Found:
    database = next((e for e in places.databases if profile.name in (e.profile, *e.sharers)), None)
    if database is not None:
        network = f" at {database.host}:{database.port}, over the network" if database.container is None else ""
        return Found(True, f"database {database.name}{network}")
    other = next((entry for entry in places.others if entry.profile == profile.name), None)
    if other is None:
        how = f"say in databases of the profile {profile.name} where it is"
        return Found(False, "a database that was not found", how)
    return kept_files(other, places.services, places.data)


def _redis_store(profile: Profile, places: Places) -> Found:
    cache = next((entry for entry in places.caches if profile.name in entry.profiles), None)
    if cache is None:
        return Found(False, "a Redis that was not found", f"say in redis of the profile {profile.name} where it is")
    return kept_redis(cache, places.services, places.data)
