# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the stand-in applications share about the services behind them: log lines, PostgreSQL, Redis.

Connections stay open between requests, as those of the real applications do: whoever wants to
drop or rename a database has to deal with them.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sys
import time
import typing as t

import psycopg2
import psycopg2.extras
import redis

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as Connection
    from psycopg2.extras import RealDictCursor

Row = dict[str, t.Any]

# Every stand-in takes this lock while it creates its schema, so that two containers never race.
SCHEMA_LOCK = 4_801_501

# How long an application waits for its services before it gives up and lets Docker restart it.
WAIT_SECONDS = float(os.environ.get("STANDIN_WAIT_SECONDS", "60"))

# What a request may run into when a service or a volume is gone.
FAILURES = (psycopg2.Error, redis.RedisError, OSError)


def log(line: str) -> None:
    """Write one line to the container's log at once."""
    # In one piece: lines of several threads must not run into each other.
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def die(line: str) -> t.NoReturn:
    """Log why the application can't run, and end it with an error."""
    log(line)
    sys.exit(1)


class Database:
    """A small pool of connections to one PostgreSQL database, that survives a restart of the server."""

    def __init__(self, **parameters: t.Any) -> None:
        self._parameters = parameters
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()

    def wait(self) -> None:
        """Return once the database answers; end the application when it never does."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                self._idle.put(self._open())
                return
            except psycopg2.OperationalError as error:
                reason = str(error).strip()
            if time.monotonic() > deadline:
                die(f"database is unavailable after {WAIT_SECONDS:.0f} s: {reason}")
            time.sleep(0.25)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[RealDictCursor]:
        """Give a cursor whose work is committed at the end, or rolled back after an error."""
        connection = self._take()
        try:
            with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
                yield cursor
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)

    def rows(self, statement: str, parameters: tuple[t.Any, ...] = ()) -> list[Row]:
        """Run one query in its own transaction."""
        with self.transaction() as cursor:
            cursor.execute(statement, parameters)
            return [dict(row) for row in cursor.fetchall()]

    def row(self, statement: str, parameters: tuple[t.Any, ...] = ()) -> Row | None:
        """Run one query and return its first row, or None."""
        found = self.rows(statement, parameters)
        return found[0] if found else None

    def answers(self) -> bool:
        """Whether the database can be used right now."""
        try:
            return self.row("SELECT 1 AS one") is not None
        except psycopg2.Error:
            return False

    def _open(self) -> Connection:
        connection: Connection = psycopg2.connect(connect_timeout=5, **self._parameters)
        return connection

    def _take(self) -> Connection:
        """Return an idle connection that still works, or a new one."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except queue.Empty:
                return self._open()
            try:
                with connection, connection.cursor() as cursor:
                    cursor.execute("SELECT 1")
                return connection
            except psycopg2.Error:
                connection.close()


def connect_redis(url: str, password: str | None = None) -> redis.Redis:
    """Open a Redis client that reconnects by itself; raises nothing until it is used."""
    options: dict[str, t.Any] = {"socket_connect_timeout": 5, "socket_timeout": 10, "decode_responses": True}
    if password:
        options["password"] = password
    client: redis.Redis = redis.Redis.from_url(url, **options)
    return client


def redis_answers(client: redis.Redis) -> bool:
    """Whether Redis can be used right now."""
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False


def wait_for_redis(client: redis.Redis) -> None:
    """Return once Redis answers; end the application when it never does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not redis_answers(client):
        if time.monotonic() > deadline:
            die(f"redis disconnected: no answer within {WAIT_SECONDS:.0f} s")
        time.sleep(0.25)
