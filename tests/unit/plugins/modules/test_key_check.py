# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crm.continuity.plugins.action.key_check import ActionModule
from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.modules import key_check
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.keys import PASSPHRASE, age_pair, passphrase_pair


@pytest.fixture
def run(capsys):
    """Return a function that runs the action plugin, and on the host the module; ``sent`` is what went there."""

    class Action(ActionModule):
        def _execute_module(self, module_args=None, **_more):
            run_action.sent.append(json.dumps(module_args))
            given = {**module_args, "_ansible_check_mode": self._task.check_mode}
            with patch_module_args(given), pytest.raises(SystemExit):
                key_check.main()
            return json.loads(capsys.readouterr().out)

    def run_action(check_mode=False, **arguments):
        task = SimpleNamespace(
            args=arguments, action="crm.continuity.key_check", async_val=0, check_mode=check_mode, environment=None
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/x"), has_pipelining=False)
        empty = SimpleNamespace()
        return Action(task, connection, empty, DataLoader(), empty, empty).run(task_vars={})

    run_action.sent = []
    return run_action


@pytest.fixture
def aged(tmp_path, monkeypatch):
    """A root with a backup that is encrypted with age, and its keys."""
    pair = age_pair(tmp_path)
    host = crm_host(tmp_path, monkeypatch)
    host.back_up(encryption=pair.encryption)
    return host.root, pair


def test_a_key_that_opens_everything_is_noted_on_the_host_and_does_not_go_there(run, aged):
    root, pair = aged
    key = Path(pair.keys.identity_file).read_text(encoding="utf-8").splitlines()[-1]

    by_path = run(backup_root=root, identity_file=pair.keys.identity_file)
    by_text = run(backup_root=root, identity=key, actor={"user": "ana"})

    for result in (by_path, by_text):
        assert (result["changed"], result["ok"]) == (False, True)
        assert result["backups"][0]["artifacts"] == 8
    assert len(run.sent) == 4
    assert not any(key in sent or "identity" in sent for sent in run.sent)
    events = AuditLog(root).read()[0]
    assert [(event.action, event.result) for event in events] == [("key", "ok")] * 2
    assert events[-1].actor == {"user": "ana"}
    assert by_text["audit"] == {"sequence": 2, "sha256": events[-1].sha256}


def test_another_key_is_a_failure_and_that_is_noted(run, aged):
    root, pair = aged

    result = run(backup_root=root, identity_file=pair.others.identity_file)

    assert result["failed"]
    assert "The key does not open everything" in result["msg"]
    assert AuditLog(root).read()[0][-1].result == "failed"
    assert "failed" not in run(backup_root=root, identity_file=pair.others.identity_file, fail_on_refusal="no")


def test_check_mode_tries_and_notes_nothing(run, aged):
    root, pair = aged

    result = run(check_mode=True, backup_root=root, identity_file=pair.keys.identity_file)

    assert (result["ok"], result["audit"]) == (True, None)
    assert AuditLog(root).read()[0] == []


def test_a_passphrase_does_not_go_to_the_host(run, tmp_path, monkeypatch):
    pair = passphrase_pair(tmp_path)
    host = crm_host(tmp_path, monkeypatch)
    host.back_up(encryption=pair.encryption)

    assert run(backup_root=host.root, passphrase=PASSPHRASE)["ok"]
    assert not any(PASSPHRASE in sent for sent in run.sent)


def test_a_backup_that_is_not_encrypted_needs_no_key_and_no_event(run, tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    host.back_up()

    result = run(backup_root=host.root)

    assert (result["ok"], result["backups"][0]["encrypted"], result["audit"]) == (True, False, None)


def test_what_the_host_refuses_is_the_result(run, tmp_path):
    result = run(backup_root=str(tmp_path))

    assert result["failed"]
    assert "There is no backup below" in result["msg"]


def test_verdicts_are_not_for_the_user(run, aged):
    root, pair = aged
    forged = [{"stack": "crm", "id": "20991231T000000Z", "ok": True, "artifacts": 1, "whole": 1, "problems": []}]

    run(backup_root=root, identity_file=pair.keys.identity_file, verdicts=forged)

    assert [event.backup for event in AuditLog(root).read()[0]] != ["20991231T000000Z"]
