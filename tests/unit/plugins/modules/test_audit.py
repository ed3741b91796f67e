# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.modules import audit_info, audit_record
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host

ID = "20261121T020000Z"


@pytest.fixture
def run(tmp_path, capsys):
    """Return a function that runs a module as Ansible would and returns its result."""

    def run_module(module, check=False, **params):
        arguments = {"backup_root": str(tmp_path / "root"), "_ansible_check_mode": check, **params}
        with patch_module_args(arguments), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.fixture
def log(tmp_path):
    log = AuditLog(str(tmp_path / "root"))
    log.append("backup", stack="crm", backup=ID, actor={"user": "ana"}, facts={"volumes": ["v"]})
    log.append("extract", stack="crm", backup=ID, facts={"to": "/srv/x"})
    log.append("backup", stack="other", backup=ID)
    return log


def test_a_root_without_a_log_has_no_events(run):
    result = run(audit_info)

    assert (result["ok"], result["changed"], result["events"], result["head"]) == (True, False, [], None)


def test_events_are_returned_with_the_last_one_to_keep(run, log):
    result = run(audit_info, stack="crm", actions=["extract"])

    (event,) = result["events"]
    assert (event["sequence"], event["action"], event["facts"]) == (2, "extract", {"to": "/srv/x"})
    assert result["head"]["sequence"] == 3
    assert run(audit_info, known=[result["head"]])["ok"] is True


def test_a_log_that_was_tampered_with_is_an_error(run, log):
    path = Path(log.path)
    path.write_bytes(path.read_bytes().replace(b"/srv/x", b"/srv/y"))

    result = run(audit_info)

    assert result["failed"] is True
    assert "is not as it was written" in result["msg"]
    assert [problem["kind"] for problem in result["problems"]] == ["broken"]
    assert len(result["events"]) == 3
    assert run(audit_info, fail_on_problems=False).get("failed") is None


def test_another_head_than_the_one_known_is_an_error(run, log):
    assert run(audit_info, known=[{"sequence": 9, "sha256": "0" * 64}])["failed"] is True


def test_where_data_were_kept_is_answered(run, log):
    result = run(audit_info, storage=True, stack="crm")

    (kept,) = result["storage"]
    assert (kept["backup"], kept["by"], kept["volumes"]) == (ID, {"user": "ana"}, ["v"])
    assert [copy["to"] for copy in kept["copies"]] == ["/srv/x"]
    assert kept["unrecorded"] is True


def test_a_note_is_one_event(run, log):
    result = run(audit_record, text="Disk 7 is at the notary.", actor={"user": "bia", "job": None})

    assert result["changed"] is True
    event = log.read()[0][-1]
    assert result["audit"] == {"sequence": 4, "sha256": event.sha256}
    assert (event.action, event.actor, event.facts) == ("note", {"user": "bia"}, {"text": "Disk 7 is at the notary."})


def test_check_mode_notes_nothing(run, log):
    result = run(audit_record, check=True, text="x")

    assert (result["changed"], result["audit"]) == (True, None)
    assert len(log.read()[0]) == 3


def test_what_came_from_elsewhere_is_read_first(run, tmp_path, monkeypatch):
    host = crm_host(tmp_path / "root", monkeypatch)
    backup = host.back_up().backup

    result = run(
        audit_record,
        backup_root=str(Path(backup.path).parents[1]),
        action="transfer",
        stack="crm",
        id=backup.id,
        source="crm-a",
    )

    event = AuditLog(str(Path(backup.path).parents[1])).read()[0][-1]
    assert result["audit"]["sequence"] == event.sequence
    assert event.facts["from"] == "crm-a"
    assert event.facts["files"] > 0
    assert len(event.facts["sums_sha256"]) == 64


def test_a_backup_that_is_there_cannot_be_noted_as_deleted(run, log, tmp_path):
    (tmp_path / "root" / "crm" / ID).mkdir(parents=True)

    result = run(audit_record, action="prune", stack="crm", id=ID)

    assert "Delete it first" in result["msg"]
    assert log.read()[0][-1].result == "failed"


def test_a_deletion_by_hand_ends_the_storage(run, log):
    run(audit_record, action="prune", stack="crm", id=ID, text="lost with its disk")

    (kept,) = run(audit_info, storage=True, stack="crm")["storage"]
    assert kept["until"] is not None
    assert kept["unrecorded"] is False


def test_a_refused_restore_has_its_reason_as_message(run, log):
    run(audit_record, action="restore", stack="crm", id=ID, result="refused", text="The volume is in use.")

    event = log.read()[0][-1]
    assert (event.action, event.result, event.backup) == ("restore", "refused", ID)
    assert event.facts == {"message": "The volume is in use."}


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="a note without words"),
        pytest.param({"action": "copy", "stack": "crm", "id": ID}, id="a copy to nowhere"),
        pytest.param({"action": "prune", "id": ID}, id="an ID of no stack"),
        pytest.param({"action": "restore", "stack": "crm", "id": ID, "result": "refused"}, id="a refusal without why"),
        pytest.param({"action": "restore", "stack": "crm", "id": ID, "text": "x"}, id="a restore that took place"),
    ],
)
def test_half_of_a_story_is_refused(run, params):
    assert run(audit_record, **params)["failed"] is True


def test_an_event_that_cannot_be_written_is_an_error(run, tmp_path):
    (tmp_path / "root").touch()

    assert "cannot be written" in run(audit_record, text="x")["msg"]
