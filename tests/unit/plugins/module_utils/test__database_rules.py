# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._database_rules import rules_of
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProfileError
from ansible_collections.crm.continuity.plugins.module_utils._module import validate
from ansible_collections.crm.continuity.plugins.module_utils._profile import load, sequence_rule
from ansible_collections.crm.continuity.tests.unit.fakes import shipped_profiles


def desk(**database):
    return {
        "name": "desk",
        "services": [{"name": "app", "images": ["example/desk"]}],
        "databases": [{"name": "desk", "service": "app", **database}],
    }


def test_ticketz_says_what_its_archives_hold_and_what_clears_its_sessions():
    found = rules_of(shipped_profiles(), "ticketz")

    assert next(iter(found.csv.classic)) == "Plans"
    assert list(found.csv.classic)[-1] == "Settings"
    assert len(found.csv.classic) == 18
    assert "online" not in found.csv.classic["Users"]
    assert found.csv.initial["Translations"] is None
    assert [step.name for step in found.reset] == ["credentials of the connections", "signal keys"]


def test_chatwoot_numbers_every_account_by_sequences_of_its_own():
    names = [
        rule.name
        for rule in rules_of(shipped_profiles(), "chatwoot").sequences
        if rule.like.fullmatch("conv_dpid_seq_12")
    ]

    assert names == ["conversations of an account"]


def test_without_a_profile_nothing_is_known():
    found = rules_of(shipped_profiles(), None)

    assert (found.csv.keep, found.sequences, found.reset) == ((), (), ())


def test_an_unknown_profile_is_named():
    with pytest.raises(ProfileError, match=r"no profile helpdesk\. Known here are chatwoot"):
        rules_of(shipped_profiles(), "helpdesk")


@pytest.mark.parametrize(
    ("database", "words"),
    [
        pytest.param({"csv": {"initial": {"A": "some"}}}, "initial A must be a number of rows, or any", id="initial"),
        pytest.param({"csv": {"initial": {"A": True}}}, "initial A must be a number of rows, or any", id="truth"),
        pytest.param({"csv": {"classic": {"A": "id"}}}, "classic A must be a list of columns", id="classic"),
        pytest.param(
            {"sequences": [{"name": "s", "like": "(", "table": "t", "column": "c"}]}, "regular expression", id="like"
        ),
        pytest.param(
            {"sequences": [{"name": "s", "like": "x", "table": "t", "column": "c", "where": {"a": "b"}}]},
            "no group named b",
            id="group",
        ),
    ],
)
def test_what_the_schema_cannot_say_is_refused_by_name(database, words):
    with pytest.raises(ProfileError, match=f"Profile desk: databases .desk..*{words}"):
        load([], [desk(**database)], validate)


def test_a_rule_of_a_task_is_read_like_one_of_a_profile():
    rule = sequence_rule("x", {"name": "s", "like": "a_(?P<n>.)", "table": "t", "column": "c", "where": {"k": "n"}})

    assert rule.like.fullmatch("a_1")["n"] == "1"
