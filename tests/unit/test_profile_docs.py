# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/profiles.md and its Portuguese counterpart name every field, and what they show is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError
from ansible_collections.crm.continuity.plugins.module_utils._module import validate
from ansible_collections.crm.continuity.plugins.module_utils._profile import FIELDS, load
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped, shipped_profiles

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [DOCS / "profiles.md", DOCS / "pt-BR" / "profiles.md"]
ENGINE = FakeEngine([container("rails", "chatwoot/chatwoot:v4.15.1")])
WRONG_LABEL = FakeEngine([container("rails", "example/x", labels={"crm.continuity.profile": "chatwot"})])


@pytest.fixture(params=PAGES, ids=["en", "pt-BR"])
def page(request):
    return request.param.read_text(encoding="utf-8")


def examples(page):
    return [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)]


def fields(options):
    for name, field in options.items():
        yield name
        yield from fields(field.get("options", {}))


def test_every_field_is_described(page):
    named = {word for span in re.findall(r"`([^`\n]+)`", page) for word in re.split(r"[.\s]", span)}

    assert set(fields(FIELDS)) - named == set()


def test_the_profile_of_ones_own_is_sound(page):
    (own,) = [example for example in examples(page) if example.get("name") == "helpdesk"]

    assert load([], [own], validate)["helpdesk"].title == "Helpdesk"


def test_the_overrides_are_sound(page):
    found = [entry for example in examples(page) for entry in example.get("crm_profiles", ())]

    for entry in found:
        if isinstance(entry, dict):
            load(shipped(), [entry], validate)
    assert len(found) > 3


def test_both_languages_show_the_same_examples():
    english, portuguese = (examples(path.read_text(encoding="utf-8")) for path in PAGES)

    assert english == portuguese


def desk(**more):
    return {"name": "desk", "services": [{"name": "web", "images": ["example/desk"]}], **more}


IN_REDIS = {"name": "in Redis", "stores": [{"holds": "all", "place": "redis"}]}


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(desk(services=[{"name": "web", "images": ["example/desk:7"]}]), id="tag"),
        pytest.param({"name": "chatwoot", "volume": []}, id="unknown field"),
        pytest.param({"name": "chatwoot", "services": [{"name": "web", "freeze": "melt"}]}, id="choice"),
        pytest.param(desk(volumes=[{"path": "/x"}]), id="missing field"),
        pytest.param(desk(databases=[{"name": "d", "service": "api"}]), id="unknown part"),
        pytest.param(desk(volumes=[{"path": "data", "purpose": "x"}]), id="relative path"),
        pytest.param(desk(logs=[{"pattern": "[", "meaning": "x"}]), id="regular expression"),
        pytest.param(desk(session={"service": "web", "rules": [IN_REDIS]}), id="session"),
        pytest.param(
            desk(outside=[{"name": "media", "service": "web", "show": ["S3_SECRET_KEY"]}]), id="secret that is shown"
        ),
        pytest.param({"name": "desk", "extends": "chatwood"}, id="extends"),
    ],
)
def test_the_message_about_a_bad_profile_is_the_one_that_is_shown(page, profile):
    with pytest.raises(ContinuityError) as caught:
        shipped_profiles(profile)

    assert str(caught.value) in page


@pytest.mark.parametrize(
    ("engine", "requests"),
    [
        pytest.param(ENGINE, [Request("crm", ("chatwood",))], id="unknown profile"),
        pytest.param(ENGINE, [Request("crm", ("ticketz",))], id="no match"),
        pytest.param(WRONG_LABEL, [], id="label"),
    ],
)
def test_the_message_about_a_bad_request_is_the_one_that_is_shown(page, engine, requests):
    with pytest.raises(ContinuityError) as caught:
        find(engine, shipped_profiles(), requests)

    assert str(caught.value) in page
