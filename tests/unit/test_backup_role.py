# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the hosts of one run begin, that none stops another, and what they leave to the jobs that follow."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROOT = Path(__file__).resolve().parents[2]
ROLE = ROOT / "roles" / "backup"
HOSTS = [f"host{number:03d}" for number in range(24)]


def load(part):
    return DataLoader().load_from_file(str(ROLE / part / "main.yml"), trusted_as_template=True)


def delays(**settings):
    """Return for how many seconds each host of a run waits."""
    common = {**load("defaults"), "ansible_play_batch": HOSTS, "ansible_forks": 5, **settings, **load("vars")}
    templars = [Templar(DataLoader(), variables={**common, "inventory_hostname": host}) for host in HOSTS]
    return [int(templar.template(common["__backup_delay"])) for templar in templars]


def left(results, check_mode=False):
    """Return what a host leaves to the jobs that follow in a workflow."""
    (task,) = [task for task in load("tasks") if "ansible.builtin.set_stats" in task]
    variables = {"inventory_hostname": "web-1", "backup_results": results, "ansible_check_mode": check_mode}
    return Templar(DataLoader(), variables=variables).template(task["ansible.builtin.set_stats"]["data"])["crm_backup"]


def names(**variables):
    """Return the stacks that a host tries to back up."""
    return Templar(DataLoader(), variables={**load("vars"), **variables}).template(load("vars")["__backup_names"])


def test_a_stack_that_is_named_is_tried_whether_it_is_there_or_not():
    (find,) = [task for task in load("tasks") if "crm.continuity.stack_info" in task]

    assert find["when"] == "not backup_stacks"
    assert names(backup_stacks=[{"name": "crm"}, {"name": "gone"}]) == ["crm", "gone"]
    assert names(backup_stacks=[], __backup_found={"stacks": [{"name": "crm"}]}) == ["crm"]


def test_nobody_waits_unless_asked_to():
    assert set(delays()) == {0}


def test_hosts_that_begin_at_once_are_spread_the_same_way_every_night():
    found = delays(crm_splay=900, ansible_forks=24)

    assert found == delays(crm_splay="900", ansible_forks=24)
    assert min(found) >= 0
    assert 600 < max(found) < 900
    assert len(set(found)) > 20


@pytest.mark.parametrize(
    ("settings", "at_once"),
    [
        ({"ansible_forks": 5}, 5),
        ({"ansible_forks": 15, "crm_batch": 3}, 3),
        ({"ansible_forks": 4, "crm_batch": 50}, 4),
        ({"ansible_forks": 15, "crm_batch": "0"}, 15),
    ],
)
def test_who_waited_for_a_fork_does_not_keep_it_from_others_by_waiting_on(settings, at_once):
    found = delays(crm_splay=900, **settings)

    assert all(found[:at_once])
    assert not any(found[at_once:])


def test_the_outcome_names_what_was_taken_and_what_failed_before_it_began_too():
    taken = {"__backup_stack": "crm", "stack": "crm", "failed": False, "directory": "/b/crm/20261122T020000Z"}
    early = {"__backup_stack": "other", "failed": True, "msg": "crm_progress is 'loud'."}

    assert left([taken, early]) == {"web-1": {"taken": ["/b/crm/20261122T020000Z"], "failed": ["other"]}}
    assert left([taken], check_mode=True) == {"web-1": {"taken": [], "failed": []}}


@pytest.mark.parametrize("name", ["backup", "verify", "prune", "report", "check", "notify"])
def test_no_setting_of_elsewhere_lets_one_host_stop_the_others(name):
    (play,) = DataLoader().load_from_file(str(ROOT / "playbooks" / f"{name}.yml"))

    assert play["any_errors_fatal"] is False
    assert "serial" not in play
    assert "max_fail_percentage" not in play
