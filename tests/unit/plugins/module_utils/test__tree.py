# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._tree import (
    Tally,
    Totals,
    is_empty,
    remove_tree,
    scan,
    walk,
)
from ansible_collections.crm.continuity.tests.unit.archives import bind_socket, make_tree


def test_everything_is_counted_and_hard_links_weigh_once(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a").write_bytes(b"123")
    (tmp_path / "d" / "e" / "b").write_bytes(b"45")
    (tmp_path / "hard").hardlink_to(tmp_path / "d" / "a")
    (tmp_path / "link").symlink_to("d")
    os.mkfifo(tmp_path / "fifo")
    bind_socket(tmp_path / "socket")

    totals = scan(str(tmp_path))

    assert totals == Totals(files=3, directories=2, bytes=5, others=2, sockets=1)
    assert totals.entries == 7


def test_files_that_were_written_to_since_a_moment_are_counted(tmp_path):
    for name, second in (("before", 100), ("at", 200), ("after", 300)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (second, second))
    tally, never = Tally(200_000_000_000), Tally()
    for _path, status in walk(str(tmp_path)):
        tally.add(status)
        never.add(status)

    assert (tally.totals().changed, never.totals().changed) == (1, 0)


def test_counts_agree_with_find(tmp_path):
    make_tree(tmp_path)

    totals = scan(str(tmp_path))

    for kind, count in {"f": totals.files, "d": totals.directories + 1}.items():
        found = subprocess.run(["find", tmp_path, "-type", kind, "-print0"], capture_output=True, check=True).stdout
        assert found.count(b"\0") == count


def test_paths_are_relative_bytes_and_parents_come_first(tmp_path):
    (tmp_path / "d").mkdir()
    odd = os.path.join(os.fsencode(tmp_path), b"d", b"\xff\n")
    with open(odd, "wb"):
        pass

    for root in (str(tmp_path), f"{tmp_path}/"):
        assert [path for path, _status in walk(root)] == [b"d", b"d/\xff\n"]


def test_symbolic_links_are_not_followed(tmp_path):
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "out").symlink_to("/")

    assert scan(str(tmp_path)).others == 2


def test_what_vanishes_on_the_way_is_left_out(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").touch()

    seen = []
    for path, _status in walk(str(tmp_path)):
        seen.append(path)
        if len(seen) == 1:
            other = tmp_path / ("b" if path == b"a" else "a")
            (other / "x").unlink()
            other.rmdir()

    assert len([path for path in seen if path.endswith(b"x")]) == 1


def test_a_root_that_is_missing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        scan(str(tmp_path / "missing"))


def test_a_directory_is_empty_or_not(tmp_path):
    assert is_empty(str(tmp_path))
    (tmp_path / ".hidden").touch()
    assert not is_empty(str(tmp_path))


def test_a_tree_is_removed_without_following_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    root = tmp_path / "root"
    root.mkdir()
    make_tree(root)
    (root / "out").symlink_to(outside)

    remove_tree(str(root))
    remove_tree(str(root))

    assert not root.exists()
    assert (outside / "kept").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_mounted_file_system_is_left_alone(tmp_path):
    mounted = tmp_path / "root" / "mounted"
    mounted.mkdir(parents=True)
    if subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=False, capture_output=True).returncode:
        pytest.skip("mounting is not possible here")
    try:
        (mounted / "kept").touch()

        with pytest.raises(OSError, match="mount point") as caught:
            remove_tree(str(tmp_path / "root"))

        assert caught.value.errno == errno.EXDEV
        assert (mounted / "kept").exists()
    finally:
        subprocess.run(["umount", mounted], check=True)
