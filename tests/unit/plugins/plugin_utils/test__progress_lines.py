# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._progress_lines import Pace, describe, manner


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        pytest.param({}, "begin", id="nothing yet"),
        pytest.param({"subject": "crm", "phase": "look"}, "crm | look", id="a phase"),
        pytest.param(
            {"subject": "crm", "phase": "live", "step": "volume a", "step_bytes": 0},
            "crm | live: volume a",
            id="a step",
        ),
        pytest.param(
            {"subject": "crm", "phase": "live", "step": "volume a", "step_bytes": 1_500_000, "rate": 52_000_000},
            "crm | live: volume a 1.5 MB, 52.0 MB/s",
            id="the first backup, of unknown size",
        ),
        pytest.param(
            {
                "subject": "crm",
                "phase": "live",
                "step": "volume a",
                "step_bytes": 516_000_000,
                "step_expected": 1_200_000_000,
                "bytes": 600_000_000,
                "expected": 5_000_000_000,
                "rate": 999,
                "eta": 75,
            },
            "crm | live: volume a 43 % of 1.2 GB, 999 B/s | all 12 %, ETA 1:15",
            id="all of it",
        ),
        pytest.param(
            {"phase": "dump", "bytes": 10, "expected": 10, "eta": 0, "rate": 5},
            "dump | all 99 %, ETA 0:00",
            id="nearly",
        ),
        pytest.param(
            {"phase": "dump", "bytes": 20, "expected": 10, "eta": None}, "dump | all 99 %", id="more than expected"
        ),
        pytest.param(
            {"phase": "dump", "bytes": 1, "expected": 10, "eta": 7265}, "dump | all 10 %, ETA 2:01:05", id="hours"
        ),
        pytest.param(
            {"phase": "stage volume a", "step": "volume a", "step_bytes": 5, "step_expected": 10},
            "stage volume a 50 % of 10 B",
            id="a step that is a phase of its own",
        ),
        pytest.param(
            {"subject": "crm", "phase": "dump", "attached": True}, "crm | dump | begun by an earlier run", id="attached"
        ),
    ],
)
def test_a_line_says_what_is_known(progress, expected):
    assert describe(progress) == expected


def test_one_host_on_a_terminal_gets_one_line_that_is_replaced():
    how = manner("auto", None, hosts=1, terminal=True)

    assert (how.replaced, how.lines, how.looks) == (True, False, 1)


@pytest.mark.parametrize(
    ("mode", "hosts", "terminal"),
    [("lines", 1, True), ("auto", 2, True), ("auto", 1, False)],
    ids=["asked for", "several hosts", "no terminal"],
)
def test_everything_else_gets_lines(mode, hosts, terminal):
    how = manner(mode, None, hosts=hosts, terminal=terminal)

    assert (how.replaced, how.lines, how.each_phase) == (False, True, True)
    assert how.interval == (5 if terminal else 30)


def test_none_is_none_and_looks_seldom():
    how = manner("none", 1, hosts=1, terminal=True)

    assert (how.replaced, how.lines) == (False, False)
    assert how.looks > 5


@pytest.mark.parametrize(("hosts", "interval", "expected"), [(10, 4, 4), (11, 4, 11), (200, 30, 200), (200, 900, 900)])
def test_many_hosts_print_no_more_than_a_line_per_second_together(hosts, interval, expected):
    assert manner("lines", interval, hosts=hosts, terminal=False).interval == expected


def test_a_look_comes_before_a_line_is_due():
    assert manner("lines", 2, hosts=1, terminal=False).looks == 2
    assert manner("lines", 0.5, hosts=1, terminal=False).looks == 1
    assert manner("lines", 300, hosts=200, terminal=False).looks == 15


def test_few_hosts_get_a_line_for_every_phase_and_every_interval():
    pace = Pace(manner("lines", 30, hosts=1, terminal=False), 0)

    assert pace.wants({"phase": "look"}, 1)
    assert not pace.wants({"phase": "look"}, 2)
    assert pace.wants({"phase": "live", "step": "a"}, 3)
    assert pace.wants({"phase": "live", "step": "b"}, 4)
    assert not pace.wants({"phase": "live", "step": "b"}, 33)
    assert pace.wants({"phase": "live", "step": "b"}, 34)


def test_many_hosts_get_a_line_for_every_interval_only():
    pace = Pace(manner("lines", 30, hosts=40, terminal=False), 0)

    assert not pace.wants({"phase": "look"}, 1)
    assert not pace.wants({"phase": "live"}, 39)
    assert pace.wants({"phase": "live"}, 40)
    assert not pace.wants({"phase": "dump"}, 41)
