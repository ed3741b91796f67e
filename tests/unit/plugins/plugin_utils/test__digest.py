# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is worth telling, and what was told already."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._digest import (
    CRITICAL,
    FAILURE,
    KINDS,
    PROBLEMS_OF_A_HOST,
    RECOVERED,
    STALE,
    WARNING,
    Memory,
    decide,
    parse_time,
)
from ansible_collections.crm.continuity.tests.unit import status_samples as samples

NOW = samples.NOW
EVENTS = ("failure", "anomaly", "stale", "recovery")
DAY = timedelta(hours=24)


def tell(statuses, memory=None, hours=0.0, events=EVENTS, repeat=DAY):
    return decide(statuses, memory, NOW + timedelta(hours=hours), events=events, repeat=repeat)


def named(items):
    return [(item.host, item.stack, item.code, item.severity) for item in items]


def problem(code, severity=CRITICAL, message="", stack=None):
    return {"code": code, "severity": severity, "message": message, "stack": stack}


def host(*problems, stacks=({"stack": "crm"},)):
    return {"problems": list(problems), "stacks": list(stacks)}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("good", []),
        ("failed", [("crm", "failed", CRITICAL), ("crm", "stale", CRITICAL)]),
        ("stale", [("crm", "stale", CRITICAL)]),
        ("damaged", [("crm", "damaged", CRITICAL), ("crm", "stale", CRITICAL)]),
        ("never", [("crm", "never", CRITICAL)]),
        ("unreachable", [("", "unreachable", CRITICAL)]),
        ("password", [("", "password", CRITICAL)]),
        ("broken", [("", "broken", CRITICAL)]),
        ("disk_full", [("", "disk_critical", CRITICAL)]),
        ("recovered", [("crm", "failed", RECOVERED)]),
    ],
)
def test_of_a_host_is_told_what_is_wrong_with_it(name, expected):
    decision = tell({"a": samples.EVERY[name]("a")})

    assert [(item.stack, item.code, item.severity) for item in decision.news] == expected


def test_every_problem_there_is_has_a_host_and_words():
    for name, sample in samples.EVERY.items():
        decision = tell({"a": sample("a")}, events=(*EVENTS, "warning"))

        assert len(decision.standing) == len(sample("a")["problems"]), name
        assert all(item.message for item in decision.standing), name


def test_the_worst_comes_first_and_no_host_hides_another():
    many = [problem("failed", stack=f"s{number}") for number in range(50)]

    decision = tell(
        {"a": host(*many), "b": host(problem("stale", WARNING)), "c": host(problem("damaged", stack="crm"))}
    )

    assert named(decision.news)[:3] == [
        ("c", "crm", "damaged", CRITICAL),
        ("a", "s0", "failed", CRITICAL),
        ("a", "s1", "failed", CRITICAL),
    ]
    assert decision.news[-1].host == "b"


def test_the_first_problem_of_every_host_comes_before_the_second_of_any():
    two = [problem("damaged", stack="crm"), problem("failed", stack="crm")]

    decision = tell({"a": host(*two), "b": host(*two), "c": host(problem("disk_critical"))})

    assert [item.host for item in decision.news] == ["a", "b", "c", "a", "b"]


def test_what_was_told_is_not_told_again():
    statuses = {"a": host(problem("failed", message="pg_dump ended with 1", stack="crm"))}
    memory = tell(statuses).delivered

    decision = tell(statuses, memory, hours=12)

    assert decision.news == ()
    assert decision.unchanged == 1
    assert len(decision.standing) == 1


def test_it_is_told_again_after_the_time_to_repeat_with_since_when():
    statuses = {"a": host(problem("failed", stack="crm"))}
    memory = tell(statuses).delivered
    memory = tell(statuses, memory, hours=23.9).delivered

    decision = tell(statuses, memory, hours=24)

    assert [item.since for item in decision.news] == [NOW]


def test_another_reason_of_a_failure_is_news_and_another_number_is_not():
    memory = tell({"a": host(problem("failed", message="No space left: 12 bytes", stack="crm"))}).delivered

    same = tell({"a": host(problem("failed", message="No space left: 7 bytes", stack="crm"))}, memory, hours=1)
    other = tell({"a": host(problem("failed", message="pg_dump ended with 1", stack="crm"))}, memory, hours=1)

    assert same.news == ()
    assert named(other.news) == [("a", "crm", "failed", CRITICAL)]


