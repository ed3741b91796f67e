# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _sql_script
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._sql_script import Command, Comment, Script, Statement

ROUTINE = b"CREATE OR REPLACE FUNCTION f() RETURNS int\nBEGIN ATOMIC\n SELECT CASE WHEN a THEN 1 END;\n SELECT 2;\nEND"


def parts(text, *, step=1 << 20):
    """Return all parts of a script that arrives in pieces of ``step`` bytes, rows as they are."""
    stream = io.BytesIO(text)
    script = Script(lambda size: stream.read(min(step, size)), "x.sql")
    found = []
    for part in script.parts():
        found.append(part)
        if isinstance(part, Statement) and part.sql.startswith(b"COPY"):
            found.append(b"".join(script.rows()))
    return found


def statements(text, **more):
    return [part.sql for part in parts(text, **more) if isinstance(part, Statement)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(b"SET a = 1;\nSET b = 2; SET c = 3;\n", [b"SET a = 1", b"SET b = 2", b"SET c = 3"], id="several"),
        pytest.param(b"CREATE TABLE a (\n  b int\n);\n", [b"CREATE TABLE a (\n  b int\n)"], id="over lines"),
        pytest.param(b"SELECT ';';\n", [b"SELECT ';'"], id="in a text"),
        pytest.param(b"SELECT 'it''s;';\n", [b"SELECT 'it''s;'"], id="doubled quote"),
        pytest.param(b"SELECT E'\\';';\n", [b"SELECT E'\\';'"], id="escaped quote"),
        pytest.param(b"SELECT e'\\\\';\n", [b"SELECT e'\\\\'"], id="escaped backslash"),
        pytest.param(b"SELECT 'C:\\';\n", [b"SELECT 'C:\\'"], id="a backslash in a plain text"),
        pytest.param(b"SELECT nameE'\\';\n", [b"SELECT nameE'\\'"], id="a longer word than E"),
        pytest.param(b'COMMENT ON TABLE "a;""b" IS NULL;\n', [b'COMMENT ON TABLE "a;""b" IS NULL'], id="in a name"),
        pytest.param(b"SELECT $$;'$$;\n", [b"SELECT $$;'$$"], id="dollars"),
        pytest.param(b"SELECT $b$$b$e'\\';';\n", [b"SELECT $b$$b$e'\\';'"], id="E behind dollars"),
        pytest.param(b"SELECT E 'a\\';\n", [b"SELECT E 'a\\'"], id="E that stands alone"),
        pytest.param(b"SELECT ::E'\\';';\n", [b"SELECT ::E'\\';'"], id="E behind a cast"),
        pytest.param(b"SELECT $a$ $$;\n$b$; $a$;\n", [b"SELECT $a$ $$;\n$b$; $a$"], id="dollars with a name"),
        pytest.param(b"SELECT a$b$;\n", [b"SELECT a$b$"], id="dollars in a word"),
        pytest.param(b"CREATE RULE r AS DO (a;\nb);\n", [b"CREATE RULE r AS DO (a;\nb)"], id="in parentheses"),
        pytest.param(b"SELECT 1 -- no; end\n;\n", [b"SELECT 1 -- no; end"], id="in a comment"),
        pytest.param(
            ROUTINE + b";\nSET x = 1;\n",
            [ROUTINE, b"SET x = 1"],
            id="in the body of a routine",
        ),
        pytest.param(b"CREATE TABLE begin;\nSET x = 1;\n", [b"CREATE TABLE begin", b"SET x = 1"], id="no routine"),
        pytest.param(b"SELECT 'a'\n;\n", [b"SELECT 'a'"], id="a text and the end in the next line"),
        pytest.param(b'SELECT a[1:2]::"x";\n', [b'SELECT a[1:2]::"x"'], id="a cast"),
        pytest.param("SELECT 'ação;';\n".encode(), ["SELECT 'ação;'".encode()], id="other letters"),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1 << 20])
def test_a_statement_ends_where_psql_sees_its_end(text, found, step):
    assert statements(text, step=step) == found


@pytest.mark.parametrize("step", [1, 2, 3, 5, 1 << 20])
@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(b"", id="none"),
        pytest.param(b"1\ta\n2\t\\N\n", id="two"),
        pytest.param(b"\n\n", id="empty lines"),
        pytest.param(b"a\\\\.\n\\\\.\n.\n", id="almost the end"),
        pytest.param(b"'; DROP TABLE x;\n\t\\n\n", id="what would be SQL"),
    ],
)
def test_rows_are_passed_as_they_are(rows, step):
    found = parts(b"COPY public.a (b) FROM stdin;\n" + rows + b"\\.\n\nSET x = 1;\n", step=step)

    assert found[1] == rows
    assert found[2].sql == b"SET x = 1"


