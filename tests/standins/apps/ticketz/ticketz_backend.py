# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backend of the Ticketz stand-in: migrates and seeds its database, connects its sessions, answers requests."""

from __future__ import annotations

import os
import secrets
import typing as t
from pathlib import Path

from standin_http import serve
from standin_services import SCHEMA_LOCK, Database, connect_redis, log, wait_for_redis
from ticketz_tokens import hash_password
from ticketz_web import REFRESH_SECRET, SECRET, Backend

if t.TYPE_CHECKING:
    import redis

HERE = Path(__file__).parent
FIRST_PASSWORD = "123456"


def migrate(database: Database) -> None:
    """Create the schema in an empty database and its first rows; leave any other one alone."""
    with database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        cursor.execute("SELECT to_regclass('public.\"SequelizeMeta\"') IS NOT NULL AS migrated")
        state = cursor.fetchone()
        if state is not None and state["migrated"]:
            log("No migrations were executed, database schema was already up to date.")
            return
        cursor.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
        # A separate step: an import of retrieved data wants the tables without these rows.
        if os.environ.get("STANDIN_SKIP_SEEDS", "").lower() != "true":
            seeds = (HERE / "seeds.sql").read_text(encoding="utf-8")
            cursor.execute(seeds, {"password_hash": hash_password(FIRST_PASSWORD)})
    log("== migrated and seeded an empty database ==")


def make_secrets(cache: redis.Redis) -> None:
    """Create the secrets of the login tokens in Redis, unless they are there."""
    for name in (SECRET, REFRESH_SECRET):
        cache.set(name, secrets.token_hex(32), nx=True)


def main() -> None:
    """Start the application as its image does."""
    env = os.environ
    root = Path(env.get("STANDIN_APP_ROOT", "/usr/src/app"))
    for folder in ("public", "private"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    database = Database(
        host=env.get("DB_HOST", "localhost"),
        port=env.get("DB_PORT", "5432"),
        user=env.get("DB_USER", "ticketz"),
        password=env.get("DB_PASS", ""),
        dbname=env.get("DB_NAME", "ticketz"),
        application_name="ticketz-backend",
    )
    cache = connect_redis(env.get("REDIS_URI", "redis://127.0.0.1:6379"))
    database.wait()
    migrate(database)
    wait_for_redis(cache)
    make_secrets(cache)
    backend = Backend(database, cache, root / "public")
    backend.start_sessions()
    port = int(env.get("PORT", "3000"))
    log(f"Server started on port: {port} (stand-in)")
    serve(backend, "0.0.0.0", port)
    log("Server stopped")


if __name__ == "__main__":
    main()
