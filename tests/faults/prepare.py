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
KEYS = "/dev/shm/faults"
ELSEWHERE = "/var/backups/elsewhere"
VOLUMES = "/var/lib/docker/volumes"
# Made by the playbook prepare.
SIGNING_KEY = "/etc/crm.continuity/signing_key"
# Seconds; the cut of one line hangs for longer than that.
TIMEOUT = 2
# Services that are stopped and not paused where the line says so.
STOPPED = ("chatwoot_sidekiq", "evolution_api")
# What a hostile archive may hold at most.
MOST = 40_000_000
# Lines of the audit log.
LOGGED = 3
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
    server.module("verify-elsewhere", "backup_verify", {"stack": crm.STACK, "backup_root": ELSEWHERE, "id": "all"})
    server.module("prune-elsewhere", "backup_prune", {"backup_root": ELSEWHERE, "retention": {"keep_last": 2}})
    server.run("rm", "-rf", ELSEWHERE)
    server.module("backup-timeout", "stack_backup", {"stack": crm.STACK, "freeze_timeout": TIMEOUT})
    server.module("backup-stop", "stack_backup", {"stack": crm.STACK, "freeze": dict.fromkeys(STOPPED, "stop")})
    path: str = taken.result["directory"]
    server.shell(f"mkdir -p {COPY}/{crm.STACK} {PLACE} && cp -a {path} {COPY}/{crm.STACK}/")
    copy = {"stack": crm.STACK, "backup_root": COPY, "signers": [_signer(server)]}
    for _line in range(LOGGED):
        server.module("verify-copy-noted", "backup_verify", copy)
    # One bit after the other is flipped in the audit log, too, and flipped back: nothing is to be added meanwhile.
    server.module("verify-copy", "backup_verify", {**copy, "record": False})
    _archives(server)
    _dump(server, path)
    _sealed(server)
    return path


def _signer(server: Server) -> str:
    """Return the line by which the signatures of the server are recognised."""
    key = server.shell(f"ssh-keygen -y -f {SIGNING_KEY}").stdout.decode().split()[:2]
    return " ".join([server.run("uname", "--nodename").stdout.decode().strip(), *key])


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


def _sealed(server: Server) -> None:
    """Encrypt an archive and a dump with each method, and restore both once with the right key, another and none."""
    server.shell(f"umask 077; mkdir -p {KEYS}; for name in right other; do age-keygen -o {KEYS}/$name; done")
    server.shell(f"umask 077; for name in right other; do echo $name >{KEYS}/$name.words; done")
    recipient = server.shell(f"age-keygen -y {KEYS}/right").stdout.decode().strip()
    methods: dict[str, tuple[str, str, dict[str, t.Any]]] = {
        "age": ("age", "identity_file", {"recipients": [recipient]}),
        "aes256": ("gpg", "passphrase_file", {"passphrase_file": f"{KEYS}/right.words"}),
    }
    container = {"container": "crm-postgres-1"}
    for method, (ending, option, how) in methods.items():
        encryption = {"encryption": {"method": method, **how}}
        archive, dump = (f"{PLACE}/sealed.{kind}.zst.{ending}" for kind in ("tar", "dump"))
        server.module("seal", "volume_export", _from("faults_source", archive) | encryption)
        server.module("seal", "database_dump", {**container, "database": "faults_target", "path": dump, **encryption})
        for key in ("right", "other", "none"):
            path = f"{KEYS}/{key}{'.words' if method == 'aes256' else ''}"
            given = {option: path} if key != "none" else {}
            imported = _from("faults_target", archive) | given | {"replace": True}
            server.module(f"import-{method}-{key}", "volume_import", imported, accept=(0, 2))
            restored = {**container, "database": "faults_target", "path": dump, "replace": True, **given}
            server.module(f"restore-{method}-{key}", "database_restore", restored, accept=(0, 2))


def _from(volume: str, archive: str) -> dict[str, t.Any]:
    return {"volume": volume, "archive": archive}


def _sha256(server: Server, path: str) -> str:
    return server.run("sha256sum", path).stdout.decode().split()[0]
