# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._csv_source import opened
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError, StoreError
from ansible_collections.crm.continuity.tests.unit.archives import END, directory, file, symlink

PLANS = file(b"001-Plans.csv", b"id\n1\n")
USERS = file(b"002-Users.csv", b"id,name\n1,a\n")


@pytest.fixture
def archive(tmp_path):
    def write(*members, end=END):
        path = tmp_path / "retrieved_data.tar.gz"
        path.write_bytes(gzip.compress(b"".join(members) + end))
        return str(path)

    return write


def contents(path, **more):
    with opened(path, **more) as source:
        found = [(entry.name, entry.table, entry.stream.read(100)) for entry in source.files]
    return found, source


def test_every_csv_of_an_archive_is_read_and_the_rest_is_named(archive):
    path = archive(PLANS, file(b"001-Plans.csv.log", b"COPY 1\n"), USERS)

    found, source = contents(path)

    assert found == [("001-Plans.csv", "Plans", b"id\n1\n"), ("002-Users.csv", "Users", b"id,name\n1,a\n")]
    assert source.ignored == ["001-Plans.csv.log"]
    assert source.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()


@pytest.mark.parametrize(
    ("name", "table"),
    [
        (b"Plans.csv", "Plans"),
        (b"12-Ticket-Notes.csv", "Ticket-Notes"),
        (b"./retrieved/001-Plans.csv", "Plans"),
        ("007-Ação.csv".encode(), "Ação"),
    ],
)
def test_the_table_is_what_follows_the_number(archive, name, table):
    parents = [directory(b"./retrieved")] if b"/" in name else []

    assert [entry[1] for entry in contents(archive(*parents, file(name, b"id\n")))[0]] == [table]


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path):
    (tmp_path / "002-Users.csv").write_bytes(b"id\n")
    (tmp_path / "001-Plans.csv").write_bytes(b"id\n")
    (tmp_path / "notes.txt").write_bytes(b"x")

    found, source = contents(str(tmp_path))

    assert [entry[0] for entry in found] == ["001-Plans.csv", "002-Users.csv"]
    assert (source.ignored, source.sha256) == (["notes.txt"], None)


def test_a_symbolic_link_in_a_directory_is_not_followed(tmp_path):
    (tmp_path / "001-Plans.csv").symlink_to("/etc/passwd")

    with pytest.raises(OSError, match="symbolic link"):
        contents(str(tmp_path))


def test_a_symbolic_link_in_an_archive_is_no_file(archive):
    assert contents(archive(PLANS, symlink(b"002-Users.csv", b"/etc/passwd")))[1].ignored == ["002-Users.csv"]


@pytest.mark.parametrize(
    ("members", "end", "words"),
    [
        pytest.param([PLANS, file(b"../002-Users.csv", b"id\n")], END, "outside|leave|leads", id="path that climbs"),
        pytest.param([file(b"/etc/001-Plans.csv", b"id\n")], END, "absolute", id="absolute path"),
        pytest.param([PLANS, USERS[:600]], b"", "truncated", id="cut off"),
        pytest.param([PLANS], b"", "truncated", id="no end"),
        pytest.param([], END, "holds no CSV file", id="nothing"),
        pytest.param([file(b"x.sql", b"x")], END, "holds no CSV file", id="something else"),
        pytest.param([PLANS, file(b"Plans.csv", b"id\n")], END, "two files of the table Plans", id="twice"),
    ],
)
def test_a_damaged_or_hostile_archive_is_refused(archive, members, end, words):
    with pytest.raises(ArchiveError, match=words):
        contents(archive(*members, end=end))


def test_an_archive_whose_compression_is_cut_off_is_refused(archive, tmp_path):
    whole = Path(archive(PLANS, USERS)).read_bytes()
    (tmp_path / "cut.tar.gz").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(ArchiveError):
        contents(str(tmp_path / "cut.tar.gz"))


def test_an_archive_of_another_checksum_is_refused(archive):
    with pytest.raises(ArchiveError, match="SHA-256"):
        contents(archive(PLANS), sha256="0" * 64)


def test_what_was_not_asked_for_is_checked_nevertheless(archive):
    path = archive(PLANS, file(b"../002-Users.csv", b"id\n"))

    with pytest.raises(ArchiveError), opened(path) as source:
        next(source.files)


def test_the_error_of_the_reader_is_the_one_that_is_raised(archive):
    path = archive(PLANS, *[file(b"%03d-T.csv" % n + b"x", b"x" * 300_000) for n in range(9)])

    def fail_early():
        with opened(path) as source:
            next(source.files)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail_early()


def test_a_path_that_is_not_there_is_named():
    with pytest.raises(StoreError, match="There is no /absent"):
        contents("/absent")
