# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CSV archives: the load against a loader that runs psql for every file, as the application's own does."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from lab.server import LAB, ROOT, LabError, say

from .subjects import Row, Samples, Subject

if t.TYPE_CHECKING:
    from lab.server import Server

SERVER, CLIENT = "bench-csv", "bench-csv-client"
IMAGE = "postgres:15"
USER = "ticketz"
PLACE = "/var/backups/csv"
ARCHIVE = f"{PLACE}/retrieved_data.tar.gz"
BROKEN = f"{PLACE}/broken"
SCHEMA = ROOT / "tests" / "standins" / "apps" / "ticketz" / "schema.sql"
ROWS = Path(__file__).parent / "onhost" / "retrieved.sql"
FASTER = 5
START_LIMIT = 60
FAILED = 100
SUCCEEDED = 1


def rows(server: Server, messages: int, rounds: int) -> list[Row]:
    """Measure, and return the rows of the table."""
    _start(server)
    say(f"filling a database with {messages:,} messages")
    server.shell(_sql("full"), stdin=SCHEMA.read_bytes())
    server.shell(f"{_in(SERVER)} createdb -U {USER} --template=full empty")
    server.shell(f"{_sql('full')} --set=messages={messages}", stdin=ROWS.read_bytes())
    where = {"container": SERVER, "profile": "ticketz"}
    unload = {"database": "full", "path": ARCHIVE, "tables": "classic"}
    written = server.module("unload", "database_unload", {**where, **unload}).result
    count = sum(written["rows"].values())
    size = server.shell(f"tar -xzf {ARCHIVE} -O | wc -c").stdout
    server.shell(_empty("ours"))
    ours = server.module("load", "database_load", {**where, "database": "ours", "path": ARCHIVE})
    samples = Samples(server)
    load = Subject("our load", ["python3", ours.payload], _empty("ours"))
    samples.interleave([load, _peer("psql per file", "theirs", PLACE, SUCCEEDED)], rounds)
    words = f"load of {count:,} rows in {len(written['rows'])} CSV files, {int(size) / 1e6:.0f} MB, in one step"
    peer = "peer: load-retrieved.sh, not atomic"
    compared = samples.faster("restore", f"{words}; {peer}", load.name, "psql per file", FASTER)
    return [compared, _left(server, ours.payload, samples)]


def _left(server: Server, payload: str, samples: Samples) -> Row:
    """Let a load fail in its last file, and count what is there afterwards."""
    say("loading an archive whose last file is broken")
    server.shell(
        f"mkdir -p {BROKEN} && cd {BROKEN} && tar -xzf {ARCHIVE} && sed -i 's/^1,/no number,/' 018-Settings.csv"
        f" && tar -czf {ARCHIVE} *.csv && rm *.csv && cp {ARCHIVE} . && {_empty('ours')}"
    )
    server.run("python3", payload, accept=(1,))
    samples.take(_peer("psql per file", "theirs", BROKEN, FAILED))
    ours, theirs = (_count(server, database) for database in ("ours", "theirs"))
    name = "rows left by a CSV load that fails in its last file; peer: load-retrieved.sh"
    return Row("restore", name, "rows", ours, theirs, None, "0 rows", holds=ours == 0)


def _start(server: Server) -> None:
    """Start PostgreSQL, and a container beside it that only has its client programs, as the application's has."""
    server.run("mkdir", "-p", PLACE)
    env = ("--env", f"POSTGRES_USER={USER}", "--env", "POSTGRES_HOST_AUTH_METHOD=trust")
    server.run("docker", "run", "--detach", "--name", SERVER, *env, IMAGE)
    scripts = f"{LAB}/bench/load-retrieved:/scripts:ro"
    server.run(
        *("docker", "run", "--detach", "--name", CLIENT, "--network", f"container:{SERVER}"),
        *("--volume", f"{PLACE}:{PLACE}", "--volume", scripts, "--entrypoint", "sleep", IMAGE, "infinity"),
    )
    deadline = time.monotonic() + START_LIMIT
    # Over TCP: the server that only sets the cluster up listens on its socket alone.
    ready = ("docker", "exec", SERVER, "pg_isready", "--quiet", "--host=127.0.0.1", f"--username={USER}")
    while server.run(*ready, accept=(0, 1, 2)).returncode != 0:
        if time.monotonic() > deadline:
            raise LabError(f"PostgreSQL in container {SERVER} did not start within {START_LIMIT} s.")
        time.sleep(0.3)
    server.shell(f"{_in(SERVER)} createdb -U {USER} full")


def _peer(name: str, database: str, place: str, code: int) -> Subject:
    variables = f"--env DB_HOST=127.0.0.1 --env DB_USER={USER} --env DB_PASS=x --env DB_NAME={database}"
    load = f"docker exec {variables} {CLIENT} bash /scripts/load-retrieved.sh {place}"
    return Subject(name, ["bash", "-c", f"{load}; [ $? -eq {code} ]"], _empty(database))


def _empty(database: str) -> str:
    """Return the line of shell that makes a database of the application without rows; a checkpoint serves all alike."""
    drop = f"{_in(SERVER)} dropdb -U {USER} --if-exists --force {database}"
    make = f"{_in(SERVER)} createdb -U {USER} --template=empty {database}"
    return f"{drop} && {make} && {_sql('postgres')} --command CHECKPOINT"


def _count(server: Server, database: str) -> int:
    counts = " + ".join(f'(SELECT count(*) FROM "{table}")' for table in ("Plans", "Contacts", "Tickets", "Messages"))
    printed = server.shell(f"{_sql(database)} --tuples-only", stdin=f"SELECT {counts}".encode()).stdout
    return int(printed)


def _sql(database: str) -> str:
    return f"{_in(SERVER)} psql --username={USER} --dbname={database} --no-psqlrc --quiet --set=ON_ERROR_STOP=1"


def _in(container: str) -> str:
    return f"docker exec -i {container}"
