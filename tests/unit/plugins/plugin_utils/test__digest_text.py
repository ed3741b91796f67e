# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the digest reads, and what a hostile host can do to it: nothing."""

from __future__ import annotations

import html.parser
from dataclasses import replace
from datetime import timedelta

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._digest import (
    CRITICAL,
    FAILURE,
    RECOVERED,
    RECOVERY,
    Decision,
    Item,
    Memory,
    decide,
)
from ansible_collections.crm.continuity.plugins.plugin_utils._digest_text import (
    LANGUAGES,
    SUBJECT_LIMIT,
    compose,
    compose_standing,
    compose_test,
    plain,
)
from ansible_collections.crm.continuity.tests.unit import status_samples as samples

NOTHING = Decision((), (), 0, {"ok": 3, "warning": 0, "critical": 0}, Memory({}), Memory({}))
FAILED = Item(
    "crm-a", "crm", "failed", FAILURE, CRITICAL, "pg_dump ended with 1.", restorable_to="2026-11-21T02:00:00Z"
)
ALL = ("failure", "anomaly", "stale", "recovery", "warning")


def letter(*items, unchanged=0, language="en", limit=3500, prefix="[crm]"):
    counts = {"ok": 1, "warning": 0, "critical": 1}
    return compose(replace(NOTHING, news=items, unchanged=unchanged, counts=counts), language, prefix, limit)


def decided(statuses):
    return decide(statuses, None, samples.NOW, events=ALL, repeat=timedelta(hours=24))


def of(statuses, language="en"):
    return compose(decided(statuses), language, "[crm]", 3500)


@pytest.fixture(scope="module")
def many():
    """Return what there is to tell of a thousand servers."""
    return decided(samples.fleet(1000))


