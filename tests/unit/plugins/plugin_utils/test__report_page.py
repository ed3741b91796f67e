# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page as it is written, without a browser; tests/browser has one."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._report_document import build
from ansible_collections.crm.continuity.plugins.plugin_utils._report_page import MOST_ATTENTION, render
from ansible_collections.crm.continuity.plugins.plugin_utils._report_status import read
from ansible_collections.crm.continuity.plugins.plugin_utils._report_words import Clock, zone_of
from ansible_collections.crm.continuity.tests.unit import report_samples as samples
from ansible_collections.crm.continuity.tests.unit import status_samples

VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """What a browser would find: elements with their attributes, and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.texts = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def of(self, tag):
        return [(attrs, text) for (name, attrs), text in zip(self.elements, self.texts, strict=True) if name == tag]


def page(statuses, language="en", title="", earlier=None, zone=samples.ZONE):
    clock = Clock(zone_of(zone), samples.NOW)
    document = build({name: read(name, told) for name, told in statuses.items()}, samples.AT, clock.name, earlier)
    return render(document, clock, title=title, language=language, asked="auto")


def text_of(html):
    """Return what is to be read without the script."""
    return " ".join(re.sub(r"<script.*|<style.*?</style>|<[^>]*>", " ", html, flags=re.DOTALL).split())


def data_of(html):
    return json.loads(next(text for attrs, text in Page(html).of("script") if attrs.get("id") == "data"))


def test_it_says_to_when_each_server_can_be_restored_without_the_script():
    text = text_of(page(samples.five()))

    assert "Server crm-3, stack crm, can be restored to 2026-11-18 23:00 (2026-11-19 02:00 UTC), 2 d ago." in text
    assert "2026-11-21 02:00 05:00 UTC, 4 h" in text
    assert "Servers that need attention: 3 of 5." in text
    assert "Server crm-10: nothing is known of its backups." in text
    assert "Connection timed out" in text


def test_it_is_written_in_portuguese_too():
    html = page(samples.five(), "pt-BR")

    assert '<html lang="pt-BR"' in html
    assert "O servidor crm-3, stack crm, pode ser restaurado até 2026-11-18 23:00" in text_of(html)


@pytest.mark.parametrize(
    ("language", "written", "other"),
    [
        ("en", "it can only be restored to", "só pode ser restaurada até"),
        ("pt-BR", "só pode ser restaurada até", "it can only be restored to"),
    ],
)
def test_a_message_is_written_in_its_language_and_kept_in_the_other(language, written, other):
    html = page({"crm-1": status_samples.status(status_samples.stale_stack())}, language)

    assert text_of(html).count(written) == 2
    assert other not in text_of(html)
    kept = [attrs for tag in ("span", "small") for attrs, _text in Page(html).of(tag) if "data-m" in attrs]
    assert [(attrs["lang"], other in attrs["data-m"]) for attrs in kept] == [(language, True)] * 2


def test_a_message_there_are_no_words_for_is_marked_as_english():
    html = page({"crm-1": samples.status(problems=(samples.problem("engine", "critical", "No route."),))}, "pt-BR")

    (told,) = [attrs for attrs, text in Page(html).of("small") if text.startswith("No route.")]
    assert told == {"lang": "en"}


def test_the_details_have_the_other_messages_in_both_languages_and_the_timers():
    row = next(one for one in data_of(page(samples.five()))["rows"] if "problems" in one)

    (stale, disk) = row["problems"]
    assert stale[2].startswith("Stack crm: it can only be restored to 2026-11-19 02:00 UTC")
    assert stale[3].startswith("Stack crm: só pode ser restaurada até 2026-11-19 02:00 UTC, há 2 dias")
    assert disk[3] is None
    assert row["timers"] == [
        ["backup", "2026-11-21 07:00", "2026-11-20 07:00", "failed"],
        ["verify", None, "2026-11-20 07:00", "ok"],
    ]


@pytest.mark.parametrize("kind", status_samples.EVERY)
def test_however_a_host_stands_it_has_a_line(kind):
    html = page({"crm-a": status_samples.EVERY[kind]("crm-a")})

    assert len(data_of(html)["rows"]) == html.count("<th scope=row>") >= 1


def test_a_report_of_no_host_can_be_read():
    assert "There is no server in this report." in text_of(page({}))


def test_one_good_server_is_said_to_be_in_order():
    text = text_of(page({"crm-1": samples.status(samples.stack())}))

    assert "The server is in order." in text
    assert "Every known stack can be restored to 2026-11-21 02:00 (05:00 UTC) or later." in text


def test_a_stack_that_cannot_be_restored_is_said_on_top():
    never = samples.stack("ticketz", days=0)
    found = samples.problem("never", "critical", "Stack ticketz: there is no backup of it.", "ticketz")

    text = text_of(page({"crm-1": samples.status(samples.stack(), never, problems=(found,))}))

    assert "Without anything to restore: 1 of 2 known stacks." in text
    assert "Server crm-1, stack ticketz, cannot be restored: there is no whole backup." in text


def test_what_changed_is_said():
    earlier = build({"crm-1": samples.unreachable(), "crm-9": samples.unreachable()}, samples.ago(days=1), "UTC", None)

    text = text_of(page(samples.five(), earlier=earlier))

    assert "Since the last report 1 better 4 new 1 gone +119 GB of 2026-11-20 06:00" in text


def test_of_many_bad_servers_the_worst_are_named_and_the_rest_counted():
    text = text_of(page({f"crm-{number}": samples.unreachable() for number in range(30)}))

    assert text.count(": nothing is known of its backups.") == MOST_ATTENTION
    assert f"And {30 - MOST_ATTENTION} more" in text


EVIL = (samples.HOSTILE, samples.HOSTILE_END, samples.HOSTILE_QUOTES, "{{ 7 * 7 }}", "{0} {1} $&", "]]><!--", "\u2028")


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_names_and_messages_stay_text(evil):
    stack = samples.stack(evil, failures=[{"at": samples.AT, "action": evil, "message": evil}])
    problems = (samples.problem(evil, "critical", evil, evil), samples.problem("failed", "warning", evil))
    hostile = samples.status(stack, problems=problems, host=evil)
    harmless = json.loads(json.dumps(hostile).replace(json.dumps(evil)[1:-1], "name"))

    found = Page(page({evil: hostile}, title=evil))

    expected = Page(page({"name": harmless}, title="name"))
    assert [tag for tag, _other in found.elements] == [tag for tag, _other in expected.elements]
    assert [set(attrs) for _other, attrs in found.elements] == [set(attrs) for _other, attrs in expected.elements]
    assert evil in found.of("h1")[0][1]


def test_only_our_style_and_script_count_and_nothing_is_loaded():
    html = page(samples.five())
    found = Page(html)

    policy = next(attrs["content"] for attrs, _other in found.of("meta") if "Security" in attrs.get("http-equiv", ""))
    sums = re.findall(r"'sha256-([^']+)'", policy)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    script = re.search(r"<script>(.*?)</script>", html, re.DOTALL)[1]
    assert sums == [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    assert policy.startswith("default-src 'none';")
    for tag, attrs in found.elements:
        assert tag not in {"img", "link", "iframe", "object", "embed", "base"}
        assert not [name for name in attrs if name in {"src", "style", "action"} or name.startswith("on")]
        assert attrs.get("href", "#").startswith("#")
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|innerHTML|eval\(", style + script)


def test_a_thousand_servers_with_two_stacks_are_less_than_three_megabytes():
    assert len(page(samples.many()).encode()) < 3_000_000


def test_the_data_of_the_charts_are_those_of_the_history():
    told = samples.five()["crm-4"]["stacks"][0]

    row = next(row for row in data_of(page(samples.five()))["rows"] if row["sentence"][1] == "crm-4")

    assert row["history"]["words"][-1] + row["history"]["words"][-9] == "ad"
    assert row["history"]["size"] == [round(one["size"] / 1000) for one in told["history"]]
    assert row["history"]["seconds"] == [one["seconds"] for one in told["history"]]
    # All but the first are the minutes since the one before: a day.
    assert set(row["history"]["minutes"][1:]) == {1440}
