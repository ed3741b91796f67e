# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import stat
import threading
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.crm.continuity.plugins.module_utils import _metrics
from ansible_collections.crm.continuity.plugins.module_utils._metrics import (
    Metric,
    attempted,
    file_name,
    refresh,
    render,
    stack_metrics,
    update,
)
from ansible_collections.crm.continuity.plugins.module_utils._status import Attempt, StackStatus
from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION
from ansible_collections.crm.continuity.tests.unit import status_samples as samples
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root
from ansible_collections.crm.continuity.tests.unit.status_samples import latest, moment, stack

FIRST, SECOND = "20261121T020000Z", "20261122T020000Z"


def parsed(text):
    """Return the values by name and labels, as Prometheus reads them; nothing may be there twice."""
    found = {}
    assert text == "" or text.endswith("\n")
    for family in text_string_to_metric_families(text):
        assert family.type == "gauge"
        assert family.documentation.endswith(".")
        for sample in family.samples:
            key = (sample.name.removeprefix("crm_backup_"), *sorted(sample.labels.items()))
            assert key not in found
            assert sample.name == family.name
            assert sample.name.startswith("crm_backup_")
            found[key] = sample.value
    return found


def told(status):
    return parsed(render(stack_metrics(status), {"stack": status.stack}))


def of_crm(name, **labels):
    return (name, *sorted({"stack": "crm", **labels}.items()))


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


@pytest.fixture
def collector(tmp_path):
    directory = tmp_path / "collector"
    directory.mkdir()
    return directory


def read(collector, name="crm"):
    return parsed((collector / f"crm_backup_{name}.prom").read_text())


def names(collector):
    return sorted(path.name for path in collector.iterdir())


def test_a_stack_is_told_with_all_there_is():
    values = told(stack(last_uploaded=moment(4)))

    assert values[of_crm("size_bytes")] == 1_234_567_890
    assert values[of_crm("service_freeze_seconds", service="chatwoot", mode="pause")] == 0.312
    assert values[of_crm("last_attempt_timestamp_seconds")] == pytest.approx(
        samples.NOW.timestamp() - 4.98 * 3600 - 43.2, abs=1
    )
    assert {name for name, *_labels in values} == {
        "accepted",
        "anomalies",
        "artifacts",
        "backups",
        "cut_timestamp_seconds",
        "damaged",
        "duration_seconds",
        "files",
        "finished_timestamp_seconds",
        "first_timestamp_seconds",
        "freeze_seconds",
        "held",
        "last_attempt_duration_seconds",
        "last_attempt_success",
        "last_attempt_timestamp_seconds",
        "last_drilled_timestamp_seconds",
        "last_success_timestamp_seconds",
        "last_uploaded_timestamp_seconds",
        "last_verified_timestamp_seconds",
        "remarks",
        "restorable_to_timestamp_seconds",
        "rows",
        "service_freeze_seconds",
        "size_bytes",
        "stored_bytes",
        "verified",
        "verified_to_timestamp_seconds",
    }


def test_what_never_happened_has_no_metric():
    assert told(StackStatus("crm")) == {of_crm("backups"): 0, of_crm("stored_bytes"): 0, of_crm("held"): 0}


def test_a_failure_before_any_backup_is_told_too():
    values = told(StackStatus("crm", attempt=Attempt(moment(1), "failed", "no space", None, 2.5)))

    assert values[of_crm("last_attempt_success")] == 0
    assert values[of_crm("last_attempt_duration_seconds")] == 2.5


def test_a_backup_whose_manifest_is_gone_has_no_numbers():
    unknown = dict.fromkeys(("size", "seconds", "freeze_seconds", "files", "rows", "artifacts", "finished_at"))
    values = told(stack(latest=latest(**unknown, services=(), word="damaged")))

    assert values[of_crm("damaged")] == 1
    assert of_crm("size_bytes") not in values


