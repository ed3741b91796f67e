# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._restore_check import Request, check
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import Unknown
from ansible_collections.crm.continuity.plugins.modules import stack_stage
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.signing import signing_key


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with a signed backup, what restore_check says of it, and the line of its key."""
    key = signing_key(tmp_path)
    host = crm_host(tmp_path, monkeypatch)
    taken = host.back_up(signing_key=key.path)
    host.backup = Path(taken.backup.path)
    host.signer = key.line(taken.manifest.host)
    host.found = check(Request(host.root), host, {}, lambda *_arguments: Unknown("no compose here"))
    host.calls.clear()
    monkeypatch.setattr(stack_stage, "connect", lambda *_arguments: host)
    return host


@pytest.fixture
def run(host, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        asked = {key: host.found[key] for key in ("id", "directory", "volumes", "databases")}
        given = {"stack": "crm", "backup_root": host.root, **asked, "signers": [host.signer], **params}
        with patch_module_args(given), pytest.raises(SystemExit):
            stack_stage.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def untouched(host):
    return host.calls == [] and sorted(os.listdir(host.directory / "volumes/crm_storage")) == ["_data"]


def last_event(host):
    return AuditLog(host.root).read()[0][-1]


@pytest.mark.parametrize("check_mode", [True, False])
@pytest.mark.parametrize(
    "name", ["manifest.json", "SHA256SUMS", "SHA256SUMS.sig", "RESTORE.md", "config/containers.json"]
)
def test_a_flipped_bit_is_refused_before_anything_is_touched(host, run, name, check_mode):
    content = bytearray((host.backup / name).read_bytes())
    content[len(content) // 2] ^= 1
    (host.backup / name).write_bytes(content)

    result = run(_ansible_check_mode=check_mode)

    assert result["failed"]
    assert untouched(host)


def test_a_backup_of_somebody_else_is_refused_and_that_is_noted(host, run, tmp_path):
    (tmp_path / "other").mkdir()
    other = signing_key(tmp_path / "other")

    result = run(signers=[other.line(host.signer.split()[0])])

    assert "which is not a key of" in result["msg"]
    assert untouched(host)
    event = last_event(host)
    assert (event.action, event.result, event.backup) == ("restore", "refused", host.backup.name)
    assert "which is not a key of" in event.facts["message"]


def test_an_archive_that_the_signed_manifest_does_not_name_is_refused(host, run):
    (volume, *others) = host.found["volumes"]
    elsewhere = host.directory / "evil.tar.zst"
    elsewhere.write_bytes(Path(volume["archive"]).read_bytes())

    for changed in ({"archive": str(elsewhere)}, {"sha256": "0" * 64}):
        result = run(volumes=[{**volume, **changed}, *others])

        assert "is not what the manifest of backup" in result["msg"]
        assert untouched(host)
