# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import socket
from types import SimpleNamespace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._database import Connection, PostgreSQL, connect
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError

psycopg2 = pytest.importorskip("psycopg2")

CONNECTION = Connection("127.0.0.1", 1, "crm", "chatwoot", password="s3cret", password_source="the option password")


class Session:
    """A session of psycopg2 that gives prepared answers: a list of rows for the statement that contains a text."""

    def __init__(self, answers, version=150018):
        self.answers = answers
        self.server_version = version
        self.statements = []
        self.closed = 0

    def fileno(self):
        # Somewhere that can be written to.
        return 2

    def cursor(self):
        return Cursor(self)

    def close(self):
        self.closed = 1


class Cursor:
    def __init__(self, session):
        self.session = session
        self.rows = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    rowcount = 2

    def copy_expert(self, sql, file, size):
        self.session.statements.append(sql)
        refusal = self.session.answers.get("COPY")
        if isinstance(refusal, Exception):
            raise refusal
        try:
            self.session.copied = file.read(size) if "FROM" in sql else file.write(b"sent")
        except Exception:
            # As psycopg2 does: the server is told, and the reason is lost.
            raise Refusal("57014", "COPY from stdin failed: error in .read() call") from None

    def execute(self, sql, parameters):
        self.session.statements.append(sql)
        self.rows = next((rows for words, rows in self.session.answers.items() if words in sql), None)
        if isinstance(self.rows, Exception):
            raise self.rows

    @property
    def description(self):
        return None if self.rows is None else ()

    def fetchall(self):
        return self.rows


class Refusal(psycopg2.Error):
    """What psycopg2 raises for an answer of the server, whose attributes cannot be set from Python."""

    def __init__(self, code, message, detail=None, context=None):
        super().__init__(message)
        self.fields = SimpleNamespace(message_primary=message, message_detail=detail, context=context)
        self.code = code

    pgcode = property(lambda self: self.code)
    diag = property(lambda self: self.fields)


def database(answers, **more):
    return PostgreSQL(Session(answers, **more), CONNECTION)


def test_rows_are_counted_by_quoted_table():
    found = database({"relkind = 'r'": [("public", "Messages"), ("a b", 'c"d')], '"Messages"': [(7,)], 'c""d': [(0,)]})

    assert found.row_counts() == {'public."Messages"': 7, '"a b"."c""d"': 0}
    assert found._session.statements[1:] == [
        'SELECT count(*) FROM ONLY "public"."Messages"',
        'SELECT count(*) FROM ONLY "a b"."c""d"',
    ]


def test_an_exported_snapshot_is_read_only_and_ends_with_the_block():
    found = database({"pg_export_snapshot": [("00000003-1", "2026-11-21T02:00:00.123Z")]})

    with found.snapshot() as moment:
        assert (moment.id, moment.cut_time) == ("00000003-1", "2026-11-21T02:00:00.123Z")

    assert found._session.statements[0] == "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    assert found._session.statements[-1] == "ROLLBACK"


def test_the_snapshot_of_another_session_is_joined_and_not_exported_again():
    found = database({})

    with found.snapshot("00000003-1") as moment:
        assert moment.id == "00000003-1"

    assert found._session.statements[1] == "SET TRANSACTION SNAPSHOT E'00000003-1'"
    assert not any("pg_export_snapshot" in sql for sql in found._session.statements)


def test_facts_do_not_depend_on_columns_that_only_newer_servers_have():
    row = {"datname": "crm", "datcollate": "C", "datctype": "C"}
    found = database(
        {
            "to_jsonb": [(row, "owner", "UTF8", 8192)],
            "SHOW server_version": [("12.20 (Debian 12.20-1)",)],
            "pg_extension": [("plpgsql", "1.0")],
            "pg_namespace": [("public",)],
        },
        version=120020,
    ).facts()

    assert (found.server_version, found.locale_provider, found.collation_version) == ("12.20", "libc", None)


@pytest.mark.parametrize(("version", "force"), [(150018, True), (120020, False)])
def test_dropping_ends_the_sessions_on_every_version(version, force):
    found = database({}, version=version)

    found.drop_database("a")

    assert ("WITH (FORCE)" in found._session.statements[-1]) is force
    assert force or "pg_terminate_backend" in found._session.statements[0]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        pytest.param("42501", "User crm is not allowed to do this in database chatwoot", id="permission"),
        pytest.param("53100", "disk of the PostgreSQL server is full", id="full disk"),
        pytest.param("57P01", "was ended by the server", id="terminated"),
        pytest.param("42601", "PostgreSQL refused a statement in database chatwoot", id="anything else"),
    ],
)
def test_a_refused_statement_says_where_and_why(code, words):
    with pytest.raises(DatabaseError, match=f"{words}.*the reason") as raised:
        database({"SELECT": Refusal(code, "the reason")}).execute("SELECT 1")

    assert raised.value.details["sqlstate"] == code
    assert "s3cret" not in str(raised.value)


