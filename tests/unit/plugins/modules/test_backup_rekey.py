# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import backup_decrypt, backup_rekey
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host


@pytest.fixture
def host(tmp_path, monkeypatch, age_pair):
    host = crm_host(tmp_path, monkeypatch)
    host.taken = host.back_up(encryption=age_pair.encryption)
    return host


@pytest.fixture
def run(capsys):
    def run_module(module, **arguments):
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def to_other(host, pair):
    return {
        "stack": "crm",
        "backup_root": host.root,
        "identity_file": pair.keys.identity_file,
        "encryption": {"method": "age", "recipients": list(pair.other_recipients)},
    }


def documented(module):
    return {line.partition(":")[0] for line in module.RETURN.splitlines() if line and not line.startswith((" ", "-"))}


def test_a_backup_is_encrypted_anew_once(run, host, age_pair):
    arguments = to_other(host, age_pair)

    planned = run(backup_rekey, **arguments, _ansible_check_mode=True)
    done = run(backup_rekey, **arguments)
    again = run(backup_rekey, **{**arguments, "identity_file": age_pair.others.identity_file})

    assert (planned["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert planned["diff"] == done["diff"]
    assert set(done) - {"changed", "diff", "invocation"} == documented(backup_rekey)


def test_the_audit_log_knows_the_new_checksums(run, host, age_pair):
    run(backup_rekey, **to_other(host, age_pair))

    event = json.loads((Path(host.root) / "audit.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert (event["action"], event["backup"], event["result"]) == ("rekey", host.taken.backup.id, "ok")
    assert len(event["facts"]["sums_sha256"]) == 64


def test_another_key_is_a_clean_failure(run, host, age_pair):
    arguments = {**to_other(host, age_pair), "identity_file": age_pair.others.identity_file, "force": True}

    result = run(backup_rekey, **arguments)

    assert result["failed"]
    assert "cannot be decrypted with this key" in result["msg"]


def test_one_file_is_decrypted(run, host, age_pair, tmp_path):
    arguments = {
        "path": f"{host.taken.backup.path}/config/containers.json.age",
        "to": str(tmp_path / "containers.json"),
        "identity_file": age_pair.keys.identity_file,
    }

    planned = run(backup_decrypt, **arguments, _ansible_check_mode=True)
    assert not (tmp_path / "containers.json").exists()
    done = run(backup_decrypt, **arguments)
    again = run(backup_decrypt, **arguments)

    assert (planned["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert json.loads((tmp_path / "containers.json").read_text(encoding="utf-8"))
    assert set(done) - {"changed", "diff", "invocation"} == documented(backup_decrypt)
