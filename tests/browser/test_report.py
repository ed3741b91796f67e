# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The page of the report in a real browser: what is seen, clicked, typed, heard and printed."""

from __future__ import annotations

import base64
import json

import pytest
from axe_core_python.base import AXE_SCRIPT
from selenium.webdriver.common.keys import Keys

from ansible_collections.crm.continuity.plugins.plugin_utils._report_words import NOTHING
from ansible_collections.crm.continuity.tests.unit import report_samples as samples

LINES = "#fleet tbody tr:not(.detail)"
COLUMNS = 11
DARK, LIGHT = "rgb(16, 21, 28)", "rgb(244, 246, 249)"


def servers(browser):
    """Return server and stack of each line that is shown, in its order."""
    names, stacks = browser.texts(f"{LINES} > th"), browser.texts(f"{LINES} > td:nth-child(3)")
    return list(zip(names, stacks, strict=True))


def ago(browser):
    """Return what the style puts before and after the time that has gone by."""
    script = (
        "return ['::before', '::after'].map(part => getComputedStyle(document.querySelector('#fleet i'), part).content)"
    )
    return browser.run(script)


def ground(browser):
    return browser.run("return getComputedStyle(document.body).backgroundColor")


def head(browser, column):
    return browser.all("#fleet thead th")[column]


def test_the_page_says_how_the_fleet_stands(browser, five):
    browser.open(five)

    assert browser.texts(".verdict p") == [
        "Servers that need attention: 3 of 5.",
        "Every known stack can be restored to 2026-11-18 23:00 (2026-11-19 02:00 UTC) or later.",
        "Servers of which nothing is known: 1.",
    ]
    assert browser.texts("button.tile b") == ["2", "1", "2"]
    assert browser.texts(".attention h3") == [
        "Critical crm-3 worse than in the last report",
        "Critical crm-10",
        "Warning crm-4",
    ]
    assert browser.texts(".changes li") == ["1 worse", "1 better", "+79.2 GB"]
    assert servers(browser)[0] == ("crm-3", "crm")
    assert len(servers(browser)) == 7
    assert browser.texts(f"{LINES}:first-child td:nth-child(4)") == ["2026-11-18 23:00\n2026-11-19 02:00 UTC, 2 d"]
    assert ago(browser) == ["none", '" ago"']
    assert browser.texts(f"{LINES}:nth-child(2) td:last-child b") == ["Not reached"]


