# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A restore over a stack that runs: how long its services are away, with much data and with five times as much."""

from __future__ import annotations

import json
import statistics
import time
import typing as t
from dataclasses import dataclass, field
from pathlib import Path

from lab.server import LabError, say

from . import verify
from .databases import SQL
from .subjects import TIMES, Row, Samples, Subject
from .volumes import Tree, fill, runbook

if t.TYPE_CHECKING:
    from lab.server import Prepared, Server

PLACE = Path(__file__).parent / "stack" / "restore"
OUT = "/var/backups/restores"
FIVE = 5
# Seconds: without what the application itself needs to start.
DOWNTIME = 5.0
FLAT = 1.5
START_LIMIT = 60


@dataclass
class Downtimes:
    """What restores have said: how long they prepared, and how long services were away."""

    staged: list[float] = field(default_factory=list)
    away: list[float] = field(default_factory=list)

    @property
    def preparation(self) -> float:
        """Seconds for which all of it was prepared while the stack ran."""
        return statistics.median(self.staged)

    @property
    def downtime(self) -> float:
        """Seconds for which services were away."""
        return statistics.median(self.away)


class Stack:
    """A stack with data and a backup of them."""

    def __init__(self, server: Server, name: str, tree: Tree, contacts: int) -> None:
        self._server = server
        self._samples = Samples(server)
        self.name = name
        self.tree = tree
        self.downtimes = Downtimes()
        project = f"/opt/{name}"
        server.copy(PLACE, project)
        self._compose = ("docker", "compose", "--project-directory", project, "--project-name", name)
        server.run(*self._compose, "up", "--detach", "--wait")
        fill(server, f"{name}_storage", tree)
        self._fill_database(contacts)
        self._stage, self._cutover, self._commit = self._payloads()

    def restore(self) -> None:
        """Restore the backup over the stack while it runs, and note how long services were away."""
        staged = self._run(self._stage)
        cutover = self._run(self._cutover)
        self.downtimes.staged.append(staged["seconds"])
        self.downtimes.away.append(cutover["downtime"])
        say(f"{self.name}: prepared in {staged['seconds']:.1f} s, services away for {cutover['downtime']:.2f} s")
        self._run(self._commit)

    def as_the_runbook(self) -> Subject:
        """Return what the runbook does: all of it while the services are stopped."""
        volume = f"docker run --rm -v {self.name}_storage:/volume -v {OUT}:/backup alpine"
        database = f"docker exec -i {self.name}-postgres-1"
        lines = (
            f"docker stop {self.name}-web-1",
            f"{volume} sh -c 'rm -rf /volume/* && cd /volume && tar -xzf /backup/runbook.tar.gz'",
            f"{database} dropdb -U postgres --force chatwoot",
            f"{database} createdb -U postgres chatwoot",
            f"{database} pg_restore -U postgres -d chatwoot <{OUT}/bare.dump",
            f"docker start {self.name}-web-1",
        )
        return Subject("runbook's restore", ["bash", "-c", f"set -euo pipefail; {'; '.join(lines)}"])

    def back_up_as_the_runbook(self) -> None:
        """Make what the runbook restores from."""
        say("the runbook's backup")
        self._samples.take(runbook(f"{self.name}_storage", OUT))
        self._server.shell(f"docker exec {self.name}-postgres-1 pg_dump -U postgres -Fc chatwoot >{OUT}/bare.dump")

    def remove(self) -> None:
        """Make room for the next one."""
        self._server.run(*self._compose, "down", "--volumes", "--timeout", "2")

    def _fill_database(self, contacts: int) -> None:
        inside = ("docker", "exec", "-i", f"{self.name}-postgres-1")
        deadline = time.monotonic() + START_LIMIT
        # Over TCP: the server that only sets the cluster up listens on its socket alone.
        while self._server.run(*inside, "pg_isready", "--quiet", "--host=127.0.0.1", accept=(0, 1, 2)).returncode:
            if time.monotonic() > deadline:
                raise LabError(f"PostgreSQL of stack {self.name} did not start within {START_LIMIT} s.")
            time.sleep(0.3)
        self._server.run(*inside, "createdb", "-U", "postgres", "chatwoot")
        psql = ("psql", "-U", "postgres", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", f"--set=rows={contacts}")
        self._server.run(*inside, *psql, "chatwoot", stdin=SQL.read_bytes())

    def _payloads(self) -> tuple[Prepared, Prepared, Prepared]:
        asked = {"stack": self.name, "backup_root": OUT}
        self._server.module(f"backup-{self.name}", "stack_backup", asked)
        checked = self._server.module(f"check-{self.name}", "restore_check", asked).result
        wanted = {"stack": self.name, **{key: checked[key] for key in ("id", "directory", "volumes", "databases")}}
        stage = self._server.module(f"stage-{self.name}", "stack_stage", wanted)
        live, committed = (
            self._server.module(f"{state}-{self.name}", "stack_cutover", {"stack": self.name, "state": state})
            for state in ("live", "committed")
        )
        return stage, live, committed

    def _run(self, prepared: Prepared) -> dict[str, t.Any]:
        output = self._samples.take(Subject(prepared.payload, ["python3", prepared.payload]))["output"]
        said: dict[str, t.Any] = json.loads(output[output.index("{") :])
        return said


def rows(server: Server, tree: Tree, contacts: int, rounds: int) -> list[Row]:
    """Measure, and return the rows of the table."""
    server.run("mkdir", "-p", OUT)
    one = Stack(server, "once", tree, contacts)
    one.back_up_as_the_runbook()
    five = Stack(server, "fivefold", Tree(FIVE * tree.files, FIVE * tree.size), FIVE * contacts)
    for _round in range(rounds):
        one.restore()
        five.restore()
    theirs = one.as_the_runbook()
    peer = Samples(server)
    peer.interleave([theirs], 1)
    found = [
        *_rows(one, five, contacts, peer.median(theirs.name)),
        *verify.rows(server, five.name, OUT, rounds),
    ]
    for stack in (one, five):
        stack.remove()
    return found


def _rows(one: Stack, five: Stack, contacts: int, runbook_seconds: float) -> list[Row]:
    words = f"{one.tree.words}, {contacts:,} contacts"
    downtime, grown = one.downtimes.downtime, five.downtimes.downtime
    ratio = grown / downtime
    preparation, longer = one.downtimes.preparation, five.downtimes.preparation
    return [
        Row(
            "restore",
            f"services away for a restore, {words}; peer: runbook",
            "s",
            downtime,
            runbook_seconds,
            runbook_seconds / downtime,
            f"≤ {DOWNTIME:g} s",
            holds=downtime <= DOWNTIME,
        ),
        Row(
            "restore",
            f"services away, {FIVE}{TIMES} the data; peer: {words}",
            "s",
            grown,
            downtime,
            ratio,
            f"≤ {FLAT:g}{TIMES} and ≤ {DOWNTIME:g} s",
            holds=grown <= DOWNTIME and ratio <= FLAT,
        ),
        Row(
            "restore",
            f"staged and proved while the stack runs, {words}; peer: {FIVE}{TIMES} the data",
            "s",
            preparation,
            longer,
            longer / preparation,
            "none",
            holds=True,
        ),
    ]
