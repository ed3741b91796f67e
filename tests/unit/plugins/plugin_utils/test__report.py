# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The three files: written whole, only when they differ, and private."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError
from ansible_collections.crm.continuity.plugins.plugin_utils._report import (
    Request,
    apply,
    plan,
    summary_line,
    worst_hosts,
)
from ansible_collections.crm.continuity.tests.unit import report_samples as samples

NAMES = ["report.csv", "report.html", "report.json"]


@pytest.fixture
def request_(tmp_path):
    return Request(str(tmp_path / "a" / "report"), samples.five(), samples.AT, samples.ZONE)


def write(request):
    planned = plan(request)
    apply(request, planned)
    return planned


def test_a_plan_writes_nothing(request_):
    assert sorted(plan(request_).differing) == NAMES
    assert not os.path.exists(request_.directory)


def test_the_files_are_those_of_the_plan_and_private(request_):
    planned = write(request_)

    assert sorted(os.listdir(request_.directory)) == NAMES
    assert stat.S_IMODE(os.stat(request_.directory).st_mode) == 0o700
    for name in NAMES:
        path = os.path.join(request_.directory, name)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        with open(path, "rb") as file:
            assert file.read() == planned.contents[name]
    assert json.loads(planned.contents["report.json"]) == planned.document


def test_the_same_once_more_changes_nothing(request_):
    write(request_)

    assert plan(request_).differing == ()


def test_other_permissions_are_a_change(request_):
    write(request_)
    open_to_all = replace(request_, mode=0o644)

    write(open_to_all)

    assert stat.S_IMODE(os.stat(os.path.join(request_.directory, "report.html")).st_mode) == 0o644
    assert plan(open_to_all).differing == ()


def test_the_next_report_says_what_changed_and_does_so_again(request_):
    write(request_)
    statuses = {**samples.five(), "crm-1": samples.unreachable()}
    following = replace(request_, at="2026-11-22T09:00:00Z", statuses=statuses)

    planned = write(following)

    assert planned.document["changes"]["worse"] == [{"host": "crm-1", "before": "ok", "now": "critical"}]
    assert plan(following).differing == ()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 1}', "[" * 100_000, "\udcff"])
def test_an_earlier_report_that_cannot_be_read_is_told_of_and_replaced(request_, content):
    os.makedirs(request_.directory)
    path = os.path.join(request_.directory, "report.json")
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)

    planned = write(request_)

    assert planned.document["changes"] is None
    assert planned.warning.startswith(f"{path} is not compared with, and is replaced: ")
    assert plan(request_).warning is None


def test_a_file_that_cannot_be_written_leaves_the_last_one(request_):
    before = write(request_).contents
    # In the way of the file that is about to be written.
    os.mkdir(os.path.join(request_.directory, ".report.csv.partial"))

    with pytest.raises(OSError, match=r"report\.csv"):
        write(replace(request_, statuses={}))

    for name in NAMES:
        with open(os.path.join(request_.directory, name), "rb") as file:
            assert file.read() == before[name]


def test_a_date_that_is_none_is_an_error(request_):
    with pytest.raises(ContinuityError, match="2026-11-21T06:00:00-03:00"):
        plan(replace(request_, at="yesterday"))


def test_the_result_is_one_line_and_the_worst_hosts(request_):
    document = plan(request_).document

    assert summary_line(document) == (
        "Servers: 2 critical, 1 warning, 2 ok; nothing is known of 1. "
        "Oldest restorable point: 2026-11-19T02:00:00+00:00 (crm-3, crm)."
    )
    assert [(one["host"], one["code"]) for one in worst_hosts(document)] == [
        ("crm-3", "failed"),
        ("crm-10", "unreachable"),
        ("crm-4", "anomalous"),
    ]


def test_of_a_thousand_hosts_the_result_stays_small(tmp_path):
    statuses = {f"crm-{number}": samples.unreachable("x" * 300) for number in range(1000)}
    document = plan(Request(str(tmp_path), statuses, samples.AT)).document

    assert len(json.dumps([summary_line(document), document["summary"], worst_hosts(document)])) < 10_000
