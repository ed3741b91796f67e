# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._archive_selection import Selection
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError, StackError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._extract_files import Source, Target, extract, look
from ansible_collections.crm.continuity.tests.unit.archives import (
    END,
    archive_twice,
    change_tree,
    described,
    directory,
    file,
    hard_link,
    listed,
    make_tree,
    symlink,
)


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def source_of(archive, path="", *, allow_devices=False):
    deleted = Path(str(archive).split(".tar", maxsplit=1)[0] + ".deleted")
    there = deleted.exists()
    return Source(
        str(archive),
        sha256(archive),
        str(deleted) if there else None,
        sha256(deleted) if there else None,
        Selection(path),
        allow_devices,
    )


def taken(archive, path, to, *, replace=False, act=True, beside=False):
    source = source_of(archive, path)
    return extract(source, look(source), Target(str(to), beside), replace=replace, act=act)


@pytest.fixture(scope="module")
def twice(tmp_path_factory):
    """An archive of two passes with a list of what is gone, and the tree as it was at the second."""
    base = tmp_path_factory.mktemp("twice")
    (base / "tree").mkdir()
    make_tree(base / "tree")
    archive_twice(base / "tree", base / "v.tar.zst", change_tree)
    return base


def subset(root, name):
    """Describe what is at or below a name, and the directories above; not which names share a file."""
    above = {name[:end] for end in range(len(name)) if name[end : end + 1] == b"/"}
    return {
        path: facts[:6] + facts[7:]
        for path, facts in described(root).items()
        if path == name or path.startswith(name + b"/") or (path in above and path)
    }


def test_whatever_is_selected_comes_out_as_an_extraction_of_everything_leaves_it(twice, tmp_path):
    names = [os.fsdecode(path[1:]) for path in described(twice / "tree") if path]

    for number, name in enumerate(names):
        taken(twice / "v.tar.zst", name, tmp_path / str(number))

        wanted = subset(twice / "tree", b"/" + os.fsencode(name))
        found = described(tmp_path / str(number))
        found.pop(b"")
        assert {path: facts[:6] + facts[7:] for path, facts in found.items()} == wanted, name
    assert len(names) > 20


def test_everything_comes_out_as_it_was_with_links_and_holes(twice, tmp_path):
    taken(twice / "v.tar.zst", "", tmp_path / "all")

    found, wanted = described(tmp_path / "all"), described(twice / "tree")
    found.pop(b"")
    wanted.pop(b"")
    assert found == wanted


@pytest.mark.parametrize("name", ["absolute", " blank ", "new\nline", "no/such", "deep/nothing"])
def test_what_was_deleted_before_the_cut_or_never_there_is_nothing(twice, tmp_path, name):
    with pytest.raises(StoreError, match="holds nothing at"):
        taken(twice / "v.tar.zst", name, tmp_path / "x")

    assert not (tmp_path / "x").exists()


def test_a_pattern_selects_several_and_what_is_below_them(twice, tmp_path):
    taken(twice / "v.tar.zst", "[en]*", tmp_path / "x")

    assert sorted(os.listdir(tmp_path / "x")) == ["empty directory", "empty file", "new"]
    assert (tmp_path / "x" / "new" / "directory").is_dir()


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", True),
        ("a/b", "a/bc", False),
        ("./a//b/", "a/b", True),
        ("a/*", "a/x/y", True),
        ("*.jpg", "a/x.jpg", False),
        ("**/*.jpg", "a/b/x.jpg", True),
        ("?", "ab", False),
        ("x [1].txt", "x [1].txt", True),
        ("x [1].txt", "x 1.txt", True),
        ("[!a]x", "bx", True),
        ("[!a]x", "ax", False),
        ("[", "[", True),
        ("a.c", "abc", False),
        ("é*", "éa", True),
        ("", "anything/at all", True),
    ],
)
def test_a_pattern_matches_as_it_says(pattern, name, matches):
    assert Selection(pattern).matches(os.fsencode(name)) is matches


@pytest.mark.parametrize(("pattern", "words"), [("a/../../x", "leads out of the volume"), ("[z-a]", "is no pattern")])
def test_a_pattern_that_cannot_be_meant_is_refused(pattern, words):
    with pytest.raises(ArchiveError, match=words):
        Selection(pattern)


@pytest.fixture
def archived(tmp_path):
    def write(content, deleted=b""):
        path = tmp_path / "hand.tar"
        path.write_bytes(content + END)
        if deleted:
            (tmp_path / "hand.deleted").write_bytes(deleted)
        return path

    return write