def test_a_stale_backup_that_gets_older_is_no_news():
    memory = tell({"a": host(problem("stale", message="30 hours ago", stack="crm"))}).delivered

    assert tell({"a": host(problem("stale", message="2 days ago", stack="crm"))}, memory, hours=1).news == ()


def test_a_warning_that_becomes_critical_is_news():
    memory = tell({"a": host(problem("stale", WARNING, stack="crm"))}).delivered

    assert named(tell({"a": host(problem("stale", CRITICAL, stack="crm"))}, memory, hours=1).news) == [
        ("a", "crm", "stale", CRITICAL)
    ]


def test_the_end_of_what_was_told_is_told_once():
    memory = tell({"a": host(problem("failed", stack="crm"))}).delivered

    first = tell({"a": host()}, memory, hours=24)
    second = tell({"a": host()}, first.delivered, hours=25)

    assert named(first.news) == [("a", "crm", "failed", RECOVERED)]
    assert first.news[0].since == NOW
    assert second.news == ()


def test_the_end_of_what_nobody_was_told_is_not_told():
    memory = tell({"a": host(problem("failed", stack="crm"))}).undelivered

    assert tell({"a": host()}, memory, hours=1).news == ()


def test_what_was_not_delivered_is_told_by_the_next_run():
    first = tell({"a": host(problem("failed", stack="crm"))})

    again = tell({"a": host(problem("failed", stack="crm"))}, first.undelivered, hours=1)

    assert named(again.news) == [("a", "crm", "failed", CRITICAL)]
    assert again.news[0].since == NOW


def test_a_recovery_that_was_not_delivered_is_told_by_the_next_run():
    memory = tell({"a": host(problem("failed", stack="crm"))}).delivered
    lost = tell({"a": host()}, memory, hours=1)

    assert named(tell({"a": host()}, lost.undelivered, hours=2).news) == [("a", "crm", "failed", RECOVERED)]


def test_a_repetition_that_was_not_delivered_is_tried_again():
    statuses = {"a": host(problem("failed", stack="crm"))}
    memory = tell(statuses).delivered
    lost = tell(statuses, memory, hours=24)

    assert named(tell(statuses, lost.undelivered, hours=25).news) == [("a", "crm", "failed", CRITICAL)]


def test_a_host_that_does_not_answer_has_not_recovered_from_anything():
    memory = tell({"a": host(problem("failed", stack="crm"))}).delivered

    silent = tell({"a": samples.unreachable("a")}, memory, hours=1)
    back = tell({"a": host()}, silent.delivered, hours=2)

    assert named(silent.news) == [("a", "", "unreachable", CRITICAL)]
    assert sorted(named(back.news)) == [("a", "", "unreachable", RECOVERED), ("a", "crm", "failed", RECOVERED)]


def test_one_way_of_not_answering_after_another_is_no_recovery():
    memory = tell({"a": samples.unreachable("a")}).delivered

    assert named(tell({"a": samples.password("a")}, memory, hours=1).news) == [("a", "", "password", CRITICAL)]


def test_a_host_that_lacks_a_package_and_answers_can_recover_from_other_things():
    memory = tell({"a": host(problem("failed", stack="crm"))}).delivered

    decision = tell({"a": samples.half_installed("a")}, memory, hours=1)

    assert ("a", "crm", "failed", RECOVERED) in named(decision.news)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(host(problem("never"), stacks=()), host(problem("engine"), stacks=()), id="no engine, no backups"),
        pytest.param(host(problem("uncovered", stack="b")), host(problem("engine")), id="no engine, another stack"),
        pytest.param(host(problem("never", stack="b")), host(problem("half_installed")), id="no Docker library"),
        pytest.param(host(problem("failed", stack="crm")), host(problem("damaged")), id="a root that cannot be read"),
        pytest.param(host(problem("failed", stack="crm")), host(problem("log")), id="a log that is not whole"),
        pytest.param(host(problem("disk_warning")), host(problem("disk_critical")), id="a disk that fills up on"),
    ],
)
def test_what_can_no_longer_be_seen_is_not_over(before, now):
    memory = tell({"a": before}).delivered

    blind = tell({"a": now}, memory, hours=1)
    again = tell({"a": host()}, blind.delivered, hours=2)

    assert [item.severity for item in blind.news] == [CRITICAL]
    (key,) = memory.hosts["a"].problems
    assert key in {item.key for item in again.news if item.severity == RECOVERED}


