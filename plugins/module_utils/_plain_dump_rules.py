# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pg_dump writes into a script, and what becomes of each statement when the script is restored.

Pure functions. Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t

from ._dump_contents import NAME

if t.TYPE_CHECKING:
    from collections.abc import Sequence

# What becomes of a statement.
SKIPPED, SETTING, DATABASE, OUTER, PRIVILEGE, COPY, INSERT, OBJECT = range(8)

_QUALIFIED = rf"(?:{NAME}\.)?{NAME}"
_TEXT = r"'[^']*(?:''[^']*)*'"
_VALUE = rf"(?:(?:{_TEXT}|-?[0-9.]+|NULL)(?:::[a-z_][\w ]*(?:\[\])?)?|true|false)"
COPY_STATEMENT = re.compile(rf"COPY ({_QUALIFIED})(?: +\({NAME}(?:, {NAME})*\))? +FROM stdin\Z")
SET_STATEMENT = re.compile(r"SET (\w+) (?:=|TO) (.*)\Z", re.DOTALL)
SETVAL = re.compile(rf"SELECT pg_catalog\.setval\(({_TEXT}), (-?\d+), (true|false)\)\Z")
_FUNCTIONS = re.compile(
    r"SELECT (?:\* FROM )?pg_catalog\."
    r"(?:set_config|lo_create|lo_open|lo_close|lowrite|lo_from_bytea|pg_restore_\w+_stats)"
    rf"\(\s*(?:{_VALUE}(?:,\s*{_VALUE})*)?\s*\)\Z"
)
CREATE_TABLE = re.compile(rf"CREATE (?:UNLOGGED )?TABLE (?:IF NOT EXISTS )?({_QUALIFIED})\s")
PARTITIONED = re.compile(r"\)\s*PARTITION BY (?:RANGE|LIST|HASH) \(")
CREATE_DATABASE = re.compile(rf"CREATE DATABASE ({NAME})(?![\w$])")
CREATE_SCHEMA = re.compile(rf"CREATE SCHEMA ({NAME})\Z")
CREATE_EXTENSION = re.compile(rf"CREATE EXTENSION (?:IF NOT EXISTS )?({NAME})(?![\w$])")
INSERT_STATEMENT = re.compile(rf"INSERT INTO ({_QUALIFIED})(?![\w$])")
OWNER = re.compile(rf"ALTER [^']* OWNER TO ({NAME})\Z")

ANOTHER_KIND = "holds {}, as pg_dumpall writes it for a whole server. Take one database out with pg_dump"
# In this order, the first that fits says what becomes of a statement: one of the above, or why it is refused.
_RULES: tuple[tuple[re.Pattern[str], int | str], ...] = tuple(
    (re.compile(rf"(?:{pattern})(?![\w$])", re.DOTALL), verdict)
    for pattern, verdict in (
        # An empty database needs no clearing (--clean); psql is told to make one transaction of all.
        (r"DROP|BEGIN|COMMIT", SKIPPED),
        (rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_QUALIFIED}\s+(?:DROP|ALTER COLUMN {NAME} DROP)", SKIPPED),
        (r"CREATE SCHEMA public", SKIPPED),
        # Everything belongs to the owner that the restore chooses.
        (rf"ALTER (?!DATABASE )[^']* OWNER TO {NAME}\Z|(?:RE)?SET SESSION AUTHORIZATION", SKIPPED),
        # Only the newest servers know it, and no session of ours has such a limit.
        (r"SET transaction_timeout", SKIPPED),
        (r"(?:CREATE|ALTER|COMMENT ON|(?:GRANT|REVOKE) [A-Z, ]+ ON) DATABASE", DATABASE),
        (rf"ALTER ROLE {NAME} IN DATABASE", DATABASE),
        (r"(?:CREATE|ALTER) (?:ROLE|USER(?! MAPPING)|GROUP)", ANOTHER_KIND.format("roles")),
        (r"(?:CREATE|ALTER) TABLESPACE|ALTER SYSTEM", ANOTHER_KIND.format("settings of the server")),
        (r"GRANT \S+ TO", ANOTHER_KIND.format("memberships of roles")),
        (rf"(?:CREATE|COMMENT ON) EXTENSION|COMMENT ON SCHEMA|CREATE SCHEMA {NAME}\Z", OUTER),
        (r"GRANT|REVOKE|ALTER DEFAULT PRIVILEGES", PRIVILEGE),
        (rf"INSERT INTO {_QUALIFIED}", INSERT),
        (r"CREATE|ALTER|COMMENT ON|SECURITY LABEL|REFRESH MATERIALIZED VIEW|CLUSTER", OBJECT),
    )
)
# Indexes, constraints, triggers: what pg_dump writes after the rows, and what needs the functions to work.
POST_DATA = re.compile(
    r"CREATE (?:UNIQUE )?(?:INDEX|RULE|STATISTICS|POLICY|PUBLICATION|SUBSCRIPTION|(?:CONSTRAINT |EVENT )?TRIGGER)\b"
    rf"|REFRESH |CLUSTER |ALTER INDEX |ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_QUALIFIED}\s+ADD CONSTRAINT "
)
_SETTINGS = frozenset(
    {
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "client_encoding",
        "standard_conforming_strings",
        "escape_string_warning",
        "check_function_bodies",
        "xmloption",
        "client_min_messages",
        "row_security",
        "default_tablespace",
        "default_table_access_method",
        "default_with_oids",
        "search_path",
    }
)
# In these, the second byte of a character may look like a backslash or a quote.
_UNSAFE_ENCODINGS = re.compile(r"(?i)'?(?:SJIS|SHIFT_JIS|MSKANJI|BIG5|WIN950|GBK|WIN936|UHC|WIN949|GB18030|JOHAB)")


def verdict_of(text: str, words: Sequence[bytes]) -> int | str | None:
    """Return what becomes of a statement, why it is refused, or None for one that pg_dump does not write."""
    if COPY_STATEMENT.match(text) is not None:
        return COPY
    if SETVAL.match(text) is not None or _FUNCTIONS.match(text) is not None:
        # The search path is a setting, too.
        return SETTING if ".set_config(" in text[:40] else OBJECT
    for pattern, verdict in _RULES:
        if pattern.match(text) is not None:
            # Without values it takes its rows from a query, which could do anything.
            return None if verdict == INSERT and b"values" not in words else verdict
    given = SET_STATEMENT.match(text)
    return _setting(given[1], given[2]) if given is not None else None


def _setting(name: str, value: str) -> int | str | None:
    if name == "standard_conforming_strings" and value.strip("'").lower() != "on":
        return (
            "has backslashes with a meaning of their own (standard_conforming_strings), so it cannot be checked. Dump "
            "the database with pg_dump -Fc instead"
        )
    if name == "client_encoding" and _UNSAFE_ENCODINGS.match(value):
        return f"is encoded as {value}, which cannot be checked. Dump the database with pg_dump --encoding=UTF8"
    return SETTING if name in _SETTINGS else None
