# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the report says times, sizes, durations and words."""

from __future__ import annotations

import datetime
import re

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError
from ansible_collections.crm.continuity.plugins.module_utils._status_rules import CODES
from ansible_collections.crm.continuity.plugins.plugin_utils._report_words import (
    LANGUAGES,
    NOTHING,
    Clock,
    duration,
    language_of,
    size,
    words,
    zone_of,
)
from ansible_collections.crm.continuity.tests.unit import report_samples as samples


def clock(zone=samples.ZONE, at=samples.NOW):
    return Clock(zone_of(zone), at)


@pytest.mark.parametrize(
    ("zone", "moment", "local", "utc"),
    [
        ("America/Sao_Paulo", "2026-11-21T05:00:00+00:00", "2026-11-21 02:00", "05:00 UTC"),
        ("America/Sao_Paulo", "2026-11-21T02:00:00Z", "2026-11-20 23:00", "2026-11-21 02:00 UTC"),
        ("America/Sao_Paulo", "2026-11-21T02:00:00-03:00", "2026-11-21 02:00", "05:00 UTC"),
        ("UTC", "2026-11-21T05:00:00+00:00", "2026-11-21 05:00", "UTC"),
        ("Europe/Lisbon", "2026-07-01T05:00:00+00:00", "2026-07-01 06:00", "05:00 UTC"),
        ("Asia/Kolkata", "2026-11-21T05:00:00+00:00", "2026-11-21 10:30", "05:00 UTC"),
    ],
)
def test_a_moment_is_said_in_the_zone_and_in_utc(zone, moment, local, utc):
    said = clock(zone).moment(moment)

    assert (said.local, said.utc) == (local, utc)
    # What the page counts in comes to the same.
    wall = datetime.datetime.fromtimestamp(said.minutes * 60, datetime.timezone.utc)
    assert f"{wall:%Y-%m-%d %H:%M}" == local


def test_the_zone_is_said_with_its_offset():
    assert clock().name == "America/Sao_Paulo (UTC-03:00)"
    assert clock("UTC").name == "UTC (UTC+00:00)"
    assert clock("Asia/Kolkata").name == "Asia/Kolkata (UTC+05:30)"


def test_without_a_zone_it_is_that_of_the_control_node(monkeypatch):
    monkeypatch.setenv("TZ", ":America/Sao_Paulo")
    assert clock("").name == "America/Sao_Paulo (UTC-03:00)"


def test_a_control_node_may_have_a_zone_without_a_name(monkeypatch):
    monkeypatch.setenv("TZ", "XYZ3")
    assert zone_of("") is None
    assert re.fullmatch(r"UTC[+-]\d\d:\d\d", clock("").name)


@pytest.mark.parametrize("name", ["Nowhere/Else", "../../etc/passwd", "/etc/passwd"])
def test_an_unknown_zone_is_an_error_that_says_what_to_do(name):
    with pytest.raises(ContinuityError, match="America/Sao_Paulo"):
        zone_of(name)


@pytest.mark.parametrize(
    ("past", "said"),
    [
        ({"minutes": 5}, "5 min"),
        ({"hours": 4}, "4 h"),
        ({"hours": 47}, "47 h"),
        ({"days": 9}, "9 d"),
        ({"days": -1}, "0 min"),
    ],
)
def test_how_long_ago_it_was(past, said):
    assert clock().ago(samples.ago(**past)) == said


@pytest.mark.parametrize(
    ("count", "said"),
    [
        (None, NOTHING),
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (99_940, "99.9 kB"),
        (99_950, "100 kB"),
        (999_600, "1.0 MB"),
        (184_549_376, "185 MB"),
        (24_400_000_000_000, "24.4 TB"),
        (5e18, "5000 PB"),
    ],
)
def test_sizes(count, said):
    assert size(count) == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, NOTHING),
        (0.0934, "0.09 s"),
        (9.99, "9.99 s"),
        (9.996, "10 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (3599.7, "1 h 00 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_durations(seconds, said):
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("wanted", "environment", "language"),
    [
        ("auto", {"LANG": "pt_BR.UTF-8"}, "pt-BR"),
        ("auto", {"LC_ALL": "C", "LANG": "pt_BR.UTF-8"}, "en"),
        ("auto", {}, "en"),
        ("pt-BR", {"LANG": "en_US.UTF-8"}, "pt-BR"),
        ("en", {"LANG": "pt_BR.UTF-8"}, "en"),
    ],
)
def test_the_language_is_the_one_asked_for_or_that_of_the_control_node(wanted, environment, language):
    assert language_of(wanted, environment) == language


def test_both_languages_have_the_same_words_with_the_same_places():
    english, portuguese = (words()[language] for language in LANGUAGES)

    assert english.keys() == portuguese.keys()
    for key, text in english.items():
        assert sorted(set(re.findall(r"\{\d\}", text))) == sorted(set(re.findall(r"\{\d\}", portuguese[key]))), key


def test_every_code_of_a_problem_has_a_word():
    assert {f"p_{code}" for code in CODES} == {key for key in words()["en"] if key.startswith("p_")}
