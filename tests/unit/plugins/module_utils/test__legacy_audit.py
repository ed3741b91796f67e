# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils import _legacy_archives, _legacy_audit
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError
from ansible_collections.crm.continuity.plugins.module_utils._legacy_audit import Request, audit
from ansible_collections.crm.continuity.plugins.modules import legacy_audit
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import container, shipped, shipped_profiles


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm", and a sidekick of Ticketz as the guide sets it up."""
    host = crm_host(tmp_path, monkeypatch)
    host.by_id["sidekick"] = container(
        "helpdesk-sidekick",
        "ghcr.io/ticketz-oss/ticketz-sidekick:latest",
        project="helpdesk",
        id="sidekick",
        env={"BACKUP_ENCRYPTION_KEY": SECRET, "DB_NAME": "ticketz"},
        volumes={"/backups": "helpdesk_files"},
        state="restarting",
    )
    monkeypatch.setattr(_legacy_archives, "_reachable", lambda _directory: True)
    monkeypatch.setattr(legacy_audit, "connect", lambda *_arguments: host)
    return host


@pytest.fixture
def etc(tmp_path):
    """Return a function that writes a file of the host."""

    def write(path, content="", mode=0o644):
        target = tmp_path / "fs" / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(mode)
        return target

    return write


@pytest.fixture
def look(host, tmp_path):
    """Return a function that audits the host, and gives the findings as (kind, severity, where)."""

    def run(engine=host):
        request = Request(host.root, ("/opt", "/backups"), filesystem=str(tmp_path / "fs"))
        report = audit(request, engine, shipped_profiles())
        assert not any(SECRET in finding.message for finding in report.findings)
        found = {(f.kind, f.severity, f.where.replace(str(tmp_path / "fs"), "")) for f in report.findings}
        return report, found

    return run


def test_what_the_guide_promises_and_the_sidekick_does_not_do_is_named(look, etc, host):
    etc("/opt/helpdesk/compose.yml", 'services:\n  sidekick:\n    environment:\n      BACKUP_ENCRYPTION: "aes256"\n')
    etc("/opt/helpdesk/env/.env-backend", "BACKUP_RETENTION_DAYS=30\n")

    found = look()[1]

    sidekick = f"container {host.by_id['sidekick'].name}"
    assert {("unread-setting", "critical", sidekick), ("no-command", "critical", sidekick)} <= found
    assert ("unread-setting", "critical", "/opt/helpdesk/compose.yml:4") in found
    assert ("unread-setting", "warning", "/opt/helpdesk/env/.env-backend:1") in found


def test_crontabs_are_read_with_their_scripts(look, etc):
    etc("/etc/cron.d/crm-backup.sh", "0 2 * * * root /path/to/scripts/backup-helpdesk.sh\n")
    etc("/var/spool/cron/crontabs/root", "0 3 * * * tar czf /b/x_$(date +%F).tar.gz /opt\n", 0o600)
    etc("/etc/cron.daily/backup-helpdesk.sh", "#!/bin/sh\n", 0o755)

    found = look()[1]

    assert {where for kind, _severity, where in found if kind == "cron"} == {
        "/etc/cron.d/crm-backup.sh:1",
        "/etc/cron.d/crm-backup.sh",
        "/var/spool/cron/crontabs/root:1",
        "/etc/cron.daily/backup-helpdesk.sh",
        "cron",
    }
    etc("/usr/sbin/cron")
    assert ("cron", "critical", "cron") not in look()[1]


def test_a_crontab_that_others_may_write_is_not_run(look, etc):
    etc("/etc/cron.d/backup", "0 2 * * * root /bin/true backup\n", 0o666)

    assert ("cron", "warning", "/etc/cron.d/backup") in look()[1]


def test_volumes_and_databases_that_nothing_covers_are_critical(look):
    report, found = look()

    covered = {(cover.kind, cover.name): cover for cover in report.coverage}
    assert ("uncovered", "critical", "volume crm_storage") in found
    assert ("uncovered", "critical", "database chatwoot") in found
    assert ("uncovered", "critical", "volume helpdesk_files") in found
    assert covered["volume", "crm_storage"].covered is False
    assert covered["volume", "helpdesk_files"].stack == "helpdesk"


def test_what_a_backup_holds_is_covered_by_it(look, host):
    taken = host.back_up()

    report, found = look()

    of_crm = [cover for cover in report.coverage if cover.stack == "crm" and not cover.note]
    assert of_crm
    assert {cover.backup for cover in of_crm} == {taken.backup.id}
    assert not [where for kind, _severity, where in found if kind == "uncovered" and "crm_" in where]


def test_a_damaged_backup_covers_nothing(look, host):
    path = host.back_up().backup.path
    with open(os.path.join(path, "manifest.json"), "ab") as stream:
        stream.write(b" ")

    _report, found = look()

    assert ("damaged", "critical", path) in found
    assert ("uncovered", "critical", "volume crm_storage") in found


def test_an_old_backup_is_said_to_be_old(look, host, monkeypatch):
    host.back_up()
    real = _legacy_audit.datetime.datetime

    class Later(real):
        @classmethod
        def now(cls, tz=None):
            return real.now(tz) + _legacy_audit.datetime.timedelta(days=9)

    monkeypatch.setattr(_legacy_audit.datetime, "datetime", Later)

    assert any(kind == "stale" for kind, _severity, _where in look()[1])


def test_archives_are_found_in_volumes_that_no_container_mounts(look, host, tmp_path):
    volume = tmp_path / "data-root" / "volumes" / "helpdesk_backups" / "_data"
    volume.mkdir(parents=True)
    (volume / "ticketz-backup-20261120020000.tar.gz").touch(0o600)
    host.info = lambda: replace(type(host).info(host), root=str(tmp_path / "data-root"))

    assert ("empty", "critical", str(volume / "ticketz-backup-20261120020000.tar.gz")) in look()[1]


def test_without_an_engine_the_files_are_looked_at_all_the_same(look, etc):
    etc("/backups/a.sql", mode=0o600)

    report, found = look(engine=None)

    assert ("empty", "critical", "/backups/a.sql") in found
    assert ("engine", "warning", "docker") in found
    assert report.coverage == ()


def test_the_worst_comes_first_and_nothing_twice(look, etc):
    etc("/backups/a.sql", mode=0o600)
    findings = look()[0].findings

    severities = [finding.severity for finding in findings]
    assert severities == sorted(severities, key=["critical", "warning", "info"].index)
    assert len(set(findings)) == len(findings)


@pytest.fixture
def run(host, tmp_path, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        arguments = {"shipped_profiles": shipped(), "backup_root": host.root, "paths": [str(tmp_path)], **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            legacy_audit.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_the_module_reports_and_changes_nothing(run, host):
    result = run()

    assert (result["changed"], result["ok"]) == (False, False)
    assert {"kind", "severity", "where", "message"} == set(result["findings"][0])
    assert {"covered", "name", "stack"} <= set(result["coverage"][0])
    assert SECRET not in json.dumps(result)
    assert host.calls == []


def test_the_module_goes_on_without_an_engine(run, monkeypatch):
    def refuse(*_arguments):
        raise EngineError("no socket")

    monkeypatch.setattr(legacy_audit, "connect", refuse)

    assert [finding["kind"] for finding in run()["findings"]][:1] == ["engine"]
