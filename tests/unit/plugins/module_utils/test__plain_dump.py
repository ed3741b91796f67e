# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import io

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._plain_dump import AFTER, BEFORE, feed, survey
from ansible_collections.crm.continuity.tests.unit.plain_dumps import DATABASE, END, SCRIPT, START, script


def reader(text):
    return io.BytesIO(text.encode()).read


def surveyed(text):
    return survey(reader(text), "x.sql")


def fed(text, half, *, role=None, privileges=True, key=None):
    return b"".join(feed(reader(text), "x.sql", half, role=role, privileges=privileges, key=key)).decode()


def test_a_script_is_described():
    found = surveyed(SCRIPT)

    assert found.rows == {'public."Tags"': 2, 'public."Whatsapps"': 1, "other.empty": 0}
    assert found.sequences == {'public."Tags_id_seq"': 2, "other.unused": None}
    assert (found.size, found.sha256) == (len(SCRIPT.encode()), hashlib.sha256(SCRIPT.encode()).hexdigest())
    assert found.has_rows
    contents = found.contents
    assert (contents.server_version, contents.server_major) == ("15.18", 15)
    assert (contents.database, contents.owner) == ("", "ticketz")
    assert contents.create_options == "ENCODING = 'UTF8'"
    assert (contents.schemas, contents.extensions) == (("other",), ("uuid-ossp",))
    assert contents.grantees == {"report"}
    assert contents.table_data == 3


def test_one_that_creates_its_database_says_how_it_was_set_up():
    contents = surveyed(script(DATABASE)).contents

    assert (contents.database, contents.owner) == ("crm", "ticketz")
    assert contents.create_options == "ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'pt_BR.utf8'"
    assert contents.settings == ("ALTER DATABASE {database} SET search_path TO 'public'",)


@pytest.mark.parametrize(
    ("inserts", "rows"),
    [
        pytest.param(
            "INSERT INTO public.a VALUES (1, 'x');\nINSERT INTO public.a VALUES (2, '(');\n", 2, id="one each"
        ),
        pytest.param("INSERT INTO public.a VALUES\n\t(1, 'x'),\n\t(2, NULL),\n\t(3, 'y');\n", 3, id="several"),
        pytest.param("INSERT INTO public.a (b, c) VALUES (1, lower('x'));\n", 1, id="with columns"),
        pytest.param("INSERT INTO public.a DEFAULT VALUES;\n", 1, id="without columns"),
        pytest.param("INSERT INTO public.a OVERRIDING SYSTEM VALUE VALUES (1) ON CONFLICT DO NOTHING;\n", 1, id="more"),
    ],
)
def test_rows_that_are_inserted_are_counted(inserts, rows):
    assert surveyed(script("CREATE TABLE public.a (\n    b integer\n);\n", inserts)).rows == {"public.a": rows}


def test_rows_that_go_to_a_partitioned_table_cannot_be_told_apart():
    text = script(
        "CREATE TABLE public.a (\n    b date\n)\nPARTITION BY RANGE (b);\n",
        "CREATE TABLE public.a_2026 (\n    b date\n);\n",
        "COPY public.a (b) FROM stdin;\n2026-01-01\n\\.\n",
    )

    assert surveyed(text).rows is None


def test_rows_of_an_extension_are_none_of_the_tables():
    text = script("CREATE TABLE public.a (\n);\n", "COPY public.spatial (b) FROM stdin;\n1\n\\.\n")

    assert surveyed(text).rows == {"public.a": 0}


def test_tables_of_old_dumps_are_in_the_schema_that_was_set_before():
    text = script("SET search_path = evolution, pg_catalog;\nCREATE TABLE a (\n    b integer\n);\n")

    assert surveyed(text).rows == {"evolution.a": 0}


def test_definitions_alone_have_no_rows():
    assert not surveyed(script("CREATE TABLE public.a (\n    b integer\n);\n")).has_rows


