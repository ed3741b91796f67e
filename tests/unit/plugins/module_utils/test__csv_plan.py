# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._csv_plan import make_room, match, no_table
from ansible_collections.crm.continuity.plugins.module_utils._profile import CsvRule
from ansible_collections.crm.continuity.plugins.module_utils._table_catalog import Catalog, Column, Table

COLUMNS = (
    Column("id", "integer", False, False),
    Column("name", "text", False, True),
    Column("wait", "integer", True, False),
)
NAMES = ("Plans", "Companies", "Users", "Sessions", "Translations", "Meta")
TABLES = {name: Table(number, "public", name, COLUMNS) for number, name in enumerate(NAMES, 1)}
PLANS, COMPANIES, USERS, SESSIONS, TRANSLATIONS, META = TABLES.values()
# A company has a plan and another company, a user a company, and a session a user.
REFERENCES = ((2, 1), (2, 2), (3, 2), (4, 3))
CATALOG = Catalog(TABLES, {table.oid: table for table in TABLES.values()}, REFERENCES)
RULE = CsvRule(("Meta",), {"Plans": 1, "Companies": 1, "Users": 1, "Sessions": None, "Translations": None})


class Rows:
    """A Database whose tables have so many rows."""

    def __init__(self, **rows):
        self.rows = rows

    def execute(self, sql, parameters=None):
        return [(next((rows for name, rows in self.rows.items() if f'."{name}"' in sql), 0),)]


def room(tables, *, replace=False, rule=RULE, **rows):
    return make_room(Rows(**rows), CATALOG, tables, rule, replace=replace)


def test_columns_go_by_name_in_any_order():
    load, problems = match(PLANS, "001-Plans.csv", 9, 1, ["wait", "name", "id"], skip=False)

    assert (load.columns, load.computed, load.dropped, problems) == (("name", "id"), ("wait",), (), [])


@pytest.mark.parametrize(
    ("header", "skip", "words"),
    [
        pytest.param(["id", "name", "online"], False, 'that public."Plans" does not have: online', id="unknown"),
        pytest.param(["id"], False, "must have: name", id="required"),
        pytest.param(["online"], True, "no column of", id="nothing in common"),
    ],
)
def test_columns_that_do_not_fit_are_named(header, skip, words):
    problems = match(PLANS, "001-Plans.csv", 9, 1, header, skip=skip)[1]

    assert any(words in problem and "001-Plans.csv" in problem for problem in problems)


def test_unknown_columns_are_left_out_when_asked():
    load, problems = match(PLANS, "001-Plans.csv", 9, 1, ["id", "online", "name"], skip=True)

    assert (load.columns, load.dropped, problems) == (("id", "name"), ("online",), [])


def test_a_table_that_is_not_there_is_named_with_the_one_that_may_be_meant():
    assert "Is it Plans?" in no_table("001-plans.csv", "plans", CATALOG, "public")
    assert "Is it" not in no_table("001-Zebras.csv", "Zebras", CATALOG, "public")


def test_empty_tables_are_no_matter():
    found = room([PLANS, USERS])

    assert (found.emptied, found.kept, found.refused) == ({}, (), {})


def test_a_table_with_rows_is_refused():
    assert room([PLANS], rule=CsvRule(), Plans=3).refused == {'public."Plans"': (3, "")}


def test_what_a_fresh_installation_holds_is_replaced():
    found = room([PLANS, COMPANIES, USERS], Plans=1, Companies=1, Users=1, Translations=60)

    assert found.emptied == {'public."Plans"': 1, 'public."Companies"': 1, 'public."Users"': 1}
    assert found.refused == {}


def test_more_rows_than_a_fresh_installation_holds_are_refused():
    assert room([USERS], Users=2).refused == {'public."Users"': (2, "")}


def test_rows_that_refer_to_what_is_replaced_go_with_it_or_are_in_the_way():
    found = room([COMPANIES], Companies=1, Users=2, Sessions=5)

    assert list(found.refused) == ['public."Users"']
    assert 'refers to public."Companies"' in found.refused['public."Users"'][1]
    assert room([COMPANIES, USERS], Companies=1, Users=1, Sessions=5).emptied['public."Sessions"'] == 5


def test_replace_empties_what_refers_to_it_as_well():
    found = room([COMPANIES], replace=True, Companies=7, Users=2, Sessions=5)

    assert found.emptied == {'public."Companies"': 7, 'public."Users"': 2, 'public."Sessions"': 5}


@pytest.mark.parametrize("replace", [False, True])
def test_what_was_done_to_this_very_database_is_kept(replace):
    found = room([PLANS, META], replace=replace, Meta=178)

    assert (found.kept, found.emptied, found.refused) == (('public."Meta"',), {}, {})


def test_what_was_not_done_yet_is_loaded():
    assert room([META]).kept == ()


def test_parents_come_before_their_children_and_circles_do_not_hang():
    assert CATALOG.parents_first([SESSIONS, USERS, COMPANIES, PLANS, META]) == [
        PLANS,
        META,
        COMPANIES,
        USERS,
        SESSIONS,
    ]
    circle = Catalog(TABLES, CATALOG.by_oid, ((1, 2), (2, 1)))
    assert sorted(table.name for table in circle.parents_first([PLANS, COMPANIES])) == ["Companies", "Plans"]
