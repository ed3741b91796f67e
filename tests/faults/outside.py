# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that come from outside of the server, or that a whole playbook has to withstand."""

from __future__ import annotations

import json
import typing as t

from lab import crm
from lab.server import LAB, say

if t.TYPE_CHECKING:
    from lab.server import Server

Counts = dict[str, t.Any]
# What is done to the latest backup before the restore, and how it is undone.
DAMAGES = {
    "a bit of an archive": "volumes/crm_chatwoot_storage.tar.zst",
    "a bit of a dump": "databases/chatwoot_production.dump.zst",
    "a bit of the manifest": "manifest.json",
    "a bit of the checksums": "SHA256SUMS",
}
# When the connection is lost.
SEVERED = ("live", "freeze", "delta", "dump")
_FLIP = "import sys; f = open(sys.argv[1], 'r+b'); f.seek(99); b = f.read(1)[0]; f.seek(99); f.write(bytes([b ^ 4]))"


def power_cuts(server: Server, count: int, seed: str) -> Counts:
    """Cut the power of the server while a backup has frozen the stack."""
    total: Counts = {}
    for number in range(count):
        held = next(line["held"] for line in onhost(server, "hold", "--seed", f"{seed}:{number}") if "held" in line)
        server.cut_power(f"{LAB}/faults/onhost/die.py")
        server.boot()
        words = ("--before", ",".join(held["before"]), "--known", ",".join(held["known"]))
        row = line_of(server, "power-cut", *words)
        total = added(total, row)
    return total


def severed(server: Server) -> Counts:
    """Kill the connection through which a backup was started, with and without a terminal, in several phases."""
    total: Counts = {}
    for phase in SEVERED:
        for terminal in (True, False):
            command = f"python3 {LAB}/payloads/backup.py"
            with server.connected(command, terminal=terminal):
                words = ("severed", "--phase", phase, "--how", "with a terminal" if terminal else "without")
                total = added(total, line_of(server, *words))
    return total


def refused_restores(server: Server) -> Counts:
    """Let the restore playbook loose on a damaged backup: it has to refuse before anything stops."""
    total: Counts = {}
    for what, artifact in DAMAGES.items():
        path = server.shell(f"ls -d /var/backups/crm/{crm.STACK}/2*/ | tail -n 1").stdout.decode().strip() + artifact
        before = containers(server)
        server.run("python3", "-c", _FLIP, path)
        done = server.playbook("restore", "-e", f"restore_confirm={crm.STACK}", accept=range(256))
        server.run("python3", "-c", _FLIP, path)
        untouched = containers(server) == before
        refused = done.returncode != 0
        say(f"{what}: {'refused' if refused else 'RESTORED'}, the stack was {'left alone' if untouched else 'TOUCHED'}")
        row = {"area": "restore", "name": "playbook crm.continuity.restore of a damaged backup", "tried": 1}
        row |= {"survived": int(refused and untouched), "lost": 0, "left_down": int(not untouched)}
        total = added(total, row | {"undetected": int(not refused), "holds": refused and untouched})
    return total


def line_of(server: Server, *words: str) -> Counts:
    """Let the server do one line of the table, and pass its progress on."""
    row: Counts = {}
    for line in onhost(server, *words):
        if "note" in line:
            say(f"{words[0]}: {line['note']}")
            for problem in line["problems"]:
                say(f"    PROBLEM: {problem}")
        row = line.get("row", row)
    return row


def onhost(server: Server, *words: str) -> t.Iterator[dict[str, t.Any]]:
    """Run the part that lives on the server."""
    for line in server.stream("env", "--chdir", f"{LAB}/faults", "python3", "-m", "onhost", *words):
        yield json.loads(line)


def containers(server: Server) -> bytes:
    """Return of all containers which they are, since when they run, and whether they do."""
    form = "{{.Id}} {{.State.StartedAt}} {{.State.Status}}"
    return server.shell(f"docker inspect --format '{form}' $(docker ps --all --quiet | sort)").stdout


def added(total: Counts, row: Counts) -> Counts:
    """Add what one more run has counted to the same line."""
    if not total:
        return row
    return {
        key: value and row[key] if key == "holds" else value + row[key] if isinstance(value, int) else value
        for key, value in total.items()
    }
