# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import threading

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._engine import Volume
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    ArchiveError,
    EngineError,
    ProcessError,
    StackError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._staging import PREFIX
from ansible_collections.crm.continuity.plugins.module_utils._tree import scan
from ansible_collections.crm.continuity.plugins.module_utils._volume_export import (
    Request,
    apply,
    export_directory,
    plan,
)
from ansible_collections.crm.continuity.tests.unit.archives import bind_socket, described, make_tree
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine

UNPACK = {"zstd": ["zstd", "-dc"], "gzip": ["gzip", "-dc"], "none": ["cat"]}


@pytest.fixture
def source(tmp_path):
    directory = tmp_path / "volume" / "_data"
    directory.mkdir(parents=True)
    make_tree(directory)
    return directory


@pytest.fixture
def engine(source):
    return FakeEngine(volumes=[Volume("uploads", "local", str(source))])


@pytest.fixture
def store(tmp_path):
    directory = tmp_path / "backups"
    directory.mkdir()
    return directory


@pytest.fixture
def wanted(store):
    """Return a function that makes a request."""

    def request(**fields):
        return Request(**{"volume": "uploads", "archive": str(store / "uploads.tar.zst"), **fields})

    return request


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of a program."""

    def replace(name, script):
        directory = tmp_path / "bin"
        directory.mkdir(exist_ok=True)
        (directory / name).write_text(f"#!/bin/sh\nreal=/usr/bin/{name}\n{script}\n")
        (directory / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")

    return replace


def export(source, store, **options):
    options = {"compression": "zstd", "subject": "volume uploads", **options}
    return export_directory(str(source), str(store / "uploads.tar.zst"), **options)


def test_planning_changes_nothing(engine, wanted, store):
    planned = plan(wanted(), engine)

    assert planned.reason == "the archive does not exist"
    assert planned.files > 10
    assert list(store.iterdir()) == []


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_stock_tools_restore_what_was_exported(compression, source, store, tmp_path):
    exported = export(source, store, compression=compression)

    data = (store / "uploads.tar.zst").read_bytes()
    target = tmp_path / "restored"
    target.mkdir()
    tar = subprocess.run(UNPACK[compression], input=data, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-xpf", "-", "-C", target], input=tar, check=True)
    assert described(target) == described(source)
    assert exported.size == len(data)
    assert exported.sha256 == exported.plain_sha256 == hashlib.sha256(data).hexdigest()


def test_the_figures_are_those_of_the_plan(engine, wanted):
    planned = plan(wanted(), engine)

    exported = apply(planned)

    assert (exported.files, exported.directories, exported.content_bytes) == (
        planned.files,
        planned.directories,
        planned.content_bytes,
    )
    assert exported.warnings == ()


def test_an_empty_volume_gives_an_archive_too(tmp_path, store):
    (tmp_path / "empty").mkdir()

    assert export(tmp_path / "empty", store).files == 0


def test_a_second_run_has_nothing_to_do_unless_forced(engine, wanted):
    apply(plan(wanted(), engine))

    again = plan(wanted(), engine)
    forced = plan(wanted(force=True), engine)

    assert (again.changed, again.reason) == (False, None)
    assert again.diff()["before"] == again.diff()["after"]
    assert (forced.changed, forced.reason) == (True, "force=true")


def test_nobody_else_may_read_an_archive(source, store):
    export(source, store)

    assert stat.S_IMODE((store / "uploads.tar.zst").stat().st_mode) == 0o600


def test_sockets_are_warned_about(source, store):
    bind_socket(source / "ctl.sock")

    assert export(source, store).warnings == ("1 socket was left out, as no archive can hold one: ./ctl.sock",)


def test_a_missing_volume_is_an_error_not_an_empty_archive(wanted):
    with pytest.raises(StackError, match=r"uploads does not exist\. Check its name"):
        plan(wanted(), FakeEngine())


def test_another_driver_is_refused(wanted):
    engine = FakeEngine(volumes=[Volume("uploads", "rexray", "/mnt")])

    with pytest.raises(EngineError, match="driver rexray"):
        plan(wanted(), engine)


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        pytest.param("{store}/missing/x.tar", "There is no directory .*/missing", id="no directory"),
        pytest.param("{store}", "is a directory", id="directory"),
        pytest.param("{source}/x.tar", "lies inside volume uploads", id="inside"),
        pytest.param("{source}/deep/x.tar", "lies inside volume uploads", id="deeper inside"),
        pytest.param("{store}/link/x.tar", "lies inside volume uploads", id="inside by a link"),
    ],
)
def test_a_bad_place_is_refused_before_anything_is_written(archive, words, engine, wanted, source, store):
    (store / "link").symlink_to(source)
    before = described(source)

    with pytest.raises(StoreError, match=words):
        plan(wanted(archive=archive.format(store=store, source=source)), engine)

    assert described(source) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written_to_is_refused(engine, wanted, store):
    store.chmod(0o500)

    with pytest.raises(StoreError, match="not writable"):
        plan(wanted(), engine)


def test_a_bad_level_is_refused_before_anything_is_written(engine, wanted):
    with pytest.raises(ArchiveError, match="no level 99"):
        plan(wanted(level=99), engine)
    with pytest.raises(ArchiveError, match="no compression"):
        plan(wanted(compression="lzma"), engine)


def test_a_torn_volume_is_not_archived(engine, wanted, source):
    (source / f"{PREFIX}dead" / "old").mkdir(parents=True)

    with pytest.raises(StackError, match="interrupted import"):
        plan(wanted(), engine)


def keep_changing(path, until):
    while not until.is_set():
        path.write_bytes(os.urandom(1000))


@pytest.fixture
def busy(source):
    """A file that changes all the time, big enough to be caught at it."""
    path = source / "busy.log"
    path.write_bytes(bytes(64 << 20))
    stop = threading.Event()

    def append():
        with open(path, "ab") as stream:
            while not stop.is_set():
                stream.write(b"line\n")
                stream.flush()

    writer = threading.Thread(target=append)
    writer.start()
    yield path
    stop.set()
    writer.join()


def test_a_file_that_changes_meanwhile_is_an_error_that_names_it(busy, source, store):
    with pytest.raises(ArchiveError, match=r"Volume uploads changed .*busy\.log: .*allow_changed") as caught:
        export(source, store)

    assert "busy.log" in caught.value.details["changed"][0]
    assert list(store.iterdir()) == []


def test_changed_files_may_be_allowed_and_are_told(busy, source, store):
    exported = export(source, store, allow_changed=True)

    assert "busy.log" in exported.warnings[0]
    assert (store / "uploads.tar.zst").exists()


FAILURES = [
    pytest.param("tar", '$real "$@" | head -c 5000; kill -9 $$', "tar was killed by signal 9", id="killed tar"),
    pytest.param("tar", "kill -9 $$", "tar was killed by signal 9", id="tar killed at once"),
    pytest.param("tar", '$real "$@"; echo tar: ./x: Cannot open >&2; exit 2', "Cannot open", id="unreadable file"),
    pytest.param("zstd", 'head -c 5000 | $real "$@"; kill -9 $$', "zstd was killed by signal 9", id="killed zstd"),
    pytest.param("zstd", "echo out of memory >&2; exit 1", "out of memory", id="zstd fails at once"),
    pytest.param("zstd", '$real "$@"; exit 1', "zstd exited with 1", id="zstd fails at the end"),
]


@pytest.mark.parametrize(("program", "script", "words"), FAILURES)
def test_a_program_that_fails_is_noticed_and_nothing_is_left(program, script, words, source, store, stand_in):
    (source / "big").write_bytes(os.urandom(3 << 20))
    (store / "uploads.tar.zst").write_bytes(b"the archive of yesterday")
    stand_in(program, script)

    with pytest.raises(ProcessError, match=words):
        export(source, store)

    assert [path.name for path in store.iterdir()] == ["uploads.tar.zst"]
    assert (store / "uploads.tar.zst").read_bytes() == b"the archive of yesterday"


def test_a_stream_that_ends_early_is_noticed_although_all_programs_succeed(source, store, stand_in):
    stand_in("tar", '$real "$@" | head -c 20480; exit 0')

    with pytest.raises(ArchiveError, match="The archive of volume uploads is truncated"):
        export(source, store)

    assert list(store.iterdir()) == []


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte."""
    directory = tmp_path / "small"
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", directory]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not possible here")
    yield directory
    subprocess.run(["umount", directory], check=True)


