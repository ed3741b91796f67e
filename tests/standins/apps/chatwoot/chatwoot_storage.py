# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Active Storage of the Chatwoot stand-in: keys, paths, checksums and signed addresses.

The layout on disk, the checksum and the column values are those of Rails. The signed tokens have the
same form and depend on SECRET_KEY_BASE in the same way, but are not byte-compatible with Rails.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import json
import secrets
import string
import time
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

KEY_ALPHABET = string.ascii_lowercase + string.digits
KEY_LENGTH = 28
TOKEN_SECONDS = 300


def new_key() -> str:
    """A key such as Active Storage makes for a new blob."""
    return "".join(secrets.choice(KEY_ALPHABET) for dummy in range(KEY_LENGTH))


def path_of(storage: Path, key: str) -> Path:
    """Where the disk service keeps the blob of a key."""
    return storage / key[0:2] / key[2:4] / key


def checksum_of(content: bytes) -> str:
    """The base64 MD5 of the column ``checksum``."""
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def store(storage: Path, key: str, content: bytes) -> None:
    """Write a blob to its place on disk."""
    path = path_of(storage, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


@functools.lru_cache(maxsize=4)
def _signing_key(secret_key_base: str) -> bytes:
    return hashlib.pbkdf2_hmac("sha256", secret_key_base.encode(), b"ActiveStorage", 1000)


def _digest(secret_key_base: str, message: str) -> str:
    return hmac.new(_signing_key(secret_key_base), message.encode(), hashlib.sha256).hexdigest()


def sign(secret_key_base: str, purpose: str, value: t.Any, seconds: int | None = None) -> str:
    """Sign a value for one purpose, for ever or for some seconds."""
    expires = None if seconds is None else int(time.time()) + seconds
    payload = json.dumps({"_rails": {"data": value, "exp": expires, "pur": purpose}}, separators=(",", ":"))
    message = base64.urlsafe_b64encode(payload.encode()).decode()
    return f"{message}--{_digest(secret_key_base, message)}"


def unsign(secret_key_base: str, purpose: str, token: str) -> t.Any | None:
    """Return the signed value, or None when the token is forged, expired or of another secret."""
    message, separator, digest = token.rpartition("--")
    if not separator or not hmac.compare_digest(digest, _digest(secret_key_base, message)):
        return None
    inner = json.loads(base64.urlsafe_b64decode(message))["_rails"]
    if inner["pur"] != purpose or (inner["exp"] is not None and inner["exp"] < time.time()):
        return None
    return inner["data"]
