# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Passwords and JSON Web Tokens of the Ticketz stand-in.

The tokens are ordinary HS256 tokens. The password hashes are PBKDF2, because the standard library has no bcrypt.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
import typing as t

TOKEN_SECONDS = 3600
ITERATIONS = 20_000


def hash_password(password: str) -> str:
    """Hash a password for the column ``passwordHash``."""
    salt = secrets.token_hex(8)
    return f"pbkdf2${salt}${_derive(password, salt)}"


def password_fits(password: str, stored: str) -> bool:
    """Whether a password belongs to a stored hash."""
    salt, digest = stored.split("$")[1:]
    return hmac.compare_digest(digest, _derive(password, salt))


def issue(secret: str, claims: dict[str, t.Any]) -> str:
    """Sign claims that expire after an hour."""
    now = int(time.time())
    head = _encode({"alg": "HS256", "typ": "JWT"})
    body = _encode({**claims, "iat": now, "exp": now + TOKEN_SECONDS})
    return f"{head}.{body}.{_signature(secret, f'{head}.{body}')}"


def read(secret: str, token: str) -> dict[str, t.Any] | None:
    """Return the claims of a token, or None when it is forged, expired or of another secret."""
    signed, _dummy, signature = token.rpartition(".")
    if not hmac.compare_digest(signature, _signature(secret, signed)):
        return None
    text = signed.partition(".")[2]
    claims = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return claims if claims["exp"] > time.time() else None


def _derive(password: str, salt: str) -> str:
    return hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), ITERATIONS).hex()


def _encode(value: dict[str, t.Any]) -> str:
    return _strip(json.dumps(value, separators=(",", ":")).encode())


def _signature(secret: str, signed: str) -> str:
    return _strip(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest())


def _strip(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
