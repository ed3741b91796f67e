# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The starter repository is complete, agrees with the roles, holds no secret, and works from the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import yaml

from ansible_collections.crm.continuity.tests.consoles.conftest import (
    GONE,
    ROOT,
    STARTER,
    local_host,
    own_environment,
    run,
)

CONSOLE = yaml.safe_load((STARTER / "console.yml").read_text(encoding="utf-8"))
# What the import of a playbook cannot be tried without: a part of another issue comes with the playbook itself.
PLAYBOOKS = sorted((ROOT / "playbooks").glob("*.yml"))
QUESTIONS = [
    pytest.param(job, question, id=f"{job['name']}: {question['variable']}")
    for job in CONSOLE["jobs"]
    for question in job.get("survey", [])
]


def play_of(name):
    ((play),) = yaml.safe_load((ROOT / "playbooks" / f"{name}.yml").read_text(encoding="utf-8"))
    return play


def options_of(play):
    """Return what the role of a playbook documents, by name."""
    (task,) = play["tasks"]
    imported = task.get("ansible.builtin.import_role") or task["ansible.builtin.include_role"]
    role = imported["name"].removeprefix("crm.continuity.")
    specs = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return specs["argument_specs"][imported.get("tasks_from", "main")]["options"]


@pytest.mark.parametrize("playbook", PLAYBOOKS, ids=lambda path: path.stem)
def test_every_playbook_of_the_collection_has_one_that_a_console_can_choose(playbook):
    path = STARTER / "playbooks" / playbook.name

    *_guards, play = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert play["ansible.builtin.import_playbook"] == f"crm.continuity.{playbook.stem}"


def test_no_playbook_imports_what_is_not_there():
    found = {path.name for path in (STARTER / "playbooks").iterdir()}

    assert found == {"one_server.yml", *(path.name for path in PLAYBOOKS)}


def test_the_files_of_the_consoles_are_what_console_yml_says():
    run([sys.executable, str(STARTER / "generate.py"), "--check"])


def test_a_file_that_is_not_what_console_yml_says_is_found(tmp_path):
    for name in ("console.yml", "generate.py"):
        (tmp_path / name).write_bytes((STARTER / name).read_bytes())
    for name in ("awx/awx.json", "semaphore/project.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("{}", encoding="utf-8")

    ran = subprocess.run(
        [sys.executable, str(tmp_path / "generate.py"), "--check"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert "awx/awx.json, semaphore/project.json" in ran.stderr


def test_a_time_zone_that_does_not_exist_is_refused(tmp_path):
    """Semaphore would import it, and never start anything."""
    (tmp_path / "generate.py").write_bytes((STARTER / "generate.py").read_bytes())
    console = (STARTER / "console.yml").read_text(encoding="utf-8")
    (tmp_path / "console.yml").write_text(
        console.replace("timezone: America/Sao_Paulo", "timezone: America/SaoPaulo"), encoding="utf-8"
    )

    ran = subprocess.run([sys.executable, str(tmp_path / "generate.py")], capture_output=True, text=True, check=False)

    assert ran.returncode == 1
    assert "America/SaoPaulo is no time zone" in ran.stderr
    assert not (tmp_path / "awx").exists()


@pytest.mark.parametrize(("job", "question"), QUESTIONS)
def test_a_question_is_one_that_the_role_understands(job, question):
    play = play_of(job["playbook"])
    name = question["variable"]
    if name in play["hosts"]:
        assert question["required"]
        return

    option = options_of(play)[name]

    # An answer is a text, whatever was asked for.
    assert option["type"] == "str"
    assert set(question.get("choices", [])) <= set(option.get("choices", []))
    assert question.get("default", "") in ("", option.get("default"))
    # Nobody types a name for it to be ignored, and an empty answer must not be worse than none.
    assert question["required"] or option.get("default") == ""


@pytest.mark.parametrize("job", [job for job in CONSOLE["jobs"] if "variables" in job], ids=lambda job: job["name"])
def test_what_a_job_sets_is_a_variable_of_its_role(job):
    options = options_of(play_of(job["playbook"]))

    assert job["variables"].keys() <= options.keys()


def test_what_replaces_data_names_its_server():
    """A limit that somebody forgets would mean all of them."""
    found = [job for job in CONSOLE["jobs"] if job["playbook"] in ("restore", "revert", "commit", "extract", "hold")]

    assert len(found) >= 5
    for job in found:
        assert job["survey"][0]["variable"] == f"{job['playbook']}_hosts"
        assert not job.get("limit")


def test_an_empty_text_is_no_answer_to_what_has_to_be_answered():
    """AWX asks for the length of an answer, and without that takes an empty one."""
    state = json.loads((STARTER / "awx" / "awx.json").read_text(encoding="utf-8"))
    asked = [one for job in state["job_templates"] for one in job["survey_spec"].get("spec", [])]

    assert "restore_confirm" in {one["variable"] for one in asked if one["required"]}
    assert [one["variable"] for one in asked if one["required"] != (one["min"] > 0)] == []


def test_nothing_secret_is_in_it():
    # Keys, tokens in addresses, and encrypted files; the example has empty values.
    pattern = re.compile(
        r"AGE-SECRET-KEY-1[A-Z0-9]{8}|BEGIN [A-Z ]*PRIVATE KEY|\$ANSIBLE_VAULT|[a-z]+://[^/\s:]+:[^@\s]+@"
    )
    example = yaml.safe_load((STARTER / "inventory/group_vars/crm/vault.yml.example").read_text(encoding="utf-8"))

    found = [path for path in STARTER.rglob("*") if path.is_file() and pattern.search(path.read_text(encoding="utf-8"))]

    assert found == []
    assert not any(example.values())


def test_the_vault_of_its_owner_stays_out_of_git(starter):
    run(["git", "init", "--quiet"], cwd=starter)
    ignored = ["inventory/group_vars/crm/vault.yml", "collections/ansible_collections/crm/continuity/galaxy.yml"]

    assert run(["git", "check-ignore", *ignored], cwd=starter).split() == ignored


@pytest.fixture
def here(tmp_path, backups):
    """Return an inventory that adds this machine, and one that does not answer, to the group of the starter."""
    hosts = {"here": local_host(backups["age"].root), "gone": GONE}
    # As in the starter.
    del hosts["here"]["crm_signers"]
    path = tmp_path / "hosts.yml"
    path.write_text(json.dumps({"crm": {"hosts": hosts}}), encoding="utf-8")
    return str(path)


def test_it_works_from_the_command_line_as_it_is(starter, here, tmp_path):
    command = ["ansible-playbook", "-i", "inventory/hosts.yml", "-i", here, "--limit", "here", "playbooks/verify.yml"]

    shown = run(command, cwd=starter, env=own_environment(tmp_path))

    assert re.search(r"crm \d{8}T\d{6}Z: sound", shown)
    assert "failed=0" in shown


def test_the_file_of_signers_is_that_of_the_repository(starter, here, tmp_path):
    (line,) = ['host.example.com namespaces="crm.continuity" ssh-ed25519 AAAA']
    signers = starter / "inventory" / "signers"
    signers.write_text(line + "\n", encoding="utf-8")
    command = ["ansible-playbook", "-i", "inventory/hosts.yml", "-i", here, "--limit", "here", "playbooks/verify.yml"]

    ran = subprocess.run(
        command, cwd=starter, env=own_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False
    )
    signers.write_text("", encoding="utf-8")

    # The backup is not signed, which is an error as soon as it is known who signs.
    assert ran.returncode == 2
    assert "sign" in ran.stdout
