# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crm.continuity.plugins.action import backup_status as action
from ansible_collections.crm.continuity.plugins.module_utils import _status_host
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError
from ansible_collections.crm.continuity.plugins.modules import backup_status
from ansible_collections.crm.continuity.tests.unit import status_samples as samples
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, shipped

ID = "20261122T020000Z"


@pytest.fixture
def root(tmp_path):
    root = Root(tmp_path / "root")
    root.take(ID)
    return root


@pytest.fixture
def run(root, capsys, monkeypatch):
    """Return a function that runs the module as Ansible would, with an engine or none, and returns its result."""

    def run_module(engine=None, **params):
        def connect(*_where):
            if engine is None:
                raise EngineError("No Docker daemon answers.")
            return engine

        monkeypatch.setattr(backup_status, "connect", connect)
        monkeypatch.setattr(backup_status, "missing_packages", lambda: ())
        arguments = {"backup_root": str(root.path), "shipped_profiles": shipped(), **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            backup_status.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def codes(result):
    return sorted({problem["code"] for problem in result["status"]["problems"]})


def test_bad_backups_do_not_fail_it(run):
    result = run()

    assert (result["changed"], result.get("failed", False)) == (False, False)
    # The backup of the fakes is small, and as old as the fakes.
    assert {"engine", "too_small"} <= set(codes(result))


def test_check_mode_says_the_same(run, root):
    before = sorted(root.path.rglob("*"))

    said, done = run(FakeEngine(), _ansible_check_mode=True), run(FakeEngine())

    of_the_moment = {"at": None, "disk": None}
    assert {**said["status"], **of_the_moment} == {**done["status"], **of_the_moment}
    assert sorted(root.path.rglob("*")) == before


def test_thresholds_reach_the_rules(run):
    lenient = {"min_bytes": "1", "max_age_hours": 10_000_000, "max_unverified_days": 0, "max_clock_skew": 10_000_000}

    assert codes(run(FakeEngine(), alerts=lenient)) == []
    assert codes(run(FakeEngine(), alerts={**lenient, "min_bytes": 10_000})) == ["too_small"]


def test_stacks_that_have_to_be_there_are_asked_for(run):
    assert "never" in codes(run(FakeEngine(), stacks=["ticketz"]))


def test_thresholds_that_make_no_sense_fail_it(run):
    result = run(FakeEngine(), alerts={"stacks": {"crm": {"max_age": 3}}})

    assert result["failed"]
    assert "alerts has no threshold max_age" in result["msg"]


@pytest.fixture
def ask(tmp_path):
    """Return a function that runs the action plugin on a host that answers so."""

    class Host(action.ActionModule):
        def _execute_module(self, **more):
            return {"invocation": {"module_args": dict(more["module_args"])}, **self.answer}

    def run_action(answer, **arguments):
        task = SimpleNamespace(
            args=arguments, action="crm.continuity.backup_status", async_val=0, check_mode=False, environment=None
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/x"), has_pipelining=False)
        plugin = Host(task, connection, SimpleNamespace(), DataLoader(), SimpleNamespace(), SimpleNamespace())
        plugin.answer = answer
        return plugin.run(task_vars={})

    return run_action


def at(seconds):
    return {"status": {**samples.good(), "at": samples.stamp(time.time() + seconds)}}


def test_the_clock_of_the_host_is_compared(ask):
    assert ask(at(0))["status"]["standing"] == "ok"
    assert ask(at(7200))["status"]["problems"][0]["code"] == "clock"
    assert ask(at(7200), alerts={"max_clock_skew": 9000})["status"]["standing"] == "ok"


@pytest.mark.parametrize("answer", [{"failed": True, "msg": "no"}, {"unreachable": True, "msg": "no"}, {}])
def test_a_host_without_an_answer_has_no_clock(ask, answer):
    assert "status" not in ask(answer)


def test_the_profiles_do_not_come_back(ask):
    assert "shipped_profiles" not in ask(at(0))["invocation"]["module_args"]


def test_this_host_can_be_asked_for_its_packages():
    assert set(_status_host.missing_packages()) <= {"python3-docker", "python3-psycopg2", "tar", "zstd"}
