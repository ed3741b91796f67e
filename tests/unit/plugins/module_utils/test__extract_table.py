# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _extract_table
from ansible_collections.crm.continuity.plugins.module_utils._database import Role
from ansible_collections.crm.continuity.plugins.module_utils._dump_table import Rows, Table
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._extract_table import (
    ForeignKey,
    Live,
    plan_live,
    restore_live,
    write_table,
)
from ansible_collections.crm.continuity.plugins.module_utils._process import Stage
from ansible_collections.crm.continuity.tests.unit.database_fakes import LocalEngine, location

TABLE = Table("x.dump", "public", "Tags", 2)
COLUMNS = {"id": "integer NOT NULL", "name": "character varying(9) DEFAULT 'x'"}


class Session:
    """A session that answers by the words of the question."""

    def __init__(self, **answers):
        self.answers = {
            "c.oid, c.relkind": [(7, "r")],
            "attname, format_type": [("id", "integer"), ("name", "character varying(9)")],
            "tgname": [],
            "count(*)": [(0,)],
            "pg_constraint": [],
            "pg_depend": [("public.tags_id_seq", "id")],
            **answers,
        }
        self.superuser = True
        self.said = []

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def server_version(self):
        return 160003

    def role(self):
        return Role("ticketz", self.superuser, True)

    def execute(self, sql, parameters=None):
        self.said.append(sql)
        return next((rows for words, rows in self.answers.items() if words in sql), [])

    def terminate(self, application):
        self.said.append("terminate")
        return 1


@pytest.fixture
def server(monkeypatch):
    session = Session()
    monkeypatch.setattr(_extract_table, "connect", lambda *args: session)
    monkeypatch.setattr(_extract_table, "definition", lambda table, place, version: COLUMNS)
    return session


KEYS = [
    ("k1", "public.a", 'public."Tags"', True, ["tag", "x"], ["id", "y"]),
    ("k2", 'public."Tags"', "b", False, ["b"], ["id"]),
]


def test_an_empty_table_with_the_same_columns_can_be_filled(server):
    server.answers["pg_constraint"] = KEYS

    live = plan_live(TABLE, location(), "ticketz", replace=False)

    assert (live.rows, live.version, live.sequences) == (0, 16, (("public.tags_id_seq", "id"),))
    assert live.keys[0] == ForeignKey("k1", "public.a", 'public."Tags"', True, ("tag", "x"), ("id", "y"))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"c.oid, c.relkind": []}, 'has no table public."Tags" to put the rows into'),
        ({"c.oid, c.relkind": [(7, "v")]}, 'has no table public."Tags" to put the rows into'),
        ({"count(*)": [(5,)]}, "is not empty: it holds 5 rows. Nothing was changed"),
        ({"tgname": [("always",)]}, "has triggers that fire during a restore, too: always"),
        ({"attname, format_type": [("id", "integer")]}, "name is only in the backup"),
        (
            {"attname, format_type": [("id", "integer"), ("name", "character varying"), ("x", "text")]},
            "x is only in the database; name is character varying in the database, and character varying(9) DEFAULT",
        ),
        (
            {"attname, format_type": [("id", "bigint"), ("name", "character varying(9)")]},
            "id is bigint in the database",
        ),
    ],
)
def test_what_could_not_succeed_is_refused_beforehand(server, answers, words):
    server.answers.update(answers)

    with pytest.raises(DatabaseError) as caught:
        plan_live(TABLE, location(), "ticketz", replace=False)

    assert words in str(caught.value)


def test_rows_may_be_replaced_when_that_was_said(server):
    server.answers["count(*)"] = [(5,)]

    assert plan_live(TABLE, location(), "ticketz", replace=True).rows == 5


def test_only_a_superuser_can_keep_triggers_away(server):
    server.superuser = False

    with pytest.raises(DatabaseError, match="User ticketz is no superuser"):
        plan_live(TABLE, location(), "ticketz", replace=False)


# The transaction


class Psql(LocalEngine):
    """An engine whose psql writes what it reads to a file, and stops with an error after some lines of it."""

    def __init__(self, file, stops_after=None):
        super().__init__()
        self.file = file
        self.stops_after = stops_after

    def exec_stage(self, container, name, argv, **more):
        script = f"cat >{self.file}"
        if self.stops_after is not None:
            script = f"head -n {self.stops_after} >{self.file}; echo 'ERROR: no' >&2; exit 3"
        return Stage(name, ["sh", "-c", script], env=more.get("env") or {})


def rows_of(lines, failure=None):
    @contextlib.contextmanager
    def opened(table, place, version):
        yield Rows(("id", "name"), "UTF8", iter(lines))
        if failure:
            raise failure

    return opened


LIVE = Live(TABLE, "ticketz", location(), 16, 0, (), ())


def played(monkeypatch, tmp_path, live=LIVE, lines=(b"1\ta", b"2\tb"), failure=None, stops_after=None):
    monkeypatch.setattr(_extract_table, "opened", rows_of(lines, failure))
    engine = Psql(tmp_path / "script", stops_after)
    try:
        restore_live(replace(live, location=location(engine)))
    finally:
        script = (tmp_path / "script").read_text() if (tmp_path / "script").exists() else ""
    return script


