# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which modules tell Prometheus, and when."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError
from ansible_collections.crm.continuity.plugins.modules import backup_hold, backup_prune, backup_verify, stack_backup
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root
from ansible_collections.crm.continuity.tests.unit.fakes import shipped

ID = "20261121T020000Z"


@pytest.fixture
def root(tmp_path):
    root = Root(tmp_path / "root")
    root.take(ID)
    return root


@pytest.fixture
def collector(tmp_path):
    directory = tmp_path / "collector"
    directory.mkdir()
    return directory


@pytest.fixture
def run(root, collector, capsys):
    """Return a function that runs a module as Ansible would and returns its result."""

    def run_module(module, **params):
        arguments = {"backup_root": str(root.path), "metrics_directory": str(collector), **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def value(collector, name):
    lines = (collector / "crm_backup_crm.prom").read_text().splitlines()
    (found,) = [line.rpartition(" ")[2] for line in lines if line.startswith(f"crm_backup_{name}{{")]
    return float(found)


CALLS = [
    pytest.param(backup_verify, {"stack": "crm", "level": "quick"}, id="verify"),
    pytest.param(backup_prune, {"retention": {"keep_last": 1}}, id="prune"),
    pytest.param(backup_hold, {"stack": "crm", "id": ID, "reason": "lawsuit 17"}, id="hold"),
]


@pytest.mark.parametrize(("module", "params"), CALLS)
def test_what_changes_how_backups_stand_is_told(run, collector, module, params):
    result = run(module, **params)

    assert not result.get("failed")
    assert sorted(path.name for path in collector.iterdir()) == ["crm_backup_crm.prom", "crm_backup_host.prom"]


@pytest.mark.parametrize(("module", "params"), CALLS)
def test_nothing_is_told_in_check_mode(run, collector, module, params):
    run(module, **params, _ansible_check_mode=True)

    assert list(collector.iterdir()) == []


@pytest.mark.parametrize(("module", "params"), CALLS)
def test_metrics_that_cannot_be_written_fail_nothing(run, collector, monkeypatch, module, params):
    (collector / "crm_backup_host.prom").mkdir()
    warned = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, words: warned.append(words))

    result = run(module, **params)

    assert not result.get("failed")
    remark = f"The metrics could not be written to {collector}: Is a directory."
    assert remark in (*warned, *result.get("remarks", ()))


def test_a_damaged_backup_is_told(run, root, collector):
    (root.path / "crm" / ID / "volumes" / "storage.tar").unlink()

    result = run(backup_verify, stack="crm")

    assert result["failed"]
    assert value(collector, "damaged") == 1


def test_a_verification_that_is_not_noted_tells_nothing(run, collector):
    run(backup_verify, stack="crm", record=False)

    assert list(collector.iterdir()) == []


def test_a_backup_is_told_as_held(run, collector):
    run(backup_hold, stack="crm", id=ID, reason="lawsuit 17")

    assert value(collector, "held") == 1


@pytest.fixture
def no_engine(monkeypatch):
    def connect(*_where):
        raise EngineError("No Docker daemon answers.")

    monkeypatch.setattr(stack_backup, "connect", connect)


@pytest.mark.usefixtures("no_engine")
def test_a_backup_that_finds_no_engine_is_a_try_that_failed(run, root, collector):
    result = run(stack_backup, stack="crm", shipped_profiles=shipped())

    event = root.log.read()[0][-1]
    assert result["failed"]
    assert (event.action, event.result, event.facts["message"]) == ("backup", "failed", "No Docker daemon answers.")
    assert event.facts["seconds"] >= 0
    assert value(collector, "last_attempt_success") == 0
    assert (collector / "crm_backup_engine.prom").read_text().splitlines()[-1] == "crm_backup_engine_up 0"


@pytest.mark.usefixtures("no_engine")
def test_check_mode_is_no_try(run, root, collector):
    before = len(root.log.read()[0])

    run(stack_backup, stack="crm", shipped_profiles=shipped(), _ansible_check_mode=True)

    assert list(collector.iterdir()) == []
    assert len(root.log.read()[0]) == before
