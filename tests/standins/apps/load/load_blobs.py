# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Store attachments as a careful application does: the file before its row, and the row's end before the file's."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import secrets
import time
import typing as t

if t.TYPE_CHECKING:
    from multiprocessing.synchronize import Event
    from pathlib import Path

    from standin_services import Database

NAME = "load.bin"
# The first directory of their places; no other directory in it is anybody else's.
PREFIX = "LO"
KEPT = 150
LARGEST = 60_000


def write_blobs(database: Database, storage: Path, pause: float, stop: Event) -> None:
    """Store and delete attachments until asked to stop."""
    rows = database.rows("SELECT key FROM active_storage_blobs WHERE filename = %s ORDER BY id", (NAME,))
    kept = [str(row["key"]) for row in rows]
    while not stop.is_set():
        kept.append(_store(database, storage))
        if len(kept) > KEPT:
            _delete(database, storage, kept.pop(0))
        time.sleep(pause)


def _store(database: Database, storage: Path) -> str:
    key = PREFIX + secrets.token_hex(13)
    content = os.urandom(secrets.randbelow(LARGEST))
    path = _path(storage, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    checksum = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
    with database.transaction() as cursor:
        cursor.execute(
            "INSERT INTO active_storage_blobs (key, filename, content_type, metadata, byte_size, checksum,"
            " service_name, created_at) VALUES (%s, %s, 'application/octet-stream', '{}', %s, %s, 'local', now())",
            (key, NAME, len(content), checksum),
        )
    return key


def _delete(database: Database, storage: Path, key: str) -> None:
    with database.transaction() as cursor:
        cursor.execute("DELETE FROM active_storage_blobs WHERE key = %s", (key,))
    path = _path(storage, key)
    path.unlink()
    # One that another blob still uses refuses to go.
    with contextlib.suppress(OSError):
        path.parent.rmdir()


def _path(storage: Path, key: str) -> Path:
    return storage / key[0:2] / key[2:4] / key
