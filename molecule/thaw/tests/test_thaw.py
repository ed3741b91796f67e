# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after a backup was hit while everything stood still."""

from __future__ import annotations

import re

import pytest

BLOWS = ["killed", "both_killed", "abandoned", "rebooted", "halted", "damaged"]
SIDEKIQ = "crm-chatwoot_sidekiq-1"
FROZEN = ["crm-chatwoot-1", "crm-evolution_api-1", "crm-redis-1"]


@pytest.mark.parametrize("blow", BLOWS)
def test_the_blow_fell_while_everything_stood_still(evidence, blow):
    struck = evidence.read(f"{blow}-struck")

    # The watchdog may be faster than the look at it.
    if blow != "killed":
        assert len(struck["frozen"]) == len(FROZEN)
        assert struck["journals"] == ["crm.json"]


@pytest.mark.parametrize("blow", BLOWS)
def test_in_the_end_everything_that_ran_runs_and_nothing_stands_still(evidence, blow):
    end = evidence.read(f"{blow}-end")

    assert evidence.states(f"{blow}-end-containers") == evidence.states("beforehand-containers")
    assert end == {"frozen": [], "journals": []}


def test_after_a_backup_that_ended_there_is_nothing_to_do(evidence):
    assert "Nothing stands still, and nothing has to be started." in evidence.said("nothing")
    assert re.search(r"mol-a : ok=\d+ changed=0 ", evidence.said("nothing"))


def test_check_mode_says_what_would_be_done_and_does_not(evidence):
    said = evidence.said("both_killed-check")

    assert f"crm: {SIDEKIQ}: would be started" in said
    for container in FROZEN:
        assert f"crm: {container}: would be thawed" in said
    assert evidence.read("both_killed-after-check") == evidence.read("both_killed-struck")
    assert evidence.states("both_killed-after-check-containers")[SIDEKIQ] == "exited"


def test_the_playbook_brings_everything_back_and_says_what(evidence):
    said = evidence.said("both_killed-thaw")

    assert f"crm: {SIDEKIQ}: started" in said
    for container in FROZEN:
        assert f"crm: {container}: thawed" in said
    assert re.search(r"mol-a : ok=\d+ changed=1 ", said)


def test_the_second_run_changes_nothing(evidence):
    assert re.search(r"mol-a : ok=\d+ changed=0 ", evidence.said("both_killed-again"))
    assert evidence.starts("both_killed-after-again-containers") == evidence.starts("both_killed-after-thaw-containers")


def test_the_installed_program_does_the_same_without_ansible(evidence):
    assert sorted(evidence.read("abandoned-then")) == sorted(
        [f"crm: {SIDEKIQ}: start", *(f"crm: {container}: thaw" for container in FROZEN)]
    )
    assert evidence.read("abandoned-before") == {"frozen": [], "journals": []}


def test_after_a_reboot_what_does_not_run_is_started_also_when_it_was_created_anew(evidence):
    said = [line for line in evidence.read("rebooted-then") if line.startswith("crm: ")]

    assert sorted(said) == [f"crm: {SIDEKIQ}: start", "crm: crm-evolution_api-1: start"]
    assert evidence.read("rebooted-before") == {"frozen": [], "journals": []}


def test_the_installed_program_leaves_a_living_backup_alone(evidence):
    assert evidence.read("halted-then") == []
    assert evidence.read("halted-before") == evidence.read("halted-struck")


def test_a_living_backup_is_only_thawed_by_force_and_fails_then(evidence):
    assert re.search(
        r"Stack crm is being backed up by process \d+ since .*thaw_force=true", evidence.said("halted-refused")
    )
    assert evidence.read("halted-after-refused") == evidence.read("halted-struck")
    assert evidence.read("halted-after-forced") == {"frozen": [], "journals": ["crm.json"]}
    assert "did not stand still until the end" in evidence.read("halted-ended")["msg"]


def test_a_damaged_journal_is_named_with_what_to_do(evidence):
    said = evidence.said("damaged-refused")

    assert re.search(
        r"/var/lib/crm\.continuity/journal/crm\.json is damaged .* thaw_stack=crm and thaw_force=true", said
    )
    assert evidence.read("damaged-after-refused") == evidence.read("damaged-struck")


def test_with_force_what_stands_still_is_thawed_and_what_does_not_run_is_listed(evidence):
    said = evidence.said("damaged-forced")

    for container in FROZEN:
        assert f"crm: {container}: thawed" in said
    assert f"Service chatwoot_sidekiq: container {SIDEKIQ} is exited. Is it meant to be?" in said
    assert evidence.read("damaged-after-forced") == {"frozen": [], "journals": ["crm.json.damaged"]}


def test_no_backup_that_was_hit_is_listed_and_the_next_one_succeeds(evidence):
    assert evidence.read("thaw-left") == ["audit.jsonl", "crm", "crm/.lock", f"crm/{evidence.read('id')}"]
