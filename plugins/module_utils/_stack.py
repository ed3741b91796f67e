# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find the stacks of a host and what each consists of: services, volumes, databases, Redis, session state.

Pure decisions over what the engine says; changes nothing. Standard library only. Private to this collection.
"""

from __future__ import annotations

import fnmatch
import hashlib
import os
import posixpath
import re
import typing as t
import urllib.parse
from dataclasses import dataclass, field, replace

from ._errors import StackError

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ._engine import Container, Engine, Mount
    from ._profile import DatabaseRule, Profile, RedisRule, ServiceRule, SessionRule, VolumeRule

COMPOSE = "com.docker.compose."
PROFILE_LABEL = "crm.continuity.profile"

# Programs whose files fit only themselves; recognised by a part of the repository's name.
DATABASE_IMAGES = re.compile(
    r"(^|[/-])(postgres|postgresql|pgvector|postgis|timescaledb|mysql|mariadb|percona|mongo|mongodb)([-/]|$)"
)
REDIS_IMAGES = re.compile(r"(^|[/-])(redis|valkey|keydb|dragonfly)([-/]|$)")
# A mount inside one of these is the machine's, not the stack's.
SYSTEM_BINDS = ("/var/run", "/run", "/etc", "/proc", "/sys", "/dev", "/usr", "/lib")


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
    """One container of the stack; ``profile`` and ``rule`` say which part of a CRM it is, and are None if unknown."""

    container: Container
    name: str
    depends_on: tuple[str, ...] = ()
    profile: str | None = None
    rule: ServiceRule | None = None


@dataclass(frozen=True)
class Data:
    """A volume or a bound directory.

    ``coverage`` is how a backup covers it: "archive", "dump" (its database is dumped), "none" (there is nothing to
    keep, or the user excluded it) or "unreadable"; ``note`` says why.
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


@dataclass(frozen=True)
class StackDatabase:
    """A PostgreSQL database that the stack uses; ``container`` is None when it lives outside the stack's networks.

    ``sharers`` are other profiles that keep their data in the same database.
    """

    name: str
    profile: str
    rule: DatabaseRule
    host: str
    port: int
    user: str | None
    password: str | None = field(repr=False)
    schema: str | None = None
    container: Container | None = None
    sharers: tuple[str, ...] = ()


@dataclass(frozen=True)
class StackRedis:
    """A Redis that the stack uses; ``volume`` is where the engine keeps its /data, if that is kept at all."""

    name: str
    profiles: tuple[str, ...]
    host: str
    password: str | None = field(repr=False)
    container: Container | None = None
    volume: str | None = None


@dataclass(frozen=True)
class SessionState:
    """One part of the WhatsApp session: what it is, where it is, and whether a backup of the stack covers it."""

    profile: str
    rule: str
    holds: str
    place: str
    covered: bool
    where: str


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

    def archived(self) -> tuple[Data, ...]:
        """Return the volumes and directories that a backup archives."""
        return tuple(data for data in self.data if data.coverage == "archive")


def find(engine: Engine, profiles: Mapping[str, Profile], requests: Sequence[Request] = ()) -> list[Stack]:
    """Return the stacks that ``requests`` name, or every stack of the host that a profile matches.

    Raises StackError for a request that names a stack which is not there, and for a request or a label that names a
    profile which does not exist or match.
    """
    projects: dict[str, list[Container]] = {}
    for container in engine.containers():
        project = container.labels.get(COMPOSE + "project")
        if project and container.labels.get(COMPOSE + "oneoff", "False").lower() != "true":
            projects.setdefault(project, []).append(container)
    if requests:
        return [_requested(engine, projects, profiles, request) for request in requests]
    found = [_resolve(engine, projects[name], profiles, Request(name)) for name in sorted(projects)]
    for stack in found:
        labelled = [s.container for s in stack.services if PROFILE_LABEL in s.container.labels]
        if labelled and not stack.profiles:
            raise StackError(
                f"Container {labelled[0].name} of stack {stack.name} has the label {PROFILE_LABEL}="
                f"{labelled[0].labels[PROFILE_LABEL]}, but neither its image {labelled[0].image} nor its name is one "
                "of that profile. Add the image or the compose service to the profile in crm_profiles.",
                stack=stack.name,
            )
    return [stack for stack in found if stack.profiles]


def find_one(engine: Engine, profiles: Mapping[str, Profile], request: Request) -> Stack:
    """Return one stack by name; raise StackError when it is not there."""
    return find(engine, profiles, [request])[0]


