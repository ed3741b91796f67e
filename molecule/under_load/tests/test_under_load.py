# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator gets from a backup that was taken while everything wrote as fast as it could."""

from __future__ import annotations

import itertools

import pytest

testinfra_hosts = ["ansible://mol-b"]

ROUNDS = range(1, 6)
WRITERS = {"0", "1", "2", "90"}
# Between two backups, of each writer; an idle one would prove nothing.
FEWEST_STEPS = 200


@pytest.fixture(scope="module")
def agreed(evidence):
    """Return what the check of each backup has found."""
    return [evidence.read(f"agreed-{number}") for number in ROUNDS]


@pytest.mark.parametrize("number", ROUNDS)
def test_the_playbook_succeeds(evidence, number):
    assert evidence.succeeded(f"backup-{number}")


@pytest.mark.parametrize("number", ROUNDS)
def test_files_rows_and_keys_of_a_backup_are_of_one_instant(evidence, number):
    assert evidence.read(f"agreed-{number}")["problems"] == []


def test_every_writer_wrote_all_the_time(agreed):
    for before, after in itertools.pairwise(found["numbers"] for found in agreed):
        assert before.keys() == after.keys() == WRITERS
        assert all(after[writer] - before[writer] > FEWEST_STEPS for writer in WRITERS)


def test_every_session_moved_on_all_the_time(agreed):
    for before, after in itertools.pairwise(found["generations"] for found in agreed):
        assert before.keys() == after.keys()
        assert len(before) == 2
        assert all(after[session] > before[session] for session in before)


def test_the_applications_served_their_clients(evidence):
    used = evidence.read("clients")

    assert min(used["done"][what] for what in ("messages", "uploads", "deletions")) > len(ROUNDS)
    assert used["failed"] == {}


def test_the_restore_succeeds(evidence):
    assert evidence.succeeded("restore")


def test_the_writers_find_after_the_restore_that_all_of_theirs_agrees(evidence):
    said = evidence.read("writers")

    assert {line.split()[1] for line in said if "files, row and key agree" in line} == WRITERS
    assert [line for line in said if "DISAGREES" in line] == []


def test_every_session_is_open_after_the_restore(evidence):
    assert set(evidence.read("sessions").values()) == {"open"}


def test_every_service_runs(evidence):
    states = evidence.states("containers-after")

    assert len(states) == 6
    assert set(states.values()) == {"running"}
