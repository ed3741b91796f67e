# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Say in English or Portuguese what there is to tell: as plain text, HTML and Markdown, no longer than allowed.

Names and messages come from the hosts. Whatever is in them, they end as text on one line: no markup, no mention of a
whole channel, no address that programs turn into a link, no control character.
Private to this collection.
"""

from __future__ import annotations

import html
import re
import typing as t
import unicodedata
from dataclasses import dataclass

from ._digest import CRITICAL, RECOVERED, WARNING, parse_time
from ._problem_words import labels

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from ._digest import Decision, Item

TEXT, HTML, MARKDOWN = "text", "html", "markdown"
SUBJECT_LIMIT = 100
MESSAGE_LIMIT = 240
NAME_LIMIT = 60
ITEM_LIMIT = 40
HOSTS_IN_SUBJECT = 3
SAYS_IT = frozenset({"stale", "never"})
# Nothing to see, and no longer a mention or a link.
ZERO_WIDTH_SPACE = "\N{ZERO WIDTH SPACE}"
LEFT_OUT = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Of Markdown and its relatives, what could hide what follows or make a link: replaced by what looks alike.
LOOKALIKES = str.maketrans(
    {"`": "'", "*": "\N{ASTERISK OPERATOR}", "|": "\N{BROKEN BAR}", "~": "\N{TILDE OPERATOR}", "\\": "\N{SET MINUS}"}
)


@dataclass(frozen=True)
class Words:
    """All that is said in one language, but for the problems themselves."""

    language: str
    severities: Mapping[str, str]
    counts: Mapping[str, tuple[str, str]]
    over: str
    since: str
    restorable: str
    nothing_to_restore: str
    more: str
    unchanged: str
    servers: str
    well: str
    all_well: str
    test: tuple[str, str]


ENGLISH = Words(
    language="en",
    severities={CRITICAL: "Critical", WARNING: "Warnings", RECOVERED: "Recovered"},
    counts={
        CRITICAL: ("critical", "critical"),
        WARNING: ("warning", "warnings"),
        RECOVERED: ("recovered", "recovered"),
    },
    over="no longer",
    since="since",
    restorable="can be restored to",
    nothing_to_restore="there is nothing to restore from",
    more="and {} more",
    unchanged="Told before and unchanged: {}.",
    servers="Servers: {total}. Well: {ok}, with warnings: {warning}, critical: {critical}.",
    well="all is well",
    all_well="Nothing is wrong.",
    test=(
        "test of the notifications",
        "This is a test of crm.continuity. Failures of your backups will come this way.",
    ),
)
PORTUGUESE = Words(
    language="pt-BR",
    severities={CRITICAL: "Crítico", WARNING: "Avisos", RECOVERED: "Recuperado"},
    counts={
        CRITICAL: ("crítico", "críticos"),
        WARNING: ("aviso", "avisos"),
        RECOVERED: ("recuperado", "recuperados"),
    },
    over="resolvido",
    since="desde",
    restorable="pode ser restaurado para",
    nothing_to_restore="não há do que restaurar",
    more="e mais {}",
    unchanged="Já avisados e sem mudança: {}.",
    servers="Servidores: {total}. Bem: {ok}, com avisos: {warning}, em estado crítico: {critical}.",
    well="está tudo bem",
    all_well="Nada está errado.",
    test=(
        "teste das notificações",
        "Este é um teste do crm.continuity. As falhas dos seus backups chegarão por aqui.",
    ),
)
LANGUAGES = {words.language: words for words in (ENGLISH, PORTUGUESE)}


@dataclass(frozen=True)
class Letter:
    """What is sent: of each format the longest version first, for receivers that take less."""

    subject: str
    bodies: Mapping[str, tuple[str, ...]]
    severity: str

    @property
    def text(self) -> str:
        """The whole as plain text."""
        return self.bodies[TEXT][0]


def compose(decision: Decision, language: str, prefix: str, limit: int) -> Letter:
    """Return the digest of the news; without news, that all is well or that nothing has changed."""
    return _letter(decision, decision.news, LANGUAGES[language], prefix, limit, unchanged=decision.unchanged)


def compose_standing(decision: Decision, language: str, prefix: str, limit: int) -> Letter:
    """Return the digest of all that stands, told before or not."""
    return _letter(decision, decision.standing, LANGUAGES[language], prefix, limit, unchanged=0)


def compose_test(language: str, prefix: str) -> Letter:
    """Return the message with which receivers are tried."""
    subject, body = LANGUAGES[language].test
    return Letter(_subject(prefix, subject), {TEXT: (body,), HTML: (f"<p>{body}</p>",), MARKDOWN: (body,)}, RECOVERED)


def plain(value: str, limit: int) -> str:
    """Return ``value`` on one line of at most ``limit`` characters without mentions and addresses of pages."""
    kept = "".join(" " if unicodedata.category(one) in LEFT_OUT else one for one in value)
    short = " ".join(kept.split())
    if len(short) > limit:
        short = short[: limit - 1] + "…"
    short = re.sub(r"(?i)\b(?:(?:https?|ftp):(?=//)|www(?=\.))", rf"\g<0>{ZERO_WIDTH_SPACE}", short)
    return re.sub(r"@(?=\w)", f"@{ZERO_WIDTH_SPACE}", short)


def as_html(value: str) -> str:
    """Return text for the inside of an element or of an attribute."""
    return html.escape(value)


def as_markdown(value: str) -> str:
    """Return text that is text in Markdown, in Slack's and in Discord's."""
    return html.escape(value.translate(LOOKALIKES), quote=False).replace("](", f"]{ZERO_WIDTH_SPACE}(")


def _letter(
    decision: Decision, items: Sequence[Item], words: Words, prefix: str, limit: int, *, unchanged: int
) -> Letter:
    notes = [words.unchanged.format(unchanged)] if unchanged else []
    if not items and not unchanged:
        notes.append(words.all_well)
    counts = decision.counts
    notes.append(words.servers.format(total=sum(counts.values()), **counts))
    limits = sorted({limit, *(smaller for smaller in (1800, 900, 400) if smaller < limit)}, reverse=True)
    bodies = {
        form: tuple(dict.fromkeys(_fitting(items, notes, words, form, size) for size in limits))
        for form in (TEXT, HTML, MARKDOWN)
    }
    severity = items[0].severity if items else RECOVERED
    return Letter(_subject(prefix, _headline(items, unchanged, words)), bodies, severity)


def _subject(prefix: str, headline: str) -> str:
    return plain(f"{prefix} {headline}", SUBJECT_LIMIT)


def _headline(items: Sequence[Item], unchanged: int, words: Words) -> str:
    if not items:
        return words.unchanged.format(unchanged).rstrip(".") if unchanged else words.well
    counts = []
    for severity, (one, many) in words.counts.items():
        number = sum(item.severity == severity for item in items)
        if number:
            counts.append(f"{number} {one if number == 1 else many}")
    hosts = list(dict.fromkeys(plain(item.host, 30) for item in items))
    named = ", ".join(hosts[:HOSTS_IN_SUBJECT])
    more = f" +{len(hosts) - HOSTS_IN_SUBJECT}" if len(hosts) > HOSTS_IN_SUBJECT else ""
    return f"{', '.join(counts)}: {named}{more}"


def _fitting(items: Sequence[Item], notes: Sequence[str], words: Words, form: str, limit: int) -> str:
    """Render as many items as fit."""
    for number in range(min(len(items), ITEM_LIMIT), -1, -1):
        rendered = _render(items[:number], len(items) - number, notes, words, form)
        if len(rendered) <= limit:
            return rendered
    return _render((), len(items), (), words, form)


def _render(items: Sequence[Item], left_out: int, notes: Sequence[str], words: Words, form: str) -> str:
    parts: list[str] = []
    for severity in (CRITICAL, WARNING, RECOVERED):
        entries = [_entry(item, words, form) for item in items if item.severity == severity]
        if entries:
            parts.append(_section(words.severities[severity], entries, form))
    if left_out:
        parts.append(_paragraph(f"… {words.more.format(left_out)}", form))
    parts += [_paragraph(note, form) for note in notes]
    return ("" if form == HTML else "\n\n").join(parts)


def _section(title: str, entries: Sequence[str], form: str) -> str:
    if form == HTML:
        return f"<h3>{title}</h3><ul>{''.join(f'<li>{entry}</li>' for entry in entries)}</ul>"
    head = f"**{title}**\n" if form == MARKDOWN else title.upper()
    return "\n".join([head, *(f"- {entry}" for entry in entries)])


def _paragraph(text: str, form: str) -> str:
    return f"<p>{text}</p>" if form == HTML else text


def _entry(item: Item, words: Words, form: str) -> str:
    name = plain(item.host, NAME_LIMIT)
    if item.stack:
        name += f" / {plain(item.stack, NAME_LIMIT)}"
    label = labels(words.language).get(item.code) or plain(item.code.replace("_", " "), NAME_LIMIT)
    own = plain(item.translations.get(words.language, ""), MESSAGE_LIMIT)
    message = own or plain(item.message, MESSAGE_LIMIT)
    if item.severity == RECOVERED:
        text = f"{words.over}: {label}"
    elif message:
        # What hosts say beyond what we have words for is in English, and says all.
        text = message if own or words is ENGLISH else f"{label}: {message}"
    else:
        text = label
    if remarks := _remarks(item, words):
        text = f"{text} ({'; '.join(remarks)})"
    if form == HTML:
        return f"<b>{as_html(name)}</b>: {as_html(text)}"
    if form == MARKDOWN:
        return f"**{as_markdown(name)}**: {as_markdown(text)}"
    return f"{name}: {text}"


def _remarks(item: Item, words: Words) -> list[str]:
    remarks = [f"{words.since} {_when(item.since)}"] if item.since else []
    # Of others, it is what the message says.
    if item.stack and item.restorable_to is not None and item.code not in SAYS_IT:
        at = parse_time(item.restorable_to)
        remarks.append(f"{words.restorable} {_when(at)}" if at else words.nothing_to_restore)
    return remarks


def _when(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")
