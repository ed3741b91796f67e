# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring sequences up to the rows that they number, so that the next row gets a number that is free.

Which column a sequence numbers is asked of the catalog: serial and identity columns own theirs, and any other column
names it in its default. For sequences that only the application knows, rules of the profile say it. ``examine`` only
looks, ``sync`` only acts, in the transaction of its caller. Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._database import connect
from ._errors import DatabaseError
from ._pg_commands import identifier, label, literal

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._database import Database
    from ._database_location import Location
    from ._profile import SequenceRule

_SEQUENCES = """
SELECT q.seqrelid::bigint, n.nspname, c.relname, q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcycle
  FROM pg_sequence q
  JOIN pg_class c ON c.oid = q.seqrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY n.nspname, c.relname
"""
# Columns that own a sequence, and columns whose default draws from one.
_COLUMNS = """
SELECT u.sequence::bigint, n.nspname, c.relname, a.attname,
       COALESCE(NULLIF(y.typbasetype, 0), y.oid) IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
  FROM (SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid::smallint AS number
          FROM pg_depend d
         WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
           AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
        UNION
        SELECT d.refobjid, e.adrelid, e.adnum
          FROM pg_depend d JOIN pg_attrdef e ON e.oid = d.objid
         WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u
  JOIN pg_sequence q ON q.seqrelid = u.sequence
  JOIN pg_class c ON c.oid = u.relation
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = u.relation AND a.attnum = u.number
  JOIN pg_type y ON y.oid = a.atttypid
 ORDER BY n.nspname, c.relname, a.attname
"""


@dataclass(frozen=True)
class Numbered:
    """Rows that a sequence numbers: a column of a table, of all rows or of those that ``where`` is true for."""

    schema: str
    table: str
    column: str
    where: str = ""

    @property
    def name(self) -> str:
        return f"{label(self.schema, self.table)} ({self.column})"

    def extreme(self, *, ascending: bool) -> str:
        """Return the query for the number that the sequence must have passed."""
        function = "max" if ascending else "min"
        table = f"{identifier(self.schema)}.{identifier(self.table)}"
        return f"SELECT {function}({identifier(self.column)}) FROM {table}{self.where}"


@dataclass(frozen=True)
class State:
    """A sequence: the number that it gives next, and the one it should, which is None where that is right.

    ``highest`` is the number of the last row in its direction, None without rows. ``remark`` says why a sequence that
    is not right was left alone.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    next: int
    highest: int | None
    wanted: int | None
    remark: str | None = None

    @property
    def label(self) -> str:
        return label(self.schema, self.name)


@dataclass(frozen=True)
class Synced:
    """What was done, or is to be done: sequences that change, how many were looked at, and those that nobody explains.

    ``unknown`` are sequences of which neither the catalog nor a rule says what they number.
    """

    changed: tuple[State, ...]
    checked: int
    unknown: tuple[str, ...]
    remarks: tuple[str, ...]

    def diff(self) -> dict[str, str]:
        return {
            "before": "".join(f"{state.label}: next is {state.next}\n" for state in self.changed),
            "after": "".join(f"{state.label}: next is {state.wanted}\n" for state in self.changed),
        }


@dataclass(frozen=True)
class Definition:
    """How a sequence counts."""

    increment: int
    minimum: int
    maximum: int
    start: int
    cycles: bool


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types."""

    database: str
    rules: tuple[SequenceRule, ...] = field(default=())
    exact: bool = False


def plan(request: Request, location: Location) -> Synced:
    """Look at all sequences of a database. Changes nothing."""
    with connect(location.connection(request.database)) as session:
        return examine(session, request.rules, exact=request.exact)


def apply(request: Request, location: Location) -> Synced:
    """Set all sequences that need it, or none."""
    with connect(location.connection(request.database)) as session, session.transaction():
        return sync(session, request.rules, exact=request.exact)


