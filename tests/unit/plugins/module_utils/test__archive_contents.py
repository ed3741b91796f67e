# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._archive_contents import contents
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError
from ansible_collections.crm.continuity.tests.unit.archives import (
    END,
    archive_twice,
    change_tree,
    described,
    directory,
    file,
    make_tree,
    pax,
    symlink,
)

from .test__extract_files import source_of


def test_an_archive_holds_what_an_extraction_would_leave(tmp_path):
    (tmp_path / "tree").mkdir()
    make_tree(tmp_path / "tree")
    archive_twice(tmp_path / "tree", tmp_path / "v.tar.zst", change_tree)

    listing = contents(source_of(tmp_path / "v.tar.zst"), 1000)

    there = {
        path[1:].decode(errors="backslashreplace"): facts
        for path, facts in described(tmp_path / "tree").items()
        if path
    }
    assert [entry.name for entry in listing.entries] == sorted(there)
    assert listing.names == len(there)
    for entry in listing.entries:
        mode, uid, gid, changed, size = there[entry.name][:5]
        assert (int(entry.mode, 8), entry.uid, entry.gid) == (int(mode, 8) & 0o7777, uid, gid), entry.name
        if entry.kind == "file":
            assert entry.size == size
            assert entry.modified.startswith("2017-07-14T02:40:00Z" if changed == 1_500_000_000 * 10**9 else "20")


def test_a_link_is_listed_with_its_target_and_a_big_number_is_read(tmp_path):
    archive = tmp_path / "x.tar"
    archive.write_bytes(
        directory(b"./") + symlink(b"./l", b"/app/x") + pax(uid=b"3000000", mtime=b"-1.5") + file(b"./f", b"12") + END
    )

    first, second = contents(source_of(archive), 9).entries

    assert (first.name, first.kind, first.size, first.uid, first.modified) == (
        "f",
        "file",
        2,
        3_000_000,
        "1969-12-31T23:59:58Z",
    )
    assert (second.name, second.kind, second.target) == ("l", "link", "/app/x")
    assert second.gid == os.getgid()


def test_no_more_than_the_limit_is_shown_and_the_rest_is_counted(tmp_path):
    archive = tmp_path / "x.tar"
    archive.write_bytes(directory(b"./") + b"".join(file(b"./%05d" % n, b"x") for n in range(4000, 0, -1)) + END)

    listing = contents(source_of(archive), 3)

    assert [entry.name for entry in listing.entries] == ["00001", "00002", "00003"]
    assert (listing.names, listing.content_bytes) == (4000, 4000)


def test_only_what_is_asked_for_is_listed(tmp_path):
    archive = tmp_path / "x.tar"
    archive.write_bytes(directory(b"./") + directory(b"./a/") + file(b"./a/b", b"x") + file(b"./ab", b"x") + END)

    assert [entry.name for entry in contents(source_of(archive, "a"), 9).entries] == ["a", "a/b"]


def test_a_damaged_archive_is_not_listed(tmp_path):
    archive = tmp_path / "x.tar"
    archive.write_bytes(directory(b"./") + END)
    source = source_of(archive)
    archive.write_bytes(directory(b"./") + file(b"./more") + END)

    with pytest.raises(ArchiveError, match="damaged or not the expected archive"):
        contents(source, 9)
