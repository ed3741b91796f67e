# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the Evolution API stand-in keeps WhatsApp sessions, and whether one can be used.

A session is two things: the credentials ("creds") and the signal keys. Depending on the configuration they lie
in the database, in a Redis hash or in files, as in Evolution API 2.3 with its Baileys channel.

No WhatsApp server is asked. Instead both halves carry a generation that grows with every message, like the
ratchets of the real protocol: halves of different instants do not belong together, and the session is lost. Only the
keys, which are written first, may be one message ahead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import random
import shutil
import typing as t
import uuid
from dataclasses import dataclass

from standin_services import log

if t.TYPE_CHECKING:
    from pathlib import Path

    import redis
    from standin_services import Database, Row

MARKER = "standin-generation"
CREDS_FIELD = "creds"
BAILEYS = "WHATSAPP-BAILEYS"


@dataclass(frozen=True)
class State:
    """Whether an instance is connected, and which lines its log shows when it is not."""

    name: str
    complaints: tuple[str, ...] = ()


OPEN = State("open")
NO_SESSION = State("close", ("QR code limit reached, please login again", 'Instance "{name}" - NOT CONNECTION'))
NO_KEYS = State(
    "close",
    (
        "Session error:Error: Bad MAC",
        "No matching sessions found for message",
        'Instance "{name}" - NOT CONNECTION',
    ),
)
MISMATCH = State(
    "close",
    (
        "Failed to decrypt message with any known session...",
        "Session error:Error: Bad MAC",
        'Instance "{name}" - NOT CONNECTION',
    ),
)


