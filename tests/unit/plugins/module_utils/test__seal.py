# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._encryption import (
    NO_ENCRYPTION,
    Encryption,
    decrypt_stage,
    detect,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProcessError
from ansible_collections.crm.continuity.plugins.module_utils._process import run
from ansible_collections.crm.continuity.plugins.module_utils._seal import sealed, write_sealed


@pytest.fixture
def target(tmp_path):
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def plain(path, key_pair):
    return run(decrypt_stage(detect(str(path)), key_pair.keys, "decrypt"), path.read_bytes()).stdout


def feed(seal, data):
    with seal.feed() as sink:
        for start in range(0, len(data), 70_000):
            os.write(sink, data[start : start + 70_000])


def test_parts_become_one_file_that_is_decrypted_at_once(target, tmp_path, key_pair):
    parts = [os.urandom(500_000), b"", b"the end"]

    with sealed(target, key_pair.encryption, "x") as seal:
        for part in parts:
            feed(seal, part)

    content = (tmp_path / "file").read_bytes()
    assert plain(tmp_path / "file", key_pair) == b"".join(parts)
    assert seal.written().size == len(content)
    assert seal.written().sha256 == hashlib.sha256(content).hexdigest()
    assert seal.written().plain_sha256 == hashlib.sha256(b"".join(parts)).hexdigest()


def test_other_programs_may_write_the_parts(target, tmp_path, key_pair):
    with sealed(target, key_pair.encryption, "x") as seal:
        for word in ("one", "two"):
            with seal.feed() as sink:
                subprocess.run(["echo", word], stdout=sink, check=True)

    assert plain(tmp_path / "file", key_pair) == b"one\ntwo\n"


def test_without_encryption_the_file_is_what_was_written(target, tmp_path):
    with sealed(target, NO_ENCRYPTION, "x") as seal:
        feed(seal, b"open")

    written = seal.written()
    assert (tmp_path / "file").read_bytes() == b"open"
    assert written.sha256 == written.plain_sha256 == hashlib.sha256(b"open").hexdigest()


def test_what_is_empty_can_be_decrypted_to_nothing(target, tmp_path, key_pair):
    with sealed(target, key_pair.encryption, "x"):
        pass

    assert detect(str(tmp_path / "file")) == key_pair.encryption.method
    assert plain(tmp_path / "file", key_pair) == b""


def test_a_restart_throws_away_what_was_written(target, tmp_path, key_pair):
    with sealed(target, key_pair.encryption, "x") as seal:
        feed(seal, os.urandom(300_000))
        seal.restart()
        feed(seal, b"again")

    assert plain(tmp_path / "file", key_pair) == b"again"
    assert seal.written().plain_sha256 == hashlib.sha256(b"again").hexdigest()


def test_an_error_in_the_block_ends_the_encryptor(target, key_pair):
    before, running = threads(), children()

    def chunks():
        yield b"a"
        raise ValueError("elsewhere")

    with pytest.raises(ValueError, match="elsewhere"), sealed(target, key_pair.encryption, "x") as seal:
        seal.take(chunks())

    assert children() <= running
    assert threads() == before


def test_an_encryptor_that_dies_is_named_with_its_words(target, tmp_path, monkeypatch):
    (tmp_path / "age").write_text("#!/bin/sh\nhead -c 1 >/dev/null; echo bad luck >&2; exit 3\n")
    (tmp_path / "age").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    words, running = "encrypt x: age exited with 3: bad luck", children()
    with pytest.raises(ProcessError, match=words), sealed(target, Encryption("age", ("age1x",)), "x") as seal:
        feed(seal, os.urandom(5_000_000))

    assert children() <= running


@pytest.mark.parametrize("words", ["no space left on device", "No space left on device", "disk quota exceeded"])
def test_a_full_disk_is_an_error_of_the_disk(words, tmp_path, monkeypatch):
    (tmp_path / "age").write_text(f"#!/bin/sh\nhead -c 1 >/dev/null; echo write: {words} >&2; exit 1\n")
    (tmp_path / "age").chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(OSError, match=r"space|quota") as found:
        write_sealed(str(tmp_path / "out"), Encryption("age", ("age1x",)), "x", [os.urandom(5_000_000)])

    assert found.value.errno in (errno.ENOSPC, errno.EDQUOT)


def test_chunks_are_taken_whole(tmp_path, key_pair):
    chunks = [os.urandom(100_000) for _number in range(5)]

    written = write_sealed(str(tmp_path / "out"), key_pair.encryption, "x", chunks)

    assert plain(tmp_path / "out", key_pair) == b"".join(chunks)
    assert written.plain_sha256 == hashlib.sha256(b"".join(chunks)).hexdigest()
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["out"]


def children():
    """Return the numbers of the child processes; watchdogs of other tests may be among them."""
    tasks = Path("/proc/self/task").iterdir()
    return {int(pid) for task in tasks for pid in (task / "children").read_text().split()}


def threads():
    return len(os.listdir("/proc/self/task"))
