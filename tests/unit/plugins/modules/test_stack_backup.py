# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION
from ansible_collections.crm.continuity.plugins.modules import stack_backup
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import shipped


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


def test_check_mode_says_what_would_be_and_does_nothing(run, host):
    result = run(_ansible_check_mode=True)

    assert result["changed"] is True
    assert result["freeze"] == {"web": "pause", "worker": "pause", "evolution": "pause", "redis": "pause"}
    assert result["directory"] == f"{host.root}/crm/{result['id']}"
    assert "cut_at" not in result
    assert host.timeline() == []
    assert not os.path.exists(host.root)


def test_a_backup_is_what_check_mode_said(run):
    said, done = run(_ansible_check_mode=True), run()

    assert done["changed"] is True
    for key in ("artifacts", "freeze", "remarks"):
        assert done[key] == said[key]
    assert set(done) - set(said) == {
        "anomalies",
        "audit",
        "cut_at",
        "files",
        "frozen",
        "frozen_seconds",
        "metrics",
        "rows",
        "size",
    }


def test_the_result_is_what_lies_there(run, host):
    result = run()

    assert host.published() == [result["id"]]
    assert result["directory"] == f"{host.root}/crm/{result['id']}"
    assert all(Path(result["directory"], path).is_file() for path in result["artifacts"])
    assert (result["files"], result["rows"]) == (6, 3)
    assert result["frozen_seconds"] > 0
    manifest = json.loads(Path(result["directory"], "manifest.json").read_text(encoding="utf-8"))
    assert result["cut_at"] == manifest["cut_at"]
    assert manifest["collection_version"] == VERSION


def test_the_difference_names_the_files_where_they_are(run, monkeypatch):
    result = run(_ansible_diff=True)

    assert result["diff"]["before"] == ""
    assert result["diff"]["after"].splitlines() == [f"{result['directory']}/{path}" for path in result["artifacts"]]
    assert all(Path(path).is_file() for path in result["diff"]["after"].splitlines())


def test_a_second_backup_is_another(run, host):
    assert run()["id"] != run()["id"]
    assert len(host.published()) == 2


def test_an_anomalous_backup_is_kept_marked_and_no_failure(run, host):
    first = run(anomaly={"min_size": 0, "min_rows": 1})
    host.server.rows["chatwoot"] = {"public.accounts": 0}

    result = run(anomaly={"min_size": 0, "min_rows": 1})

    assert first["anomalies"] == []
    assert {anomaly["rule"] for anomaly in result["anomalies"]} == {"rows_drop"}
    assert len(host.published()) == 2
    events = [event for event in AuditLog(host.root).read()[0] if event.action == "backup"]
    assert [event.result for event in events] == ["ok", "anomalous"]
    assert events[1].facts["anomalies"] == [anomaly["message"] for anomaly in result["anomalies"]]
    assert not any("rows of" in remark for remark in result["remarks"])


def test_an_anomaly_limit_that_makes_no_sense_is_refused_before_anything_stands_still(run, host):
    assert "anomaly has no limit colour" in run(anomaly={"colour": 1})["msg"]
    assert host.timeline() == []


def test_how_full_the_disk_is_comes_with_the_result(run):
    full = run(_ansible_check_mode=True, space_warn=0.001, space_critical=100)["space"]

    assert (full["level"], "0.001 % is warning" in full["message"]) == ("warning", True)
    assert run(_ansible_check_mode=True, space_warn=99.9, space_critical=100)["space"]["level"] == "ok"
    assert "space_warn is 95" in run(space_warn=95, space_critical=90)["msg"]


def test_no_secret_is_returned(run):
    assert SECRET not in json.dumps(run(_ansible_diff=True))


@pytest.mark.parametrize(("compression", "suffix"), [("zstd", ".zst"), ("gzip", ".gz"), ("none", ".tar")])
def test_the_compression_is_chosen(run, compression, suffix):
    assert all(path.endswith((suffix, ".dump")) for path in run(compression=compression)["artifacts"])