def test_an_anomaly_that_was_accepted_is_none():
    assert told(stack(latest=latest(anomalies=("a", "b"))))[of_crm("anomalies")] == 2
    assert told(stack(latest=latest(anomalies=("a", "b"), accepted="fine")))[of_crm("anomalies")] == 0


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "ação", "{}", 'x",stack="y', "-1", " "])
def test_every_name_survives(name):
    values = told(stack(name))

    assert {dict(labels)["stack"] for _name, *labels in values} == {name}


def test_metrics_without_labels_have_no_braces():
    assert render([Metric("crm_backup_stacks", "How many.", [({}, 3)])]).splitlines()[-1] == "crm_backup_stacks 3"


def test_times_keep_their_fractions():
    assert "1795312800.5" in render([Metric("crm_backup_x", "When.", [({}, 1795312800.5)])])


def test_files_are_written_for_others_to_read(root, collector):
    root.take(FIRST)

    path = update(str(collector), str(root.path), "crm", engine=True)

    assert path == str(collector / "crm_backup_crm.prom")
    assert names(collector) == ["crm_backup_crm.prom", "crm_backup_engine.prom", "crm_backup_host.prom"]
    assert {stat.S_IMODE(file.stat().st_mode) for file in collector.iterdir()} == {0o644}
    assert read(collector)[of_crm("verified")] == 1
    assert read(collector, "engine") == {("engine_up",): 1}


def test_the_host_is_told(root, collector):
    root.take(FIRST)
    root.take(FIRST, "ticketz")

    update(str(collector), str(root.path))

    values = read(collector, "host")
    assert values["info", ("version", VERSION)] == 1
    assert (values["stacks",], values["log_intact",]) == (2, 1)
    assert time.time() - values["written_timestamp_seconds",] < 60
    assert 0 < values["disk_free_bytes",] < values["disk_total_bytes",]
    assert 0 < values["disk_used_percent",] < 100


def test_a_log_that_was_changed_is_told(root, collector):
    root.take(FIRST)
    path = root.path / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ok"', b'"failed"', 1))

    update(str(collector), str(root.path))

    assert read(collector, "host")["log_intact",] == 0


def test_whoever_has_not_asked_the_engine_says_nothing_of_it(root, collector):
    update(str(collector), str(root.path), "crm", engine=False)
    refresh(str(collector), str(root.path))

    assert read(collector, "engine") == {("engine_up",): 0}


def test_only_the_stack_that_is_meant_is_written(root, collector):
    root.take(FIRST)
    root.take(FIRST, "ticketz")

    update(str(collector), str(root.path), "crm")
    only = names(collector)
    refresh(str(collector), str(root.path))

    assert (only, names(collector)) == (
        ["crm_backup_crm.prom", "crm_backup_host.prom"],
        ["crm_backup_crm.prom", "crm_backup_host.prom", "crm_backup_ticketz.prom"],
    )


def test_the_file_of_a_stack_that_was_given_up_does_not_come_back(root, collector):
    root.take(SECOND)
    root.log.append("backup", stack="slip", result="failed", facts={"message": "There is no stack slip."})
    update(str(collector), str(root.path), "slip")
    slip = collector / "crm_backup_slip.prom"
    refresh(str(collector), str(root.path))
    assert slip.exists()

    slip.unlink()
    refresh(str(collector), str(root.path))

    assert not slip.exists()
    assert (collector / "crm_backup_crm.prom").exists()


def test_a_root_without_stacks_tells_of_the_host(root, collector):
    assert refresh(str(collector), str(root.path)) == []
    assert names(collector) == ["crm_backup_host.prom"]


def test_no_stack_takes_the_file_of_another_thing(collector):
    files = {file_name(stack) for stack in ("crm", "host", "engine", "schedule", "%68ost", "a/b", "..", "../x", "CRM")}

    assert len(files) == 9
    assert not files & {"host", "engine", "schedule"}
    assert not any("/" in file for file in files)


def test_nothing_is_written_where_nobody_collects(root, tmp_path):
    assert update(str(tmp_path / "nowhere"), str(root.path), "crm") is None
    assert refresh(str(tmp_path / "nowhere"), str(root.path)) == []
    assert not (tmp_path / "nowhere").exists()


