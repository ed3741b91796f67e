# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _redis_files
from ansible_collections.crm.continuity.plugins.module_utils._errors import RedisError
from ansible_collections.crm.continuity.plugins.module_utils._redis_files import delete_from_files, persisted
from ansible_collections.crm.continuity.tests.unit.redis_fakes import RedisEngine

RDB = "REDIS0011\n"
MANIFEST = "file appendonly.aof.1.base.rdb seq 1 type b\n"
KEYS = "0 other\n6 evo:instance:a\n6 evo:instance:b\n6 evo:x\n"
PATTERNS = ["evo:instance:*"]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "dump.rdb").write_text(RDB + KEYS)
    (tmp_path / "temp-17.rdb").write_text(RDB + KEYS)
    (tmp_path / "notes.rdb").write_text("no database")
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text(MANIFEST + KEYS + "6 evo:instance:c\n")
    return tmp_path


def test_every_file_that_a_redis_may_start_from_is_found(data, tmp_path):
    (data / "below" / "data").mkdir(parents=True)
    (data / "below" / "data" / "old.aof").write_text("*2\r\n")
    (data / "linked.rdb").symlink_to(data / "dump.rdb")
    (data / "linked").symlink_to(data / "below")
    (data / "appendonlydir" / "other.manifest").symlink_to("/etc/passwd")

    found = {(os.path.relpath(file.path, data), file.appendonly, file.options) for file in persisted(str(data))}

    assert found == {
        ("dump.rdb", False, ("--dbfilename", "dump.rdb")),
        ("appendonlydir", True, ("--appenddirname", "appendonlydir", "--appendfilename", "appendonly.aof")),
        ("below/data/old.aof", True, ("--appendfilename", "old.aof")),
    }


def test_keys_are_deleted_from_each_file_and_everything_else_stays(data):
    engine = RedisEngine()

    assert delete_from_files(engine, str(data), "redis:7", PATTERNS) == 3

    left = "0 other\n6 evo:x\n"
    assert (data / "dump.rdb").read_text() == RDB + left
    assert (data / "appendonlydir" / "appendonly.aof.manifest").read_text() == MANIFEST + left
    assert (data / "temp-17.rdb").read_text() == RDB + KEYS


def test_a_second_time_nothing_is_written(data):
    delete_from_files(RedisEngine(), str(data), "redis:7", PATTERNS)
    engine = RedisEngine()

    assert delete_from_files(engine, str(data), "redis:7", PATTERNS) == 0
    assert not {"SAVE", "BGREWRITEAOF"} & set(engine.asked)


def test_the_redis_runs_as_the_owner_of_the_file_and_writes_by_itself_nothing(data):
    engine = RedisEngine()

    delete_from_files(engine, str(data), "redis:7", PATTERNS)

    assert {run["image"] for run in engine.apart} == {"redis:7"}
    assert {run["user"] for run in engine.apart} == {f"{os.getuid()}:{os.getgid()}"}
    for run in engine.apart:
        argv = run["argv"]
        assert argv[argv.index("--save") + 1] == ""
        assert argv[argv.index("--appendonly") + 1] == ("yes" if "--appenddirname" in argv else "no")


def test_no_container_is_left(data):
    engine = RedisEngine()

    delete_from_files(engine, str(data), "redis:7", PATTERNS)

    assert engine.by_id == {}
    assert len(engine.removed) == 4


def test_a_directory_without_files_holds_nothing(tmp_path):
    engine = RedisEngine()

    assert delete_from_files(engine, str(tmp_path), "redis:7", PATTERNS) == 0
    assert engine.apart == []


def refused(data, engine, words):
    with pytest.raises(RedisError, match=words):
        delete_from_files(engine, str(data), "redis:7", PATTERNS)
    assert engine.by_id == {}


def test_a_file_that_this_redis_cannot_read_is_refused_with_its_words(data):
    engine = RedisEngine()
    engine.broken = "Can't handle RDB format version 12"

    refused(data, engine, "Redis of the image redis:7 cannot read .*format version 12. Use the image that wrote it")


def test_keys_that_are_left_are_an_error(data):
    engine = RedisEngine()
    engine.forgetful = True

    refused(data, engine, "still holds 3 keys that were deleted|still holds 2 keys that were deleted")


def test_a_redis_that_cannot_write_is_an_error(data):
    engine = RedisEngine()
    engine.answers = {"SAVE": "ERR", "BGREWRITEAOF": "ERR"}

    refused(data, engine, "refused (SAVE|BGREWRITEAOF)")


def test_a_redis_that_does_not_end_cleanly_is_an_error(data):
    engine = RedisEngine()
    engine.exit_code = 137

    refused(data, engine, "did not end cleanly")


def test_a_rewrite_that_fails_or_never_ends_is_an_error(data, monkeypatch):
    monkeypatch.setattr(_redis_files, "PATIENCE", 0.0)
    (data / "dump.rdb").unlink()
    engine = RedisEngine()
    info = "aof_rewrite_in_progress:{0}\naof_rewrite_scheduled:{0}\naof_last_bgrewrite_status:err\ndb6:keys=3\n"

    engine.answers = {"INFO": info.format(0)}
    refused(data, engine, "could not write .* Is the disk full")
    (data / "appendonlydir" / "appendonly.aof.manifest").write_text(MANIFEST + KEYS)
    engine.answers = {"INFO": info.format(1).replace("scheduled:1", "scheduled:0")}
    refused(data, engine, "has not written")