@pytest.mark.parametrize("compression", ["zstd", "none"])
def test_a_full_disk_is_told_with_what_is_needed_and_free(compression, source, small_disk):
    (source / "big").write_bytes(os.urandom(3 << 20))
    content = scan(str(source)).bytes

    with pytest.raises(StoreError, match=r"not enough space .*holds (\d+) bytes.* (\d+) bytes are free") as caught:
        export(source, small_disk, compression=compression)

    assert f"holds {content} bytes" in str(caught.value)
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_can_hold_no_more_files_is_not_said_to_lack_bytes(source, small_disk):
    subprocess.run(["mount", "-o", "remount,nr_inodes=1", small_disk], check=True)

    with pytest.raises(StoreError, match=r"can hold no more files, its inodes are used up"):
        export(source, small_disk)


def test_too_little_space_is_noticed_before_anything_is_written(engine, wanted, source, small_disk):
    (source / "big").write_bytes(bytes(3 << 20))

    with pytest.raises(StoreError, match="not enough space"):
        plan(wanted(archive=str(small_disk / "x.tar"), compression="none"), engine)


def test_a_read_only_disk_is_noticed_before_anything_is_read(engine, wanted, small_disk):
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)

    with pytest.raises(StoreError, match="read-only file system"):
        plan(wanted(archive=str(small_disk / "x.tar")), engine)


def test_what_is_mounted_inside_is_archived_and_told(source, store):
    mounted = source / "disk"
    mounted.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", mounted], check=False).returncode:
        pytest.skip("mounting is not possible here")
    try:
        (mounted / "more").touch()

        exported = export(source, store)
    finally:
        subprocess.run(["umount", mounted], check=True)

    assert exported.warnings == (f"{mounted} is a mount point; what is mounted there is part of the archive",)
    listed = subprocess.run(["tar", "--zstd", "-tf", store / "uploads.tar.zst"], capture_output=True, check=True).stdout
    assert b"./disk/more\n" in listed
