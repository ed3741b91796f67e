# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after restores that were undone: by hand, in order, and by themselves."""

from __future__ import annotations

import re

import pytest

testinfra_hosts = ["ansible://mol-a"]

RESTORES = ["restored-tuesday", "restored-monday"]


def same(evidence, name, reference):
    return evidence.differences(name, evidence.directory / f"{reference}.json") == []


def test_the_three_states_are_really_different(evidence):
    for one, other in (("tuesday", "monday"), ("today", "tuesday")):
        differences = " ".join(evidence.differences(one, evidence.directory / f"{other}.json"))
        for part in ("postgresql", "volumes", "redis"):
            assert part in differences


@pytest.mark.parametrize(("after", "state"), [("after-tuesday", "tuesday"), ("after-monday", "monday")])
def test_each_restore_brings_its_own_state_also_on_top_of_another(evidence, after, state):
    assert same(evidence, after, state)


@pytest.mark.parametrize("run", RESTORES)
def test_it_says_how_long_services_were_away(evidence, run):
    said = evidence.said(run)
    found = re.search(r"away for ([\d.]+) s: ([\d.]+) s to stop, ([\d.]+) s to exchange, ([\d.]+) s to start", said)

    assert found is not None
    downtime, *parts = map(float, found.groups())
    assert 0 < sum(parts) <= downtime + 0.1


@pytest.mark.parametrize("run", RESTORES)
def test_it_says_how_to_go_back(evidence, run):
    assert re.search(r"crm\.continuity\.revert brings back what was there before, until 20", evidence.said(run))


def test_check_mode_of_revert_says_what_it_would_do(evidence):
    assert "What was there before would be brought back" in evidence.said("revert-check")


def test_restores_are_undone_in_the_opposite_order(evidence):
    assert same(evidence, "after-reverted-once", "tuesday")
    assert same(evidence, "after-reverted-twice", "today")
    assert "What was there before is live again. Services were away for" in evidence.said("reverted-once")


def test_to_go_back_once_more_takes_the_name_of_the_older_restore(evidence):
    assert re.search(r"mol-a : ok=\d+ changed=0 ", evidence.said("reverted-again"))


def test_both_are_kept_until_they_are_given_up(evidence):
    kept = evidence.read("kept-before-commit")

    # Of each: two databases, four volumes and a record.
    assert sum("__crm_staged_" in name for name in kept) == 4
    assert sum(".crm-restore-" in name for name in kept) == 8
    assert sum(name.endswith(".json") for name in kept) == 2
    assert evidence.read("kept-after-commit") == []


def test_commit_says_what_it_has_removed_and_when_there_is_nothing(evidence):
    assert re.search(r"Removed what restore \S+, \S+ had kept", evidence.said("committed-once"))
    assert "Nothing to do: nothing is kept." in evidence.said("committed-twice")


def test_a_restored_stack_that_does_not_work_is_exchanged_back_by_itself(evidence):
    said = evidence.said("restored-broken")

    assert not evidence.succeeded("restored-broken")
    assert "every WhatsApp instance is connected" in said
    assert "The stack has been brought back to what it was before the restore." in said
    assert same(evidence, "after-broken", "working")


def test_everything_runs_and_works_in_the_end(evidence):
    assert set(evidence.states("containers-after").values()) == {"running"}
    assert evidence.succeeded("validated")


def test_other_stacks_of_the_host_are_left_alone(evidence):
    before, after = evidence.starts("containers-before"), evidence.starts("containers-after")
    others = {name for name in before if not name.startswith("crm-")}

    assert len(others) == 3
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


@pytest.mark.parametrize("run", [*RESTORES, "reverted-once", "restored-broken"])
def test_no_secret_is_shown_at_any_verbosity(evidence, secrets, run):
    shown = evidence.output(run)

    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in shown] == []