def sync(session: Database, rules: Iterable[SequenceRule] = (), *, exact: bool = False) -> Synced:
    """Raise every sequence that is behind its rows; leave those alone that are ahead of them, unless ``exact``.

    With ``exact``, a sequence continues right after the last row, also where that is lower; without rows, it starts
    anew. What is done is part of the session's transaction, if there is one, and is undone with it.
    """
    found = examine(session, rules, exact=exact)
    for state in found.changed:
        # setval() would outlive a rollback, and this locks the sequence until the transaction ends.
        name = f"{identifier(state.schema)}.{identifier(state.name)}"
        session.execute(f"ALTER SEQUENCE {name} RESTART WITH {state.wanted}")
    return found


def examine(session: Database, rules: Iterable[SequenceRule] = (), *, exact: bool = False) -> Synced:
    """Compare all sequences with the rows that they number. Changes nothing."""
    rules = tuple(rules)
    columns: dict[int, list[Numbered]] = {}
    for oid, schema, table, column, counts in session.execute(_COLUMNS):
        # What a number is only a part of, such as 'INV-' || nextval(…), has no maximum that says anything.
        if counts:
            columns.setdefault(oid, []).append(Numbered(schema, table, column))
    states, unknown = [], []
    for oid, schema, name, *definition in session.execute(_SEQUENCES):
        numbered = columns.get(oid) or _by_rule(schema, name, rules)
        if numbered:
            states.append(_state(session, schema, name, Definition(*definition), numbered, exact=exact))
        else:
            unknown.append(label(schema, name))
    return Synced(
        changed=tuple(state for state in states if state.wanted is not None),
        checked=len(states),
        unknown=tuple(unknown),
        remarks=tuple(state.remark for state in states if state.remark is not None),
    )


def _by_rule(schema: str, name: str, rules: Sequence[SequenceRule]) -> list[Numbered]:
    for rule in rules:
        match = rule.like.fullmatch(name)
        if match is not None:
            conditions = [f"{identifier(column)} = {literal(match[group])}" for column, group in rule.where.items()]
            where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
            return [Numbered(schema, rule.table, rule.column, where)]
    return []


def _state(
    session: Database, schema: str, name: str, definition: Definition, numbered: Sequence[Numbered], *, exact: bool
) -> State:
    last, called = session.execute(f"SELECT last_value, is_called FROM {identifier(schema)}.{identifier(name)}")[0]
    following = int(last) + (definition.increment if called else 0)
    ascending = definition.increment > 0
    found = []
    for rows in numbered:
        try:
            found.append(session.execute(rows.extreme(ascending=ascending))[0][0])
        except DatabaseError as exc:
            raise DatabaseError(f"Sequence {label(schema, name)} was to be compared with {rows.name}: {exc}") from exc
    numbers = [int(number) for number in found if number is not None]
    highest = (max(numbers) if ascending else min(numbers)) if numbers else None
    wanted = next_number(definition, following, highest, exact=exact)
    columns = tuple(rows.name for rows in numbered)
    remark = None
    if wanted is not None and definition.cycles:
        # It comes round to numbers that are taken, and the application knows that.
        wanted = None
    elif wanted is not None and not definition.minimum <= wanted <= definition.maximum:
        remark = (
            f"Sequence {label(schema, name)} cannot go past {highest}, the last number in {', '.join(columns)}: it "
            f"ends at {definition.maximum if ascending else definition.minimum}. It was left as it is."
        )
        wanted = None
    return State(schema, name, columns, following, highest, wanted, remark)


def next_number(definition: Definition, following: int, highest: int | None, *, exact: bool) -> int | None:
    """Return the number that a sequence should give next, or None where ``following`` is right.

    It is one that the sequence would reach by itself: with an increment of 2, even numbers stay even.
    """
    anchor = definition.start if exact else following
    wanted = anchor
    if highest is not None:
        step = abs(definition.increment)
        behind = (highest - anchor) * (1 if definition.increment > 0 else -1)
        if behind >= 0:
            wanted = anchor + (behind // step + 1) * definition.increment
    return None if wanted == following else wanted