def test_the_number_of_a_line_counts_rows_too():
    found = parts(b"--\n\nCOPY a FROM stdin;\n1\n2\n\\.\n\nSET\n x = 1;\n")

    assert [part.line for part in found if isinstance(part, Statement)] == [3, 8]


def test_commands_and_comments_between_statements_are_told_apart():
    found = parts(b"-- words\n\\restrict abc\nSET a = 1;\n\\unrestrict abc\n")

    assert found[0] == Comment(b"-- words")
    assert found[1] == Command((b"\\restrict", b"abc"), 2)
    assert found[3] == Command((b"\\unrestrict", b"abc"), 4)


def test_the_words_of_a_statement_leave_out_quotes_and_parentheses():
    (found,) = parts(b"INSERT INTO public.\"values\" (values) VALUES (1, 'values (('), (2, ';');\n")

    assert found.words == (b"insert", b"into", b"public", b"(", b"values", b"(", b"(")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"SELECT 1 \\! touch x\n;\n", "holds a command for psql", id="in a statement"),
        pytest.param(b"SET a = 1; \\! touch x\n", "holds a command for psql", id="after a statement"),
        pytest.param(b"SELECT 'a' \\gexec\n;\n", "holds a command for psql", id="after a text"),
        pytest.param(b"  \\! touch x\n", "holds a command for psql", id="after blanks"),
        pytest.param(b"/* ' */ SELECT 1;\n", r"comment in /\*", id="a comment that hides a quote"),
        pytest.param(b"SELECT 'a'\n'b\\';\n", "a text in several parts", id="a text in parts"),
        pytest.param(b"SELECT E'a'\n -- words\n 'b\\';\n", "a text in several parts", id="with a comment between"),
        pytest.param(b"SELECT :'a';\n", "a variable of psql", id="a variable"),
        pytest.param(b"SELECT :E'\\'\n\\! x\n';\n", "a variable of psql", id="a variable that looks like E"),
        pytest.param(b"SELECT 1$a$;$a$;\n", "a number that runs into", id="a number before dollars"),
        pytest.param(b"SELECT 1E'\\';\n", "a number that runs into", id="a number before E"),
        pytest.param(b"SELECT $1$a$;\n", "a number that runs into", id="a parameter before dollars"),
        pytest.param(b"SELECT 1;\r\n", "as on Windows", id="Windows"),
        pytest.param(b"SELECT 1 -- a\r\\! touch x\n;\n", "as on Windows", id="a comment that psql ends sooner"),
        pytest.param(b"-- a\r\\! touch x\n", "as on Windows", id="and one between statements"),
        pytest.param(b"SELECT 'a\0';\n", "a zero byte", id="zero byte in a text"),
        pytest.param(b"COPY a FROM stdin;\nx\0\n\\.\n", "a zero byte", id="zero byte in a row"),
        pytest.param(b"COPY a FROM stdin; SELECT 1;\n\\.\n", "goes on in the line of a COPY", id="after COPY"),
        pytest.param(b"COPY a FROM stdin;\n1\n\\.\r\n\\! x\n\\.\n", "begins like the end", id="end with a return"),
        pytest.param(b"COPY a FROM stdin;\n\\. \n\\.\n", "begins like the end", id="end with a blank"),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_what_psql_may_understand_differently_is_refused(text, words, step):
    with pytest.raises(StoreError, match=words):
        parts(text, step=step)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"SET a", "middle of a statement"),
        (b"SELECT 'a;\n", "middle of a statement"),
        (b"SELECT $$ a;\n", "middle of a statement"),
        (b"COPY a FROM stdin;\n1\n2", "middle of the rows"),
        (b"COPY a FROM stdin;\n1\n\\.", "middle of the rows"),
        (b"COPY a FROM stdin;\n", "middle of the rows"),
    ],
)
def test_a_script_that_ends_too_soon_is_truncated(text, words):
    with pytest.raises(StoreError, match=f"x.sql is truncated: .*{words}"):
        parts(text)


def test_a_statement_without_end_does_not_fill_the_memory(monkeypatch):
    monkeypatch.setattr(_sql_script, "LONGEST_STATEMENT", 1 << 20)
    monkeypatch.setattr(_sql_script, "CHUNK", 1 << 16)
    given = []

    def read(size):
        given.append(size)
        return b"x" * size

    with pytest.raises(StoreError, match="a statement of more than 1 MiB"):
        list(Script(read, "x.sql").parts())

    assert sum(given) <= 2 << 20