def test_a_server_that_is_not_there_is_named_with_user_and_database():
    with pytest.raises(DatabaseError, match=r"No PostgreSQL answers at 127.0.0.1:1 \(user crm, database chatwoot\)"):
        connect(CONNECTION)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        pytest.param('password authentication failed for user "crm"', "taken from: the option password", id="password"),
        pytest.param('no pg_hba.conf entry for host "1.2.3.4"', "taken from: the option password", id="pg_hba"),
        pytest.param(
            'no pg_hba.conf entry for host "1.2.3.4", user "crm", database "chatwoot", no encryption',
            "do not agree on encryption .* Check sslmode",
            id="encryption",
        ),
        pytest.param("connection requires a valid client certificate", "Check sslmode", id="client certificate"),
        pytest.param('database "chatwoot" does not exist', "Check both names", id="no database"),
        pytest.param("sorry, too many clients already", "Raise max_connections", id="too many"),
        pytest.param("the database system is starting up", "is not ready", id="starting"),
        pytest.param("autenticação do tipo senha falhou", "refused user crm to database chatwoot", id="other language"),
    ],
)
def test_a_refused_connection_says_what_to_do_and_never_the_password(answer, words):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with Answering(listener, answer), pytest.raises(DatabaseError, match=words) as raised:
            connect(
                Connection(
                    "127.0.0.1",
                    port,
                    "crm",
                    "chatwoot",
                    password="s3cret",
                    password_source="the option password",
                    sslmode="disable",
                )
            )

    assert f"127.0.0.1:{port}" in str(raised.value)
    assert "s3cret" not in str(raised.value)


class Answering:
    """A server that refuses the first connection with these words."""

    def __init__(self, listener, words):
        import threading

        self.listener = listener
        fields = b"SFATAL\0VFATAL\0C28P01\0M" + words.encode() + b"\0\0"
        self.message = b"E" + (len(fields) + 4).to_bytes(4, "big") + fields
        self.thread = threading.Thread(target=self.answer)

    def answer(self):
        peer, _address = self.listener.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(self.message)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *exception):
        self.thread.join()


def test_a_transaction_ends_with_its_block():
    found = database({})

    with found.transaction():
        found.execute("SELECT 1")

    assert found._session.statements == ["BEGIN", "SELECT 1", "COMMIT"]


def test_a_transaction_whose_block_fails_never_happened():
    found = database({})

    def fail():
        with found.transaction():
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        fail()

    assert found._session.statements == ["BEGIN", "ROLLBACK"]


def test_bytes_are_copied_as_they_are_both_ways():
    found, sink = database({}), io.BytesIO()

    assert found.copy_from("COPY t FROM STDIN", io.BytesIO(b"1,\\x")) == 2
    assert found._session.copied == b"1,\\x"
    assert found.copy_to("COPY t TO STDOUT", sink) == 2
    assert sink.getvalue() == b"sent"


class Broken:
    def read(self, size):
        raise OSError("the disk is gone")

    write = read


def test_what_fails_at_our_end_of_a_copy_is_what_is_raised():
    for copy, sql in ((database({}).copy_from, "COPY t FROM STDIN"), (database({}).copy_to, "COPY t TO STDOUT")):
        with pytest.raises(OSError, match="the disk is gone"):
            copy(sql, Broken())


@pytest.mark.parametrize(
    ("context", "place"),
    [
        pytest.param('COPY Users, line 7, column super: "maybe"', {"line": 7, "column": "super"}, id="value"),
        pytest.param('COPY Users, line 7: "1,s3cret"', {"line": 7, "column": None}, id="row"),
        pytest.param("COPY Users, line 7", {"line": 7, "column": None}, id="key"),
        pytest.param(None, {}, id="nowhere"),
    ],
)
def test_a_refused_row_is_found_by_line_and_column_and_not_shown(context, place):
    found = database({"COPY": Refusal("22P02", "invalid input", context=context)})

    with pytest.raises(DatabaseError, match="invalid input") as raised:
        found.copy_from("COPY t FROM STDIN", io.BytesIO(b""))

    assert raised.value.details == {"sqlstate": "22P02", **place}
    assert "s3cret" not in str(raised.value)
