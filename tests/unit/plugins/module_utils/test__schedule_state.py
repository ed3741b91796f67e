# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _schedule_state
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._schedule_job import CRON
from ansible_collections.crm.continuity.plugins.module_utils._schedule_state import (
    LONGEST,
    RUNNING,
    State,
    due,
    is_active,
    load,
    read,
)
from ansible_collections.crm.continuity.tests.unit.schedule_fakes import FakeHost, at, job, run

OK = run("2026-11-22T02:00:03", "2026-11-22T02:01:00", result="ok", due="2026-11-22T02:00:00+00:00", late=3)


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path)


def told(host, now="2026-11-22T08:00:00"):
    return read(host.place.state, host=host.place, now=at(now))


def codes(found):
    return [(problem["code"], problem["severity"]) for problem in found["problems"]]


def test_a_host_without_jobs_has_no_timers(host):
    assert told(host) is None


def test_a_timer_that_ran_is_told_with_its_times(host):
    host.install(job())
    host.remember(OK)

    found = told(host)

    assert found["problems"] == []
    assert found["timers"] == [
        {
            "name": "backup",
            "calendar": "*-*-* 02:00:00 UTC",
            "manager": "systemd",
            "active": True,
            "next": "2026-11-23T02:00:00+00:00",
            "last": "2026-11-22T02:00:03+00:00",
            "ended": "2026-11-22T02:01:00+00:00",
            "last_success": None,
            "result": "ok",
            "message": None,
            "missed": 0,
            "late": 3,
        }
    ]


def test_a_timer_that_nothing_starts_is_dead_and_has_no_next_time(host):
    host.install(job())
    host.remember(OK)
    host.active = False

    found = told(host)

    assert codes(found) == [("schedule_dead", "critical")]
    assert "crm-continuity-backup.timer is not active" in found["problems"][0]["message"]
    assert found["timers"][0]["next"] is None


@pytest.mark.parametrize(
    ("now", "missed"),
    [("2026-11-23T02:14:59", 0), ("2026-11-23T02:30:00", 1), ("2026-11-25T08:00:00", 3)],
)
def test_a_time_without_a_run_is_missed_once_it_is_late(host, now, missed):
    host.install(job())
    host.remember(OK)

    found = told(host, now)

    assert found["timers"][0]["missed"] == missed
    assert codes(found) == ([("schedule_missed", "critical")] if missed else [])


def test_what_a_clock_that_was_ahead_has_noted_hides_no_time_that_is_missed(host):
    host.install(job())
    host.remember(OK, replace(OK, began="2030-01-01T02:00:00+00:00", ended="2030-01-01T02:01:00+00:00"))

    assert told(host, "2026-11-25T08:00:00")["timers"][0]["missed"] == 3


def test_a_random_delay_is_no_delay_that_counts(host):
    host.install(job(delay=3600))
    host.remember(OK)

    assert told(host, "2026-11-23T02:59:00")["problems"] == []


def test_what_was_missed_and_caught_up_is_a_warning(host):
    host.install(job())
    host.remember(replace(OK, missed=3))

    found = told(host)

    assert codes(found) == [("schedule_missed", "warning")]
    assert found["timers"][0]["missed"] == 3


def test_a_new_timer_has_missed_nothing(host):
    host.install(job(), since="2026-11-22T07:00:00")

    found = told(host)

    assert (found["timers"][0]["missed"], found["timers"][0]["result"], found["problems"]) == (0, None, [])


def test_a_run_whose_process_is_gone_was_killed(host):
    host.install(job())
    host.remember(replace(OK, ended=None, result=RUNNING))

    found = told(host)

    assert (found["timers"][0]["result"], codes(found)) == ("killed", [("failed", "critical")])
    assert "It was killed before its first step, or the host was restarted." in found["problems"][0]["message"]


def test_a_run_that_goes_on_has_missed_nothing(host):
    host.install(job())
    owner = _schedule_state.Owner(os.getpid(), _schedule_state.started(os.getpid()), _schedule_state.boot_id())
    host.remember(replace(OK, ended=None, result=RUNNING, owner=owner))

    found = told(host, "2026-11-25T08:00:00")

    assert (found["timers"][0]["result"], found["timers"][0]["missed"]) == ("running", 0)


