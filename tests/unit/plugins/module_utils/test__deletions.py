# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import random
import resource
import subprocess
import tracemalloc
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._deletions import PORTION, beside, opened
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.tests.unit.archives import described, listed


@pytest.fixture
def tree(tmp_path):
    """A directory below one that must not be touched."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "precious").write_text("precious")
    root = tmp_path / "tree"
    (root / "a" / "b" / "c").mkdir(parents=True)
    for name in ("file", "a/file", "a/b/file", "a/b/c/file", "a/kept"):
        (root / name).write_text(name)
    return root


@pytest.fixture
def write(tmp_path):
    """Return a function that writes a list and returns its path."""

    def write_list(content):
        path = tmp_path / "x.deleted"
        path.write_bytes(content)
        return str(path)

    return write_list


def remove(path, directory):
    with opened(path) as deletions:
        deletions.remove(str(directory))


def everything(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


# Where the list is


@pytest.mark.parametrize("ending", [".tar.zst", ".tar.gz", ".tar"])
def test_a_list_beside_the_archive_is_found_by_its_name(ending, tmp_path):
    (tmp_path / "crm.tar_storage.deleted").touch()

    assert beside(f"{tmp_path}/crm.tar_storage{ending}") == f"{tmp_path}/crm.tar_storage.deleted"
    assert beside(f"{tmp_path}/crm{ending}") is None


def test_an_archive_with_another_kind_of_name_has_no_list_beside_it(tmp_path):
    (tmp_path / "uploads.deleted").touch()

    assert beside(f"{tmp_path}/uploads") is None
    assert beside(f"{tmp_path}/uploads.tgz") is None


def test_a_list_that_is_a_broken_link_is_not_taken_for_none(tmp_path):
    (tmp_path / "x.deleted").symlink_to("nowhere")

    assert beside(f"{tmp_path}/x.tar") == f"{tmp_path}/x.deleted"


# What is in it


def test_without_a_list_nothing_is_deleted(tree):
    before = described(tree)

    with opened(None) as deletions:
        assert (list(deletions), deletions.count) == ([], 0)
        deletions.remove(str(tree))

    assert described(tree) == before


ODD = [
    b"a",
    b"-rf",
    b"new\nline",
    b"\xe9\xff",
    b" ",
    b"a/...",
    b"..a",
    b"a..",
    b"x" * 255,
    b"/".join([b"y" * 200] * 99),
]


def test_names_are_bytes_of_any_kind(write):
    with opened(write(listed(*ODD))) as deletions:
        assert list(deletions) == ODD
        assert deletions.count == len(ODD)


def test_names_that_lie_across_the_portions_that_are_read_stay_whole(write):
    names = [b"%d/" % number + b"z" * (number % 97) + b"z" for number in range(10_000)]
    content = listed(*names)
    assert len(content) > 5 * PORTION

    with opened(write(content)) as deletions:
        assert list(deletions) == names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(b"./a/../../x\0", "'./a/../../x' is not the name", id="climbing"),
        pytest.param(b"../x\0", "'../x' does not begin with", id="climbing at once"),
        pytest.param(b"/etc/passwd\0", "'/etc/passwd' does not begin with", id="absolute"),
        pytest.param(b".//etc/passwd\0", "is not the name", id="absolute in disguise"),
        pytest.param(b"./\0", "'./' is not the name", id="root"),
        pytest.param(b".\0", "does not begin with", id="root without slash"),
        pytest.param(b"./.\0", "is not the name", id="root with dots"),
        pytest.param(b"./a/./b\0", "is not the name", id="dot inside"),
        pytest.param(b"./a//b\0", "is not the name", id="two slashes"),
        pytest.param(b"./a/\0", "is not the name", id="slash at the end"),
        pytest.param(b"a\0", "'a' does not begin with", id="no dot"),
        pytest.param(b"-rf\0", "does not begin with", id="an option"),
        pytest.param(b"\0", "'' does not begin with", id="empty name"),
        pytest.param(b"./a\0\0", "'' does not begin with", id="two ends"),
        pytest.param(b"./a\0./b", "is truncated: it stops in the middle of a name", id="truncated"),
        pytest.param(b"./a\n./b\n", "is truncated", id="lines"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"./" + b"a" * 70_000 + b"\0", "is longer than 65536 bytes", id="endless name"),
        pytest.param(b"./" + b"a" * 400_000, "is longer than 65536 bytes", id="endless file"),
    ],
)
def test_a_list_that_cannot_be_right_is_refused_before_anything_is_removed(content, words, write, tree, tmp_path):
    before = described(tmp_path / "outside"), described(tree)

    for position in ("alone", "last"):
        with pytest.raises(ArchiveError, match=words):
            remove(write(content if position == "alone" else listed(b"file") * bool(content) + content), tree)

    assert (described(tmp_path / "outside"), described(tree)) == before


def test_a_list_of_another_checksum_is_refused(write):
    path = write(listed(b"file"))
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    with opened(path, digest.upper()) as deletions:
        assert deletions.count == 1

    write(listed(b"filf"))
    with (
        pytest.raises(ArchiveError, match=f"its SHA-256 is .*, and should be {digest}") as caught,
        opened(path, digest),
    ):
        pytest.fail("it was opened")

    assert caught.value.details["deleted"] == path


def test_a_list_that_is_not_there_is_told(tmp_path):
    with pytest.raises(FileNotFoundError), opened(f"{tmp_path}/missing"):
        pytest.fail("it was opened")


# Removing


def test_names_go_in_any_order_and_what_is_left_is_as_it_was(tree, write):
    names = [b"a/b", b"a/b/c", b"a/b/c/file", b"a/b/file", b"a/file"]
    os.utime(tree / "a", ns=(1_400_000_000_000_000_001, 1_400_000_000_000_000_001))
    kept = {name: facts for name, facts in described(tree).items() if name[1:] not in names}
    dice = random.Random(2026)
    spare = tree.with_name("spare")

    for _try in range(10):
        subprocess.run(["cp", "-a", tree, spare], check=True)
        dice.shuffle(names)
        remove(write(listed(*names)), spare)
        assert described(spare) == kept
        subprocess.run(["rm", "-r", spare], check=True)


def test_everything_may_be_deleted(tree, write):
    root = tree.stat()

    remove(write(listed(*(os.fsencode(name) for name in everything(tree)))), tree)

    assert everything(tree) == []
    assert (tree.stat().st_mtime_ns, tree.stat().st_mode) == (root.st_mtime_ns, root.st_mode)


def test_a_link_is_removed_and_not_what_it_leads_to(tree, write, tmp_path):
    (tree / "link").symlink_to(tmp_path / "outside")

    remove(write(listed(b"link")), tree)

    assert "link" not in everything(tree)
    assert (tmp_path / "outside" / "precious").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param(b"link/precious", "'./link/precious' lies in what is no directory", id="behind a link"),
        pytest.param(b"a/up/outside/precious", "lies in what is no directory", id="behind a climbing link"),
        pytest.param(b"file/x", "lies in what is no directory", id="below a file"),
        pytest.param(b"missing", "was not extracted", id="not there"),
        pytest.param(b"missing/x", "was not extracted", id="its directory is not there"),
        pytest.param(b"a", "is a directory that holds more than is on the list", id="directory that is not empty"),
    ],
)
def test_a_name_that_does_not_fit_what_is_there_is_refused(name, words, tree, write, tmp_path):
    (tree / "link").symlink_to(tmp_path / "outside")
    (tree / "a" / "up").symlink_to("../..")
    before = described(tmp_path / "outside"), described(tree)

    with pytest.raises(ArchiveError, match=words):
        remove(write(listed(name)), tree)

    assert (described(tmp_path / "outside"), described(tree)) == before


def test_a_directory_that_becomes_a_link_meanwhile_is_not_followed(tree, write, tmp_path, monkeypatch):
    """Whoever exchanges a parent between two names reaches nothing outside."""
    (tmp_path / "outside" / "file").write_text("precious")
    real = os.unlink

    def exchange(path, **more):
        real(path, **more)
        if path == b"file" and not (tree / "a").is_symlink():
            (tree / "a").rename(tree / "aside")
            (tree / "a").symlink_to(tmp_path / "outside")

    monkeypatch.setattr(os, "unlink", exchange)

    with pytest.raises(ArchiveError, match="no directory"):
        remove(write(listed(b"file", b"a/file")), tree)

    assert (tmp_path / "outside" / "file").read_text() == "precious"


def test_an_error_of_the_disk_is_no_fault_of_the_list(tree, write, monkeypatch):
    def broken(path, **more):
        raise OSError(5, "Input/output error", path)

    monkeypatch.setattr(os, "unlink", broken)

    with pytest.raises(OSError, match="Input/output error"):
        remove(write(listed(b"file")), tree)


def test_no_descriptor_is_left_open(tree, write):
    before = os.listdir("/proc/self/fd")

    remove(write(listed(b"file", b"a/file", b"a/b/file")), tree)
    with pytest.raises(ArchiveError):
        remove(write(listed(b"a/b/c/file", b"a/b/c/x")), tree)

    assert os.listdir("/proc/self/fd") == before


def test_a_path_may_be_deeper_than_descriptors_are_allowed(tree, write):
    depth = 300
    part = b"d" * 30
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The whole path is too long for any system call.
    parent = os.open(tree, os.O_RDONLY)
    for _level in range(depth):
        os.mkdir(part, dir_fd=parent)
        below = os.open(part, os.O_RDONLY, dir_fd=parent)
        os.close(parent)
        parent = below
    os.close(parent)
    names = [b"/".join([part] * count) for count in range(1, depth + 1)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
    try:
        remove(write(listed(*names)), tree)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert not (tree / os.fsdecode(part)).exists()


def peak_of(act):
    """Return how much memory an act takes at most, in bytes."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_100_000_names_take_little_memory(write):
    path = write(b"".join(b"./%0100d/%d\0" % (number, number) for number in range(100_000)))

    def read():
        with opened(path, file_sha256(path).sha256) as deletions:
            assert sum(1 for _name in deletions) == 100_000

    assert peak_of(read) < 4 << 20


def test_removing_many_names_takes_little_memory_whatever_their_order(tmp_path, write):
    root = tmp_path / "many"
    names = []
    for number in range(50):
        (root / f"{number:04}").mkdir(parents=True)
        names.append(b"%04d" % number)
        for other in range(99):
            (root / f"{number:04}" / f"{other}").touch()
            names.append(b"%04d/%d" % (number, other))
    random.Random(2026).shuffle(names)
    path = write(listed(*names))
    del names

    peak = peak_of(lambda: remove(path, root))

    assert list(root.iterdir()) == []
    assert peak < 1 << 20
