# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._beneath import is_link, matching, open_directory
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root" / "a" / "b").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.json").touch()
    for name in ("a/one.json", "a/two.txt", "a/b/three.json", "top.json"):
        (tmp_path / "root" / name).touch()
    (tmp_path / "root" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "a" / "link.json").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "root" / "a" / "fifo.json")
    return tmp_path / "root"


def test_a_directory_below_is_opened_by_a_path_or_by_a_descriptor(root):
    first = open_directory(str(root), b"a")
    second = open_directory(first, b"b")

    try:
        assert os.listdir(second) == ["three.json"]
    finally:
        os.close(first)
        os.close(second)


def test_the_root_itself_may_be_reached_through_a_link(root, tmp_path):
    (tmp_path / "alias").symlink_to(root)

    descriptor = open_directory(str(tmp_path / "alias"))

    assert "a" in os.listdir(descriptor)
    os.close(descriptor)


def test_a_link_on_the_way_is_refused_with_its_name(root):
    with pytest.raises(StackError, match=r"'out/x' leads through a symbolic link \('out'\), which is not followed"):
        open_directory(str(root), b"out/x")


@pytest.mark.parametrize(("path", "error"), [(b"no", FileNotFoundError), (b"top.json", NotADirectoryError)])
def test_what_is_no_directory_is_an_error(root, path, error):
    with pytest.raises(error):
        open_directory(str(root), path)


@pytest.mark.parametrize("path", [b"a/../..", b"a//b", b"./a"])
def test_a_path_must_be_in_its_shortest_form(root, path):
    with pytest.raises(ValueError, match="shortest form"):
        open_directory(str(root), path)


def test_no_descriptor_is_left_open(root):
    before = len(os.listdir("/proc/self/fd"))

    for path in (b"out/x", b"no/no", b"top.json"):
        with pytest.raises((StackError, OSError)):
            open_directory(str(root), path)
    list(matching(str(root), ["*/*", "*/*/*"]))

    assert len(os.listdir("/proc/self/fd")) == before


def test_files_match_by_the_names_on_their_way_and_no_link_is_entered(root):
    found = list(matching(str(root), ["*/*.json"]))

    assert found == [b"a/fifo.json", b"a/link.json", b"a/one.json"]


def test_a_pattern_without_a_slash_means_the_root_only(root):
    assert list(matching(str(root), ["*.json", "?ut"])) == [b"top.json", b"out"]


def test_a_link_is_told_from_anything_else(root):
    descriptor = open_directory(str(root))

    assert [is_link(descriptor, name) for name in (b"out", b"a", b"no")] == [True, False, False]
    os.close(descriptor)
