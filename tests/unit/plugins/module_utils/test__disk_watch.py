# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import threading

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._disk_watch import DiskWatch


@pytest.fixture
def directory(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_it_acts_when_too_little_is_left_and_again_for_what_begins_only_then(directory, monkeypatch):
    status = os.statvfs_result((4096, 4096, 1000, 10, 10, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: status)
    acted = threading.Semaphore(0)
    watch = DiskWatch(directory, acted.release)

    with watch.running():
        for _time in range(3):
            assert acted.acquire(timeout=10)

    assert watch.free == 40960


def test_it_leaves_a_disk_with_room_alone(directory):
    watch = DiskWatch(directory, pytest.fail, reserve=0)

    with watch.running():
        threading.Event().wait(0.5)

    assert watch.free is None


def test_a_directory_that_cannot_be_seen_is_not_watched():
    watch = DiskWatch(None, pytest.fail)

    with watch.running():
        assert threading.active_count() == 1

    assert watch.free is None


@pytest.mark.parametrize(("size", "mebibytes"), [(1 << 20, 32), (100 << 20, 200), (1 << 40, 256)])
def test_a_small_dump_needs_less_to_spare(size, mebibytes):
    assert DiskWatch.reserve_for(size) == mebibytes << 20
