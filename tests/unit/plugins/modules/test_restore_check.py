# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import restore_check
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose stack "crm" was just backed up."""
    host = crm_host(tmp_path, monkeypatch)
    host.taken = host.back_up()
    monkeypatch.setattr(restore_check, "connect", lambda *_arguments: host)
    return host


@pytest.fixture
def run(host, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with patch_module_args({"backup_root": host.root, **params}), pytest.raises(SystemExit):
            restore_check.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_what_a_restore_would_do_is_a_result_and_nothing_changes(run, host):
    calls = list(host.calls)

    result = run(stack="crm")

    assert result["changed"] is False
    assert result["id"] == host.taken.backup.id
    assert [entry["name"] for entry in result["volumes"]] == ["crm_instances", "crm_redis", "crm_storage"]
    assert len(result["occupied"]) == 4
    assert result["problems"] == []
    assert host.calls == calls


def test_every_key_is_documented(run):
    documented = {
        line.partition(":")[0] for line in restore_check.RETURN.splitlines() if line and not line.startswith((" ", "-"))
    }

    assert set(run()) - {"changed", "invocation"} == documented


def test_check_mode_gives_the_same(run):
    said, done = run(_ansible_check_mode=True), run()

    assert {**said, "invocation": None} == {**done, "invocation": None}


def test_a_backup_that_does_not_exist_fails(run):
    result = run(stack="crm", id="20200101T000000Z")

    assert result["failed"]
    assert "There is no backup 20200101T000000Z of stack crm." in result["msg"]


def test_a_stack_without_backups_fails(run):
    result = run(stack="shop")

    assert result["failed"]
    assert result["stack"] == "shop"
    assert "There is no backup of stack shop in" in result["msg"]
