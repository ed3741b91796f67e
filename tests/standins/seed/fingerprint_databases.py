# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in the databases of a stack: every row by checksum, every sequence, and the definition of every object."""

from __future__ import annotations

import hashlib
import typing as t

if t.TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor
    from standin_stack import Stack

MODULUS = 2**256

# Everything that turns into text is turned into the same text, whatever the server's settings are.
SETTINGS = (
    "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
    "SET LOCAL search_path = ''",
    "SET LOCAL timezone = 'UTC'",
    "SET LOCAL datestyle = 'ISO, YMD'",
    "SET LOCAL intervalstyle = 'postgres'",
    "SET LOCAL extra_float_digits = 3",
    "SET LOCAL bytea_output = 'hex'",
)

OWN_SCHEMA = "namespaces.nspname NOT IN ('pg_catalog', 'information_schema') AND namespaces.nspname NOT LIKE 'pg\\_t%'"
NOT_OF_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS members"
    " WHERE members.deptype = 'e' AND members.objid = {oid} AND members.classid = '{catalog}'::pg_catalog.regclass)"
)

# Name and definition of the objects of one kind. The names make a missing object easy to see.
DEFINITIONS = {
    "schemas": f"""
        SELECT nspname, pg_catalog.concat_ws(' ', nspowner::regrole, nspacl)
          FROM pg_catalog.pg_namespace AS namespaces WHERE {OWN_SCHEMA}""",
    "extensions": """
        SELECT extname, pg_catalog.concat_ws(' in ', extversion, extnamespace::regnamespace)
          FROM pg_catalog.pg_extension""",
    "relations": f"""
        SELECT classes.oid::regclass::text,
               pg_catalog.concat_ws(' ', relkind, relpersistence, relowner::regrole, relacl,
                                    pg_catalog.obj_description(classes.oid, 'pg_class'))
          FROM pg_catalog.pg_class AS classes
          JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = relnamespace
         WHERE {OWN_SCHEMA} AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
           AND {NOT_OF_EXTENSION.format(oid="classes.oid", catalog="pg_catalog.pg_class")}""",
    "columns": f"""
        SELECT attrelid::regclass::text || '.' || attname,
               pg_catalog.concat_ws(' ', pg_catalog.format_type(atttypid, atttypmod), attnotnull, attidentity,
                                    attgenerated, pg_catalog.pg_get_expr(adbin, adrelid))
          FROM pg_catalog.pg_attribute JOIN pg_catalog.pg_class AS classes ON classes.oid = attrelid
          JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = relnamespace
          LEFT JOIN pg_catalog.pg_attrdef ON adrelid = attrelid AND adnum = attnum
         WHERE {OWN_SCHEMA} AND relkind IN ('r', 'p', 'v', 'm') AND attnum > 0 AND NOT attisdropped
           AND {NOT_OF_EXTENSION.format(oid="classes.oid", catalog="pg_catalog.pg_class")}""",
    "constraints": f"""
        SELECT conrelid::regclass::text || '.' || conname, pg_catalog.pg_get_constraintdef(constraints.oid)
          FROM pg_catalog.pg_constraint AS constraints
          JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = connamespace
         WHERE {OWN_SCHEMA} AND conrelid <> 0""",
    "indexes": f"""
        SELECT indexrelid::regclass::text, pg_catalog.concat_ws(' ', pg_catalog.pg_get_indexdef(indexrelid), indisvalid)
          FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS classes ON classes.oid = indexrelid
          JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = relnamespace WHERE {OWN_SCHEMA}""",
    "triggers": """
        SELECT tgrelid::regclass::text || '.' || tgname,
               pg_catalog.concat_ws(' ', pg_catalog.pg_get_triggerdef(oid), tgenabled)
          FROM pg_catalog.pg_trigger WHERE NOT tgisinternal""",
    "functions": f"""
        SELECT functions.oid::regprocedure::text,
               pg_catalog.concat_ws(' ', proowner::regrole, proacl, pg_catalog.pg_get_functiondef(functions.oid))
          FROM pg_catalog.pg_proc AS functions
          JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = pronamespace
         WHERE {OWN_SCHEMA} AND prokind IN ('f', 'p')
           AND {NOT_OF_EXTENSION.format(oid="functions.oid", catalog="pg_catalog.pg_proc")}""",
    "enums": """
        SELECT enumtypid::regtype::text, pg_catalog.string_agg(enumlabel, ',' ORDER BY enumsortorder)
          FROM pg_catalog.pg_enum GROUP BY enumtypid""",
    "views": f"""
        SELECT classes.oid::regclass::text, pg_catalog.pg_get_viewdef(classes.oid)
          FROM pg_catalog.pg_class AS classes
          JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = relnamespace
         WHERE {OWN_SCHEMA} AND relkind IN ('v', 'm')
           AND {NOT_OF_EXTENSION.format(oid="classes.oid", catalog="pg_catalog.pg_class")}""",
    "sequence owners": """
        SELECT objid::regclass::text, refobjid::regclass::text || '.' || refobjsubid
          FROM pg_catalog.pg_depend JOIN pg_catalog.pg_class AS sequences ON sequences.oid = objid AND relkind = 'S'
         WHERE classid = 'pg_catalog.pg_class'::regclass AND refobjsubid > 0 AND deptype IN ('a', 'i')""",
}

