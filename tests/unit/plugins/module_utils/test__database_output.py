# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._compression import compress_stage
from ansible_collections.crm.continuity.plugins.module_utils._database_output import Client, write_output
from ansible_collections.crm.continuity.plugins.module_utils._encryption import NO_ENCRYPTION
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProcessError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._seal import Seal
from ansible_collections.crm.continuity.tests.unit.database_fakes import (
    FakeDatabase,
    LocalEngine,
    location,
    nothing_left,
)

# Writes to the file that --file names as pg_dump does, or to its standard output.
PROGRAM = 'for option in "$@"; do case $option in --file=*) exec 9>&1 >"${option#--file=}";; esac; done; '

both = pytest.mark.parametrize("visible", [pytest.param(True, id="pipe"), pytest.param(False, id="relayed")])


def client(script, visible):
    return Client(location(LocalEngine(visible=visible)), "dump crm", ["sh", "-c", PROGRAM + script, "sh"], 15, "abc")


@pytest.fixture
def file(tmp_path):
    descriptor = os.open(tmp_path / "dump", os.O_RDWR | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def seal(descriptor):
    return Seal(descriptor, NO_ENCRYPTION, "the dump")


def content(descriptor):
    return os.pread(descriptor, 1 << 24, 0)


@both
def test_what_the_program_writes_arrives(visible, file):
    with nothing_left():
        program = client("echo rows; echo warning: x >&2", visible)
        output = write_output(program, None, seal(file), "/dump", FakeDatabase())

    assert content(file) == b"rows\n"
    assert (output.written.size, output.stderr) == (5, "warning: x\n")


@both
def test_it_is_compressed_on_the_way(visible, file):
    compressor = compress_stage("gzip", "compress", None)

    output = write_output(client("seq 200000", visible), compressor, seal(file), "/dump", FakeDatabase())

    assert gzip.decompress(content(file)).count(b"\n") == 200000
    assert output.written.size == len(content(file))


@both
def test_a_program_that_writes_nothing_is_no_failure_by_itself(visible, file):
    write_output(client(":", visible), None, seal(file), "/dump", FakeDatabase())

    assert content(file) == b""


@both
@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("echo refused >&2; exit 1", "exited with 1: refused", id="at once"),
        pytest.param("seq 200000; exit 3", "exited with 3", id="after a while"),
        pytest.param("seq 200000; kill -KILL $$", "was killed by signal 9", id="killed"),
    ],
)
def test_a_program_that_fails_is_an_error_and_its_session_is_ended(script, words, visible, file):
    session = FakeDatabase()

    with nothing_left(), pytest.raises(ProcessError, match=words):
        write_output(client(script, visible), compress_stage("gzip", "compress", None), seal(file), "/dump", session)

    assert session.calls == [("terminate", "crm.continuity tool abc")]


def test_a_program_that_never_opens_the_pipe_is_not_waited_for(file):
    silent = Client(location(), "dump crm", ["sh", "-c", "exit 0", "sh"], 15, "abc")

    with nothing_left(), pytest.raises(ProcessError, match="ended well without writing anything"):
        write_output(silent, None, seal(file), "/dump", FakeDatabase())


@both
def test_a_full_disk_is_named(visible):
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with nothing_left(), pytest.raises(StoreError, match=r"/b/crm\.dump cannot be written: No space left"):
            write_output(client("seq 200000", visible), None, seal(full), "/b/crm.dump", FakeDatabase())
    finally:
        os.close(full)
