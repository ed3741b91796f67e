# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a restore does not begin, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

ROLE = Path(__file__).resolve().parents[2] / "roles" / "restore"
OCCUPIED = {"id": "20261122T020000Z", "stack": "crm", "problems": [], "occupied": ["volume crm_storage"]}
EMPTY = {**OCCUPIED, "occupied": []}
MANY = ["web-1", "web-2", "web-3", "web-4"]


def load(path):
    return DataLoader().load_from_file(str(ROLE / path), trusted_as_template=True)


def templar(plan=None, hosts=("web-1",), **settings):
    common = {**load("defaults/main.yml"), **load("vars/main.yml"), "__restore_plan": plan or OCCUPIED}
    return Templar(DataLoader(), variables={**common, "ansible_play_hosts_all": list(hosts), **settings})


def refusal(*arguments, **settings):
    return templar(*arguments, **settings).template(load("vars/main.yml")["__restore_refusal"])


def test_data_are_replaced_when_the_stack_was_named_once_more():
    assert refusal(restore_confirm="crm") == ""
    assert "To confirm, run it again with -e restore_confirm=crm" in refusal(restore_confirm="cmr")
    assert refusal(EMPTY) == ""


def test_a_run_over_several_hosts_replaces_nothing_unless_that_was_meant():
    words = refusal(hosts=MANY, restore_confirm="crm")

    assert words.startswith("This run is over 4 hosts (web-1, web-2, web-3 …), and would replace data on each of them.")
    assert "--limit" in words
    assert refusal(hosts=MANY, restore_confirm="crm", restore_many="true") == ""
    assert refusal(EMPTY, hosts=MANY) == ""


@pytest.mark.parametrize("settings", [{"restore_confirm": "crm"}, {"restore_confirm": "crm", "restore_many": True}])
def test_what_is_in_the_way_is_said_first(settings):
    assert "The disk is full." in refusal({**OCCUPIED, "problems": ["The disk is full."]}, hosts=MANY, **settings)


def test_a_run_over_several_hosts_takes_nothing_back_unless_that_was_meant():
    guard, back = load("tasks/revert.yml")[:2]
    condition = trust_as_template("{{ " + guard["ansible.builtin.assert"]["that"] + " }}")

    assert "crm.continuity.stack_cutover" in back
    assert [
        templar(hosts=hosts, restore_many=many).template(condition)
        for hosts, many in ((["web-1"], False), (MANY, False), (MANY, True))
    ] == [True, False, True]
