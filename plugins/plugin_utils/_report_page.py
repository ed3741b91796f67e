# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as one HTML page that loads nothing, from the template, style and script in the directory report.

The page can be read without its script, as in the preview of a mail; the script adds charts, details, order, search and
the other language. Names and messages are hostile: everything is escaped, and the page's own policy lets nothing run
but the one script whose checksum it holds. Runs on the control node. Private to this collection.
"""

from __future__ import annotations

import base64
import collections
import hashlib
import json
import os
import re
import typing as t

import jinja2
from markupsafe import Markup

from ..module_utils._status_rules import FINE
from ._problem_words import translated
from ._report_document import natural, problems_of, standing_of
from ._report_status import STANDINGS, did_not_answer
from ._report_words import ENGLISH, LANGUAGES, NOTHING, PORTUGUESE, SOURCES, duration, size, words

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._report_words import Clock

# So many servers are named above the table, and so many days make a trend.
MOST_ATTENTION = 12
MOST_DAYS = 30

# The state of a past backup in one letter, for the charts.
LETTERS = {"verified": "v", "unverified": "u", "anomalous": "a", "damaged": "d"}
_FACTS = ("id", "files", "rows", "encryption", "signed", "held")


def render(document: Mapping[str, t.Any], clock: Clock, *, title: str, language: str, asked: str) -> str:
    """Return the page, written in ``language``; when ``asked`` is auto, the browser's language is taken if it can."""
    known = words()
    speak = Speech(known, language)
    rows = sorted(_rows(document, clock), key=lambda row: (-STANDINGS.index(row["standing"]), row["order"]))
    trend = _trend(document, clock)
    style, script = _source("report.css"), _source("report.js")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(SOURCES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        say=speak.element, word=speak.word, tell=speak.message, size=size, duration=duration, nothing=NOTHING
    )
    return environment.get_template("report.html.j2").render(
        document=document,
        summary=document["summary"],
        changes=document["changes"],
        clock=clock,
        at=clock.moment(document["at"]),
        title=title,
        language=language,
        languages=LANGUAGES,
        verdict=_verdict(document, clock),
        attention=_attention(document, rows),
        rows=rows,
        trend=trend,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        data=_embedded(
            {
                "asked": asked,
                "languages": LANGUAGES,
                "words": known,
                "rows": [row["data"] for row in rows],
                "trend": trend,
            }
        ),
    )


class Speech:
    """Says words in the language of the page so that the script can say them in the other."""

    def __init__(self, known: Mapping[str, Mapping[str, str]], language: str) -> None:
        self._words = known[language]
        self._language = language

    def word(self, key: str, *values: object) -> str:
        """Return what a key says, filled in; a code that is unknown says itself."""
        said = self._words.get(key, key.partition("_")[2] or key)
        return re.sub(r"\{(\d)\}", lambda place: str(values[int(place[1])]), said) if values else said

    def element(self, key: str, *values: object) -> Markup:
        """Return the attributes and the text of an element that says something, without its name and end."""
        given = Markup(" data-a='{}'").format(json.dumps(values, ensure_ascii=False)) if values else Markup()
        return Markup(' data-t="{}"{}>{}').format(key, given, self.word(key, *values))

    def message(self, problem: Mapping[str, t.Any]) -> Markup:
        """Return the same of an element that tells a problem, with the message in the other language, if there is."""
        english, other = problem["message"], translated(problem, PORTUGUESE)
        if other is None:
            return Markup(' lang="en">{}').format(english)
        words = (english, other) if self._language == ENGLISH else (other, english)
        return Markup(' lang="{}" data-m="{}">{}').format(self._language, words[1], words[0])


def _rows(document: Mapping[str, t.Any], clock: Clock) -> Iterator[dict[str, t.Any]]:
    """Yield the lines of the table: one for each stack, and one for a server without any."""
    for host in document["hosts"]:
        for stack in host["stacks"] or [None]:
            told = stack or {}
            latest = told.get("latest") or {}
            point = told.get("restorable_to")
            problems = problems_of(host, told.get("stack"))
            standing = standing_of(host, stack)
            yield {
                "host": host["name"],
                "stack": told.get("stack"),
                "standing": standing,
                "order": (natural(host["name"]), natural(told.get("stack") or "")),
                "point": point and clock.moment(point),
                "ago": point and clock.ago(point),
                "without": "unknown" if did_not_answer(host) else "cannot",
                "sentence": _sentence(host, stack, clock),
                "size": size(latest.get("size")),
                "seconds": duration(latest.get("seconds")),
                "freeze": duration(latest.get("freeze_seconds")),
                "proofs": [told.get(f"last_{proof}") for proof in ("verified", "drilled", "uploaded")],
                "problems": problems,
                "data": {
                    "keys": [
                        STANDINGS.index(standing),
                        None,
                        None,
                        _minutes(point, clock),
                        latest.get("size"),
                        latest.get("seconds"),
                        latest.get("freeze_seconds"),
                        *(_minutes(told.get(f"last_{proof}"), clock) for proof in ("verified", "drilled", "uploaded")),
                        len(problems),
                    ],
                    **_details(host, told, problems, clock),
                },
            }