DATABASES = """
    SELECT datname, datdba::regrole::text, pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype,
           pg_catalog.concat(datacl)
      FROM pg_catalog.pg_database WHERE NOT datistemplate AND datallowconn
"""
ROLES = """
    SELECT rolname,
           pg_catalog.concat_ws(' ', rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication)
      FROM pg_catalog.pg_roles WHERE rolname NOT LIKE 'pg\\_%'
"""


class _Checksum:
    """Takes the output of COPY and adds up the hashes of its lines: equal for equal rows in any order."""

    def __init__(self) -> None:
        self._rest = b""
        self._sum = 0
        self.rows = 0

    def write(self, chunk: bytes) -> int:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            self._sum += int.from_bytes(hashlib.sha256(line).digest(), "big")
        self.rows += len(lines)
        return len(chunk)

    @property
    def digest(self) -> str:
        return f"{self._sum % MODULUS:064x}"


def describe_databases(stack: Stack) -> dict[str, t.Any]:
    """Describe the database server of a stack and every database on it."""
    connection = stack.connect("postgres")
    with connection, connection.cursor() as cursor:
        cursor.execute(DATABASES)
        properties = {row[0]: " ".join(row[1:]) for row in cursor.fetchall()}
        cursor.execute(ROLES)
        roles = dict(cursor.fetchall())
    connection.close()
    databases = {}
    for name, described in properties.items():
        connection = stack.connect(name)
        databases[name] = {"properties": described, **_describe(connection)}
        connection.close()
    return {"roles": roles, "databases": databases}


def _describe(connection: Connection) -> dict[str, t.Any]:
    with connection, connection.cursor() as cursor:
        for setting in SETTINGS:
            cursor.execute(setting)
        definitions: dict[str, dict[str, str]] = {}
        for kind, query in DEFINITIONS.items():
            cursor.execute(query)
            definitions[kind] = {name: str(definition) for name, definition in cursor.fetchall()}
        # Names are qualified from here on, and functions of an index may need the path to plan a query at all.
        cursor.execute("SET LOCAL search_path TO DEFAULT")
        relations = definitions["relations"]
        tables = sorted(name for name, definition in relations.items() if definition[0] in "rpm")
        sequences = sorted(name for name, definition in relations.items() if definition[0] == "S")
        return {
            "definitions": definitions,
            "tables": {name: _describe_table(cursor, name) for name in tables},
            "sequences": {name: _describe_sequence(cursor, name) for name in sequences},
        }


def _describe_table(cursor: Cursor, table: str) -> dict[str, t.Any]:
    """Count and hash the rows. ``table`` comes quoted from the catalogue."""
    checksum = _Checksum()
    # A query and not the table's name: only so are generated columns part of it.
    cursor.copy_expert(f"COPY (SELECT * FROM {table}) TO STDOUT", checksum, 1 << 20)
    return {"rows": checksum.rows, "sum": checksum.digest}


def _describe_sequence(cursor: Cursor, sequence: str) -> list[t.Any]:
    cursor.execute(f"SELECT last_value, is_called FROM {sequence}")
    return list(cursor.fetchone() or ())
