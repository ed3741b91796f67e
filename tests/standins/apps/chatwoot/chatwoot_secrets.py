# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypted columns of the Chatwoot stand-in.

The envelope is that of Active Record Encryption, ``{"p": …, "h": {"iv": …, "at": …}}``. The cipher inside is
made of HMAC-SHA256, because the standard library has no AES. What matters to a restore is the same:
without ACTIVE_RECORD_ENCRYPTION_PRIMARY_KEY the column can't be read, and with another key it is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json


class DecryptionError(Exception):
    """The column was written with another key, or is damaged."""


def _stream(key: bytes, iv: bytes, size: int) -> bytes:
    counters = (iv + number.to_bytes(4, "big") for number in range(size // 32 + 1))
    return b"".join(hmac.new(key, counter, hashlib.sha256).digest() for counter in counters)[:size]


def _mix(key: bytes, iv: bytes, text: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(text, _stream(key, iv, len(text)), strict=True))


def _tag(key: bytes, iv: bytes, payload: bytes) -> bytes:
    return hmac.new(key, b"tag" + iv + payload, hashlib.sha256).digest()[:16]


def encrypt(primary_key: str, text: str) -> str:
    """Encrypt one column value; the same value always gives the same text."""
    key = hashlib.sha256(primary_key.encode()).digest()
    iv = hmac.new(key, b"iv" + text.encode(), hashlib.sha256).digest()[:12]
    payload = _mix(key, iv, text.encode())
    encoded = [base64.b64encode(part).decode() for part in (payload, iv, _tag(key, iv, payload))]
    return json.dumps({"p": encoded[0], "h": {"iv": encoded[1], "at": encoded[2]}}, separators=(",", ":"))


def decrypt(primary_key: str, column: str) -> str:
    """Read one column value back."""
    key = hashlib.sha256(primary_key.encode()).digest()
    try:
        envelope = json.loads(column)
        payload, iv, tag = (
            base64.b64decode(part) for part in (envelope["p"], envelope["h"]["iv"], envelope["h"]["at"])
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DecryptionError(f"the column holds no envelope: {error}") from None
    if not hmac.compare_digest(tag, _tag(key, iv, payload)):
        raise DecryptionError("the key does not fit")
    return _mix(key, iv, payload).decode()
