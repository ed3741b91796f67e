# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError
from ansible_collections.crm.continuity.plugins.modules import stack_info
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import container, shipped


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm", and another that no profile describes."""
    host = crm_host(tmp_path, monkeypatch)
    host.by_id["blog"] = container("wordpress", "wordpress", project="blog", id="blog")
    monkeypatch.setattr(stack_info, "connect", lambda *_arguments: host)
    return host


@pytest.fixture
def run(host, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with patch_module_args({"shipped_profiles": shipped(), **params}), pytest.raises(SystemExit):
            stack_info.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_every_stack_that_a_profile_matches_is_found_and_nothing_changes(run, host):
    result = run()

    assert result["changed"] is False
    (stack,) = result["stacks"]
    assert (stack["name"], stack["profiles"]) == ("crm", ["chatwoot", "evolution"])
    assert host.calls == []


def test_details_are_measured_and_asked_for(run):
    (stack,) = run()["stacks"]

    assert {volume["name"]: volume["files"] for volume in stack["volumes"]}["crm_storage"] == 2
    assert stack["databases"][0]["server_version"] == "17.2"
    assert stack["redis"][0]["version"] == "7.2.4"


def test_without_details_nothing_is_asked(run, host):
    (stack,) = run(details=False)["stacks"]

    assert "files" not in stack["volumes"][0]
    assert "server_version" not in stack["databases"][0]
    assert host.server.connections == []
    # But for what an application reads inside its container, nobody is.
    assert {stage.argv[0] for stage in host.stages} == {"cat"}


def test_check_mode_gives_the_same(run):
    assert run(_ansible_check_mode=True)["stacks"] == run()["stacks"]


def test_no_secret_is_returned(run):
    assert SECRET not in json.dumps(run())


def test_a_stack_may_be_asked_for_with_its_profiles_and_directory(run, tmp_path):
    (stack,) = run(stacks=[{"name": "crm", "profiles": ["chatwoot"], "project_dir": str(tmp_path)}])["stacks"]

    assert (stack["profiles"], stack["project_dir"]) == (["chatwoot"], str(tmp_path))


def test_a_stack_without_a_profile_is_described_when_it_is_asked_for(run):
    (stack,) = run(stacks=[{"name": "blog"}])["stacks"]

    assert (stack["name"], stack["profiles"]) == ("blog", [])


def test_an_unknown_stack_fails_with_those_that_are_there(run):
    result = run(stacks=[{"name": "cmr"}])

    assert result["failed"]
    assert result["msg"] == "There is no stack cmr on this host. This host runs blog, crm."
    assert result["stack"] == "cmr"


def test_an_unknown_profile_fails_with_those_that_there_are(run):
    result = run(stacks=[{"name": "crm", "profiles": ["chatwood"]}])

    assert result["failed"]
    assert "there is no profile chatwood. Known are chatwoot, evolution, ticketz" in result["msg"]


def test_a_bad_profile_fails_with_the_field(run):
    result = run(profiles=[{"name": "own", "services": [{"name": "web", "colour": "blue"}]}])

    assert result["failed"]
    assert "own" in result["msg"]
    assert "colour" in result["msg"]


def test_a_profile_of_the_user_is_used(run, host):
    own = {"name": "blog", "services": [{"name": "web", "images": ["wordpress"]}]}

    result = run(profiles=[own])

    assert [(stack["name"], stack["profiles"]) for stack in result["stacks"]] == [
        ("blog", ["blog"]),
        ("crm", ["chatwoot", "evolution"]),
    ]


def test_an_engine_that_does_not_answer_is_a_failure(run, monkeypatch):
    def refuse(host, timeout):
        raise EngineError(f"No Docker daemon answers at {host} within {timeout}.", host=host)

    monkeypatch.setattr(stack_info, "connect", refuse)

    result = run(docker_host="tcp://192.0.2.1:2375", docker_timeout=3)

    assert result["failed"]
    assert result["msg"] == "No Docker daemon answers at tcp://192.0.2.1:2375 within 3."
    assert result["host"] == "tcp://192.0.2.1:2375"


def test_what_does_not_answer_is_no_failure(run, host):
    host.server.refuses["chatwoot"] = "No PostgreSQL answers"
    os.rename(host.data("crm_redis"), host.directory / "elsewhere")

    result = run()

    (stack,) = result["stacks"]
    assert not result.get("failed")
    assert stack["databases"][0]["error"] == "No PostgreSQL answers"
