# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _files, _journal
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._journal import (
    Entry,
    boot_id,
    close,
    new,
    path_of,
    read,
    set_aside,
    stacks,
    started,
    write,
)

SCHEMA = Path(__file__).resolve().parents[4] / "docs" / "schemas" / "journal.schema.json"
WEB = Entry("web", "c0ffee", "crm-web-1", "pause", "cgroup", "/sys/fs/cgroup/docker/c0ffee", "crm", "1", ("db",))
WORKER = Entry("worker", "beef", "crm-worker-1", "stop", "engine", None, "crm", "1")
DB = Entry("db", "decaf", "db", "none")


def journal(stack="crm", timeout=60.0):
    return new(stack, "unix:///var/run/docker.sock", [WEB, WORKER, DB], timeout)


@pytest.fixture
def directory(journals):
    return str(journals)


def test_what_was_written_is_read(directory):
    wanted = journal()
    write(directory, wanted)

    assert read(directory, "crm") == wanted
    assert stacks(directory) == ["crm"]


def test_only_root_may_look_into_it(directory):
    write(directory, journal())

    modes = [stat.S_IMODE(os.stat(path).st_mode) for path in (os.path.dirname(directory), directory)]
    assert modes == [0o700, 0o700]
    assert stat.S_IMODE(os.stat(path_of(directory, "crm")).st_mode) == 0o600


def test_the_file_and_every_directory_above_it_reach_the_disk(directory, monkeypatch):
    synced = []
    real = os.fsync

    def note(descriptor):
        synced.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    write(directory, journal())

    parent = os.path.dirname(directory)
    assert synced == [os.path.dirname(parent), parent, f"{directory}/.crm.json.partial", directory]


def test_closing_it_reaches_the_disk_too(directory, monkeypatch):
    write(directory, journal())
    synced = []
    monkeypatch.setattr(_journal, "sync_directory", synced.append)

    close(directory, "crm")

    assert stacks(directory) == []
    assert synced == [directory]


def test_closing_one_that_is_not_there_is_no_error(directory):
    close(directory, "crm")


def test_a_journal_of_a_backup_that_died_is_not_written_over(directory):
    first = journal()
    write(directory, first)

    with pytest.raises(StoreError, match=r"tells of a backup of stack crm that has died.*crm\.continuity\.thaw"):
        write(directory, journal(timeout=1))

    assert read(directory, "crm") == first


def test_where_it_cannot_be_written_nothing_may_be_frozen(directory, monkeypatch):
    def refuse(path, data):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(_journal, "write_atomically", refuse)

    with pytest.raises(StoreError, match=r"crm\.json cannot be written: Permission denied.*as root \(become\)"):
        write(directory, journal())


def test_a_write_that_breaks_off_leaves_nothing(directory, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_files, "write_all", full)

    with pytest.raises(StoreError, match="No space left on device"):
        write(directory, journal())

    assert os.listdir(directory) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../crm", "a/b", ".hidden"])
def test_a_name_does_not_lead_out_of_the_directory(directory, name):
    with pytest.raises(StoreError, match="cannot be the name of a stack"):
        path_of(directory, name)


def test_without_a_directory_there_are_no_journals(directory):
    assert stacks(directory) == []
    assert read(directory, "crm") is None


def test_other_files_are_no_journals(directory):
    write(directory, journal())
    for name in (".crm.json.partial", "crm.json.damaged", "notes.txt"):
        Path(directory, name).write_text("{}")

    assert stacks(directory) == ["crm"]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\0" * 300, id="zeros, as after a power cut"),
        pytest.param(b"{", id="cut off"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b'{"format": 2}', id="another format"),
        pytest.param(b'{"format": 1}', id="nothing in it"),
        pytest.param(b'{"format": 1, "deadline": "soon", "entries": []}', id="no time"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_a_damaged_one_is_an_error_with_the_file_and_what_to_do(directory, content):
    write(directory, journal())
    Path(path_of(directory, "crm")).write_bytes(content)

    with pytest.raises(StoreError) as caught:
        read(directory, "crm")

    words = str(caught.value)
    assert words.startswith(f"{directory}/crm.json is damaged (")
    assert "thaw_stack=crm and thaw_force=true" in words


@pytest.mark.parametrize("missing", ["stack", "owner_pid", "deadline", "entries"])
def test_a_field_that_is_missing_is_damage(directory, missing):
    write(directory, journal())
    path = Path(path_of(directory, "crm"))
    data = json.loads(path.read_bytes())
    del data[missing]
    path.write_text(json.dumps(data))

    with pytest.raises(StoreError, match="is damaged"):
        read(directory, "crm")


def test_a_damaged_one_is_set_aside_and_kept(directory):
    write(directory, journal())

    kept = set_aside(directory, "crm")

    assert kept == f"{directory}/crm.json.damaged"
    assert os.path.exists(kept)
    assert stacks(directory) == []


def test_this_process_lives():
    assert journal().owner_lives


def test_a_process_that_has_ended_does_not():
    process = subprocess.Popen(["sleep", "100"])
    owned = dataclasses.replace(journal(), owner_pid=process.pid, owner_started=started(process.pid))
    assert owned.owner_lives

    process.kill()
    # It is a zombie until it is waited for.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    dead = owned.owner_lives
    process.wait()

    assert not dead
    assert not owned.owner_lives


def test_another_process_that_got_the_number_is_not_the_owner():
    assert not dataclasses.replace(journal(), owner_started=1).owner_lives


def test_after_a_reboot_no_owner_lives():
    assert not dataclasses.replace(journal(), boot_id="another").owner_lives


def test_a_program_of_a_strange_name_does_not_confuse(tmp_path):
    program = shutil.copy(shutil.which("sleep"), tmp_path / "x) S 1 1 (y")
    process = subprocess.Popen([program, "100"])
    try:
        assert started(process.pid) >= started(os.getpid())
    finally:
        process.kill()
        process.wait()


def test_it_is_overdue_after_the_deadline():
    assert not journal(timeout=60).overdue
    assert journal(timeout=-1).overdue


def test_the_boot_id_is_that_of_the_kernel():
    assert boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_published_schema_describes_it(directory):
    write(directory, journal())
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    checker = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    jsonschema.Draft202012Validator.check_schema(schema)
    data = json.loads(Path(path_of(directory, "crm")).read_bytes())

    checker.validate(data)
    assert set(schema["properties"]) == set(data)
    assert set(schema["$defs"]["entry"]["properties"]) == set(data["entries"][0])


@pytest.mark.parametrize(
    "change", [{"format": 2}, {"deadline": None}, {"owner_pid": "1"}, {"extra": 1}, {"entries": [{"service": "web"}]}]
)
def test_the_published_schema_refuses_anything_else(directory, change):
    write(directory, journal())
    path = Path(path_of(directory, "crm"))
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**json.loads(path.read_bytes()), **change})
