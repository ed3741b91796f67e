# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os
import tracemalloc

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._deletions import opened
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError
from ansible_collections.crm.continuity.plugins.module_utils._last_members import _Places, pass_last, survey
from ansible_collections.crm.continuity.plugins.module_utils._tar_gate import TooBigArchiveError
from ansible_collections.crm.continuity.tests.unit.archives import (
    END,
    directory,
    file,
    hard_link,
    header,
    listed,
    pax,
    symlink,
)


@pytest.fixture
def archived(tmp_path):
    """Return a context manager that writes an archive and a list, and yields descriptors and the list."""

    @contextlib.contextmanager
    def write(content, deleted=b""):
        (tmp_path / "x.tar").write_bytes(content)
        (tmp_path / "x.deleted").write_bytes(deleted)
        with (
            open(tmp_path / "x.tar", "rb") as source,
            open(tmp_path / "passed.tar", "wb") as sink,
            opened(f"{tmp_path}/x.deleted" if deleted else None) as deletions,
        ):
            yield source.fileno(), sink.fileno(), deletions

    return write


def looked_over(archived, content, deleted=b"", **more):
    with archived(content, deleted) as (source, _sink, deletions):
        return survey(source, subject="x.tar", deletions=deletions, **more)


OLD = directory(b"./") + directory(b"./d/") + file(b"./d/a", b"old") + file(b"./b", b"12345") + symlink(b"./l", b"x")
NEW = directory(b"./") + file(b"./d/a", b"newer") + file(b"./c", b"1234567")
LIST = listed(b"b", b"l")


def test_the_last_member_of_each_name_counts_and_no_deleted_one(archived):
    found = looked_over(archived, OLD + NEW + END, LIST)

    assert list(found.last) == [0, 1, 0, 0, 0, 1, 1, 1]
    assert found.content_bytes == len(b"newer") + len(b"1234567")
    assert (found.passed.files, found.passed.directories, found.passed.others) == (2, 1, 0)
    assert found.passed.duplicates == 1


def test_of_an_archive_of_one_pass_everything_counts(archived):
    found = looked_over(archived, OLD + END)

    assert list(found.last) == [1] * 5
    assert found.content_bytes == found.passed.bytes == 8


def test_a_name_may_come_many_times_and_then_go(archived):
    found = looked_over(archived, file(b"a", b"1") + file(b"./a", b"22") + file(b".//a", b"333") + END, listed(b"a"))

    assert list(found.last) == [0, 0, 0]
    assert (found.content_bytes, found.passed.entries, found.passed.duplicates) == (0, 0, 2)


def passed_on(archived, tmp_path, content, deleted=b"", **more):
    last = looked_over(archived, content, deleted).last
    with archived(content, deleted) as (source, sink, deletions):
        passed = pass_last(source, sink, subject="x.tar", deletions=deletions, last=last, **more)
    return passed, (tmp_path / "passed.tar").read_bytes()


def test_only_what_counts_is_passed_on(archived, tmp_path):
    passed, arrived = passed_on(archived, tmp_path, OLD + NEW + END, LIST)

    assert arrived == directory(b"./d/") + NEW + END
    assert (passed.files, passed.directories, passed.others, passed.duplicates) == (2, 1, 0, 1)


BIG = [file(b"a", os.urandom(3_000_000)), file(b"a", os.urandom(2_000_000))]
LONG = [pax(path=b"a" * 300) + file(b"x", b"1"), pax(path=b"a" * 300) + file(b"x", b"2")]
LINKED = [file(b"a", b"1") + hard_link(b"h", b"a"), file(b"a", b"2") + hard_link(b"h", b"a")]
OTHERS = [file(b"a") + symlink(b"s", b"a"), directory(b"a") + file(b"s", b"2")]


@pytest.mark.parametrize("passes", [BIG, LONG, LINKED, OTHERS], ids=["big files", "pax", "links", "other kinds"])
def test_members_are_passed_on_whole(passes, archived, tmp_path):
    _passed, arrived = passed_on(archived, tmp_path, b"".join(passes) + END)

    assert arrived == passes[1] + END


def test_an_archive_that_was_not_surveyed_passes(archived, tmp_path):
    with archived(OLD + NEW + END) as (source, sink, deletions):
        pass_last(source, sink, subject="x.tar", deletions=deletions, last=())

    assert (tmp_path / "passed.tar").read_bytes() == OLD + NEW + END