def test_empty_tables_are_rows_too():
    text = script("CREATE TABLE public.a (\n);\n", "-- Data for Name: a; Type: TABLE DATA; Schema: public; Owner: x\n")

    assert surveyed(text).has_rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("", "is empty: whatever should have been dumped was not", id="empty"),
        pytest.param(
            "pg_dump: error: connection failed\n", "an error message .* 'pg_dump: error: connection", id="error"
        ),
        pytest.param("sh: pg_dump: not found\n", "holds an error message", id="no pg_dump"),
        pytest.param("CREATE TABLE a ();\n", "does not begin as a dump", id="another program's"),
        pytest.param("-- a\nCREATE TABLE a ();\n", "holds statements before the words", id="without a beginning"),
        pytest.param(START + "CREATE TABLE a ();\n", "is truncated: the words that pg_dump ends", id="without an end"),
        pytest.param(SCRIPT[: SCRIPT.index("conta")], "is truncated", id="within rows"),
        pytest.param(SCRIPT + "SELECT 1;\n", "holds statements after its end", id="after its end"),
        pytest.param(SCRIPT + SCRIPT, "holds more than one dump", id="twice"),
        pytest.param("--\n-- PostgreSQL database cluster dump\n--\n", "several databases, as pg_dumpall", id="cluster"),
        pytest.param(script("CREATE ROLE x;\n"), "holds roles, as pg_dumpall", id="roles"),
        pytest.param(script("GRANT a TO b;\n"), "holds memberships of roles", id="memberships"),
        pytest.param(script("CREATE TABLESPACE x LOCATION '/';\n"), "settings of the server", id="tablespaces"),
        pytest.param(script("\\connect other\n"), "several databases, as pg_dumpall", id="another database"),
        pytest.param(script(DATABASE, "\\connect other\n"), "several databases", id="a second database"),
        pytest.param(script(""), "holds no tables", id="no tables"),
        pytest.param(script("SET client_encoding = 'SJIS';\n"), "is encoded as 'SJIS'", id="encoding"),
        pytest.param(
            script("SET standard_conforming_strings = off;\n"), "backslashes with a meaning", id="backslashes"
        ),
        pytest.param(START.replace("-- Dumped from", "--") + END, "holds no tables", id="no version and no tables"),
        pytest.param(
            START.replace("-- Dumped from", "--") + "CREATE TABLE a (\n);\n" + END,
            "x.sql does not say from which server",
            id="no version",
        ),
    ],
)
def test_what_is_no_whole_dump_of_one_database_is_refused(text, words):
    with pytest.raises(StoreError, match=words):
        surveyed(text)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        pytest.param("\\! touch x", r"a command for psql, '\\\\!'", id="a program"),
        pytest.param("\\copy a from program 'x'", "a command for psql", id="a copy of psql"),
        pytest.param("COPY a TO PROGRAM 'x';", "does not write: COPY A", id="a program of the server"),
        pytest.param("COPY a FROM '/etc/passwd';", "does not write: COPY A", id="a file of the server"),
        pytest.param("COPY a (b) FROM PROGRAM 'x' WITH (c) FROM stdin;", "does not write: COPY A", id="in disguise"),
        pytest.param("DO $$ BEGIN END $$;", "does not write: DO", id="a block"),
        pytest.param("SET ROLE postgres;", "does not write: SET ROLE", id="another role"),
        pytest.param("RESET ROLE;", "does not write: RESET ROLE", id="the role before"),
        pytest.param("SET session_preload_libraries = x;", "does not write: SET", id="another setting"),
        pytest.param("ALTER SYSTEM SET a = b;", "settings of the server", id="the server"),
        pytest.param("SELECT lo_export(1, '/tmp/x');", "does not write: SELECT", id="a function"),
        pytest.param(
            "SELECT pg_catalog.setval('a', 1, true), lo_export(1, 'x');", "does not write: SELECT", id="a second one"
        ),
        pytest.param("SELECT pg_catalog.lo_create(lo_export(1, 'x'));", "does not write: SELECT", id="inside another"),
        pytest.param(
            "SELECT pg_catalog.lo_create('1'::oid, lo_export(1, '/tmp/x'::text));",
            "does not write: SELECT",
            id="behind a type",
        ),
        pytest.param("INSERT INTO a SELECT lo_export(1, 'x');", "does not write: INSERT INTO", id="a query"),
        pytest.param("LOAD 'x';", "does not write: LOAD", id="a library"),
        pytest.param("VACUUM;", "does not write: VACUUM", id="anything else"),
    ],
)
def test_what_pg_dump_does_not_write_is_refused(statement, words):
    text = script("CREATE TABLE a (\n);\n", statement + "\n")

    with pytest.raises(StoreError, match=words):
        surveyed(text)
    # It may have become that since it was surveyed.
    with pytest.raises(StoreError, match=words):
        fed(text, BEFORE)


def test_a_message_in_the_place_of_a_dump_is_shown_without_credentials():
    with pytest.raises(StoreError) as raised:
        surveyed("pg_dump: error: cannot use postgresql://crm:s3cret@db/crm or password=s3cret here\n")

    assert "s3cret" not in str(raised.value)