class Sessions:
    """Creds and signal keys of all instances, wherever the configuration puts them."""

    def __init__(
        self, database: Database, cache: redis.Redis | None, prefix: str, folder: Path, *, creds_in_cache: bool
    ) -> None:
        self._database = database
        self._cache = cache
        self._prefix = prefix
        self._folder = folder
        self._creds_in_cache = creds_in_cache

    def state(self, instance: Row) -> State:
        """Whether the session of an instance is whole."""
        if instance["integration"] != BAILEYS:
            return OPEN
        creds = self._creds(instance["id"])
        if creds is None:
            return NO_SESSION
        marker = self._key(instance["id"], MARKER)
        if marker is None or self._count_keys(instance["id"]) < 2:
            return NO_KEYS
        # An application that ends between its two writes leaves the keys one message ahead, and lives with that.
        ahead = int(marker["generation"]) - int(creds["generation"])
        return OPEN if marker["registrationId"] == creds["registrationId"] and ahead in (0, 1) else MISMATCH

    def pair(self, instance: Row, seed: int, keys: int) -> None:
        """Write a new session, as a phone that scans the QR code would make the application do."""
        chance = random.Random(seed)
        registration = chance.randrange(1, 16380)
        written = {f"pre-key-{number}": _key_pair(chance) for number in range(1, keys + 1)}
        for _dummy in range(max(1, keys // 4)):
            contact = chance.randrange(10**9, 10**10)
            written[f"session-55{contact}.0"] = {"_sessions": {_buffer(chance, 33): _key_pair(chance)}, "version": "v1"}
            written[f"sender-key-55{contact}@g.us::55{contact}::0"] = {"senderChainKey": _buffer(chance, 32)}
        written[f"app-state-sync-key-{base64.b64encode(chance.randbytes(6)).decode()}"] = _key_pair(chance)
        written[MARKER] = {"registrationId": registration, "generation": 1}
        creds = {
            "noiseKey": _key_pair(chance),
            "signedIdentityKey": _key_pair(chance),
            "registrationId": registration,
            "generation": 1,
            "me": {"id": f"{instance['number'] or '5511900000000'}:12@s.whatsapp.net", "name": instance["name"]},
            "account": {"details": _buffer(chance, 24)},
        }
        self.forget(instance["id"])
        self._write_keys(instance["id"], written)
        self._write_creds(instance["id"], creds)

    def advance(self, instance: Row) -> None:
        """Move both halves on by one message: the keys first, then the creds, as the application does."""
        creds = self._creds(instance["id"])
        if creds is None:
            raise LookupError(f"instance {instance['name']} has no creds")
        creds["generation"] += 1
        marker = {"registrationId": creds["registrationId"], "generation": creds["generation"]}
        self._write_keys(instance["id"], {MARKER: marker})
        self._write_creds(instance["id"], creds)

    def make_folder(self, instance_id: str) -> None:
        """Create the folder of an instance; it stays empty unless the keys are kept in files."""
        (self._folder / instance_id).mkdir(parents=True, exist_ok=True)

    def forget(self, instance_id: str) -> None:
        """Delete the creds, the keys and the folder's content, as a logout does."""
        with self._database.transaction() as cursor:
            cursor.execute('DELETE FROM "Session" WHERE "sessionId" = %s', (instance_id,))
        if self._cache is not None:
            self._cache.delete(self._hash(instance_id))
        shutil.rmtree(self._folder / instance_id, ignore_errors=True)
        self.make_folder(instance_id)

    def complain(self, name: str, state: State) -> None:
        """Log what the application logs about a session in this state."""
        for line in state.complaints:
            log(f"[Evolution API] [{name}] ERROR [ChannelStartupService] {line.format(name=name)}")
        if state is OPEN:
            log(f"[Evolution API] [{name}] INFO [ChannelStartupService] CONNECTED TO WHATSAPP")

    def _hash(self, instance_id: str) -> str:
        return f"{self._prefix}:instance:{instance_id}"

    def _creds(self, instance_id: str) -> dict[str, t.Any] | None:
        if self._creds_in_cache and self._cache is not None:
            stored = self._cache.hget(self._hash(instance_id), CREDS_FIELD)
            return _object(json.loads(str(stored))) if stored else None
        row = self._database.row('SELECT creds FROM "Session" WHERE "sessionId" = %s', (instance_id,))
        if row is None or not row["creds"]:
            return None
        return _object(json.loads(json.loads(row["creds"])))

    def _write_creds(self, instance_id: str, creds: dict[str, t.Any]) -> None:
        encoded = json.dumps(creds, separators=(",", ":"))
        if self._creds_in_cache and self._cache is not None:
            self._cache.hset(self._hash(instance_id), CREDS_FIELD, encoded)
            return
        with self._database.transaction() as cursor:
            cursor.execute(
                'INSERT INTO "Session" (id, "sessionId", creds) VALUES (%s, %s, %s)'
                ' ON CONFLICT ("sessionId") DO UPDATE SET creds = excluded.creds',
                (hashlib.sha256(instance_id.encode()).hexdigest()[:25], instance_id, json.dumps(encoded)),
            )

    def _key(self, instance_id: str, name: str) -> dict[str, t.Any] | None:
        if self._cache is not None:
            stored = self._cache.hget(self._hash(instance_id), name)
            return _object(json.loads(str(stored))) if stored else None
        try:
            return _object(json.loads(self._file(instance_id, name).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def _count_keys(self, instance_id: str) -> int:
        if self._cache is not None:
            return int(t.cast("int", self._cache.hlen(self._hash(instance_id))))
        return len(list((self._folder / instance_id).glob("*.json")))

    def _write_keys(self, instance_id: str, keys: dict[str, dict[str, t.Any]]) -> None:
        encoded = {name: json.dumps(value, separators=(",", ":")) for name, value in keys.items()}
        if self._cache is not None:
            self._cache.hset(self._hash(instance_id), mapping=encoded)
            return
        for name, text in encoded.items():
            self._file(instance_id, name).write_text(text, encoding="utf-8")

    def _file(self, instance_id: str, name: str) -> Path:
        return self._folder / instance_id / f"{name.replace('/', '__').replace(':', '-')}.json"


def instance_id_of(seed: int | None, name: str) -> str:
    """A new id for an instance; the same seed and name always give the same one."""
    if seed is None:
        return str(uuid.uuid4())
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"evolution-standin:{seed}:{name}"))


def _object(value: t.Any) -> dict[str, t.Any] | None:
    return value if isinstance(value, dict) else None


def _buffer(chance: random.Random, size: int) -> str:
    return base64.b64encode(chance.randbytes(size)).decode()


def _key_pair(chance: random.Random) -> dict[str, t.Any]:
    """A key pair in the JSON form that Baileys gives to buffers."""
    return {part: {"type": "Buffer", "data": _buffer(chance, 32)} for part in ("private", "public")}
