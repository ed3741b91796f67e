# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError
from ansible_collections.crm.continuity.plugins.module_utils._process import Pipeline
from ansible_collections.crm.continuity.plugins.module_utils._tar import create_stage, extract_stage
from ansible_collections.crm.continuity.plugins.module_utils._tar_gate import (
    Passage,
    Passed,
    TooBigArchiveError,
    TruncatedArchiveError,
    check,
    pass_through,
)
from ansible_collections.crm.continuity.tests.unit.archives import (
    END,
    GNU,
    described,
    directory,
    file,
    hard_link,
    header,
    long_name,
    make_tree,
    padded,
    pax,
    record,
    symlink,
)


def checked(data: bytes, **options) -> Passed:
    """Send bytes through the gate by way of a pipe, with nothing behind it."""
    reading, writing = os.pipe()
    feeder = threading.Thread(target=_feed, args=(writing, data))
    feeder.start()
    try:
        return check(reading, subject="x.tar", **options)
    finally:
        os.close(reading)
        feeder.join()


def _feed(descriptor, data):
    with open(descriptor, "wb", buffering=0) as stream:
        try:
            while data:
                data = data[stream.write(data) :]
        except BrokenPipeError:
            pass


def passed_bytes(data: bytes, tmp_path) -> bytes:
    """Send bytes through the gate and return what came out of it."""
    (tmp_path / "in").write_bytes(data)
    with open(tmp_path / "in", "rb") as source, open(tmp_path / "out", "wb") as sink:
        try:
            pass_through(source.fileno(), sink.fileno(), subject="x.tar")
        except ArchiveError:
            pass
    return (tmp_path / "out").read_bytes()