def test_a_hard_link_brings_its_content_without_the_other_name(archived, tmp_path):
    content = directory(b"./") + file(b"./a/first", b"old") + hard_link(b"./b/link", b"./a/first")
    newer = file(b"./a/first", b"another file")

    taken(archived(content + newer), "b", tmp_path / "x")

    assert (tmp_path / "x" / "b" / "link").read_text() == "old"
    assert os.listdir(tmp_path / "x") == ["b"]


def test_a_hard_link_to_what_was_deleted_since_has_its_content(archived, tmp_path):
    content = directory(b"./") + file(b"./first", b"old") + hard_link(b"./link", b"./first")

    taken(archived(content, listed(b"first")), "link", tmp_path / "x")

    assert (tmp_path / "x" / "link").read_text() == "old"
    assert os.listdir(tmp_path / "x") == ["link"]


def test_a_directory_above_that_holds_nothing_any_more_is_not_made(archived, tmp_path):
    content = directory(b"./") + directory(b"./d/") + file(b"./d/x1", b"1") + file(b"./x2", b"2")

    taken(archived(content, listed(b"d/x1", b"d")), "**x?", tmp_path / "x")

    assert os.listdir(tmp_path / "x") == ["x2"]


def test_a_hostile_archive_is_refused_wherever_it_is_hostile(archived, tmp_path):
    hostile = directory(b"./") + file(b"./good", b"x") + symlink(b"./l", b"/etc") + file(b"./l/passwd", b"x")

    with pytest.raises(ArchiveError, match="through the symbolic link"):
        taken(archived(hostile), "good", tmp_path / "x")

    assert not (tmp_path / "x").exists()


def test_nothing_is_put_in_place_before_the_checksum_was_right(archived, tmp_path):
    archive = archived(directory(b"./") + file(b"./good", b"x"))
    source = source_of(archive, "good")
    archive.write_bytes(archive.read_bytes() + bytes(512))

    with pytest.raises(ArchiveError, match="is damaged or not the expected archive"):
        look(source)


def test_an_archive_that_changes_between_the_two_readings_is_refused(archived, tmp_path):
    archive = archived(directory(b"./") + file(b"./good", b"x"))
    source = source_of(archive, "good")
    found = look(source)
    archive.write_bytes(archive.read_bytes().replace(b"x" + bytes(511), b"y" + bytes(511)))

    with pytest.raises(ArchiveError, match="changed while it was read"):
        extract(source, found, Target(str(tmp_path / "x"), False), replace=False, act=True)

    assert os.listdir(tmp_path / "x") == []


def test_a_list_that_does_not_fit_is_refused(archived, tmp_path):
    archive = archived(directory(b"./") + file(b"./good", b"x"), listed(b"never there"))

    with pytest.raises(ArchiveError, match="does not fit its list of deleted names"):
        taken(archive, "good", tmp_path / "x")


def test_more_than_there_is_space_for_is_refused(archived, tmp_path, monkeypatch):
    archive = archived(directory(b"./") + file(b"./good", b"x" * 1000))
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result((512, 512, 9, 9, 1, 9, 9, 9, 0, 255)))

    with pytest.raises(StoreError, match="has 1000 bytes, and 512 are free"):
        taken(archive, "good", tmp_path / "x")


# Into a directory that is there already


@pytest.fixture
def live(tmp_path):
    """A volume, its archive, and what has become of it since."""
    tree = tmp_path / "volume" / "_data"
    (tree / "a" / "b").mkdir(parents=True)
    for name in ("a/kept", "a/lost", "a/b/changed"):
        (tree / name).write_text(name)
    (tree / "a" / "b").chmod(0o2750)
    os.utime(tree / "a" / "b", ns=(1, 1_600_000_000_000_000_001))
    archive_twice(tree, tmp_path / "v.tar.zst", lambda root: None)
    (tree / "a" / "lost").unlink()
    (tree / "a" / "newer").write_text("newer")
    return tree


def test_what_is_lost_comes_back_and_the_rest_stays(live, tmp_path):
    before = described(live)

    done = taken(tmp_path / "v.tar.zst", "a/lost", live, beside=True)

    assert (done.placed, done.replaced, done.unchanged, done.changed) == (1, 0, 0, True)
    assert (live / "a" / "lost").read_text() == "a/lost"
    assert {path: facts for path, facts in described(live).items() if path not in (b"/a", b"/a/lost")} == {
        path: facts for path, facts in before.items() if path != b"/a"
    }
    assert sorted(os.listdir(tmp_path)) == ["v.tar.zst", "volume"]
    assert os.listdir(live.parent) == ["_data"]


