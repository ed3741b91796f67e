# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _session_reset
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError, RedisError, StackError
from ansible_collections.crm.continuity.plugins.module_utils._profile import ResetStep
from ansible_collections.crm.continuity.plugins.module_utils._session_parts import Part
from ansible_collections.crm.continuity.plugins.module_utils._session_reset import (
    Cleared,
    Request,
    apply,
    clear_database,
    clear_directory,
    clear_redis,
    clear_redis_files,
    plan,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request as StackRequest
from ansible_collections.crm.continuity.plugins.module_utils._stack import StackRedis
from ansible_collections.crm.continuity.tests.unit.fakes import container, shipped_profiles, volume
from ansible_collections.crm.continuity.tests.unit.redis_fakes import RedisEngine


def part(place, *steps, **more):
    return Part("evolution", "rule", "all of it", place, f"the {place}", "x", steps, **more)


class Rows:
    """A database with one table: every statement that deletes takes away all but ``left`` of its rows."""

    def __init__(self, rows=0, left=0, tables=True):
        self.rows = rows
        self.left = left
        self.tables = tables
        self.said = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def execute(self, sql, parameters=None):
        self.said.append((sql, parameters) if parameters else sql)
        if sql.startswith("DELETE"):
            self.rows = self.left
        if sql == "IS THERE":
            return [(self.tables,)]
        return [(self.rows,)] if sql == "COUNT" else []


STEP = ResetStep("rows", when="IS THERE", count="COUNT", sql="DELETE x")


def counts(cleared):
    return [(entry.name, entry.count) for entry in cleared]


# A database


def test_rows_are_cleared_in_one_transaction_of_the_right_schema():
    session = Rows(3)

    cleared = clear_database(session, part("database", STEP, schema="evo"))

    assert cleared == [Cleared("evolution", "all of it", "database", "the database", "rows", 3)]
    assert session.said == [
        "BEGIN",
        ("SELECT set_config('search_path', %s, true)", ("evo",)),
        "IS THERE",
        "COUNT",
        "DELETE x",
        "COUNT",
        "COMMIT",
    ]


@pytest.mark.parametrize(("rows", "act"), [(3, False), (0, True)], ids=["only counted", "nothing there"])
def test_nothing_is_deleted_where_that_is_not_to_be(rows, act):
    session = Rows(rows)

    assert counts(clear_database(session, part("database", STEP), act=act)) == [("rows", rows)]
    assert "DELETE x" not in session.said


def test_a_table_that_an_older_version_does_not_have_is_left_out():
    assert clear_database(Rows(3, tables=False), part("database", STEP)) == []


def test_rows_that_are_left_undo_everything():
    session = Rows(3, left=1)

    with pytest.raises(DatabaseError, match="1 of 3 rows are left of what should be cleared"):
        clear_database(session, part("database", STEP))

    assert session.said[-1] == "ROLLBACK"


# A volume


FILES = ResetStep("files", files=("*/*.json",))


@pytest.fixture
def root(tmp_path):
    for name in ("instances/a/creds.json", "instances/a/session-1.json", "instances/a/notes.txt", "instances/top.json"):
        path = tmp_path / "volume" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "x.json").touch()
    (tmp_path / "volume" / "instances" / "link").symlink_to(tmp_path / "outside")
    return tmp_path / "volume"


def everything(root):
    return sorted(
        os.path.relpath(os.path.join(parent, name), root) for parent, _d, files in os.walk(root) for name in files
    )


def test_files_that_match_are_deleted_and_no_link_is_entered(root, tmp_path):
    cleared = clear_directory(str(root), part("volume", FILES, directory="instances"))

    assert counts(cleared) == [("files", 2)]
    assert everything(root) == ["instances/a/notes.txt", "instances/top.json"]
    assert (tmp_path / "outside" / "x.json").exists()


def test_files_are_only_counted_when_nothing_is_to_be_changed(root):
    before = everything(root)

    assert counts(clear_directory(str(root), part("volume", FILES, directory="instances"), act=False)) == [("files", 2)]
    assert everything(root) == before


def test_a_directory_that_is_not_there_yet_holds_nothing(root):
    assert counts(clear_directory(str(root), part("volume", FILES, directory="never"))) == [("files", 0)]


def test_a_way_that_leads_through_a_link_is_refused(root, tmp_path):
    (tmp_path / "outside" / "deep").mkdir()

    with pytest.raises(StackError, match="leads through a symbolic link"):
        clear_directory(str(root), part("volume", FILES, directory="instances/link/deep"))


# A Redis


KEYS = ResetStep("hashes", keys=("evo:instance:*",))
CACHE = StackRedis("crm", (), "redis", None, container("redis", "redis:7"), "crm_redis")


def redis_engine():
    return RedisEngine([CACHE.container], {"6": {"evo:instance:a", "evo:instance:b", "evo:x"}})


def test_keys_are_deleted_and_that_reaches_the_disk():
    engine = redis_engine()

    assert counts(clear_redis(engine, CACHE, part("redis", KEYS))) == [("hashes", 2)]
    assert engine.keys == {"6": {"evo:x"}}
    assert engine.asked[-1] == "SAVE"