HOSTILE = [
    pytest.param(file(b"/etc/cron.d/x", b"x"), "absolute name", id="absolute name"),
    pytest.param(file(b"../x", b"x"), "leads out", id="name with dots"),
    pytest.param(file(b"a/b/../../../x", b"x"), "leads out", id="name with dots inside"),
    pytest.param(file(b".."), "leads out", id="the parent itself"),
    pytest.param(directory(b"a/..") + file(b"a/x"), "leads out", id="directory with dots"),
    pytest.param(file(b"x", prefix=b"../.."), "leads out", id="prefix with dots"),
    pytest.param(file(b"x", prefix=b"/etc"), "absolute name", id="absolute prefix"),
    pytest.param(pax(path=b"../x") + file(b"x"), "leads out", id="pax path with dots"),
    pytest.param(pax(path=b"/x") + file(b"x"), "absolute name", id="absolute pax path"),
    pytest.param(pax(path=b"a\0/../..") + file(b"x"), "NUL", id="pax path with a NUL"),
    pytest.param(pax(path=b"") + file(b"x"), "without a name", id="empty pax path"),
    pytest.param(pax(GNU__sparse__name=b"../x") + file(b"x"), "leads out", id="sparse name with dots"),
    pytest.param(pax(GNU__sparse__name=b"y", path=b"../x") + file(b"x"), "leads out", id="two names, one with dots"),
    pytest.param(long_name(b"L", b"../" + b"x" * 200) + file(b"x"), "leads out", id="long name with dots"),
    pytest.param(
        symlink(b"a", b"/etc") + file(b"a/passwd", b"x"), "through the symbolic link 'a'", id="through a link"
    ),
    pytest.param(symlink(b"a", b"b") + file(b"./a//x/y", b"x"), "through the symbolic link", id="through, deeper"),
    pytest.param(
        directory(b"d") + symlink(b"d/a", b"..") + directory(b"d/a/x"),
        "through the symbolic link 'd/a'",
        id="dir through",
    ),
    pytest.param(symlink(b"a", b"/etc") + symlink(b"a/x", b"y"), "through the symbolic link", id="link through a link"),
    pytest.param(
        file(b"f") + symlink(b"a", b"/etc") + hard_link(b"a/x", b"f"),
        "through the symbolic link",
        id="hard link through",
    ),
    pytest.param(
        symlink(b"a", b"/etc") + hard_link(b"x", b"a/shadow"), "through the symbolic link", id="target through a link"
    ),
    pytest.param(
        symlink(b"a", b"/etc") + hard_link(b"b", b"a") + file(b"b/x"), "through the symbolic link 'b'", id="linked link"
    ),
    pytest.param(
        symlink(b"a", b"/etc") + directory(b"a") + file(b"a/x"), "take the place of", id="directory over a link"
    ),
    pytest.param(
        directory(b"a") + symlink(b"a", b"/etc") + file(b"a/x"), "through the symbolic link", id="link over a directory"
    ),
    pytest.param(
        file(b"a") + symlink(b"a", b"/etc") + file(b"a/x"), "through the symbolic link", id="link over a file"
    ),
    pytest.param(hard_link(b"x", b"/etc/shadow"), "absolute name", id="absolute hard link"),
    pytest.param(hard_link(b"x", b"../../etc/shadow"), "leads out", id="hard link with dots"),
    pytest.param(hard_link(b"x", b"missing"), "no earlier file", id="hard link to nothing"),
    pytest.param(directory(b"d") + hard_link(b"x", b"d"), "no earlier file", id="hard link to a directory"),
    pytest.param(hard_link(b"x", b""), "no earlier file", id="hard link without a target"),
    pytest.param(pax(linkpath=b"/etc/shadow") + hard_link(b"x", b"f"), "absolute name", id="pax hard link"),
    pytest.param(long_name(b"K", b"/etc/shadow") + hard_link(b"x", b"f"), "absolute name", id="long hard link"),
    pytest.param(header(b"null", b"3"), "device node", id="character device"),
    pytest.param(header(b"sda", b"4"), "device node", id="block device"),
    pytest.param(file(b"./", b"x"), "not a regular file", id="file in place of the root"),
    pytest.param(file(b"."), "replace the directory", id="empty file in place of the root"),
    pytest.param(symlink(b".", b"/etc"), "replace the directory", id="link in place of the root"),
    pytest.param(symlink(b"a", b""), "without a target", id="link without a target"),
    pytest.param(file(b""), "without a name", id="no name"),
    pytest.param(header(b"a", b"2", target=b"b", size=512) + bytes(512), "has content", id="link with content"),
    pytest.param(
        file(b"f") + header(b"a", b"1", target=b"f", size=9) + padded(b"x" * 9), "has content", id="hard, content"
    ),
    pytest.param(pax(size=b"512") + directory(b"d") + bytes(512), "has content", id="directory with content"),
    pytest.param(file(b"d/", b"x"), "has content", id="directory by its slash, with content"),
    pytest.param(header(b"a", b"D"), "kind", id="incremental dump"),
    pytest.param(header(b"a", b"M"), "kind", id="second volume"),
    pytest.param(header(b"a", b"V"), "kind", id="volume label"),
    pytest.param(header(b"a", b"Z"), "kind", id="unknown kind"),
    pytest.param(pax(GNU__dumpdir=b"x") + directory(b"d"), "GNU.dumpdir", id="dump in pax"),
    pytest.param(pax(GNU__volume__label=b"x") + file(b"f"), "GNU.volume.label", id="volume label in pax"),
    pytest.param(pax(b"g", path=b"x") + file(b"f"), "for all members", id="global path"),
    pytest.param(pax(b"g", size=b"0") + file(b"f"), "for all members", id="global size"),
    pytest.param(pax(b"g", linkpath=b"x") + file(b"f"), "for all members", id="global target"),
    pytest.param(pax(b"g", GNU__sparse__name=b"x") + file(b"f"), "for all members", id="global sparse name"),
    pytest.param(pax(mtime=b"1") + pax(path=b"x") + file(b"f"), "two extended headers", id="two pax headers"),
    pytest.param(pax(mtime=b"1") + pax(b"g", comment=b"x") + file(b"f"), "global header between", id="global between"),
    pytest.param(pax(mtime=b"1") + long_name(b"L", b"y") + file(b"f"), "two long names", id="pax, then long name"),
    pytest.param(
        long_name(b"L", b"y") + pax(mtime=b"1") + file(b"f"), "two extended headers", id="long name, then pax"
    ),
    pytest.param(long_name(b"L", b"y") + long_name(b"L", b"z") + file(b"f"), "two long names", id="two long names"),
    pytest.param(
        long_name(b"K", b"y") + long_name(b"K", b"z") + symlink(b"f", b"x"), "two long link", id="two long targets"
    ),
    pytest.param(header(b"p", b"x"), "empty extended header", id="empty pax header"),
    pytest.param(pax(size=b"-1") + file(b"f"), "valid size", id="negative size"),
    pytest.param(pax(size=b"1e3") + file(b"f"), "valid size", id="size in words"),
    pytest.param(pax(size=b"9" * 19) + file(b"f"), "claims a size", id="size beyond all disks"),
    pytest.param(header(b"f", size=b"\x80" + b"\x7f" * 11), "claims a size", id="big binary size"),
    pytest.param(header(b"f", size=b"\xff" * 12), "valid size", id="negative binary size"),
    pytest.param(header(b"f", size=b"-0000000001\0"), "valid size", id="octal with a sign"),
    pytest.param(header(b"f", size=b"00000000008\0"), "valid size", id="no octal"),
    pytest.param(header(b"f", size=b" " * 12), "valid size", id="blank size"),
    pytest.param(header(b"p", b"x", size=1 << 30), "extended header of", id="pax bomb"),
    pytest.param(header(b"p", b"L", size=1 << 20, magic=GNU), "extended header of", id="long name bomb"),
    pytest.param(pax(GNU__sparse__major=b"1") + symlink(b"a", b"b"), "sparse although", id="sparse link"),
    pytest.param(
        pax(GNU__sparse__major=b"1") + header(b"a", b"S", magic=GNU), "sparse although", id="sparse in two formats"
    ),
]


