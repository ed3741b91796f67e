# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
from dataclasses import replace
from types import SimpleNamespace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _database_restore as restore
from ansible_collections.crm.continuity.plugins.module_utils._database import Facts, Role
from ansible_collections.crm.continuity.plugins.module_utils._dump_contents import Contents
from ansible_collections.crm.continuity.plugins.module_utils._dump_file import DumpFile
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.tests.unit.database_fakes import location

ROLES = frozenset({"postgres", "crm"})
SUPERUSER = Role("postgres", True, True)
PLAIN = Role("app", False, True)


def dump_file(**more):
    facts = {
        "server_version": "15.18",
        "server_major": 15,
        "database": "crm",
        "owner": "crm",
        "create_options": "",
        "schemas": (),
        "extensions": ("unaccent", "vector"),
        "table_data": 3,
        "settings": (),
        "grantees": frozenset(),
        "listing": "",
    }
    plain_size = more.pop("plain_size", 100)
    return DumpFile("/b/crm.dump.zst", "zstd", 10, plain_size, Contents(**{**facts, **more}))


def facts(**more):
    found = {
        "name": "crm",
        "owner": "crm",
        "server_version": "15.18",
        "server_version_num": 150018,
        "encoding": "UTF8",
        "collate": "pt_BR.utf8",
        "ctype": "it's",
        "locale_provider": "libc",
        "locale": None,
        "collation_version": None,
        "extensions": {},
        "schemas": (),
        "size": 1,
    }
    return Facts(**{**found, **more})


@pytest.mark.parametrize(
    ("differing", "options"),
    [
        ({}, "LOCALE_PROVIDER = 'libc' LC_COLLATE = 'pt_BR.utf8'"),
        ({"server_version_num": 140018}, "LC_COLLATE = 'pt_BR.utf8'"),
        (
            {"locale_provider": "icu", "locale": "pt-BR"},
            "LOCALE_PROVIDER = 'icu' ICU_LOCALE = 'pt-BR' LC_COLLATE = 'pt_BR.utf8'",
        ),
        (
            {"locale_provider": "builtin", "locale": "C.UTF-8"},
            "LOCALE_PROVIDER = 'builtin' BUILTIN_LOCALE = 'C.UTF-8' LC_COLLATE = 'pt_BR.utf8'",
        ),
    ],
)
def test_a_database_is_created_like_another_one(differing, options):
    assert restore.create_options(facts(**differing)) == f"ENCODING = 'UTF8' {options} LC_CTYPE = 'it''s'"


class Counted:
    """A scratch database with these rows."""

    def __init__(self, dump, rows):
        self.dump = dump
        self._rows = rows

    @contextlib.contextmanager
    def session(self):
        yield SimpleNamespace(row_counts=lambda: self._rows)


def test_a_dump_that_tells_its_rows_is_compared_with_them():
    dump = replace(dump_file(), rows={"public.a": 2})

    assert restore.prove(Counted(dump, {"public.a": 2}), request()) == {"public.a": 2}
    with pytest.raises(DatabaseError, match=r"public\.a has 1 rows instead of 2"):
        restore.prove(Counted(dump, {"public.a": 1}), request())


def test_rows_that_were_given_count_more_than_those_of_the_dump():
    dump = replace(dump_file(), rows={"public.a": 2})

    with pytest.raises(DatabaseError, match=r"public\.a has 2 rows instead of 3"):
        restore.prove(Counted(dump, {"public.a": 2}), request(rows={"public.a": 3}))


def request(**more):
    return restore.Request("crm", "/b/crm.dump.zst", **more)


def check_server(version=150018, extensions=None, role=SUPERUSER, **contents):
    extensions = {"unaccent": True, "vector": False} if extensions is None else extensions
    restore._check_server(dump_file(**contents), version, extensions, role, location())


@pytest.mark.parametrize(
    ("live", "reason"),
    [
        pytest.param(None, "database crm does not exist", id="absent"),
        pytest.param({}, "database crm is empty", id="empty"),
    ],
)
def test_a_database_without_data_is_filled_without_asking(live, reason):
    assert restore._reason(request(), live) == reason