def test_every_standing_has_a_shape_and_a_word_beside_its_colour(browser, five):
    browser.open(five)

    marks = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('button.tile .light')].map(e => ["
        "e.innerText, [getComputedStyle(e, '::before').clipPath, getComputedStyle(e, '::before').borderRadius]]))"
    )

    assert set(marks) == {"Critical", "Warning", "OK"}
    assert len({tuple(shape) for shape in marks.values()}) == 3


@pytest.mark.parametrize("column", range(COLUMNS))
def test_every_column_sorts_both_ways(browser, five, column):
    browser.open(five)
    # Nothing, unknown and never are the least.
    read = (
        "const [column] = arguments; return [...document.querySelectorAll('#fleet tbody tr')].map(row => "
        "[1, 2].includes(column) ? row.cells[column].textContent.replace('\\u2013', '')"
        " : (rows.find(one => one.row === row).keys[column] ?? -1))"
    )

    seen = {}
    for _turn in range(2):
        head(browser, column).find_element("css selector", "button").click()
        seen[head(browser, column).get_attribute("aria-sort")] = browser.run(read, column)

    def order(value):
        return [int(part) if part.isdigit() else part for part in value.split("-")] if column in (1, 2) else value

    assert seen["ascending"] == sorted(seen["ascending"], key=order)
    assert seen["descending"] == sorted(seen["descending"], key=order, reverse=True)
    others = [one.get_attribute("aria-sort") for one in browser.all("#fleet thead th")]
    assert others.count("none") == COLUMNS - 1


def test_lines_are_found_by_any_word_of_theirs(browser, five):
    browser.open(five)

    for text, expected in (
        ("crm-4", [("crm-4", "ticketz")]),
        ("TICKETZ crm-3", [("crm-3", "ticketz")]),
        ("connection timed", [("crm-10", NOTHING)]),
        ("never", [line for line in servers(browser) if line[0] != "crm-10"]),
    ):
        browser.one("#find").clear()
        browser.one("#find").send_keys(text)

        assert servers(browser) == expected
        assert browser.texts("#shown") == [f"{len(expected)} of 7 lines"]


def test_when_no_line_fits_it_says_so(browser, five):
    browser.open(five)

    browser.one("#find").send_keys("nobody")

    assert servers(browser) == []
    assert browser.texts("#none") == ["No line fits. Change what is looked for."]


def test_a_tile_shows_the_lines_of_its_standing_and_then_all_again(browser, five):
    browser.open(five)
    tile = browser.one("button.tile.warning")

    tile.click()

    assert {line[0] for line in servers(browser)} == {"crm-3", "crm-4"}
    assert tile.get_attribute("aria-pressed") == "true"
    assert browser.one("#show").get_attribute("value") == "warning"
    tile.click()
    assert len(servers(browser)) == 7


def test_a_server_opens_to_its_history_and_failures(browser, five):
    browser.open(five)
    button = browser.one(f"{LINES} > th button")

    button.click()

    assert button.get_attribute("aria-expanded") == "true"
    assert browser.texts(".detail .lead") == [
        "Server crm-3, stack crm, can be restored to 2026-11-18 23:00 (2026-11-19 02:00 UTC), 2 d ago."
    ]
    assert len(browser.all(".detail figure svg")) == 3
    timers = [text for text in browser.texts(".detail dd") if text.startswith(("backup:", "verify:"))]
    assert timers == [
        "backup: next run 2026-11-21 07:00, last run 2026-11-20 07:00, failed",
        "verify: next run never, last run 2026-11-20 07:00, ended well",
    ]
    failures = browser.texts(".detail ul:last-of-type li")
    assert [failure.partition(" backup ")[0] for failure in failures] == ["2026-11-20 23:00", "2026-11-19 23:00"]
    assert "Connection refused" in failures[0]
    browser.one(".detail summary").click()
    assert len(browser.texts(".detail tbody tr")) == 30
    assert browser.texts(".detail caption") == ["The last 30 backups"]
    browser.shot("details")
    button.click()
    assert browser.all(".detail") == []


def test_details_go_where_their_line_goes(browser, five):
    browser.open(five)
    browser.one(f"{LINES} > th button").click()

    head(browser, 1).find_element("css selector", "button").click()
    browser.one("#find").send_keys("crm-1")

    assert browser.run("return document.querySelector('.detail').previousSibling.cells[1].textContent") == "crm-3"
    assert browser.texts(".detail") == []


def test_charts_have_axes_and_show_each_point(browser, five):
    browser.open(five)
    charts = browser.all("#trends svg")

    assert len(charts) == 3
    assert browser.texts("#trends figcaption")[0] == "Size of all backups of a day"
    axis = browser.run("return [...arguments[0].querySelectorAll('text')].map(text => text.textContent)", charts[0])
    assert axis[0] == "0"
    assert axis[-1] == "2026-11-21"
    browser.run("arguments[0].focus()", charts[0])
    browser.keys(Keys.ARROW_LEFT)
    assert browser.texts("#trends .tip")[0].startswith("2026-11-21 · ")
    browser.keys(Keys.ARROW_LEFT)
    assert browser.texts("#trends .tip")[0].startswith("2026-11-20 · ")
    browser.keys(Keys.TAB)
    assert browser.texts("#trends .tip") == []
    browser.one("main details summary").click()
    assert len(browser.texts("main details tbody tr")) == 30


def test_a_point_is_shown_where_the_pointer_is(browser, five):
    browser.open(five)
    chart = browser.one("#trends svg")
    browser.run("arguments[0].scrollIntoView({block: 'center'})", chart)

    box = browser.run("const box = arguments[0].getBoundingClientRect(); return [box.right, box.top + 40]", chart)
    browser.tell("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] - 8, y=box[1])

    assert browser.texts("#trends .tip")[0].startswith("2026-11-21 · ")
    assert browser.run(
        "const tip = document.querySelector('.tip').getBoundingClientRect();"
        "const box = arguments[0].parentElement.getBoundingClientRect();"
        "return tip.left >= box.left && tip.right <= box.right + 1",
        chart,
    )


def test_it_speaks_portuguese_and_english(browser, five):
    browser.open(five)
    browser.one(f"{LINES} > th button").click()

    browser.one("[data-language='pt-BR']").click()

    assert browser.run("return document.documentElement.lang") == "pt-BR"
    assert browser.driver.title == "Backups do CRM"
    assert browser.texts(".verdict p")[0] == "Servidores que precisam de atenção: 3 de 5."
    assert browser.texts(f"{LINES}:first-child > td")[0] == "Crítico"
    assert ago(browser) == ['"há "', "none"]
    assert browser.texts(f"{LINES}:first-child td.n")[0] == "2,4 GB"
    assert browser.texts(".detail .lead")[0].startswith("O servidor crm-3, stack crm, pode ser restaurado até")
    assert "o limite é de 26 horas" in browser.one(".detail").text
    assert "26 hours are allowed" not in browser.one("body").text
    # What the details show was not left in the other language.
    assert "Newest backup" not in browser.one("body").text
    browser.driver.refresh()
    assert browser.run("return document.documentElement.lang") == "pt-BR"
    browser.one("[data-language='en']").click()
    assert browser.texts(f"{LINES}:first-child td.n")[0] == "2.4 GB"
    assert "26 hours are allowed" in browser.one(".attention").text
    assert "o limite" not in browser.one("body").text


def test_the_language_is_that_of_the_browser_unless_one_was_asked_for(browser, page):
    agent = browser.run("return navigator.userAgent")
    browser.tell("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="pt-PT")
    try:
        browser.open(page(samples.five()))
        assert browser.run("return document.documentElement.lang") == "pt-BR"
        browser.open(page(samples.five(), asked="en"))
        assert browser.run("return document.documentElement.lang") == "en"
    finally:
        browser.tell("Emulation.setUserAgentOverride", userAgent=agent, acceptLanguage="en-US")


def test_it_is_dark_where_the_system_is_or_when_asked_to(browser, five):
    browser.open(five)
    assert ground(browser) == LIGHT

    browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    assert ground(browser) == DARK
    browser.one("button[data-look='light']").click()
    assert ground(browser) == LIGHT
    browser.tell("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])
    browser.one("button[data-look='dark']").click()
    assert ground(browser) == DARK
    browser.driver.refresh()
    assert ground(browser) == DARK


def test_on_paper_it_is_light_and_has_no_buttons(browser, five):
    browser.open(five)
    browser.one("button[data-look='dark']").click()

    browser.tell("Emulation.setEmulatedMedia", media="print")

    assert ground(browser) == LIGHT
    assert browser.texts(".controls button, #find, summary") == []
    assert len(servers(browser)) == 7
    paper = base64.b64decode(browser.tell("Page.printToPDF", landscape=True, printBackground=False)["data"])
    assert paper.startswith(b"%PDF")


def test_all_of_it_can_be_done_with_the_keyboard(browser, five):
    browser.open(five)

    browser.keys(Keys.TAB)
    assert browser.focused() == "To the table of servers"
    browser.keys(Keys.ENTER)
    assert browser.run("return location.hash") == "#table"
    browser.keys("/")
    assert browser.focused() == "find"
    browser.keys("crm-3")
    assert len(servers(browser)) == 2
    # Past the choice of standings and the table's frame to the first column, and to the second.
    browser.keys(*[Keys.TAB] * 4)
    assert browser.focused() == "Server"
    browser.keys(Keys.ENTER)
    assert head(browser, 1).get_attribute("aria-sort") == "ascending"
    browser.keys(*[Keys.TAB] * (COLUMNS - 1))
    assert browser.focused() == "crm-3"
    browser.keys(Keys.ARROW_DOWN, Keys.SPACE)
    assert browser.texts(".detail .lead")[0].startswith("Server crm-3, stack ticketz")
    browser.keys(Keys.ARROW_DOWN, Keys.ARROW_UP, Keys.SPACE)
    assert len(browser.all(".detail")) == 2


@pytest.mark.parametrize("look", ["light", "dark"])
def test_it_keeps_the_guidelines_for_accessibility(browser, five, look):
    browser.open(five)
    browser.one(f"button[data-look='{look}']").click()
    for button in browser.all(f"{LINES} > th button")[:4]:
        button.click()
    for summary in browser.all("summary"):
        summary.click()

    browser.run(AXE_SCRIPT)
    found = browser.driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']}).then(done)"
    )

    assert [(one["id"], [node["html"][:200] for node in one["nodes"]]) for one in found["violations"]] == []
    # It has looked, and at what matters.
    assert {"color-contrast", "button-name", "label"} <= {one["id"] for one in found["passes"]}


def test_without_its_script_all_is_there_to_be_read(browser, five):
    browser.tell("Emulation.setScriptExecutionDisabled", value=True)
    browser.open(five)

    text = browser.one("body").text

    assert "Server crm-3, stack crm, can be restored to 2026-11-18 23:00" in text
    assert "Connection timed out" in text
    assert "2026-11-21 02:06" in text
    assert "Appearance" not in text


EVIL = [
    samples.HOSTILE,
    samples.HOSTILE_END,
    samples.HOSTILE_QUOTES,
    "\"'><svg onload=document.title='owned'>",
    "{0}{1} $& $'",
]


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_names_and_messages_are_only_read(browser, page, evil):
    stack = samples.stack(evil, failures=[{"at": samples.AT, "action": evil, "message": evil}])
    stack["latest"].update(id=evil, encryption=evil, held=evil)
    told = {"says": "failed", "facts": {"at": samples.AT, "error": evil}}
    problems = tuple(samples.problem(code, "critical", evil, evil, **told) for code in (evil, "failed"))
    browser.open(page({evil: samples.status(stack, problems=problems, host=f"{evil}2")}, title=evil))

    browser.one(f"{LINES} > th button").click()
    for language in ("pt-BR", "en"):
        browser.one(f"[data-language='{language}']").click()
    head(browser, 1).find_element("css selector", "button").click()
    browser.one("#find").send_keys(evil[:3])

    assert browser.driver.title == " ".join(evil.split())
    assert servers(browser) == [(evil, evil)]
    assert browser.all("img, #fleet [onfocus], [onload], [autofocus]") == []
    assert evil in browser.one(".detail").text


def test_the_policy_of_the_page_stops_a_script_that_is_not_its_own(browser, five):
    browser.open(five)

    browser.run(
        "try { document.body.innerHTML = '<img src=x onerror=\"document.title=1\">' }"
        "catch (error) { document.title = error.name }"
    )

    assert browser.driver.title == "TypeError"
    assert any("TrustedHTML" in complaint for complaint in browser.complaints())


def cpu(browser, act):
    """Return the seconds that the page itself has worked while something is done; other work here does not count."""
    browser.tell("Performance.enable", timeDomain="threadTicks")
    try:
        before = browser.tell("Performance.getMetrics")["metrics"]
        act()
        browser.run("return document.body.offsetHeight")
        after = browser.tell("Performance.getMetrics")["metrics"]
    finally:
        browser.tell("Performance.disable")
    (spent,) = (
        two["value"] - one["value"] for one, two in zip(before, after, strict=True) if one["name"] == "TaskDuration"
    )
    return spent


def test_a_thousand_servers_are_found_sorted_and_translated(browser, many):
    assert many.stat().st_size < 3_000_000
    browser.open(many)

    assert len(servers(browser)) == 1990
    browser.one("#find").send_keys("crm-0500")
    assert servers(browser) == [("crm-0500.example.com", "crm"), ("crm-0500.example.com", "ticketz")]
    browser.one("#find").send_keys(Keys.BACK_SPACE * 8)
    head(browser, 4).find_element("css selector", "button").click()
    assert servers(browser)[0] == ("crm-1000.example.com", "crm")
    browser.one("[data-language='pt-BR']").click()
    assert len(browser.all(".attention > li")) == 12


def test_four_times_as_many_servers_are_about_four_times_the_work(browser, page, many):
    quarter = page(samples.many(250))

    spent = {path: cpu(browser, lambda path=path: browser.open(path)) for path in (quarter, many)}

    # Sixteen times, were any of it done for each of them again.
    assert spent[many] < 8 * max(spent[quarter], 0.1), spent


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("fleet", ["five", "many"])
def test_pictures_of_it_are_taken(browser, request, fleet, look):
    browser.open(request.getfixturevalue(fleet), height=1600)
    browser.one(f"button[data-look='{look}']").click()

    hosts = {"five": 5, "many": 1000}[fleet]
    browser.shot(f"{hosts}-{look}")

    # Nothing sticks out of the window.
    assert browser.run("return document.documentElement.scrollWidth") <= 1440


def test_on_a_telephone_nothing_sticks_out_but_the_table_in_its_frame(browser, five):
    browser.open(five, width=390, height=844)

    browser.shot("telephone")

    assert browser.run("return document.documentElement.scrollWidth") == 390
    assert browser.run("const frame = document.querySelector('#fleet').parentElement; return frame.scrollWidth") > 390


def test_the_data_of_the_page_are_those_of_the_report(browser, five):
    browser.open(five)

    shown = browser.run("return rows.map(item => [item.row.cells[1].textContent, item.row.cells[2].textContent])")

    document = json.loads((five.parent / "report.json").read_text(encoding="utf-8"))
    told = {(host["name"], stack["stack"]) for host in document["hosts"] for stack in host["stacks"]}
    assert {tuple(line) for line in shown} == {*told, ("crm-10", NOTHING)}