@pytest.mark.parametrize(("members", "reason"), HOSTILE)
def test_a_hostile_member_is_refused(members, reason):
    with pytest.raises(ArchiveError, match=r"^x\.tar .*" + reason):
        checked(directory(b"./") + members + END)


@pytest.mark.parametrize(("members", "_reason"), HOSTILE)
def test_a_refused_member_never_reaches_tar(members, _reason, tmp_path):
    honest = file(b"first", b"honest")

    out = passed_bytes(honest + members + END, tmp_path)

    blocks = [members[i : i + 512] for i in range(0, len(members), 512)]
    assert out.startswith(honest)
    assert len(out) < len(honest + members)
    assert out[len(honest) :] == b"".join(blocks[: (len(out) - len(honest)) // 512])


def malformed(data: bytes) -> bytes:
    return header(b"p", b"x", size=len(data)) + padded(data) + file(b"f")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"garbage", id="no record"),
        pytest.param(b"99 path=x\n", id="longer than the header"),
        pytest.param(b"9 path=x\n!", id="shorter than the record"),
        pytest.param(b"10 path=xx", id="no line feed"),
        pytest.param(b"7 path\n", id="no equals sign"),
        pytest.param(b"5 =x\n", id="no keyword"),
        pytest.param(b"+9 path=x\n", id="length with a sign"),
        pytest.param(record(b"path", b"a") + record(b"path", b"../b"), id="keyword twice"),
        pytest.param(b"0 path=x\n", id="length of nothing"),
    ],
)
def test_a_malformed_extended_header_is_refused(data):
    with pytest.raises(ArchiveError):
        checked(malformed(data) + END)


def test_devices_pass_where_they_are_allowed():
    passed = checked(header(b"null", b"3") + header(b"sda", b"4") + END, allow_devices=True)

    assert passed.others == 2


