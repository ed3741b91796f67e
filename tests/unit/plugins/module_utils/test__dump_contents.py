# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _dump_contents as dump
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError

LISTING = """;
; Archive created at 2026-11-21 20:11:07 UTC
;     dbname: crm
;     TOC Entries: 22
;
7; 2615 16388 SCHEMA - ext postgres
2; 3079 16389 EXTENSION - unaccent
3372; 0 0 COMMENT - EXTENSION unaccent
3400; 0 0 COMMENT public TABLE t postgres
217; 1259 16401 TABLE public TABLE DATA postgres
3359; 0 16401 TABLE DATA public e postgres
3358; 0 16396 TABLE DATA public t postgres
3362; 0 0 BLOBS - BLOBS
3360; 0 16405 MATERIALIZED VIEW DATA public m postgres
"""

SCRIPT = r"""--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;

--
-- Name: crm; Type: DATABASE; Schema: -; Owner: postgres
--

CREATE DATABASE crm WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8';


ALTER DATABASE crm OWNER TO postgres;

\unrestrict abc
\connect crm
\restrict abc

--
-- Name: DATABASE crm; Type: COMMENT; Schema: -; Owner: postgres
--

COMMENT ON DATABASE crm IS 'it''s {ours}; crm';


--
-- Name: crm; Type: DATABASE PROPERTIES; Schema: -; Owner: postgres
--

ALTER DATABASE crm SET search_path TO 'public', 'other x';
ALTER DATABASE crm SET app.token TO 's3cret
of two lines';
ALTER DATABASE crm IS_TEMPLATE = true;
ALTER DATABASE crm CONNECTION LIMIT = 7;
ALTER ROLE "App" IN DATABASE crm SET statement_timeout TO '7s';


--
-- Name: ext; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA ext;


--
-- Name: unaccent; Type: EXTENSION; Schema: -; Owner: -
--

CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA ext;


--
-- Name: sneaky(); Type: FUNCTION; Schema: public; Owner: postgres; Tablespace: x
--

CREATE FUNCTION public.sneaky() RETURNS void LANGUAGE sql AS $$
GRANT SELECT ON t TO "not a role";
$$;


--
-- Name: DATABASE crm; Type: ACL; Schema: -; Owner: postgres
--

REVOKE CONNECT,TEMPORARY ON DATABASE crm FROM PUBLIC;
GRANT CONNECT ON DATABASE crm TO app;


--
-- Name: TABLE t; Type: ACL; Schema: public; Owner: postgres
--

SET SESSION AUTHORIZATION granter;
GRANT SELECT ON TABLE public.t TO "Reports ""x"" y" WITH GRANT OPTION;
RESET SESSION AUTHORIZATION;
REVOKE ALL ON TABLE public.t FROM PUBLIC;


--
-- Name: DEFAULT PRIVILEGES FOR TABLES; Type: DEFAULT ACL; Schema: public; Owner: postgres
--

ALTER DEFAULT PRIVILEGES FOR ROLE maker IN SCHEMA public GRANT SELECT ON TABLES  TO reader;


--
-- PostgreSQL database dump complete
--
"""


@pytest.fixture(scope="module")
def contents():
    return dump.contents(LISTING, SCRIPT)


def test_a_dump_says_what_it_is_of(contents):
    assert (contents.server_version, contents.server_major) == ("15.18", 15)
    assert (contents.database, contents.owner) == ("crm", "postgres")
    assert contents.extensions == ("unaccent",)
    assert contents.schemas == ("ext",)


def test_only_tables_with_rows_are_counted(contents):
    assert contents.table_data == 2


def test_encoding_and_locale_are_kept_as_sql(contents):
    assert contents.create_options == "ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C.UTF-8'"


@pytest.mark.parametrize(
    ("created", "options"),
    [
        pytest.param(
            "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'en_US.utf8'",
            "ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'en_US.utf8'",
            id="12",
        ),
        pytest.param(
            "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' "
            "ICU_LOCALE = 'pt-BR'",
            "ENCODING = 'UTF8' LOCALE_PROVIDER = icu LOCALE = 'C' ICU_LOCALE = 'pt-BR'",
            id="icu",
        ),
        pytest.param(
            "CREATE DATABASE a WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = builtin "
            "BUILTIN_LOCALE = 'C.UTF-8'",
            "ENCODING = 'UTF8' LOCALE_PROVIDER = builtin BUILTIN_LOCALE = 'C.UTF-8'",
            id="builtin",
        ),
    ],
)
def test_every_way_to_name_a_locale_is_understood(created, options):
    script = f"-- Dumped from database version 17.1\n-- Name: a; Type: DATABASE; Schema: -; Owner: x\n{created};\n"

    assert dump.contents("", script).create_options == options


def test_settings_are_kept_for_a_database_of_another_name(contents):
    settings = [dump.for_database(statement, "b") for statement in contents.settings]

    assert settings == [
        "COMMENT ON DATABASE \"b\" IS 'it''s {ours}; crm'",
        "ALTER DATABASE \"b\" SET search_path TO 'public', 'other x'",
        "ALTER DATABASE \"b\" SET app.token TO 's3cret\nof two lines'",
        'ALTER DATABASE "b" CONNECTION LIMIT = 7',
        'ALTER ROLE "App" IN DATABASE "b" SET statement_timeout TO \'7s\'',
        'REVOKE CONNECT,TEMPORARY ON DATABASE "b" FROM PUBLIC',
        'GRANT CONNECT ON DATABASE "b" TO app',
    ]


def test_the_roles_that_grants_need_are_named_and_no_others(contents):
    roles = {dump.role_of(statement) for statement in contents.settings if dump.is_privilege(statement)}

    assert contents.grantees == {"app", 'Reports "x" y', "granter", "maker", "reader"}
    assert roles == {"App", "app", None}


def test_a_value_is_left_out_of_messages(contents):
    words = [dump.without_value(statement) for statement in contents.settings]

    assert "ALTER DATABASE SET app.token" in words
    assert "s3cret" not in str(words)


def test_what_pg_dump_did_not_write_is_refused():
    with pytest.raises(DatabaseError, match="not written by pg_dump"):
        dump.contents("", "SELECT 1;")


def test_schemas_and_extensions_can_be_restored_before_the_rest():
    first, rest = dump.without_schemas_and_extensions(LISTING)

    assert [line.split(" ")[0] for line in first.splitlines()] == ["7;", "2;", "3372;"]
    assert "COMMENT public TABLE t" in rest
    assert "TABLE DATA public e" in rest


def test_statements_end_at_semicolons_outside_of_texts_names_and_comments():
    sql = "-- a; comment\n\\restrict x\nSELECT 'a;''b';\nSELECT \"c;\"\"d\";\n\nSELECT 1"

    assert dump.statements(sql) == ["SELECT 'a;''b'", 'SELECT "c;""d"']
