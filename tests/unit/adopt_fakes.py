# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts with what other means have written: the runbook's archives, and a backup of the sidekick of Ticketz."""

from __future__ import annotations

import gzip
import shlex
import subprocess
import typing as t
from dataclasses import replace

from ansible_collections.crm.continuity.plugins.module_utils import _backup_adopt_parts
from ansible_collections.crm.continuity.plugins.module_utils._backup_adopt import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request as StackRequest
from ansible_collections.crm.continuity.tests.unit.archives import make_tree
from ansible_collections.crm.continuity.tests.unit.backup_fakes import Host, crm_host
from ansible_collections.crm.continuity.tests.unit.plain_dumps import SCRIPT

if t.TYPE_CHECKING:
    from pathlib import Path

    import pytest

BACKEND = "ghcr.io/ticketz-oss/ticketz-backend:latest"
VERSION = "0.1.0"
LISTING = "1; 0 1 TABLE DATA public Tags ticketz\\n"
DEFINITIONS = (
    "-- Dumped from database version 17.2\\n"
    "-- Name: evolution; Type: DATABASE; Schema: -; Owner: evolution\\nCREATE DATABASE evolution;\\n"
)


def request(host: Host, *paths: Path, **more: t.Any) -> Request:
    """Return what asks to adopt files; ``stack`` is a name."""
    stack = more.pop("stack", None)
    return Request(
        root=host.root,
        paths=tuple(str(path) for path in paths),
        version=VERSION,
        stack=StackRequest(stack) if stack else None,
        **more,
    )


def tar(directory: Path, archive: Path, *names: str) -> Path:
    """Write a compressed archive as the runbook and the sidekick do."""
    subprocess.run(["tar", "-czf", archive, "-C", directory, *names], check=True)
    return archive


def runbook_host(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Path]:
    """Return a host with the stack "crm", and the directory that the runbook has written to."""
    host = crm_host(directory, monkeypatch)
    monkeypatch.setattr(_backup_adopt_parts, "connect", host.server.connect)
    make_tree(host.data("crm_storage"))
    volume = host.volumes["crm_storage"]
    host.volumes["crm_storage"] = replace(volume, labels={**volume.labels, "com.docker.compose.volume": "storage"})
    written = directory / "opt" / "crm" / "backups"
    written.mkdir()
    tar(host.data("crm_storage"), written / "storage_2026-11-20_0200.tar.gz", ".")
    tar(host.data("crm_instances"), written / "crm_instances_2026-11-20_0203.tar.gz", ".")
    (written / "chatwoot_2026-11-20_0200.sql.gz").write_bytes(gzip.compress(SCRIPT.encode()))
    return host, written


def with_custom_dump(host: Host, written: Path) -> None:
    """Add a dump in the custom format of the other database; pg_restore makes the script of it."""
    (written / "evolution_2026-11-20_0201.dump").write_bytes(b"PGDMP rows")
    host.programs["pg_restore"] = f"""
        cat >/dev/null
        case "$1" in
          --list) printf %b {shlex.quote(LISTING)} ;;
          --create) printf %b {shlex.quote(DEFINITIONS)} ;;
          --file=-) printf %s {shlex.quote(SCRIPT)} ;;
        esac"""


def ticketz_host(directory: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Host, Path]:
    """Return a host with the stack "crm", which is one of Ticketz, and the directory that the sidekick writes to."""
    host = crm_host(directory, monkeypatch)
    host.by_id.clear()
    volumes = {"/usr/src/app/public": "crm_backend_public", "/usr/src/app/private": "crm_backend_private"}
    host.add("backend", BACKEND, volumes=volumes, env={"DB_HOST": "postgres", "REDIS_URI": "redis://redis:6379"})
    env = {"POSTGRES_USER": "ticketz", "POSTGRES_DB": "ticketz", "POSTGRES_HOST_AUTH_METHOD": "trust"}
    host.add("postgres", "postgres:16-alpine", volumes={"/var/lib/postgresql/data": "crm_pg_data"}, env=env)
    host.add("redis", "redis:7-alpine", volumes={"/data": "crm_redis_data"})
    host.server.rows["ticketz"] = {}
    written = directory / "opt" / "crm" / "backups"
    written.mkdir()
    return host, written


def sidekick(host: Host, written: Path, dump: str = SCRIPT, **more: t.Any) -> Path:
    """Write what the sidekick does; ``volumes`` are the directories that it copies, none for ``--dbonly``."""
    place = host.directory / "sidekick"
    (place / "backups").mkdir(parents=True)
    (place / "backups" / "db_dump.sql").write_text(dump)
    for name in more.get("volumes", ("backend-public", "backend-private")):
        (place / name).mkdir()
        make_tree(place / name)
        (place / name / "whose").write_text(name)
    for name, content in more.get("besides", {}).items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(content)
    names = ["backups/db_dump.sql", *(entry.name for entry in sorted(place.iterdir()) if entry.name != "backups")]
    return tar(place, written / "ticketz-backup-20261120020000.tar.gz", *names)
