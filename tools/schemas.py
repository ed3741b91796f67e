# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write docs/schemas/profile.schema.json from the model in plugins/module_utils/_profile.py.

With ``--check`` nothing is written: it fails when the file is not what would be written. The model says names, types,
choices and defaults; what each field is for, and the rules that an argument specification cannot express, stand here.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
import typing as t
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "docs" / "schemas" / "profile.schema.json"

WHEN = (
    "Values that environment variables must have, each one word or a list of words. They are compared exactly; a "
    "variable that is not set is empty. Without it, the entry always counts."
)
IMAGE = "Regular expression that the image reference must match as well, such as one for a version in its tag."

DESCRIPTIONS = {
    "name": "Name of the profile. Lower-case letters, digits, - and _.",
    "title": "Name of the application in messages and reports. The name of the profile by default.",
    "extends": "Name of a profile that this one starts from. It then says only what differs.",
    "services": "The parts of the application. A container is the first one that fits.",
    "services.name": "Name of the part within the profile. Other fields refer to it.",
    "services.images": (
        "Repositories that the image of the container may have, without registry, tag and digest. * and ? stand for "
        "any characters."
    ),
    "services.compose_services": (
        "Names that the compose service may have. They count only when the profile was asked for, by crm_stacks or by "
        "the label crm.continuity.profile."
    ),
    "services.command": "Regular expression that entrypoint and command of the container must match as well.",
    "services.env_file": (
        "File inside the container that the application itself reads for variables that its environment lacks."
    ),
    "services.freeze": "How the service stands still while a backup is taken.",
    "services.http": "Requests that a healthy service answers.",
    "services.http.name": "What the check shows, for the checklist.",
    "services.http.port": "Port inside the container.",
    "services.http.path": "Path and query of the request. {value} is replaced by each object's field.",
    "services.http.status": "Status codes that mean success.",
    "services.http.json": "Values that the answer must have, by dotted path.",
    "services.http.headers": "Headers to send, and the environment variable of the service that holds each value.",
    "services.http.each": "Makes one request per object of a list that the service itself returns.",
    "services.http.each.path": "Path that returns the list, as JSON.",
    "services.http.session": "Whether it is answered so only while every WhatsApp session is paired.",
    "services.http.each.field": "Field of each object whose value replaces {value}.",
    "environment": "What the application assumes for environment variables that the container does not set.",
    "volumes": "Data below mount paths. A volume is known by where it is mounted, never by its name.",
    "volumes.path": "Mount path inside the container.",
    "volumes.purpose": "What the data is, for messages and reports.",
    "volumes.services": "Parts that mount it. All by default.",
    "volumes.required": "Whether to warn when nothing is mounted there.",
    "volumes.same_image": "Whether the data belongs to the image and must not be restored over another one.",
    "databases": (
        "Databases, and the environment variables that say where they are. Those of PostgreSQL are dumped; of any "
        "other server in a container of the stack, the files are archived while it is stopped."
    ),
    "databases.name": "Name of the entry within the profile.",
    "databases.service": "Part whose environment is read.",
    "databases.when": WHEN,
    "databases.image": IMAGE,
    "databases.url": "Variables that may hold a URL; the first that is set counts. What the URL says wins.",
    "databases.host": "Variables that may hold the host.",
    "databases.port": "Variables that may hold the port.",
    "databases.user": "Variables that may hold the user.",
    "databases.password": "Variables that may hold the password.",
    "databases.database": "Variables that may hold the name of the database.",
    "databases.sslmode": "Variables that may hold how the connection is encrypted, in libpq's words.",
    "databases.sslrootcert": "Variables that may hold the certificate of the server's authority, as a path.",
    "databases.sslcert": "Variables that may hold the client's certificate, as a path.",
    "databases.sslkey": "Variables that may hold the client's key, as a path.",
    "databases.default_host": "Host when no variable says it.",
    "databases.default_port": "Port when no variable says it.",
    "databases.default_user": "User when no variable says it.",
    "databases.default_database": "Name of the database when no variable says it.",
    "databases.repair": "SQL that a restore needs before indexes, constraints and triggers are built.",
    "databases.repair.name": "What the step does, for messages.",
    "databases.repair.when": "Query that returns one boolean. The step runs only when it is true.",
    "databases.repair.sql": "Statements to run.",
    "databases.schema_version": "Query that returns the version of the application's schema, for the manifest.",
    "databases.sequences": (
        "Sequences of which the database does not know what they number, such as one per account. Those of serial and "
        "identity columns need no entry."
    ),
    "databases.sequences.name": "What is numbered, for messages.",
    "databases.sequences.like": "Regular expression that the whole name of the sequence must match.",
    "databases.sequences.table": "Table whose rows are numbered, in the schema of the sequence.",
    "databases.sequences.column": "Column that holds the number.",
    "databases.sequences.where": "Columns that must equal a group of like, by the name of the group.",
    "databases.csv": "What archives of CSV files hold, and what an installation puts into the database by itself.",
    "databases.csv.keep": "Tables that say what was done to this very database. Their rows are not replaced.",
    "databases.csv.initial": (
        "Tables that a fresh installation fills, and how many rows it makes at most; any stands for any number. Such "
        "rows may be replaced."
    ),
    "databases.csv.classic": (
        "Tables of the application's own archives and their columns, in the order in which the files are numbered."
    ),
    "redis": "Redis servers, and the environment variables that say where they are.",
    "redis.name": "Name of the entry within the profile.",
    "redis.service": "Part whose environment is read.",
    "redis.when": WHEN,
    "redis.image": IMAGE,
    "redis.url": "Variables that may hold a URL; the first that is set counts.",
    "redis.host": "Variables that may hold the host.",
    "redis.port": "Variables that may hold the port.",
    "redis.password": "Variables that may hold the password.",
    "redis.required": "Whether the application does not work without it.",
    "outside": "Data outside the stack's volumes and databases, such as attachments in object storage.",
    "outside.name": "What the data is, for messages and reports.",
    "outside.service": "Part whose environment is read.",
    "outside.when": WHEN,
    "outside.image": IMAGE,
    "outside.host": (
        "Variables that may hold the host or URL of the server. One that is a container of the stack is covered by "
        "the archives of its volumes."
    ),
    "outside.show": "Variables whose values say where the data is, for messages and manifests. Never secrets.",
    "secrets": (
        "Environment variables without which the data cannot be used, such as encryption keys: names, or also what "
        "breaks where one has another value."
    ),
    "session": "Where the state of WhatsApp sessions is. Without it, the application has none.",
    "session.service": "Part whose environment decides.",
    "session.rules": "The first rule that fits the environment counts.",
    "session.rules.name": "What the rule stands for, for messages and reports.",
    "session.rules.when": WHEN,
    "session.rules.image": IMAGE,
    "session.rules.stores": "The places that hold the state.",
    "session.rules.stores.holds": "Which part of the state, such as credentials or signal keys.",
    "session.rules.stores.place": "Kind of place.",
    "session.rules.stores.path": "Path inside the container. Needed for a volume.",
    "session.rules.stores.outside": "Name of the entry of outside that says where an external place is.",
    "session.rules.stores.reset": "How the session is cleared there, so that a copy has to be paired anew.",
    "session.rules.stores.reset.name": "What is cleared, for messages and results.",
    "session.rules.stores.reset.when": "Query that returns one boolean. The step counts only where it is true.",
    "session.rules.stores.reset.count": "In a database: query that returns how many rows are left to clear.",
    "session.rules.stores.reset.sql": "In a database: statement that clears them.",
    "session.rules.stores.reset.keys": (
        "In Redis: patterns of keys. A variable in braces stands for its value in the environment of the part, and for "
        "anything where it is not set."
    ),
    "session.rules.stores.reset.files": (
        "In a volume: patterns of paths below that of the store. * and ? stand for any characters but a slash."
    ),
    "logs": "Lines in the log that tell of lost files or a lost session.",
    "logs.pattern": "Regular expression, searched for in each line.",
    "logs.meaning": "What such a line says, for the operator.",
    "logs.severity": "Whether a line fails the validation or is only shown.",
}

