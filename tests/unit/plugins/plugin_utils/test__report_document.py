# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sums of a report and what changed since the last one."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._report_document import (
    build,
    misread,
    natural,
    problems_of,
    standing_of,
)
from ansible_collections.crm.continuity.plugins.plugin_utils._report_status import read
from ansible_collections.crm.continuity.tests.unit import report_samples as samples
from ansible_collections.crm.continuity.tests.unit import status_samples

ROOT = Path(__file__).resolve().parents[4]
SCHEMA = jsonschema.Draft202012Validator(
    json.loads((ROOT / "docs" / "schemas" / "report.schema.json").read_text(encoding="utf-8"))
)


def report(statuses, at=samples.AT, earlier=None):
    return build({name: read(name, status) for name, status in statuses.items()}, at, "UTC", earlier)


def test_the_sums_count_every_host_and_stack():
    summary = report(samples.five())["summary"]

    assert summary["hosts"] == {"total": 5, "ok": 2, "warning": 1, "critical": 2, "silent": 1}
    assert summary["stacks"] == {"total": 6, "ok": 3, "warning": 2, "critical": 1, "restorable": 6}
    assert summary["oldest_restorable"] == {"host": "crm-3", "stack": "crm", "at": samples.ago(hours=55)}
    assert summary["backups"] == 180
    assert summary["problems"]["unreachable"] == 1


def test_hosts_are_in_the_order_of_people():
    assert [host["name"] for host in report(samples.five())["hosts"]] == ["crm-1", "crm-2", "crm-3", "crm-4", "crm-10"]


def test_names_of_any_kind_can_be_ordered():
    names = ["", "10", "2", "a2", "a10", "A2", "9" * 5000, samples.HOSTILE]

    assert sorted(sorted(names, reverse=True), key=natural) == sorted(names, key=natural)


@pytest.mark.parametrize("statuses", [{}, samples.five(), {name: of("h") for name, of in status_samples.EVERY.items()}])
def test_a_report_is_what_the_schema_says(statuses):
    SCHEMA.validate(report(statuses))


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"hosts": None}, {"standing": "fine"}, {"more": 1}, {"hosts": [{"name": "a"}]}]
)
def test_the_schema_tells_right_from_wrong(change):
    assert not SCHEMA.is_valid({**report(samples.five()), **change})


def test_what_is_wrong_with_a_host_is_wrong_with_its_stacks():
    host = samples.five()["crm-3"]
    crm, ticketz = host["stacks"]

    assert [one["code"] for one in problems_of(host, "crm")] == ["failed", "stale", "disk_warning"]
    assert standing_of(host, crm) == "critical"
    assert ticketz["standing"] == "ok"
    assert standing_of(host, ticketz) == "warning"


def test_a_problem_of_a_stack_that_is_not_listed_is_not_lost():
    host = samples.status(samples.stack(), problems=(samples.problem("uncovered", "warning", "…", "other"),))

    assert [one["code"] for one in problems_of(host, "crm")] == ["uncovered"]


def test_without_an_earlier_report_nothing_has_changed():
    assert report(samples.five())["changes"] is None


def test_what_changed_is_told_by_host():
    before = {name: samples.status(samples.stack()) for name in ("same", "worse", "gone")}
    before["better"] = samples.unreachable()
    now = {"same": before["same"], "worse": samples.unreachable(), "better": before["same"], "new": before["same"]}

    changes = report(now, "2026-11-22T09:00:00+00:00", report(before))["changes"]

    assert changes["since"] == samples.AT
    assert changes["worse"] == [{"host": "worse", "before": "ok", "now": "critical"}]
    assert changes["better"] == [{"host": "better", "before": "critical", "now": "ok"}]
    assert (changes["appeared"], changes["gone"]) == (["new"], ["gone"])
    assert changes["bytes"] == 0


def test_the_same_report_once_more_says_the_same_of_the_one_before():
    first = report({"a": samples.unreachable()}, "2026-11-20T09:00:00+00:00")
    second = report(samples.five(), earlier=first)

    assert report(samples.five(), earlier=second) == second


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ([], "no dictionary"),
        ({"format": 7}, "format 7"),
        ({"format": 1, "at": "x", "hosts": []}, "at is no time"),
        ({"format": 1, "at": samples.AT, "hosts": [{}]}, "is missing"),
    ],
)
def test_a_report_that_is_none_is_not_compared_with(document, wrong):
    assert wrong in misread(document)
    assert misread(report(samples.five())) is None