def test_a_redis_without_such_keys_is_left_alone():
    engine = redis_engine()
    engine.keys = {"6": {"evo:x"}}

    assert counts(clear_redis(engine, CACHE, part("redis", KEYS))) == [("hashes", 0)]
    assert "SAVE" not in engine.asked


def test_keys_are_only_counted_when_nothing_is_to_be_changed():
    engine = redis_engine()

    assert counts(clear_redis(engine, CACHE, part("redis", KEYS), act=False)) == [("hashes", 2)]
    assert len(engine.keys["6"]) == 3


def test_keys_that_come_back_are_an_error():
    engine = redis_engine()
    engine.forgetful = True

    with pytest.raises(RedisError, match="2 keys are left of hashes"):
        clear_redis(engine, CACHE, part("redis", KEYS))


def test_a_redis_that_does_not_run_cannot_be_asked():
    stopped = StackRedis("crm", (), "redis", None, container("redis", "redis:7", state="exited"), "crm_redis")

    with pytest.raises(RedisError, match=r"is exited, so it cannot be asked. Start it"):
        clear_redis(redis_engine(), stopped, part("redis", KEYS))


def test_keys_of_a_redis_that_is_staged_are_deleted_from_its_files(tmp_path):
    (tmp_path / "dump.rdb").write_text("REDIS0011\n6 evo:instance:a\n6 evo:x\n")

    cleared = clear_redis_files(RedisEngine(), str(tmp_path), "redis:7", part("redis", KEYS))

    assert counts(cleared) == [("hashes", 1)]
    assert (tmp_path / "dump.rdb").read_text() == "REDIS0011\n6 evo:x\n"


# A whole stack


@pytest.fixture
def stack(tmp_path, monkeypatch):
    """Return a function that makes an engine with a stack of Evolution API, and the rows of its database."""
    (tmp_path / "_data" / "one").mkdir(parents=True)
    (tmp_path / "_data" / "one" / "pre-key-1.json").touch()
    rows = {"Session": 2, "Instance": 1}

    class Session:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def execute(self, sql, parameters=None):
            table = next((name for name in rows if f'"{name}"' in sql), None)
            if table and not sql.startswith("SELECT"):
                rows[table] = 0
            return [(rows[table],)] if table else []

    class Location:
        def connection(self, name):
            return name

    def make(state="exited", **env):
        containers = [
            container(
                "api",
                "evoapicloud/evolution-api:v2.3.6",
                state=state,
                volumes={"/evolution/instances": "crm_instances"},
                env={
                    "DATABASE_CONNECTION_URI": "postgresql://e:p@postgres/evolution",
                    "CACHE_REDIS_ENABLED": "false",
                    **env,
                },
            ),
            container("postgres", "postgres:15"),
        ]
        engine = RedisEngine(containers)
        engine.volumes = {"crm_instances": volume("crm_instances")}
        return engine

    monkeypatch.setattr(_session_reset, "locate", lambda engine, database: Location())
    monkeypatch.setattr(_session_reset, "connect", lambda connection: Session())
    monkeypatch.setattr(_session_reset, "data_directory", lambda engine, kind, source: str(tmp_path / "_data"))
    return make


def planned(engine, **more):
    return plan(Request(StackRequest("crm"), **more), engine, shipped_profiles())


def test_everything_is_cleared_and_the_second_time_there_is_nothing(stack, tmp_path):
    engine = stack()
    wanted = planned(engine)

    cleared = apply(wanted, engine)

    assert wanted.reason == "there are sessions"
    assert wanted.found == cleared
    assert [(entry.place, entry.count) for entry in cleared] == [("database", 2), ("database", 1), ("volume", 1)]
    again = planned(engine)
    assert again.reason is None
    assert {entry.count for entry in again.found} == {0}
    assert os.listdir(tmp_path / "_data" / "one") == []


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_an_application_that_runs_is_named_and_nothing_is_done(stack, state):
    with pytest.raises(StackError, match=r"are in use by crm-api-1, which would write them back. Stop it first"):
        planned(stack(state))


def test_an_application_may_run_when_that_was_said(stack):
    assert planned(stack("running"), running_ok=True).reason == "there are sessions"


def test_one_part_that_cannot_be_cleared_leaves_all_as_they_are(stack):
    with pytest.raises(StackError, match=r"sessions of stack crm were left as they are.*external provider"):
        planned(stack(PROVIDER_ENABLED="true"))


def test_a_stack_without_sessions_is_refused():
    engine = RedisEngine([container("rails", "chatwoot/chatwoot:v4.15.1")])

    with pytest.raises(StackError, match=r"No profile of stack crm .chatwoot. knows of a WhatsApp session"):
        planned(engine)


def test_no_backup_runs_meanwhile(stack, monkeypatch):
    engine = stack()
    wanted = planned(engine)
    locked = []

    @contextlib.contextmanager
    def lock(name):
        locked.append(name)
        yield

    monkeypatch.setattr(_session_reset, "locked_on_host", lock)

    apply(wanted, engine)

    assert locked == ["crm"]