def test_a_recovery_says_to_when_the_stack_can_be_restored():
    memory = tell({"a": samples.failed("a")}).delivered

    (over, _stale) = tell({"a": samples.good("a")}, memory, hours=1).news

    assert (over.code, over.since) == ("failed", NOW)
    assert over.restorable_to == samples.good("a")["stacks"][0]["restorable_to"]


def test_what_a_clock_that_was_ahead_told_does_not_silence_for_years():
    statuses = {"a": host(problem("failed", stack="crm"))}
    memory = tell(statuses, hours=24 * 3650).delivered

    assert named(tell(statuses, memory).news) == [("a", "crm", "failed", CRITICAL)]


def test_a_run_that_asks_for_less_forgets_nothing_that_was_told():
    stale = {"a": host(problem("stale", stack="crm"))}
    memory = tell(stale).delivered
    memory = tell(stale, memory, hours=1, events=("failure",)).delivered

    assert tell(stale, memory, hours=2).news == ()
    assert named(tell({"a": host()}, memory, hours=2).news) == [("a", "crm", "stale", RECOVERED)]


def test_hosts_that_were_not_asked_are_remembered_for_a_while():
    memory = tell({"a": host(problem("failed", stack="crm")), "b": host()}).delivered

    later = tell({"b": host()}, memory, hours=1)
    much_later = tell({"b": host()}, memory, hours=24 * 91)

    assert later.news == ()
    assert "a" in later.delivered.hosts
    assert "a" not in much_later.delivered.hosts


@pytest.mark.parametrize(
    ("previous", "code"), [("failed", "failed"), ("refused", "failed"), ("anomalous", "anomalous")]
)
def test_without_memory_a_recovery_is_a_good_attempt_after_one_that_was_not(previous, code):
    decision = tell({"a": samples.with_stack(samples.good("a"), previous_result=previous)})

    assert named(decision.news) == [("a", "crm", code, RECOVERED)]


@pytest.mark.parametrize("previous", ["ok", None, [], {"failed": 1}])
def test_without_memory_nothing_else_is_a_recovery(previous):
    assert tell({"a": samples.with_stack(samples.good("a"), previous_result=previous)}).news == ()


def test_without_memory_an_old_recovery_is_not_told_in_every_run():
    assert named(tell({"a": samples.recovered("a")}, hours=1).news)
    assert tell({"a": samples.recovered("a")}, hours=48).news == ()


def test_with_a_memory_a_recovery_from_what_was_never_told_is_not_told():
    assert tell({"a": samples.recovered("a")}, Memory({})).news == ()


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (("failure",), ["failed"]),
        (("anomaly",), ["anomalous"]),
        (("stale",), ["stale"]),
        (("warning",), ["unverified"]),
        (("always",), []),
        ((), []),
    ],
)
def test_only_what_was_asked_for_is_told(events, expected):
    problems = [problem("failed"), problem("anomalous", WARNING), problem("stale"), problem("unverified", WARNING)]

    decision = tell({"a": host(*problems)}, events=events)

    assert [item.code for item in decision.news] == expected
    assert len(decision.standing) == 4


def test_recoveries_are_told_only_when_asked_for():
    memory = tell({"a": host(problem("failed", stack="crm"))}).delivered

    assert tell({"a": host()}, memory, hours=1, events=("failure",)).news == ()
    assert tell({"a": samples.recovered("a")}, events=("failure",)).news == ()


def test_what_was_not_asked_for_is_told_when_it_is_later():
    memory = tell({"a": host(problem("stale", stack="crm"))}, events=("failure",)).delivered

    assert [item.code for item in tell({"a": host(problem("stale", stack="crm"))}, memory, hours=1).news] == ["stale"]


