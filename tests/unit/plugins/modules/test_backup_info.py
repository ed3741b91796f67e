# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.plugins.modules import backup_info
from ansible_collections.crm.continuity.tests.unit.fakes import manifest

ID = "20261121T020000Z"


@pytest.fixture
def run(capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with patch_module_args(params), pytest.raises(SystemExit):
            backup_info.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.fixture
def root(tmp_path):
    directory = tmp_path / "crm" / ID
    directory.mkdir(parents=True)
    wanted = manifest(id=ID)
    encoded = encode(wanted)
    (directory / NAME).write_bytes(encoded)
    (directory / SUMS).write_bytes(sums(wanted, encoded))
    return tmp_path


def test_backups_are_listed_and_nothing_changes(run, root):
    result = run(backup_root=str(root))

    assert result["changed"] is False
    assert [(entry["stack"], entry["id"], entry["problem"]) for entry in result["backups"]] == [("crm", ID, None)]
    assert "manifest" not in result["backups"][0]


def test_check_mode_gives_the_same(run, root):
    assert run(backup_root=str(root), _ansible_check_mode=True)["backups"] == run(backup_root=str(root))["backups"]


def test_the_manifest_comes_when_asked_for(run, root):
    (entry,) = run(backup_root=str(root), stack="crm", id="latest", manifest=True)["backups"]

    assert entry["manifest"]["id"] == ID


def test_a_root_without_backups_is_an_empty_list(run, tmp_path):
    assert run(backup_root=str(tmp_path / "none"))["backups"] == []


def test_a_backup_that_does_not_exist_fails_with_those_that_do(run, root):
    result = run(backup_root=str(root), stack="crm", id="20200101T000000Z")

    assert result["failed"]
    assert result["msg"] == f"There is no backup 20200101T000000Z of stack crm. The latest are {ID}."
    assert result["stack"] == "crm"


def test_a_root_that_is_a_file_fails_with_its_name(run, tmp_path):
    (tmp_path / "file").write_text("")

    result = run(backup_root=str(tmp_path / "file"))

    assert result["failed"]
    assert result["msg"] == f"{tmp_path}/file: Not a directory"


def test_an_option_that_does_not_exist_fails(run):
    assert "Unsupported parameters" in run(colour="blue")["msg"]
