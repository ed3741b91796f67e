# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.crm.continuity.plugins.filter.fleet_check import fleet_check
from ansible_collections.crm.continuity.plugins.filter.host_status import host_status
from ansible_collections.crm.continuity.plugins.module_utils._status_check import summed_up
from ansible_collections.crm.continuity.tests.unit import status_samples as samples


def lines_of(**statuses):
    return summed_up(statuses)["lines"]


def test_a_good_stack_has_one_line():
    assert lines_of(a=samples.good()) == [
        "a crm: OK: can be restored to 2026-11-22 02:00 UTC, 5 hours ago, verified to 2026-11-22 02:00 UTC, "
        "drilled 2026-11-16 07:00 UTC, 1234.6 MB in 43 s, frozen 0.3 s"
    ]


def test_a_bad_stack_also_has_a_line_for_each_problem():
    lines = lines_of(a=samples.damaged())

    assert lines[0].startswith("a crm: CRITICAL: can be restored to 2026-11-21 02:00 UTC, 29 hours ago")
    assert [line.partition(": Stack")[0] for line in lines[1:]] == ["a: critical stale", "a: critical damaged"]


def test_a_silent_host_has_its_place():
    lines = lines_of(b=samples.unreachable(), a=samples.good())

    assert lines[0].startswith("a crm: OK")
    assert lines[1] == "b: CRITICAL: no answer"
    assert lines[2].startswith("b: critical unreachable: The host cannot be reached")


def test_a_stack_without_a_backup_says_so():
    assert lines_of(a=samples.never())[0] == "a crm: CRITICAL: has no backup"


def test_a_stack_whose_backups_are_all_damaged_says_so():
    status = samples.with_stack(samples.damaged(), restorable_to=None)

    assert lines_of(a=status)[0] == "a crm: CRITICAL: cannot be restored"


def test_a_host_without_stacks_says_so():
    assert lines_of(a=samples.status())[0] == "a: OK: no stack"


@pytest.mark.parametrize("name", samples.EVERY)
def test_every_standing_can_be_told(name):
    answer = samples.EVERY[name]("a")

    told = summed_up({"a": answer})

    assert told["standing"] == answer["standing"]
    assert [problem["code"] for problem in told["problems"]] == [problem["code"] for problem in answer["problems"]]
    # Whatever is wrong is said, and nothing is said twice.
    assert len(told["lines"]) == max(len(answer["stacks"]), 1) + len(answer["problems"])


def test_hosts_are_counted_and_none_hides_another():
    told = summed_up(samples.fleet(200))

    assert (told["hosts"], told["ok"] + told["warning"] + told["critical"]) == (200, 200)
    assert told["standing"] == "critical"
    assert {problem["host"] for problem in told["problems"]} == {
        host for host, status in samples.fleet(200).items() if status["problems"]
    }


def test_a_host_that_was_never_asked_is_told():
    told = fleet_check({"a": samples.good(), "b": {}})

    assert (told["critical"], told["problems"][0]["host"], told["problems"][0]["code"]) == (1, "b", "broken")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"problems": "none"}, id="problems that are no list"),
        pytest.param({"stacks": None}, id="no stacks"),
        pytest.param({"at": "noon"}, id="no time"),
        pytest.param({"disk": {"percent": 10**400}}, id="a number that nothing holds"),
    ],
)
def test_a_host_whose_answer_makes_no_sense_hides_no_other(wrong):
    answer = {**samples.good(), **wrong}

    told = fleet_check({"a": answer, "b": samples.never("b")})
    noted = host_status({"status": answer}, "a")

    assert [(one["host"], one["code"]) for one in told["problems"]] == [("a", "broken"), ("b", "never")]
    assert [(one["code"], one["stack"]) for one in noted["problems"]] == [("broken", None)]


def test_a_stack_is_told_with_what_is_known_of_it():
    latest = {**samples.good()["stacks"][0]["latest"], "seconds": None, "freeze_seconds": None}
    status = {**samples.with_stack(samples.good(), latest=latest, last_drilled=None), "at": None}

    (line,) = fleet_check({"a": status})["lines"]

    assert line == (
        "a crm: OK: can be restored to 2026-11-22 02:00 UTC, verified to 2026-11-22 02:00 UTC, never drilled, "
        "1234.6 MB in 0 s, frozen 0.0 s"
    )


def test_no_host_at_all_is_no_failure():
    assert fleet_check({})["standing"] == "ok"


@pytest.mark.parametrize("wrong", [None, [], "all"])
def test_filters_say_what_they_need(wrong):
    with pytest.raises(AnsibleFilterError, match="fleet_check needs statuses by host, not"):
        fleet_check(wrong)
    with pytest.raises(AnsibleFilterError, match="host_status needs the registered result of a task, not"):
        host_status(wrong, "a")
