# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill the Chatwoot stand-in: accounts, conversations, messages, and attachments with their files."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import typing as t

from rows import Rows, copy_rows, move_sequences
from tree import Samples, plant_awkward, write

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor
    from scales import Scale
    from standin_stack import Stack

ACCOUNTS = 3
AGENTS = 8
INBOXES = 4
API_TOKEN = "not-a-secret-api-token"
STAMPS = ("created_at", "updated_at")


def is_seeded(stack: Stack) -> bool:
    """Whether the database has accounts already."""
    with stack.connect("chatwoot_production") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM accounts)")
        found = cursor.fetchone()
    connection.close()
    return bool(found and found[0])


def seed_chatwoot(stack: Stack, scale: Scale, seed: int) -> tuple[int, int, list[str]]:
    """Fill the database and both volumes; return rows, files and what the file system could not do."""
    storage = stack.folder("chatwoot", "/app/storage")
    public = stack.folder("chatwoot", "/app/public")
    connection = stack.connect("chatwoot_production")
    with connection, connection.cursor() as cursor:
        maker = _Maker(cursor, Rows(seed, "chatwoot"), scale)
        maker.people()
        maker.conversations()
        maker.messages()
        files = maker.attachments(storage, Samples(seed))
        maker.the_rest()
        move_sequences(cursor, "public")
    with connection, connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()
    # By the application, because only it can encrypt the token of the channel. The one thing that no seed decides.
    stack.service("chatwoot").post(3000, "/api/v1/accounts/1/inboxes", {"name": "API"}, api_access_token=API_TOKEN)
    files += _fill_public(public, seed)
    skipped = plant_awkward(storage / "awkward", seed) + plant_awkward(public / "uploads", seed + 1)
    _fill_redis(stack, seed)
    return maker.count + 2, files, skipped


