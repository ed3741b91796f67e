# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._session_parts import parts_of_backup, parts_of_stack
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.plugins.module_utils._stack_info import describe
from ansible_collections.crm.continuity.tests.unit.fakes import (
    FakeEngine,
    container,
    manifest,
    shipped_profiles,
    source,
    volume,
)

V1 = "atendai/evolution-api:v1.8.2"
V2 = "evoapicloud/evolution-api:v2.3.6"
FILES = {"/evolution/instances": "crm_instances"}
POSTGRES = container("postgres", "postgres:15", volumes={"/var/lib/postgresql/data": "crm_postgres"})
REDIS = container("redis", "redis:7", volumes={"/data": "crm_redis"})
URL = {"DATABASE_CONNECTION_URI": "postgresql://evo:secret@postgres:5432/evolution?schema=evolution_api"}
CACHE = {"CACHE_REDIS_ENABLED": "true", "CACHE_REDIS_URI": "redis://redis:6379/6"}
PREFIX = {"CACHE_REDIS_PREFIX_KEY": "evo*[1]"}


def stack_of(image, env, *others, volumes=None, own=()):
    containers = [container("api", image, env=env, volumes=FILES if volumes is None else volumes), *others]
    names = {mount.source for entry in containers for mount in entry.mounts}
    engine = FakeEngine(containers, [volume(name) for name in names])
    return find_one(engine, shipped_profiles(*own), Request("crm"))


def places(parts):
    return [(live.part.place, live.part.where, live.part.source, live.part.directory) for live in parts]


def test_every_place_of_a_session_is_found_with_its_steps():
    parts, refusals = parts_of_stack(stack_of(V2, {**URL, **CACHE, **PREFIX}, POSTGRES, REDIS))

    assert refusals == []
    assert places(parts) == [
        ("database", "database evolution", "evolution", ""),
        ("redis", "Redis in container crm-redis-1", "crm_redis", ""),
    ]
    assert parts[0].part.schema == "evolution_api"
    # What is special in a pattern stands for itself when it comes from a variable.
    assert parts[1].part.steps[0].keys == (r"evo\*\[1\]:instance:*",)


def test_a_variable_that_is_not_set_stands_for_anything():
    parts, _refusals = parts_of_stack(stack_of(V2, {**URL, **CACHE}, POSTGRES, REDIS))

    assert parts[1].part.steps[0].keys == ("*:instance:*",)


def test_files_are_found_below_the_root_of_what_is_mounted_above():
    env = {**URL, "CACHE_REDIS_ENABLED": "false"}

    parts, refusals = parts_of_stack(stack_of(V2, env, POSTGRES, volumes={"/evolution": "crm_evolution"}))

    assert refusals == []
    assert places(parts)[1] == ("volume", "volume crm_evolution", "crm_evolution", "instances")


REDIS_V1 = {"REDIS_ENABLED": "true", "REDIS_URI": "redis://redis:6379/1"}
SHARED = container("redis", "redis:7", project="other", networks=["crm_default"], volumes={"/data": "other_redis"})
OTHER_POSTGRES = container("postgres", "postgres:15", project="other", networks=["crm_default"])
MYSQL = {"DATABASE_CONNECTION_URI": "mysql://evo:secret@mysql:3306/evolution", "CACHE_REDIS_ENABLED": "false"}


@pytest.mark.parametrize(
    ("image", "env", "others", "words"),
    [
        (V2, {"PROVIDER_ENABLED": "true"}, (), "is in an external provider"),
        (V2, MYSQL, (), "is in a database that is no PostgreSQL"),
        (V2, {**URL, **CACHE}, (OTHER_POSTGRES, REDIS), "is outside this stack, where it may be the original's"),
        (V2, {**URL, **CACHE}, (POSTGRES, SHARED), "is outside this stack, where it may be the original's"),
        (V2, {**URL, **CACHE}, (POSTGRES,), "is in a Redis that is in no container here (redis)"),
        (V1, {**REDIS_V1}, (REDIS,), "cannot be told from other keys: '*:*' matches all"),
    ],
    ids=["provider", "mysql", "other database", "other redis", "redis elsewhere", "any key"],
)
def test_what_cannot_be_cleared_is_said(image, env, others, words):
    _parts, refusals = parts_of_stack(stack_of(image, env, *others))

    assert [refusal for refusal in refusals if words in refusal], refusals