def test_harmless_oddities_pass():
    members = [
        directory(b"./"),
        pax(b"g", comment=b"made by something"),
        symlink(b"a", b"/app/x"),
        symlink(b"up", b"../../.."),
        hard_link(b"a2", b"a"),
        file(b"..."),
        file(b"..data/..x"),
        file(b"a.txt", b"not below a"),
        header(b"v7/", b"\0", magic=bytes(8)),
        header(b"old", b"\0", magic=bytes(8)),
        file(b"n" * 100, prefix=b"p" * 155),
        long_name(b"L", b"l" * 300) + long_name(b"K", b"k" * 300) + header(b"l", b"2", magic=GNU),
        header(b"fifo", b"6"),
        header(b"contiguous", b"7", size=1) + padded(b"c"),
        pax(size=b"3", SCHILY__xattr__user__x=b"bin\0ary\n") + header(b"big") + padded(b"abc"),
        header(b"binary", size=b"\x80" + (5).to_bytes(11, "big")) + padded(b"12345"),
    ]

    passed = checked(b"".join(members) + END)

    assert passed == Passed(files=8, directories=1, others=5, bytes=20, duplicates=0, root=True)


def test_a_later_member_of_the_same_name_counts_once():
    members = [directory(b"d"), file(b"d/x", b"1"), symlink(b"l", b"old"), file(b"d/x", b"22"), symlink(b"l", b"new")]

    passed = checked(b"".join([*members, directory(b"d"), file(b"l", b"a file now")]) + END)

    assert (passed.files, passed.directories, passed.others, passed.duplicates) == (2, 1, 0, 4)
    assert not passed.root


def test_a_link_forbids_its_own_name_as_a_parent_only():
    passed = checked(symlink(b"a", b"b") + file(b"ab/x") + file(b"b/x") + END)

    assert passed.files == 2


def test_more_content_than_allowed_is_refused():
    archive = file(b"a", b"x" * 600) + file(b"b", b"x" * 600) + END

    assert checked(archive, max_bytes=1200).bytes == 1200
    with pytest.raises(TooBigArchiveError, match="more than the 1199 bytes"):
        checked(archive, max_bytes=1199)


@pytest.mark.parametrize(
    ("ending", "reason"),
    [
        pytest.param(b"", "truncated", id="no end"),
        pytest.param(bytes(512), "truncated", id="half an end"),
        pytest.param(bytes(512) + file(b"x"), "after a block of zeros", id="goes on after a block of zeros"),
        pytest.param(END + file(b"x"), "after its end", id="goes on after the end"),
        pytest.param(END + b"garbage", "after its end", id="garbage"),
        pytest.param(pax(mtime=b"1") + END, "after an extended header", id="header without a member"),
    ],
)
def test_a_wrong_ending_is_refused(ending, reason):
    with pytest.raises(ArchiveError, match=reason):
        checked(file(b"a", b"x") + ending)


def test_zeros_after_the_end_are_padding(tmp_path):
    archive = file(b"a", b"x") + END

    assert checked(archive + bytes(9000)).files == 1
    assert passed_bytes(archive + bytes(9000), tmp_path) == archive


def test_nothing_is_no_archive():
    with pytest.raises(TruncatedArchiveError):
        checked(b"")


