# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The small stack that restores are tried on: all that is in it, and what restores have left beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import typing as t
from pathlib import Path

from . import engine

STACK = "small"
PROJECT = f"/opt/{STACK}"
ROOT = Path("/var/backups/small")
SEED = Path("/root/lab/seed")
# What the stack held before its restore, and what it holds after one: see remember.
PLACE = Path("/root/lab/small")
BEFORE, AFTER, MIXED = "before", "after", "MIXED"
RECORDS = Path("/var/lib/crm.continuity/restore") / STACK
JOURNAL = Path("/var/lib/crm.continuity/journal") / f"{STACK}.json"
VOLUMES = Path("/var/lib/docker/volumes")
DATABASES = ("chatwoot", "evolution")
POLICIES = {"web": "always:0", "worker": "on-failure:3", "evolution": "no:0", "postgres": "unless-stopped:0"}
POLICIES["redis"] = "unless-stopped:0"
FORM = '{{index .Config.Labels "com.docker.compose.service"}} {{.Id}} {{.State.StartedAt}} {{.State.Status}}'
POLICY = '{{index .Config.Labels "com.docker.compose.service"}} {{with .HostConfig.RestartPolicy}}{{.Name}}:'
POLICY += "{{.MaximumRetryCount}}{{end}}"


def up() -> set[str]:
    """Start what does not run, and return all containers."""
    engine.PROJECT = STACK
    argv = ["docker", "compose", "--project-directory", PROJECT, "up", "--detach", "--wait"]
    subprocess.run(argv, check=True, capture_output=True)
    return engine.well()


def remember(name: str) -> None:
    """Keep what the stack holds now under a name."""
    PLACE.mkdir(exist_ok=True)
    (PLACE / f"{name}.json").write_text(json.dumps(_parts()))


def state() -> tuple[str, list[str]]:
    """Return which of the two states the whole stack is in, or that it is a mixture, with what differs from which."""
    found = _parts()
    known = {name: json.loads((PLACE / f"{name}.json").read_text()) for name in (BEFORE, AFTER)}
    for name, parts in known.items():
        if parts == found:
            return name, []
    words = []
    for part, value in found.items():
        same = [name for name, parts in known.items() if parts[part] == value]
        words.append(f"{part} is as {' and '.join(same)}" if same else f"{part} is as never before")
    return MIXED, words


def _parts() -> dict[str, t.Any]:
    """Return everything in the stack, part by part, so that a mixture shows."""
    argv = [sys.executable, str(SEED / "fingerprint.py"), "--project-dir", PROJECT]
    found = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    databases = found["postgresql"]["databases"]
    # Those that wait are beside it, and are looked for elsewhere.
    parts = {f"database {name}": databases.get(name) for name in DATABASES}
    for name, entries in found["volumes"].items():
        # Of the directory itself, everything but its time.
        parts[f"volume {name}"] = {**entries, ".": {**entries["."], "mtime_ns": 0}}
    # A round through JSON, for what is compared with it has made one.
    whole: dict[str, t.Any] = json.loads(json.dumps(parts | {"redis": found["redis"]}))
    return whole


def running() -> list[str]:
    """Return every container with its ID, its start and its state: the same while nobody touches them."""
    return _inspected(FORM)


def policies() -> list[str]:
    """Return what is not as it should be with the restart policies of the containers."""
    found = dict(line.split() for line in _inspected(POLICY))
    return [f"{name} has restart policy {found.get(name)}" for name in POLICIES if found.get(name) != POLICIES[name]]


def _inspected(form: str) -> list[str]:
    asked = (
        f"docker inspect --format '{form}' $(docker ps --all --quiet --filter label=com.docker.compose.project={STACK})"
    )
    return sorted(subprocess.run(asked, shell=True, check=True, capture_output=True, text=True).stdout.splitlines())


def record() -> dict[str, t.Any]:
    """Return the newest record of a restore, an empty one when there is none."""
    found = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    return max(found, key=lambda one: one["since"], default={})


def beside() -> list[str]:
    """Return what lies beside the live data and no record knows."""
    known = [json.loads(path.read_text()) for path in RECORDS.glob("*.json")]
    bases = {volume["exchange"]["base"] for one in known for volume in one["volumes"]}
    names = {database[key] for one in known for database in one["databases"] for key in ("staged", "previous")}
    left = [str(path) for path in VOLUMES.glob(f"{STACK}_*/.crm-*") if str(path) not in bases]
    left += [str(path) for path in VOLUMES.glob(f"{STACK}_*/_data/.crm-*") if str(path) not in bases]
    asked = [
        "docker",
        "exec",
        f"{STACK}-postgres-1",
        "psql",
        "-U",
        "postgres",
        "-Atc",
        "SELECT datname FROM pg_database",
    ]
    there = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split()
    usual = {"postgres", "template0", "template1", *DATABASES}
    return left + [f"database {name}" for name in there if name not in usual | names]
