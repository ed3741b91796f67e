# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fleet costs the control node: one playbook over 10 to 200 hosts, against the same steps as one task each.

The hosts of the inventory are names of one server, each with a stack and a connection of its own as far as the server
can hold them: what is measured is the control node, by what the kernel counts for ansible-playbook and its children.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
import typing as t
from dataclasses import dataclass
from pathlib import Path

import yaml
from lab.server import INVENTORY, ROOT, LabError, say

from .subjects import TIMES, Row

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from lab.server import Server

SIZES = (10, 50, 100, 200)
QUICK = (5, 20)
# Stacks on the server. More than forks, so that two hosts with one stack are not at work together.
STACKS = 12
FORKS = 4
BUDGET = 2.0
# The last of the sizes may cost so many times the first per host: what is once per run weighs less, not more.
LINEAR = 1.2
PLAIN = Path(__file__).parent / "plain.yml"
FILE = 1_500_000
LIMIT = 60


@dataclass(frozen=True)
class Cost:
    """What one run took: seconds of processor and of the clock, and the memory of its largest process in bytes."""

    cpu: float
    wall: float
    memory: float


def rows(server: Server, rounds: int, sizes: Sequence[int] = SIZES) -> list[Row]:
    """Measure, and return the rows of the table."""
    say(f"deploying {STACKS} small stacks")
    _deploy(server)
    found: list[Row] = []
    per_host: dict[int, float] = {}
    with tempfile.TemporaryDirectory(prefix="crm-fleet-") as place:
        for size in sizes:
            inventory = _inventory(server, Path(place), size)
            ours, plain = [], []
            for _round in range(rounds):
                ours.append(_run(inventory, "crm.continuity.backup"))
                plain.append(_run(inventory, str(PLAIN)))
                for name, cost in (("ours", ours[-1]), ("plain", plain[-1])):
                    say(f"{size} hosts, {name}: {cost.cpu:.1f} s of CPU, {cost.wall:.1f} s, {cost.memory / 1e6:.0f} MB")
                server.shell("rm -rf /var/backups/fleet /var/backups/plain")
            per_host[size] = _median(ours, "cpu") / size
            found += _compared(size, ours, plain)
    first, last = per_host[sizes[0]], per_host[sizes[-1]]
    name = f"CPU of the control node per host: {sizes[-1]} hosts; peer: {sizes[0]} hosts"
    found.append(Row("fleet", name, "s", last, first, last / first, f"≤ {LINEAR:g}{TIMES}", last / first <= LINEAR))
    return found


def _compared(size: int, ours: Sequence[Cost], plain: Sequence[Cost]) -> list[Row]:
    def row(name: str, unit: str, kind: str, share: float, budget: float | None = None) -> Row:
        own, other = _median(ours, kind) * share, _median(plain, kind) * share
        words = f"≤ {budget:g} {unit}" if budget else "none"
        return Row("fleet", name, unit, own, other, other / own, words, budget is None or own <= budget)

    return [
        row(f"CPU of the control node per host, {size} hosts; peer: one task each", "s", "cpu", 1 / size, BUDGET),
        row(f"whole run over {size} hosts, {FORKS} forks, hosts on the same processors", "s", "wall", 1),
        row(f"memory of the largest process on the control node, {size} hosts", "MB", "memory", 1e-6),
    ]


def _median(costs: Sequence[Cost], kind: str) -> float:
    return float(statistics.median(getattr(cost, kind) for cost in costs))


def _stack(number: int) -> str:
    return f"fleet{number % STACKS}"


def _deploy(server: Server) -> None:
    """Start the stacks, which are as those that faults are tried on, and put something into each."""
    source = ROOT / "tests" / "faults" / "stack"
    for number in range(STACKS):
        name = _stack(number)
        server.copy(source, f"/opt/{name}")
        server.run("sed", "--in-place", f"s/^name: small$/name: {name}/", f"/opt/{name}/compose.yml")
        server.run("docker", "compose", "--project-directory", f"/opt/{name}", "up", "--detach", "--wait")
        ready = ("docker", "exec", f"{name}-postgres-1", "pg_isready", "--quiet", "--host=127.0.0.1")
        deadline = time.monotonic() + LIMIT
        while server.run(*ready, accept=(0, 1, 2)).returncode:
            if time.monotonic() > deadline:
                raise LabError(f"PostgreSQL of stack {name} does not answer.")
            time.sleep(0.2)
        for database in ("chatwoot", "evolution"):
            server.run("docker", "exec", f"{name}-postgres-1", "createdb", "--username=postgres", database)
        server.shell(f"head -c {FILE} /dev/urandom >/var/lib/docker/volumes/{name}_storage/_data/attached")


def _inventory(server: Server, place: Path, size: int) -> Path:
    """Write an inventory of so many hosts, each with a connection of its own."""
    group = yaml.safe_load(INVENTORY.read_text(encoding="utf-8"))["crm"]
    hosts = {
        f"host{number:03d}": {
            **group["hosts"][server.name],
            "ansible_control_path": f"{place}/{number}",
            "crm_stacks": [{"name": _stack(number)}],
            "crm_backup_root": f"/var/backups/fleet/{number}",
            "stack_name": _stack(number),
            "stack_directory": f"/opt/{_stack(number)}",
            "plain_root": f"/var/backups/plain/{number}",
        }
        for number in range(size)
    }
    path = place / f"{size}.json"
    path.write_text(json.dumps({"all": {"children": {"crm": {"vars": group["vars"], "hosts": hosts}}}}))
    return path


def _run(inventory: Path, playbook: str) -> Cost:
    """Run a playbook over all hosts; nothing may fail."""
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_DEPRECATION_WARNINGS": "0", "ANSIBLE_PIPELINING": "1"}
    argv = ["ansible-playbook", "--inventory", str(inventory), "--forks", str(FORKS), playbook]
    with tempfile.TemporaryFile() as output:
        begun = time.monotonic()
        pid = os.posix_spawnp(
            argv[0],
            argv,
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, output.fileno(), 1), (os.POSIX_SPAWN_DUP2, output.fileno(), 2)],
        )
        _pid, status, used = os.wait4(pid, 0)
        wall = time.monotonic() - begun
        if os.waitstatus_to_exitcode(status) != 0:
            output.seek(0)
            said = output.read().decode(errors="replace")
            raise LabError(f"{playbook} over {inventory.name} failed: {said[-3000:]}")
    return Cost(used.ru_utime + used.ru_stime, wall, used.ru_maxrss * 1024.0)
