# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When stack_backup begins, what it does instead, and what is known of it afterwards."""

from __future__ import annotations

import datetime
import errno
import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils import _backup_begin, _capture, _job, _progress
from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import locked_on_host
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._job import Jobs
from ansible_collections.crm.continuity.plugins.module_utils._journal import started
from ansible_collections.crm.continuity.plugins.modules import stack_backup
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import shipped

TOKEN, OTHER = "a" * 32, "b" * 32
ANA = {"user": "ana", "job": None, "control_node": "control-1"}


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm": Chatwoot with a worker, Evolution API, PostgreSQL and Redis."""
    host = crm_host(tmp_path, monkeypatch)
    monkeypatch.setattr(stack_backup, "connect", lambda *_arguments: host)
    return host


@pytest.fixture
def run(host, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        params = {"stack": "crm", "backup_root": host.root, "shipped_profiles": shipped(), **params}
        with patch_module_args(params), pytest.raises(SystemExit):
            stack_backup.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.fixture
def process():
    """Another process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def begun_by(process, host):
    """Return the record of a backup of the stack that another process has begun."""
    job = Jobs("crm").begin(host.root, ANA, OTHER)
    job = replace(job, pid=process.pid, process=started(process.pid))
    for token in (None, OTHER):
        Jobs("crm")._write(token, job)
    return job


@pytest.fixture
def other(host, process):
    """A backup of the stack that another process takes; return the process and its record."""
    return process, begun_by(process, host)


@pytest.fixture
def closed():
    """A window that is not open now."""
    moment = _backup_begin.now().astimezone()
    return f"{(moment.hour + 2) % 24}:00-{(moment.hour + 3) % 24}:00"


@pytest.fixture
def meanwhile(monkeypatch):
    """Return a function that says what happens while the module waits for the first time."""

    def happens(act):
        monkeypatch.setattr(_job, "time", SimpleNamespace(sleep=lambda _seconds: act()))

    return happens


def test_what_a_backup_became_is_known_afterwards(run, jobs):
    result = run(actor=ANA)

    job = Jobs("crm").latest()
    # It is smaller than a backup usually is.
    assert (job.outcome, job.who, job.token) == ("anomalous", "ana", None)
    assert {name: result[name] for name in job.result} == job.result
    assert [path.name for path in jobs.iterdir()] == ["crm.json"]
    assert (result["attached"], result["not_needed"], result["collected"]) == (False, None, [])


def test_what_became_of_a_failure_is_known_too(run, host):
    Path(host.root).mkdir()
    Path(host.root, "crm").touch()

    result = run()

    assert result["failed"]
    job = Jobs("crm").latest()
    assert (job.outcome, job.message) == ("failed", result["msg"])


def test_check_mode_leaves_no_record(run, jobs):
    assert run(_ansible_check_mode=True)["changed"]

    assert not jobs.exists()


def test_a_result_that_somebody_waits_for_waits_for_him(run, jobs, monkeypatch):
    monkeypatch.setenv(_progress.VARIABLE, TOKEN)

    result = run()

    assert sorted(path.name for path in jobs.iterdir()) == [f"crm.{TOKEN}.json", "crm.json"]
    monkeypatch.setenv(_progress.VARIABLE, OTHER)
    following = run()
    assert [(one["id"], one["outcome"]) for one in following["collected"]] == [(result["id"], "anomalous")]
    assert sorted(path.name for path in jobs.iterdir()) == [f"crm.{OTHER}.json", "crm.json"]


def test_the_result_is_the_same_with_progress_and_without(run, monkeypatch):
    plain = run()
    monkeypatch.setenv(_progress.VARIABLE, TOKEN)
    watched = run()

    assert set(watched) == set(plain)
    assert watched["artifacts"] == plain["artifacts"]


def test_a_backup_that_runs_is_waited_for_and_its_result_returned(run, host, other, monkeypatch, jobs, meanwhile):
    monkeypatch.setenv(_progress.VARIABLE, TOKEN)
    ended = replace(
        other[1], outcome="ok", result={"id": "20261122T020000Z", "rows": 3, "collected": [], "changed": True}
    )
    meanwhile(lambda: [Jobs("crm")._write(token, ended) for token in (OTHER, None)])

    result = run(attach=True)

    assert (result["id"], result["rows"], result["attached"], result["changed"]) == ("20261122T020000Z", 3, True, True)
    assert result["collected"] == []
    assert "space" in result
    assert host.published() == []
    # Should nobody wait for us either.
    assert sorted(path.name for path in jobs.iterdir()) == [f"crm.{TOKEN}.json", "crm.json"]


def test_the_failure_of_a_backup_that_was_waited_for_is_ours(run, other, meanwhile):
    meanwhile(lambda: Jobs("crm")._write(OTHER, replace(other[1], outcome="failed", message="The disk is full.")))

    result = run(attach=True)

    assert result["failed"]
    assert "that ana began at" in result["msg"]
    assert result["msg"].endswith("and it failed: The disk is full.")


def test_a_backup_that_dies_while_it_is_waited_for_is_replaced_and_told_of(run, host, other, meanwhile):
    meanwhile(other[0].kill)

    result = run(attach=True)

    assert host.published() == [result["id"]]
    assert (result["attached"], [one["outcome"] for one in result["collected"]]) == (False, ["died"])


def test_one_that_was_faster_by_a_moment_is_waited_for_too(run, host, monkeypatch, meanwhile, process, tmp_path):
    (tmp_path / "metrics").mkdir()

    def overtaken(*_arguments):
        job = begun_by(process, host)
        ended = replace(job, outcome="ok", result={"id": "20261122T020000Z", "collected": []})
        meanwhile(lambda: [Jobs("crm")._write(token, ended) for token in (OTHER, None)])
        return host

    monkeypatch.setattr(stack_backup, "connect", overtaken)

    with locked_on_host("crm"):
        result = run(attach=True, metrics_directory=str(tmp_path / "metrics"))

    assert (result["id"], result["attached"]) == ("20261122T020000Z", True)
    assert host.published() == []
    # It was no try of ours.
    assert AuditLog(host.root).read()[0] == []
    assert list((tmp_path / "metrics").iterdir()) == []


def test_one_that_has_the_lock_and_has_not_noted_yet_what_it_does_is_waited_for(
    run, host, monkeypatch, meanwhile, process
):
    def noted(_seconds):
        ended = replace(begun_by(process, host), outcome="ok", result={"id": "20261122T020000Z", "collected": []})
        meanwhile(lambda: [Jobs("crm")._write(token, ended) for token in (OTHER, None)])

    monkeypatch.setattr(stack_backup, "time", SimpleNamespace(monotonic=time.monotonic, sleep=noted))

    with locked_on_host("crm"):
        result = run(attach=True)

    assert (result["id"], result["attached"]) == ("20261122T020000Z", True)


@pytest.mark.parametrize("attach", [True, False])
def test_somebody_who_takes_no_backup_is_in_the_way(run, host, monkeypatch, attach):
    monkeypatch.setattr(stack_backup, "EVERY", 0)
    with locked_on_host("crm"):
        result = run(attach=attach)

    assert "Stack crm is busy" in result["msg"]
    assert [event.result for event in AuditLog(host.root).read()[0]] == ["failed"]


def test_without_attach_a_backup_that_runs_is_in_the_way(run, other):
    with locked_on_host("crm"):
        result = run()

    assert "Stack crm is busy" in result["msg"]
    assert Jobs("crm").latest() == other[1]


@pytest.mark.usefixtures("other")
def test_a_backup_into_another_root_is_another_one(run, host, tmp_path):
    with locked_on_host("crm"):
        assert "Stack crm is busy" in run(attach=True, backup_root=str(tmp_path / "elsewhere"))["msg"]
    assert host.published() == []


@pytest.mark.usefixtures("other")
def test_check_mode_waits_for_nobody(run):
    assert run(attach=True, _ansible_check_mode=True)["attached"] is False


def test_a_young_backup_makes_another_one_unnecessary(run, host):
    first = run()

    result = run(younger_than=2)

    assert (result["changed"], result["id"]) == (False, first["id"])
    assert result["not_needed"] == f"Backup {first['id']} of 0.0 hours ago is younger than 2 hours."
    assert set(first) == set(result)
    assert (result["size"], result["rows"], result["artifacts"]) == (first["size"], first["rows"], first["artifacts"])
    assert host.published() == [first["id"]]
    assert run(younger_than=2, _ansible_check_mode=True)["not_needed"] == result["not_needed"]


def test_an_old_backup_is_followed_by_another(run, host):
    run()

    assert run(younger_than=0.000001)["changed"]
    assert len(host.published()) == 2


def test_one_whose_manifest_is_damaged_does_not_count(run, host):
    first = run()
    Path(first["directory"], "manifest.json").write_text("{")

    assert run(younger_than=2)["not_needed"] is None
    assert len(host.published()) == 2


def test_one_that_the_clock_of_the_host_has_yet_to_reach_is_not_young(run, host, monkeypatch):
    later = _backup_begin.now() + datetime.timedelta(days=3000)
    with monkeypatch.context() as patch:
        patch.setattr(_capture, "now", lambda: later)
        first = run()
    assert first["cut_at"].startswith(str(later.year))

    assert run(younger_than=12)["not_needed"] is None
    assert len(host.published()) == 2


def test_one_that_is_known_to_be_damaged_is_not_young(run, host):
    first = run()
    AuditLog(host.root).append("verify", stack="crm", backup=first["id"], result="failed", facts={"problems": ["rot"]})

    assert run(younger_than=2)["not_needed"] is None
    assert len(host.published()) == 2


def test_one_whose_files_are_not_all_there_is_not_young(run, host):
    first = run()
    Path(first["directory"], first["artifacts"][0]).unlink()

    assert run(younger_than=2)["not_needed"] is None
    assert len(host.published()) == 2


def test_one_that_the_disk_does_not_give_back_is_not_young(run, host, monkeypatch):
    run()

    def unreadable(*_arguments):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_backup_begin.Catalogue, "entry", unreadable)
    assert run(younger_than=2)["not_needed"] is None
    assert len(host.published()) == 2


def test_a_young_one_that_is_out_of_the_ordinary_still_is(run, host):
    first = run()
    messages = [one["message"] for one in first["anomalies"]]
    assert messages

    result = run(younger_than=2)

    assert result["not_needed"]
    assert [(one["rule"], one["subject"], one["message"]) for one in result["anomalies"]] == [
        ("known", first["id"], message) for message in messages
    ]
    AuditLog(host.root).append("accept", stack="crm", backup=first["id"], facts={"reason": "it is small"})
    assert run(younger_than=2)["anomalies"] == []


def test_without_a_log_that_can_be_read_one_more_is_taken(run, host, monkeypatch):
    run()

    def unreadable(*_arguments):
        raise StoreError("audit.jsonl cannot be read: Input/output error.")

    monkeypatch.setattr(_backup_begin, "Catalogue", unreadable)
    assert run(younger_than=2)["not_needed"] is None


@pytest.mark.parametrize("check_mode", [False, True])
def test_outside_of_the_window_nothing_is_begun_unless_forced(run, host, closed, check_mode):
    result = run(window=closed, _ansible_check_mode=check_mode)

    assert f"and the window is {closed}" in result["msg"]
    assert host.timeline() == []
    assert run(window=closed, force=True, _ansible_check_mode=check_mode)["changed"]


def test_what_the_window_refuses_is_noted_as_a_try(run, host, monkeypatch, tmp_path, closed):
    run()
    (tmp_path / "metrics").mkdir()
    before = AuditLog(host.root).read()[0]

    result = run(window=closed, metrics_directory=str(tmp_path / "metrics"), actor=ANA)

    (event,) = AuditLog(host.root).read()[0][len(before) :]
    assert (event.action, event.stack, event.result) == ("backup", "crm", "refused")
    assert (event.facts["message"], event.actor["user"]) == (result["msg"], "ana")
    written = (tmp_path / "metrics" / "crm_backup_crm.prom").read_text(encoding="utf-8")
    assert 'crm_backup_last_attempt_success{stack="crm"} 0' in written
    # Nobody has asked the engine.
    assert not (tmp_path / "metrics" / "crm_backup_engine.prom").exists()


def test_check_mode_and_an_open_window_are_noted_by_nobody(run, host, tmp_path, closed):
    (tmp_path / "metrics").mkdir()

    run(window=closed, metrics_directory=str(tmp_path / "metrics"), _ansible_check_mode=True)
    assert list((tmp_path / "metrics").iterdir()) == []

    assert run(window="00:00-24:00")["changed"]
    assert [event.result for event in AuditLog(host.root).read()[0]] == ["anomalous"]


def test_a_window_that_makes_no_sense_is_refused(run, host):
    assert "window is 'night'" in run(window="night")["msg"]
    assert host.timeline() == []


def test_a_delay_comes_before_the_backup_and_not_in_check_mode(run, host, monkeypatch):
    waited = []
    monkeypatch.setattr(stack_backup.time, "sleep", lambda seconds: waited.append((seconds, host.timeline())))

    assert run(delay=40, _ansible_check_mode=True)["changed"]
    assert waited == []
    assert run(delay=40)["changed"]
    assert waited[0] == (40, [])


def test_what_restores_have_kept_long_enough_is_given_up_after_the_backup(run, host, monkeypatch):
    given_up = []

    def cut_over(request, *_more):
        given_up.append((request.stack, request.state, len(host.published())))
        raise StoreError("Stack crm is busy.")

    monkeypatch.setattr(stack_backup, "cut_over", cut_over)

    run()
    assert given_up == []
    result = run(expire_restores=True)
    assert given_up == [("crm", "expired", 2)]
    assert result["remarks"][-1] == "What restores have kept for its time could not be removed: Stack crm is busy."


def test_where_no_restore_is_kept_there_is_nothing_to_give_up_and_no_line_in_the_log(run, host):
    result = run(expire_restores=True)

    assert not any("restores" in remark for remark in result["remarks"])
    log = Path(host.root, "audit.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["action"] for line in log.splitlines()][-1] == "backup"
