# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the PostgreSQL databases of a stack in the environment of its services.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
import urllib.parse
from dataclasses import replace

from ._stack import StackDatabase
from ._stack_services import environment, find_host, first, of_role

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Engine
    from ._profile import DatabaseRule, Profile
    from ._stack import Service


def databases_of(
    engine: Engine, services: Sequence[Service], profiles: Sequence[Profile], warnings: list[str]
) -> tuple[StackDatabase, ...]:
    """Return the databases that the applications name; what cannot be made out is added to ``warnings``."""
    found: dict[tuple[str, int, str], StackDatabase] = {}
    for profile in profiles:
        for rule in profile.databases:
            for service in of_role(services, profile, rule.service)[:1]:
                database = _database(engine, service, profile, rule)
                if isinstance(database, str):
                    warnings.append(database)
                else:
                    # One server may be known under several names.
                    key = (database.container.id if database.container else database.host, database.port, database.name)
                    earlier = found.get(key)
                    if earlier is not None and earlier.profile != profile.name:
                        database = replace(earlier, sharers=(*earlier.sharers, profile.name))
                    found[key] = database if earlier is None or database.sharers else earlier
    return tuple(found.values())


def _database(engine: Engine, service: Service, profile: Profile, rule: DatabaseRule) -> StackDatabase | str:
    env = environment(service, profile)
    url = first(env, rule.url)
    host, port, user, password, name, schema = (
        first(env, rule.host),
        first(env, rule.port),
        first(env, rule.user),
        first(env, rule.password),
        first(env, rule.database),
        None,
    )
    if url is not None:
        parts = split_url(url)
        # A driver may be named after a plus sign, as in postgresql+asyncpg.
        if parts is None or parts.scheme.partition("+")[0] not in ("postgres", "postgresql"):
            return f"{service.name}: its database is not PostgreSQL or its URL cannot be read; it is not dumped."
        query = dict(urllib.parse.parse_qsl(parts.query))
        schema = query.get("schema")
        host = parts.hostname or query.get("host")
        port = str(parts.port) if parts.port else port
        user = urllib.parse.unquote(parts.username) if parts.username else user
        password = urllib.parse.unquote(parts.password) if parts.password else password
        name = urllib.parse.unquote(parts.path.lstrip("/")) or name
    host = host or rule.default_host
    name = name or rule.default_database
    if not host or not name:
        return (
            f"{service.name}: the environment does not say where its database {rule.name} is; it is not dumped. "
            f"Set default_host and default_database in the profile {profile.name}."
        )
    return StackDatabase(
        name=name,
        profile=profile.name,
        rule=rule,
        host=host,
        port=int(port) if port and port.isdigit() else rule.default_port,
        user=user or rule.default_user,
        password=password,
        schema=schema,
        container=find_host(engine, service.container, host),
    )


def split_url(url: str) -> urllib.parse.SplitResult | None:
    """Return the parts of a URL, or None when it is not one."""
    try:
        parts = urllib.parse.urlsplit(url)
        # Only asking for it tells whether it is a number.
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None
