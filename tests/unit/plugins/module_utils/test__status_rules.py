# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._status import StackStatus
from ansible_collections.crm.continuity.plugins.module_utils._status_rules import (
    CODES,
    NORMAL,
    Alerts,
    Problem,
    alerts,
    of_backups,
    with_clock,
    worst,
)
from ansible_collections.crm.continuity.plugins.module_utils._status_words import span
from ansible_collections.crm.continuity.plugins.plugin_utils._problem_words import translated
from ansible_collections.crm.continuity.tests.unit import status_samples as samples
from ansible_collections.crm.continuity.tests.unit.status_samples import (
    HURT,
    NOW,
    STACKS,
    aged,
    latest,
    moment,
    never_verified,
    small,
    stack,
    tried,
)

DAY = 24


def codes(status, **given):
    return [problem.code for problem in of_backups(status, alerts(given), NOW)]


@pytest.mark.parametrize(("status", "expected"), STACKS.values(), ids=STACKS)
def test_each_rule_finds_what_breaks_it_and_nothing_else(status, expected):
    assert codes(status) == expected


@pytest.mark.parametrize(
    ("status", "given"),
    [
        (aged(27), {"max_age_hours": 0}),
        (aged(27), {"max_age_hours": 28}),
        (small(), {"min_bytes": 0}),
        (small(), {"min_bytes": 100}),
        (never_verified(9 * DAY), {"max_unverified_days": 0}),
        (stack(last_drilled=moment(31 * DAY)), {"max_undrilled_days": 0}),
        (stack(last_uploaded=moment(27)), {"max_unuploaded_hours": 0}),
        (stack(latest=latest(freeze_seconds=99)), {"max_freeze_seconds": 0}),
        (aged(-1), {"max_clock_skew": 0}),
    ],
)
def test_a_threshold_can_be_moved_and_turned_off(status, given):
    assert codes(status)
    assert codes(status, **given) == []


def test_what_never_was_can_be_asked_for():
    status = stack(last_drilled=None, last_uploaded=None, first_at=moment(31 * DAY), last_verified=moment(1))

    assert codes(status) == []
    assert codes(status, expect_drills=True, expect_uploads=True) == ["undrilled", "not_uploaded"]
    assert codes(replace(status, first_at=moment(1)), expect_drills=True, expect_uploads=True) == []


def test_a_stack_that_was_given_up_only_tells_of_damage():
    status = replace(tried("failed"), restorable_to=None, latest=latest(**HURT), last_verified=moment(999))

    assert codes(status, expect_backups=False) == ["damaged"]
    assert codes(StackStatus("crm"), expect_backups=False) == []


def test_every_message_names_the_stack_and_says_what_to_do():
    for status, _expected in STACKS.values():
        for problem in of_backups(status, NORMAL, NOW):
            assert problem.message.startswith("Stack crm: ")
            assert problem.message.endswith(".")
            assert problem.stack == "crm"
            assert problem.severity == CODES[problem.code]


def test_the_failure_is_told_in_its_own_words():
    (problem,) = of_backups(tried("failed"), NORMAL, NOW)

    assert problem.message.endswith("the last try to back it up, at 2026-11-22 06:00 UTC, failed: The disk is full.")


def test_a_limit_is_told_as_it_was_set():
    (found,) = of_backups(small(), alerts({}), NOW)

    assert "has 100 bytes, and min_bytes is 1048576." in found.message
    assert "e min_bytes é 1048576." in translated(found.described(), "pt-BR")


def test_every_code_of_a_backup_is_broken_by_a_sample():
    # Those of a host are tried with the host.
    of_hosts = {"disk_warning", "disk_critical", "engine", "log", "schedule_dead", "schedule_missed", "versions"}
    silent = {"uncovered", "half_installed", "unreachable", "password", "broken"}
    found = {code for _status, expected in STACKS.values() for code in expected}

    assert found == CODES.keys() - of_hosts - silent


def test_samples_show_every_code():
    found = {problem["code"] for function in samples.EVERY.values() for problem in function("h")["problems"]}

    # Nothing is uploaded yet, and a disk that is nearly full is told as one that is.
    assert CODES.keys() - found == {"not_uploaded", "disk_warning"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"max_age": 3}, "no threshold max_age"),
        ({"max_age_hours": "long"}, "max_age_hours is 'long'"),
        ({"max_age_hours": -1}, "max_age_hours is -1"),
        ({"max_age_hours": float("nan")}, "max_age_hours is nan"),
        ({"max_age_hours": True}, "max_age_hours is True"),
        ({"expect_drills": 1}, "expect_drills is 1"),
        ({"stacks": ["crm"]}, "stacks has to hold"),
        ({"stacks": {"crm": 3}}, "stacks has to hold"),
        ({"stacks": {"crm": {"max_age": 3}}}, "no threshold max_age"),
    ],
)
def test_thresholds_that_make_no_sense_are_refused(given, words):
    with pytest.raises(StoreError, match=words):
        alerts(given, "crm")


def test_one_stack_may_have_thresholds_of_its_own():
    given = {"max_age_hours": 30, "min_bytes": None, "stacks": {"crm": {"max_age_hours": 50}}}

    assert alerts(given, "crm") == Alerts(max_age_hours=50)
    assert alerts(given, "ticketz") == Alerts(max_age_hours=30)


def test_the_worst_problem_is_the_standing():
    warning, critical = (Problem(code, "").described() for code in ("anomalous", "stale"))

    assert [worst(some) for some in ([], [warning], [warning, critical])] == ["ok", "warning", "critical"]


@pytest.mark.parametrize(
    ("ahead", "skew", "words"),
    [
        (0, 0, None),
        (50, 50, None),
        (90, 90, "90 seconds ahead of"),
        (-90, -89, "89 seconds behind"),
        (7200, 7200, "2 hours ahead of"),
        (-86400 * 40, -86400 * 40 + 1, "40 days behind"),
    ],
)
def test_a_clock_is_compared(ahead, skew, words):
    ours = NOW.timestamp()
    told = with_clock(samples.good(), ours - ahead, ours - ahead, {})

    assert told["clock_skew"] == skew
    assert [problem["code"] for problem in told["problems"]] == (["clock"] if words else [])
    assert told["standing"] == ("critical" if words else "ok")
    assert not words or words in told["problems"][0]["message"]


def test_a_slow_answer_is_no_wrong_clock():
    ours = NOW.timestamp()

    assert with_clock(samples.good(), ours - 500, ours + 500, {})["clock_skew"] == 0


def test_the_comparison_can_be_moved_and_turned_off():
    ours = NOW.timestamp() - 300

    assert [
        with_clock(samples.good(), ours, ours, {"max_clock_skew": limit})["standing"] for limit in (None, 299, 301, 0)
    ] == ["critical", "critical", "ok", "ok"]


def test_a_clock_adds_to_what_is_wrong_already():
    told = with_clock(samples.stale(), 0, 0, {})

    assert [problem["code"] for problem in told["problems"]] == ["stale", "clock"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(90, "90 seconds"), (600, "10 minutes"), (90_000, "25 hours"), (400_000, "5 days")]
)
def test_durations_are_told_as_people_do(seconds, words):
    assert span(seconds) == words