PORT = {"minimum": 1, "maximum": 65535}
ABSOLUTE = {"pattern": "^/"}
NOT_EMPTY = {"minItems": 1}
WORD = {"type": ["string", "number", "boolean"]}
WORDS = {"additionalProperties": WORD}
PUBLIC = {"not": {"pattern": "SECRET|PASSW|PASS$|TOKEN|CREDENTIAL|(^|_)KEY(_|$)"}}
CONDITION = {"additionalProperties": {"anyOf": [WORD, {"type": "array", "items": WORD, "minItems": 1}]}}

# An entry of secrets is a name, or says more.
SECRET = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "additionalProperties": False,
            "required": ["name"],
            "properties": {
                "name": {"description": "Name of the variable.", "type": "string", "minLength": 1},
                "breaks": {
                    "description": "What no longer works where the variable has another value, for messages.",
                    "type": "string",
                },
                "severity": {
                    "description": "Whether a restore where it differs is refused, or only warned of.",
                    "enum": ["refuse", "warn"],
                },
            },
        },
    ]
}

RULES: dict[str, dict[str, t.Any]] = {
    "name": {"pattern": "^[a-z0-9][a-z0-9_-]*$"},
    "services": NOT_EMPTY,
    "services.images": {"items": {"type": "string", "pattern": "^([^@]*/)?[^/:@]+$"}},
    "services.env_file": ABSOLUTE,
    "services.http.port": PORT,
    "services.http.path": ABSOLUTE,
    "services.http.each.path": ABSOLUTE,
    "services.http.headers": {"additionalProperties": {"type": "string"}},
    "environment": WORDS,
    "volumes.path": ABSOLUTE,
    "secrets": {"items": SECRET},
    "databases.default_port": PORT,
    "databases.sequences.where": {"additionalProperties": {"type": "string"}},
    "databases.csv.initial": {
        "additionalProperties": {"anyOf": [{"type": "integer", "minimum": 0}, {"const": "any"}]},
    },
    "databases.csv.classic": {
        "additionalProperties": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "session.rules": NOT_EMPTY,
    "databases.when": CONDITION,
    "redis.when": CONDITION,
    "outside.when": {**CONDITION, "propertyNames": PUBLIC},
    "outside.show": {"items": {"type": "string", **PUBLIC}},
    "session.rules.when": CONDITION,
    "session.rules.stores": NOT_EMPTY,
    "session.rules.stores.path": ABSOLUTE,
}

# Rules over several fields of one object; they hold for a whole profile, not for a part of one.
TOGETHER: dict[str, dict[str, t.Any]] = {
    "services": {
        "anyOf": [
            {"required": ["images"], "properties": {"images": NOT_EMPTY}},
            {"required": ["compose_services"], "properties": {"compose_services": NOT_EMPTY}},
        ]
    },
    "services.http": {
        "if": {"properties": {"path": {"pattern": "\\{value\\}"}}, "required": ["path"]},
        "then": {"required": ["each"]},
        "else": {"properties": {"each": False}},
    },
    "session.rules.stores": {
        "if": {"properties": {"place": {"const": "volume"}}, "required": ["place"]},
        "then": {"required": ["path"]},
    },
}

# Objects that stand alone, and not in a list where each has a name.
SINGLE = ("session", "services.http.each", "databases.csv")

TYPES = {"str": "string", "int": "integer", "bool": "boolean", "list": "array", "dict": "object", "raw": "object"}


def profile_schema(fields: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return the JSON Schema of a profile."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:crm.continuity:profile",
        "title": "Profile of crm.continuity",
        "description": (
            "What a CRM consists of. A profile that extends another, or that has the name of one of the collection, "
            "says only what differs; for the latter, validate against #/$defs/part."
        ),
        "if": {"required": ["extends"]},
        "then": {"$ref": "#/$defs/part"},
        "else": {"$ref": "#/$defs/whole"},
        "$defs": {"whole": _object(fields, "", whole=True), "part": _object(fields, "", whole=False)},
    }


def _object(fields: dict[str, t.Any], path: str, *, whole: bool) -> dict[str, t.Any]:
    required: list[str] = [name for name, options in fields.items() if options.get("required")]
    if not whole and path in SINGLE:
        required = []
    elif not whole and (names := [name for name in required if name in ("name", "path")]):
        # What an entry goes by has to be there, so that it is known which one is meant.
        required = names[:1]
    return {
        "type": "object",
        "additionalProperties": False,
        **({"required": required} if required else {}),
        "properties": {
            name: _field(options, f"{path}.{name}" if path else name, whole=whole) for name, options in fields.items()
        },
        **(TOGETHER.get(path, {}) if whole else {}),
    }


def _field(options: dict[str, t.Any], path: str, *, whole: bool) -> dict[str, t.Any]:
    schema: dict[str, t.Any] = {"description": DESCRIPTIONS[path]}
    if options["type"] == "dict" and "options" in options:
        schema.update(_object(options["options"], path, whole=whole))
    else:
        schema["type"] = TYPES[options["type"]]
    if options["type"] == "list":
        nested = options.get("options")
        schema["items"] = _object(nested, path, whole=whole) if nested else {"type": TYPES[options["elements"]]}
    if "choices" in options:
        schema["enum"] = options["choices"]
    if whole and options.get("default") is not None:
        schema["default"] = options["default"]
    return {**schema, **RULES.get(path, {})}


def fields() -> dict[str, t.Any]:
    """Return the model of a profile, whatever the directory of the checkout is called."""
    nowhere: list[str] = []
    for name, path in {
        "ansible_collections": nowhere,
        "ansible_collections.crm": nowhere,
        "ansible_collections.crm.continuity": [str(ROOT)],
    }.items():
        package = types.ModuleType(name)
        package.__path__ = path
        sys.modules.setdefault(name, package)
    module = importlib.import_module("ansible_collections.crm.continuity.plugins.module_utils._profile")
    return dict(module.FIELDS)


def render() -> str:
    """Return the content of the schema file."""
    return json.dumps(profile_schema(fields()), indent=2, ensure_ascii=False) + "\n"


def main() -> int:
    """Write or check the schema file; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail when the file is out of date")
    wanted = render()
    if not parser.parse_args().check:
        SCHEMA.write_text(wanted, encoding="utf-8")
        return 0
    if SCHEMA.read_text(encoding="utf-8") == wanted:
        return 0
    print(
        f"{SCHEMA.relative_to(ROOT)} is not what {Path(__file__).name} writes. Run python3 tools/schemas.py.",
        file=sys.stderr,
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