def test_a_code_of_another_version_is_a_failure_when_critical_and_a_warning_otherwise():
    unknown = {"a": host(problem("eaten_by_mice"), problem("mice_nearby", WARNING))}

    assert [item.code for item in tell(unknown).news] == ["eaten_by_mice"]
    assert [item.kind for item in tell(unknown, events=(*EVENTS, "warning")).news] == ["failure", "warning"]


def test_a_warning_by_code_that_is_critical_is_a_failure():
    assert [item.kind for item in tell({"a": host(problem("clock", CRITICAL))}).news] == [FAILURE]


def test_the_kinds_are_what_the_documentation_says():
    assert {code for code, kind in KINDS.items() if kind == STALE} == {"stale", "schedule_missed", "not_uploaded"}


@pytest.mark.parametrize(
    "status",
    [None, "text", [], 7, {}, {"problems": None}, {"problems": {"code": "x"}}],
    ids=["nothing", "a text", "a list", "a number", "empty", "no problems", "a dictionary of problems"],
)
def test_what_is_no_status_is_a_broken_host(status):
    decision = tell({"a": status, "b": samples.failed("b")})

    assert ("a", "", "broken", CRITICAL) in named(decision.news)
    assert ("b", "crm", "failed", CRITICAL) in named(decision.news)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "x",
        [],
        {},
        {"code": 7},
        {"code": None, "severity": []},
        {"code": "failed", "stack": {"x": 1}, "message": []},
    ],
)
def test_a_malformed_problem_is_still_a_problem(entry):
    decision = tell({"a": {"problems": [entry], "stacks": "none"}})

    assert len(decision.news) == 1
    assert decision.news[0].severity == CRITICAL


@pytest.mark.parametrize(
    "stacks",
    [
        None,
        7,
        ["x"],
        [{}],
        [{"stack": 7, "attempt": []}],
        [{"attempt": {"result": "ok", "at": 7}, "previous_result": "failed"}],
    ],
)
def test_malformed_stacks_are_passed_over(stacks):
    assert tell({"a": {"problems": [], "stacks": stacks}}).news == ()


def test_a_host_cannot_fill_the_memory():
    many = [problem(f"code{number}", message="x" * 10_000, stack="s" * 10_000) for number in range(5000)]

    decision = tell({"a": host(*many)})

    assert len(decision.standing) == PROBLEMS_OF_A_HOST
    assert all(len(key) < 250 for key in decision.delivered.hosts["a"].problems)


def test_a_host_cannot_fill_the_memory_with_what_it_hides():
    memory = None
    for turn in range(5):
        many = [problem(f"code{turn}-{number}", stack="s") for number in range(PROBLEMS_OF_A_HOST - 1)]
        memory = tell({"a": host(problem("log"), *many)}, memory, hours=turn).delivered

    assert memory is not None
    assert len(memory.hosts["a"].problems) <= 2 * PROBLEMS_OF_A_HOST


def test_servers_are_counted_by_their_worst_problem():
    decision = tell(
        {"a": samples.good("a"), "b": samples.unverified("b"), "c": samples.failed("c"), "d": samples.unreachable("d")}
    )

    assert decision.counts == {"ok": 1, WARNING: 1, CRITICAL: 2}


def test_a_digest_counts_as_sent_when_there_was_something_to_tell():
    assert tell({"a": samples.failed("a")}).delivered.sent == NOW
    assert tell({"a": samples.failed("a")}).undelivered.sent is None
    assert tell({"a": samples.good("a")}).delivered.sent is None
    assert tell({"a": samples.good("a")}, events=("always",)).delivered.sent == NOW


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2026-11-22T07:00:00Z", datetime(2026, 11, 22, 7, tzinfo=timezone.utc)),
        ("2026-11-22T04:00:00-03:00", datetime(2026, 11, 22, 7, tzinfo=timezone.utc)),
        ("2026-11-22T07:00:00", None),
        ("yesterday", None),
        (7, None),
        (None, None),
    ],
)
def test_times_are_read_with_their_zone(value, expected):
    assert parse_time(value) == expected
