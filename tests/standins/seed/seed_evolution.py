# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill the Evolution API stand-in: instances with sessions, by its own API, and rows of messages beside them."""

from __future__ import annotations

import hashlib
import json
import typing as t

from rows import Rows, copy_rows
from standin_stack import StackError
from tree import Samples, plant_awkward, write

if t.TYPE_CHECKING:
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor
    from scales import Scale
    from standin_stack import Container, Stack

NAMES = ("vendas", "suporte", "cobrança", "matriz", "filial sul", "plantão")


def seed_evolution(stack: Stack, scale: Scale, seed: int) -> tuple[int, int, list[str]]:
    """Create and pair the instances, then fill the tables; return rows, files and what could not be done."""
    container = stack.service("evolution_api")
    rows = Rows(seed, "evolution")
    instances = [_create(container, name, rows, seed, scale.keys) for name in NAMES[: scale.instances]]
    user, password, database = stack.address_of(container.environment["DATABASE_CONNECTION_URI"].partition("?")[0])
    schema = container.environment["DATABASE_CONNECTION_URI"].rpartition("schema=")[2] or "public"
    connection = stack.connect(database, user, password)
    with connection, connection.cursor() as cursor:
        cursor.execute(f'SET search_path = "{schema}"')
        count = sum(_fill(cursor, rows, instance, scale.messages // 2 // len(instances)) for instance in instances)
        count += _fill_shared(cursor, rows, instances)
        cursor.execute('SELECT (SELECT count(*) FROM "Instance") + (SELECT count(*) FROM "Session")')
        found = cursor.fetchone()
        count += found[0] if found else 0
    connection.close()
    folder = stack.folder("evolution_api", "/evolution/instances")
    return count, _fill_folder(folder, seed), plant_awkward(folder / "awkward", seed + 3)


def _create(container: Container, name: str, rows: Rows, seed: int, keys: int) -> str:
    """Create one instance and let it pair; return its id."""
    apikey = container.environment["AUTHENTICATION_API_KEY"]
    wanted = {"instanceName": name, "number": rows.phone(), "token": rows.token(32), "standinSeed": seed}
    instance = container.post(8080, "/instance/create", wanted, apikey=apikey)["instance"]
    paired = container.post(8080, f"/standin/pair/{name}", {"seed": seed, "keys": keys}, apikey=apikey)["instance"]
    if paired["state"] != "open":
        raise StackError(f"The instance {name} of Evolution is {paired['state']} after pairing, not open.")
    return str(instance["instanceId"])


def _cuid(rows: Rows) -> str:
    return f"c{rows.token(24)}"


def _fill(cursor: Cursor, rows: Rows, instance: str, messages: int) -> int:
    """The rows of one instance."""
    contacts = [f"{rows.phone()}@s.whatsapp.net" for dummy in range(max(20, messages // 5))]
    contacts = sorted(set(contacts))
    stamps = ("createdAt", "updatedAt")
    count = copy_rows(
        cursor,
        "Contact",
        ("id", "remoteJid", "pushName", "instanceId", *stamps),
        ((_cuid(rows), contact, rows.name(), instance, rows.time(), rows.time()) for contact in contacts),
    )
    count += copy_rows(
        cursor,
        "Chat",
        ("id", "remoteJid", "name", "labels", "unreadMessages", "instanceId", *stamps),
        (
            (_cuid(rows), contact, None, '["1", "é"]', number % 9, instance, rows.time(), None)
            for number, contact in enumerate(contacts[::2])
        ),
    )
    ids = [_cuid(rows) for dummy in range(messages)]
    count += copy_rows(
        cursor,
        "Message",
        (
            *("id", "key", "pushName", "messageType", "message", "contextInfo", "source", "messageTimestamp"),
            *("chatwootMessageId", "status", "instanceId"),
        ),
        (
            (
                message,
                {
                    "id": rows.token(20).upper(),
                    "fromMe": number % 2 == 0,
                    "remoteJid": contacts[number % len(contacts)],
                },
                rows.name(),
                "conversation",
                {"conversation": rows.text(number)},
                rows.document(number) if number % 8 == 0 else None,
                ("ios", "android", "web", "unknown", "desktop")[number % 5],
                1_700_000_000 + number,
                number if number % 3 == 0 else None,
                "READ" if number % 2 else None,
                instance,
            )
            for number, message in enumerate(ids)
        ),
    )
    count += copy_rows(
        cursor,
        "MessageUpdate",
        ("id", "keyId", "remoteJid", "fromMe", "status", "messageId", "instanceId"),
        ((_cuid(rows), rows.token(20), contacts[0], True, "READ", message, instance) for message in ids[::4]),
    )
    count += copy_rows(
        cursor,
        "Media",
        ("id", "fileName", "type", "mimetype", "messageId", "instanceId"),
        (
            (_cuid(rows), f"evolution-api/{instance}/{rows.token()}.jpeg", "image", "image/jpeg", message, instance)
            for message in ids[::25]
        ),
    )
    return count


def _fill_shared(cursor: Cursor, rows: Rows, instances: list[str]) -> int:
    """The tables with a row or two per instance."""
    count = copy_rows(
        cursor,
        "Webhook",
        ("id", "url", "events", "updatedAt", "instanceId"),
        (
            (_cuid(rows), "http://old-host.example.com/hook", '["MESSAGES_UPSERT"]', rows.time(), one)
            for one in instances
        ),
    )
    count += copy_rows(
        cursor,
        "Chatwoot",
        ("id", "accountId", "token", "url", "nameInbox", "updatedAt", "instanceId"),
        (
            (_cuid(rows), "1", rows.token(), "http://chatwoot:3000", rows.name(), rows.time(), one)
            for one in instances[:1]
        ),
    )
    count += copy_rows(
        cursor,
        "Label",
        ("id", "labelId", "name", "color", "updatedAt", "instanceId"),
        (
            (_cuid(rows), number, f"etiqueta {number}", number, rows.time(), one)
            for one in instances
            for number in range(6)
        ),
    )
    count += copy_rows(
        cursor,
        "IsOnWhatsapp",
        ("id", "remoteJid", "jidOptions", "updatedAt"),
        ((_cuid(rows), f"{number}@s.whatsapp.net", rows.text(number), rows.time()) for number in range(120)),
    )
    creds, bot = _cuid(rows), _cuid(rows)
    count += copy_rows(
        cursor,
        "OpenaiCreds",
        ("id", "name", "apiKey", "updatedAt", "instanceId"),
        [(creds, "chave", "not-a-secret", rows.time(), instances[0])],
    )
    count += copy_rows(
        cursor,
        "OpenaiBot",
        ("id", "botType", "systemMessages", "triggerType", "updatedAt", "openaiCredsId", "instanceId"),
        [(bot, "chatCompletion", '["olá"]', "keyword", rows.time(), creds, instances[0])],
    )
    return count + copy_rows(
        cursor,
        "OpenaiSetting",
        ("id", "openaiCredsId", "openaiIdFallback", "updatedAt", "instanceId"),
        [(_cuid(rows), creds, bot, rows.time(), instances[0])],
    )


def _fill_folder(folder: Path, seed: int) -> int:
    """What an upgrade from version 1 leaves behind in the volume: a session in files that nobody reads any more."""
    samples = Samples(seed + 4)
    legacy = folder / "instância antiga"
    for number in range(40):
        digest = hashlib.sha256(f"{seed}:{number}".encode()).hexdigest()
        write(legacy / f"pre-key-{number}.json", json.dumps({"private": digest}).encode(), samples.mtime_ns())
    write(legacy / "creds.json", b'{"me": {"id": "5511900000000:1@s.whatsapp.net"}}', samples.mtime_ns())
    return 41
