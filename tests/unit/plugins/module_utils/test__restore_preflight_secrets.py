# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._engine import Image
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.module_utils._profile import Secret
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import Composed, Unknown
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_secrets import (
    check,
    of_backup,
    of_target,
)
from ansible_collections.crm.continuity.tests.unit.fakes import (
    FakeEngine,
    artifact,
    container,
    manifest,
    shipped_profiles,
    source,
)

PROFILES = shipped_profiles()
MANIFEST = manifest()
VALUE, OTHER = "correct-horse", "battery-staple"
SET = {"SECRET_KEY_BASE": VALUE}


def told(before, after, wanted=MANIFEST, profiles=PROFILES):
    return check(
        wanted,
        profiles,
        {"rails": before} if before is not None else {},
        {"rails": after} if after is not None else {},
        "x",
    )


def test_the_same_secrets_are_fine():
    (found,) = told(SET, SET)

    assert (found.check, found.severity, found.subject) == ("secrets", "ok", "chatwoot")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (SET, {"SECRET_KEY_BASE": OTHER}, "differs from the backup's"),
        (SET, {}, "was set when the backup was taken, and would not be"),
        (SET, {"SECRET_KEY_BASE": ""}, "was set when the backup was taken, and would not be"),
        ({}, {"SECRET_KEY_BASE": OTHER}, "was not set when the backup was taken, and would be"),
    ],
)
def test_a_secret_that_differs_is_named_with_what_breaks_and_never_with_its_value(before, after, words):
    (found,) = [entry for entry in told(before, after) if entry.subject == "SECRET_KEY_BASE"]

    assert found.severity == "refuse"
    assert words in found.message
    assert "links to attachments" in found.message
    assert not any(value in found.message for value in (VALUE, OTHER))


@pytest.mark.parametrize(("severity", "expected"), [("warn", "warn"), ("refuse", "refuse")])
def test_the_profile_says_how_bad_it_is(severity, expected):
    profile = replace(PROFILES["chatwoot"], secrets=(Secret("TOKEN", None, severity),))
    wanted = manifest(source=source(secrets={"chatwoot": ["TOKEN"]}))

    (found,) = told({"TOKEN": VALUE}, {"TOKEN": OTHER}, wanted, {"chatwoot": profile})

    assert found.severity == expected
    assert "What was encrypted or signed with it is lost." in found.message


def test_another_service_of_the_same_stack_does_not_count():
    other = {"SECRET_KEY_BASE": OTHER}

    found = check(MANIFEST, PROFILES, {"rails": SET, "proxy": SET}, {"rails": SET, "proxy": other}, "x")

    assert [entry.severity for entry in found] == ["ok"]


@pytest.mark.parametrize(("before", "after"), [(None, SET), (SET, None)])
def test_what_cannot_be_compared_is_not_fine(before, after):
    (found,) = told(before, after)

    assert (found.severity, found.subject) == ("warn", "chatwoot")
    assert "SECRET_KEY_BASE" in found.message


def test_a_secret_that_only_a_file_held_is_not_fine():
    (found,) = told({}, {})

    assert found.severity == "warn"
    assert "SECRET_KEY_BASE of chatwoot was set in a file" in found.message


def test_a_profile_that_is_not_known_is_not_compared():
    assert check(MANIFEST, {}, {"rails": SET}, {"rails": {}}, "x") == []


@pytest.fixture
def described(tmp_path):
    """A backup with the engine's description of a container."""
    (tmp_path / "config").mkdir()
    path = tmp_path / "config" / "containers.json"
    labels = {"com.docker.compose.service": "rails"}
    path.write_text(json.dumps([{"Name": "/crm-rails-1", "Config": {"Env": ["A=b=c", "D"], "Labels": labels}}]))
    entry = artifact("config/containers.json", "config", sha256=file_sha256(str(path)).sha256)
    return tmp_path, manifest(artifacts=(entry,))


def test_the_environments_of_a_backup_are_read(described):
    directory, wanted = described

    assert of_backup(wanted, str(directory)) == {"rails": {"A": "b=c", "D": ""}}


def test_a_backup_without_them_has_none(tmp_path):
    assert of_backup(MANIFEST, str(tmp_path)) == {}


def test_a_description_that_was_changed_is_an_error(described):
    directory, wanted = described
    (directory / "config" / "containers.json").write_text("[]")

    with pytest.raises(StoreError, match=r"containers.json is damaged"):
        of_backup(wanted, str(directory))


def test_compose_wins_over_the_image_and_both_over_what_runs_now():
    engine = FakeEngine()
    engine.images["a:1"] = Image("sha256:x", (), {"KEY": "image", "MORE": "image"})
    compose = Composed("the files", {"services": {"rails": {"image": "a:1", "environment": {"KEY": "compose"}}}})

    assert of_target(engine, compose, {"rails": container("rails", "a:1", env={"KEY": "now"})}) == (
        {"rails": {"KEY": "compose", "MORE": "image"}},
        "the files",
    )


def test_without_compose_the_containers_say_it():
    found, origin = of_target(FakeEngine(), Unknown("x"), {"rails": container("rails", "a:1", env={"KEY": "now"})})

    assert (found, origin) == ({"rails": {"KEY": "now"}}, "the containers that are there")
