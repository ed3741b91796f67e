# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment of the Chatwoot stand-in, under the names that Chatwoot uses."""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass
from pathlib import Path

from standin_services import Database, connect_redis, die

if t.TYPE_CHECKING:
    import redis

VERSION = "4.15.1"
DEVELOPMENT_SECRET = "replace_with_lengthy_secure_hex"


@dataclass(frozen=True)
class Config:
    """What the rails and the sidekiq container both need."""

    secret_key_base: str
    encryption_key: str
    frontend_url: str
    storage: Path
    public: Path
    database: Database
    redis: redis.Redis


def read_config(application_name: str) -> Config:
    """Read the environment; end the application when something that it can't live without is missing."""
    env = os.environ
    secret = env.get("SECRET_KEY_BASE", "")
    if not secret or secret == DEVELOPMENT_SECRET:
        die("ArgumentError: Missing `secret_key_base` for 'production' environment (set SECRET_KEY_BASE)")
    root = Path(env.get("STANDIN_APP_ROOT", "/app"))
    return Config(
        secret_key_base=secret,
        encryption_key=env.get("ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY", ""),
        frontend_url=env.get("FRONTEND_URL", "http://0.0.0.0:3000").rstrip("/"),
        storage=root / "storage",
        public=root / "public",
        database=Database(
            host=env.get("POSTGRES_HOST", "localhost"),
            port=env.get("POSTGRES_PORT", "5432"),
            user=env.get("POSTGRES_USERNAME", "postgres"),
            password=env.get("POSTGRES_PASSWORD", ""),
            dbname=env.get("POSTGRES_DATABASE", "chatwoot_production"),
            application_name=application_name,
        ),
        redis=connect_redis(env.get("REDIS_URL", "redis://127.0.0.1:6379"), env.get("REDIS_PASSWORD")),
    )
