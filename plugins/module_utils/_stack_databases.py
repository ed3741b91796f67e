# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the databases of a stack in the environment of its services.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import posixpath
import re
import typing as t
import urllib.parse
from dataclasses import replace

from ._stack import OtherDatabase, StackDatabase, Tls
from ._stack_servers import POSTGRESQL, kind_of_scheme
from ._stack_services import environment, find_host, first, holds, of_role

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container, Engine
    from ._profile import DatabaseRule, Profile
    from ._stack import Service

# Words for libpq that other drivers write differently.
_MODES = {"no-verify": "require", "true": "require", "1": "require", "false": "disable", "0": "disable"}
_SERVER = re.compile(r"([A-Za-z][\w+.-]*)://(?:.*@)?([^/?#,:@]+)")
# What Docker's own way of naming the host means on the host itself.
_GATEWAY = "host-gateway"


def databases_of(
    engine: Engine, services: Sequence[Service], profiles: Sequence[Profile], warnings: list[str]
) -> tuple[tuple[StackDatabase, ...], tuple[OtherDatabase, ...]]:
    """Return the PostgreSQL databases that the applications name, and those of servers that there is no dump for.

    What cannot be made out is added to ``warnings``.
    """
    found: dict[tuple[str, int, str], StackDatabase] = {}
    others: list[OtherDatabase] = []
    for profile in profiles:
        for rule in profile.databases:
            for service in of_role(services, profile, rule.service)[:1]:
                env = environment(service, profile)
                if not holds(rule.condition, service, env):
                    continue
                database = _database(engine, service, profile, rule, env)
                if isinstance(database, str):
                    warnings.append(database)
                elif isinstance(database, OtherDatabase):
                    others.append(database)
                else:
                    # One server may be known under several names.
                    key = (database.container.id if database.container else database.host, database.port, database.name)
                    earlier = found.get(key)
                    if earlier is not None and earlier.profile != profile.name:
                        database = replace(earlier, sharers=(*earlier.sharers, profile.name))
                    found[key] = database if earlier is None or database.sharers else earlier
    return tuple(found.values()), tuple(others)


def _database(
    engine: Engine, service: Service, profile: Profile, rule: DatabaseRule, env: Mapping[str, str]
) -> StackDatabase | OtherDatabase | str:
    url = first(env, rule.url)
    host, port, user, password, name = (
        first(env, names) for names in (rule.host, rule.port, rule.user, rule.password, rule.database)
    )
    query: dict[str, str] = {}
    if url is not None:
        other = _other(engine, service, profile, rule, url)
        if other is not None:
            return other
        parts = split_url(url)
        if parts is None or kind_of_scheme(parts.scheme) is not POSTGRESQL:
            return f"{service.name}: the URL of its database {rule.name} cannot be read; it is not dumped."
        query = dict(urllib.parse.parse_qsl(parts.query))
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
    container = find_host(engine, service.container, host)
    return StackDatabase(
        name=name,
        profile=profile.name,
        rule=rule,
        host=host,
        port=int(port) if port and port.isdigit() else rule.default_port,
        user=user or rule.default_user,
        password=password,
        schema=query.get("schema"),
        container=container,
        address=_address(engine, service.container, host) if container is None else None,
        tls=_tls(engine, service.container, rule, env, query) if container is None else Tls(),
    )


def _other(engine: Engine, service: Service, profile: Profile, rule: DatabaseRule, url: str) -> OtherDatabase | None:
    """Read the URL of a server that there is no dump for: enough of it to find the server, whatever is in the rest."""
    match = _SERVER.match(url)
    kind = kind_of_scheme(match[1].lower()) if match is not None else None
    if match is None or kind is None or kind is POSTGRESQL:
        return None
    host = match[2]
    return OtherDatabase(rule.name, profile.name, kind.name, host, find_host(engine, service.container, host))


def _address(engine: Engine, container: Container, host: str) -> str | None:
    """Return what stands for a name that only the container knows, from its extra hosts; None for any other name."""
    extra = (engine.inspect(container.id).get("HostConfig") or {}).get("ExtraHosts") or ()
    pairs = dict(re.split("[:=]", entry, maxsplit=1) for entry in extra if re.search("[:=]", entry))
    address = pairs.get(host)
    return "127.0.0.1" if address == _GATEWAY else address


def _tls(
    engine: Engine, container: Container, rule: DatabaseRule, env: Mapping[str, str], query: Mapping[str, str]
) -> Tls:
    mode = query.get("sslmode") or query.get("ssl") or first(env, rule.sslmode)
    root = query.get("sslrootcert") or first(env, rule.sslrootcert)
    certificate = query.get("sslcert") or first(env, rule.sslcert)
    key = query.get("sslkey") or first(env, rule.sslkey)
    if certificate and not key:
        # One without a key cannot be the client's. Prisma calls the authority's certificate so.
        root, certificate = root or certificate, None
    if query.get("sslaccept") == "strict":
        mode = "verify-full"
    return Tls(
        _MODES.get(mode, mode) if mode else None,
        *(_on_host(engine, container, path) if path else None for path in (root, certificate, key)),
    )


def _on_host(engine: Engine, container: Container, path: str) -> str:
    """Return where the host has a file of a container: in what is mounted there, or else under the same path."""
    if not path.startswith("/"):
        # Such as "system".
        return path
    mounts = [mount for mount in container.mounts if f"{path}/".startswith(mount.target.rstrip("/") + "/")]
    if not mounts:
        return path
    mount = max(mounts, key=lambda mount: len(mount.target))
    volume = engine.volume(mount.source) if mount.kind == "volume" else None
    above = volume.mountpoint if volume is not None else mount.source
    return posixpath.normpath(posixpath.join(above, posixpath.relpath(path, mount.target)))


def split_url(url: str) -> urllib.parse.SplitResult | None:
    """Return the parts of a URL, or None when it is not one."""
    try:
        parts = urllib.parse.urlsplit(url)
        # Only asking for it tells whether it is a number.
        return parts if parts.port is None or parts.port > 0 else None
    except ValueError:
        return None