def test_a_failure_is_told_in_its_own_words(host):
    host.install(job())
    host.remember(replace(OK, result="failed", message="crm: stack_backup: No space left."))

    assert "crm: stack_backup: No space left." in told(host)["problems"][0]["message"]


@pytest.mark.parametrize("damaged", ["state", "jobs"])
def test_a_file_that_is_damaged_hides_no_other_timer(host, damaged):
    host.install(job())
    host.install(job("verify", "Sun *-*-* 01:00:00 UTC"))
    host.remember(OK)
    (host.directory / damaged / "backup.json").write_text('{"format": 1}')

    found = told(host)

    assert [timer["name"] for timer in found["timers"]] == ["verify"]
    assert ("schedule_dead", "critical") in codes(found)


def test_the_installed_versions_are_told(host):
    host.install(job())
    os.makedirs(host.place.program)
    with open(os.path.join(host.place.program, "version.json"), "w") as file:
        json.dump({"version": "0.0.9", "ansible_core": "2.19.1"}, file)

    found = told(host)

    assert (found["version"], found["ansible_core"]) == ("0.0.9", "2.19.1")


def test_an_installation_without_a_version_is_told_as_such(host):
    host.install(job())

    assert told(host)["version"] is None


def test_only_the_last_runs_are_kept(host):
    state = State("backup", "0.1.0")
    for number in range(LONGEST + 5):
        state = state.followed_by(run(f"2026-11-22T02:00:{number:02}"))

    assert len(state.runs) == LONGEST
    assert state.last.began == f"2026-11-22T02:00:{LONGEST + 4}+00:00"


def test_what_is_due_counts_from_the_last_run_or_from_the_installation():
    state = State("backup", "0.1.0")
    wanted = replace(job(), since=at("2026-11-20T12:00:00"))

    assert due(wanted, state, at("2026-11-22T03:00:00")).missed == 1
    assert due(wanted, state.followed_by(OK), at("2026-11-22T03:00:00")).moment is None


def test_a_state_comes_back_as_it_was_saved(host):
    host.remember(OK, replace(OK, missed=2))

    assert load(host.place.state, "backup") == State("backup", "0.1.0", (OK, replace(OK, missed=2)))
    assert os.stat(os.path.join(host.place.state, "backup.json")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format": 2}', '{"format": 1, "job": "x", "version": "", "runs": [{}]}']
)
def test_a_state_that_is_damaged_is_refused_with_what_to_do(host, content):
    host.remember()
    (host.directory / "state" / "backup.json").write_text(content)

    with pytest.raises(StoreError, match=r"backup\.json is damaged .* Remove it"):
        load(host.place.state, "backup")


@pytest.mark.parametrize(
    ("pid", "expected"),
    [
        pytest.param(os.getpid(), True, id="runs"),
        pytest.param(2**22 + 1, False, id="gone"),
        pytest.param(None, False, id="none"),
    ],
)
def test_cron_is_alive_with_its_table_and_its_process(tmp_path, monkeypatch, pid, expected):
    (tmp_path / "table").touch()
    if pid is not None:
        (tmp_path / "crond.pid").write_text(f"{pid}\n")
    monkeypatch.setattr(_schedule_state, "CRON_TABLE", str(tmp_path / "table"))
    monkeypatch.setattr(_schedule_state, "CRON_PROCESSES", (str(tmp_path / "crond.pid"),))

    assert is_active(job(manager=CRON)) is expected


@pytest.mark.parametrize(("code", "expected"), [(0, True), (3, False)])
def test_systemd_is_asked_for_the_timer(tmp_path, monkeypatch, code, expected):
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\nexit {code}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert is_active(job()) is expected
    assert (tmp_path / "asked").read_text() == "is-active --quiet crm-continuity-backup.timer\n"


def test_where_there_is_no_systemd_nothing_starts_its_timers(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert not is_active(job())
