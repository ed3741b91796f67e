# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What long operations tell of themselves while they run: backup, verification, cutover, a look at old files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils import _progress
from ansible_collections.crm.continuity.plugins.module_utils._progress import Reporter
from ansible_collections.crm.continuity.plugins.modules import backup_verify, legacy_audit, stack_backup, stack_cutover
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import shipped
from ansible_collections.crm.continuity.tests.unit.restore_fakes import Host as RestoreHost


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm": Chatwoot with a worker, Evolution API, PostgreSQL and Redis."""
    host = crm_host(tmp_path, monkeypatch)
    monkeypatch.setattr(stack_backup, "connect", lambda *_arguments: host)
    return host


@pytest.fixture
def run(host, capsys):
    """Return a function that runs a module as Ansible would and returns its result."""

    def run_module(module, **params):
        with patch_module_args({"backup_root": host.root, **params}), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.fixture
def told(monkeypatch):
    """Let somebody ask; return what a run says: phases, steps and how many bytes they had at their end."""
    monkeypatch.setenv(_progress.VARIABLE, "a" * 32)
    said = []
    real = {name: getattr(Reporter, name) for name in ("phase", "step", "expect")}

    def phase(self, name):
        said.append(name)
        real["phase"](self, name)

    def step(self, subject, key, measure):
        said.append((subject, key, measure))
        return real["step"](self, subject, key, measure)

    def expect(self, sizes):
        said.append(dict(sizes))
        real["expect"](self, sizes)

    for wrapped in (phase, step, expect):
        monkeypatch.setattr(Reporter, wrapped.__name__, wrapped)
    return said


def steps(said):
    return {key: subject for entry in said if isinstance(entry, tuple) for subject, key, _measure in [entry]}


def test_a_backup_tells_its_phases_and_what_it_writes_with_the_sizes_of_the_one_before(run, told):
    first = run(stack_backup, stack="crm", shipped_profiles=shipped())
    expected = next(entry for entry in told if isinstance(entry, dict))
    assert set(expected) == set(first["artifacts"])
    assert set(expected.values()) == {None}

    told.clear()
    second = run(stack_backup, stack="crm", shipped_profiles=shipped())

    phases = [entry for entry in told if isinstance(entry, str)]
    assert phases[:4] == ["look", "live", "catch-up", "journal"]
    assert phases[-3:] == ["dump", "configuration", "publish"]
    manifest = json.loads(Path(first["directory"], "manifest.json").read_text(encoding="utf-8"))
    sizes = {artifact["path"]: artifact["size"] for artifact in manifest["artifacts"]}
    assert next(entry for entry in told if isinstance(entry, dict)) == {
        path: sizes[path] for path in first["artifacts"]
    }
    found = steps(told)
    assert set(found) == set(second["artifacts"])
    assert all(key.startswith(("volumes/", "databases/")) for key in found)
    assert {subject.split()[0] for subject in found.values()} <= {"volume", "directory", "database"}


def test_a_verification_tells_what_it_reads_of_each_backup(run, told):
    backup = run(stack_backup, stack="crm", shipped_profiles=shipped())
    told.clear()

    assert run(backup_verify, stack="crm")["ok"]

    manifest = json.loads(Path(backup["directory"], "manifest.json").read_text(encoding="utf-8"))
    sizes = {f"{backup['directory']}/{one['path']}": one["size"] for one in manifest["artifacts"]}
    assert next(entry for entry in told if isinstance(entry, dict)) == sizes
    assert f"crm {backup['id']}" in told
    assert set(steps(told)) == set(sizes)


def test_a_backup_whose_manifest_is_damaged_is_told_of_by_the_verification_only(run, told):
    backup = run(stack_backup, stack="crm", shipped_profiles=shipped())
    Path(backup["directory"], "manifest.json").write_text("{")
    told.clear()

    result = run(backup_verify, stack="crm", fail_on_damage=False)

    assert result["ok"] is False
    assert steps(told) == {}


def test_a_cutover_tells_what_services_wait_for(run, told, monkeypatch, restores, tmp_path):
    host = RestoreHost(tmp_path, monkeypatch, restores)
    monkeypatch.setattr(stack_cutover, "connect", lambda *_arguments: host.engine)

    result = run(stack_cutover, stack="crm", state="live", health_timeout=0, shipped_profiles=shipped())

    assert result["changed"]
    assert [entry for entry in told if isinstance(entry, str)] == ["stop", "exchange", "start"]


def test_a_look_at_old_files_tells_what_it_reads_of_them(run, told, monkeypatch, tmp_path):
    monkeypatch.setattr(legacy_audit, "connect", lambda *_arguments: None)
    old = tmp_path / "old" / "crm.sql"
    old.parent.mkdir()
    old.write_text("-- PostgreSQL database dump\n-- PostgreSQL database dump complete\n", encoding="utf-8")

    assert run(legacy_audit, paths=[str(old.parent)], shipped_profiles=shipped())["files"] == 1

    assert "read" in told
    assert {str(old): old.stat().st_size} in told
    assert steps(told) == {str(old): str(old)}
