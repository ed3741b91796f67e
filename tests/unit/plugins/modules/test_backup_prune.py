# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.modules import backup_hold, backup_prune
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root

IDS = [f"202611{day:02}T020000Z" for day in range(1, 6)]
KEEP = {"keep_last": 2}


@pytest.fixture
def root(tmp_path):
    root = Root(tmp_path / "root")
    for id_ in IDS:
        root.take(id_)
    return root


@pytest.fixture
def run(root, capsys):
    """Return a function that runs a module as Ansible would and returns its result."""

    def run_module(module=backup_prune, **params):
        with patch_module_args({"backup_root": str(root.path), **params}), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def hold(run, **params):
    return run(backup_hold, **{"stack": "crm", "id": IDS[0], "reason": "lawsuit 17", **params})


def ids(result, key):
    return [entry["id"] for entry in result["stacks"][0][key]]


def test_check_mode_says_what_the_real_run_does(run, root):
    said = run(retention=KEEP, _ansible_check_mode=True, _ansible_diff=True)
    between = root.names()
    done = run(retention=KEEP, _ansible_diff=True)
    again = run(retention=KEEP)

    assert between == IDS
    assert (said["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert (said["stacks"], said["diff"]) == (done["stacks"], done["diff"])
    assert (ids(done, "removed"), ids(done, "kept"), root.names()) == (IDS[:3], IDS[3:], IDS[3:])
    assert done["diff"]["before"].split() == [f"crm/{id_}" for id_ in IDS]
    assert done["diff"]["after"].split() == [f"crm/{id_}" for id_ in IDS[3:]]
    assert said["audit"] is None
    assert done["audit"]["sequence"] == len(root.log.read()[0])


def test_every_survivor_says_why(run):
    kept = run(retention=KEEP, _ansible_check_mode=True)["stacks"][0]["kept"]

    assert kept[-1] == {
        "id": IDS[-1],
        "standing": "verified",
        "why": None,
        "reasons": ["the newest", "min_verified 2", "keep_last 2"],
    }


def test_what_is_blocked_is_no_failure_unless_that_is_wanted(run, root):
    root.take("20261106T020000Z", anomalies=["far fewer rows"])

    reported, failed = run(retention=KEEP), run(retention=KEEP, fail_when_blocked=True)

    assert not reported.get("failed")
    assert reported["changed"] is False
    assert "is anomalous" in reported["stacks"][0]["blocked"]
    assert reported["stacks"][0]["kept"][-1]["why"] == "far fewer rows"
    assert failed["failed"]
    assert failed["msg"].startswith("crm: 3 backups that no rule keeps were not removed. The newest backup")
    assert failed["stacks"] == reported["stacks"]


def test_a_busy_stack_fails_with_what_was_done_elsewhere(run, root):
    for id_ in IDS:
        root.take(id_, "ticketz")
    with Store(str(root.path)).locked("crm"):
        result = run(retention=KEEP)

    assert result["failed"]
    assert "Stack crm is busy" in result["msg"]
    assert result["changed"] is True
    assert [len(one["removed"]) for one in result["stacks"]] == [0, 3]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({}, "missing required arguments: retention"),
        ({"retention": {}}, "retention has no rule"),
        ({"retention": {"keep": 1}}, "Unsupported parameters"),
        ({"retention": {"days": 1, "min_verified": 0}}, "at least 1 backup"),
        ({"retention": KEEP, "space_warn": 95}, "space_warn is 95"),
    ],
)
def test_what_makes_no_sense_is_refused(run, root, params, words):
    result = run(**params)

    assert result["failed"]
    assert words in result["msg"]
    assert root.names() == IDS


def test_a_held_backup_stays_and_holding_twice_changes_nothing(run, root):
    said = hold(run, _ansible_check_mode=True)
    first, again = hold(run), hold(run)
    run(retention=KEEP)
    names = root.names()
    released = hold(run, state="released", reason="it is over")
    run(retention=KEEP)

    assert (said["changed"], said["held"], said["audit"]) == (True, "lawsuit 17", None)
    assert (first["changed"], first["held"], again["changed"], again["audit"]) == (True, "lawsuit 17", False, None)
    assert names == [IDS[0], *IDS[3:]]
    assert (released["changed"], released["held"]) == (True, None)
    assert root.names() == IDS[3:]


def test_an_accepted_anomaly_counts_as_good(run, root):
    new = "20261106T020000Z"
    root.take(new, anomalies=["far fewer rows"])
    first = hold(run, id="latest", state="accepted", reason="a big clean-up", actor={"user": "ana"})
    again = hold(run, id=new, state="accepted", reason="a big clean-up")

    result = run(retention=KEEP)

    assert (first["changed"], first["standing"], again["changed"]) == (True, "verified", False)
    assert ids(result, "kept") == [IDS[-1], new]
    (event,) = [one for one in root.log.read()[0] if one.action == "accept"]
    assert (event.backup, event.actor["user"], event.facts["reason"]) == (new, "ana", "a big clean-up")


def test_a_good_backup_needs_no_acceptance(run):
    assert hold(run, state="accepted")["changed"] is False


@pytest.mark.parametrize(
    ("params", "words"),
    [({"id": "20200101T000000Z"}, "There is no backup 20200101T000000Z"), ({"reason": " "}, "reason is empty")],
)
def test_a_hold_that_cannot_be_is_an_error(run, params, words):
    result = hold(run, **params)

    assert result["failed"]
    assert words in result["msg"]