def test_a_second_time_there_is_nothing_to_do(live, tmp_path):
    taken(tmp_path / "v.tar.zst", "a", live, beside=True)
    before = described(live)

    done = taken(tmp_path / "v.tar.zst", "a", live, beside=True)

    assert (done.placed, done.replaced, done.unchanged, done.changed) == (0, 0, 3, False)
    assert described(live) == before


def test_check_mode_says_the_same_and_changes_nothing(live, tmp_path):
    before = described(live)

    said = taken(tmp_path / "v.tar.zst", "a", live, beside=True, act=False)

    assert described(live) == before
    assert taken(tmp_path / "v.tar.zst", "a", live, beside=True) == said


@pytest.mark.parametrize("beside", [True, False])
def test_what_differs_is_replaced_only_when_that_was_asked_for(live, tmp_path, beside):
    (live / "a" / "b" / "changed").write_text("a/b/changeD")
    before = described(live)

    with pytest.raises(StackError, match=r"1 of the files are in .* already and differ: 'a/b/changed'"):
        taken(tmp_path / "v.tar.zst", "a", live, beside=beside)
    after = described(live)
    done = taken(tmp_path / "v.tar.zst", "a", live, beside=beside, replace=True)

    assert after == before
    assert (done.placed, done.replaced, done.unchanged) == (1, 1, 1)
    assert (live / "a" / "b" / "changed").read_text() == "a/b/changed"
    assert (live / "a" / "newer").exists()


def test_a_content_that_differs_is_noticed_although_size_and_time_are_the_same(live, tmp_path):
    status = (live / "a" / "kept").stat()
    (live / "a" / "kept").write_text("a/kepT")
    os.utime(live / "a" / "kept", ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.raises(StackError, match="'a/kept'"):
        taken(tmp_path / "v.tar.zst", "a/kept", live, beside=True)


def test_a_folder_that_is_gone_comes_back_with_its_mode_and_times(live, tmp_path):
    wanted = described(live)
    shutil.rmtree(live / "a" / "b")

    taken(tmp_path / "v.tar.zst", "a/b", live, beside=True)

    found = described(live)
    assert found[b"/a/b"] == wanted[b"/a/b"]
    assert found[b"/a/b/changed"] == wanted[b"/a/b/changed"]


def test_no_link_of_the_live_volume_leads_out_of_it(live, tmp_path):
    shutil.move(live / "a" / "b", tmp_path / "outside")
    (live / "a" / "b").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "changed").unlink()

    with pytest.raises(StackError, match="'a/b' is a directory in the backup and none in"):
        taken(tmp_path / "v.tar.zst", "a/b/changed", live, beside=True, replace=True)

    assert os.listdir(tmp_path / "outside") == []


def test_a_directory_in_the_place_of_a_file_is_left_alone(live, tmp_path):
    (live / "a" / "lost").mkdir()

    with pytest.raises(StackError, match="'a/lost' is no directory in the backup and one in"):
        taken(tmp_path / "v.tar.zst", "a/lost", live, beside=True, replace=True)


def test_two_names_of_one_file_are_one_file_again(tmp_path):
    tree = tmp_path / "volume" / "_data"
    tree.mkdir(parents=True)
    (tree / "one").write_text("content")
    (tree / "two").hardlink_to(tree / "one")
    archive_twice(tree, tmp_path / "v.tar.zst", lambda root: None)
    (tree / "one").unlink()
    (tree / "two").unlink()

    taken(tmp_path / "v.tar.zst", "*o*", tree, beside=True)

    assert (tree / "one").stat().st_ino == (tree / "two").stat().st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_volume_that_is_a_mount_point_is_staged_inside(tmp_path):
    tree = tmp_path / "mounted"
    tree.mkdir()
    (tree / "x").write_text("x")
    archive_twice(tree, tmp_path / "v.tar.zst", lambda root: None)
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(tree)], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        taken(tmp_path / "v.tar.zst", "x", tree, beside=True)

        assert [(entry.name, entry.read_text()) for entry in tree.iterdir()] == [("x", "x")]
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", str(tree)], check=True)
