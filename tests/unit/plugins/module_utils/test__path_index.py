# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
import time
import tracemalloc

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._path_index import SECOND, TICK, PathIndex

# Long ago, with a fraction of a second.
THEN = 1_700_000_000_123_456_789
NOW = 1_800_000_000_000_000_000


class Status:
    """What lstat says, as far as it matters."""

    def __init__(self, **changed):
        self.st_mtime_ns = self.st_ctime_ns = THEN
        self.st_size, self.st_ino, self.st_dev = 10, 20, 30
        vars(self).update(changed)


def looked_at(path=b"a", began=NOW, **changed):
    """Return an index that has seen a name, in a new round."""
    index = PathIndex()
    index.begin()
    assert index.see(path, Status(**changed), began)
    index.keep(path, THEN)
    index.begin()
    return index


def test_a_name_that_is_as_it_was_is_the_same():
    assert not looked_at().see(b"a", Status(), NOW)


@pytest.mark.parametrize("fact", ["st_mtime_ns", "st_ctime_ns", "st_size", "st_ino", "st_dev"])
def test_a_name_that_differs_in_anything_is_not(fact):
    index = looked_at()

    assert index.see(b"a", Status(**{fact: getattr(Status(), fact) + 1}), NOW)
    assert index.see(b"a", Status(), NOW)
    assert not index.see(b"a", Status(), NOW)


def test_a_name_of_which_nothing_is_kept_is_never_the_same():
    index = PathIndex()
    index.begin()
    for _time in range(2):
        assert index.see(b"a", Status(), NOW)
    index.keep(b"a", THEN)

    assert not index.see(b"a", Status(), NOW)


def test_what_is_kept_of_a_name_that_was_not_seen_is_no_reason_to_trust_it():
    index = PathIndex()
    index.begin()
    index.keep(b"a", THEN)

    assert not index.seen(b"a")
    assert index.see(b"a", Status(), NOW)
    assert not index.see(b"a", Status(), NOW)


def test_what_changed_a_tick_before_the_look_is_in_doubt_at_the_next_one():
    changed = {"st_ctime_ns": NOW - TICK + 1}
    index = looked_at(**changed)

    assert index.see(b"a", Status(**changed), NOW + SECOND)
    assert not index.see(b"a", Status(**changed), NOW + 2 * SECOND)


def test_what_changed_before_that_is_not():
    changed = {"st_ctime_ns": NOW - TICK - 1}

    assert not looked_at(**changed).see(b"a", Status(**changed), NOW)


def test_a_file_system_of_whole_seconds_is_given_longer():
    changed = {"st_ctime_ns": NOW - 2 * SECOND}
    index = looked_at(**changed)

    assert index.see(b"a", Status(**changed), NOW)
    assert index.see(b"a", Status(**changed), NOW + SECOND)
    assert not index.see(b"a", Status(**changed), NOW + SECOND)


def test_a_time_in_the_future_is_always_in_doubt():
    changed = {"st_ctime_ns": NOW + 3600 * SECOND}
    index = looked_at(**changed)

    assert index.see(b"a", Status(**changed), NOW)
    assert index.see(b"a", Status(**changed), NOW)


def test_only_what_was_there_in_this_round_is_seen():
    index = looked_at(b"a")
    index.see(b"b", Status(), NOW)

    assert (index.seen(b"a"), index.seen(b"b"), index.seen(b"c")) == (False, True, False)


def test_many_rounds_do_not_mix():
    index = PathIndex()
    index.begin()
    index.see(b"a", Status(), NOW)
    for _round in range(600):
        index.begin()
        assert not index.seen(b"a")


def test_a_hundred_thousand_names_are_kept_apart_in_little_memory():
    names = [b"directory/%d\n\xff" % number for number in range(100_000)]
    tracemalloc.start()
    index = PathIndex()
    index.begin()
    for size, name in enumerate(names):
        index.see(name, Status(st_size=size), NOW)
        index.keep(name, THEN)
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()

    index.begin()
    assert not any(index.see(name, Status(st_size=size), NOW) for size, name in enumerate(names))
    assert all(index.seen(name) for name in names)
    assert used < 100_000 * 60


def test_two_writes_that_no_clock_tells_apart_are_told_apart(tmp_path):
    """As fast as the machine can: a look, and a write right after it that leaves size and inode alone."""
    path = tmp_path / "file"
    missed = 0
    for number in range(300):
        path.write_bytes(b"%03d" % number)
        index = PathIndex()
        index.begin()
        index.see(b"file", os.lstat(path), time.time_ns())
        index.keep(b"file", THEN)
        with open(path, "r+b") as stream:
            stream.write(b"xyz")
        index.begin()
        missed += not index.see(b"file", os.lstat(path), time.time_ns())
    assert missed == 0


def test_a_tick_is_longer_than_that_of_this_kernel(tmp_path):
    """Times that a file system gives to changes lag behind the clock by less than we allow for."""
    lags = []
    for number in range(50):
        before = time.time_ns()
        (tmp_path / str(number)).touch()
        lags.append(before - os.lstat(tmp_path / str(number)).st_ctime_ns)
    assert max(lags) < TICK, subprocess.run(["df", "-T", tmp_path], capture_output=True, check=False).stdout


def test_what_was_read_of_another_time_is_not_what_is_there():
    index = looked_at()
    index.keep(b"a", THEN - 4_000_000)

    assert index.see(b"a", Status(), NOW)


def test_only_what_was_read_by_its_path_is_in_doubt_when_a_directory_above_may_have_moved():
    index = looked_at()

    assert not index.see(b"a", Status(), NOW, moved=True)
    index.keep(b"a", THEN, by_path=True)
    assert index.see(b"a", Status(), NOW, moved=True)
    assert not index.see(b"a", Status(), NOW)
