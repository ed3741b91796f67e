# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import backup_verify
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        host = crm_host(tmp_path_factory.mktemp("host"), monkeypatch)
        return Path(host.back_up().backup.path)


@pytest.fixture
def backup(real, tmp_path):
    """A real backup, to do with as one likes."""
    return Path(shutil.copytree(real, tmp_path / "crm" / real.name))


@pytest.fixture
def run(backup, tmp_path, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with patch_module_args({"backup_root": str(tmp_path), **params}), pytest.raises(SystemExit):
            backup_verify.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def damage(backup):
    path = backup / "volumes/crm_redis.tar.zst"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def test_a_sound_backup_is_a_result(run, backup):
    result = run()

    assert result["changed"] is False
    assert result["ok"] is True
    (found,) = result["backups"]
    assert {"stack", "id", "path", "ok", "artifacts", "bytes", "problems", "signature"} <= set(found)
    assert found["signature"] == {"status": "unsigned", "signer": None, "key": None}
    assert (found["stack"], found["id"], found["path"], found["ok"]) == ("crm", backup.name, str(backup), True)
    assert (found["artifacts"], found["problems"]) == (9, [])


def test_check_mode_gives_the_same(run):
    assert run(_ansible_check_mode=True)["backups"] == run()["backups"]


def test_a_damaged_backup_is_a_failure_with_what_is_wrong_and_what_to_do(run, backup):
    damage(backup)

    result = run()

    assert result["failed"]
    assert result["ok"] is False
    assert f"{backup}: volumes/crm_redis.tar.zst: is damaged" in result["msg"]
    assert result["msg"].endswith("Use another backup or a copy of this one.")
    assert result["backups"][0]["problems"]


def test_a_damaged_backup_is_only_reported_on_request(run, backup):
    damage(backup)

    result = run(fail_on_damage=False)

    assert not result.get("failed")
    assert result["ok"] is False
    assert result["backups"][0]["ok"] is False


def test_a_quick_look_does_not_read_the_artifacts(run, backup):
    damage(backup)

    result = run(level="quick")

    assert result["ok"] is True
    assert result["backups"][0]["bytes"] == 0


def test_one_damaged_backup_among_several_is_named(run, backup):
    damage(backup)
    shutil.copytree(backup, backup.parent / "20200101T000000Z")

    result = run(id="all", stack="crm")

    assert [entry["id"] for entry in result["backups"]] == ["20200101T000000Z", backup.name]
    assert "the directory was renamed or exchanged" in result["msg"]


def test_a_root_without_backups_fails(run, tmp_path):
    result = run(backup_root=str(tmp_path / "none"))

    assert result["failed"]
    assert result["msg"] == (f"There is no backup below {tmp_path}/none. Set crm_backup_root to where the backups lie.")


@pytest.mark.parametrize(
    ("params", "words"),
    [({"level": "deep"}, "value of level must be one of: quick, full"), ({"colour": "blue"}, "Unsupported parameters")],
)
def test_an_option_that_makes_no_sense_fails(run, params, words):
    result = run(**params)

    assert result["failed"]
    assert words in result["msg"]
