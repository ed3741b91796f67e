# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Semaphore can import the project of the starter repository, and start its templates."""

from __future__ import annotations

import copy
import json
import subprocess

import jsonschema
import pytest

from ansible_collections.crm.continuity.tests.consoles.conftest import STARTER, local_host, own_environment
from ansible_collections.crm.continuity.tests.consoles.semaphore import PROJECT, Task, arguments, dangling, start

PROJECT_FILE = json.loads((STARTER / "semaphore" / "project.json").read_text(encoding="utf-8"))
TEMPLATES = {template["name"]: template for template in PROJECT_FILE["templates"]}
TIMEOUT = 120


def test_the_project_has_the_shape_that_the_import_reads():
    jsonschema.validate(PROJECT_FILE, PROJECT)

    assert dangling(PROJECT_FILE) == []


def test_every_template_runs_a_playbook_that_is_there():
    assert [name for name, one in TEMPLATES.items() if not (STARTER / one["playbook"]).is_file()] == []


def test_what_runs_by_itself_needs_no_answers():
    scheduled = [TEMPLATES[schedule["template"]] for schedule in PROJECT_FILE["schedules"]]

    assert [one["name"] for one in scheduled if one["survey_vars"]] == []
    assert {one["name"] for one in scheduled} >= {"CRM backup", "CRM verify all", "CRM prune", "CRM check"}


def broken(kind, **more):
    project = copy.deepcopy(PROJECT_FILE)
    project[kind][0].update(more)
    return project


@pytest.mark.parametrize(
    ("project", "expected"),
    [
        pytest.param(broken("templates", repository="no such"), "there is no no such among repositories", id="name"),
        pytest.param(broken("templates", environments=["other"]), "there is no other among environments", id="group"),
        pytest.param(broken("templates", name="CRM verify"), "CRM verify is there twice", id="twice"),
        pytest.param(broken("templates", arguments='{"a": 1}'), "no list of texts", id="arguments"),
        pytest.param(broken("schedules", cron_format="@daily"), "no time for cron", id="time"),
        pytest.param(broken("environments", env='{"a": {}}'), "no scalar", id="scalar"),
        pytest.param(broken("inventories", ssh_key="lost"), "there is no lost among keys", id="key"),
    ],
)
def test_what_the_import_would_refuse_is_found(project, expected):
    assert expected in "; ".join(dangling(project))


@pytest.mark.parametrize(
    "project",
    [
        pytest.param(broken("schedules", active="yes"), id="text for a switch"),
        pytest.param(broken("templates", survey_vars=[{"name": "a", "default_value": "b"}]), id="default"),
        pytest.param({**PROJECT_FILE, "views": None}, id="no list"),
    ],
)
def test_another_shape_is_refused(project):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(project, PROJECT)


@pytest.fixture
def inventory(tmp_path, backups):
    """Return the path of an inventory with this machine, which has backups that age encrypted."""
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"all": {"hosts": {"here": local_host(backups["age"].root)}}}), encoding="utf-8")
    return str(path)


def test_a_template_runs_on_a_terminal_with_its_key_in_the_environment_alone(starter, inventory, backups, tmp_path):
    (key,) = backups["age"].secrets
    home = tmp_path / "home"
    home.mkdir()
    task = Task(TEMPLATES["CRM verify"], starter, home, inventory, secrets={"CRM_IDENTITY": key})

    status, shown = start(task, own_environment(home), TIMEOUT)

    assert status == 0, shown
    assert "the key opens all" in shown
    assert key not in shown
    assert key not in " ".join(arguments(task))


def test_the_password_of_a_vault_is_typed_and_what_it_opens_is_used(starter, backups, tmp_path):
    (passphrase,) = backups["aes256"].secrets
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "password").write_text("of the vault", encoding="utf-8")
    place = tmp_path / "inventory"
    (place / "group_vars").mkdir(parents=True)
    (place / "hosts.yml").write_text(
        json.dumps({"all": {"hosts": {"here": local_host(backups["aes256"].root)}}}), encoding="utf-8"
    )
    vault = place / "group_vars" / "all.yml"
    vault.write_text(json.dumps({"crm_passphrase": passphrase}), encoding="utf-8")
    encrypt = ["ansible-vault", "encrypt", "--vault-id", f"crm@{tmp_path}/password", str(vault)]
    subprocess.run(encrypt, env=own_environment(home), capture_output=True, timeout=60, check=True)
    task = Task(TEMPLATES["CRM verify"], starter, home, str(place / "hosts.yml"), vaults={"crm": "of the vault"})

    status, shown = start(task, own_environment(home), TIMEOUT)

    assert status == 0, shown
    assert "the key opens all" in shown
    assert passphrase not in shown


def test_answers_reach_the_playbook_as_texts(starter, inventory, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    answers = {"restore_hosts": "here", "restore_stack": "crm", "restore_id": "latest", "restore_confirm": "cmr"}

    status, shown = start(
        Task(TEMPLATES["CRM restore"], starter, home, inventory, answers), own_environment(home), TIMEOUT
    )

    # There is no engine, so it ends before it would compare the confirmation.
    assert status == 2, shown
    assert "Docker" in shown