def test_metrics_that_cannot_be_written_are_a_remark(root, collector):
    (collector / "crm_backup_host.prom").mkdir()

    assert refresh(str(collector), str(root.path)) == [
        f"The metrics could not be written to {collector}: Is a directory."
    ]


def test_a_full_disk_leaves_the_file_of_before(root, collector, monkeypatch):
    update(str(collector), str(root.path), "crm")
    before = (collector / "crm_backup_crm.prom").read_bytes()
    root.take(FIRST)

    def full(_descriptor, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_metrics, "write_all", full)

    assert refresh(str(collector), str(root.path)) != []
    assert (collector / "crm_backup_crm.prom").read_bytes() == before
    assert [name for name in names(collector) if name.startswith(".")] == []


def test_two_at_once_do_not_mix(root, collector):
    root.take(FIRST)
    failures = []

    def write():
        for _turn in range(10):
            failures.extend(refresh(str(collector), str(root.path)))

    threads = [threading.Thread(target=write) for _number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert read(collector)[of_crm("backups")] == 1


def test_a_try_that_fails_is_told_and_the_newest_backup_stays(root, collector):
    root.take(FIRST)

    def fail():
        with attempted(str(collector), str(root.path), "crm") as report:
            report.engine = True
            raise RuntimeError("tar exited with 2")

    with pytest.raises(RuntimeError, match="tar exited with 2"):
        fail()

    values = read(collector)
    assert (values[of_crm("last_attempt_success")], values[of_crm("backups")]) == (0, 1)
    assert values[of_crm("last_success_timestamp_seconds")] < values[of_crm("last_attempt_timestamp_seconds")] + 60
    assert read(collector, "engine") == {("engine_up",): 1}


def test_a_try_that_fails_is_told_when_the_disk_of_the_backups_is_gone(root, collector, monkeypatch):
    def gone(_root):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(_metrics, "space", gone)

    with pytest.raises(RuntimeError), attempted(str(collector), str(root.path), "crm"):
        raise RuntimeError("tar exited with 2")

    assert read(collector)[of_crm("last_attempt_success")] == 0
    assert ("disk_used_percent",) not in read(collector, "host")


def test_a_try_that_never_reached_the_engine_says_so(root, collector):
    with pytest.raises(RuntimeError), attempted(str(collector), str(root.path), "crm"):
        raise RuntimeError("no engine")

    assert read(collector, "engine") == {("engine_up",): 0}


def test_a_try_that_fails_is_told_by_its_error_whatever_becomes_of_the_metrics(root, collector):
    (collector / "crm_backup_host.prom").mkdir()

    with pytest.raises(RuntimeError, match="tar exited"), attempted(str(collector), str(root.path), "crm"):
        raise RuntimeError("tar exited with 2")


def test_a_try_that_succeeds_is_told(root, collector):
    with attempted(str(collector), str(root.path), "crm") as report:
        root.take(SECOND)
        where, remarks = report.succeed("ok")

    values = read(collector)
    assert (where, remarks) == (str(collector / "crm_backup_crm.prom"), [])
    assert values[of_crm("last_attempt_success")] == 1
    assert values[of_crm("last_attempt_duration_seconds")] < 60


def test_a_success_that_cannot_be_told_is_one(root, collector):
    (collector / "crm_backup_host.prom").mkdir()

    with attempted(str(collector), str(root.path), "crm") as report:
        where, remarks = report.succeed("ok")

    assert where is None
    assert remarks == [f"The metrics could not be written to {collector}: Is a directory."]


def test_a_stack_whose_name_is_no_directory_is_told(root, collector):
    with pytest.raises(RuntimeError), attempted(str(collector), str(root.path), '../a"b'):
        raise RuntimeError("no such stack")

    values = read(collector, file_name('../a"b'))
    assert values["last_attempt_success", ("stack", '../a"b')] == 0
    assert sorted(path.name for path in collector.parent.iterdir()) == ["collector"]
