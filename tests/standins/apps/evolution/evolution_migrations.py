# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Schema migrations of the Evolution API stand-in, recorded like those of Prisma.

Prisma refuses a schema that has tables but no history (P3005) and a history with a migration that failed
(P3009); a restore that forgets "_prisma_migrations" meets the first.
"""

from __future__ import annotations

import hashlib
import typing as t
import uuid
from pathlib import Path

from standin_services import SCHEMA_LOCK, die, log

if t.TYPE_CHECKING:
    from psycopg2.extras import RealDictCursor
    from standin_services import Database

MIGRATIONS = Path(__file__).with_name("migrations")

CREATE_HISTORY = """
    CREATE TABLE _prisma_migrations (
        id varchar(36) PRIMARY KEY,
        checksum varchar(64) NOT NULL,
        finished_at timestamptz,
        migration_name varchar(255) NOT NULL,
        logs text,
        rolled_back_at timestamptz,
        started_at timestamptz NOT NULL DEFAULT now(),
        applied_steps_count integer NOT NULL DEFAULT 0
    )
"""


def deploy(database: Database, schema: str) -> None:
    """Bring the schema up to date, or end the application with Prisma's error."""
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        cursor.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
        names = _tables(cursor, schema)
        if "_prisma_migrations" not in names:
            if names:
                _fail("P3005", "The database schema is not empty.")
            cursor.execute(CREATE_HISTORY)
        cursor.execute("SELECT migration_name, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL")
        history = {row["migration_name"]: row["finished_at"] for row in cursor.fetchall()}
        failed = sorted(name for name, finished in history.items() if finished is None)
        if failed:
            _fail("P3009", f"migrate found failed migrations in the target database: {', '.join(failed)}")
        pending = [path for path in sorted(MIGRATIONS.glob("*.sql")) if path.stem not in history]
        for path in pending:
            _apply(cursor, path)
    log(f"{len(pending)} migrations applied" if pending else "No pending migrations to apply.")


def _tables(cursor: RealDictCursor, schema: str) -> set[str]:
    cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (schema,))
    return {row["tablename"] for row in cursor.fetchall()}


def _apply(cursor: RealDictCursor, path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    cursor.execute(text)
    cursor.execute(
        "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count)"
        " VALUES (%s, %s, %s, now(), 1)",
        (str(uuid.uuid4()), hashlib.sha256(text.encode()).hexdigest(), path.stem),
    )


def _fail(code: str, reason: str) -> t.NoReturn:
    log(f"Error: {code}")
    log(reason)
    die("Migration failed")
