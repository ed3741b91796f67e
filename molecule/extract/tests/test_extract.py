# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after taking parts out of a backup, and a copy after its sessions were cleared."""

from __future__ import annotations

import re

import pytest

testinfra_hosts = ["ansible://mol-a"]

STACKS = ["crm", "ticketz"]
# Something came to this directory of the volume, or went.
TIME = re.compile(r"volumes › chatwoot_storage › [^:]+ › mtime_ns: ")  # noqa: RUF001 - compare.py writes it so


def differences(evidence, stack, name):
    return evidence.differences(f"{stack}-{name}", evidence.directory / f"{stack}-before.json")


def changed(evidence, name):
    return int(re.findall(r"changed=(\d+)", evidence.said(name))[-1])


# To look at


def test_what_was_taken_out_is_what_is_live(evidence):
    files, live_files, lines, looked_rows, live_rows = evidence.read("looked")

    assert files == live_files > 5
    assert lines == looked_rows == live_rows == 1000


def test_check_mode_predicts_and_a_second_run_changes_nothing(evidence):
    assert [changed(evidence, name) for name in ("folder-check", "folder", "folder-again")] == [1, 1, 0]


@pytest.mark.parametrize("stack", STACKS)
def test_looking_leaves_everything_as_it_was(evidence, stack):
    assert evidence.succeeded("absent")
    assert differences(evidence, stack, "looked") == []


# Back to its place


@pytest.mark.parametrize("stack", STACKS)
def test_what_was_lost_is_there_again_and_nothing_else_has_changed(evidence, stack):
    assert evidence.succeeded("file")
    assert evidence.succeeded("replaced")
    assert evidence.succeeded("emptied")
    found = differences(evidence, stack, "mended")
    # The file that was lost, and the one that was overwritten.
    assert len([line for line in found if TIME.match(line)]) == (2 if stack == "crm" else 0)
    assert [line for line in found if not TIME.match(line)] == []


def test_what_is_there_and_differs_is_not_replaced_without_a_word(evidence):
    assert "of the files are in" in evidence.said("overwritten")
    assert "is not empty: it holds 40 rows" in evidence.said("filled")


def test_no_service_was_stopped_for_that(evidence):
    assert evidence.starts("containers-mended") == evidence.starts("containers-before")


# Sessions


def test_clearing_is_predicted_complete_and_done_once(evidence):
    said = evidence.read("reset")

    counts = {
        name: [[entry["count"] for entry in result["cleared"]] for result in said[name]["results"]] for name in said
    }
    assert counts["check"] == counts["first"]
    assert all(count > 0 for result in counts["first"] for count in result)
    assert {count for result in counts["second"] for count in result} == {0}
    assert [result["changed"] for name in ("check", "first", "second") for result in said[name]["results"]] == [
        *(True, True),
        *(True, True),
        *(False, False),
    ]


def test_the_application_asks_to_be_paired_anew(evidence):
    assert not evidence.succeeded("unpaired")
    assert "every WhatsApp instance is connected" in evidence.said("unpaired")


@pytest.mark.parametrize(
    ("stack", "allowed"),
    # In that database of Redis, there was nothing else.
    [("crm", r'"Session"|"Instance"|redis › 6: is gone'), ("ticketz", r'"Whatsapps"|"BaileysKeys"')],  # noqa: RUF001
)
def test_nothing_but_sessions_is_cleared(evidence, stack, allowed):
    found = [line for line in differences(evidence, stack, "unpaired") if not TIME.match(line)]

    assert len(found) > 1
    assert [line for line in found if not re.search(allowed, line)] == []


# As a whole


def test_a_whole_database_is_not_replaced_without_the_name_of_its_stack(evidence):
    assert "To confirm, run it again with -e extract_confirm=crm" in evidence.said("unconfirmed")


@pytest.mark.parametrize("stack", STACKS)
def test_whole_volumes_and_databases_come_back_with_their_sessions(evidence, stack):
    assert evidence.succeeded("paired")
    assert differences(evidence, stack, "whole") == []


def test_every_service_runs_again(evidence):
    assert set(evidence.states("containers-whole").values()) == {"running"}


def test_nothing_is_left_beside_the_volumes(host):
    assert host.check_output("find /var/lib/docker/volumes -maxdepth 3 -name '.crm*'") == ""
