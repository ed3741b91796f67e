# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take foreign keys, triggers and indexes off tables while rows are loaded into them, and put them back.

Rows may then come in any order, triggers do not renumber them, and an index is built once instead of row by row. A
foreign key that is put back is checked by PostgreSQL for every row. All of it happens in one transaction, so that
nobody ever sees a table without them. What a plain definition would not bring back exactly, such as a comment, is left
in place, and at the end the definitions are compared. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import typing as t
from dataclasses import dataclass

from ._errors import DatabaseError

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._database import Database

_FOREIGN_KEYS = """
SELECT x.oid::bigint, format('ALTER TABLE %%I.%%I', n.nspname, c.relname), format('%%I', x.conname),
       pg_get_constraintdef(x.oid),
       format('COMMENT ON CONSTRAINT %%I ON %%I.%%I IS %%L', x.conname, n.nspname, c.relname,
              obj_description(x.oid, 'pg_constraint'))
  FROM pg_constraint x
  JOIN pg_class c ON c.oid = x.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_class p ON p.oid = x.confrelid
 WHERE x.contype = 'f' AND (x.conrelid = ANY (%(children)s::oid[]) OR x.confrelid = ANY (%(parents)s::oid[]))
   AND c.relkind = 'r' AND p.relkind = 'r' AND x.conparentid = 0
   AND NOT EXISTS (SELECT FROM pg_constraint y WHERE y.conparentid = x.oid)
   AND NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgconstraint = x.oid AND g.tgenabled <> 'O')
 ORDER BY n.nspname, c.relname, x.conname
"""
# What belongs to an index besides its definition.
_PLAIN_INDEX = """
       i.indisvalid AND NOT i.indisclustered AND NOT i.indisreplident AND c.relkind = 'r' AND NOT c.relispartition
   AND NOT EXISTS (SELECT FROM pg_inherits h WHERE i.indrelid IN (h.inhrelid, h.inhparent))
   AND obj_description(i.indexrelid, 'pg_class') IS NULL
   AND (SELECT k.reltablespace FROM pg_class k WHERE k.oid = i.indexrelid) = 0
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                      AND d.deptype IN ('e', 'x'))
"""
# Primary keys and unique constraints that nothing else depends on than foreign keys which are off as well.
_KEYS = f"""
SELECT format('ALTER TABLE %%I.%%I', n.nspname, c.relname), format('%%I', x.conname), pg_get_constraintdef(x.oid)
  FROM pg_constraint x
  JOIN pg_class c ON c.oid = x.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_index i ON i.indexrelid = x.conindid
 WHERE x.contype IN ('p', 'u') AND x.conrelid = ANY (%(large)s::oid[])
   AND obj_description(x.oid, 'pg_constraint') IS NULL
   AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.conindid = x.conindid
                      AND f.oid <> ALL (%(off)s::oid[]))
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_constraint'::regclass AND d.refobjid = x.oid)
   AND {_PLAIN_INDEX}
 ORDER BY n.nspname, c.relname, x.conname
"""
# An expression may call a function that does not work while an index is built.
_INDEXES = f"""
SELECT format('DROP INDEX %%I.%%I', n.nspname, k.relname), pg_get_indexdef(i.indexrelid)
  FROM pg_index i
  JOIN pg_class k ON k.oid = i.indexrelid
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = k.relnamespace
 WHERE i.indrelid = ANY (%(large)s::oid[]) AND i.indexprs IS NULL AND i.indpred IS NULL
   AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conindid = i.indexrelid)
   AND {_PLAIN_INDEX}
 ORDER BY n.nspname, k.relname
"""
_TRIGGERS = """
SELECT format('ALTER TABLE %%I.%%I', n.nspname, c.relname), format('TRIGGER %%I', g.tgname), g.tgenabled::text
  FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT g.tgisinternal AND g.tgrelid = ANY (%(children)s::oid[]) AND g.tgenabled IN ('O', 'A')
 ORDER BY n.nspname, c.relname, g.tgname
"""
_DEFINITIONS = """
SELECT 'constraint', x.conrelid::regclass::text, x.conname::text, pg_get_constraintdef(x.oid),
       concat_ws(' ', x.convalidated, obj_description(x.oid, 'pg_constraint'))
  FROM pg_constraint x
 WHERE x.conrelid = ANY (%(tables)s::oid[]) OR x.confrelid = ANY (%(tables)s::oid[])
UNION ALL
SELECT 'index', i.indrelid::regclass::text, k.relname::text, pg_get_indexdef(i.indexrelid),
       concat_ws(' ', i.indisvalid, i.indisclustered, i.indisreplident, obj_description(k.oid, 'pg_class'))
  FROM pg_index i JOIN pg_class k ON k.oid = i.indexrelid
 WHERE i.indrelid = ANY (%(tables)s::oid[])
UNION ALL
SELECT 'trigger', g.tgrelid::regclass::text, g.tgname::text, pg_get_triggerdef(g.oid), g.tgenabled::text
  FROM pg_trigger g
 WHERE NOT g.tgisinternal AND g.tgrelid = ANY (%(tables)s::oid[])
 ORDER BY 1, 2, 3
"""


@dataclass(frozen=True)
class _Off:
    """What to run before and after."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@contextlib.contextmanager
def bare(session: Database, tables: Sequence[int], large: Sequence[int], emptied: Sequence[int]) -> Iterator[None]:
    """Take what is in the way off ``tables`` while the block runs, in the transaction of the session.

    Indexes and keys are taken off the ``large`` ones only. ``emptied`` are tables whose rows go, and that no foreign
    key may hold on to meanwhile. Raises DatabaseError when a row does not satisfy what is put back.
    """
    wanted = {"children": list(tables), "large": list(large), "parents": [*large, *emptied], "off": []}
    definitions = session.execute(_DEFINITIONS, {"tables": list(tables)})
    off = _off(session, wanted)
    for statement in off.before:
        session.execute(statement)
    yield
    for statement in off.after:
        session.execute(statement)
    now = session.execute(_DEFINITIONS, {"tables": list(tables)})
    if now != definitions:
        different = sorted({f"{kind} {name} of {table}" for kind, table, name, *_rest in {*now} ^ {*definitions}})
        raise DatabaseError(
            f"These could not be put back as they were, so nothing was done: {', '.join(different)}. Please report it, "
            "with their definitions.",
            definitions=different,
        )


def _off(session: Database, wanted: dict[str, list[int]]) -> _Off:
    before, after = [], []
    for table, trigger, enabled in session.execute(_TRIGGERS, wanted):
        before.append(f"{table} DISABLE {trigger}")
        after.append(f"{table} ENABLE {'ALWAYS ' if enabled == 'A' else ''}{trigger}")
    foreign = session.execute(_FOREIGN_KEYS, wanted)
    keys = session.execute(_KEYS, {**wanted, "off": [oid for oid, *_rest in foreign]})
    off = [(table, name, definition) for _oid, table, name, definition, _comment in foreign]
    before += [f"{table} DROP CONSTRAINT {name}" for table, name, _definition in [*off, *keys]]
    # Foreign keys need the keys that they refer to.
    after += [f"{table} ADD CONSTRAINT {name} {definition}" for table, name, definition in [*keys, *off]]
    after += [comment for *_rest, comment in foreign]
    for drop, create in session.execute(_INDEXES, wanted):
        before.append(drop)
        after.append(create)
    return _Off(tuple(before), tuple(after))
