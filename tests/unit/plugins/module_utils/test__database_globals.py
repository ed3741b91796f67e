# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _database_globals as roles
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError

SQL = r"""--
-- PostgreSQL database cluster dump
--

\restrict abc

SET default_transaction_read_only = off;

--
-- Roles
--

CREATE ROLE "App ""1"" x";
ALTER ROLE "App ""1"" x" WITH NOSUPERUSER LOGIN PASSWORD 'SCRAM-SHA-256$4096:x;y==';
COMMENT ON ROLE "App ""1"" x" IS 'it''s; the app';
CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER;
CREATE ROLE readers;
ALTER ROLE readers WITH NOLOGIN;

--
-- User Configurations
--

ALTER ROLE readers SET search_path TO 'a', 'b';

--
-- Role memberships
--

GRANT readers TO "App ""1"" x" WITH ADMIN OPTION, INHERIT TRUE GRANTED BY postgres;
GRANT pg_monitor TO postgres;

CREATE TABLESPACE fast OWNER postgres LOCATION '/fast';

\unrestrict abc
"""


def test_only_roles_that_the_server_lacks_are_missing():
    assert roles.missing_roles(SQL, ["postgres", "other"]) == {'App "1" x', "readers"}


def test_statements_about_existing_roles_and_tablespaces_are_left_out():
    chosen = roles.for_roles(SQL, frozenset({'App "1" x', "readers"}))

    assert chosen == [
        'CREATE ROLE "App ""1"" x"',
        'ALTER ROLE "App ""1"" x" WITH NOSUPERUSER LOGIN PASSWORD \'SCRAM-SHA-256$4096:x;y==\'',
        'COMMENT ON ROLE "App ""1"" x" IS \'it\'\'s; the app\'',
        "CREATE ROLE readers",
        "ALTER ROLE readers WITH NOLOGIN",
        "ALTER ROLE readers SET search_path TO 'a', 'b'",
        'GRANT readers TO "App ""1"" x" WITH ADMIN OPTION, INHERIT TRUE',
    ]


def test_nothing_is_chosen_when_nothing_is_missing():
    assert roles.for_roles(SQL, frozenset()) == []


def test_an_uncompressed_file_is_read(tmp_path):
    (tmp_path / "roles.sql").write_text(SQL)

    assert roles.read_globals(str(tmp_path / "roles.sql")) == SQL


def test_another_file_is_refused(tmp_path):
    (tmp_path / "roles.sql").write_text("CREATE ROLE x;")

    with pytest.raises(StoreError, match="is not a dump of this collection"):
        roles.read_globals(str(tmp_path / "roles.sql"))
