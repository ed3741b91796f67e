# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.modules import backup_transfer

ID = "20261121T020000Z"


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that runs the module as Ansible would, between two directories of this machine."""
    backup = tmp_path / "source" / "crm" / ID
    backup.mkdir(parents=True)
    (backup / "manifest.json").write_text("{}")
    (backup / "SHA256SUMS").write_text(f"{file_sha256(str(backup / 'manifest.json')).sha256}  manifest.json\n")
    shell = ["sh", "-c"]

    def run_module(**params):
        places = {"source_root": str(tmp_path / "source"), "target_root": str(tmp_path / "target")}
        given = {"stack": "crm", "id": ID, "source_shell": shell, "target_shell": shell, **places, **params}
        with patch_module_args(given), pytest.raises(SystemExit):
            backup_transfer.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_check_mode_says_what_would_be_brought_and_brings_nothing(run, tmp_path):
    said = run(_ansible_check_mode=True)
    assert not (tmp_path / "target").exists()

    done = run()

    assert {**said, "invocation": None} == {**done, "invocation": None}
    assert (done["changed"], done["files"], done["directory"]) == (True, 2, str(tmp_path / "target" / "crm" / ID))
    assert (tmp_path / "target" / "crm" / ID / "manifest.json").read_text() == "{}"


def test_a_second_run_changes_nothing(run):
    run()

    again = run()

    assert (again["changed"], again["bytes"]) == (False, 0)


def test_what_fails_is_told(run):
    result = run(id="20200101T000000Z")

    assert result["failed"]
    assert "There is no backup 20200101T000000Z of stack crm" in result["msg"]
