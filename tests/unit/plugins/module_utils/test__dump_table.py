# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import csv
import io
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._dump_table import (
    Table,
    copy_statement,
    csv_header,
    csv_line,
    definition,
    find_table,
    opened,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.tests.unit.database_fakes import location

ROWS = {'public."Tags"': 3, "public.accounts": 2, "other.accounts": 1, 'public."odd.name"': 0}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("Tags", ("public", "Tags")),
        ('"Tags"', ("public", "Tags")),
        ("public.Tags", ("public", "Tags")),
        ('public."Tags"', ("public", "Tags")),
        ("other.accounts", ("other", "accounts")),
        ("odd.name", ("public", "odd.name")),
    ],
)
def test_a_table_is_found_by_any_way_to_write_it(wanted, expected):
    found = find_table("x.dump", wanted, ROWS)

    assert (found.schema, found.name) == expected


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("tags", 'tags is no table of x.dump. There are other.accounts, public."Tags"'),
        ("accounts", "accounts names several tables of x.dump. There are other.accounts, public.accounts."),
    ],
)
def test_a_table_that_is_not_there_or_not_the_only_one_is_refused(wanted, words):
    with pytest.raises(DatabaseError) as caught:
        find_table("x.dump", wanted, ROWS)

    assert words in str(caught.value)


def test_a_message_does_not_name_hundreds_of_tables():
    with pytest.raises(DatabaseError, match=r"public\.t19 and 10 more\."):
        find_table("x.dump", "no", {f"public.t{number:02}": 0 for number in range(30)})


# CSV


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"1\ttext", b"1,text\n"),
        (b"\\N\t", b',""\n'),
        (b"a\\tb\ta\\\\b", b"a\tb,a\\b\n"),
        (b"line\\nfeed\ta\\rb", b'"line\nfeed","a\rb"\n'),
        (b'say "x"\ta,b', b'"say ""x""","a,b"\n'),
        (b"\\\\N\t\\\\.", b'\\N,"\\."\n'),
        (b"\\b\\f\\v", b"\b\f\v\n"),
        (b"", b'""\n'),
    ],
    ids=["plain", "null and empty", "tab and backslash", "lines", "quotes", "no null, no end", "controls", "one empty"],
)
def test_a_row_becomes_csv(line, expected):
    assert csv_line(line) == expected


def test_a_reader_of_csv_gets_the_same_texts_back():
    values = ["", "a", 'q"q', "a,b", "n\nn", "t\tt", "b\\b", "r\rr", "\\.", "\\N", "é😀"]
    line = "\t".join(
        value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r") for value in values
    ).encode()

    (found,) = csv.reader(io.StringIO(csv_line(line).decode(), newline=""))

    assert found == values


def test_names_of_columns_are_quoted_where_they_have_to_be():
    assert csv_header(("id", "odd,name")) == b'id,"odd,name"\n'
    table = Table("x.dump", "public", 'Ta"gs', 0)
    assert copy_statement(table, ("id", 'na"me')) == 'COPY "public"."Ta""gs" ("id", "na""me") FROM stdin;'


# What pg_restore prints


@pytest.fixture
def dumped(tmp_path, monkeypatch):
    """Return a function that makes a dump, and a pg_restore that prints it without its mark."""

    def make(script, rows=2, code=0):
        programs = tmp_path / "bin"
        programs.mkdir(exist_ok=True)
        program = programs / "pg_restore"
        program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/asked\ntail -c +6\nexit {code}\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
        path = tmp_path / "x.dump.zst"
        compressed = subprocess.run(["zstd", "-q"], input=b"PGDMP" + script, capture_output=True, check=True).stdout
        path.write_bytes(compressed)
        return Table(str(path), "public", "Tags", rows)

    return make


SCRIPT = rb"""SET client_encoding = 'LATIN1';
SELECT pg_catalog.set_config('search_path', '', false);

COPY public."Tags" (id, "odd, (name)", "qu""ote") FROM stdin;
1	a	\N
2	COPY x (y) FROM stdin;	\\.
\.


--
"""


def test_rows_are_read_with_their_columns_and_encoding(dumped, tmp_path):
    with opened(dumped(SCRIPT), location(), 16) as rows:
        lines = list(rows.lines)

    assert (rows.columns, rows.encoding) == (("id", "odd, (name)", 'qu"ote'), "LATIN1")
    assert lines == [b"1\ta\t\\N", b"2\tCOPY x (y) FROM stdin;\t\\\\."]
    assert (tmp_path / "asked").read_text() == ("--section=data --no-owner --schema=public --table=Tags --file=-\n")


@pytest.mark.parametrize(
    ("script", "rows", "code", "words"),
    [
        (SCRIPT, 3, 0, 'holds 2 rows of public."Tags", and should hold 3'),
        (SCRIPT[: SCRIPT.index(b"\\.\n")], 2, 0, "holds 2 rows"),
        (b"-- nothing\n", 2, 0, 'holds no rows of public."Tags" that can be read'),
        (b"COPY public.\"Tags\" FROM PROGRAM 'sh';\n", 2, 0, "holds no rows"),
        (SCRIPT, 2, 1, "exited with 1"),
    ],
    ids=["other number", "no end", "no rows", "another statement", "failure"],
)
def test_rows_that_are_not_those_of_the_manifest_are_refused(dumped, script, rows, code, words):
    with pytest.raises(DatabaseError) as caught, opened(dumped(script, rows, code), location(), 16) as found:
        list(found.lines)

    assert words in str(caught.value)


DEFINITION = b"""--
CREATE TABLE public."Tags" (
    id integer NOT NULL,
    "odd name" character varying(255) DEFAULT 'x, y'::character varying,
    "twice" integer GENERATED ALWAYS AS ((id * 2)) STORED,
    at timestamp with time zone,
    CONSTRAINT positive CHECK ((id > 0))
);

CREATE TABLE other.more (
    no integer
);
"""


@pytest.mark.parametrize("kind", [b"CREATE TABLE ", b"CREATE UNLOGGED TABLE "])
def test_columns_are_read_with_what_follows_their_names_and_no_generated_one(dumped, kind):
    script = DEFINITION.replace(b"CREATE TABLE ", kind, 1).partition(b"CREATE TABLE other")[0]

    found = definition(dumped(script), location(), 16)

    assert found == {
        "id": "integer NOT NULL",
        "odd name": "character varying(255) DEFAULT 'x, y'::character varying",
        "at": "timestamp with time zone",
    }


def test_a_table_without_a_definition_is_refused(dumped):
    with pytest.raises(DatabaseError, match="holds no definition of a table"):
        definition(dumped(b"-- nothing\n"), location(), 16)
