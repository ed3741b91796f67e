# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a CRM consists of: the model of a profile, its published form, and how an override is merged.

A profile is YAML data (``profiles/*.yml`` of the collection, or ``crm_profiles`` of the inventory). FIELDS describes
it in the terms of Ansible's argument specification, so Ansible's own validator checks it and
``docs/schemas/profile.schema.json`` is generated from it. Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass, field

from ._errors import ProfileError
from ._freeze import MODES

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Fields = dict[str, t.Any]

# Variables that say how a database is reached, and how the connection is encrypted.
CONNECTION = ("url", "host", "port", "user", "password", "database")
ENCRYPTION = ("sslmode", "sslrootcert", "sslcert", "sslkey")
# Names of variables whose values must not be shown.
SECRET = re.compile(r"SECRET|PASSW|PASS$|TOKEN|CREDENTIAL|(^|_)KEY(_|$)")
SESSION_PLACES = ("database", "redis", "volume", "external")
# What clears a session in each of these places.
RESETS = {"database": "sql", "redis": "keys", "volume": "files"}


def _names() -> Fields:
    return {"type": "list", "elements": "str", "default": []}


def _entries(options: Fields, **more: t.Any) -> Fields:
    return {"type": "list", "elements": "dict", "options": options, **(more or {"default": []})}


# Which containers a rule is for.
CONDITION_FIELDS: Fields = {
    "when": {"type": "dict", "default": {}},
    "image": {"type": "str"},
}

HTTP_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "port": {"type": "int", "required": True},
    "path": {"type": "str", "default": "/"},
    "status": {"type": "list", "elements": "int", "default": [200]},
    "json": {"type": "dict", "default": {}},
    "headers": {"type": "dict", "default": {}},
    "each": {
        "type": "dict",
        "options": {
            "path": {"type": "str", "required": True},
            "field": {"type": "str", "required": True},
        },
    },
    "session": {"type": "bool", "default": False},
}

SERVICE_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "images": _names(),
    "compose_services": _names(),
    "command": {"type": "str"},
    "env_file": {"type": "str"},
    "freeze": {"type": "str", "choices": list(MODES), "default": "pause"},
    "http": _entries(HTTP_FIELDS),
}

VOLUME_FIELDS: Fields = {
    "path": {"type": "str", "required": True},
    "purpose": {"type": "str", "required": True},
    "services": _names(),
    "required": {"type": "bool", "default": True},
    "same_image": {"type": "bool", "default": False},
}

DATABASE_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    **CONDITION_FIELDS,
    "url": _names(),
    "host": _names(),
    "port": _names(),
    "user": _names(),
    "password": _names(),
    "database": _names(),
    "sslmode": _names(),
    "sslrootcert": _names(),
    "sslcert": _names(),
    "sslkey": _names(),
    "default_host": {"type": "str"},
    "default_port": {"type": "int", "default": 5432},
    "default_user": {"type": "str"},
    "default_database": {"type": "str"},
    "repair": _entries(
        {
            "name": {"type": "str", "required": True},
            "when": {"type": "str"},
            "sql": {"type": "str", "required": True},
        }
    ),
    "schema_version": {"type": "str"},
    "sequences": _entries(
        {
            "name": {"type": "str", "required": True},
            "like": {"type": "str", "required": True},
            "table": {"type": "str", "required": True},
            "column": {"type": "str", "required": True},
            "where": {"type": "dict", "default": {}},
        }
    ),
    "csv": {
        "type": "dict",
        "options": {
            "keep": _names(),
            "initial": {"type": "dict", "default": {}},
            "classic": {"type": "dict", "default": {}},
        },
    },
}

REDIS_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    **CONDITION_FIELDS,
    "url": _names(),
    "host": _names(),
    "port": _names(),
    "password": _names(),
    "required": {"type": "bool", "default": False},
}

OUTSIDE_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "service": {"type": "str", "required": True},
    **CONDITION_FIELDS,
    "host": _names(),
    "show": _names(),
}

RESET_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "when": {"type": "str"},
    "count": {"type": "str"},
    "sql": {"type": "str"},
    "keys": _names(),
    "files": _names(),
}

SESSION_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    **CONDITION_FIELDS,
    "stores": _entries(
        {
            "holds": {"type": "str", "required": True},
            "place": {"type": "str", "required": True, "choices": list(SESSION_PLACES)},
            "path": {"type": "str"},
            "outside": {"type": "str"},
            "reset": _entries(RESET_FIELDS),
        },
        required=True,
    ),
}

LOG_FIELDS: Fields = {
    "pattern": {"type": "str", "required": True},
    "meaning": {"type": "str", "required": True},
    "severity": {"type": "str", "choices": ["error", "warning"], "default": "error"},
}

SECRET_FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "breaks": {"type": "str"},
    "severity": {"type": "str", "choices": ["refuse", "warn"], "default": "refuse"},
}

FIELDS: Fields = {
    "name": {"type": "str", "required": True},
    "title": {"type": "str"},
    "extends": {"type": "str"},
    "services": _entries(SERVICE_FIELDS, required=True),
    "environment": {"type": "dict", "default": {}},
    "volumes": _entries(VOLUME_FIELDS),
    "databases": _entries(DATABASE_FIELDS),
    "redis": _entries(REDIS_FIELDS),
    "outside": _entries(OUTSIDE_FIELDS),
    # Names, or dictionaries of SECRET_FIELDS.
    "secrets": {"type": "list", "elements": "raw", "default": []},
    "session": {
        "type": "dict",
        "options": {
            "service": {"type": "str", "required": True},
            "rules": _entries(SESSION_FIELDS, required=True),
        },
    },
    "logs": _entries(LOG_FIELDS),
}


@dataclass(frozen=True)
class HttpCheck:
    """A request that a healthy service answers; ``json`` maps dotted paths of the answer to expected values.

    ``headers`` maps header names to the environment variables of the service that hold their values. With
    ``session`` says that it answers so only while every WhatsApp session is paired. With ``each_path`` that resource
    lists objects, and ``path`` is asked once per object with ``{value}`` replaced by its ``each_field``.
    """

    name: str
    port: int
    path: str
    status: tuple[int, ...]
    json: Mapping[str, t.Any]
    headers: Mapping[str, str]
    session: bool = False
    each_path: str | None = None
    each_field: str | None = None


@dataclass(frozen=True)
class Condition:
    """Which containers a rule is for: those with one of these values in every variable, and with such an image."""

    when: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    image: re.Pattern[str] | None = None


@dataclass(frozen=True)
class ServiceRule:
    """How a container is recognised as this part of the CRM, and how its writing is stopped.

    ``env_file`` is a file inside the container that the application itself reads for what its environment lacks.
    """

    name: str
    images: tuple[str, ...]
    compose_services: tuple[str, ...]
    command: re.Pattern[str] | None
    env_file: str | None
    freeze: str
    http: tuple[HttpCheck, ...]


@dataclass(frozen=True)
class VolumeRule:
    """Data that a service keeps below a mount path."""

    path: str
    purpose: str
    services: tuple[str, ...]
    required: bool
    same_image: bool


@dataclass(frozen=True)
class Repair:
    """SQL to run between the sections of a restore, if ``when`` (a query that returns a boolean) is true."""

    name: str
    when: str | None
    sql: str


@dataclass(frozen=True)
class SequenceRule:
    """What a sequence numbers of which the catalog does not know that: a column of a table in the same schema.

    ``where`` maps other columns to groups of ``like``, the pattern of its name: only rows with those values count.
    """

    name: str
    like: re.Pattern[str]
    table: str
    column: str
    where: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CsvRule:
    """What CSV archives of an application's database hold, and what its own installation puts into it.

    Rows of ``keep`` say what was done to this very database and are never replaced. ``initial`` maps tables that a
    fresh installation fills to how many rows it makes at most, None for any number. ``classic`` maps the tables of the
    application's own archives to their columns, in the order in which the files are numbered.
    """

    keep: tuple[str, ...] = ()
    initial: Mapping[str, int | None] = field(default_factory=dict)
    classic: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class DatabaseRule:
    """Which environment variables of a service say how it reaches its database.

    One that says nothing but a name stands for a database that no profile names.
    """

    name: str
    service: str
    condition: Condition = Condition()
    url: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    port: tuple[str, ...] = ()
    user: tuple[str, ...] = ()
    password: tuple[str, ...] = ()
    database: tuple[str, ...] = ()
    sslmode: tuple[str, ...] = ()
    sslrootcert: tuple[str, ...] = ()
    sslcert: tuple[str, ...] = ()
    sslkey: tuple[str, ...] = ()
    default_host: str | None = None
    default_port: int = 5432
    default_user: str | None = None
    default_database: str | None = None
    repair: tuple[Repair, ...] = ()
    schema_version: str | None = None
    sequences: tuple[SequenceRule, ...] = ()
    csv: CsvRule = CsvRule()


@dataclass(frozen=True)
class RedisRule:
    """Which environment variables of a service say how it reaches its Redis."""

    name: str
    service: str
    condition: Condition
    url: tuple[str, ...]
    host: tuple[str, ...]
    port: tuple[str, ...]
    password: tuple[str, ...]
    required: bool


@dataclass(frozen=True)
class OutsideRule:
    """Data that is outside the stack when the condition holds.

    ``host`` are the variables that say where; ``show`` are those whose values an operator may see.
    """

    name: str
    service: str
    condition: Condition
    host: tuple[str, ...]
    show: tuple[str, ...]


@dataclass(frozen=True)
class Secret:
    """An environment variable without which data cannot be used.

    ``breaks`` says what no longer works where it has another value than when the data was written; ``severity`` is
    whether such a restore is refused, or only warned of.
    """

    name: str
    breaks: str | None = None
    severity: str = "refuse"


@dataclass(frozen=True)
class ResetStep:
    """How something of a WhatsApp session is cleared, so that it has to be paired anew.

    In a database ``sql`` does it, ``count`` returns how many rows are left to clear, and without ``when``, or where it
    is true, there is such a table. In Redis ``keys`` are patterns, in a volume ``files`` are patterns of paths.
    """

    name: str
    when: str | None = None
    count: str = ""
    sql: str = ""
    keys: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class SessionStore:
    """A place that holds a part of the WhatsApp session; ``outside`` names the rule that says where it is."""

    holds: str
    place: str
    path: str | None
    outside: str | None = None
    reset: tuple[ResetStep, ...] = ()


@dataclass(frozen=True)
class SessionRule:
    """Where the session is when the condition holds; the first such rule counts."""

    name: str
    condition: Condition
    stores: tuple[SessionStore, ...]


@dataclass(frozen=True)
class LogPattern:
    """A line in a log that tells of lost files or a lost session."""

    pattern: re.Pattern[str]
    meaning: str
    severity: str


@dataclass(frozen=True)
class Profile:
    """One CRM. ``environment`` holds what the application assumes for variables that a container does not set."""

    name: str
    title: str
    services: tuple[ServiceRule, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[VolumeRule, ...] = ()
    databases: tuple[DatabaseRule, ...] = ()
    redis: tuple[RedisRule, ...] = ()
    outside: tuple[OutsideRule, ...] = ()
    secrets: tuple[Secret, ...] = ()
    session_service: str | None = None
    session_rules: tuple[SessionRule, ...] = ()
    logs: tuple[LogPattern, ...] = ()


Validate = t.Callable[[str, Fields, t.Mapping[str, t.Any]], dict[str, t.Any]]


def load(
    shipped: Sequence[Mapping[str, t.Any]], own: Sequence[Mapping[str, t.Any]], validate: Validate
) -> dict[str, Profile]:
    """Return the profiles by name: the shipped ones, with the user's own added or merged over them.

    An own profile with the name of a shipped one, or with ``extends``, says only what differs. ``validate`` is given
    a subject, FIELDS and the data; it returns the data with defaults, or raises ProfileError.
    """
    data: dict[str, dict[str, t.Any]] = {str(profile["name"]): dict(profile) for profile in shipped}
    for index, profile in enumerate(own, 1):
        if not isinstance(profile, dict):
            raise ProfileError(
                f"Profile number {index} of crm_profiles is {profile!r}. It must be a dictionary or the path of a YAML "
                "file on the control node."
            )
        name = profile.get("name")
        if not isinstance(name, str) or not name:
            raise ProfileError(f"Profile number {index} of crm_profiles has no name.")
        base_name = profile.get("extends") or name
        base = data.get(str(base_name), {})
        if profile.get("extends") and not base:
            raise ProfileError(
                f"Profile {name}: extends names {base_name}, but there is no such profile before it. "
                f"Known here are {', '.join(sorted(data))}."
            )
        data[name] = merge(base, profile)
    return {name: parse(validate(f"Profile {name}", FIELDS, _given(profile))) for name, profile in data.items()}


def _given(data: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Leave out what is null, in all depths: a key without a value is one that was not given."""
    return {
        # Of an answer's fields, null is a value like any other.
        key: value if key == "json" else _given_value(value)
        for key, value in data.items()
        if value is not None
    }


def _given_value(value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return _given(value)
    return [_given_value(entry) for entry in value] if isinstance(value, list) else value


def merge(base: Mapping[str, t.Any], over: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Lay ``over`` on ``base``: dictionaries and lists of named entries merge, the rest is replaced.

    Entries go by their name, or else their path. New ones come first: where the first that fits counts, they are
    tried before those of ``base``.
    """
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        elif (
            isinstance(old, list) and isinstance(value, list) and _identity(old) and _identity(old) == _identity(value)
        ):
            merged[key] = _merge_entries(old, value, _identity(old) or "")
        else:
            merged[key] = value
    return merged


def _identity(entries: Sequence[t.Any]) -> str | None:
    for key in ("name", "path"):
        names = [entry.get(key) if isinstance(entry, dict) else None for entry in entries]
        if names and all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return key
    return None


def _merge_entries(old: list[dict[str, t.Any]], new: list[dict[str, t.Any]], key: str) -> list[dict[str, t.Any]]:
    changes = {entry[key]: entry for entry in new}
    kept = [merge(entry, changes.pop(entry[key], {})) for entry in old]
    return [*changes.values(), *kept]


def parse(data: Mapping[str, t.Any]) -> Profile:
    """Build a profile from data that the validator has passed; raise ProfileError for what FIELDS cannot express."""
    name = data["name"]
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ProfileError(f"Profile {name}: name must be lower-case letters, digits, - and _.")
    if not data["services"]:
        raise ProfileError(f"Profile {name}: services is empty, so nothing could be recognised.")
    for list_name in ("services", "databases", "redis", "outside"):
        _distinct(name, list_name, data[list_name])
    services = tuple(_service(name, entry) for entry in data["services"])
    known = {service.name for service in services}
    session = data.get("session") or {}
    referring = [(where, entry["service"]) for where in ("databases", "redis", "outside") for entry in data[where]]
    referring += [("volumes", service) for entry in data["volumes"] for service in entry["services"]]
    referring += [("session", session["service"])] if session else []
    for where, service in referring:
        if service not in known:
            raise ProfileError(
                f"Profile {name}: {where} names the service {service}, but services has only "
                f"{', '.join(sorted(known))}."
            )
    rules = tuple(_session(name, entry, data) for entry in session.get("rules", ()))
    if session and not rules:
        raise ProfileError(f"Profile {name}: session rules is empty. Add a rule, or leave session out.")
    _distinct(name, "session rules", session.get("rules", ()))
    return Profile(
        name=name,
        title=data.get("title") or name,
        services=services,
        environment=_texts(name, "environment", data["environment"]),
        volumes=tuple(_volume(name, entry) for entry in data["volumes"]),
        databases=tuple(_database(name, entry) for entry in data["databases"]),
        redis=tuple(
            RedisRule(
                **{key: tuple(entry[key]) for key in ("url", "host", "port", "password")},
                name=entry["name"],
                service=entry["service"],
                condition=_condition(name, f"redis ({entry['name']})", entry),
                required=entry["required"],
            )
            for entry in data["redis"]
        ),
        outside=tuple(_outside(name, entry) for entry in data["outside"]),
        secrets=tuple(_secret(name, entry) for entry in data["secrets"]),
        session_service=session.get("service"),
        session_rules=rules,
        logs=tuple(
            LogPattern(_pattern(name, "logs", entry["pattern"]), entry["meaning"], entry["severity"])
            for entry in data["logs"]
        ),
    )


def _service(profile: str, entry: Mapping[str, t.Any]) -> ServiceRule:
    if not entry["images"] and not entry["compose_services"]:
        raise ProfileError(f"Profile {profile}: service {entry['name']} needs images or compose_services.")
    where = f"services ({entry['name']})"
    for image in entry["images"]:
        # A colon before a slash belongs to the port of a registry.
        if re.search(r"[:@][^/]*$", image):
            raise ProfileError(
                f"Profile {profile}: {where} images: {image} names a version. Leave out the tag and the digest: a "
                "service is recognised by the repository of its image."
            )
    _distinct(profile, f"{where} http", entry["http"])
    command = entry.get("command")
    return ServiceRule(
        name=entry["name"],
        images=tuple(entry["images"]),
        compose_services=tuple(entry["compose_services"]),
        command=_pattern(profile, f"{where} command", command) if command else None,
        env_file=_env_file(profile, where, entry.get("env_file")),
        freeze=entry["freeze"],
        http=tuple(_http(profile, f"{where} http ({check['name']})", check) for check in entry["http"]),
    )


def _env_file(profile: str, where: str, path: str | None) -> str | None:
    if path and not path.startswith("/"):
        raise ProfileError(f"Profile {profile}: {where} env_file {path} must be absolute, as inside the container.")
    return path or None


def _http(profile: str, where: str, entry: Mapping[str, t.Any]) -> HttpCheck:
    each = entry.get("each") or {}
    for path in (entry["path"], each.get("path", "/")):
        if not path.startswith("/"):
            raise ProfileError(f"Profile {profile}: {where} path {path} must start with a slash.")
    if ("{value}" in entry["path"]) != bool(each):
        raise ProfileError(
            f"Profile {profile}: {where}: {{value}} in path and each go together; one of them is missing."
        )
    return HttpCheck(
        name=entry["name"],
        port=_port(profile, f"{where} port", entry["port"]),
        path=entry["path"],
        status=tuple(entry["status"]),
        json=entry["json"],
        headers=entry["headers"],
        session=entry["session"],
        each_path=each.get("path"),
        each_field=each.get("field"),
    )


def _volume(profile: str, entry: Mapping[str, t.Any]) -> VolumeRule:
    if not entry["path"].startswith("/"):
        raise ProfileError(
            f"Profile {profile}: volumes path {entry['path']} must be absolute, as inside the container."
        )
    return VolumeRule(
        path=entry["path"].rstrip("/") or "/",
        purpose=entry["purpose"],
        services=tuple(entry["services"]),
        required=entry["required"],
        same_image=entry["same_image"],
    )


def _database(profile: str, entry: Mapping[str, t.Any]) -> DatabaseRule:
    where = f"databases ({entry['name']})"
    _distinct(profile, f"{where} repair", entry["repair"])
    return DatabaseRule(
        **{key: tuple(entry[key]) for key in (*CONNECTION, *ENCRYPTION)},
        name=entry["name"],
        service=entry["service"],
        condition=_condition(profile, where, entry),
        default_host=entry.get("default_host"),
        default_port=_port(profile, f"{where} default_port", entry["default_port"]),
        default_user=entry.get("default_user"),
        default_database=entry.get("default_database"),
        repair=tuple(Repair(step["name"], step.get("when"), step["sql"]) for step in entry["repair"]),
        schema_version=entry.get("schema_version"),
        sequences=tuple(sequence_rule(f"Profile {profile}: {where}", rule) for rule in entry["sequences"]),
        csv=_csv(profile, f"{where} csv", entry.get("csv")),
    )


def sequence_rule(subject: str, entry: Mapping[str, t.Any]) -> SequenceRule:
    """Build a rule from data that the validator has passed; raise ProfileError for what it cannot know."""
    try:
        like = re.compile(entry["like"])
    except re.error as exc:
        raise ProfileError(
            f"{subject}: sequences ({entry['name']}) like: {entry['like']!r} is not a regular expression: {exc}."
        ) from exc
    for column, group in entry["where"].items():
        if group not in like.groupindex:
            raise ProfileError(
                f"{subject}: sequences ({entry['name']}) where {column}: like has no group named {group}. Write it as "
                f"(?P<{group}>…)."
            )
    return SequenceRule(entry["name"], like, entry["table"], entry["column"], entry["where"])


def _csv(profile: str, where: str, entry: Mapping[str, t.Any] | None) -> CsvRule:
    if entry is None:
        return CsvRule()
    initial: dict[str, int | None] = {}
    for table, rows in entry["initial"].items():
        if rows != "any" and (not isinstance(rows, int) or isinstance(rows, bool) or rows < 0):
            raise ProfileError(f"Profile {profile}: {where} initial {table} must be a number of rows, or any.")
        initial[table] = None if rows == "any" else rows
    for table, columns in entry["classic"].items():
        if not isinstance(columns, list) or not columns or not all(isinstance(column, str) for column in columns):
            raise ProfileError(f"Profile {profile}: {where} classic {table} must be a list of columns.")
    classic = {table: tuple(columns) for table, columns in entry["classic"].items()}
    return CsvRule(tuple(entry["keep"]), initial, classic)


def _outside(profile: str, entry: Mapping[str, t.Any]) -> OutsideRule:
    where = f"outside ({entry['name']})"
    for name in (*entry["when"], *entry["show"]):
        if SECRET.search(name):
            raise ProfileError(
                f"Profile {profile}: {where} would show {name}, which is the name of a secret: what is shown goes into "
                "messages and manifests. Leave it out."
            )
    return OutsideRule(
        name=entry["name"],
        service=entry["service"],
        condition=_condition(profile, where, entry),
        host=tuple(entry["host"]),
        show=tuple(entry["show"]),
    )


def _secret(profile: str, entry: t.Any) -> Secret:
    if isinstance(entry, str) and entry:
        return Secret(entry)
    choices = SECRET_FIELDS["severity"]["choices"]
    if (
        not isinstance(entry, dict)
        or not isinstance(entry.get("name"), str)
        or not entry["name"]
        or not isinstance(entry.get("breaks", ""), str)
        or entry.keys() - SECRET_FIELDS.keys()
    ):
        raise ProfileError(
            f"Profile {profile}: secrets must be names of environment variables, or dictionaries with name, breaks and "
            "severity."
        )
    severity = entry.get("severity", "refuse")
    if severity not in choices:
        raise ProfileError(
            f"Profile {profile}: secrets ({entry['name']}) severity must be one of: {', '.join(choices)}, "
            f"got: {severity}."
        )
    return Secret(entry["name"], entry.get("breaks"), severity)


def _session(profile: str, entry: Mapping[str, t.Any], data: Mapping[str, t.Any]) -> SessionRule:
    where = f"session rules ({entry['name']})"
    stores = []
    for store in entry["stores"]:
        place, path = store["place"], (store.get("path") or "").rstrip("/") or None
        if place == "volume" and not (path or "").startswith("/"):
            raise ProfileError(
                f"Profile {profile}: {where}: a store in a volume needs its path, absolute as inside the container."
            )
        if place in ("database", "redis") and not data["databases" if place == "database" else "redis"]:
            raise ProfileError(f"Profile {profile}: {where}: a store is in {place}, but the profile names no {place}.")
        outside = store.get("outside")
        if outside and outside not in {entry["name"] for entry in data["outside"]}:
            raise ProfileError(f"Profile {profile}: {where}: a store is in {outside}, which outside does not have.")
        steps = tuple(_reset(profile, where, place, step) for step in store["reset"])
        _distinct(profile, f"{where} reset", store["reset"])
        stores.append(SessionStore(store["holds"], place, path, outside, steps))
    if not stores:
        raise ProfileError(f"Profile {profile}: {where} stores is empty.")
    return SessionRule(entry["name"], _condition(profile, where, entry), tuple(stores))


def _reset(profile: str, where: str, place: str, step: Mapping[str, t.Any]) -> ResetStep:
    subject = f"Profile {profile}: {where}: reset ({step['name']})"
    wanted = RESETS.get(place)
    if wanted is None:
        raise ProfileError(f"{subject}: what is in an external place cannot be reset from here. Leave reset out.")
    given = {name for name in ("when", "count", *RESETS.values()) if step.get(name)}
    needed = {"sql", "count"} if wanted == "sql" else {wanted}
    if needed - given or given - needed - ({"when"} if wanted == "sql" else set()):
        raise ProfileError(
            f"{subject}: in a {place}, a step has {' and '.join(sorted(needed))}, and here are "
            f"{', '.join(sorted(given)) or 'none'}."
        )
    for path in step["files"]:
        if path.startswith("/") or ".." in path.split("/"):
            raise ProfileError(f"{subject}: {path} must be a path below that of the store.")
    return ResetStep(
        name=step["name"],
        when=step.get("when"),
        count=step.get("count") or "",
        sql=step.get("sql") or "",
        keys=tuple(step["keys"]),
        files=tuple(step["files"]),
    )


def _condition(profile: str, where: str, entry: Mapping[str, t.Any]) -> Condition:
    when = {}
    for name, value in entry["when"].items():
        words = value if isinstance(value, list) else [value]
        if any(isinstance(word, (dict, list)) for word in words) or not words:
            raise ProfileError(f"Profile {profile}: {where} when {name} must be one word or number, or a list of them.")
        when[name] = tuple("" if word is None else _text(word) for word in words)
    image = entry.get("image")
    return Condition(when, _pattern(profile, f"{where} image", image) if image else None)


def _pattern(profile: str, where: str, text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise ProfileError(f"Profile {profile}: {where}: {text!r} is not a regular expression: {exc}.") from exc


def _distinct(profile: str, where: str, entries: Iterable[Mapping[str, t.Any]]) -> None:
    seen: set[str] = set()
    for entry in entries:
        if entry["name"] in seen:
            raise ProfileError(f"Profile {profile}: {where} has {entry['name']} twice. Names must differ.")
        seen.add(entry["name"])


def _port(profile: str, where: str, port: int) -> int:
    if not 0 < port < 65536:
        raise ProfileError(f"Profile {profile}: {where} {port} is not a port; ports are 1 to 65535.")
    return port


def _texts(profile: str, where: str, data: Mapping[str, t.Any]) -> dict[str, str]:
    for key, value in data.items():
        if isinstance(value, (dict, list)):
            raise ProfileError(
                f"Profile {profile}: {where} {key} must be one word or number, not a list or dictionary."
            )
    return {key: _text(value) for key, value in data.items()}


def _text(value: object) -> str:
    # YAML reads true and 6379 where the environment has words.
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