def _requested(
    engine: Engine, projects: Mapping[str, list[Container]], profiles: Mapping[str, Profile], request: Request
) -> Stack:
    if request.name not in projects:
        there = f"This host runs {', '.join(sorted(projects))}." if projects else "This host runs no compose project."
        raise StackError(f"There is no stack {request.name} on this host. {there}", stack=request.name)
    for name in request.profiles:
        if name not in profiles:
            raise StackError(
                f"Stack {request.name}: there is no profile {name}. Known are {', '.join(sorted(profiles))}; "
                "add one in crm_profiles.",
                stack=request.name,
            )
    stack = _resolve(engine, projects[request.name], profiles, request)
    missing = set(request.profiles) - {profile.name for profile in stack.profiles}
    if missing:
        images = ", ".join(sorted({service.container.image for service in stack.services}))
        raise StackError(
            f"Stack {request.name}: no service matches the profile {', '.join(sorted(missing))}; its images are "
            f"{images}. Add the image or the compose service to the profile in crm_profiles.",
            stack=request.name,
        )
    return stack


def _resolve(
    engine: Engine, containers: Sequence[Container], profiles: Mapping[str, Profile], request: Request
) -> Stack:
    services = tuple(_recognise(container, profiles, request.profiles) for container in containers)
    matched = tuple(profiles[name] for name in sorted({service.profile for service in services if service.profile}))
    warnings: list[str] = []
    databases = _databases(engine, services, matched, warnings)
    caches = _redis(engine, services, matched)
    project_dir = request.project_dir or _label(containers, "project.working_dir")
    data = _data(engine, services, matched, databases, project_dir, request.exclude, warnings)
    session = tuple(state for profile in matched for state in _session(profile, services, databases, caches, data))
    return Stack(
        name=request.name,
        project_dir=project_dir,
        compose_files=_paths(_label(containers, "project.config_files"), project_dir),
        environment_files=_paths(_label(containers, "project.environment_file"), project_dir),
        profiles=matched,
        services=services,
        data=data,
        databases=databases,
        redis=caches,
        session=session,
        warnings=tuple(warnings),
    )


def _label(containers: Sequence[Container], name: str) -> str | None:
    return next((value for value in (c.labels.get(COMPOSE + name) for c in containers) if value), None)


def _paths(value: str | None, project_dir: str | None) -> tuple[str, ...]:
    return tuple(posixpath.join(project_dir or "/", path) for path in (value or "").split(",") if path)


# Services


def repository(image: str) -> str:
    """Return the repository of an image reference, without tag and digest."""
    name = image.partition("@")[0]
    head, slash, tail = name.rpartition("/")
    return head + slash + tail.partition(":")[0]


def image_matches(image: str, pattern: str) -> bool:
    """Tell whether an image is the one of a profile, whichever registry it was pulled from."""
    name = repository(image)
    return fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(name, f"*/{pattern}")


def _recognise(container: Container, profiles: Mapping[str, Profile], asked: Sequence[str]) -> Service:
    name = container.labels.get(COMPOSE + "service", container.name)
    # Such as postgres:service_healthy:false,redis:service_started:true.
    depends_on = tuple(
        entry.partition(":")[0] for entry in container.labels.get(COMPOSE + "depends_on", "").split(",") if entry
    )
    labelled = container.labels.get(PROFILE_LABEL)
    if labelled and labelled not in profiles:
        raise StackError(
            f"Container {container.name} has the label {PROFILE_LABEL}={labelled}, but there is no such profile. Known "
            f"are {', '.join(sorted(profiles))}; add one in crm_profiles."
        )
    candidates = asked or ((labelled,) if labelled else tuple(profiles))
    for profile_name in candidates:
        profile = profiles.get(profile_name)
        by_name = profile_name in asked or profile_name == labelled
        for rule in profile.services if profile else ():
            if _matches(rule, container, name, by_name):
                return Service(container, name, depends_on, profile_name, rule)
    return Service(container, name, depends_on)


def _matches(rule: ServiceRule, container: Container, service: str, by_name: bool) -> bool:
    # Names such as "backend" say nothing by themselves: they count only for a profile that was asked for.
    known = any(image_matches(container.image, pattern) for pattern in rule.images) or (
        by_name and any(fnmatch.fnmatchcase(service, pattern) for pattern in rule.compose_services)
    )
    return known and (rule.command is None or rule.command.search(" ".join(container.command)) is not None)


def _environment(service: Service, profile: Profile) -> dict[str, str]:
    return {**profile.environment, **service.container.env}