def test_the_rows_come_between_their_begin_and_their_proofs(server, monkeypatch, tmp_path):
    script = played(monkeypatch, tmp_path)

    lines = script.splitlines()
    assert lines[0] == "BEGIN;"
    assert lines[-1] == "COMMIT;"
    copy = lines.index('COPY "public"."Tags" ("id", "name") FROM stdin;')
    assert lines[copy + 1 : copy + 4] == ["1\ta", "2\tb", "\\."]
    assert 'LOCK TABLE "public"."Tags" IN ACCESS EXCLUSIVE MODE;' in lines[:copy]
    assert "SET LOCAL session_replication_role = replica;" in lines[:copy]
    assert "does not hold the 2 rows of the backup" in script
    assert server.said[-1] == 'ANALYZE "public"."Tags"'


def test_an_empty_table_is_not_emptied_but_checked(server, monkeypatch, tmp_path):
    script = played(monkeypatch, tmp_path)

    assert "TRUNCATE" not in script
    assert "DELETE" not in script
    assert '(SELECT count(*) FROM ONLY "public"."Tags") = 0' in script


@pytest.mark.parametrize(("incoming", "words"), [(True, "DELETE FROM ONLY"), (False, "TRUNCATE ONLY")])
def test_a_table_that_others_refer_to_is_not_truncated(server, monkeypatch, tmp_path, incoming, words):
    own, other = ("public.a", 'public."Tags"') if incoming else ('public."Tags"', "public.a")
    key = ForeignKey("k", own, other, incoming, ("tag", "x"), ("id", "y"))

    script = played(monkeypatch, tmp_path, replace(LIVE, rows=5, keys=(key,)))

    assert f'{words} "public"."Tags";' in script
    assert "CASCADE" not in script
    assert "LOCK TABLE public.a IN SHARE ROW EXCLUSIVE MODE;" in script


def test_rows_that_refer_to_nothing_are_looked_for(server, monkeypatch, tmp_path):
    key = ForeignKey("k", "public.a", 'public."Tags"', True, ("tag", "x"), ("id", "y"))

    script = played(monkeypatch, tmp_path, replace(LIVE, keys=(key,)))

    proof = (
        'NOT EXISTS (SELECT FROM public.a r WHERE r."tag" IS NOT NULL AND r."x" IS NOT NULL AND NOT EXISTS (SELECT FROM'
        ' public."Tags" o WHERE o."id" = r."tag" AND o."y" = r."x"))'
    )
    assert proof in script
    assert script.index(proof) > script.index("\\.\n")


def test_sequences_are_only_moved_forward_and_before_the_commit(server, monkeypatch, tmp_path):
    script = played(monkeypatch, tmp_path, replace(LIVE, sequences=(("public.tags_id_seq", "id"),)))

    assert "setval(E'public.tags_id_seq'::regclass" in script
    assert "WHERE m.m > s.last_value" in script


def test_nothing_is_committed_when_the_dump_was_not_right(server, monkeypatch, tmp_path):
    # More than a pipe holds, so that psql has begun to read.
    lines = (b"%d\t%b" % (number, b"x" * 1000) for number in range(3000))

    with pytest.raises(DatabaseError, match="damaged"):
        played(monkeypatch, tmp_path, lines=lines, failure=DatabaseError("damaged"))

    assert "COMMIT" not in (tmp_path / "script").read_text()
    assert "terminate" in server.said


def test_the_words_of_psql_are_shown_when_it_stops_in_the_middle(server, monkeypatch, tmp_path):
    lines = (b"%d\t%b" % (number, b"x" * 1000) for number in range(2000))

    with pytest.raises(DatabaseError, match=r'ERROR: no public."Tags" is as it was'):
        played(monkeypatch, tmp_path, lines=lines, stops_after=3)


# A file


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("csv", 'id,name\n1,a\n2,"b,c"\n'),
        (
            "sql",
            'SET client_encoding = E\'UTF8\';\nCOPY "public"."Tags" ("id", "name") FROM stdin;\n1\ta\n2\tb,c\n\\.\n',
        ),
    ],
)
def test_a_table_is_written_to_a_file(monkeypatch, tmp_path, form, expected):
    monkeypatch.setattr(_extract_table, "opened", rows_of([b"1\ta", b"2\tb,c"]))

    written = write_table(TABLE, location(), 16, str(tmp_path / "x"), form)

    assert (tmp_path / "x").read_text() == expected
    assert (written.rows, written.encoding, written.written.size) == (2, "UTF8", len(expected))
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600


def test_a_file_that_is_not_whole_does_not_stay(monkeypatch, tmp_path):
    monkeypatch.setattr(_extract_table, "opened", rows_of([b"1\ta"], DatabaseError("not whole")))

    with pytest.raises(DatabaseError, match="not whole"):
        write_table(TABLE, location(), 16, str(tmp_path / "x"), "csv")

    assert list(tmp_path.iterdir()) == []
