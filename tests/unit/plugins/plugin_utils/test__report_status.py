# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts said of themselves is believed only as far as its type goes, and nobody is missing."""

from __future__ import annotations

import json

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._report_status import did_not_answer, misfit, plain, read
from ansible_collections.crm.continuity.tests.unit import report_samples as reports
from ansible_collections.crm.continuity.tests.unit import status_samples as samples


class Tagged(str):
    """A text of Ansible's, which is more than a text."""

    __slots__ = ()


@pytest.mark.parametrize("kind", samples.EVERY)
def test_whatever_backup_status_answers_is_read_as_it_is(kind):
    answer = samples.EVERY[kind]("crm-a")

    assert read("crm-a", answer) == plain(answer)


def test_a_host_of_which_nothing_is_known_has_a_problem():
    status = read("crm-a", None)

    assert status["standing"] == "critical"
    assert [problem["code"] for problem in status["problems"]] == ["broken"]
    assert did_not_answer(status)


def broken(**changes):
    return {**reports.status(reports.stack()), **changes}


@pytest.mark.parametrize(
    ("status", "wrong"),
    [
        pytest.param([], "it is no dictionary", id="a list"),
        pytest.param("ok", "it is no dictionary", id="a text"),
        pytest.param(broken(standing="fine"), "standing is no standing", id="a standing that there is not"),
        pytest.param(broken(problems=None), "problems is no list", id="no problems"),
        pytest.param(broken(stacks=[{"stack": 7}]), "stacks[0].stack is no text", id="a number for a name"),
        pytest.param(
            broken(stacks=[reports.stack(restorable_to="yesterday")]), "restorable_to is no time", id="no time"
        ),
        pytest.param(
            broken(stacks=[reports.stack(restorable_to="0001-01-01T00:00:00+00:00")]), "is no time", id="a time of old"
        ),
        pytest.param(broken(stacks=[reports.stack(bytes=True)]), "bytes is no number", id="true for a number"),
        pytest.param(broken(disk={"percent": float("nan")}), "disk.percent is missing", id="not a number"),
        pytest.param(broken(disk={"percent": 10**400}), "disk.percent is no number", id="too large a number"),
        pytest.param(broken(disk={}), "disk.percent is missing", id="missing"),
        pytest.param(
            broken(stacks=[reports.stack(history=[{"id": "x"}])]), "history[0].cut_at is missing", id="deep inside"
        ),
    ],
)
def test_an_answer_of_another_shape_is_a_problem_that_names_the_field(status, wrong):
    told = read("crm-a", status)

    assert told["standing"] == "critical"
    assert told["stacks"] == []
    assert wrong in told["problems"][0]["message"]


def test_only_the_types_of_json_are_left():
    told = plain({Tagged("a"): [Tagged("b"), (1, 2.5, None, True)], "half": "\ud800"})

    assert told == {"a": ["b", [1, 2.5, None, True]], "half": "?"}
    assert {type(key) for key in told} == {str}
    assert not isinstance(told["a"][0], Tagged)


def test_what_json_has_no_word_for_and_what_lies_too_deep_is_null():
    deep: object = "bottom"
    for _level in range(5000):
        deep = {"more": [deep]}

    told = plain({"number": float("nan"), "deep": deep})

    assert told["number"] is None
    assert "bottom" not in json.dumps(told, allow_nan=False)


def test_no_host_fills_the_page():
    flood = samples.with_stack(samples.good(), history=[reports.past(1)] * 5000, failures=[{"at": reports.AT}] * 5000)
    flood["problems"] = [reports.problem("anomalous", "warning", "Odd.")] * 5000
    flood["problems"].append(reports.problem("failed", "critical", "No."))

    told = read("crm-a", flood)

    assert len(told["problems"]) == 200
    assert told["problems"][0]["code"] == "failed"
    assert (len(told["stacks"][0]["history"]), len(told["stacks"][0]["failures"])) == (30, 5)


def test_what_fits_has_no_fault():
    assert misfit({"a": None, "b": [{"c": 1}]}, {"a": "text?", "b": [{"c": "number"}]}) is None
