# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._profile import SequenceRule
from ansible_collections.crm.continuity.plugins.module_utils._sequence_sync import (
    Definition,
    examine,
    next_number,
    sync,
)

BIGGEST = 2**63 - 1


def counting(increment=1, start=1, maximum=BIGGEST, *, cycles=False):
    return Definition(increment, 1 if increment > 0 else -BIGGEST, maximum, start, cycles)


@pytest.mark.parametrize(
    ("definition", "following", "highest", "wanted"),
    [
        pytest.param(counting(), 1, None, None, id="no rows"),
        pytest.param(counting(), 1, 7, 8, id="behind"),
        pytest.param(counting(), 7, 7, 8, id="just behind"),
        pytest.param(counting(), 8, 7, None, id="right"),
        pytest.param(counting(), 90, 7, None, id="ahead"),
        pytest.param(counting(2), 2, 7, 8, id="even numbers stay even"),
        pytest.param(counting(10), 5, 25, 35, id="in steps of ten"),
        pytest.param(counting(-1, -1, -1), -1, -7, -8, id="downwards, behind"),
        pytest.param(counting(-3, -1, -1), -1, -7, -10, id="downwards in steps"),
        pytest.param(counting(-1, -1, -1), -9, -7, None, id="downwards, ahead"),
    ],
)
def test_a_sequence_is_only_raised_past_its_last_row(definition, following, highest, wanted):
    assert next_number(definition, following, highest, exact=False) == wanted


@pytest.mark.parametrize(
    ("definition", "following", "highest", "wanted"),
    [
        pytest.param(counting(), 90, 7, 8, id="ahead"),
        pytest.param(counting(), 8, 7, None, id="right"),
        pytest.param(counting(start=100), 150, None, 100, id="no rows"),
        pytest.param(counting(start=100), 150, 20, 100, id="rows before its start"),
        pytest.param(counting(5, start=3), 3, 13, 18, id="in steps from its start"),
    ],
)
def test_exact_follows_the_last_row_even_where_that_is_lower(definition, following, highest, wanted):
    assert next_number(definition, following, highest, exact=True) == wanted


class Answering:
    """A Database that answers the first of these texts that a statement contains."""

    def __init__(self, answers):
        self.answers = answers
        self.statements = []

    def execute(self, sql, parameters=None):
        self.statements.append(sql)
        answer = next((rows for words, rows in self.answers.items() if words in sql), [])
        if isinstance(answer, Exception):
            raise answer
        return answer


SEQUENCE = (1, 1, 1, 100, 1, False)


def database(sequences, columns, **answers):
    catalog = {
        "SELECT q.seqrelid": [(oid, "public", name, *definition) for oid, name, *definition in sequences],
        "UNION": columns,
    }
    return Answering({**catalog, **answers})


def of_tickets(last, highest):
    """One sequence, ``last`` being called."""
    return database(
        [(1, "Tickets_id_seq", 1, 1, 100, 1, False)],
        [(1, "public", "Tickets", "id", True)],
        **{"SELECT last_value": [(last, True)], "SELECT max": [(highest,)]},
    )


def test_what_is_behind_is_set_in_the_transaction_of_the_caller():
    found = of_tickets(3, 41)

    synced = sync(found)

    assert found.statements[-1] == 'ALTER SEQUENCE "public"."Tickets_id_seq" RESTART WITH 42'
    assert [(state.label, state.columns, state.next) for state in synced.changed] == [
        ('public."Tickets_id_seq"', ('public."Tickets" (id)',), 4)
    ]
    assert "BEGIN" not in found.statements
    assert synced.diff()["after"] == 'public."Tickets_id_seq": next is 42\n'


def test_what_is_right_is_left_alone():
    found = of_tickets(41, 41)

    synced = sync(found)

    assert (synced.changed, synced.checked) == ((), 1)
    assert not any("ALTER" in statement for statement in found.statements)


def test_a_sequence_that_would_pass_its_end_is_left_and_named():
    found = of_tickets(3, 100)

    synced = sync(found)

    assert synced.changed == ()
    assert "Tickets_id_seq" in synced.remarks[0]
    assert "ends at 100" in synced.remarks[0]


def test_a_sequence_that_comes_round_is_left_alone():
    found = database(
        [(1, "s", 1, 1, 100, 1, True)],
        [(1, "public", "t", "id", True)],
        **{"SELECT last_value": [(3, True)], "SELECT max": [(50,)]},
    )

    synced = sync(found)

    assert (synced.changed, synced.remarks) == ((), ())


def test_a_sequence_of_two_columns_passes_the_rows_of_both():
    found = database(
        [(1, "s", 1, 1, 100, 1, False)],
        [(1, "public", "a", "id", True), (1, "public", "b", "id", True)],
        **{"SELECT last_value": [(1, False)], 'FROM "public"."a"': [(5,)], 'FROM "public"."b"': [(9,)]},
    )

    assert examine(found).changed[0].wanted == 10


RULE = SequenceRule("numbers", re.compile(r"no_(?P<account>\w+)"), "rows", "number", {"account_id": "account"})


def test_a_rule_says_what_a_sequence_numbers_that_nobody_owns():
    found = database(
        [(1, "no_7", 1, 1, 100, 1, False)], [], **{"SELECT last_value": [(1, False)], "SELECT max": [(5,)]}
    )

    assert examine(found, [RULE]).changed[0].wanted == 6
    assert found.statements[-1] == 'SELECT max("number") FROM "public"."rows" WHERE "account_id" = E\'7\''


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        pytest.param("other_no_7", [], id="no rule fits"),
        pytest.param("x", [(1, "public", "t", "label", False)], id="the column is no number"),
    ],
)
def test_what_nobody_explains_is_named_and_left_alone(name, columns):
    synced = sync(database([(1, name, 1, 1, 100, 1, False)], columns), [RULE])

    assert (synced.unknown, synced.checked) == ((f"public.{name}",), 0)


def test_a_table_that_a_rule_names_wrongly_is_named():
    found = database(
        [(1, "no_7", 1, 1, 100, 1, False)],
        [],
        **{"SELECT last_value": [(1, False)], "SELECT max": DatabaseError("relation does not exist")},
    )

    with pytest.raises(DatabaseError, match=r"Sequence public.no_7 .*public.rows \(number\).*does not exist"):
        examine(found, [RULE])
