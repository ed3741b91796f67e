# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._archive_writer import ArchiveWriter
from ansible_collections.crm.continuity.plugins.module_utils._encryption import NO_ENCRYPTION
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError, ProcessError
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.module_utils._process import Stage
from ansible_collections.crm.continuity.plugins.module_utils._seal import Seal
from ansible_collections.crm.continuity.plugins.module_utils._streamed_archive import streamed_archive
from ansible_collections.crm.continuity.plugins.module_utils._tar import create_stage, list_stage
from ansible_collections.crm.continuity.plugins.module_utils._tar_gate import A_DIRECTORY, A_FILE
from ansible_collections.crm.continuity.tests.unit.archives import END, described, directory, file, hard_link, make_tree

UNPACK = {"zstd": ["zstd", "-dc"], "gzip": ["gzip", "-dc"], "none": ["cat"]}


@pytest.fixture
def target(tmp_path):
    with open(tmp_path / "archive", "w+b", buffering=0) as stream:
        yield stream.fileno()


def sending(tmp_path, name, content):
    """Return a stage that writes bytes in the place of tar."""
    (tmp_path / name).write_bytes(content)
    return Stage("send", ["cat", str(tmp_path / name)])


def listing(tmp_path, compression):
    plain = subprocess.run([*UNPACK[compression], tmp_path / "archive"], capture_output=True, check=True).stdout
    return subprocess.run(["tar", "-t"], input=plain, capture_output=True, check=True).stdout.decode().split()


def writing(target, compression, record=None, encryption=NO_ENCRYPTION):
    seal = Seal(target, encryption, "volume v")
    return ArchiveWriter(seal, compression=compression, level=None, subject="volume v", record=record)


@pytest.mark.parametrize("compression", list(UNPACK))
def test_parts_are_one_archive_for_stock_tools(compression, tmp_path, target):
    writer = writing(target, compression)

    writer.part(sending(tmp_path, "1", directory(b"./") + file(b"./a", b"one") + END))
    writer.part(sending(tmp_path, "2", file(b"./a", b"two") + file(b"./b") + END))
    writer.part(sending(tmp_path, "3", END))
    writer.end()

    assert listing(tmp_path, compression) == ["./", "./a", "./a", "./b"]
    assert (writer.passed().files, writer.passed().duplicates) == (2, 1)
    assert writer.written().sha256 == file_sha256(str(tmp_path / "archive")).sha256


def test_an_archive_without_its_last_part_is_not_whole(tmp_path, target):
    writer = writing(target, "none")

    writer.part(sending(tmp_path, "1", file(b"./a", b"one") + END))

    assert (tmp_path / "archive").read_bytes() == file(b"./a", b"one")


def test_members_are_recorded_by_their_shortest_names_with_what_they_were_before(tmp_path, target):
    records = []
    writer = writing(target, "zstd", records.append)

    writer.part(sending(tmp_path, "1", directory(b"./") + directory(b"./d/") + file(b"./d//a") + END))
    writer.part(sending(tmp_path, "2", file(b"./d/a") + file(b"./b") + END))

    assert [(record.path, record.before) for record in records] == [
        (b"", A_DIRECTORY),
        (b"d", 0),
        (b"d/a", 0),
        (b"d/a", A_FILE),
        (b"b", 0),
    ]
    assert {record.changed for record in records} == {1_700_000_000 * 1_000_000_000}
    assert (writer.holds(b"d"), writer.holds(b"b"), writer.holds(b"c")) == (A_DIRECTORY, A_FILE, 0)


def test_what_is_forgotten_does_not_count_any_more(tmp_path, target):
    writer = writing(target, "zstd")
    writer.part(sending(tmp_path, "1", directory(b"./d/") + file(b"./d/a") + file(b"./b") + END))

    assert writer.forget(b"d/a")
    assert not writer.forget(b"d/a")
    assert not writer.forget(b"nowhere")

    passed = writer.passed()
    assert (passed.files, passed.directories, passed.duplicates) == (1, 1, 0)


def test_rules_hold_over_parts(tmp_path, target):
    writer = writing(target, "zstd")
    writer.part(sending(tmp_path, "1", file(b"./a") + END))

    # To a file of an earlier part, and to one that no part has.
    writer.part(sending(tmp_path, "2", hard_link(b"./b", b"./a") + END))
    with pytest.raises(ArchiveError, match="no earlier file"):
        writer.part(sending(tmp_path, "3", hard_link(b"./c", b"./z") + END))


def test_what_was_thrown_away_is_gone(tmp_path, target):
    writer = writing(target, "zstd")
    writer.part(sending(tmp_path, "1", file(b"./a", os.urandom(5000)) + END))

    writer.restart()
    writer.part(sending(tmp_path, "2", file(b"./b") + END), last=True)

    assert listing(tmp_path, "zstd") == ["./b"]
    assert (writer.passed().files, writer.holds(b"a")) == (1, 0)
    assert writer.written().sha256 == file_sha256(str(tmp_path / "archive")).sha256


def test_a_program_that_dies_is_named_with_its_words(tmp_path, target):
    writer = writing(target, "zstd")
    stage = Stage("send", ["sh", "-c", "echo no disk >&2; exit 2"], accept=frozenset({0, 1, 2}))

    with pytest.raises(ProcessError, match="Cannot send: tar exited with 2: no disk"):
        writer.part(stage)


def test_listed_names_are_archived_without_what_is_in_them(tmp_path, target):
    source = tmp_path / "source"
    source.mkdir()
    make_tree(source)
    names = b"./deep\0./--help\0./new\nline\0./latin-\xe9\xff\0"
    (tmp_path / "names").write_bytes(names)
    writer = writing(target, "none")

    with open(tmp_path / "names", "rb") as stream:
        code, words = writer.part(list_stage(str(source), "archive"), names=stream.fileno(), last=True)

    assert (code, words) == (0, "")
    assert (writer.passed().files, writer.passed().directories) == (3, 1)


def test_what_an_engine_streams_is_archived_at_the_cut_only(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    make_tree(source)
    stage = create_stage(str(source), "archive volume v")
    destination = str(tmp_path / "v.tar.zst")

    making = streamed_archive(stage, destination, compression="zstd", level=None, subject="volume v")
    with making as archive:
        archive.start()
        assert archive.catch_up(still=False).entries == 0
        assert archive.catch_up(still=True).entries > 10
        archived = archive.finish(str(tmp_path / "v.deleted"))

    restored = tmp_path / "restored"
    restored.mkdir()
    plain = subprocess.run(["zstd", "-dc", destination], capture_output=True, check=True).stdout
    subprocess.run(["tar", "-xP", "--delay-directory-restore", "-C", restored], input=plain, check=True)
    assert described(restored) == described(source)
    found = subprocess.run(["find", source, "-type", "f", "-printf", "x"], capture_output=True, check=True).stdout
    assert archived.totals.files == len(found)
