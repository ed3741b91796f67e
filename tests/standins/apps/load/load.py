# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write files, rows and keys as fast as possible, so that a backup has to show that all of it is of one instant.

Each writer counts. For every number it changes its files, then a row, then a key, each acknowledged before the next.
So at any instant its files are at most one step ahead of its key, and never behind. When it starts, it looks whether
what it finds can be of one instant, says so, and goes on from there: what a restore has brought back proves itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import typing as t
from pathlib import Path

from load_blobs import write_blobs
from load_model import FILES, SHAPES, Disk, standing, steps
from standin_services import Database, connect_redis, die, log, wait_for_redis

if t.TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.synchronize import Event

    import redis
    from load_model import Kind

ROOT = Path("/load")
SHAPES_ROOT = Path("/shapes")
# The writer of changing shapes counts apart from the others.
SHAPES_WRITER = 90
ENDING = 20
# Between two steps, where a machine has something else to do, too.
PAUSE = float(os.environ.get("LOAD_PAUSE", "0"))
SCHEMA = """
    CREATE SCHEMA IF NOT EXISTS load;
    CREATE TABLE IF NOT EXISTS load.counters (writer int PRIMARY KEY, number bigint NOT NULL)
"""


class Writer:
    """One writer with a directory, a row and a key of its own."""

    def __init__(self, number: int, root: Path, kinds: Sequence[Kind], database: Database, cache: redis.Redis) -> None:
        self._number = number
        self._root = root
        self._kinds = kinds
        self._database = database
        self._cache = cache
        self._disk = Disk(root)

    def run(self, stop: Event) -> None:
        """Write until asked to stop, and then to the end of the step."""
        done, calls = self._resume()
        while not stop.is_set():
            for call in steps(self._kinds, self._number, done + 1)[calls:]:
                self._disk.do(call)
            calls = 0
            done += 1
            self._row(done)
            self._key(done)
            time.sleep(PAUSE)

    def _resume(self) -> tuple[int, int]:
        """Return the last completed step, and how many calls of the next one are done; check what is there."""
        self._root.mkdir(parents=True, exist_ok=True)
        with self._database.transaction() as cursor:
            cursor.execute(
                "INSERT INTO load.counters VALUES (%s, 0) ON CONFLICT (writer) DO UPDATE SET number = counters.number"
                " RETURNING number",
                (self._number,),
            )
            row = t.cast("dict[str, int]", cursor.fetchone())["number"]
        stored = self._cache.get(self._name)
        key = int(str(stored)) if stored is not None else 0
        found = standing(self._kinds, self._number, row, self._disk.tree())
        if found.calls is None:
            die(f"writer {self._number} DISAGREES: its row says {row}, but {'; '.join(found.differences[:5])}")
        if key != row and not (key == row - 1 and found.calls == 0):
            die(f"writer {self._number} DISAGREES: its key says {key}, its row {row}")
        log(f"writer {self._number} begins after {row}: files, row and key agree")
        self._key(row)
        return row, found.calls

    @property
    def _name(self) -> str:
        return f"load:{self._number}"

    def _row(self, number: int) -> None:
        with self._database.transaction() as cursor:
            cursor.execute("UPDATE load.counters SET number = %s WHERE writer = %s", (number, self._number))

    def _key(self, number: int) -> None:
        self._cache.set(self._name, number)


def open_services() -> tuple[Database, redis.Redis]:
    """Connect to the database and the Redis that the container's environment names, as Chatwoot does."""
    env = os.environ
    database = Database(
        host=env["POSTGRES_HOST"],
        user=env["POSTGRES_USERNAME"],
        password=env["POSTGRES_PASSWORD"],
        dbname=env["POSTGRES_DATABASE"],
        application_name="load",
    )
    database.wait()
    cache = connect_redis(f"{env['REDIS_URL']}/9", env["REDIS_PASSWORD"])
    wait_for_redis(cache)
    return database, cache


def write(number: int, stop: Event) -> None:
    """Be one writer."""
    _ignore_signals()
    database, cache = open_services()
    shapes = number == SHAPES_WRITER
    root = (SHAPES_ROOT if shapes else ROOT) / str(number)
    Writer(number, root, SHAPES if shapes else FILES, database, cache).run(stop)


def blobs(storage: Path, stop: Event) -> None:
    """Be the one that stores attachments."""
    _ignore_signals()
    database, _cache = open_services()
    write_blobs(database, storage, PAUSE, stop)


def _ignore_signals() -> None:
    # Only the first process is asked to stop; it lets the others finish their step.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def main() -> None:
    """Start all writers, and end with them."""
    stop = multiprocessing.Event()
    # Not the event itself: this process may hold its lock when the signal comes.
    asked: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _frame: asked.append(number))
    database, _cache = open_services()
    with database.transaction() as cursor:
        cursor.execute(SCHEMA)
    numbers = [*range(int(os.environ.get("LOAD_WRITERS", "3"))), SHAPES_WRITER]
    processes = [multiprocessing.Process(target=write, args=(number, stop)) for number in numbers]
    processes.append(multiprocessing.Process(target=blobs, args=(Path("/app/storage"), stop)))
    for process in processes:
        process.start()
    while not asked and all(process.is_alive() for process in processes):
        time.sleep(0.2)
    stop.set()
    for process in processes:
        process.join(ENDING)
    sys.exit(max(process.exitcode or 0 for process in processes))


if __name__ == "__main__":
    main()
