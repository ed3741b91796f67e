# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _backup_begin
from ansible_collections.crm.continuity.plugins.module_utils._backup_begin import check_window, is_open, spans
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError


def at(text):
    hour, minute = map(int, text.split(":"))
    return datetime.datetime(2026, 11, 22, hour, minute, tzinfo=datetime.timezone.utc)


class Local:
    """A moment of a host whose clock shows a time."""

    def __init__(self, text):
        self._text = text

    def astimezone(self):
        return at(self._text)


@pytest.mark.parametrize(
    ("window", "time", "expected"),
    [
        ("", "12:00", True),
        ("  ", "12:00", True),
        ("22:00-06:00", "21:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("9:30-17:00", "09:29", False),
        ("9:30-17:00", "09:30", True),
        ("9:30-17:00", "17:00", False),
        ("22:00-06:00, 12:00-13:00", "12:30", True),
        ("22:00-06:00, 12:00-13:00", "13:30", False),
        ("18:00-24:00", "23:59", True),
        ("00:00-24:00", "00:00", True),
    ],
)
def test_a_window_is_open_from_its_begin_until_before_its_end(window, time, expected):
    assert is_open(window, at(time)) is expected


@pytest.mark.parametrize(
    "window", ["night", "22-06", "22:00", "25:00-06:00", "22:00-24:30", "22:60-06:00", "22:00-06:00,"]
)
def test_what_is_no_window_is_refused(window):
    with pytest.raises(StackError, match="has to be like 22:00-06:00"):
        spans(window)


def test_a_closed_window_says_what_time_it_is_there(monkeypatch):
    monkeypatch.setattr(_backup_begin.platform, "node", lambda: "web-1")
    monkeypatch.setattr(_backup_begin, "now", lambda: Local("23:15"))
    check_window("22:00-06:00")

    monkeypatch.setattr(_backup_begin, "now", lambda: Local("14:05"))
    with pytest.raises(StackError, match=r"it is 14:05 on web-1, and the window is 22:00-06:00\. .* backup_force=true"):
        check_window("22:00-06:00")
