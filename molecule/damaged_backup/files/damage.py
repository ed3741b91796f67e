# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make copies of a backup, each under an ID of its own, and damage each in another way. Runs on the server.

damage.py BACKUP DIRECTORY NAME=ID...
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import typing as t
from pathlib import Path

ARCHIVE = "volumes/ticketz_backend_public.tar.zst"
DUMP = "databases/ticketz.dump.zst"


def flip(path: Path) -> None:
    """Turn over one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def rewrite(backup: Path, **changes: t.Any) -> None:
    """Change the manifest and let SHA256SUMS agree with it: what a newer version would have written."""
    path, sums = backup / "manifest.json", backup / "SHA256SUMS"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    encoded = (json.dumps(manifest, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    path.write_bytes(encoded)
    sums.write_text(sums.read_text(encoding="utf-8").replace(before, hashlib.sha256(encoded).hexdigest()))


def damage(backup: Path, name: str) -> None:
    """Do to a copy what its name says."""
    if name == "archive":
        flip(backup / ARCHIVE)
    elif name == "dump":
        flip(backup / DUMP)
    elif name == "manifest":
        flip(backup / "manifest.json")
    elif name == "sums":
        flip(backup / "SHA256SUMS")
    elif name == "missing":
        (backup / ARCHIVE).unlink()
    elif name == "truncated":
        content = (backup / ARCHIVE).read_bytes()
        (backup / ARCHIVE).write_bytes(content[:-1])
    elif name == "foreign":
        (backup / "volumes" / "notes.txt").write_text("not of this backup\n")
    elif name == "newer":
        rewrite(backup, format=2)
    elif name == "renamed":
        rewrite(backup, id="20250101T000000Z")


def main() -> None:
    """Make the copies."""
    source, directory = Path(sys.argv[1]), Path(sys.argv[2])
    for pair in sys.argv[3:]:
        name, _equals, id_ = pair.partition("=")
        copy = directory / id_
        shutil.copytree(source, copy)
        rewrite(copy, id=id_)
        damage(copy, name)


if __name__ == "__main__":
    main()
