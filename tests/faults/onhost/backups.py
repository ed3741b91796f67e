# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Look at backups as a stranger would: names on a disk, and stock tools."""

from __future__ import annotations

import contextlib
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
LOCK = Path("/run/crm.continuity") / f"{STACK}.lock"
JOURNAL = Path("/var/lib/crm.continuity/journal")
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


def journal() -> dict[str, str]:
    """Return the journal of the stack, by its path, while there is one."""
    path = JOURNAL / f"{STACK}.json"
    return {str(path): "there"} if path.exists() else {}


def working() -> tuple[int, str] | None:
    """Return the process that holds the lock of the stack, and the phase that it says it is in."""
    try:
        holder, _colon, phase = LOCK.read_text().strip().rpartition(": ")
    except OSError:
        return None
    pid = holder.split()[1] if holder.startswith("process ") else ""
    return (int(pid), phase) if pid and Path(f"/proc/{pid}").exists() else None


def running(command: bytes) -> dict[str, str]:
    """Return the processes that were started by the same command line."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            # It may be gone by now.
            with contextlib.suppress(OSError):
                if (entry / "cmdline").read_bytes() == command:
                    found[entry.name] = "running"
    return found


def prune(keep: Collection[str]) -> None:
    """Remove all backups but some, so that hundreds of runs fit the disk."""
    for id_ in listed() - set(keep):
        shutil.rmtree(ROOT / STACK / id_)
