# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Problems have the same names in the report and in the notifications, and their messages a translation."""

from __future__ import annotations

import string

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._status_rules import CODES, NORMAL, of_backups, problem
from ansible_collections.crm.continuity.plugins.module_utils._status_words import TEXTS
from ansible_collections.crm.continuity.plugins.plugin_utils import _problem_words
from ansible_collections.crm.continuity.plugins.plugin_utils._host_status import of_result
from ansible_collections.crm.continuity.plugins.plugin_utils._problem_words import labels, translated
from ansible_collections.crm.continuity.tests.unit.status_samples import NOW, STACKS

PORTUGUESE = _problem_words._table()["pt-BR"]


def blanks(text):
    """Return what is filled in, and how."""
    return sorted({(name, spec) for _text, name, spec, _how in string.Formatter().parse(text) if name})


def test_every_problem_has_a_name_in_both_languages():
    english, portuguese = labels("en"), labels("pt-BR")

    assert english.keys() == portuguese.keys() == CODES.keys()
    assert not set(english.values()) & set(portuguese.values())


def test_every_text_has_a_translation():
    assert PORTUGUESE["texts"].keys() == TEXTS.keys()


@pytest.mark.parametrize("says", TEXTS)
def test_a_translation_says_the_same_facts(says):
    text = PORTUGUESE["texts"][says]

    assert blanks(text) == blanks(TEXTS[says])
    assert text != TEXTS[says]
    # What is to be run and set is the same, too.
    for word in ("crm.continuity.", "crm_alerts", "crm_backup_root", "ansible_", "timedatectl", "hold_state"):
        assert (word in text) == (word in TEXTS[says])


@pytest.mark.parametrize("name", STACKS)
def test_whatever_is_wrong_with_a_stack_is_told_in_portuguese(name):
    status, _codes = STACKS[name]

    for found in of_backups(status, NORMAL, NOW):
        words = translated(found.described(), "pt-BR")
        assert words.startswith("Stack crm: ")
        assert words not in (None, found.message)


def test_it_reads_like_this():
    (stale,) = of_backups(STACKS["older than a day and two hours"][0], NORMAL, NOW)

    assert translated(stale.described(), "pt-BR") == (
        "Stack crm: só pode ser restaurada até 2026-11-21 04:00 UTC, há 27 horas; o limite é de 26 horas. Descubra por "
        "que nada teve backup desde então, e rode crm.continuity.backup."
    )


def test_a_host_that_does_not_answer_is_told_in_portuguese_with_its_error():
    (found,) = of_result({"unreachable": True, "msg": "ssh: Connection refused"}, "crm-a")["problems"]

    assert translated(found, "pt-BR").startswith("O servidor não pode ser alcançado: ssh: Connection refused. Veja")


def test_english_is_what_the_host_says():
    assert translated(problem("never", "never_anything", {}).described(), "en") is None


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"says": "nothing"}, id="an unknown text"),
        pytest.param({"says": None}, id="words of others"),
        pytest.param({"says": ["stale"]}, id="no name"),
        pytest.param({"facts": None}, id="no facts"),
        pytest.param({"facts": {"at": "2026-11-21T04:00:00Z", "age": 1}}, id="a fact is missing"),
        pytest.param({"facts": {"at": "soon", "age": 1, "limit": 26}}, id="no time"),
        pytest.param({"facts": {"at": "2026-11-21T04:00:00Z", "age": "long", "limit": 26}}, id="no number"),
        pytest.param({"facts": {"at": "2026-11-21T04:00:00Z", "age": 1, "limit": 10**400}}, id="too large a number"),
        pytest.param({"facts": {"at": "2026-11-21T04:00:00Z", "age": 1, "limit": 1, "more": [[]]}}, id="a list"),
        pytest.param({"message": None}, id="no message"),
    ],
)
def test_what_makes_no_sense_is_told_as_it_came(wrong):
    facts = {"at": "2026-11-21T04:00:00Z", "age": 97200, "limit": 26}
    told = problem("stale", "stale", facts).described()

    assert translated(told, "pt-BR")
    assert translated({**told, **wrong}, "pt-BR") is None


def test_facts_are_only_filled_in():
    found = problem("failed", "failed", {"at": "2026-11-21T04:00:00Z", "error": "{at.__class__} {0} %s"})

    assert translated(found.described(), "pt-BR").endswith("falhou: {at.__class__} {0} %s")
