# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known in the morning of a fleet of four: every night one of them is broken in another way."""

from __future__ import annotations

import json
import re

import pytest

WELL = ("fleet-a", "fleet-b", "fleet-c")
BROKEN = "fleet-d"
# What each way to break a server is called in the report.
WAYS = {
    "unreachable": {"unreachable"},
    "engine": {"engine"},
    "disk": {"disk_critical"},
    "password": {"password"},
    "half_installed": {"half_installed"},
}


def recap(evidence, run):
    """Return what Ansible counted for each host."""
    lines = re.findall(r"^(\S+)\s+: (ok=.*)$", evidence.output(run), re.MULTILINE)
    return {host: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", counts)} for host, counts in lines}


def hosts(evidence, night):
    """Return what the report says of each host."""
    report = json.loads((evidence.directory / night / "report.json").read_text(encoding="utf-8"))
    return {host["name"]: host for host in report["hosts"]}


def test_a_night_without_a_fault_is_green(evidence):
    assert {host["standing"] for host in hosts(evidence, "well").values()} <= {"ok", "warning"}
    assert set(hosts(evidence, "well")) == {*WELL, BROKEN}


@pytest.mark.parametrize("way", WAYS)
def test_one_broken_server_stops_no_other(evidence, way):
    counts = recap(evidence, f"{way}-backup")

    assert all(counts[host]["failed"] == counts[host]["unreachable"] == 0 for host in WELL)
    assert all(counts[host]["changed"] > 0 for host in WELL)
    assert counts[BROKEN]["failed"] + counts[BROKEN]["unreachable"] > 0


@pytest.mark.parametrize("way", WAYS)
def test_the_report_names_it_with_its_fault_and_all_others_without(evidence, way):
    found = hosts(evidence, way)

    assert found[BROKEN]["standing"] == "critical"
    assert WAYS[way] & {problem["code"] for problem in found[BROKEN]["problems"]}
    assert all(problem["message"] for problem in found[BROKEN]["problems"])
    assert {found[host]["standing"] for host in WELL} <= {"ok", "warning"}


@pytest.mark.parametrize("way", WAYS)
def test_the_page_is_there_whatever_happened(evidence, way):
    page = (evidence.directory / way / "report.html").read_text(encoding="utf-8")

    assert all(host in page for host in (*WELL, BROKEN))


@pytest.mark.parametrize("way", WAYS)
def test_the_check_fails_for_the_broken_one_only(evidence, way):
    failure = evidence.output(f"{way}-check").partition("fatal:")[2]

    assert BROKEN in failure
    assert all(f"fatal: [{host}]" not in evidence.output(f"{way}-check") for host in WELL)


def test_the_password_is_shown_nowhere(evidence):
    for run in ("backup", "report", "check"):
        assert "not-the-password" not in evidence.output(f"password-{run}")


def test_who_has_a_young_backup_is_left_alone(evidence):
    counts = recap(evidence, "again")

    assert counts[BROKEN]["changed"] > 0
    assert {host: counts[host]["changed"] for host in WELL} == dict.fromkeys(WELL, 0)
    assert len(
        re.findall(r"not backed up\. Backup \S+ of \S+ hours ago is younger than", evidence.output("again"))
    ) == len(WELL)


def test_hosts_finish_what_a_control_node_began_that_died(evidence):
    assert "PLAY RECAP" not in (evidence.directory / "killed.txt").read_text(encoding="utf-8")
    assert len(re.findall(r"and not waited for: ok", evidence.output("after-backup"))) == len({*WELL, BROKEN})


def test_the_fleet_is_well_again(evidence):
    assert {host["standing"] for host in hosts(evidence, "after").values()} <= {"ok", "warning"}
