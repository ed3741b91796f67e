# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The starter repository brings an AWX to the state that it describes: with the real modules, against a fake API."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.tests.consoles.fake_awx import ENCRYPTED, TOKEN, FakeAwx, wrong_survey

ROOT = Path(__file__).resolve().parents[2]
STARTER = ROOT / "examples" / "starter"
# Of these there are many.
CUT = ("job_templates", "workflow_job_templates", "schedules")
STATE = json.loads((STARTER / "awx" / "awx.json").read_text(encoding="utf-8"))


def configure(awx, *arguments, expect=0, repository=STARTER):
    """Run the playbook as the starter's README says, and return the counts of its recap."""
    env = {
        **os.environ,
        "CONTROLLER_HOST": awx.url,
        "CONTROLLER_OAUTH_TOKEN": TOKEN,
        "ANSIBLE_CONFIG": str(STARTER / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": f"{ROOT}/build/awx:{ROOT}/build/link",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_PIPELINING": "true",
    }
    ran = subprocess.run(
        ["ansible-playbook", "awx/configure.yml", *arguments],
        cwd=repository,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == expect, ran.stdout + ran.stderr
    recap = ran.stdout.rsplit("PLAY RECAP", 1)[1].split(":", 1)[1]
    return {name: int(count) for name, count in (word.split("=") for word in recap.split())}


@pytest.fixture(scope="module")
def awx():
    with FakeAwx(STARTER) as fake:
        yield fake


@pytest.fixture(scope="module")
def configured(awx):
    """Return the counts of a first run."""
    return configure(awx)


def test_an_empty_awx_gets_all_of_it(awx, configured):
    assert configured["changed"] > 0
    assert configured["failed"] == 0
    for endpoint, things in STATE.items():
        built_in = {"Machine"} if endpoint == "credential_types" else set()
        assert {one["name"] for one in awx.things[endpoint].values()} - built_in == {one["name"] for one in things}


def test_a_job_runs_what_it_names_with_the_credentials_that_it_needs(awx, configured):
    job = awx.named("job_templates", "CRM restore")
    credentials = awx.lists["job_templates", job["id"], "credentials"]

    assert job["playbook"] == "playbooks/restore.yml"
    assert [awx.things["credentials"][one]["name"] for one in credentials] == ["CRM SSH key", "CRM backup keys"]


def test_a_restore_asks_for_the_name_of_the_stack_once_more(awx, configured):
    survey = awx.surveys["job_templates", awx.named("job_templates", "CRM restore")["id"]]["spec"]
    required = {one["variable"]: one["required"] and not one["default"] for one in survey}

    assert required == {"restore_hosts": True, "restore_stack": True, "restore_id": False, "restore_confirm": True}


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("CRM nightly", ["backup", "verify", "report", "notify", "check"]),
        ("CRM weekly", ["verify", "prune", "check"]),
    ],
)
def test_a_server_in_trouble_keeps_no_other_from_what_follows_and_fails_the_workflow(awx, configured, name, order):
    workflow = awx.named("workflow_job_templates", name)["id"]
    nodes = awx.things["workflow_job_template_nodes"].values()
    own = {one["identifier"]: one["id"] for one in nodes if one["workflow_job_template"] == workflow}

    def after(name, outcome):
        return awx.lists.get(("workflow_job_template_nodes", own[name], f"{outcome}_nodes"), [])

    assert own.keys() == set(order)
    for node, follower in itertools.pairwise(order):
        assert after(node, "always") == [own[follower]]
    assert not any(after(node, outcome) for node in order for outcome in ("success", "failure"))
    # Nothing handles a failure of the last one, so that it is that of the workflow.
    assert after(order[-1], "always") == []


def test_braces_reach_awx_as_they_are(awx, configured):
    injectors = awx.named("credential_types", "CRM backup keys")["injectors"]

    assert injectors == STATE["credential_types"][0]["injectors"]
    assert "{{" in injectors["env"]["CRM_PASSPHRASE"]


def test_a_second_run_changes_nothing_and_keeps_what_was_filled_in(awx, configured):
    keys = awx.named("credentials", "CRM backup keys")
    keys["inputs"] = {"passphrase": "filled in on the screen"}
    assert awx.show("credentials", keys)["inputs"] == {"passphrase": ENCRYPTED}
    awx.taken_writes()

    counts = configure(awx)

    assert counts["changed"] == counts["failed"] == 0
    assert awx.taken_writes() == {}
    assert keys["inputs"] == {"passphrase": "filled in on the screen"}


@pytest.fixture
def part(tmp_path):
    """Return the playbook with a part of the state, which takes less time."""
    (tmp_path / "awx").mkdir()
    (tmp_path / "awx" / "configure.yml").write_bytes((STARTER / "awx" / "configure.yml").read_bytes())
    weekly = {"CRM verify all", "CRM prune", "CRM check", "CRM weekly", "CRM weekly, Sunday 01:00"}
    small = {
        endpoint: [thing for thing in things if thing["name"] in weekly] if endpoint in CUT else things
        for endpoint, things in STATE.items()
    }
    (tmp_path / "awx" / "awx.json").write_text(json.dumps(small), encoding="utf-8")
    return tmp_path


def test_what_was_removed_and_changed_by_hand_is_brought_back(awx, configured, part):
    awx.delete("job_templates", "CRM prune")
    awx.named("schedules", "CRM weekly, Sunday 01:00")["enabled"] = False
    awx.taken_writes()

    predicted = configure(awx, "--check", repository=part)
    seen = awx.taken_writes()
    configure(awx, repository=part)
    written = awx.taken_writes()

    assert predicted["changed"] == 1
    assert predicted["failed"] == 0
    assert seen == {}
    assert written["POST job_templates"] == 1
    assert written["PATCH schedules"] == 1
    assert written["POST workflow_job_template_nodes"] == 1


def test_check_mode_of_an_empty_awx_says_what_would_come_and_does_nothing():
    with FakeAwx(STARTER) as empty:
        counts = configure(empty, "--check")

        assert counts["changed"] > 0
        assert counts["failed"] == 0
        assert empty.taken_writes() == {}


def test_nobody_is_configured_when_nobody_said_whom(monkeypatch):
    class Nowhere:
        url = ""

    assert configure(Nowhere(), expect=2)["failed"] == 1


def question(**more):
    return {"type": "text", "question_name": "Q", "variable": "q", "required": True, "default": "", **more}


@pytest.mark.parametrize(
    ("questions", "expected"),
    [
        pytest.param([question()], None, id="sound"),
        pytest.param([question(), question()], "duplicated", id="twice"),
        pytest.param([question(required="yes")], "'required' missing", id="text for a switch"),
        pytest.param([question(type="multiplechoice", choices=["a"], default="b")], "default", id="no choice"),
        pytest.param([], "any items", id="empty"),
    ],
)
def test_the_fake_refuses_surveys_that_awx_would_refuse(questions, expected):
    problem = wrong_survey({"name": "", "description": "", "spec": questions})

    assert problem is None if expected is None else expected in problem