def test_a_database_with_data_is_refused_with_its_tables_and_rows():
    with pytest.raises(
        DatabaseError, match=r"2 tables with 5 rows \(public.b: 4, public.a: 1\).*replace=true"
    ) as raised:
        restore._reason(request(), {"public.a": 1, "public.b": 4})

    assert raised.value.details["rows"] == {"public.a": 1, "public.b": 4}


def test_a_database_with_data_is_replaced_on_request():
    assert "2 tables with 5 rows" in restore._reason(request(replace=True), {"public.a": 1, "public.b": 4})


@pytest.mark.parametrize(
    ("found", "differences"),
    [
        pytest.param({"a": 1, "b": 2}, [], id="equal"),
        pytest.param({"a": 1}, ["b is missing"], id="missing"),
        pytest.param({"a": 1, "b": 2, "c": 0}, ["c is not in the backup's list"], id="too many"),
        pytest.param({"a": 0, "b": 2}, ["a has 0 rows instead of 1"], id="rows"),
    ],
)
def test_every_difference_in_rows_is_found(found, differences):
    assert restore.compare_rows({"a": 1, "b": 2}, found) == differences


def test_a_fitting_server_is_accepted():
    check_server()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param({"version": 140011}, "is of PostgreSQL 15, and container db runs 14", id="older server"),
        pytest.param({"extensions": {"unaccent": True}}, "does not have: vector", id="no such extension"),
        pytest.param({"role": PLAIN}, "only a superuser may create: vector", id="no superuser"),
        pytest.param({"role": Role("app", False, False)}, "ALTER ROLE app CREATEDB", id="may not create"),
    ],
)
def test_a_server_that_cannot_hold_the_dump_is_refused(more, words):
    with pytest.raises(DatabaseError, match=words):
        check_server(**more)


def test_a_plain_user_may_restore_trusted_extensions():
    check_server(role=PLAIN, extensions=("unaccent",) and {"unaccent": True, "vector": True})


def test_roles_that_grants_need_are_asked_for():
    contents = dump_file(
        grantees=frozenset({"reader", "crm"}), settings=("ALTER ROLE job IN DATABASE {database} SET a TO 'b'",)
    ).contents

    with pytest.raises(DatabaseError, match=r"does not have: job, reader\."):
        restore._check_roles(request(), contents, "crm", ROLES)


def test_without_grants_no_roles_are_needed():
    contents = dump_file(grantees=frozenset({"reader"})).contents

    restore._check_roles(request(privileges=False), contents, "crm", ROLES)


def test_an_owner_that_does_not_exist_is_refused():
    with pytest.raises(DatabaseError, match="There is no role nobody"):
        restore._check_roles(request(), dump_file().contents, "nobody", ROLES)


@pytest.mark.parametrize(
    ("options", "current", "dumped", "owner"),
    [
        pytest.param({"owner": "asked"}, "now", "crm", "asked", id="as asked"),
        pytest.param({}, "now", "crm", "now", id="as it is"),
        pytest.param({}, None, "crm", "crm", id="as it was"),
        pytest.param({}, None, "gone", "postgres", id="whoever restores"),
    ],
)
def test_the_owner_is_the_nearest_that_exists(options, current, dumped, owner):
    contents = dump_file(owner=dumped).contents

    assert restore._owner(request(**options), contents, current, ROLES, SUPERUSER) == owner


def test_a_small_dump_is_restored_by_one_session():
    assert restore._default_jobs(dump_file(plain_size=1000)) == 1
    assert 1 <= restore._default_jobs(dump_file(plain_size=1 << 30)) <= 4


def test_the_diff_shows_rows_before_and_after():
    wanted = restore.Plan(request(rows={"b": 2}), "", dump_file(), "crm", "postgres", {"a": 1}, "postgres", 1)

    assert wanted.diff() == {"before": "a: 1 rows\n", "after": "b: 2 rows\n"}


def test_the_diff_without_known_rows_names_the_dump():
    wanted = restore.Plan(request(), "", dump_file(), "crm", "postgres", None, "postgres", 1)

    assert wanted.diff() == {"before": "", "after": "rows of 3 tables from /b/crm.dump.zst\n"}


def test_a_name_that_postgresql_would_cut_off_is_refused():
    with pytest.raises(DatabaseError, match="no names of more than 63 bytes"):
        restore.plan(restore.Request("é" * 32, "/b/crm.dump.zst"), location())
