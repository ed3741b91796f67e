# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import threading
from dataclasses import replace

from ansible_collections.crm.continuity.plugins.module_utils._journal import boot_id, started
from ansible_collections.crm.continuity.plugins.module_utils._metrics import render
from ansible_collections.crm.continuity.plugins.module_utils._schedule_metrics import schedule_metrics, write
from ansible_collections.crm.continuity.plugins.module_utils._schedule_state import RUNNING, Owner, State
from ansible_collections.crm.continuity.tests.unit.schedule_fakes import at, job, run

NOW = at("2026-11-22T08:00:00")
OK = run("2026-11-22T02:00:00", "2026-11-22T02:01:00", result="ok", missed=2)


def samples(*timers):
    text = render(schedule_metrics(timers, NOW))
    assert text.endswith("\n")
    return {line.split(" ")[0]: float(line.split(" ")[1]) for line in text.splitlines() if not line.startswith("#")}


def test_a_timer_that_ran_has_all_metrics():
    state = State("backup", "0.1.0", (OK,), last_success=OK.began)

    assert samples((job(), state)) == {
        'crm_backup_schedule_last_run_timestamp_seconds{timer="backup"}': at("2026-11-22T02:00:00").timestamp(),
        'crm_backup_schedule_last_run_success{timer="backup"}': 1.0,
        'crm_backup_schedule_last_success_timestamp_seconds{timer="backup"}': at("2026-11-22T02:00:00").timestamp(),
        'crm_backup_schedule_missed_runs{timer="backup"}': 2.0,
        'crm_backup_schedule_next_timestamp_seconds{timer="backup"}': at("2026-11-23T02:00:00").timestamp(),
    }


def test_a_run_that_was_killed_did_not_succeed():
    state = State("backup", "0.1.0", (replace(OK, result=RUNNING, ended=None),))

    assert samples((job(), state))['crm_backup_schedule_last_run_success{timer="backup"}'] == 0.0


def test_while_a_run_goes_on_the_one_before_counts():
    owner = Owner(os.getpid(), started(os.getpid()), boot_id())
    state = State("backup", "0.1.0", (OK, replace(OK, began="2026-11-22T07:59:00+00:00", result=RUNNING, owner=owner)))

    found = samples((job(), state))

    assert found['crm_backup_schedule_last_run_success{timer="backup"}'] == 1.0
    assert found['crm_backup_schedule_last_run_timestamp_seconds{timer="backup"}'] == NOW.timestamp() - 60


def test_a_timer_that_never_ran_has_only_its_next_time():
    assert set(samples((job("verify"), State("verify", "")))) == {
        'crm_backup_schedule_next_timestamp_seconds{timer="verify"}'
    }


def test_a_timer_that_waits_is_not_dead_meanwhile():
    found = samples((job(delay=7200), State("backup", "")))

    expected = at("2026-11-23T04:00:00").timestamp()
    assert found['crm_backup_schedule_next_timestamp_seconds{timer="backup"}'] == expected


def test_every_metric_has_one_explanation_and_one_type_before_its_samples():
    state = State("backup", "0.1.0", (OK,))
    lines = render(schedule_metrics([(job(), state), (job("verify"), State("verify", ""))], NOW)).splitlines()

    explained = [line.split()[2] for line in lines if line.startswith("# HELP")]
    assert explained == [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(explained) == len(set(explained)) == 4
    assert {line.split("{")[0] for line in lines if not line.startswith("#")} == set(explained)


def test_the_file_can_be_read_by_the_exporter(tmp_path):
    path = write(str(tmp_path), [(job(), State("backup", ""))], NOW)

    assert os.stat(path).st_mode & 0o777 == 0o644


def test_two_timers_that_end_at_once_do_not_mix(tmp_path):
    timers, failures = [(job(), State("backup", "", (OK,)))], []

    def tell():
        for _turn in range(50):
            try:
                write(str(tmp_path), timers, NOW)
            except OSError as exc:
                failures.append(exc)

    threads = [threading.Thread(target=tell) for _number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert (tmp_path / "crm_backup_schedule.prom").read_text() == render(schedule_metrics(timers, NOW))


def test_without_a_directory_nothing_is_written(tmp_path):
    assert write(str(tmp_path / "none"), [], NOW) is None
    assert write(None, [], NOW) is None