@pytest.mark.parametrize("mode", ["freeze", "Pause", "", None, 1, ["pause"]])
def test_a_bad_way_to_freeze_is_refused_with_the_service_and_the_choices(run, host, mode):
    result = run(freeze={"evolution": mode})

    assert result["failed"]
    assert result["msg"] == f"freeze: evolution cannot be frozen by {mode!r}; it is one of pause, stop, none."
    assert host.timeline() == []


def test_the_way_to_freeze_is_chosen(run, host):
    result = run(freeze={"evolution": "stop", "redis": "none"})

    assert result["freeze"] == {"web": "pause", "worker": "pause", "evolution": "stop"}
    assert "stop evolution" in host.timeline()


def test_volumes_are_excluded_by_the_path_that_they_are_mounted_on(run):
    result = run(exclude=["/app/storage"])

    assert "volumes/crm_storage.tar.zst" not in result["artifacts"]
    remarks = [remark for remark in result["remarks"] if "is not encrypted" not in remark]
    assert remarks == ["volume crm_storage is not covered: it was excluded."]


def test_a_session_outside_the_backup_fails_unless_it_is_not_required(run, host):
    host.change("redis", mounts=())

    assert "would not be in the backup" in run()["msg"]
    result = run(require_session=False)

    assert not result.get("failed")
    assert any("signal keys are not covered" in remark for remark in result["remarks"])


def test_only_the_profiles_that_are_named_are_used(run):
    result = run(stack_profiles=["chatwoot"])

    assert "databases/evolution.dump.zst" not in result["artifacts"]


@pytest.mark.parametrize("check", [True, False], ids=["check mode", "for real"])
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"stack": "cmr"}, "There is no stack cmr on this host. This host runs crm."),
        ({"stack_profiles": ["chatwood"]}, "there is no profile chatwood"),
        ({"profiles": [{"services": []}]}, "name"),
        ({"compression": "none", "level": 3}, "level"),
        ({"level": 99}, "zstd has no level 99. Choose one from 1 to 19."),
    ],
)
def test_what_cannot_be_fails_in_check_mode_too_and_before_anything_is_frozen(run, host, params, words, check):
    result = run(**params, _ansible_check_mode=check)

    assert result["failed"]
    assert words in result["msg"]
    assert host.calls == []
    assert host.published() == []


def test_a_stack_that_is_busy_fails(run, host):
    with Store(host.root).locked("crm"):
        result = run()

    assert result["failed"]
    assert "Stack crm is busy" in result["msg"]
    assert host.calls == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT], ids=["TERM", "HUP", "INT"])
def test_an_interrupt_brings_everything_back_and_fails(run, host, number):
    host.meanwhile(f"sleep 0.2; kill -{number} {os.getpid()}; sleep 5")
    handlers = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}

    result = run()

    assert result["failed"]
    assert result["msg"].startswith(f"Interrupted by {number.name}.")
    assert set(host.states().values()) == {"running"}
    assert host.published() == []
    assert {name: signal.getsignal(name) for name in handlers} == handlers


def test_more_interrupts_do_not_disturb_the_thaw(run, host, monkeypatch):
    real = host.unpause

    def unpause(id_):
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            os.kill(os.getpid(), number)
        real(id_)

    monkeypatch.setattr(host, "unpause", unpause)
    host.meanwhile(f"sleep 0.2; kill -TERM {os.getpid()}; sleep 5")

    result = run()

    assert result["msg"].startswith("Interrupted by SIGTERM.")
    assert set(host.states().values()) == {"running"}
    assert host.published() == []


def test_a_root_that_is_a_file_fails_with_its_name(run, host, tmp_path):
    (tmp_path / "file").write_text("")

    result = run(backup_root=str(tmp_path / "file"))

    assert result["failed"]
    assert f"{tmp_path}/file" in result["msg"]
    assert host.calls == []
