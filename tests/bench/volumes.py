# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Volumes: export and import against the runbook's command and against bare tar and zstd."""

from __future__ import annotations

import shlex
import typing as t
from dataclasses import dataclass

from lab.server import LAB, LabError, say

from .subjects import Row, Samples, Subject, memory_row

if t.TYPE_CHECKING:
    from lab.server import Prepared, Server

VOLUMES = "/var/lib/docker/volumes"
OUT = "/var/backups/bench"
FRESH = "bench_import"
MEMORY = 150


@dataclass(frozen=True)
class Tree:
    """How much the volume holds."""

    files: int
    size: int

    @property
    def words(self) -> str:
        """The size as the table calls it."""
        return f"{self.size / 1e9:.1f} GB, {self.files:,} files"


def fill(server: Server, volume: str, tree: Tree) -> None:
    """Make a volume and fill it with files of realistic sizes, 70 % of them incompressible."""
    say(f"filling volume {volume}: {tree.words}")
    server.run("docker", "volume", "create", volume)
    arguments = ("--files", str(tree.files), "--bytes", str(tree.size))
    server.run("python3", f"{LAB}/seed/tree.py", f"{VOLUMES}/{volume}/_data", *arguments)


def runbook(volume: str, out: str = OUT) -> Subject:
    """Return what the runbook does with a volume, word for word but for the names."""
    return Subject(
        "runbook's tar -czf in a container",
        [
            *("docker", "run", "--rm", "-v", f"{volume}:/volume", "-v", f"{out}:/backup", "alpine"),
            *("sh", "-c", "cd /volume && tar -czf /backup/runbook.tar.gz ."),
        ],
    )


