# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import functools
import json
from dataclasses import replace

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils import _journal, _stack_thaw
from ansible_collections.crm.continuity.plugins.module_utils._freeze import Target, examine
from ansible_collections.crm.continuity.plugins.modules import stack_thaw
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container


@pytest.fixture
def engine():
    return FakeEngine([container("web", "x", state="paused"), container("db", "x", state="exited")])


@pytest.fixture
def journal(journals, engine):
    """The journal of a backup that died."""
    entries = [
        examine(engine.by_id["web"], Target("web", "web", "pause")),
        examine(engine.by_id["db"], Target("db", "db", "stop")),
    ]
    written = replace(_journal.new("crm", "unix:///run/docker.sock", entries, 60), boot_id="an earlier one")
    _journal.write(str(journals), written)
    return written


@pytest.fixture
def run(monkeypatch, engine, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""
    hosts = []

    def connect(host, timeout):
        hosts.append((host, timeout))
        return engine

    monkeypatch.setattr(stack_thaw, "thaw_stacks", functools.partial(_stack_thaw.thaw_stacks, engine_at=connect))

    def run_module(**params):
        with patch_module_args(params), pytest.raises(SystemExit):
            stack_thaw.main()
        return json.loads(capsys.readouterr().out)

    run_module.hosts = hosts
    return run_module


THAWED = [
    {"stack": "crm", "service": "db", "container": "crm-db-1", "action": "start"},
    {"stack": "crm", "service": "web", "container": "crm-web-1", "action": "unpause"},
]


def test_what_was_brought_back_is_a_result(run, journal, engine):
    result = run()

    assert result["changed"] is True
    assert result["thawed"] == THAWED
    assert (result["closed"], result["remarks"]) == (["crm"], [])
    assert engine.calls == [("start", "db"), ("unpause", "web")]
    assert set(run.hosts) == {("unix:///run/docker.sock", 60)}


def test_a_second_time_nothing_changes(run, journal):
    run()

    result = run()

    assert (result["changed"], result["thawed"], result["closed"], result["remarks"]) == (False, [], [], [])
    assert result["diff"] == {"before": "", "after": ""}


def test_check_mode_gives_the_same_and_does_nothing(run, journal, engine, journals):
    said = run(_ansible_check_mode=True)
    assert engine.calls == []
    assert _journal.stacks(str(journals)) == ["crm"]

    real = run()

    assert said == real


def test_the_diff_says_what_comes_back(run, journal):
    assert run(_ansible_check_mode=True)["diff"] == {
        "before": "crm-db-1: not running\ncrm-web-1: paused\njournal of stack crm\n",
        "after": "crm-db-1: running\ncrm-web-1: running\n",
    }


def test_a_journal_that_is_not_needed_any_more_is_a_change(run, journal, engine):
    engine.unpause("web")
    engine.start("db")

    result = run()

    assert (result["changed"], result["thawed"], result["closed"]) == (True, [], ["crm"])


def test_only_the_stack_that_is_asked_for_is_looked_at(run, journal):
    assert run(stack="other")["changed"] is False


def test_a_living_backup_is_a_failure_with_who_works_and_what_to_do(run, journals):
    _journal.write(str(journals), _journal.new("crm", "unix:///x", [], 60))

    result = run()

    assert result["failed"]
    assert "Stack crm is being backed up by process" in result["msg"]
    assert "thaw_force=true" in result["msg"]
    assert run(force=True)["changed"] is True


def test_what_cannot_be_brought_back_is_a_failure(run, journal, engine):
    engine.refuses["start", "db"] = "port is taken"

    result = run()

    assert result["failed"]
    assert "Stack crm: Services could not be brought back: db: port is taken" in result["msg"]
    assert result["closed"] == []
    # What was done all the same.
    assert (result["changed"], result["thawed"]) == (True, THAWED[1:])


def test_the_engine_of_a_stack_without_a_journal_is_the_one_of_the_options(run):
    run(stack="crm", force=True, docker_host="unix:///run/mine.sock", docker_timeout=7)

    assert run.hosts == [("unix:///run/mine.sock", 7)]
