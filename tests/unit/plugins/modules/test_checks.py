# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks as modules: options in, result or failure out."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import container_check, http_check, log_check
from ansible_collections.crm.continuity.tests.unit.plugins.module_utils.check_fakes import FakeEngine, container

MODULES = [container_check, http_check, log_check]
APP = {
    "name": "app",
    "services": [
        {
            "name": "web",
            "images": ["example/app"],
            "http": [{"name": "answers", "port": 1, "headers": {"apikey": "MISSING"}}],
        }
    ],
    "logs": [{"pattern": "ENOSPC", "meaning": "the disk is full"}],
}


@pytest.fixture
def engine(monkeypatch):
    """A host with a stack that every module finds fault with."""
    host = FakeEngine(container("web"))
    host.log["crm-web-1"] = ["ENOSPC"]
    host.end("crm-web-1", 1)
    for module in MODULES:
        monkeypatch.setattr(module, "connect", lambda *_arguments: host)
    return host


def run(module, capsys, **params):
    """Run the module as Ansible would and return its result."""
    with patch_module_args({"stack": "crm", "profiles": [APP], **params}), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def names(modules):
    return [module.__name__.rpartition(".")[2] for module in modules]


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_a_finding_is_a_result(module, engine, capsys):
    result = run(module, capsys)

    assert not result.get("failed")
    assert not result["changed"]
    assert not result["ok"]
    assert result["failed_checks"] == 1
    (check,) = result["checks"]
    assert set(check) == {"check", "subject", "ok", "severity", "detail", "remedy"}
    assert check["remedy"]


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_a_finding_is_a_failure_on_request(module, engine, capsys):
    result = run(module, capsys, fail_on_findings=True)

    assert result["failed"]
    assert result["msg"].startswith("Stack crm is not in order. web, ")
    assert result["failed_checks"] == 1


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_an_unknown_stack_is_a_failure(module, engine, capsys):
    result = run(module, capsys, stack="shop")

    assert result["failed"]
    assert "no stack shop" in result["msg"]


@pytest.mark.parametrize("module", MODULES, ids=names(MODULES))
def test_a_profile_that_does_not_match_is_a_failure(module, engine, capsys):
    result = run(module, capsys, stack_profiles=["other"])

    assert result["failed"]
    assert "no profile other" in result["msg"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        pytest.param({"since": "yesterday"}, "since: 'yesterday' is neither", id="a time that is none"),
        pytest.param({"lines": 0}, "at least one line", id="no lines"),
    ],
)
def test_log_check_refuses_what_makes_no_sense(engine, capsys, params, words):
    result = run(log_check, capsys, **params)

    assert result["failed"]
    assert words in result["msg"]


def test_log_check_asks_for_the_time_in_seconds(engine, capsys):
    run(log_check, capsys, since="2026-11-21T02:00:00.7Z", lines=10)

    assert engine.asked_for_logs == [("crm-web-1", 10, 1795226400)]