def test_the_end_arrives_also_behind_a_member_that_does_not_count(archived, tmp_path):
    _passed, arrived = passed_on(archived, tmp_path, file(b"a", b"1") + file(b"b", b"2") + END, listed(b"b"))

    assert arrived == file(b"a", b"1") + END


def test_it_may_be_stopped_early_and_closes_what_it_opened(archived):
    class StoppedError(Exception):
        pass

    def stop(entries):
        if entries == 2:
            raise StoppedError

    before = os.listdir("/proc/self/fd")

    for act in (survey, lambda source, **more: pass_last(source, sink, last=(), **more)):
        with archived(OLD + END) as (source, sink, deletions), pytest.raises(StoppedError):
            act(source, subject="x.tar", deletions=deletions, each=stop)

    assert os.listdir("/proc/self/fd") == before


# Lists that do not fit


HOSTILE = [
    pytest.param(listed(b"missing"), "holds no 'missing'", id="not in the archive"),
    pytest.param(listed(b"b", b"b"), "holds no 'b'", id="twice"),
    pytest.param(listed(b"b", b"l", b"d/a", b"d", b"c", b"more"), "holds no 'more'", id="longer than the archive"),
    pytest.param(listed(b"l/etc"), "holds no 'l/etc'", id="behind a link of the archive"),
]


@pytest.mark.parametrize(("deleted", "words"), HOSTILE)
def test_a_list_of_names_that_the_archive_does_not_hold_is_refused(deleted, words, archived):
    with pytest.raises(ArchiveError, match=f"x.tar does not fit its list of deleted names: it {words}"):
        looked_over(archived, OLD + NEW + END, deleted)
    with archived(OLD + NEW + END, deleted) as (source, sink, deletions), pytest.raises(ArchiveError, match=words):
        pass_last(source, sink, subject="x.tar", deletions=deletions, last=())


@pytest.mark.parametrize(
    "members",
    [
        pytest.param(directory(b"d") + directory(b"d/e") + file(b"d/e/a"), id="inside a directory inside"),
        pytest.param(directory(b"d") + directory(b"d/e") + file(b"d/gone") + file(b"d/e/a"), id="among others"),
    ],
)
def test_a_deleted_directory_with_something_in_it_is_refused(members, archived):
    deleted = listed(b"d", *([b"d/gone"] if b"gone" in members else []))

    with pytest.raises(ArchiveError, match=r"x\.deleted names the directory 'd' as deleted, and x\.tar holds 'd/"):
        looked_over(archived, members + END, deleted)


def test_a_deleted_directory_may_go_with_all_that_was_in_it(archived):
    members = directory(b"d") + file(b"d/a") + directory(b"d/e") + file(b"d/e/a") + file(b"da")

    assert list(looked_over(archived, members + END, listed(b"d/e", b"d/a", b"d", b"d/e/a")).last) == [0, 0, 0, 0, 1]


def test_the_rules_of_the_gate_hold(archived):
    with pytest.raises(ArchiveError, match="leads out of"):
        looked_over(archived, file(b"../x") + END)
    with pytest.raises(ArchiveError, match="device node"):
        looked_over(archived, header(b"sda", b"4") + END)
    with pytest.raises(TooBigArchiveError):
        looked_over(archived, OLD + END, max_bytes=7)
    assert looked_over(archived, header(b"sda", b"4") + END, allow_devices=True, max_bytes=0).passed.others == 1


# Memory


def test_places_are_kept_by_name_through_all_growth():
    places = _Places()

    assert [places.put(b"%d" % number, number) for number in range(5000)] == [-1] * 5000
    assert [places.put(b"%d" % number, number + 1) for number in range(5000)] == list(range(5000))
    assert [places.get(b"%d" % number) for number in range(5001)] == [*range(1, 5001), -1]


def test_members_and_as_many_deleted_names_take_little_memory(archived):
    names = [b"%06d" % number for number in range(20_000)]
    content = b"".join([file(name) for name in names]) + END

    with archived(content, listed(*names)) as (source, _sink, deletions):
        del content, names
        tracemalloc.start()
        try:
            found = survey(source, subject="x.tar", deletions=deletions)
            _now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert (found.passed.entries, sum(found.last)) == (0, 0)
    assert peak < 100 * 20_000 + (1 << 20)
