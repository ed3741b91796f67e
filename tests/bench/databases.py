# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL: dump and restore against pg_dump's custom format as it comes, and a single job of pg_restore."""

from __future__ import annotations

import time
import typing as t
from pathlib import Path

from lab.server import LabError, say

from .subjects import Row, Samples, Subject

if t.TYPE_CHECKING:
    from lab.server import Server

CONTAINER = "bench-postgres"
IMAGE = "pgvector/pgvector:pg17"
OUT = "/var/backups/bench"
SQL = Path(__file__).parent / "onhost" / "database.sql"
START_LIMIT = 60


def rows(server: Server, contacts: int, rounds: int) -> list[Row]:
    """Measure, and return the rows of the table."""
    server.run("mkdir", "-p", OUT)
    say("filling a database")
    start(server, contacts)
    # A checkpoint of its own for everyone: none pays for what another left to write.
    quiet = f"{_psql()} --command CHECKPOINT"
    dumped = server.module("dump", "database_dump", _where("bench") | {"path": f"{OUT}/ours.dump.zst", "force": True})
    # A second name of this very file: the next dump takes the first one for a file of its own.
    server.run("ln", "-f", f"{OUT}/ours.dump.zst", f"{OUT}/restored.dump.zst")
    restore = _where("ours") | {"path": f"{OUT}/restored.dump.zst"}
    restore |= {"sha256": dumped.result["sha256"], "rows": dumped.result["rows"]}
    server.shell(_psql() + " --command 'CREATE DATABASE ours'")
    restored = server.module("restore", "database_restore", restore)
    exec_ = f"docker exec -i {CONTAINER}"
    our_dump = Subject("our dump", ["python3", dumped.payload], quiet)
    bare_dump = _shell("bare pg_dump -Fc", f"{exec_} pg_dump -U postgres -Fc bench > {OUT}/bare.dump", quiet)
    our_restore = Subject("our restore", ["python3", restored.payload], _empty("ours", quiet))
    bare_restore = _shell(
        "bare pg_restore", f"{exec_} pg_restore -U postgres -d bare < {OUT}/bare.dump", _empty("bare", quiet)
    )
    samples = Samples(server)
    samples.interleave([our_dump, bare_dump, our_restore, bare_restore], rounds)
    size = int(server.shell(_psql() + " --tuples-only --command \"SELECT pg_database_size('bench')\"").stdout) / 1e6
    return [
        samples.faster("capture", f"database dump, {size:.0f} MB; peer: pg_dump -Fc", our_dump.name, bare_dump.name, 3),
        samples.faster(
            "restore", "database restore; peer: pg_restore, one job", our_restore.name, bare_restore.name, 1.5
        ),
    ]


def start(server: Server, contacts: int) -> None:
    """Start PostgreSQL in a container of its own and fill a database."""
    secret = ("--env", "POSTGRES_PASSWORD=not-a-secret")
    server.run("docker", "run", "--detach", "--name", CONTAINER, *secret, IMAGE)
    deadline = time.monotonic() + START_LIMIT
    # Over TCP: the server that only sets the cluster up listens on its socket alone.
    ready = ("docker", "exec", CONTAINER, "pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres")
    while server.run(*ready, accept=(0, 1, 2)).returncode != 0:
        if time.monotonic() > deadline:
            raise LabError(f"PostgreSQL in container {CONTAINER} did not start within {START_LIMIT} s.")
        time.sleep(0.3)
    server.shell(f"{_psql()} --command 'CREATE DATABASE bench'")
    server.shell(f"{_psql('bench')} --set=rows={contacts}", stdin=SQL.read_bytes())


def _where(database: str) -> dict[str, t.Any]:
    return {"container": CONTAINER, "database": database}


def _psql(database: str = "postgres") -> str:
    options = f"--username=postgres --dbname={database} --no-psqlrc --quiet --set=ON_ERROR_STOP=1"
    return f"docker exec -i {CONTAINER} psql {options}"


def _empty(database: str, quiet: str) -> str:
    make = f"{_psql()} --command 'DROP DATABASE IF EXISTS {database}' --command 'CREATE DATABASE {database}'"
    return f"{make} && {quiet}"


def _shell(name: str, command: str, before: str) -> Subject:
    return Subject(name, ["bash", "-c", f"set -euo pipefail; {command}"], before)