def test_what_is_outside_is_cleared_when_that_is_meant():
    parts, refusals = parts_of_stack(stack_of(V2, {**URL, **CACHE}, OTHER_POSTGRES, SHARED), outside_ok=True)

    assert refusals == []
    assert [part.part.place for part in parts] == ["database", "redis"]


def test_keys_of_version_1_are_those_of_its_own_prefix():
    parts, refusals = parts_of_stack(stack_of(V1, {**REDIS_V1, "REDIS_PREFIX_KEY": "evo1"}, REDIS))

    assert refusals == []
    assert parts[0].part.steps[0].keys == ("evo1:*",)


def test_a_session_inside_a_container_is_not_cleared():
    env = {**URL, "CACHE_REDIS_ENABLED": "false"}

    _parts, refusals = parts_of_stack(stack_of(V2, env, POSTGRES, volumes={}))

    assert "is in /evolution/instances inside container crm-api-1, on no volume" in refusals[0]


def test_a_profile_without_steps_or_without_a_rule_is_refused():
    rule = {"name": "elsewhere", "stores": [{"holds": "all", "place": "volume", "path": "/evolution/instances"}]}
    none = {"name": "never", "when": {"X": "y"}, "stores": rule["stores"]}

    def refusals(session):
        own = {"name": "mine", "services": [{"name": "api", "images": ["example/mine"]}], "session": session}
        return parts_of_stack(stack_of("example/mine", {}, own=[own]))[1]

    assert "has no reset in the profile" in refusals({"service": "api", "rules": [rule]})[0]
    assert "No rule of the profile mine says where" in refusals({"service": "api", "rules": [none]})[0]


def backup_of(stack, engine):
    """Describe a stack as the manifest of its backup does."""
    described = describe(engine, stack)
    for database in described["databases"]:
        database["globals"] = "postgres"
    names = ("services", "volumes", "databases", "redis")
    return manifest(source=source(**{name: described[name] for name in names}), session=tuple(described["session"]))


def both(image, env, *others, volumes=None):
    containers = [container("api", image, env=env, volumes=FILES if volumes is None else volumes), *others]
    names = {mount.source for entry in containers for mount in entry.mounts}
    engine = FakeEngine(containers, [volume(name) for name in names])
    stack = find_one(engine, shipped_profiles(), Request("crm"))
    return stack, backup_of(stack, engine)


@pytest.mark.parametrize(
    ("env", "volumes"),
    [
        ({**URL, **CACHE, **PREFIX}, None),
        ({**URL, **CACHE, **PREFIX, "CACHE_REDIS_SAVE_INSTANCES": "true"}, None),
        ({**URL, "CACHE_REDIS_ENABLED": "false"}, {"/evolution": "crm_evolution"}),
    ],
    ids=["database and redis", "redis", "database and files"],
)
def test_a_backup_names_the_same_places_as_the_stack_it_is_of(env, volumes):
    stack, backup = both(V2, env, POSTGRES, REDIS, volumes=volumes)
    parts, _refusals = parts_of_stack(stack)

    found = parts_of_backup(backup, shipped_profiles(), env)

    assert found.refusals == ()
    assert [(p.place, p.source, p.directory, p.schema, p.steps) for p in found.parts] == [
        (live.part.place, live.part.source, live.part.directory, live.part.schema, live.part.steps) for live in parts
    ]
    assert [part.image for part in found.parts if part.place == "redis"] in ([], ["redis:7"])
    assert [part.server for part in found.parts if part.place == "database"] in ([], ["postgres"])


def test_without_the_environment_a_backup_has_wider_patterns():
    _stack, backup = both(V2, {**URL, **CACHE, **PREFIX}, POSTGRES, REDIS)

    found = parts_of_backup(backup, shipped_profiles())

    assert found.parts[1].steps[0].keys == ("*:instance:*",)


def test_what_a_backup_does_not_hold_is_said():
    _stack, backup = both(V2, {"PROVIDER_ENABLED": "true", "PROVIDER_HOST": "files"})

    found = parts_of_backup(backup, shipped_profiles())

    assert found.parts == ()
    assert "is not in the backup" in found.refusals[0]


def test_a_backup_of_a_profile_that_has_changed_since_is_refused():
    _stack, backup = both(V2, {**URL, **CACHE}, POSTGRES, REDIS)
    profiles = {name: profile for name, profile in shipped_profiles().items() if name != "evolution"}

    found = parts_of_backup(backup, profiles)

    assert [refusal for refusal in found.refusals if "the profile has no such rule any more" in refusal]
