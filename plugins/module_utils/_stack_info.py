# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Describe a stack in plain data: for the result of stack_info and for the ``source`` of a manifest.

Only looks. No secret is part of it. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import asdict

from ._backup_preflight import uncovered
from ._database import connect
from ._database_location import in_container, on_host
from ._errors import ContinuityError, DatabaseError
from ._redis import facts as redis_facts
from ._stack_services import environment, repository
from ._tree import scan
from ._volume_directory import data_directory

if t.TYPE_CHECKING:
    from ._database import Database
    from ._database_location import Location
    from ._engine import Engine
    from ._profile import Profile
    from ._stack import Data, Service, Stack, StackDatabase, StackRedis

MASK = "***"
# All authorities in one file: Debian and its like, Red Hat and its like.
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
LIST = "SELECT datname, datallowconn FROM pg_database WHERE NOT datistemplate ORDER BY datname"
SECRET_OPTIONS = re.compile(r"((?:password|passwd|pass|secret|token|key)\w*=)[^,]*", re.IGNORECASE)


def describe(engine: Engine, stack: Stack) -> dict[str, t.Any]:
    """Return everything that is known without reading data: what the stack is made of and whether it is covered.

    The databases are those of ``stack``; ``_stack_other_databases`` finds those that no profile names.
    """
    return {
        "name": stack.name,
        "profiles": [profile.name for profile in stack.profiles],
        "project_dir": stack.project_dir,
        "compose_files": list(stack.compose_files),
        "environment_files": list(stack.environment_files),
        "services": [_service(engine, service) for service in stack.services],
        "volumes": [_data(engine, data) for data in stack.data],
        "databases": [_database(stack, database) for database in stack.databases],
        "redis": [_redis(stack, cache) for cache in stack.redis],
        "outside": [asdict(entry) for entry in stack.outside],
        "session": [asdict(state) for state in stack.session],
        "secrets": {profile.name: _secrets(stack, profile) for profile in stack.profiles},
        "warnings": [*stack.warnings, *uncovered(stack)],
    }


def add_details(engine: Engine, stack: Stack, described: dict[str, t.Any]) -> None:
    """Add what has to be asked of the disk, PostgreSQL and Redis. One that does not answer gets an ``error``."""
    for entry, data in zip(described["volumes"], stack.data, strict=True):
        try:
            totals = scan(data_directory(engine, data.kind, data.source))
            entry.update(files=totals.files, bytes=totals.bytes)
        except ContinuityError as exc:
            entry["error"] = str(exc)
        except OSError as exc:
            entry["error"] = f"{os.fsdecode(exc.filename or data.source)}: {exc.strerror}"
    for entry, database in zip(described["databases"], stack.databases, strict=True):
        try:
            entry.update(database_facts(locate(engine, database), database))
        except ContinuityError as exc:
            entry["error"] = str(exc)
    for entry, cache in zip(described["redis"], stack.redis, strict=True):
        try:
            entry.update(asdict(redis_facts(engine, cache)))
        except ContinuityError as exc:
            entry["error"] = str(exc)


def locate(engine: Engine, database: StackDatabase) -> Location:
    """Return how to reach a database of the stack, having tried it; raise DatabaseError when it does not let us in.

    The server's own superuser is tried first, as its container names it; then the application's user.
    """
    if database.container is None:
        location: Location = on_host(
            host=database.address or database.host,
            port=database.port,
            user=database.user or "postgres",
            password=database.password,
            database=database.name,
            sslmode=database.tls.mode,
            sslrootcert=_readable(database, database.tls.root_certificate) or _authorities(database),
            sslcert=_readable(database, database.tls.certificate),
            sslkey=_readable(database, database.tls.key),
            source="the application's environment",
        )
        connect(location.connection(database.name)).close()
        return location
    location = in_container(engine, database.container.name)
    try:
        connect(location.connection(database.name)).close()
    except DatabaseError:
        # A server keeps the password of its first start, whatever its environment says later.
        if database.user is None:
            raise
        other = in_container(engine, database.container.name, user=database.user, password=database.password)
        try:
            connect(other.connection(database.name)).close()
        except DatabaseError:
            pass
        else:
            return other
        raise
    return location


def _readable(database: StackDatabase, path: str | None) -> str | None:
    """Return a file that encrypts a connection; raise when the application has it and this host does not."""
    if path not in (None, "system") and not os.path.isfile(path):
        raise DatabaseError(
            f"The application reaches the database {database.name} at {database.host} with the file {path} of its "
            "container, and this host has no such file. Mount it from a directory of the host, or put a copy there.",
            path=path,
        )
    return path


