# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a server into the state that the faults start from: a CRM that runs, a good backup, modules ready to run."""

from __future__ import annotations

import typing as t
from pathlib import Path

from lab import crm
from lab.server import LAB, say

if t.TYPE_CHECKING:
    from lab.server import Server

SEED = f"{LAB}/seed"
PLACE = f"{LAB}/damage"
COPY = "/var/backups/damage"
ELSEWHERE = "/var/backups/elsewhere"
VOLUMES = "/var/lib/docker/volumes"
# Seconds; the cut of one line hangs for longer than that.
TIMEOUT = 2
# Services that are stopped and not paused where the line says so.
STOPPED = ("chatwoot_sidekiq", "evolution_api")
# What a hostile archive may hold at most.
MOST = 40_000_000
COMPRESSIONS = {"tar.zst": "zstd", "tar.gz": "gzip", "tar": "none"}


def prepare(server: Server) -> str:
    """Deploy and prepare everything; return the path of the backup that must survive all that follows."""
    say("deploying the CRM stack")
    crm.deploy(server)
    crm.fill(server, "small")
    server.copy(Path(__file__).parent / "onhost", f"{LAB}/faults/onhost")
    # It is told by its table what to run at boot; nothing starts it here, and so a line of ours plays its part.
    server.shell("apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends cron")
    server.playbook("prepare")
    say("running every module once without a fault")
    taken = server.module("backup", "stack_backup", {"stack": crm.STACK})
    server.module("verify", "backup_verify", {"stack": crm.STACK})
    server.module("backup-elsewhere", "stack_backup", {"stack": crm.STACK, "backup_root": ELSEWHERE})
    server.run("rm", "-rf", ELSEWHERE)
    server.module("backup-timeout", "stack_backup", {"stack": crm.STACK, "freeze_timeout": TIMEOUT})
    server.module("backup-stop", "stack_backup", {"stack": crm.STACK, "freeze": dict.fromkeys(STOPPED, "stop")})
    path: str = taken.result["directory"]
    server.shell(f"mkdir -p {COPY}/{crm.STACK} {PLACE} && cp -a {path} {COPY}/{crm.STACK}/")
    server.module("verify-copy", "backup_verify", {"stack": crm.STACK, "backup_root": COPY})
    _archives(server)
    _dump(server, path)
    return path


def _archives(server: Server) -> None:
    """Make archives of a volume that holds everything that archives get wrong, and import each of them once."""
    server.run("docker", "volume", "create", "faults_source")
    tree = f"{VOLUMES}/faults_source/_data"
    server.run("python3", f"{SEED}/tree.py", tree, "--files", "60", "--bytes", "3000000", "--awkward")
    for ending, compression in COMPRESSIONS.items():
        whole, cut = f"{PLACE}/whole.{ending}", f"{PLACE}/cut.{ending}"
        server.module("export", "volume_export", _from("faults_source", whole) | {"compression": compression})
        server.run("cp", whole, cut)
        server.module(f"import-{ending}", "volume_import", _from("faults_target", cut) | {"replace": True})
    for name, ending in (("hostile", "tar"), ("summed", "tar.zst")):
        server.run("cp", f"{PLACE}/whole.{ending}", f"{PLACE}/{name}.{ending}")
    hostile = _from("faults_target", f"{PLACE}/hostile.tar") | {"replace": True, "max_bytes": MOST}
    server.module("import-hostile", "volume_import", hostile)
    summed = _from("faults_target", f"{PLACE}/summed.tar.zst") | {"replace": True}
    summed["sha256"] = _sha256(server, f"{PLACE}/summed.tar.zst")
    server.module("import-summed", "volume_import", summed)


def _dump(server: Server, backup: str) -> None:
    """Restore a dump once, into a database of its own beside those of the stack."""
    dump = f"{PLACE}/summed.dump.zst"
    server.run("cp", f"{backup}/databases/evolution.dump.zst", dump)
    arguments = {"container": "crm-postgres-1", "database": "faults_target", "path": dump, "replace": True}
    server.module("restore-summed", "database_restore", arguments | {"sha256": _sha256(server, dump)})


def _from(volume: str, archive: str) -> dict[str, t.Any]:
    return {"volume": volume, "archive": archive}


def _sha256(server: Server, path: str) -> str:
    return server.run("sha256sum", path).stdout.decode().split()[0]
