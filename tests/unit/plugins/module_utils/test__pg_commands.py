# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _pg_commands as commands


@pytest.mark.parametrize(
    ("database", "expected"),
    [
        pytest.param("crm", "port='5432' user='postgres' dbname='crm'", id="plain"),
        pytest.param("a b", "port='5432' user='postgres' dbname='a b'", id="space"),
        pytest.param("it's", r"port='5432' user='postgres' dbname='it\'s'", id="quote"),
        pytest.param("a\\b", r"port='5432' user='postgres' dbname='a\\b'", id="backslash"),
        pytest.param("x host=evil", "port='5432' user='postgres' dbname='x host=evil'", id="another parameter"),
        pytest.param("postgres://evil/x", "port='5432' user='postgres' dbname='postgres://evil/x'", id="a URI"),
    ],
)
def test_no_name_of_a_database_is_taken_for_something_else(database, expected):
    assert commands.conninfo(database=database, user="postgres", port=5432) == expected


def test_a_host_is_named_only_when_there_is_one():
    assert commands.conninfo(database="d", user="u", port=1, host="h") == "host='h' port='1' user='u' dbname='d'"


def test_the_password_goes_into_the_environment_and_nowhere_else():
    env = commands.environment(password="s3cret", application="crm.continuity tool 1", sslmode="require")

    assert env["PGPASSWORD"] == "s3cret"
    assert env["PGSSLMODE"] == "require"
    assert "s3cret" not in str({key: value for key, value in env.items() if key != "PGPASSWORD"})


def test_without_a_password_none_is_set():
    assert "PGPASSWORD" not in commands.environment(password=None, application="x")


def test_settings_of_the_session_are_options():
    env = commands.environment(password=None, application="x", settings={"b": "off", "a": "128MB"})

    assert env["PGOPTIONS"] == "-c a=128MB -c b=off"


def test_a_dump_is_left_uncompressed_and_of_one_snapshot():
    argv = commands.dump("dbname='crm'", snapshot="00000003-1", lock_timeout=60)

    assert argv[0] == "pg_dump"
    assert {"--format=custom", "--compress=0", "--snapshot=00000003-1", "--no-password"} <= set(argv)
    assert "--lock-wait-timeout=60000" in argv


@pytest.mark.parametrize(("allowed", "hidden"), [(True, False), (False, True)])
def test_only_a_superuser_asks_for_passwords_of_roles(allowed, hidden):
    argv = commands.dump_globals("user='u'", role_passwords=allowed)

    assert ("--no-role-passwords" in argv) is hidden


def test_a_restore_stops_at_the_first_error():
    argv = commands.restore("dbname='x'", "/dump", section="data", jobs=3)

    assert "--exit-on-error" in argv
    assert {"--no-owner", "--section=data", "--jobs=3", "--dbname=dbname='x'"} <= set(argv)
    assert argv[-1] == "/dump"
    assert "--no-privileges" not in argv


def test_a_restore_can_be_another_role_without_grants_from_a_list():
    argv = commands.restore("c", "/dump", section="pre-data", role="app", privileges=False, use_list="/list")

    assert {"--role=app", "--no-privileges", "--use-list=/list"} <= set(argv)


@pytest.mark.parametrize(
    ("schema", "name", "expected"),
    [
        ("public", "messages", "public.messages"),
        ("public", "Messages", 'public."Messages"'),
        ("Odd schema", 'a "b"', '"Odd schema"."a ""b"""'),
        ("public", "user", "public.user"),
    ],
)
def test_a_table_is_called_by_its_name_quoted_where_needed(schema, name, expected):
    assert commands.label(schema, name) == expected


def test_texts_and_names_cannot_end_early():
    assert commands.identifier('a"; DROP') == '"a""; DROP"'
    assert commands.literal("it's \\") == r"E'it''s \\'"


def test_the_roles_are_asked_for_in_the_database_that_is_known_to_let_us_in():
    argv = commands.dump_globals("user='u' dbname='d'", role_passwords=True)

    assert argv[-2:] == ["--dbname=user='u' dbname='d'", "--database=user='u' dbname='d'"]


def test_one_table_is_read_out_of_a_dump_by_its_exact_name():
    assert commands.restore_table("public", "Odd name", section="data") == [
        "pg_restore",
        "--section=data",
        "--no-owner",
        "--schema=public",
        "--table=Odd name",
        "--file=-",
    ]


def test_the_rows_of_one_table_are_restored_strictly():
    argv = commands.restore_rows_of("dbname=x", "/a.dump", "public", "Tags")

    assert argv[-2:] == ["--dbname=dbname=x", "/a.dump"]
    assert {"--exit-on-error", "--section=data", "--schema=public", "--table=Tags"} <= set(argv)


def test_a_script_that_commits_by_itself_stops_at_the_first_error():
    argv = commands.dialogue("dbname=x")

    assert {"--set=ON_ERROR_STOP=1", "--no-psqlrc", "--file=-"} <= set(argv)
    # It would commit what a script that was cut off has done so far.
    assert "--single-transaction" not in argv


@pytest.mark.parametrize(
    ("printed", "known"),
    [
        ("psql (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)", False),
        ("psql (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", True),
        ("psql (PostgreSQL) 17.5", False),
        ("psql (PostgreSQL) 17.6", True),
        ("psql (PostgreSQL) 18.0", True),
        ("psql (PostgreSQL) 18beta1", True),
        ("psql (PostgreSQL) 12.22", False),
        ("no psql", False),
    ],
)
def test_by_its_version_psql_knows_how_to_refuse_commands(printed, known):
    assert commands.can_restrict(printed) is known


def test_a_script_is_played_in_one_transaction_until_the_first_error():
    argv = commands.play("dbname='crm'")

    assert argv[0] == "psql"
    assert {"--single-transaction", "--set=ON_ERROR_STOP=1", "--set=VERBOSITY=terse", "--file=-"} <= set(argv)
