# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Chatwoot stand-in: `bundle exec …` ends here.

Runs as the web server, as the job worker or as the schema task of Chatwoot, told apart by the command.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from chatwoot_config import Config, read_config
from chatwoot_jobs import Worker
from chatwoot_web import Web, install_assets
from standin_http import serve
from standin_services import SCHEMA_LOCK, WAIT_SECONDS, die, log, wait_for_redis

SCHEMA = Path(__file__).with_name("schema.sql")


def prepare_database(config: Config) -> None:
    """Load the schema into an empty database, like `rails db:chatwoot_prepare`."""
    with config.database.transaction() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (SCHEMA_LOCK,))
        cursor.execute("SELECT to_regclass('public.ar_internal_metadata') IS NOT NULL AS prepared")
        state = cursor.fetchone()
        if state is not None and state["prepared"]:
            log("== Schema is present, no migration to run ==")
            return
        cursor.execute(SCHEMA.read_text(encoding="utf-8"))
    log("== Loaded the schema into an empty database ==")


def wait_for_schema(config: Config) -> None:
    """Return once the web container has prepared the database."""
    deadline = time.monotonic() + WAIT_SECONDS
    while config.database.row("SELECT 1 AS one WHERE to_regclass('public.ar_internal_metadata') IS NOT NULL") is None:
        if time.monotonic() > deadline:
            die("ActiveRecord::NoDatabaseError: the schema was not loaded in time")
        time.sleep(0.5)


def run_rails(arguments: list[str]) -> None:
    """`rails s`: prepare the database and answer requests."""
    parser = argparse.ArgumentParser(prog="rails s")
    parser.add_argument("-p", "--port", type=int, default=3000)
    parser.add_argument("-b", "--binding", default="0.0.0.0")
    parser.add_argument("-e", "--environment", default="production")
    options = parser.parse_args(arguments)
    config = read_config("rails")
    log("=> Booting the Chatwoot stand-in")
    config.database.wait()
    wait_for_redis(config.redis)
    prepare_database(config)
    install_assets(config.public)
    log(f"* Listening on http://{options.binding}:{options.port}")
    serve(Web(config), options.binding, options.port)
    log("=> Exiting")


def run_sidekiq() -> None:
    """`sidekiq`: work off the jobs that the web container queues in Redis."""
    config = read_config("sidekiq")
    config.database.wait()
    wait_for_redis(config.redis)
    wait_for_schema(config)
    Worker(config).run()


def main(arguments: list[str]) -> None:
    """Do what `bundle` was asked for."""
    match arguments:
        case ["exec", "rails", "s" | "server", *rest]:
            run_rails(rest)
        case ["exec", "rails", "db:chatwoot_prepare"]:
            config = read_config("rails")
            config.database.wait()
            prepare_database(config)
        case ["exec", "sidekiq", *_]:
            run_sidekiq()
        case _:
            die(f"bundler: command not found: {' '.join(arguments)} (this is a stand-in of Chatwoot)")


if __name__ == "__main__":
    main(sys.argv[1:])