def test_text_is_no_archive():
    with pytest.raises(ArchiveError, match="no tar archive"):
        checked(b"Lorem ipsum dolor sit amet, " * 100)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small archive of an awkward tree, as we write it."""
    root = tmp_path_factory.mktemp("tree")
    make_tree(root)
    with Pipeline([create_stage(str(root), "archive")]) as tar:
        return tar.stdout.read()


def test_what_gnu_tar_writes_passes_unchanged(small, tmp_path):
    out = passed_bytes(small, tmp_path)

    assert small.startswith(out)
    assert not small[len(out) :].strip(b"\0")


def test_an_archive_cut_at_any_block_is_refused(small):
    end = len(small.rstrip(b"\0"))
    ends = range(0, end + 1024, 512)

    for cut in ends:
        with pytest.raises(ArchiveError):
            checked(small[:cut])
    assert len(ends) > 60


def test_one_flipped_bit_in_any_header_is_refused(small):
    first = small[:512]

    for bit in range(512 * 8):
        # The checksum covers every bit but its own field, where a flip changes nothing else.
        if 148 <= bit // 8 < 156:
            continue
        damaged = bytearray(first)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ArchiveError):
            checked(bytes(damaged) + small[512:])


def test_what_python_writes_passes_too():
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=kind) as archive:
            member = tarfile.TarInfo("d/" * 45 + "file")
            member.size = 700
            archive.addfile(member, io.BytesIO(bytes(700)))

        assert checked(buffer.getvalue()).bytes == 700


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_every_sparse_format_of_pax_passes(version, tmp_path):
    with open(tmp_path / "sparse", "wb") as stream:
        for island in range(9):
            stream.seek(island << 20)
            stream.write(b"x" * 4096)
        stream.truncate(10 << 20)

    argv = ["tar", "-C", tmp_path, "--format=pax", f"--sparse-version={version}", "-S", "-cf", "-", "sparse"]
    passed = checked(subprocess.run(argv, check=True, capture_output=True).stdout)

    assert (passed.files, passed.bytes) == (1, 10 << 20)


def test_the_old_sparse_format_passes(tmp_path):
    with open(tmp_path / "sparse", "wb") as stream:
        # More islands than the header holds, so that it goes on in blocks of its own.
        for island in range(60):
            stream.seek(island << 20)
            stream.write(b"x" * 4096)

    argv = ["tar", "-C", tmp_path, "--format=gnu", "-S", "-cf", "-", "sparse"]
    passed = checked(subprocess.run(argv, check=True, capture_output=True).stdout)

    assert (passed.files, passed.bytes) == (1, (59 << 20) + 4096)


def test_through_gate_and_tar_everything_arrives(small, tmp_path):
    original = tmp_path / "original"
    target = tmp_path / "target"
    original.mkdir()
    target.mkdir()
    make_tree(original)

    with (
        Pipeline([create_stage(str(original), "archive")]) as tar,
        Pipeline([extract_stage(str(target), "extract")]) as out,
    ):
        pass_through(tar.stdout.fileno(), out.stdin.fileno(), subject="x.tar")

    assert described(target) == described(original)


def test_a_caller_may_stop_early():
    seen = []

    def each(entries):
        seen.append(entries)
        if entries == 2:
            raise KeyError("enough")

    with pytest.raises(KeyError):
        checked(file(b"a") + file(b"b") + file(b"c") + END, each=each)

    assert seen == [1, 2]


def test_many_names_need_little_memory_and_none_is_forgotten():
    count = 20_000
    members = b"".join(file(b"f%d" % i) for i in range(count))

    passed = checked(members + hard_link(b"l", b"f0") + hard_link(b"m", b"f%d" % (count - 1)) + file(b"f7") + END)

    assert (passed.files, passed.duplicates) == (count + 2, 1)


def changed(tmp_path, data):
    """Return when the members of an archive were changed, as the gate tells it."""
    told = []
    (tmp_path / "x.tar").write_bytes(data)
    with open(tmp_path / "x.tar", "rb") as stream:
        Passage("x.tar", record=lambda entry: told.append(entry.changed)).pass_on(stream.fileno(), None)
    return told


@pytest.mark.parametrize("format_", ["gnu", "posix", "pax", "oldgnu"])
def test_times_before_1970_are_told_in_every_format(tmp_path, format_):
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", (-86400, -86400))
    argv = ["tar", "--create", f"--format={format_}", f"--directory={tmp_path}", "f"]
    archive = subprocess.run(argv, capture_output=True, check=True).stdout

    assert changed(tmp_path, archive) == [-86400 * 10**9]


@pytest.mark.parametrize("time", [b"", b"x", b"1e9", b"--1", b"1.2.3", b"9" * 30])
def test_a_time_that_is_none_is_refused(tmp_path, time):
    with pytest.raises(ArchiveError, match="without a valid time of modification"):
        changed(tmp_path, pax(mtime=time) + file(b"f") + END)
