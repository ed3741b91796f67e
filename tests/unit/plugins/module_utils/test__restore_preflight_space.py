# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_space import Need, check


@pytest.fixture
def disk(monkeypatch):
    """A disk with 1000 bytes and 10 inodes free."""
    status = SimpleNamespace(f_bavail=10, f_frsize=100, f_files=100, f_favail=10)
    monkeypatch.setattr(os, "statvfs", lambda _path: status)
    return status


@pytest.mark.parametrize(
    ("needs", "severity"),
    [
        ([(1000, 10)], "ok"),
        ([(1001, 0)], "refuse"),
        ([(0, 11)], "refuse"),
        ([(600, 0), (600, 0)], "refuse"),
        ([(400, 6), (400, 6)], "refuse"),
    ],
)
def test_what_is_needed_on_one_disk_is_added_up(disk, tmp_path, needs, severity):
    found = check(Need(f"{tmp_path}/{index}/not/there", *need) for index, need in enumerate(needs))

    assert [entry.severity for entry in found] == [severity]
    assert str(tmp_path) in found[0].message


def test_a_file_system_without_a_number_of_inodes_has_enough(disk, tmp_path):
    disk.f_files = disk.f_favail = 0

    assert [entry.severity for entry in check([Need(str(tmp_path), 1, 1 << 40)])] == ["ok"]


def test_disks_are_judged_one_by_one(disk):
    assert len(check([Need("/proc", 1), Need("/tmp", 1)])) == 2


def test_without_needs_there_is_nothing_to_say():
    assert check([]) == []
