# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at backups as a stranger would: names on a disk, and stock tools."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Collection

ROOT = Path("/var/backups/crm")
STACK = "crm"
ID = re.compile(r"[0-9]{8}T[0-9]{6}Z(-[0-9]+)?")


def listed(root: Path = ROOT) -> set[str]:
    """Return the names in a stack's directory that are those of backups."""
    directory = root / STACK
    return {path.name for path in directory.iterdir() if ID.fullmatch(path.name)} if directory.is_dir() else set()


def leftovers(root: Path = ROOT) -> list[str]:
    """Return what lies in a stack's directory and is neither a backup nor the lock."""
    directory = root / STACK
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if not ID.fullmatch(path.name) and path.name != ".lock")


def fault(id_: str, root: Path = ROOT) -> str:
    """Return what is wrong with a backup by its own list of checksums; nothing, when it is whole."""
    directory = root / STACK / id_
    argv = ["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"]
    done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return f"{id_} is damaged: {(done.stdout + done.stderr).strip()[:300]}"
    sums = {line.partition("  ")[2] for line in (directory / "SHA256SUMS").read_text().splitlines()}
    manifest = json.loads((directory / "manifest.json").read_text())
    unlisted = {artifact["path"] for artifact in manifest["artifacts"]} - sums
    return f"{id_} has artifacts without checksum: {sorted(unlisted)}" if unlisted else ""


def prune(keep: Collection[str]) -> None:
    """Remove all backups but some, so that hundreds of runs fit the disk."""
    for id_ in listed() - set(keep):
        shutil.rmtree(ROOT / STACK / id_)