def _first(env: Mapping[str, str], names: Sequence[str]) -> str | None:
    return next((env[name] for name in names if env.get(name)), None)


def _of_role(services: Sequence[Service], profile: Profile, role: str) -> list[Service]:
    found = [s for s in services if s.profile == profile.name and s.rule is not None and s.rule.name == role]
    # A running container tells the truth about its environment; a stopped one may be an older copy.
    return sorted(found, key=lambda service: not service.container.running)


def find_host(engine: Engine, asker: Container, host: str) -> Container | None:
    """Return the container that ``asker`` reaches under a host name or address, or None."""
    own = {network.name for network in asker.networks}
    project = asker.labels.get(COMPOSE + "project")
    # Where stacks share a network, several may have a "postgres": the stack's own comes first, and one that runs.
    candidates = sorted(
        engine.containers(), key=lambda c: (c.labels.get(COMPOSE + "project") != project, not c.running, c.name)
    )
    for container in candidates:
        for network in container.networks:
            # The engine resolves names only within one network.
            if network.name not in own:
                continue
            names = {container.name, container.labels.get(COMPOSE + "service", ""), network.address, container.id[:12]}
            # The engine's name server does not tell upper from lower case, and URLs are read in lower case.
            if host.lower() in {name.lower() for name in names | set(network.aliases)}:
                return container
    return None


# Databases and Redis


def _databases(
    engine: Engine, services: Sequence[Service], profiles: Sequence[Profile], warnings: list[str]
) -> tuple[StackDatabase, ...]:
    found: dict[tuple[str, int, str], StackDatabase] = {}
    for profile in profiles:
        for rule in profile.databases:
            for service in _of_role(services, profile, rule.service)[:1]:
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
    env = _environment(service, profile)
    url = _first(env, rule.url)
    host, port, user, password, name, schema = (
        _first(env, rule.host),
        _first(env, rule.port),
        _first(env, rule.user),
        _first(env, rule.password),
        _first(env, rule.database),
        None,
    )
    if url is not None:
        parts = _split_url(url)
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


