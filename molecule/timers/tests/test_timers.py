# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds of a host with systemd that backs itself up."""

from __future__ import annotations

import re

import pytest

JOBS = ("backup", "verify")
# Restarted by the engine after a boot, as the compose file asks for.
POLICY = {"small-postgres-1", "small-redis-1", "small-web-1"}
ALL = {*POLICY, "small-evolution-1", "small-worker-1"}
BLOWS = ("abandoned", "killed", "stopped", "engine")


def runs(host, job="backup"):
    return host["states"][job]["runs"]


def metric(host, name, job="backup"):
    (value,) = re.findall(
        rf'^crm_backup_schedule_{name}{{timer="{job}"}} (\S+)$', "\n".join(host["metrics"]), re.MULTILINE
    )
    return float(value)


def test_check_mode_installs_nothing_and_the_second_run_changes_nothing(evidence):
    changed = {
        name: re.search(r"timers-a : ok=\d+ changed=(\d) ", evidence.said(name))[1] for name in ("first", "again")
    }

    assert "/etc/systemd/system/crm-continuity-backup.timer" in evidence.said("check")
    assert changed == {"first": "1", "again": "0"}


def test_systemd_takes_the_units_as_they_are_and_starts_them_at_every_boot(evidence):
    host = evidence.read("installed")

    assert host["complaints"] == ""
    assert host["journal"] == []
    for job in JOBS:
        timer = host["units"][f"crm-continuity-{job}.timer"]
        assert (timer["UnitFileState"], timer["ActiveState"], timer["Persistent"]) == ("enabled", "active", "yes")
        assert metric(host, "next_timestamp_seconds", job) > 0
    assert host["units"]["crm-continuity-backup.timer"]["NextElapseUSecRealtime"].endswith(" 02:00:00 UTC")
    assert re.match(r"Sun .* 01:00:00 UTC$", host["units"]["crm-continuity-verify.timer"]["NextElapseUSecRealtime"])


@pytest.mark.parametrize("job", JOBS)
def test_a_job_leaves_room_for_the_applications_and_takes_nothing_along_that_thaws(evidence, job):
    service = evidence.read("installed")["units"][f"crm-continuity-{job}.service"]

    assert (service["MemoryMax"], service["Nice"]) == (str(1500 << 20), "10")
    assert (service["CPUWeight"], service["IOWeight"]) == ("50", "50")
    assert (service["KillMode"], service["OOMPolicy"]) == ("process", "continue")
    assert service["OnFailure"] == f"crm-continuity-failed@{job}.service"


def test_what_was_missed_while_the_host_was_off_is_done_at_boot_and_counted(evidence):
    host = evidence.read("booted")

    (run,) = runs(host)
    assert (run["result"], run["missed"] in (14, 15)) == ("ok", True)
    assert len(host["backups"]) == 1
    assert host["units"]["crm-continuity-backup.service"]["Result"] == "success"
    assert metric(host, "last_run_success") == 1
    assert set(host["running"]) >= POLICY


def test_a_host_without_backups_has_nothing_to_verify_and_does_not_fail_for_it(evidence):
    (run,) = runs(evidence.read("booted"), "verify")

    assert run["result"] == "ok"
    assert run["steps"][0]["message"] in ("no stack has backups", "1 backup sound, 209.8 MB read")


@pytest.mark.parametrize(
    ("blow", "result", "words"),
    [
        ("abandoned", "failed", r"small: stack_backup: stack_backup was killed by SIGKILL"),
        ("killed", "killed", r"the service manager says: signal, KILL"),
        ("stopped", "killed", r"Interrupted by SIGTERM\."),
        ("engine", "failed", r"No Docker daemon answers at .*systemctl start docker"),
    ],
)
def test_a_run_that_is_hit_is_noted_as_what_it_is(evidence, blow, result, words):
    host = evidence.read(blow)
    run = runs(host)[-1]

    assert run["result"] == result
    assert re.search(words, run["message"])
    assert len(runs(host)) == 2 + BLOWS.index(blow)
    assert metric(host, "last_run_success") == 0
    # The run before it ended well, and that is not forgotten.
    assert metric(host, "last_success_timestamp_seconds") > 0
    assert "Finished crm-continuity-failed@backup.service" in host["failures"]


@pytest.mark.parametrize("blow", BLOWS)
def test_whatever_hits_a_run_nothing_stays_frozen_or_stopped(evidence, blow):
    host = evidence.read(blow)

    assert host["frozen"] == ""
    # The engine that was stopped brings back what has a policy.
    assert set(host["running"]) >= (POLICY if blow == "engine" else ALL)


def test_a_backup_whose_timer_was_killed_is_completed_and_counts(evidence):
    before, after = evidence.read("abandoned"), evidence.read("killed")

    assert len(after["backups"]) == len(before["backups"]) + 1
    assert after["partial"] == [".lock"]


@pytest.mark.parametrize("blow", ["abandoned", "stopped", "engine"])
def test_a_run_that_did_not_come_to_its_end_leaves_nothing_that_looks_like_a_backup(evidence, blow):
    names = ["booted", *BLOWS]
    before = evidence.read(names[names.index(blow) - 1])

    assert evidence.read(blow)["backups"] == before["backups"]


def test_the_check_of_the_control_node_tells_of_it(evidence):
    assert re.search(r"critical failed: The timer backup of .* No Docker daemon answers", evidence.said("judged"))
    assert re.search(r"warning schedule_missed: The timer verify missed", evidence.said("judged"))


def test_a_run_that_goes_well_ends_the_alarm(evidence):
    host = evidence.read("moved-host")

    assert runs(host)[-1]["result"] == "ok"
    assert metric(host, "last_run_success") == 1


def test_a_timer_that_is_moved_to_an_hour_that_has_passed_waits_for_the_next_day(evidence):
    host = evidence.read("moved-host")

    assert len(runs(host)) == 6
    assert host["units"]["crm-continuity-backup.timer"]["ActiveState"] == "active"
    # In more than 20 hours, for it was two hours ago.
    assert metric(host, "next_timestamp_seconds") - metric(host, "last_run_timestamp_seconds") > 20 * 3600


def test_the_timers_go_without_a_trace_and_the_backups_stay(evidence):
    host = evidence.read("gone")

    assert set(host["units"]) == {"crm-continuity-thaw.service", "crm-continuity-thaw.timer"}
    assert host["metrics"] is None
    assert evidence.read("left") == []
    assert host["backups"] == evidence.read("moved-host")["backups"]
