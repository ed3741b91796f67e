# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import os
import stat
import threading
import time

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._files import (
    Following,
    file_sha256,
    partial_file,
    read_chunks,
    write_all,
    write_atomically,
    write_hashed,
)


def test_a_file_takes_its_name_when_it_is_complete(tmp_path):
    path = tmp_path / "archive"

    with partial_file(str(path)) as descriptor:
        os.write(descriptor, b"data")
        assert not path.exists()

    assert path.read_bytes() == b"data"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "archive"
    path.write_bytes(b"old")

    def fail_half_way():
        with partial_file(str(path)) as descriptor:
            os.write(descriptor, b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail_half_way()

    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["archive"]


def test_what_a_dead_run_left_is_used_again_with_the_right_mode(tmp_path):
    left = tmp_path / ".archive.partial"
    left.write_bytes(b"very long rubbish")
    left.chmod(0o644)

    with partial_file(str(tmp_path / "archive")) as descriptor:
        os.write(descriptor, b"new")

    assert (tmp_path / "archive").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "archive").stat().st_mode) == 0o600


def test_small_files_are_written_whole(tmp_path):
    written = write_atomically(str(tmp_path / "manifest"), b"{}")

    assert (written.size, written.sha256) == (2, hashlib.sha256(b"{}").hexdigest())
    assert file_sha256(str(tmp_path / "manifest")) == written


def test_a_full_disk_is_an_error_of_the_writer():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="space") as caught:
        write_all(full.fileno(), b"data")

    assert caught.value.errno == errno.ENOSPC


def test_a_file_is_hashed_while_it_is_written(tmp_path):
    data = os.urandom(3 << 20)
    ended = threading.Event()

    def write(descriptor):
        for start in range(0, len(data), 100_000):
            write_all(descriptor, data[start : start + 100_000])
            time.sleep(0.001)
        ended.set()

    with open(tmp_path / "out", "w+b", buffering=0) as target:
        writer = threading.Thread(target=write, args=(target.fileno(),))
        writer.start()
        following = Following(target.fileno())
        following.until(ended)
        written = following.written()
        writer.join()

    assert (tmp_path / "out").read_bytes() == data
    assert (written.size, written.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_chunks_are_hashed_on_their_way(tmp_path):
    with open(tmp_path / "out", "wb", buffering=0) as target:
        written = write_hashed(target.fileno(), [b"a", b"", b"bc"])

    with open(tmp_path / "out", "rb") as source:
        assert b"".join(read_chunks(source, 2)) == b"abc"
    assert written.sha256 == hashlib.sha256(b"abc").hexdigest()
