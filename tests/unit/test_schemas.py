# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The published JSON Schemas say what the code accepts and writes."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.crm.continuity.plugins.module_utils._database import Facts
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProfileError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import (
    KINDS,
    Artifact,
    Manifest,
    decode,
    encode,
)
from ansible_collections.crm.continuity.plugins.module_utils._module import validate
from ansible_collections.crm.continuity.plugins.module_utils._profile import load
from ansible_collections.crm.continuity.plugins.module_utils._redis import RedisFacts
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.plugins.module_utils._stack_info import describe
from ansible_collections.crm.continuity.tests.unit.fakes import (
    FakeEngine,
    artifact,
    container,
    manifest,
    shipped,
    shipped_profiles,
    volume,
)

ROOT = Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "docs" / "schemas"


def tool():
    """Import tools/schemas.py, which is a program."""
    spec = importlib.util.spec_from_file_location("schemas", ROOT / "tools" / "schemas.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checker(name, part=None):
    """Return a validator for a schema, or for one of its definitions."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    if part is not None:
        schema = {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]}
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


PROFILE = checker("profile")
PART = checker("profile", "part")
MANIFEST = checker("manifest")


# Profiles


def test_the_schema_of_profiles_is_what_the_model_says():
    schemas = tool()

    assert schemas.SCHEMA.read_text(encoding="utf-8") == schemas.render(), "Run python3 tools/schemas.py"


def test_every_description_and_rule_is_of_a_field_that_exists():
    def paths(fields, above=""):
        for name, options in fields.items():
            yield above + name
            yield from paths(options.get("options", {}), f"{above}{name}.")

    schemas = tool()
    known = set(paths(schemas.fields()))

    assert set(schemas.DESCRIPTIONS) == known
    assert set(schemas.RULES) | set(schemas.TOGETHER) | set(schemas.SINGLE) <= known


@pytest.mark.parametrize("profile", shipped(), ids=lambda profile: profile["name"])
def test_a_shipped_profile_is_valid(profile):
    PROFILE.validate(profile)


def desk(**more):
    return {"name": "desk", "services": [{"name": "app", "images": ["localhost:5000/example/desk"]}], **more}


def service(**more):
    return [{"name": "app", "images": ["example/desk"], **more}]


def http(**more):
    return service(http=[{"name": "up", "port": 80, **more}])


def outside(**more):
    return {"name": "o", "service": "app", **more}


def session(**rule):
    return {"service": "app", "rules": [{"name": "r", "stores": [{"holds": "all", "place": "external"}], **rule}]}


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(desk(), id="minimal"),
        pytest.param(desk(services=[{"name": "app", "compose_services": ["web*"]}]), id="by name"),
        pytest.param(desk(services=http(path="/x/{value}", each={"path": "/x", "field": "id"})), id="each"),
        pytest.param(desk(environment={"A": True, "B": 1, "C": "x"}), id="environment"),
        pytest.param(desk(session=session(when={"A": False, "B": ["", 1]}, image=":v1")), id="session"),
        pytest.param(desk(outside=[outside(host=["A"], show=["BUCKET"])]), id="outside"),
        pytest.param(
            desk(secrets=["A", {"name": "B"}, {"name": "C", "breaks": "x", "severity": "warn"}]), id="secrets"
        ),
    ],
)
def test_a_good_profile_is_accepted_by_schema_and_code(profile):
    PROFILE.validate(profile)
    load([], [profile], validate)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param({"services": service()}, id="nameless"),
        pytest.param(desk(name="My Desk"), id="bad name"),
        pytest.param({"name": "desk"}, id="no services"),
        pytest.param(desk(services=[]), id="empty services"),
        pytest.param(desk(services=[{"name": "app"}]), id="unknowable service"),
        pytest.param(desk(services=service(images=[])), id="no images"),
        pytest.param(desk(services=service(images=["example/desk:7"])), id="tag"),
        pytest.param(desk(services=service(images=["example/desk@sha256:00"])), id="digest"),
        pytest.param(desk(services=service(freeze="melt")), id="choice"),
        pytest.param(desk(services=service(colour=1)), id="unknown field"),
        pytest.param(desk(services=http(port=0)), id="port"),
        pytest.param(desk(services=http(path="x")), id="path"),
        pytest.param(desk(services=http(path="/{value}")), id="value without each"),
        pytest.param(desk(services=http(each={"path": "/x", "field": "y"})), id="each without value"),
        pytest.param(desk(environment={"A": []}), id="environment"),
        pytest.param(desk(volumes=[{"path": "x", "purpose": "y"}]), id="relative volume"),
        pytest.param(desk(volumes=[{"path": "/x"}]), id="volume without purpose"),
        pytest.param(desk(databases=[{"name": "d"}]), id="database without service"),
        pytest.param(desk(session={"service": "app", "rules": []}), id="no rules"),
        pytest.param(desk(session=session(stores=[])), id="no stores"),
        pytest.param(desk(session=session(stores=[{"holds": "x", "place": "volume"}])), id="store without path"),
        pytest.param(desk(session=session(stores=[{"holds": "x", "place": "cloud"}])), id="place"),
        pytest.param(desk(session=session(when={"A": []})), id="when without words"),
        pytest.param(desk(session=session(when={"A": {"b": 1}})), id="when no word"),
        pytest.param(desk(outside=[{"name": "o"}]), id="outside without service"),
        pytest.param(desk(outside=[outside(show=["S3_SECRET_KEY"])]), id="shown secret"),
        pytest.param(desk(outside=[outside(when={"API_TOKEN": "x"})]), id="secret condition"),
        pytest.param(desk(secrets=[{"breaks": "x"}]), id="nameless secret"),
        pytest.param(desk(secrets=[""]), id="secret without letters"),
        pytest.param(desk(secrets=[{"name": "A", "severity": "shrug"}]), id="severity of a secret"),
        pytest.param(desk(secrets=[{"name": "A", "colour": 1}]), id="unknown field of a secret"),
        pytest.param(desk(services=service(env_file=".env")), id="relative env file"),
        pytest.param(desk(logs=[{"pattern": "x"}]), id="pattern without meaning"),
    ],
)
def test_a_bad_profile_is_refused_by_schema_and_code(profile):
    assert not PROFILE.is_valid(profile)
    with pytest.raises(ProfileError):
        load([], [profile], validate)


@pytest.mark.parametrize(
    "part",
    [
        {"name": "chatwoot", "services": [{"name": "web", "images": ["example/chat"]}]},
        {"name": "chatwoot", "volumes": [{"path": "/app/storage", "required": True}]},
        {"name": "evolution", "environment": {"CACHE_REDIS_ENABLED": False}},
        {"name": "evolution", "session": {"rules": [{"name": "session in files", "when": {"X": 1}}]}},
        {"name": "desk", "extends": "chatwoot", "title": "Desk"},
    ],
)
def test_a_part_is_accepted_by_schema_and_code(part):
    PART.validate(part)
    load(shipped(), [part], validate)


def test_a_profile_that_extends_another_is_a_part():
    PROFILE.validate({"name": "desk", "extends": "chatwoot"})


def test_a_part_has_no_unknown_fields_either():
    assert not PART.is_valid({"name": "chatwoot", "services": [{"name": "web", "colour": 1}]})
    assert not PART.is_valid({"name": "chatwoot", "services": [{"images": ["x"]}]})


# Manifests


def json_of(wanted):
    return json.loads(encode(wanted))


def test_a_manifest_is_valid():
    MANIFEST.validate(json_of(manifest(warnings=("ação",))))


def test_the_schema_names_every_field_that_is_written():
    assert set(MANIFEST.schema["properties"]) == {field.name for field in dataclasses.fields(Manifest)}
    definitions = MANIFEST.schema["$defs"]
    assert set(definitions["artifact"]["properties"]) == {field.name for field in dataclasses.fields(Artifact)}
    assert set(definitions["artifact"]["properties"]["kind"]["enum"]) == set(KINDS)
    facts = {field.name for field in dataclasses.fields(Facts)}
    assert facts <= set(definitions["database"]["required"])
    assert {field.name for field in dataclasses.fields(RedisFacts)} <= set(definitions["redis"]["properties"])


def test_what_a_stack_consists_of_is_described_as_the_schema_says():
    engine = FakeEngine(
        [
            container(
                "rails",
                "chatwoot/chatwoot:v4",
                env={
                    "DATABASE_URL": "postgres://u:p@postgres/desk",
                    "REDIS_URL": "redis://redis",
                    "SECRET_KEY_BASE": "x",
                },
                volumes={"/app/storage": "s"},
                binds={"/data": "/srv/data"},
            ),
            container("evolution", "evoapicloud/evolution-api", env={"CACHE_REDIS_URI": "redis://redis"}),
            container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "pg"}),
            container("redis", "redis:7", volumes={"/data": "r"}),
        ],
        [volume("s"), volume("pg"), volume("r")],
    )
    stack = find_one(engine, shipped_profiles(), Request("crm"))
    definitions = {"$defs": MANIFEST.schema["$defs"]}

    described = describe(engine, stack)

    for kind, entries in (
        ("service", described["services"]),
        ("volume", described["volumes"]),
        ("redis", described["redis"]),
        ("session", described["session"]),
    ):
        for entry in entries:
            jsonschema.Draft202012Validator({"$ref": f"#/$defs/{kind}", **definitions}).validate(entry)
            assert set(entry) <= set(definitions["$defs"][kind]["properties"])
    assert set(described["databases"][0]) <= set(definitions["$defs"]["database"]["properties"])
    assert set(described) - {"name", "session", "warnings"} == set(definitions["$defs"]["source"]["properties"])


def changed(**changes):
    data = {**json_of(manifest()), **changes}
    return {name: value for name, value in data.items() if value is not ...}


ARCHIVE = {**json_of(manifest(artifacts=(artifact("volumes/a.tar"),)))["artifacts"][0]}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(changed(format=2), id="newer format"),
        pytest.param(changed(stack=...), id="no stack"),
        pytest.param(changed(more=1), id="more"),
        pytest.param(changed(source={}), id="empty source"),
        pytest.param(changed(freeze={}), id="empty freeze"),
        pytest.param(changed(artifacts=[{}]), id="empty artifact"),
        pytest.param(changed(artifacts=[{**ARCHIVE, "kind": "program"}]), id="unknown kind"),
        *(
            pytest.param(changed(artifacts=[{**ARCHIVE, "path": path}]), id=f"path {path!r}")
            for path in ("/etc/passwd", "../a", "a/../b", "a/..", ".", "./a", "a//b", "a/", "", "a\nb", "manifest.json")
        ),
    ],
)
def test_a_bad_manifest_is_refused_by_schema_and_code(data):
    assert not MANIFEST.is_valid(data)
    with pytest.raises(StoreError):
        decode(json.dumps(data).encode(), "/b")
