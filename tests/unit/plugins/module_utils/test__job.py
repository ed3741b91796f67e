# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import asdict, replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _job
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._job import Jobs, kept
from ansible_collections.crm.continuity.plugins.module_utils._journal import started

TOKEN, OTHER = "a" * 32, "b" * 32
ANA = {"user": "ana", "job": None, "control_node": "control-1"}


@pytest.fixture
def crm():
    return Jobs("crm")


@pytest.fixture
def process():
    """A process that runs until the end of the test, or until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def of(process, job):
    """Return a record as another process would have made it."""
    return replace(job, pid=process.pid, process=started(process.pid))


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_record_says_who_began_and_that_it_runs(crm, jobs):
    job = crm.begin("/srv/b", ANA, None)

    assert crm.latest() == job
    assert job.runs
    assert (job.root, job.who, job.actor) == ("/srv/b", "ana", {"user": "ana", "control_node": "control-1"})
    assert names(jobs) == ["crm.json"]
    assert stat.S_IMODE(jobs.stat().st_mode) == 0o700
    assert stat.S_IMODE((jobs / "crm.json").stat().st_mode) == 0o600


def test_the_end_is_noted_where_the_beginning_was(crm, jobs):
    job = crm.begin("/srv/b", {}, TOKEN)
    assert names(jobs) == [f"crm.{TOKEN}.json", "crm.json"]

    crm.end(job, "ok", result={"id": "x"})

    found = crm.latest()
    assert (found.outcome, found.result, found.runs) == ("ok", {"id": "x"}, False)
    assert (jobs / "crm.json").read_bytes() == (jobs / f"crm.{TOKEN}.json").read_bytes()


def test_the_end_of_one_that_is_not_the_last_any_more_leaves_the_last_alone(crm, process):
    mine = crm.begin("/srv/b", {}, TOKEN)
    last = of(process, mine)
    crm._write(None, last)

    crm.end(mine, "failed", "no space")

    assert crm.latest() == last
    assert crm.collect()[0]["message"] == "no space"


def test_a_number_that_another_process_has_got_is_not_it(crm, process):
    job = of(process, crm.begin("/srv/b", {}, None))

    assert job.runs
    assert not replace(job, process=job.process - 1).runs


def test_a_zombie_does_not_run(process):
    process.kill()
    limit = time.monotonic() + 10
    while started(process.pid) is not None and time.monotonic() < limit:
        time.sleep(0.01)

    assert os.path.exists(f"/proc/{process.pid}")
    assert started(process.pid) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"stack": "crm"}', '{"unknown": 1}'])
def test_a_record_that_cannot_be_read_says_nothing(crm, jobs, text):
    jobs.mkdir(parents=True)
    (jobs / "crm.json").write_text(text)

    assert crm.latest() is None


def test_a_place_that_cannot_be_written_fails_nothing(tmp_path):
    (tmp_path / "file").touch()
    jobs = Jobs("crm", str(tmp_path / "file" / "jobs"))

    jobs.end(jobs.begin("/srv/b", {}, TOKEN), "ok")

    assert jobs.latest() is None
    assert jobs.collect() == []


def test_what_nobody_came_for_is_told_once_oldest_first(crm, jobs):
    for token, at, outcome in (
        (TOKEN, "2026-11-22T02:00:00+00:00", "ok"),
        (OTHER, "2026-11-21T02:00:00+00:00", "failed"),
    ):
        job = replace(crm.begin("/srv/b", ANA, token), began_at=at)
        crm.end(job, outcome, None if outcome == "ok" else "no space", {"id": at[:10], "rows": 3})

    found = crm.collect()

    assert [(one["outcome"], one["message"], one["id"]) for one in found] == [
        ("failed", "no space", "2026-11-21"),
        ("ok", None, "2026-11-22"),
    ]
    assert "rows" not in found[0]
    assert found[0]["actor"]["user"] == "ana"
    assert crm.collect() == []
    assert names(jobs) == ["crm.json"]


def test_one_that_died_is_told_as_such(crm, process):
    job = of(process, crm.begin("/srv/b", {}, TOKEN))
    crm._write(TOKEN, job)
    assert crm.collect() == []

    process.kill()
    process.wait()

    assert [(one["outcome"], one["message"]) for one in crm.collect()] == [
        ("died", "Its process ended without a result.")
    ]


def test_our_own_result_is_not_taken_from_us(crm, jobs):
    crm.end(crm.begin("/srv/b", {}, TOKEN), "ok")

    assert crm.collect(TOKEN) == []
    assert f"crm.{TOKEN}.json" in names(jobs)


def test_what_a_run_had_collected_that_nobody_came_for_is_told_too(crm):
    crm.end(
        crm.begin("/srv/b", {}, TOKEN), "ok", result={"collected": [{"began_at": "2020", "id": "earlier"}], "id": "b"}
    )

    assert [one["id"] for one in crm.collect()] == ["earlier", "b"]


def test_other_stacks_are_left_alone(crm, jobs):
    for stack in ("crm.eu", "crm2"):
        other = Jobs(stack)
        other.end(other.begin("/srv/b", {}, TOKEN), "ok")

    assert crm.collect() == []
    assert names(jobs) == [f"crm.eu.{TOKEN}.json", "crm.eu.json", f"crm2.{TOKEN}.json", "crm2.json"]


def test_a_damaged_one_is_removed_without_a_word(crm, jobs):
    jobs.mkdir(parents=True)
    (jobs / f"crm.{TOKEN}.json").write_text("{")

    assert crm.collect() == []
    assert names(jobs) == []


def test_waiting_ends_with_the_record_of_the_end(crm, process, monkeypatch):
    monkeypatch.setattr(_job, "EVERY", 0.01)
    job = of(process, crm.begin("/srv/b", {}, None))
    crm._write(None, job)
    timer = threading.Timer(0.1, lambda: crm._write(None, replace(job, outcome="ok", result={"id": "x"})))
    timer.start()

    ended = crm.wait(job)

    timer.join()
    assert ended.result == {"id": "x"}


def test_waiting_ends_when_it_dies(crm, process, monkeypatch):
    monkeypatch.setattr(_job, "EVERY", 0.01)
    job = of(process, crm.begin("/srv/b", {}, None))
    crm._write(None, job)
    timer = threading.Timer(0.1, process.kill)
    timer.start()

    assert crm.wait(job) is None
    timer.join()


def test_the_end_is_found_after_another_run_has_begun(crm, process):
    mine = crm.begin("/srv/b", {}, TOKEN)
    crm.end(mine, "ok")
    crm._write(None, of(process, mine))

    assert crm.wait(mine).outcome == "ok"


def test_a_result_that_was_taken_over_waits_for_its_new_owner(crm, jobs):
    job = crm.begin("/srv/b", {}, TOKEN)
    crm.end(job, "ok", result={"id": "x"})

    crm.take_over(crm.latest(), OTHER)

    assert names(jobs) == [f"crm.{OTHER}.json", "crm.json"]
    assert crm.collect(OTHER) == []
    assert crm.collect()[0]["id"] == "x"


def test_what_was_taken_over_for_nobody_is_gone(crm, jobs):
    crm.end(crm.begin("/srv/b", {}, TOKEN), "ok")

    crm.take_over(crm.latest(), None)

    assert names(jobs) == ["crm.json"]


@pytest.mark.parametrize(
    ("result", "outcome"), [({"anomalies": []}, "ok"), ({"anomalies": [{"rule": "size"}]}, "anomalous")]
)
def test_a_block_is_kept_with_its_result(crm, result, outcome):
    with kept(crm, "/srv/b", ANA, None) as record:
        record.begin()
        assert crm.latest().runs
        record.result = result

    assert (crm.latest().outcome, crm.latest().result) == (outcome, result)


@pytest.mark.parametrize(
    ("error", "message"),
    [(StoreError("The disk is full."), "The disk is full."), (ValueError("secret"), "ValueError")],
    ids=["known", "a bug, which may say anything"],
)
def test_a_block_that_fails_is_kept_with_the_reason(crm, error, message):
    def fail():
        with kept(crm, "/srv/b", {}, None) as record:
            record.begin()
            raise error

    with pytest.raises(type(error)):
        fail()

    assert (crm.latest().outcome, crm.latest().message) == ("failed", message)


def test_a_block_that_began_nothing_leaves_the_record_of_others_alone(crm, process):
    other = of(process, crm.begin("/srv/b", {}, None))
    crm._write(None, other)

    with pytest.raises(StoreError), kept(crm, "/srv/b", {}, None):
        raise StoreError("Stack crm is busy.")

    assert crm.latest() == other


def test_a_record_is_plain_json(crm, jobs):
    job = crm.begin("/srv/b", ANA, None)

    assert json.loads((jobs / "crm.json").read_text()) == asdict(job)
