# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults of a restore over a small stack that runs: what the control node has to do for them."""

from __future__ import annotations

import json
import time
import typing as t
from pathlib import Path

from lab.server import LAB, LabError, say

from .outside import added, containers, line_of, onhost

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.server import Server

    from .outside import Counts

STACK = "small"
PROJECT = f"/opt/{STACK}"
ROOT = f"/var/backups/{STACK}"
# Copies of the backup below roots of that ending, which are not what they were: see onhost.unfit.
UNFIT = ("broken", "newer")
DATABASES = ("chatwoot", "evolution")
# Some rows, and enough of them in one table that its restore takes a moment.
ROWS = """
CREATE TABLE accounts (id serial PRIMARY KEY, name text);
INSERT INTO accounts (name) SELECT 'account ' || n FROM generate_series(1, 200) n;
CREATE TABLE messages (id bigserial PRIMARY KEY, account int REFERENCES accounts, content text);
INSERT INTO messages (account, content) SELECT 1 + n % 200, repeat(md5(n::text), 8) FROM generate_series(1, 40000) n;
"""
# What the world does to each part of the stack after its backup.
CHANGE = (
    "UPDATE accounts SET name = name || ' changed' WHERE id % 7 = 0; DELETE FROM messages WHERE id % 2 = 0;"
    " CREATE TABLE newer (id int); INSERT INTO newer VALUES (1)"
)
VOLUMES = {"storage": "/app/storage", "public": "/app/public", "instances": "/evolution/instances"}
LIMIT = 60


def prepare(server: Server) -> None:
    """Start the small stack, back it up, change all of it, and make everything ready to restore the backup."""
    say("deploying a small stack to restore")
    server.copy(Path(__file__).parent / "stack", PROJECT)
    _compose(server, "up", "--detach", "--wait")
    deadline = time.monotonic() + LIMIT
    while server.run(*_in("postgres"), "pg_isready", "--quiet", "--host=127.0.0.1", accept=(0, 1, 2)).returncode:
        if time.monotonic() > deadline:
            raise LabError("PostgreSQL of the small stack does not answer.")
        time.sleep(0.2)
    for database in DATABASES:
        server.run(*_in("postgres"), "createdb", "--username=postgres", database)
        _sql(server, database, ROWS)
    for number, volume in enumerate(VOLUMES):
        words = ("--files", "25", "--bytes", "1500000", *(("--awkward",) if not number else ()))
        server.run("python3", f"{LAB}/seed/tree.py", _place(volume), *words)
    server.run(*_in("redis"), "redis-cli", "MSET", "signal", "key", "kept", "as it was")
    server.module("small-backup", "stack_backup", {"stack": STACK, "backup_root": ROOT})
    _change(server)
    _stage(server, "small-stage", ROOT)
    for state, name in (("live", "after"), ("reverted", "before")):
        server.module(f"small-{state}", "stack_cutover", {"stack": STACK, "state": state, "health_timeout": 0})
        _here(server, "remember", "--how", name)
    server.module("small-committed", "stack_cutover", {"stack": STACK, "state": "committed"})
    _here(server, "spoil")
    for name in UNFIT:
        _stage(server, f"small-{name}", f"{ROOT}-{name}", accept=(0, 2))


def _stage(server: Server, name: str, root: str, accept: Sequence[int] = (0,)) -> None:
    """Make a payload that stages the backup below a root."""
    checked = server.module("small-check", "restore_check", {"stack": STACK, "backup_root": root}).result
    wanted = {"stack": STACK, **{key: checked[key] for key in ("id", "directory", "volumes", "databases")}}
    server.module(name, "stack_stage", wanted, accept=accept)


def power_cuts(server: Server, count: int, seed: str) -> Counts:
    """Cut the power of the server while data are exchanged, by turns in both directions."""
    total: Counts = {}
    for number in range(count):
        words = ("hold-cutover", "--count", str(number), "--seed", f"{seed}:{number}")
        held = next(line["held"] for line in onhost(server, *words) if "held" in line)
        server.cut_power(f"{LAB}/faults/onhost/die.py")
        server.boot()
        total = added(total, line_of(server, "cutover-power-cut", "--how", held))
    return total


def unconfirmed(server: Server) -> Counts:
    """Restore over data without confirmation, by the playbook."""
    _here(server, "up")
    before = containers(server)
    variables = {"restore_stack": STACK, "restore_root": ROOT}
    done = server.playbook("restore", "-e", json.dumps(variables), accept=range(256))
    refused = done.returncode != 0 and b"restore_confirm" in done.stdout
    touched = containers(server) != before
    say(
        f"unconfirmed: {'refused' if refused else 'RESTORED'}, {'containers were TOUCHED' if touched else 'left alone'}"
    )
    row = line_of(server, "unconfirmed")
    row |= {"left_down": row["left_down"] + touched, "undetected": int(not refused)}
    return row | {
        "survived": int(row["holds"] and refused and not touched),
        "holds": row["holds"] and refused and not touched,
    }


def _here(server: Server, *words: str) -> None:
    for _line in onhost(server, *words):
        pass


def _change(server: Server) -> None:
    for database in DATABASES:
        _sql(server, database, CHANGE)
    for volume in VOLUMES:
        place = _place(volume)
        server.shell(
            f"cd {place} && date +%N >later && mkdir -p new/er && f=$(find . -type f -size +1k | sort | head -n 1)"
            ' && printf changed >>"$f" && chmod 640 "$f" && rm "$(find . -type f -size +1k | sort | tail -n 1)"'
        )
    server.run(*_in("redis"), "redis-cli", "MSET", "signal", "later", "newer", "1")


def _compose(server: Server, *words: str) -> None:
    server.run("docker", "compose", "--project-directory", PROJECT, *words)


def _in(service: str) -> tuple[str, ...]:
    return ("docker", "exec", f"{STACK}-{service}-1")


def _place(volume: str) -> str:
    return f"/var/lib/docker/volumes/{STACK}_{volume}/_data"


def _sql(server: Server, database: str, statements: str) -> None:
    words = ("psql", "--username=postgres", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1")
    server.run(*_in("postgres"), *words, database, "--command", statements)
