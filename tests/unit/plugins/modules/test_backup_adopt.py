# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import backup_adopt
from ansible_collections.crm.continuity.tests.unit.adopt_fakes import runbook_host
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET
from ansible_collections.crm.continuity.tests.unit.fakes import shipped


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A host with the stack "crm", and the directory that the runbook has written to."""
    host, written = runbook_host(tmp_path, monkeypatch)
    monkeypatch.setattr(backup_adopt, "connect", lambda *_arguments: host)
    return host, written


@pytest.fixture
def run(scene, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""
    host, written = scene

    def run_module(**params):
        params = {"paths": [str(written)], "backup_root": host.root, "shipped_profiles": shipped(), **params}
        with patch_module_args(params), pytest.raises(SystemExit):
            backup_adopt.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_check_mode_says_what_would_be_and_does_nothing(run, scene):
    result = run(_ansible_check_mode=True)

    assert result["changed"] is True
    assert (result["stack"], result["id"]) == ("crm", "20261120T020000Z")
    assert result["diff"]["after"].splitlines() == [f"{result['directory']}/{name}" for name in result["artifacts"]]
    assert not os.path.exists(scene[0].root)


def test_the_real_run_does_what_check_mode_said(run):
    said, done = run(_ansible_check_mode=True), run()

    assert done["changed"] is True
    for key in ("id", "directory", "artifacts", "origin", "reason", "diff"):
        assert done[key] == said[key]
    assert set(said["remarks"]) <= set(done["remarks"])
    assert set(done) - set(said) == {"size", "files", "rows", "audit"}
    assert done["rows"] == 3


@pytest.mark.parametrize("check", [True, False])
def test_a_second_run_changes_nothing(run, check):
    first = run()

    again = run(_ansible_check_mode=check)

    assert (again["changed"], again["reason"], again["id"]) == (False, None, first["id"])
    assert again["diff"] == {"before": "", "after": ""}


def test_every_result_is_documented(run):
    documented = yaml.safe_load(backup_adopt.RETURN)

    assert set(run()) - {"changed", "diff", "invocation"} == set(documented)


def test_the_options_say_what_names_do_not(run, scene):
    written = scene[1]
    (written / "storage_2026-11-20_0200.tar.gz").rename(written / "old.tar.gz")

    result = run(
        stack="crm",
        stack_profiles=["chatwoot"],
        paths=[str(written / "old.tar.gz")],
        volumes={"old.tar.gz": "crm_storage"},
    )

    assert result["artifacts"] == ["volumes/crm_storage.tar.gz"]


def test_a_failure_says_what_and_leaves_nothing(run, scene):
    host, written = scene
    archive = written / "storage_2026-11-20_0200.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-20])

    result = run()

    assert result["failed"] is True
    assert f"{archive} is damaged" in result["msg"]
    assert host.published() == []


def test_no_secret_is_in_the_result(run):
    assert SECRET not in json.dumps(run())