class Parsed(html.parser.HTMLParser):
    """The tags and the text of HTML."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words = ""
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag + "".join(name for name, _other in attrs))

    def handle_data(self, data):
        self.words += data


def test_a_failure_reads_like_this():
    assert letter(FAILED).subject == "[crm] 1 critical: crm-a"
    assert letter(FAILED).text == (
        "CRITICAL\n"
        "- crm-a / crm: pg_dump ended with 1. (can be restored to 2026-11-21 02:00 UTC)\n"
        "\n"
        "Servers: 2. Well: 1, with warnings: 0, critical: 1."
    )


def test_and_like_this_in_portuguese():
    assert letter(FAILED, language="pt-BR").subject == "[crm] 1 crítico: crm-a"
    assert letter(FAILED, language="pt-BR").text == (
        "CRÍTICO\n"
        "- crm-a / crm: a última execução falhou: pg_dump ended with 1. "
        "(pode ser restaurado para 2026-11-21 02:00 UTC)\n"
        "\n"
        "Servidores: 2. Bem: 1, com avisos: 0, em estado crítico: 1."
    )


def test_a_recovery_says_what_is_over_and_since_when_it_was():
    over = Item("crm-a", "crm", "failed", RECOVERY, RECOVERED, "", since=samples.NOW)

    assert "- crm-a / crm: no longer: the last run failed (since 2026-11-22 07:00 UTC)" in letter(over).text
    assert letter(over).severity == RECOVERED


def test_nothing_to_restore_from_is_said():
    assert "(there is nothing to restore from)" in letter(replace(FAILED, restorable_to="")).text


def test_what_there_are_words_for_is_told_in_portuguese():
    text = of({"crm-a": samples.status(samples.stale_stack())}, "pt-BR").text

    assert "- crm-a / crm: só pode ser restaurada até 2026-11-20 02:00 UTC, há 2 dias; o limite é" in text
    assert "it can only be restored" not in text


def test_what_there_are_no_words_for_is_told_by_its_name_and_as_it_came():
    text = of({"crm-a": samples.timer_dead()}, "pt-BR").text

    assert "- crm-a: timer morto: Nothing will start the timer backup" in text


def test_a_subject_names_some_hosts_and_counts_the_rest():
    items = [replace(FAILED, host=f"crm-{number}") for number in range(40)]

    assert letter(*items).subject == "[crm] 40 critical: crm-0, crm-1, crm-2 +37"


@pytest.mark.parametrize("limit", [400, 1000, 3500])
@pytest.mark.parametrize("form", ["text", "html", "markdown"])
def test_a_digest_is_no_longer_than_allowed_and_counts_what_it_leaves_out(many, limit, form):
    found = compose(many, "en", "[crm]", limit)
    body = found.bodies[form][0]

    shown = body.count("<li>") if form == "html" else sum(line.startswith("- ") for line in body.splitlines())
    assert len(body) <= limit
    assert f"and {len(many.news) - shown} more" in body
    assert "Servers: 1000." in body
    assert len(found.subject) <= SUBJECT_LIMIT


def test_there_are_shorter_versions_for_who_takes_less(many):
    versions = compose(many, "en", "[crm]", 3500).bodies["text"]

    assert [limit for limit, body in zip((3500, 1800, 900, 400), versions, strict=True) if len(body) > limit] == []


def test_a_limit_that_fits_nothing_still_says_how_much_there_is():
    assert letter(FAILED, FAILED, limit=5).text == "… and 2 more"


def test_no_more_than_forty_are_listed():
    items = [replace(FAILED, host=f"h{number}", message="x") for number in range(77)]

    assert "and 37 more" in letter(*items, limit=100_000).text


@pytest.mark.parametrize(
    ("language", "subject", "words"),
    [("en", "all is well", "Nothing is wrong."), ("pt-BR", "está tudo bem", "Nada está errado.")],
)
def test_all_is_well_is_said(language, subject, words):
    found = compose(NOTHING, language, "[crm]", 3500)

    assert found.subject == f"[crm] {subject}"
    assert found.text.startswith(words)


def test_what_was_told_before_is_counted_and_not_called_well():
    found = letter(unchanged=3)

    assert found.subject == "[crm] Told before and unchanged: 3"
    assert "all is well" not in found.text
    assert "Nothing is wrong" not in found.text


def test_the_monitor_gets_all_that_stands_told_or_not():
    found = compose_standing(replace(NOTHING, standing=(FAILED,), unchanged=1), "en", "[crm]", 3500)

    assert found.subject == "[crm] 1 critical: crm-a"
    assert "unchanged" not in found.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_test_says_that_it_is_one(language):
    found = compose_test(language, "[crm]")

    assert "crm.continuity" in found.text
    assert found.subject.startswith("[crm] te")


HOSTILE = [
    pytest.param("<script>alert(1)</script><img src=x onerror=y>", id="HTML"),
    pytest.param("[click](http://evil.example) ![](http://evil.example/x.png)", id="links of Markdown"),
    pytest.param("``` ~~ ** || everything after this is hidden", id="fences"),
    pytest.param("<!channel> <@U123> @everyone @here", id="mentions"),
    pytest.param("http://evil.example HTTPS://evil.example www.evil.example", id="addresses"),
    pytest.param("line\nSubject: other\r\nBcc: x\x00\x1b[31m\u202e\u2028\u200b\ud800", id="control characters"),
    pytest.param("{{ lookup('env', 'HOME') }} ${x} %s {0}", id="templates"),
    pytest.param("\\n\\u0041 &lt; &#60;", id="escapes"),
    pytest.param("x" * 100_000, id="a flood"),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["host", "stack", "code", "message", "restorable_to"])
def test_text_of_a_host_stays_text(text, field):
    hostile = replace(FAILED, **{field: text})
    innocent = replace(FAILED, host="crm-z", message="the last word")

    found = letter(hostile, innocent)

    page = Parsed(found.bodies["html"][0])
    assert page.tags == {"h3", "ul", "li", "b", "p"}
    assert "the last word" in page.words
    markdown = found.bodies["markdown"][0]
    assert "the last word" in markdown
    assert "](" not in markdown
    assert not {"<", "`", "|", "~", "\\"} & set(markdown)
    # The headline, two names, and nothing else is bold.
    assert markdown.count("*") == 12
    for body in (found.subject, found.text, page.words, markdown):
        assert "@everyone" not in body
        assert "http://" not in body.lower()
        assert "https://" not in body.lower()
        assert "www.evil" not in body
        assert not {"\r", "\x00", "\x1b", "\u202e", "\u2028", "\ud800"} & set(body)
        assert len(body) < 2500
        body.encode()
    assert "\n" not in found.subject
    assert [line for line in found.text.splitlines() if line.startswith(("Bcc", "Subject"))] == []


def test_a_template_of_a_host_is_not_evaluated_and_not_lost():
    assert "{{ 7 * 6 }} {total}" in letter(replace(FAILED, message="{{ 7 * 6 }} {total}")).text


@pytest.mark.parametrize(
    ("value", "limit", "expected"),
    [
        ("a  b\tc", 10, "a b c"),
        ("abcdef", 5, "abcd…"),
        ("abcde", 5, "abcde"),
        ("ação · ok ✓", 20, "ação · ok ✓"),
        ("a@b", 9, "a@\u200bb"),
    ],
)
def test_text_is_put_on_one_line(value, limit, expected):
    assert plain(value, limit) == expected
