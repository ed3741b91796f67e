# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds of a host that backs itself up."""

from __future__ import annotations

import re

PROGRAM = "/usr/lib/crm.continuity"
JOBS = "/etc/crm.continuity/schedule"
# Of the server that the scenarios share.
STACKS = ("crm", "ticketz")


def made(evidence):
    """Return what the role has made, by the evidence, with modes."""
    places = evidence.read("places")
    return dict(line.rsplit(" ", 1) for line in places["between"] if line not in places["before"])


def last(night, job):
    return night["states"][job]["runs"][-1]


def test_check_mode_says_what_would_be_installed_and_installs_nothing(evidence):
    said = evidence.said("check")

    assert "would be written or removed: /etc/cron.d/crm-continuity-schedule" in said
    assert re.search(r"mol-a : ok=\d+ changed=1 ", said)
    assert re.search(r"mol-a : ok=\d+ changed=1 ", evidence.said("first"))


def test_the_host_has_tried_what_it_will_run(evidence):
    assert "backup: tried stack_backup for crm: would go to /srv/scheduled/crm/" in evidence.said("first")
    assert "verify: tried backup_prune: no stack has backups" in evidence.said("first")


def test_the_second_run_changes_nothing(evidence):
    assert re.search(r"mol-a : ok=\d+ changed=0 ", evidence.said("again"))


def test_only_root_may_read_the_jobs_and_nobody_else_may_write_anything(evidence):
    modes = made(evidence)

    assert modes.pop(f"{JOBS}/backup.json") == modes.pop(f"{JOBS}/verify.json") == "600"
    modes.pop(f"{PROGRAM}/crm-continuity.pyz")
    assert set(modes.values()) == {"644"}
    assert any(re.fullmatch(rf"{PROGRAM}/crm-continuity-[0-9a-f]{{16}}\.pyz", path) for path in modes)


def test_what_was_missed_is_done_without_a_control_node_and_counted(evidence):
    night = evidence.read("late")

    assert night["rc"] == 0
    assert (last(night, "backup")["result"], last(night, "backup")["missed"]) == ("ok", 9)
    assert (last(night, "verify")["result"], last(night, "verify")["missed"] in (0, 1)) == ("ok", True)
    assert re.search(r"backup: 9 times before \S+ had no run; this one catches up", "\n".join(night["said"]))


def test_the_backup_is_made_verified_and_pruned_by_the_very_modules(evidence):
    night = evidence.read("late")

    steps = last(night, "backup")["steps"]
    assert [(step["module"], step["stack"]) for step in steps] == [("stack_backup", stack) for stack in STACKS]
    assert [step["module"] for step in last(night, "verify")["steps"]] == ["backup_verify", "backup_prune"]
    taken = {f"{step['stack']}/{step['message'].split(',')[0]}" for step in steps}
    assert taken <= set(evidence.read("schedule-left"))
    assert last(night, "verify")["steps"][0]["message"].startswith("2 backups sound")


def test_prometheus_learns_of_every_run(evidence):
    metrics = evidence.read("late")["metrics"]

    assert 'crm_backup_schedule_last_run_success{timer="backup"} 1' in metrics
    assert 'crm_backup_schedule_missed_runs{timer="backup"} 9' in metrics


def test_a_run_that_was_killed_leaves_the_backup_to_end_and_is_noted(evidence):
    struck = evidence.read("killed")

    assert any("stack_backup" in command for command in struck["hit"])
    assert struck["left"]["result"] == "running"
    assert last(struck["then"], "backup")["result"] == "killed"
    assert 'crm_backup_schedule_last_run_success{timer="backup"} 0' in struck["then"]["metrics"]
    assert len([path for path in evidence.read("schedule-left") if re.fullmatch(r"crm/\d{8}T\d{6}Z", path)]) == 2


def test_when_nothing_is_due_nothing_runs_and_nothing_is_said(evidence):
    quiet = evidence.read("quiet")

    assert (quiet["rc"], quiet["said"]) == (0, [])
    assert quiet["states"] == evidence.read("killed")["then"]["states"]


def test_it_goes_without_a_trace_and_leaves_the_backups(evidence):
    places = evidence.read("places")

    assert places["after"] == places["before"]
    assert re.search(r"mol-a : ok=\d+ changed=1 ", evidence.said("absent"))
    assert re.search(r"mol-a : ok=\d+ changed=0 ", evidence.said("absent_again"))
