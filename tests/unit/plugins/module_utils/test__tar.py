# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._process import run
from ansible_collections.crm.continuity.plugins.module_utils._tar import (
    compare_stage,
    complaints,
    create_stage,
    extract_stage,
    shortened,
)
from ansible_collections.crm.continuity.tests.unit.archives import (
    END,
    bind_socket,
    described,
    directory,
    file,
    make_tree,
    symlink,
)

ROOT = os.geteuid() == 0


@pytest.fixture
def original(tmp_path):
    root = tmp_path / "original"
    root.mkdir()
    make_tree(root)
    return root


@pytest.fixture
def target(tmp_path):
    root = tmp_path / "target"
    root.mkdir()
    return root


def archived(root) -> bytes:
    return run(create_stage(str(root), "archive")).stdout


def extracted(archive: bytes, target) -> str:
    return run(extract_stage(str(target), "extract"), archive).stderr


def test_an_awkward_tree_survives(original, target):
    assert extracted(archived(original), target) == ""

    assert described(target) == described(original)


def test_an_awkward_tree_survives_a_stock_tar_too(original, target):
    subprocess.run(["tar", "-xpf", "-", "-C", target], input=archived(original), check=True)

    assert described(target) == described(original)


def test_attributes_of_users_survive(original, target):
    try:
        os.setxattr(original / "plain", "user.note", b"\0binary\n=\xff")
        os.setxattr(original / "plain", "user.a=b%", b"odd name")
        os.setxattr(original / "empty directory", "user.d", b"on a directory")
    except OSError:
        pytest.skip("this file system has no extended attributes")

    extracted(archived(original), target)

    assert os.getxattr(target / "plain", "user.note") == b"\0binary\n=\xff"
    assert described(target) == described(original)


def test_acls_survive(original, target):
    for argv in (["-m", "u:1234:rwx,g:99:r", "plain"], ["-d", "-m", "u:77:rx", "empty directory"]):
        if subprocess.run(["setfacl", *argv], cwd=original, check=False, capture_output=True).returncode:
            pytest.skip("this file system has no ACLs")

    extracted(archived(original), target)

    assert "system.posix_acl_access" in os.listxattr(target / "plain")
    assert "system.posix_acl_default" in os.listxattr(target / "empty directory")
    assert described(target) == described(original)


@pytest.mark.skipif(not ROOT, reason="only root may give files away")
def test_owners_capabilities_and_devices_survive(original, target):
    os.chown(original / "plain", 12345, 54321)
    (original / "plain").chmod(0o4751)
    os.chown(original / "absolute", 11, 12, follow_symlinks=False)
    os.chown(original, 70, 71)
    try:
        os.setxattr(
            original / "empty file", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000")
        )
        os.mknod(original / "null", 0o20666, os.makedev(1, 3))
    except OSError:
        pytest.skip("neither capabilities nor devices are possible here")

    extracted(archived(original), target)

    assert os.stat(target / "null").st_rdev == os.makedev(1, 3)
    assert described(target) == described(original)


def test_holes_cost_no_space_in_the_archive(tmp_path):
    with open(tmp_path / "sparse", "wb") as stream:
        stream.truncate(1 << 30)

    assert len(archived(tmp_path)) <= 64 << 10


def test_sockets_are_left_out_and_told_about(original, target):
    bind_socket(original / "ctl.sock")
    bind_socket(original / "new\nline.sock")

    done = run(create_stage(str(original), "archive"))
    said = complaints(done.stderr)

    assert done.returncode == 0
    assert sorted(said.sockets) == ["./ctl.sock", "./new\\nline.sock"]
    assert said.others == ()
    assert said.warnings()[0].startswith("2 sockets were left out")
    extracted(done.stdout, target)
    assert not (target / "ctl.sock").exists()


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(symlink(b"a", b"/old"), symlink(b"a", b"/new"), "/new", id="absolute link"),
        pytest.param(symlink(b"a", b"../old"), symlink(b"a", b"../new"), "../new", id="climbing link"),
        pytest.param(symlink(b"a", b"/old"), file(b"a", b"new"), "new", id="file after link"),
        pytest.param(file(b"a", b"old"), symlink(b"a", b"/new"), "/new", id="link after file"),
        pytest.param(file(b"a", b"old"), file(b"a", b"new"), "new", id="file after file"),
        pytest.param(directory(b"a"), file(b"a", b"new"), "new", id="file after empty directory"),
    ],
)
def test_the_later_member_of_a_name_wins(first, second, expected, target):
    extracted(first + second + END, target)

    path = target / "a"
    assert (os.readlink(path) if path.is_symlink() else path.read_text()) == expected


def test_a_directory_that_comes_again_keeps_its_content(target):
    extracted(directory(b"d") + file(b"d/x", b"kept") + directory(b"d") + END, target)

    assert (target / "d" / "x").read_text() == "kept"


def test_a_late_member_does_not_change_the_time_of_its_directory(target):
    extracted(directory(b"d") + file(b"d/x") + directory(b"e") + file(b"e/y") + file(b"d/x", b"new") + END, target)

    assert (target / "d").stat().st_mtime == 1_700_000_000


def test_equal_trees_compare_equal_and_others_do_not(original):
    archive = archived(original)
    stage = compare_stage(str(original), "compare")
    assert run(stage, archive).returncode == 0

    (original / "plain").write_bytes(b"changed")

    done = run(stage, archive)
    assert done.returncode == 1
    assert b"Size differs" in done.stdout


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda root: (root / "fifo").unlink(), id="vanished"),
        pytest.param(lambda root: (root / "plain").chmod(0o600), id="mode"),
        pytest.param(lambda root: os.utime(root / "plain"), id="time"),
        pytest.param(lambda root: ((root / "fifo").unlink(), (root / "fifo").touch()), id="type"),
        pytest.param(lambda root: ((root / "upward").unlink(), (root / "upward").symlink_to("x")), id="target"),
        pytest.param(lambda root: ((root / "deep").rename(root / "x"), (root / "deep").touch()), id="directory"),
    ],
)
def test_every_kind_of_difference_is_noticed(change, original):
    archive = archived(original)
    change(original)

    assert run(compare_stage(str(original), "compare"), archive).returncode in (1, 2)


def test_long_lists_are_cut_and_say_so():
    lines = [str(number) for number in range(30)]

    assert shortened(lines[:20]) == tuple(lines[:20])
    assert shortened(lines)[-1] == "and 10 more"


def test_complaints_are_sorted():
    said = complaints(
        "/usr/bin/tar: ./s: socket ignored\n"
        "tar: ./a: b: file changed as we read it\n"
        "tar: Exiting with failure status due to previous errors\n"
    )

    assert said.sockets == ("./s",)
    assert said.others == ("./a: b: file changed as we read it",)
    assert said.warnings()[0] == "1 socket was left out, as no archive can hold one: ./s"
