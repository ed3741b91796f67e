# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import os
import re
import shutil
import subprocess
import time

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._schedule_calendar import UTC, parse

BERLIN = "Europe/Berlin"


@pytest.fixture
def in_berlin(monkeypatch):
    """Let this process live where clocks are set forward and back."""
    monkeypatch.setenv("TZ", BERLIN)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def at(text):
    return datetime.datetime.fromisoformat(f"{text}+00:00")


@pytest.mark.parametrize(
    ("text", "after", "expected"),
    [
        ("*-*-* 02:00:00 UTC", "2026-11-22T01:59:59", "2026-11-22T02:00:00"),
        ("*-*-* 02:00:00 UTC", "2026-11-22T02:00:00", "2026-11-23T02:00:00"),
        ("Sun *-*-* 01:00:00 UTC", "2026-11-22T01:00:00", "2026-11-29T01:00:00"),
        ("02:30 America/Sao_Paulo", "2026-11-22T00:00:00", "2026-11-22T05:30:00"),
        ("weekly UTC", "2026-11-22T00:00:00", "2026-11-23T00:00:00"),
        ("*-2-29 UTC", "2026-11-22T00:00:00", "2028-02-29T00:00:00"),
        ("Mon..Fri 22:00 UTC", "2026-11-20T22:00:00", "2026-11-23T22:00:00"),
        ("2020-1-1 UTC", "2026-11-22T00:00:00", None),
    ],
)
def test_the_next_time_is_the_first_after_a_moment(text, after, expected):
    assert parse(text).after(at(after)) == (at(expected) if expected else None)


def test_times_between_two_moments_leave_out_the_first_and_count_the_last():
    found = parse("*-*-* 02:00:00 UTC").between(at("2026-11-19T02:00:00"), at("2026-11-22T02:00:00"))

    assert [moment.day for moment in found] == [20, 21, 22]


def test_so_many_times_are_not_listed_without_end():
    assert len(parse("minutely UTC").between(at("2026-01-01T00:00:00"), at("2026-11-22T00:00:00"))) == 1000


@pytest.mark.usefixtures("in_berlin")
def test_an_hour_that_is_left_out_has_no_time_and_one_that_comes_twice_has_one():
    spring = parse("*-*-* 02:30").between(at("2027-03-27T00:00:00"), at("2027-03-30T00:00:00"))
    autumn = parse("*-*-* 02:30").between(at("2026-10-24T00:00:00"), at("2026-10-26T12:00:00"))

    assert [moment.isoformat() for moment in spring] == ["2027-03-27T01:30:00+00:00", "2027-03-29T00:30:00+00:00"]
    assert [moment.day for moment in autumn] == [24, 25, 26]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "nothing"),
        ("whenever", "'whenever' is neither a weekday nor a time zone"),
        ("*-*-* 25:00:00", "'25' is no hour from 0 to 23"),
        ("*-13-* 02:00", "'13' is no month"),
        ("*-*~1 02:00", "'*-*~1 02:00'"),
        ("*-*-* 02:00:00.5", "no second"),
        ("*-*-* 02:00 Mars/Phobos", "'Mars/Phobos' is neither"),
        ("Fri..Mon 02:00", "ends before it begins"),
        ("*-*-* 1/0:00", "'1/0' is no hour"),
        # systemd refuses it, too.
        ("*:*/15", "'*/15' is no minute: a step begins with a number, as in 0/15"),
    ],
)
def test_what_is_not_understood_is_refused_with_the_reason(text, reason):
    with pytest.raises(StoreError, match=re.escape(reason)):
        parse(text)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.usefixtures("in_berlin")
@pytest.mark.parametrize(
    "text",
    [
        "*-*-* 02:00:00",
        "Sun *-*-* 01:00:00",
        "Sun,Tue..Thu 1:00",
        "*-*-* 02:30:00",
        "*:0/15",
        "*-*-1..7/2 1..3:5",
        "Sat",
        "daily UTC",
        "1:2:3 America/Sao_Paulo",
        "weekly Europe/Berlin",
        "quarterly",
        "2026..2028-*-01 00:00",
    ],
)
def test_systemd_says_the_same(text):
    begin = datetime.datetime(2027, 3, 27, 12, tzinfo=UTC)
    argv = ["systemd-analyze", "calendar", "--iterations=5", f"--base-time=@{begin.timestamp():.0f}", text]

    done = subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, "LC_ALL": "C", "TZ": BERLIN}, check=False
    )
    theirs = re.findall(r"\(in UTC\): \w{3} (\S+ \S+) UTC", done.stdout)
    if not theirs:
        # In UTC already, where the expression is.
        theirs = re.findall(r"(?:Next elapse|Iter\. #\d): \w{3} (\S+ \S+) UTC", done.stdout)

    ours = parse(text).between(begin, begin + datetime.timedelta(days=2000), limit=len(theirs))
    assert theirs
    assert [f"{moment:%Y-%m-%d %H:%M:%S}" for moment in ours] == theirs
