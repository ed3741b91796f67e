# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils import _restore_preflight_compose
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import Unknown
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_findings import CHECKS
from ansible_collections.crm.continuity.plugins.modules import restore_check
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import shipped


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose stack "crm" was just backed up."""
    host = crm_host(tmp_path, monkeypatch)
    host.taken = host.back_up()
    monkeypatch.setattr(restore_check, "connect", lambda *_arguments: host)
    # Whether this machine has compose must not matter.
    monkeypatch.setattr(_restore_preflight_compose, "_asked", lambda *_arguments: Unknown("there is no compose"))
    return host


@pytest.fixture
def run(host, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with (
            patch_module_args({"backup_root": host.root, "shipped_profiles": shipped(), **params}),
            pytest.raises(SystemExit),
        ):
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


def test_another_name_is_passed_on(run):
    result = run(stack="crm", target="crm2", project_dir="/srv/crm2", volumes={"crm_redis": "cache"})

    assert (result["stack"], result["source_stack"], result["project_dir"]) == ("crm2", "crm", "/srv/crm2")
    assert "cache" in [entry["source"] for entry in result["volumes"]]


def test_no_secret_is_in_the_result(run, host):
    host.change("web", env={**host.by_id["web"].env, "SECRET_KEY_BASE": "battery-staple"})

    result = run(stack="crm")

    assert [entry["subject"] for entry in result["preflight"] if entry["severity"] == "refuse"] == ["SECRET_KEY_BASE"]
    assert not any(value in json.dumps(result) for value in (SECRET, "battery-staple"))


def test_what_may_be_allowed_is_documented():
    documented = restore_check.DOCUMENTATION

    assert all(f"      - {name}\n" in documented for name in CHECKS)


def test_what_is_always_refused_cannot_be_allowed(run):
    result = run(stack="crm", allow=["shared_data"])

    assert result["failed"]
    assert "shared_data" in result["msg"]