def _authorities(database: StackDatabase) -> str | None:
    """Return the authorities that this host trusts, where the application checks the server without naming one."""
    if database.tls.mode not in ("verify-ca", "verify-full"):
        return None
    return next((path for path in AUTHORITIES if os.path.isfile(path)), None)


def listed_databases(location: Location, database: str) -> list[tuple[str, bool]]:
    """Return the databases of a server but its templates, each with whether it can be entered.

    ``database`` is only the one to connect to.
    """
    with connect(location.connection(database)) as session:
        return [(str(name), bool(open_)) for name, open_ in session.execute(LIST)]


def holds_tables(location: Location, database: str) -> bool:
    """Tell whether there is anything in a database but what its extensions brought."""
    with connect(location.connection(database)) as session:
        return not session.is_empty()


def database_facts(location: Location, database: StackDatabase) -> dict[str, t.Any]:
    """Ask a database what a restore elsewhere has to match."""
    with connect(location.connection(database.name)) as session:
        facts = asdict(session.facts())
        facts["schema_version"] = _schema_version(session, database)
    facts["schemas"] = list(facts["schemas"])
    facts["superuser"] = location.connection(database.name).user
    return facts


def _schema_version(session: Database, database: StackDatabase) -> str | None:
    if database.rule.schema_version is None:
        return None
    try:
        session.execute("SELECT set_config('search_path', %s, false)", (database.schema or "public",))
        rows = session.execute(database.rule.schema_version)
    except DatabaseError:
        # An application that has not been started yet has no migrations.
        return None
    return str(rows[0][0]) if rows and rows[0][0] is not None else None


def _service(engine: Engine, service: Service) -> dict[str, t.Any]:
    container = service.container
    return {
        "service": service.name,
        "container": container.name,
        "container_id": container.id,
        "image": container.image,
        "image_id": container.image_id,
        "repository": repository(container.image),
        "digests": list(engine.image_digests(container.image_id)),
        "state": container.state,
        "health": container.health,
        "profile": service.profile,
        "role": service.rule.name if service.rule else None,
        "depends_on": list(service.depends_on),
    }


def _data(engine: Engine, data: Data) -> dict[str, t.Any]:
    volume = engine.volume(data.source) if data.kind == "volume" else None
    return {
        "name": data.name,
        "kind": data.kind,
        "source": data.source,
        "driver": volume.driver if volume else None,
        "mountpoint": volume.mountpoint if volume else (data.source if data.kind == "bind" else None),
        "labels": dict(volume.labels) if volume else {},
        "options": {key: _masked(value) for key, value in volume.options.items()} if volume else {},
        "mounts": [{"service": service, "path": path} for service, path in data.mounts],
        "coverage": data.coverage,
        "note": data.note,
        "purpose": data.purpose,
        "profile": data.profile,
        "same_image": data.same_image,
    }


def _masked(option: str) -> str:
    """Hide the secrets of a mount option such as ``addr=nas,username=crm,password=…``."""
    return SECRET_OPTIONS.sub(rf"\1{MASK}", option)


def _database(stack: Stack, database: StackDatabase) -> dict[str, t.Any]:
    container = database.container
    return {
        "name": database.name,
        "profile": database.profile,
        "host": database.host,
        "port": database.port,
        "user": database.user,
        "schema": database.schema,
        "container": container.name if container else None,
        "service": service_of(stack, container.id) if container else None,
        "covered": True,
    }


def _redis(stack: Stack, cache: StackRedis) -> dict[str, t.Any]:
    container = cache.container
    return {
        "name": cache.name,
        "profiles": list(cache.profiles),
        "host": cache.host,
        "container": container.name if container else None,
        "service": service_of(stack, container.id) if container else None,
        "volume": cache.volume,
        "covered": any(data.source == cache.volume and data.coverage == "archive" for data in stack.data),
    }


def service_of(stack: Stack, container_id: str) -> str | None:
    """Return the name of the stack's service that runs in a container; None for a container of another stack."""
    return next((service.name for service in stack.services if service.container.id == container_id), None)


def _secrets(stack: Stack, profile: Profile) -> list[str]:
    """Return the names of the secrets that are part of the data and are set. Never their values."""
    environments = [environment(service, profile) for service in stack.services if service.profile == profile.name]
    return [secret.name for secret in profile.secrets if any(env.get(secret.name) for env in environments)]
