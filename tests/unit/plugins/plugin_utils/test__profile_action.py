# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crm.continuity.plugins.module_utils._module import PROFILE_OPTIONS, validate
from ansible_collections.crm.continuity.plugins.module_utils._profile import load
from ansible_collections.crm.continuity.plugins.plugin_utils._profile_action import ProfileAction
from ansible_collections.crm.continuity.tests.unit.fakes import shipped

ROOT = Path(__file__).resolve().parents[4]
OWN = {"name": "helpdesk", "services": [{"name": "api", "images": ["example/helpdesk"]}]}


class Action(ProfileAction):
    """The action plugin on a control node without hosts: notes what it would run."""

    def _execute_module(self, **more):
        self.executed = more
        return {"changed": True, "invocation": {"module_args": dict(more["module_args"])}}


@pytest.fixture
def action(tmp_path):
    """Return a function that makes the action plugin for a task of a playbook in a directory."""

    def make(asynchronous=0, **arguments):
        task = SimpleNamespace(
            args=arguments,
            action="crm.continuity.stack_info",
            async_val=asynchronous,
            check_mode=False,
            environment=None,
            get_search_path=lambda: [str(tmp_path)],
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/x"), has_pipelining=False)
        loader = DataLoader()
        loader.set_basedir(str(tmp_path))
        return Action(task, connection, SimpleNamespace(), loader, SimpleNamespace(), SimpleNamespace())

    return make


def arguments_of(plugin, **variables):
    plugin.run(task_vars=variables)
    return plugin.executed["module_args"]


def test_the_profiles_of_the_collection_are_read(action):
    arguments = arguments_of(action())

    assert arguments["shipped_profiles"] == shipped()
    assert [profile["name"] for profile in arguments["shipped_profiles"]] == ["chatwoot", "evolution", "ticketz"]
    assert arguments["profiles"] == []


def test_what_is_read_is_what_the_modules_accept(action, tmp_path):
    (tmp_path / "own.yml").write_text("name: helpdesk\nservices: [{name: api, images: [example/helpdesk]}]\n")

    arguments = arguments_of(action(profiles=["own.yml"]))

    assert set(arguments) == set(PROFILE_OPTIONS)
    profiles = load(arguments["shipped_profiles"], arguments["profiles"], validate)
    assert sorted(profiles) == ["chatwoot", "evolution", "helpdesk", "ticketz"]


def test_other_arguments_are_passed_on_and_the_task_keeps_its_own(action):
    plugin = action(stack="crm", profiles=[OWN])

    arguments = arguments_of(plugin)

    assert arguments["stack"] == "crm"
    assert plugin._task.args == {"stack": "crm", "profiles": [OWN]}


def test_a_profile_of_the_user_may_be_a_dictionary(action):
    assert arguments_of(action(profiles=[OWN]))["profiles"] == [OWN]


@pytest.mark.parametrize(
    "place", ["own.yml", "files/own.yml"], ids=["beside the playbook", "in the directory for files"]
)
def test_a_profile_of_the_user_may_be_a_file(action, tmp_path, place):
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("name: helpdesk\nservices: [{name: api, images: [example/helpdesk]}]\n")

    assert arguments_of(action(profiles=["own.yml"]))["profiles"] == [OWN]


def test_a_path_may_be_absolute_or_in_the_home_directory(action, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.yml").write_text("name: helpdesk\n")

    assert arguments_of(action(profiles=[str(tmp_path / "own.yml"), "~/own.yml"]))["profiles"] == [
        {"name": "helpdesk"},
        {"name": "helpdesk"},
    ]


@pytest.mark.parametrize("one", ["own.yml", {"name": "helpdesk"}], ids=["a path", "a dictionary"])
def test_one_profile_need_not_be_in_a_list(action, tmp_path, one):
    (tmp_path / "own.yml").write_text("name: helpdesk\n")

    assert arguments_of(action(profiles=one))["profiles"] == [{"name": "helpdesk"}]


@pytest.mark.parametrize("profiles", [None, [], ""])
def test_no_profile_of_the_user_is_none(action, profiles):
    assert arguments_of(action(profiles=profiles))["profiles"] == []


@pytest.mark.parametrize("content", ["- a\n- b\n", "just words\n", ""], ids=["a list", "a text", "nothing"])
def test_a_file_that_holds_no_dictionary_is_refused_with_its_path(action, tmp_path, content):
    (tmp_path / "own.yml").write_text(content)

    with pytest.raises(AnsibleError) as caught:
        action(profiles=["own.yml"]).run(task_vars={})

    assert f"{tmp_path}/own.yml is not a profile: it holds no dictionary." in str(caught.value)


def test_a_file_that_is_not_there_is_refused_with_its_name(action):
    with pytest.raises(
        AnsibleError, match=r"There is no profile own\.yml on the control node, .* or the profile itself"
    ):
        action(profiles=["own.yml"]).run(task_vars={})


def test_a_file_that_is_no_yaml_is_refused_with_its_path(action, tmp_path):
    (tmp_path / "own.yml").write_text("name: [helpdesk\n")

    with pytest.raises(AnsibleError, match="YAML") as caught:
        action(profiles=["own.yml"]).run(task_vars={})

    # The console shows it as the origin of the error.
    assert str(tmp_path / "own.yml") in str(caught.value.obj)


def test_the_module_s_result_is_returned_without_the_profiles_of_the_collection(action):
    assert action(stack="crm").run(task_vars={}) == {
        "changed": True,
        "invocation": {"module_args": {"stack": "crm", "profiles": []}},
    }


@pytest.mark.parametrize(("asynchronous", "expected"), [(0, False), (600, True)])
def test_the_module_may_run_asynchronously(action, asynchronous, expected):
    plugin = action(asynchronous)

    plugin.run(task_vars={"x": 1})

    assert plugin.executed["wrap_async"] is expected
    assert plugin.executed["task_vars"] == {"x": 1}


def test_a_task_in_check_mode_is_not_skipped(action):
    plugin = action()
    plugin._task.check_mode = True

    assert plugin.run(task_vars={})["changed"]


def modules_with_profiles():
    return sorted(
        path.stem
        for path in (ROOT / "plugins" / "modules").glob("*.py")
        if "PROFILE_OPTIONS" in path.read_text(encoding="utf-8")
    )


def test_every_module_that_needs_profiles_has_the_action_plugin():
    there = {path.stem for path in (ROOT / "plugins" / "action").glob("*.py")}

    assert set(modules_with_profiles()) <= there


@pytest.mark.parametrize("name", modules_with_profiles())
def test_each_action_plugin_adds_the_profiles(name):
    plugin = importlib.import_module(f"ansible_collections.crm.continuity.plugins.action.{name}")

    assert issubclass(plugin.ActionModule, ProfileAction)
