# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Evolution API stand-in: reads the environment, migrates the schema, loads the instances, answers requests."""

from __future__ import annotations

import os
import urllib.parse
from pathlib import Path

from evolution_migrations import deploy
from evolution_sessions import Sessions
from evolution_web import VERSION, Api
from standin_http import serve
from standin_services import Database, connect_redis, die, log, wait_for_redis

# The key that the real image ships; whoever keeps it has an open door.
DEFAULT_API_KEY = "429683C4C977415CAAFCCE10F7D57E11"


def flag(name: str, default: str) -> bool:
    """Whether an environment variable says true."""
    return os.environ.get(name, default).strip().lower() == "true"


def open_database(uri: str) -> tuple[Database, str]:
    """Make the pool for DATABASE_CONNECTION_URI; its ``schema`` parameter is Prisma's, not PostgreSQL's."""
    address = urllib.parse.urlsplit(uri)
    if not address.hostname:
        die("Error: P1012 DATABASE_CONNECTION_URI must look like postgresql://user:password@host:5432/evolution")
    schema = dict(urllib.parse.parse_qsl(address.query)).get("schema", "public")
    database = Database(
        host=address.hostname,
        port=address.port or 5432,
        user=urllib.parse.unquote(address.username or "postgres"),
        password=urllib.parse.unquote(address.password or ""),
        dbname=urllib.parse.unquote(address.path.lstrip("/")),
        options=f'-c search_path="{schema}"',
        application_name="evolution-api",
    )
    return database, schema


def main() -> None:
    """Start the application as its image does."""
    env = os.environ
    provider = env.get("DATABASE_PROVIDER", "postgresql")
    if provider != "postgresql":
        die(f"Error: this stand-in has no DATABASE_PROVIDER {provider}, only postgresql")
    if not flag("DATABASE_SAVE_DATA_INSTANCE", "true"):
        die("Error: this stand-in needs DATABASE_SAVE_DATA_INSTANCE=true")
    database, schema = open_database(env.get("DATABASE_CONNECTION_URI", ""))
    database.wait()
    deploy(database, schema)
    cache = None
    if flag("CACHE_REDIS_ENABLED", "false"):
        cache = connect_redis(env.get("CACHE_REDIS_URI", "redis://localhost:6379/6"))
        wait_for_redis(cache)
        log("[Evolution API] INFO [Redis] redis ready")
    sessions = Sessions(
        database,
        cache,
        env.get("CACHE_REDIS_PREFIX_KEY", "evolution-cache"),
        Path(env.get("STANDIN_APP_ROOT", "/evolution")) / "instances",
        creds_in_cache=flag("CACHE_REDIS_SAVE_INSTANCES", "false"),
    )
    client_name = env.get("DATABASE_CONNECTION_CLIENT_NAME", "evolution_exchange")
    api = Api(database, sessions, client_name, env.get("AUTHENTICATION_API_KEY", DEFAULT_API_KEY))
    api.load()
    port = int(env.get("SERVER_PORT", "8080"))
    log(f"[Evolution API] v{VERSION} INFO [SERVER] HTTP - ON: {port} (stand-in)")
    serve(api, "0.0.0.0", port)


if __name__ == "__main__":
    main()