class _Maker:
    """Writes one table after the other and counts the rows."""

    def __init__(self, cursor: Cursor, rows: Rows, scale: Scale) -> None:
        self._cursor = cursor
        self._rows = rows
        self._scale = scale
        self._conversations: list[tuple[int, int, int]] = []
        self.count = 0

    def _copy(self, table: str, columns: tuple[str, ...], rows: t.Iterable[tuple[t.Any, ...]]) -> None:
        self.count += copy_rows(self._cursor, table, columns, rows)

    def _stamps(self) -> tuple[t.Any, t.Any]:
        moment = self._rows.time()
        return moment, moment

    def people(self) -> None:
        """Accounts, users, tokens, inboxes and contacts."""
        rows = self._rows
        accounts = range(1, ACCOUNTS + 1)
        self._copy(
            "accounts",
            ("id", "name", "limits", "custom_attributes", *STAMPS),
            (
                (number, f"Conta {number} {rows.name()}", {}, rows.document(number), *self._stamps())
                for number in accounts
            ),
        )
        self._copy(
            "users",
            (
                "id",
                "uid",
                "name",
                "email",
                "encrypted_password",
                "pubsub_token",
                "tokens",
                "message_signature",
                *STAMPS,
            ),
            (
                (
                    number,
                    f"agent{number}@example.com",
                    rows.name(),
                    f"agent{number}@example.com",
                    f"$2a$11${rows.token(53)}",
                    rows.token(),
                    {} if number % 2 else None,
                    rows.text(number * 10),
                    *self._stamps(),
                )
                for number in range(1, AGENTS + 1)
            ),
        )
        self._copy(
            "user_sessions",
            ("user_id", "client_id", "user_agent", *STAMPS),
            ((number % AGENTS + 1, rows.token(), rows.text(number), *self._stamps()) for number in range(30)),
        )
        self._copy(
            "account_users",
            ("account_id", "user_id", "role", *STAMPS),
            ((account, user, user % 2, *self._stamps()) for account in accounts for user in range(1, AGENTS + 1)),
        )
        self._copy(
            "access_tokens",
            ("owner_type", "owner_id", "token", *STAMPS),
            (
                ("User", user, API_TOKEN if user == 1 else rows.token(), *self._stamps())
                for user in range(1, AGENTS + 1)
            ),
        )
        self._copy(
            "portals",
            ("id", "account_id", "name", "slug", *STAMPS),
            ((number, number, f"Ajuda {number}", f"ajuda-{number}", *self._stamps()) for number in accounts),
        )
        self._copy("portals_members", ("portal_id", "user_id"), itertools.product(accounts, range(1, AGENTS + 1)))
        self._copy(
            "inboxes",
            ("id", "channel_id", "channel_type", "account_id", "name", "portal_id", *STAMPS),
            (
                (
                    number,
                    number,
                    "Channel::Email",
                    number % ACCOUNTS + 1,
                    rows.name(),
                    number % ACCOUNTS + 1,
                    *self._stamps(),
                )
                for number in range(1, INBOXES * ACCOUNTS + 1)
            ),
        )
        self._copy(
            "channel_email",
            ("account_id", "email", "forward_to_email", "provider_config", *STAMPS),
            (
                (number % ACCOUNTS + 1, f"box{number}@example.com", f"fwd{number}@example.com", {}, *self._stamps())
                for number in range(1, INBOXES * ACCOUNTS + 1)
            ),
        )
        contacts = max(50, self._scale.messages // 4)
        self._copy(
            "contacts",
            ("id", "name", "email", "phone_number", "account_id", "identifier", "custom_attributes", *STAMPS),
            (
                (
                    number,
                    rows.name(),
                    f"Cliente.{number}@Example.com" if number % 3 else None,
                    f"+{rows.phone()}" if number % 5 else "",
                    number % ACCOUNTS + 1,
                    rows.uuid() if number % 2 else None,
                    rows.document(number),
                    *self._stamps(),
                )
                for number in range(1, contacts + 1)
            ),
        )
        self._copy(
            "contact_inboxes",
            ("contact_id", "inbox_id", "source_id", *STAMPS),
            (
                (number, number % (INBOXES * ACCOUNTS) + 1, rows.uuid(), *self._stamps())
                for number in range(1, contacts + 1)
            ),
        )

    def conversations(self) -> None:
        """Conversations, numbered by the triggers; some are deleted, so that the numbers have gaps."""
        rows = self._rows
        wanted = max(60, self._scale.messages // 6)
        self._copy(
            "conversations",
            (
                *("account_id", "inbox_id", "status", "contact_id", "uuid", "last_activity_at", "cached_label_list"),
                *("additional_attributes", *STAMPS),
            ),
            (
                (
                    number % ACCOUNTS + 1,
                    number % INBOXES + 1,
                    number % 4,
                    number + 1,
                    rows.uuid(),
                    rows.time(),
                    "vip, atraso" if number % 3 == 0 else None,
                    rows.document(number),
                    *self._stamps(),
                )
                for number in range(wanted)
            ),
        )
        self._cursor.execute("DELETE FROM conversations WHERE id %% 17 = 3 OR id = %s", (wanted,))
        self.count -= self._cursor.rowcount
        self._cursor.execute("SELECT id, account_id, inbox_id FROM conversations ORDER BY id")
        self._conversations = self._cursor.fetchall()

    def messages(self) -> None:
        """Messages, every tenth with an awkward text."""
        rows = self._rows
        self._copy(
            "messages",
            (
                *("id", "content", "account_id", "inbox_id", "conversation_id", "message_type", "private", "status"),
                *("source_id", "content_attributes", "external_source_ids", "sender_type", "sender_id", *STAMPS),
            ),
            (
                (
                    number,
                    None if number % 23 == 0 else rows.text(number),
                    account,
                    inbox,
                    conversation,
                    number % 2,
                    number % 11 == 0,
                    number % 4,
                    rows.token(32) if number % 3 == 0 else None,
                    rows.document(number) if number % 9 == 0 else {},
                    {},
                    "User" if number % 2 else "Contact",
                    number % AGENTS + 1,
                    *self._stamps(),
                )
                for number, (conversation, account, inbox) in zip(
                    range(1, self._scale.messages + 1), itertools.cycle(self._conversations), strict=False
                )
            ),
        )

    def attachments(self, storage: Path, samples: Samples) -> int:
        """Blobs with their files and rows, variants, and the blobs that have no file or no attachment here."""
        rows = self._rows
        sizes = samples.sizes(self._scale.files * 85 // 100, self._scale.size * 92 // 100)
        blobs: list[tuple[t.Any, ...]] = []
        for number, size in enumerate(sizes, 1):
            sample = samples.sample(size)
            key = rows.token(28)
            write(storage / key[:2] / key[2:4] / key, sample.content, sample.mtime_ns)
            digest = base64.b64encode(hashlib.md5(sample.content, usedforsecurity=False).digest()).decode()
            name = f"{'comprovante não pago' if number % 9 == 0 else 'foto'} {number}.{sample.extension}"
            metadata = json.dumps({"identified": True, "analyzed": True, "width": 800}, separators=(",", ":"))
            # Composed blobs have no checksum; Rails allows it.
            checksum = None if number % 97 == 0 else digest
            blobs.append((number, key, name, sample.content_type, metadata, len(sample.content), checksum, "local"))
        remote = len(blobs) + 1
        blobs += [
            (number, rows.token(28), "in the cloud.png", "image/png", None, 1234, "1B2M2Y8AsgTpgAmY7PhCfg==", "amazon")
            for number in range(remote, remote + 3)
        ]
        columns = ("id", "key", "filename", "content_type", "metadata", "byte_size", "checksum", "service_name")
        self._copy("active_storage_blobs", (*columns, "created_at"), ((*blob, rows.time()) for blob in blobs))
        # Every twentieth file is a variant of the one before; the last two were never attached to anything.
        attached = [number for number in range(1, len(sizes) - 1) if number % 20]
        self._copy(
            "attachments",
            ("id", "file_type", "message_id", "account_id", "extension", "meta", *STAMPS),
            (
                (
                    number,
                    number % 4,
                    number % self._scale.messages + 1,
                    number % ACCOUNTS + 1,
                    "png",
                    {},
                    *self._stamps(),
                )
                for number in attached
            ),
        )
        self._copy(
            "active_storage_variant_records",
            ("id", "blob_id", "variation_digest"),
            ((number, number - 1, rows.token(27)) for number in range(20, len(sizes) - 1, 20)),
        )
        self._copy(
            "active_storage_attachments",
            ("name", "record_type", "record_id", "blob_id", "created_at"),
            (
                ("image" if number % 20 == 0 else "file", kind, number, number, rows.time())
                for number in range(1, len(sizes) - 1)
                for kind in ("ActiveStorage::VariantRecord" if number % 20 == 0 else "Attachment",)
            ),
        )
        return len(sizes)

    def the_rest(self) -> None:
        """The smaller tables."""
        rows = self._rows
        some = max(20, self._scale.messages // 30)
        self._copy(
            "campaigns",
            ("title", "message", "account_id", "inbox_id", "trigger_rules", "scheduled_at", *STAMPS),
            (
                (f"Campanha {number}", rows.text(number), number % ACCOUNTS + 1, 1, {}, None, *self._stamps())
                for number in range(12)
            ),
        )
        self._copy("labels", ("title", "color", "account_id", *STAMPS), self._labels())
        self._copy(
            "canned_responses",
            ("account_id", "short_code", "content", *STAMPS),
            ((number % ACCOUNTS + 1, f"r{number}", rows.text(number), *self._stamps()) for number in range(some)),
        )
        self._copy(
            "articles",
            ("id", "account_id", "portal_id", "title", "content", "slug", *STAMPS),
            (
                (
                    number,
                    number % ACCOUNTS + 1,
                    number % ACCOUNTS + 1,
                    rows.name(),
                    rows.text(number),
                    f"a-{number}",
                    *self._stamps(),
                )
                for number in range(1, some + 1)
            ),
        )
        self._copy_embeddings(some)
        self._copy(
            "captain_scenarios",
            ("title", "instruction", "keywords", "account_id", *STAMPS),
            (
                (rows.name(), rows.text(number), ["a,b", 'say "x"', "\\", ""], number % ACCOUNTS + 1, *self._stamps())
                for number in range(15)
            ),
        )
        self._copy(
            "reporting_events",
            ("name", "value", "account_id", "conversation_id", *STAMPS),
            (
                ("reply_time", rows.chance.random() * 1e6, number % ACCOUNTS + 1, number + 1, *self._stamps())
                for number in range(some * 4)
            ),
        )
        self._copy(
            "standin_payloads",
            ("raw", "ratio", "seen", 'Mixed "Case" name'),
            (
                (
                    None if number % 7 == 0 else rows.chance.randbytes(number * 7 % 2000),
                    "NaN" if number % 13 == 0 else f"{rows.chance.randrange(10**15)}.{number:012d}",
                    "infinity" if number % 17 == 0 else f"{rows.time()}+00",
                    rows.text(number),
                )
                for number in range(some * 2)
            ),
        )

    def _labels(self) -> Iterator[tuple[t.Any, ...]]:
        for number in range(10):
            yield (f"etiqueta-{number}", "#1f93ff", number % ACCOUNTS + 1, *self._stamps())

    def _copy_embeddings(self, count: int) -> None:
        """Vectors, where the extension is there."""
        self._cursor.execute("SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'vector')")
        found = self._cursor.fetchone()
        if not (found and found[0]):
            return
        chance = self._rows.chance
        self._copy(
            "article_embeddings",
            ("article_id", "term", "embedding", *STAMPS),
            (
                (
                    number,
                    self._rows.text(number),
                    "[" + ",".join(f"{chance.uniform(-1, 1):.4f}" for dummy in range(1536)) + "]",
                    *self._stamps(),
                )
                for number in range(1, min(count, 120) + 1)
            ),
        )


def _fill_public(public: Path, seed: int) -> int:
    """Compiled assets of the kind that stays behind in the volume."""
    samples = Samples(seed + 2)
    for number in range(30):
        stamp = samples.mtime_ns()
        write(public / "packs" / f"chunk-{number:03d}.js", samples.text(4_000 + number * 500), stamp)
    return 30


def _fill_redis(stack: Stack, seed: int) -> None:
    """Keys of Sidekiq and of the application, of every type that Redis has."""
    rows = Rows(seed, "chatwoot redis")
    redis = stack.connect_redis(0)
    commands: list[tuple[bytes | str | int | float, ...]] = []
    for number in range(200):
        job = json.dumps({"class": "Conversations::ResolutionJob", "args": [number], "jid": rows.token()})
        # Far in the future: nothing takes these jobs while a test runs.
        commands.append(("ZADD", "schedule", 4_000_000_000 + number, job))
    for number in range(60):
        commands += [
            ("RPUSH", "queue:scheduled_jobs", json.dumps({"class": "TriggerScheduledItemsJob", "args": [number]})),
            ("SADD", f"alfred:ONLINE_PRESENCE::{number % ACCOUNTS}", f"user-{number}"),
            ("HSET", f"alfred:ONLINE_STATUS::{number % ACCOUNTS}", str(number), rows.text(number * 10)),
            ("SET", f"velma:{rows.token(8)}".encode() + b"\xff\x00", rows.chance.randbytes(300), "EX", 30 * 86_400),
            ("XADD", "alfred:EVENTS", f"{1_700_000_000_000 + number}-0", "text", rows.text(number)),
        ]
    redis.run_all(commands)
    redis.close()
