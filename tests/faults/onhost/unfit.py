# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups whose checksums are right and whose content is not: what a faulty disk, or another version, would write."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import typing as t
from pathlib import Path

from . import small

if t.TYPE_CHECKING:
    from collections.abc import Callable

# The larger one, so that much of it is restored before it fails.
DUMP = "databases/chatwoot.dump.zst"
# Where a dump says of what version it is, right after its head.
VERSION = re.compile(rb"(?<=\0)17(?=\.\d)")


def spoil() -> None:
    """Make a copy of the backup of the small stack for each kind of damage."""
    for name, change in {"broken": broken, "newer": newer}.items():
        root = Path(f"{small.ROOT}-{name}")
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(small.ROOT, root)
        (directory,) = (root / small.STACK).glob("2*")
        replace(directory, DUMP, change)


def broken(dump: bytes) -> bytes:
    """Return a dump of which the last tenth was never written."""
    end = len(dump) * 9 // 10
    return dump[:end] + bytes(len(dump) - end)


def newer(dump: bytes) -> bytes:
    """Return a dump of the next major version of PostgreSQL."""
    changed, count = VERSION.subn(b"18", dump[:4096])
    if not count:
        raise SystemExit("The dump does not say what version it is of.")
    return changed + dump[4096:]


def replace(directory: Path, artifact: str, change: Callable[[bytes], bytes]) -> None:
    """Change the content of an artifact, and the manifest and the checksums with it."""
    path = directory / artifact
    plain = change(
        subprocess.run(["zstd", "--decompress", "--stdout", str(path)], check=True, capture_output=True).stdout
    )
    packed = subprocess.run(["zstd", "--stdout"], input=plain, check=True, capture_output=True).stdout
    path.write_bytes(packed)
    manifest = directory / "manifest.json"
    described = json.loads(manifest.read_text())
    for entry in described["artifacts"]:
        if entry["path"] == artifact:
            entry |= {"size": len(packed), "sha256": _sha256(packed), "plain_sha256": _sha256(plain)}
    manifest.write_text(json.dumps(described, indent=2) + "\n")
    sums = directory / "SHA256SUMS"
    names = [line.partition("  ")[2] for line in sums.read_text().splitlines()]
    # It would be refused for that alone.
    (directory / "SHA256SUMS.sig").unlink()
    sums.write_text("".join(f"{_sha256((directory / name).read_bytes())}  {name}\n" for name in names))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