def rows(server: Server, tree: Tree, rounds: int) -> list[Row]:
    """Measure, and return the rows of the table."""
    server.run("mkdir", "-p", OUT)
    small = Tree(tree.files // 10, tree.size // 10)
    fill(server, "bench_data", tree)
    fill(server, "bench_small", small)
    zst, gz = _export(server, "bench_data", "zstd"), _export(server, "bench_data", "gzip")
    aged, by_passphrase = (_export(server, "bench_data", "zstd", encryption) for encryption in _encryptions(server))
    little = _export(server, "bench_small", "zstd")
    restored, restored_little = _import(server, "bench_data", zst), _import(server, "bench_small", little)
    _same_files(server, "bench_data", FRESH + "_data")

    ours_zst = _ours("our export .tar.zst", zst)
    ours_import = _ours("our import", restored, _without("bench_data"))
    bare = _shell(
        "bare tar | zstd", f"tar -C {VOLUMES}/bench_data/_data -c . | zstd -q -T0 -3 -f -o {OUT}/bare.tar.zst"
    )
    bare_import = _shell(
        "bare zstd | tar",
        f"zstd -q -dc {_kept('bench_data')} | tar -C {VOLUMES}/bench_bare/_data -x",
        "docker volume rm -f bench_bare && docker volume create bench_bare",
    )
    theirs = runbook("bench_data")
    ours_gz = _ours("our export .tar.gz", gz)
    ours_age, ours_aes = _ours("our export + age", aged), _ours("our export + aes256", by_passphrase)
    samples = Samples(server)
    quick = [ours_zst, bare, ours_age, ours_aes, ours_gz, ours_import, bare_import]
    # The runbook takes longer than all the others together: they have time for two turns in each round.
    samples.interleave([*quick, theirs, *quick], rounds)
    _same_files(server, "bench_data", "bench_bare")

    found = [
        samples.faster("capture", f"export .tar.zst, {tree.words}; peer: runbook", ours_zst.name, theirs.name, 15),
        samples.faster("capture", "export .tar.gz, the same; peer: runbook", ours_gz.name, theirs.name, 7),
        samples.within("capture", "export .tar.zst; peer: bare tar | zstd -T0 -3", ours_zst.name, bare.name, 1.3),
        samples.within(
            "restore",
            "import .tar.zst, verified; peer: bare zstd -dc | tar -x",
            ours_import.name,
            bare_import.name,
            1.5,
        ),
        samples.within("trust", "export + age; peer: bare tar | zstd -T0 -3", ours_age.name, bare.name, 1.4),
        samples.beside("trust", "export + aes256 (GnuPG); peer: bare tar | zstd -T0 -3", ours_aes.name, bare.name),
    ]
    say("measuring memory")
    little_import = _ours("our import", restored_little, _without("bench_small"))
    for area, verb, ours, less, peer in (
        ("capture", "export", ours_zst, _ours("our export", little), bare),
        ("restore", "import", ours_import, little_import, bare_import),
    ):
        big, few, other = (samples.take(subject, memory=True) for subject in (ours, less, peer))
        all_of_it = f"peak memory of {verb}, all processes; peer: bare tools"
        alone = f"peak memory of {verb}, Python alone; peer: a tenth of the data"
        found.append(memory_row(area, all_of_it, big["together"], other["together"], MEMORY))
        found.append(memory_row(area, alone, big["alone"], few["alone"], MEMORY))
    return found


def _encryptions(server: Server) -> list[dict[str, t.Any]]:
    """Make keys on the server, and return how to encrypt with age and with a passphrase."""
    keys = "/dev/shm/bench"
    server.shell(f"umask 077; mkdir -p {keys}; [ -e {keys}/identity ] || age-keygen -o {keys}/identity 2>/dev/null")
    server.shell(f"umask 077; head -c 32 /dev/urandom | base64 >{keys}/passphrase")
    recipient = server.shell(f"age-keygen -y {keys}/identity").stdout.decode().strip()
    return [
        {"method": "age", "recipients": [recipient]},
        {"method": "aes256", "passphrase_file": f"{keys}/passphrase"},
    ]


def _export(server: Server, volume: str, compression: str, encryption: dict[str, t.Any] | None = None) -> Prepared:
    method = f".{encryption['method']}" if encryption else ""
    name = f"{volume}.{compression}{method}"
    arguments: dict[str, t.Any] = {"volume": volume, "archive": f"{OUT}/{name}", "compression": compression}
    if encryption:
        arguments["encryption"] = encryption
    return server.module(f"export-{name}", "volume_export", {**arguments, "force": True})


def _import(server: Server, source: str, exported: Prepared) -> Prepared:
    """Bring an archive into a volume that does not exist yet."""
    # A second name of this very file: the next export takes the first one for a file of its own.
    server.run("ln", "--force", exported.result["archive"], _kept(source))
    arguments = {"volume": _target(source), "archive": _kept(source), "sha256": exported.result["sha256"]}
    server.run("docker", "volume", "rm", "--force", _target(source))
    return server.module(f"import-{source}", "volume_import", arguments)


def _kept(source: str) -> str:
    return f"{OUT}/{source}.kept.tar.zst"


def _target(source: str) -> str:
    return f"{FRESH}_{source.removeprefix('bench_')}"


def _without(source: str) -> str:
    return f"docker volume rm -f {_target(source)}"


def _ours(name: str, prepared: Prepared, before: str = "true") -> Subject:
    return Subject(name, ["python3", prepared.payload], before)


def _shell(name: str, command: str, before: str = "true") -> Subject:
    return Subject(name, ["bash", "-c", f"set -euo pipefail; {command}"], before)


def _same_files(server: Server, one: str, other: str) -> None:
    """Make sure that what was measured did its work."""
    listing = shlex.quote("find . -printf '%P %y %s %T@ %m %U:%G\\n' | sort | sha256sum")
    sums = {server.shell(f"cd {VOLUMES}/{volume}/_data && sh -c {listing}").stdout for volume in (one, other)}
    if len(sums) != 1:
        raise LabError(f"Volume {other} is not what {one} is, so its import was not worth measuring.")