def test_definitions_and_rows_come_before_what_needs_the_repairs():
    before, after = fed(SCRIPT, BEFORE), fed(SCRIPT, AFTER)

    assert "CREATE FUNCTION public.immutable_unaccent" in before
    assert '1\tcom "aspas"\n2\tconta\n\\.\n' in before
    assert "setval" in before
    assert "INDEX" not in before
    assert "ADD CONSTRAINT" not in before
    assert after.index("ADD CONSTRAINT") < after.index("CREATE INDEX")
    assert "COPY" not in after
    assert "aspas" not in after


def test_both_halves_begin_with_the_same_settings():
    for half in (BEFORE, AFTER):
        given = fed(SCRIPT, half)
        assert "SET client_encoding = 'UTF8';" in given
        assert "SELECT pg_catalog.set_config('search_path', '', false);" in given
        assert "transaction_timeout" not in given


def test_commands_of_the_script_are_left_out_and_one_of_ours_forbids_any_other():
    given = fed(script(DATABASE), BEFORE, key="0123")

    assert given.startswith("\\restrict 0123\n")
    assert [line for line in given.splitlines() if line.startswith("\\")] == ["\\restrict 0123", "\\."]


def test_without_a_key_psql_is_given_no_command():
    assert "\\restrict" not in fed(SCRIPT, BEFORE)


def test_nothing_says_whom_an_object_belongs_to():
    assert "OWNER TO" not in fed(SCRIPT, BEFORE) + fed(SCRIPT, AFTER)


def test_words_in_a_text_do_not_make_it_a_change_of_owner():
    text = script("CREATE TABLE a (\n);\n", "ALTER TABLE a ADD CONSTRAINT b CHECK ((c <> ' OWNER TO '::text));\n")

    assert "ADD CONSTRAINT b CHECK" in fed(text, AFTER)


def test_schemas_and_extensions_are_made_by_who_is_connected_and_the_rest_by_the_role():
    given = fed(SCRIPT, BEFORE, role='the "owner"')

    assert given.startswith('SET ROLE "the ""owner""";\n')
    assert 'RESET ROLE;\nCREATE EXTENSION IF NOT EXISTS "uuid-ossp" WITH SCHEMA public;\nSET ROLE' in given
    assert 'RESET ROLE;\nCREATE SCHEMA other;\nALTER SCHEMA other OWNER TO "the ""owner""";\nSET ROLE' in given
    assert given.rindex("SET ROLE") < given.index("CREATE TABLE")
    assert fed(SCRIPT, AFTER, role="crm").startswith('SET ROLE "crm";\n')


def test_a_schema_with_something_in_it_is_not_made_by_who_is_connected():
    text = script("CREATE TABLE a (\n);\nCREATE SCHEMA b CREATE VIEW c AS SELECT 1;\n")

    assert "RESET ROLE" not in fed(text, BEFORE, role="crm")


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT pg_catalog.lo_from_bytea(16401, '\\x00ff')",
        "SELECT pg_catalog.lowrite(0, '\\x00ff')",
        "SELECT pg_catalog.lo_close(0)",
        "SELECT * FROM pg_catalog.pg_restore_relation_stats(\n\t'version', '180000'::integer,\n\t'x', '1'::integer\n)",
        "SELECT * FROM pg_catalog.pg_restore_attribute_stats('inherited', 'f'::boolean, 'v', '{a,b}'::real[])",
    ],
)
def test_functions_that_pg_dump_calls_are_called(statement):
    text = script("CREATE TABLE a (\n);\n", f"{statement};\n")

    assert statement in fed(text, BEFORE)


def test_privileges_are_given_on_request():
    assert "GRANT SELECT" in fed(SCRIPT, AFTER)
    assert "GRANT" not in fed(SCRIPT, AFTER, privileges=False) + fed(SCRIPT, BEFORE, privileges=False)


def test_what_clears_a_database_and_what_makes_one_is_left_out():
    text = script(
        DATABASE,
        "ALTER TABLE IF EXISTS ONLY public.a DROP CONSTRAINT b;\nDROP TABLE IF EXISTS public.a;\n",
        "CREATE SCHEMA public;\nCREATE TABLE public.a (\n);\n",
        "BEGIN;\nSELECT pg_catalog.lo_open('1', 131072);\nCOMMIT;\n",
    )

    given = fed(text, BEFORE) + fed(text, AFTER)

    for words in ("DROP", "DATABASE", "CREATE SCHEMA public", "BEGIN", "COMMIT"):
        assert words not in given
    assert "SELECT pg_catalog.lo_open('1', 131072);" in given
