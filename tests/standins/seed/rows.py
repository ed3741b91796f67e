# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows for tests: COPY into PostgreSQL, and the texts that dumps and CSV files get wrong."""

from __future__ import annotations

import datetime
import io
import json
import random
import typing as t
import uuid

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from psycopg2.extensions import cursor as Cursor

from tree import NEWEST, TWO_YEARS, WORDS

Values = t.Sequence[t.Any]

AWKWARD_TEXTS: tuple[str, ...] = (
    "",
    " ",
    "primeira linha\nsegunda linha\r\nterceira",
    "\\.",
    "before\n\\.\nafter",
    "\\N",
    "NULL",
    "back\\slash \\n \\t \\x41 trailing\\",
    "it's \"quoted\", 'twice', and `so`; -- no comment /* nor this */",
    'a,"b ""c""",d\n1,"2\n3",4',
    "tab\there, vertical\x0b, bell\x07, escape\x1b[31m",
    "José é NFC, Jose\u0301 é NFD",
    "emoji 😀 família 👩‍👩‍👧 bandeira 🇧🇷",
    "العربية עברית 日本語 \u202eright to left\u202c",
    "zero\u200bwidth \ufeffBOM \u2028separator",
    "$$dollar$$ $body$ :variable %s %(name)s {brace} ${shell} $(command)",
    '{"looks": "like json", "n": null}',
    "=cmd|' /C calc'!A0",
    "  leading and trailing  ",
    "x" * 9_000,
)


class Rows:
    """Chance with the draws that rows are made of; the same seed always gives the same rows."""

    def __init__(self, seed: int, part: str) -> None:
        self.chance = random.Random(f"rows:{seed}:{part}")

    def text(self, number: int) -> str:
        """A message: every tenth is awkward, the others are words."""
        if number % 10 == 0:
            return AWKWARD_TEXTS[number // 10 % len(AWKWARD_TEXTS)]
        return " ".join(self.chance.choices(WORDS, k=self.chance.randint(2, 40)))

    def name(self) -> str:
        """A person's name."""
        first = self.chance.choice(("José", "Ana", "João", "Conceição", "Müller", "Jose\u0301", "O'Neill", "李", "Zé"))
        return f"{first} {self.chance.choice(('da Silva', 'Araújo', 'Gonçalves', 'Sá', 'Núñez', 'Ávila', 'Brandão'))}"

    def phone(self) -> str:
        """A Brazilian mobile number."""
        return f"55{self.chance.randint(11, 99)}9{self.chance.randrange(10**8):08d}"

    def token(self, size: int = 24) -> str:
        """Lower-case letters and digits."""
        return "".join(self.chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=size))

    def uuid(self) -> str:
        """A random UUID, version 4."""
        return str(uuid.UUID(int=self.chance.getrandbits(128), version=4))

    def time(self) -> datetime.datetime:
        """A moment within two years, with microseconds, without a zone."""
        seconds = NEWEST - self.chance.randrange(TWO_YEARS)
        moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).replace(tzinfo=None)
        return moment + datetime.timedelta(microseconds=self.chance.randrange(10**6))

    def document(self, number: int) -> dict[str, t.Any]:
        """A JSON object; every fiftieth is large."""
        value: dict[str, t.Any] = {
            "número": number,
            "text": AWKWARD_TEXTS[number % len(AWKWARD_TEXTS)],
            "nested": {"list": [1, 2.5, None, True, "\u00e9", {"deep": [[]]}], "empty": {}},
            "big": 2**60 + number,
        }
        if number % 50 == 0:
            value["many"] = {self.token(12): self.chance.randbytes(60).hex() for dummy in range(150)}
        return value


def copy_rows(cursor: Cursor, table: str, columns: Sequence[str], rows: Iterable[Values]) -> int:
    """Load rows with COPY and return how many there were; names are quoted here."""
    buffer = io.StringIO()
    count = 0
    for row in rows:
        buffer.write("\t".join(_field(value) for value in row) + "\n")
        count += 1
    buffer.seek(0)
    names = ", ".join(_quoted(name) for name in columns)
    cursor.copy_expert(f"COPY {_quoted(table)} ({names}) FROM STDIN", buffer)
    return count


def move_sequences(cursor: Cursor, schema: str) -> None:
    """Put every sequence that belongs to a column behind the largest value, as after normal use."""
    cursor.execute(
        "SELECT quote_ident(tables.relname), quote_ident(attname), pg_depend.objid::regclass::text"
        "  FROM pg_depend JOIN pg_class AS sequences ON sequences.oid = objid AND sequences.relkind = 'S'"
        "  JOIN pg_class AS tables ON tables.oid = refobjid AND tables.relnamespace = %s::regnamespace"
        "  JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid"
        " WHERE pg_depend.deptype IN ('a', 'i')",
        (schema,),
    )
    for table, column, sequence in cursor.fetchall():
        cursor.execute(
            f"SELECT setval(%s, max({column}) + 3, max({column}) %% 2 = 0) FROM {table} HAVING max({column}) > 0",
            (sequence,),
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _field(value: t.Any) -> str:
    """One value in the text format of COPY."""
    if value is None:
        return "\\N"
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, bytes):
        return f"\\\\x{value.hex()}"
    if isinstance(value, dict):
        value = json.dumps(value, ensure_ascii=False)
    elif isinstance(value, list):
        value = "{" + ",".join('"' + str(item).replace("\\", "\\\\").replace('"', '\\"') + '"' for item in value) + "}"
    text = str(value)
    for plain, escaped in (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(plain, escaped)
    return text
