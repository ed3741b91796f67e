# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.csv: one line for each stack, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._report_csv import COLUMNS, cell, render
from ansible_collections.crm.continuity.plugins.plugin_utils._report_document import build
from ansible_collections.crm.continuity.tests.unit import report_samples as samples


def lines(statuses):
    return list(csv.DictReader(io.StringIO(render(build(statuses, samples.AT, "UTC", None)), newline="")))


def test_each_stack_has_a_line_and_so_has_a_host_without_one():
    table = lines(samples.five())

    assert [(line["host"], line["stack"], line["standing"]) for line in table] == [
        ("crm-1", "crm", "ok"),
        ("crm-1", "ticketz", "ok"),
        ("crm-2", "crm", "ok"),
        ("crm-3", "crm", "critical"),
        ("crm-3", "ticketz", "warning"),
        ("crm-4", "ticketz", "warning"),
        ("crm-10", "", "critical"),
    ]
    assert table[3]["problems"] == "failed stale disk_warning"
    assert (table[3]["disk_percent"], table[3]["next_run"]) == ("84.0", samples.ago(hours=-1))
    assert "Connection timed out" in table[-1]["messages"]
    assert all(list(line) == list(COLUMNS) for line in table)


def test_a_line_holds_what_the_status_says():
    told = samples.five()["crm-2"]["stacks"][0]

    line = lines({"crm-2": samples.status(told)})[0]

    assert line["size"] == str(told["latest"]["size"])
    assert line["bytes"] == str(told["bytes"])
    assert line["backup"] == told["latest"]["id"]
    assert line["last_drilled"] == ""


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'=1"),
        ("\r\n=1", "'=1"),
        ("\x00=1", "'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("\u200b=1", "'=1"),
        ("\x1b[31mred", "[31mred"),
        ("a\nb", "a b"),
        ("crm-1", "crm-1"),
        (-5, -5),
        (None, ""),
    ],
)
def test_a_formula_is_defused(value, safe):
    assert cell(value) == safe


def test_names_of_hosts_and_stacks_are_defused_too():
    line = lines({"=1+1": samples.status(samples.stack("@x"))})[0]

    assert (line["host"], line["stack"]) == ("'=1+1", "'@x")