def _split_url(url: str) -> urllib.parse.SplitResult | None:
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _redis(engine: Engine, services: Sequence[Service], profiles: Sequence[Profile]) -> tuple[StackRedis, ...]:
    found: dict[str, StackRedis] = {}
    for profile in profiles:
        for rule in profile.redis:
            for service in _of_role(services, profile, rule.service)[:1]:
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
    env = _environment(service, profile)
    url = _first(env, rule.url)
    parts = _split_url(url) if url else None
    host = parts.hostname if parts else _first(env, rule.host)
    if not host:
        return None
    password = (parts.password if parts else None) or _first(env, rule.password)
    container = find_host(engine, service.container, host)
    return StackRedis(
        name=rule.name,
        profiles=(profile.name,),
        host=host,
        password=urllib.parse.unquote(password) if password else _own_password(container),
        container=container,
        volume=_redis_volume(container),
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
    return next((mount.source for mount in mounts if mount.target == "/data"), None)


# Volumes and bound directories


def _data(
    engine: Engine,
    services: Sequence[Service],
    profiles: Sequence[Profile],
    databases: Sequence[StackDatabase],
    project_dir: str | None,
    exclude: Sequence[str],
    warnings: list[str],
) -> tuple[Data, ...]:
    users: dict[tuple[str, str], list[tuple[Service, Mount]]] = {}
    for service in services:
        for mount in service.container.mounts:
            if mount.kind in ("volume", "bind"):
                users.setdefault((mount.kind, mount.source), []).append((service, mount))
    dumped = {database.container.id for database in databases if database.container is not None}
    found = []
    for (kind, source), mounts in sorted(users.items()):
        data = _datum(engine, kind, source, mounts, profiles, dumped, project_dir)
        if data is None:
            continue
        if exclude and {data.name, data.source, *(path for _service, path in data.mounts)} & set(exclude):
            data = replace(data, coverage="none", note="it was excluded")
            warnings.append(f"{data.kind} {data.name} is not covered: {data.note}.")
        elif data.coverage == "archive" and data.note:
            warnings.append(f"{data.kind} {data.name}: {data.note}.")
        found.append(data)
    _check_required(services, profiles, found, warnings)
    return tuple(_told_apart(found))


def _datum(
    engine: Engine,
    kind: str,
    source: str,
    users: Sequence[tuple[Service, Mount]],
    profiles: Sequence[Profile],
    dumped: set[str],
    project_dir: str | None,
) -> Data | None:
    mounts = tuple((service.name, mount.target) for service, mount in users)
    rule_profile, rule = _volume_rule(users, profiles)
    if kind == "bind" and rule is None and not _is_data_bind(source, users):
        return None
    writers = [(service, mount) for service, mount in users if not mount.read_only]
    coverage, note = "archive", ""
    if any(service.container.id in dumped and _is_postgres_data(service, mount) for service, mount in users):
        coverage, note = "dump", "its databases are dumped"
    elif kind == "volume":
        volume = engine.volume(source)
        driver = volume.driver if volume else "unknown"
        if driver != "local":
            coverage, note = "unreadable", f"its driver {driver} keeps it where this host cannot read it by path"
        elif volume and volume.options.get("device") and not any(service.container.running for service, _m in users):
            coverage, note = "unreadable", "it is mounted on this host only while one of its containers runs; start one"
    elif not writers:
        coverage, note = "none", "it is mounted read-only and holds nothing that the services write"
    server = next(
        (service for service, _m in writers if DATABASE_IMAGES.search(repository(service.container.image))), None
    )
    if coverage == "archive" and server is not None:
        note = (
            f"it holds the files of the database in {server.name}, which no profile names; they are copied while it "
            "stands still and fit only the same version of the server"
        )
    return Data(
        name=source if kind == "volume" else _bind_name(source, project_dir),
        kind=kind,
        source=source,
        mounts=mounts,
        coverage=coverage,
        note=note,
        purpose=rule.purpose if rule else None,
        profile=rule_profile,
        same_image=rule.same_image if rule else False,
    )


def _volume_rule(
    users: Sequence[tuple[Service, Mount]], profiles: Sequence[Profile]
) -> tuple[str | None, VolumeRule | None]:
    for service, mount in users:
        for profile in profiles:
            if service.profile != profile.name or service.rule is None:
                continue
            for rule in profile.volumes:
                if rule.path == mount.target.rstrip("/") and (not rule.services or service.rule.name in rule.services):
                    return profile.name, rule
    return None, None


def _is_postgres_data(service: Service, mount: Mount) -> bool:
    place = service.container.env.get("PGDATA", "/var/lib/postgresql/data")
    target = mount.target.rstrip("/")
    return place == target or place.startswith(target + "/")


def _is_data_bind(source: str, users: Sequence[tuple[Service, Mount]]) -> bool:
    """Tell a bound data directory from the machine's own files and from bound configuration."""
    if any(source == place or source.startswith(place + "/") for place in SYSTEM_BINDS) or source == "/":
        return False
    # A file belongs to the configuration, which is kept with the project directory.
    return any(not mount.read_only for _service, mount in users) and not os.path.isfile(source)


def _bind_name(source: str, project_dir: str | None) -> str:
    relative = posixpath.relpath(source, project_dir) if project_dir else source
    path = source if relative.startswith("..") else relative
    # Bound is the project directory itself.
    return "bind-" + (re.sub(r"[^A-Za-z0-9_.-]+", "-", path).strip("-.") or "project")


def _told_apart(found: Sequence[Data]) -> list[Data]:
    """Give a longer name to data whose name another has: archives are named after it."""
    names = [data.name for data in found]
    return [
        replace(
            data, name=f"{data.name}-{hashlib.sha256(data.source.encode(errors='surrogateescape')).hexdigest()[:8]}"
        )
        if data.kind == "bind" and names.count(data.name) > 1
        else data
        for data in found
    ]


def _check_required(
    services: Sequence[Service], profiles: Sequence[Profile], found: Sequence[Data], warnings: list[str]
) -> None:
    for profile in profiles:
        roles = {service.rule.name for service in services if service.profile == profile.name and service.rule}
        for rule in profile.volumes:
            wanted = rule.required and (not rule.services or roles & set(rule.services))
            if wanted and not any(data.profile == profile.name and data.purpose == rule.purpose for data in found):
                warnings.append(
                    f"No volume is mounted on {rule.path} ({profile.title}: {rule.purpose}): what the application "
                    "writes there is lost with its container, and is not covered."
                )


# Session state


def _session(
    profile: Profile,
    services: Sequence[Service],
    databases: Sequence[StackDatabase],
    caches: Sequence[StackRedis],
    data: Sequence[Data],
) -> list[SessionState]:
    if profile.session_service is None:
        return []
    states = []
    for service in _of_role(services, profile, profile.session_service)[:1]:
        env = _environment(service, profile)
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
    return True, f"Redis in volume {kept.name}"