def _details(
    host: Mapping[str, t.Any], stack: Mapping[str, t.Any], problems: Sequence[Mapping[str, t.Any]], clock: Clock
) -> dict[str, t.Any]:
    """Return what the script shows of a line when it is asked; what is empty is left out."""
    latest, past = stack.get("latest") or {}, stack.get("history") or []
    disk = host.get("disk") or {}
    minutes = [clock.moment(one["cut_at"]).minutes for one in past]
    found = {
        "sentence": _sentence(host, stack or None, clock),
        # The first one's message stands in the table.
        "problems": [
            [one["code"], one["severity"], one["message"], translated(one, PORTUGUESE)] for one in problems[1:]
        ],
        "failures": [
            [clock.moment(one["at"]).local, one.get("action") or "", one.get("message") or ""]
            for one in stack.get("failures") or []
        ],
        "latest": [latest.get(name) for name in _FACTS] if latest else None,
        "kept": [stack.get("backups"), stack.get("bytes")] if stack else None,
        "verified_to": stack.get("verified_to") and clock.moment(stack["verified_to"]).local,
        "node": host.get("host") if host.get("host") != host["name"] else None,
        "disk": disk.get("percent"),
        "timers": [
            [
                one["name"],
                *(one.get(when) and clock.moment(one[when]).local for when in ("next", "last")),
                one.get("result"),
            ]
            for one in (host.get("schedule") or {}).get("timers") or []
        ],
        "history": past
        and {
            # Differences are shorter than times, and there may be 60,000 of them.
            "minutes": [now - before for before, now in zip([0, *minutes], minutes, strict=False)],
            "size": [_rounded(one.get("size")) for one in past],
            "seconds": [one.get("seconds") for one in past],
            "freeze": [one.get("freeze_seconds") for one in past],
            "words": "".join(LETTERS.get(one.get("word") or "", "u") for one in past),
        },
    }
    return {name: value for name, value in found.items() if value}


def _rounded(count: float | None) -> int | None:
    """Return a size to three figures or more, in kB, for the charts."""
    return None if count is None else round(count / 1000)


def _minutes(moment: str | None, clock: Clock) -> int | None:
    return None if moment is None else clock.moment(moment).minutes


def _sentence(host: Mapping[str, t.Any], stack: Mapping[str, t.Any] | None, clock: Clock) -> list[str]:
    name = host["name"]
    if stack is None:
        return ["s_silent" if did_not_answer(host) else "s_empty", name]
    point = stack.get("restorable_to")
    if point is None:
        return ["s_none", name, stack["stack"]]
    moment = clock.moment(point)
    return ["s_point", name, stack["stack"], moment.local, moment.utc, clock.ago(point)]


def _verdict(document: Mapping[str, t.Any], clock: Clock) -> list[tuple[object, ...]]:
    """Return the sentences on top: who needs attention, and to when everything can be restored."""
    hosts, stacks = document["summary"]["hosts"], document["summary"]["stacks"]
    oldest = document["summary"]["oldest_restorable"]
    bad = hosts["total"] - hosts[FINE]
    said: list[tuple[object, ...]] = []
    if not hosts["total"]:
        return [("v_none",)]
    if bad:
        said.append(("v_bad", bad, hosts["total"]))
    else:
        said.append(("v_one",) if hosts["total"] == 1 else ("v_ok", hosts["total"]))
    if oldest is None:
        said.append(("v_nothing",))
    else:
        moment = clock.moment(oldest["at"])
        without = stacks["total"] - stacks["restorable"]
        end = (moment.local, moment.utc)
        said.append(("v_without", without, stacks["total"], *end) if without else ("v_point", *end))
    if hosts["silent"]:
        said.append(("v_silent", hosts["silent"]))
    return said


def _attention(document: Mapping[str, t.Any], rows: Sequence[Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Return the servers that do not stand well, the worst first, with what to say of each."""
    of_host = collections.defaultdict(list)
    for row in rows:
        if row["standing"] != FINE:
            of_host[row["host"]].append(row)
    hosts = [host for host in document["hosts"] if host["standing"] != FINE]
    hosts.sort(key=lambda host: -STANDINGS.index(host["standing"]))
    worse = {one["host"] for one in (document["changes"] or {}).get("worse", [])}
    return {
        "hosts": [
            {
                "name": host["name"],
                "standing": host["standing"],
                "worse": host["name"] in worse,
                "sentences": [row["sentence"] for row in of_host[host["name"]]],
                "problems": sorted(host["problems"], key=lambda one: -STANDINGS.index(one["severity"])),
            }
            for host in hosts[:MOST_ATTENTION]
        ],
        "more": max(0, len(hosts) - MOST_ATTENTION),
    }


def _trend(document: Mapping[str, t.Any], clock: Clock) -> list[dict[str, t.Any]]:
    """Return the sums of all backups of each day, the oldest first."""
    days: dict[str, dict[str, t.Any]] = {}
    for host in document["hosts"]:
        for stack in host["stacks"]:
            for past in stack.get("history") or []:
                moment = clock.moment(past["cut_at"])
                day = days.setdefault(
                    moment.local[:10],
                    {
                        "minutes": moment.minutes - moment.minutes % 1440,
                        "count": 0,
                        "size": 0,
                        "seconds": 0,
                        "freeze": 0,
                    },
                )
                day["count"] += 1
                day["size"] += past.get("size") or 0
                day["seconds"] = max(day["seconds"], past.get("seconds") or 0)
                day["freeze"] = max(day["freeze"], past.get("freeze_seconds") or 0)
    return [{"day": day, **days[day]} for day in sorted(days)[-MOST_DAYS:]]


def _source(name: str) -> str:
    with open(os.path.join(SOURCES, name), encoding="utf-8") as file:
        return file.read()


def _policy(style: str, script: str) -> str:
    """Return a policy under which nothing is loaded, and nothing but our style and our script counts."""
    sums = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; style-src 'sha256-{sums[0]}'; script-src 'sha256-{sums[1]}'; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _embedded(data: object) -> Markup:
    """Return JSON as it may stand in a script element: nothing in it can end the element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)
