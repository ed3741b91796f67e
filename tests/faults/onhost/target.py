# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The live data that must stay as it is: a volume, a database, and everything outside of the volume."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from pathlib import Path

VOLUME = "faults_target"
VOLUMES = Path("/var/lib/docker/volumes")
DATA = VOLUMES / VOLUME / "_data"
DATABASE = "faults_target"
CONTAINER = "crm-postgres-1"
OUTSIDE = Path("/root/lab/outside")
# How an import names the directory that it fills.
PLACES = ("/", "/root", "/root/lab", "/etc", "/usr/local/bin")
STAGING = ".crm-import-"


def reset() -> None:
    """Give the volume its own content again, and what lies outside too."""
    for directory in (DATA, OUTSIDE):
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    for number in range(5):
        (DATA / f"live-{number}").write_text(f"live data {number}\n")
    (OUTSIDE / "victim").write_text("nobody may change this\n")
    (OUTSIDE / "folder").mkdir()
    (OUTSIDE / "folder" / "inside").write_text("nor this\n")


def fingerprint(directory: Path = DATA) -> str:
    """Return a digest of all that is in a directory: names, kinds, owners, modes, times, contents, link targets."""
    digest = hashlib.sha256()
    base = os.fsencode(directory)
    pending = [base]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                status = entry.stat(follow_symlinks=False)
                facts = (status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns)
                digest.update(b"%b\0%r\0" % (entry.path[len(base) :], facts))
                if stat.S_ISREG(status.st_mode):
                    digest.update(hashlib.sha256(Path(os.fsdecode(entry.path)).read_bytes()).digest())
                elif stat.S_ISLNK(status.st_mode):
                    digest.update(os.readlink(entry.path))
                elif stat.S_ISDIR(status.st_mode):
                    pending.append(entry.path)
    return digest.hexdigest()


def outside() -> str:
    """Return a digest of what lies outside of the volume and could be reached."""
    names = sorted(str(path) for place in PLACES for path in Path(place).iterdir())
    names += sorted(str(path) for path in VOLUMES.iterdir())
    return fingerprint(OUTSIDE) + hashlib.sha256("\n".join(names).encode()).hexdigest()


def leftovers() -> list[str]:
    """Return what an import or a restore left beside the live data."""
    beside = [path.name for path in DATA.parent.iterdir() if path != DATA]
    inside = [path.name for path in DATA.iterdir() if path.name.startswith(STAGING)]
    return [f"{name} is left over" for name in (*beside, *inside, *_scratch())]


def database() -> str:
    """Return a digest of the rows of the database."""
    # The token that newer versions print around a dump differs every time.
    command = f"pg_dump --username=postgres --data-only {DATABASE} | grep -v '^.\\(un\\)\\?restrict ' | sha256sum"
    return _in_container("sh", "-c", command)


def _scratch() -> list[str]:
    names = _in_container(
        "psql", "--username=postgres", "--tuples-only", "--no-align", "-c", "SELECT datname FROM pg_database"
    )
    usual = {"postgres", "template0", "template1", "chatwoot_production", "evolution", DATABASE}
    return [f"database {name}" for name in names.split() if name not in usual]


def _in_container(*argv: str) -> str:
    return subprocess.run(["docker", "exec", CONTAINER, *argv], check=True, capture_output=True, text=True).stdout
