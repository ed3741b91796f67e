# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill the Ticketz stand-in: companies, tickets, messages with media, WhatsApp sessions and all the small tables."""

from __future__ import annotations

import itertools
import json
import typing as t

from rows import Rows, copy_rows, move_sequences
from tree import Samples, plant_awkward, write

if t.TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from psycopg2.extensions import cursor as Cursor
    from scales import Scale
    from standin_stack import Stack

COMPANIES = 3
USERS = 9
WHATSAPPS = 4
QUEUES = 5
MEDIA_NAMES = (
    "comprovante não pago.pdf",
    "foto\u0301.jpg",
    "áudio 😀.ogg",
    "quebra\nde linha.txt",
    "a'b\"c\\d.png",
    "-rf.mp4",
    " espaço .doc",
    "日本.png",
)


def is_seeded(stack: Stack) -> bool:
    """Whether the database has tickets already."""
    with stack.connect("ticketz") as connection, connection.cursor() as cursor:
        cursor.execute('SELECT EXISTS (SELECT FROM "Tickets")')
        found = cursor.fetchone()
    connection.close()
    return bool(found and found[0])


def seed_ticketz(stack: Stack, scale: Scale, seed: int) -> tuple[int, int, list[str]]:
    """Fill the database and both volumes; return rows, files and what the file system could not do."""
    public = stack.folder("backend", "/usr/src/app/public")
    private = stack.folder("backend", "/usr/src/app/private")
    connection = stack.connect("ticketz")
    with connection, connection.cursor() as cursor:
        maker = _Maker(cursor, Rows(seed, "ticketz"), scale)
        maker.company()
        maker.sessions()
        maker.tickets()
        files = maker.messages(public, Samples(seed))
        maker.people_talk()
        maker.campaigns()
        maker.statistics()
        move_sequences(cursor, "public")
    with connection, connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    connection.close()
    samples = Samples(seed + 1)
    for number in range(max(8, scale.files // 50)):
        write(
            private / f"{number % COMPANIES + 1}" / f"certificado {number}.p12", samples.text(2_500), samples.mtime_ns()
        )
        files += 1
    skipped = plant_awkward(public / "awkward", seed) + plant_awkward(private / "awkward", seed + 1)
    _fill_redis(stack, seed)
    return maker.count, files, skipped


class _Maker:
    """Writes one table after the other and counts the rows."""

    def __init__(self, cursor: Cursor, rows: Rows, scale: Scale) -> None:
        self._cursor = cursor
        self._rows = rows
        self._messages = scale.messages
        self._keys = scale.keys
        self._files = scale.files * 9 // 10
        self._bytes = scale.size * 95 // 100
        self._tickets = max(40, scale.messages // 8)
        self._contacts = max(40, scale.messages // 6)
        self.count = 0

    def _copy(self, table: str, columns: Iterable[str], rows: Iterable[tuple[t.Any, ...]]) -> None:
        """Load rows; the two times that nearly every table has are added here."""
        stamped = ((*row, self._zoned(), self._zoned()) for row in rows)
        self.count += copy_rows(self._cursor, table, (*columns, "createdAt", "updatedAt"), stamped)

    def _copy_bare(self, table: str, columns: Iterable[str], rows: Iterable[tuple[t.Any, ...]]) -> None:
        self.count += copy_rows(self._cursor, table, tuple(columns), rows)

    def _zoned(self) -> str:
        return f"{self._rows.time()}+00"

    def company(self) -> None:
        """Plans, companies, users, queues, tags, settings and contacts, beside those of the first start."""
        rows = self._rows
        companies = range(2, COMPANIES + 1)
        self._copy(
            "Plans", ("id", "name", "users", "value"), ((n, f"Plano {n}", n * 10, n * 29.9) for n in range(2, 5))
        )
        self._copy(
            "Companies",
            ("id", "name", "planId", "schedules", "phone"),
            (
                (n, f"Empresa {n} {rows.name()}", n, '[{"weekday": "terça", "start": "08:00"}]', rows.phone())
                for n in companies
            ),
        )
        self._copy(
            "Users",
            ("id", "name", "email", "passwordHash", "profile", "companyId"),
            (
                (
                    n,
                    rows.name(),
                    f"user{n}@example.com",
                    f"pbkdf2${rows.token(16)}${rows.token(64)}",
                    "user",
                    n % COMPANIES + 1,
                )
                for n in range(2, USERS + 1)
            ),
        )
        self._copy(
            "Queues",
            ("id", "name", "color", "greetingMessage", "schedules", "companyId"),
            ((n, f"Fila {n}", f"#00000{n}", rows.text(n * 10), "[]", n % COMPANIES + 1) for n in range(1, QUEUES + 1)),
        )
        # Options below options: half of them refer to another row of the table, some to a later one.
        self._copy(
            "QueueOptions",
            ("id", "title", "message", "option", "queueId", "parentId"),
            (
                (
                    n,
                    f"Opção {n}",
                    rows.text(n),
                    str(n % 9),
                    n % QUEUES + 1,
                    None if n % 2 else (n // 2 if n % 4 else 41 - n),
                )
                for n in range(1, 41)
            ),
        )
        self._copy("UserQueues", ("userId", "queueId"), itertools.product(range(1, USERS + 1), range(1, QUEUES + 1)))
        self._copy(
            "Tags",
            ("id", "name", "color", "companyId"),
            ((n, f"Ação Nº {n} {rows.name()}", "#ff0000", n % COMPANIES + 1) for n in range(1, 41)),
        )
        self._copy(
            "Settings",
            ("key", "value", "companyId"),
            ((f"standin{n}", rows.text(n * 10), n % COMPANIES + 1) for n in range(30)),
        )
        self._copy(
            "Contacts",
            ("id", "name", "number", "email", "isGroup", "profilePicUrl", "companyId"),
            (
                (
                    n,
                    rows.name(),
                    f"{rows.phone()}{n}",
                    "",
                    n % 20 == 0,
                    None if n % 2 else "http://example.com/p.jpg",
                    n % COMPANIES + 1,
                )
                for n in range(1, self._contacts + 1)
            ),
        )
        self._copy(
            "ContactCustomFields",
            ("name", "value", "contactId"),
            ((f"campo {n}", rows.text(n), n % self._contacts + 1) for n in range(self._contacts // 2)),
        )
        self._copy("ContactTags", ("contactId", "tagId"), ((n, n % 40 + 1) for n in range(1, self._contacts, 3)))
        self._copy(
            "WhatsappLidMaps",
            ("lid", "companyId", "contactId"),
            ((f"{rows.phone()}@lid", n % COMPANIES + 1, n) for n in range(1, self._contacts, 2)),
        )

    def sessions(self) -> None:
        """WhatsApp connections: the creds in one column, the signal keys in a table, both of one generation."""
        rows = self._rows
        generations = {number: rows.chance.randrange(1, 10_000) for number in range(1, WHATSAPPS + 1)}
        self._copy(
            "Whatsapps",
            ("id", "name", "session", "status", "qrcode", "isDefault", "companyId"),
            (
                (
                    number,
                    f"Conexão {number}",
                    {"creds": self._identity(number, generation) | self._key_pair(), "keys": {}},
                    "CONNECTED",
                    "",
                    number == 1,
                    number % COMPANIES + 1,
                )
                for number, generation in generations.items()
            ),
        )
        self._copy("WhatsappQueues", ("whatsappId", "queueId"), itertools.product(generations, range(1, QUEUES + 1)))
        self._copy_bare("BaileysKeys", ("whatsappId", "type", "key", "value"), self._signal_keys(generations))
        self._copy(
            "BaileysContacts",
            ("whatsappId", "contactId", "payload"),
            ((n % WHATSAPPS + 1, f"{rows.phone()}{n}@s.whatsapp.net", rows.document(n)) for n in range(100)),
        )
        self._copy(
            "Baileys",
            ("whatsappId", "contacts", "chats"),
            ((number, "[]", rows.text(number * 10)) for number in generations),
        )
        self._copy("Wavoips", ("whatsappId", "token"), [(1, rows.token())])

    @staticmethod
    def _identity(number: int, generation: int) -> dict[str, t.Any]:
        """What the creds and the keys of one session have in common."""
        return {"registrationId": 1000 + number, "generation": generation}

    def _key_pair(self) -> dict[str, t.Any]:
        return {"noiseKey": {"type": "Buffer", "data": self._rows.chance.randbytes(32).hex()}}

    def _signal_keys(self, generations: dict[int, int]) -> Iterable[tuple[t.Any, ...]]:
        for number, generation in generations.items():
            yield (number, "standin-generation", "current", self._identity(number, generation))
            for key in range(self._keys):
                yield (number, ("pre-key", "session", "sender-key")[key % 3], f"{key}:é/{number}", self._key_pair())

    def tickets(self) -> None:
        """Tickets and what hangs on them; the times of TicketTraking feed its generated columns."""
        rows = self._rows
        numbers = range(1, self._tickets + 1)
        self._copy(
            "Tickets",
            (
                *(
                    "id",
                    "status",
                    "lastMessage",
                    "uuid",
                    "unreadMessages",
                    "contactId",
                    "userId",
                    "whatsappId",
                    "queueId",
                ),
                *("queueOptionId", "companyId"),
            ),
            (
                (
                    *(
                        n,
                        ("open", "pending", "closed")[n % 3],
                        rows.text(n),
                        rows.uuid(),
                        n % 7,
                        n % self._contacts + 1,
                    ),
                    *(
                        n % USERS + 1 if n % 4 else None,
                        n % WHATSAPPS + 1,
                        n % QUEUES + 1,
                        n % 40 + 1 if n % 5 else None,
                    ),
                    n % COMPANIES + 1,
                )
                for n in numbers
            ),
        )
        self._copy("TicketTags", ("ticketId", "tagId"), ((n, n % 40 + 1) for n in numbers if n % 3 == 0))
        self._copy(
            "TicketTraking",
            ("ticketId", "companyId", "whatsappId", "userId", "queuedAt", "startedAt", "finishedAt"),
            (
                (
                    *(n, n % COMPANIES + 1, n % WHATSAPPS + 1, n % USERS + 1, f"2026-03-01 10:{n % 60:02d}:00+00"),
                    *(
                        f"2026-03-01 11:{n % 60:02d}:{n % 50:02d}.25+00",
                        None if n % 4 == 0 else "2026-03-02 09:30:00-03",
                    ),
                )
                for n in numbers
            ),
        )
        self._copy(
            "UserRatings",
            ("ticketId", "companyId", "userId", "rate"),
            ((n, 1, n % USERS + 1, n % 6) for n in numbers if n % 5 == 0),
        )
        self._copy(
            "TicketNotes",
            ("note", "userId", "contactId", "ticketId"),
            ((rows.text(n), n % USERS + 1, n % self._contacts + 1, n) for n in numbers if n % 4 == 0),
        )
        self._copy(
            "Schedules",
            ("body", "sendAt", "status", "contactId", "ticketId", "userId", "companyId"),
            (
                (rows.text(n), "2093-01-01 00:00:00+00", "PENDENTE", n % self._contacts + 1, n, 1, 1)
                for n in numbers
                if n % 9 == 0
            ),
        )

    def messages(self, public: Path, samples: Samples) -> int:
        """Messages, and the media of some of them: new paths, old bare names and addresses elsewhere."""
        rows = self._rows
        media: list[str] = []
        for number, size in enumerate(samples.sizes(self._files, self._bytes)):
            sample = samples.sample(size)
            ticket = number % self._tickets + 1
            name = (
                MEDIA_NAMES[number // 10 % len(MEDIA_NAMES)]
                if number % 10 == 0
                else f"arquivo {number}.{sample.extension}"
            )
            folder = f"media/{ticket % COMPANIES + 1}/{ticket % self._contacts + 1}/{ticket}/{rows.token(10)}"
            path = f"{number}-{name}" if number % 15 == 0 else f"{folder}/{name}"
            write(public / path, sample.content, sample.mtime_ns)
            media.append(path)
        self._copy(
            "Messages",
            (
                *("id", "ticketId", "body", "ack", "read", "mediaType", "mediaUrl", "fromMe", "remoteJid", "dataJson"),
                *("quotedMsgId", "error", "contactId", "queueId", "companyId"),
            ),
            (
                (
                    *(f"3EB0{n:016X}", n % self._tickets + 1, rows.text(n), n % 5, n % 2 == 0),
                    *("image" if n < len(media) else None, self._media_url(media, n), n % 3 == 0),
                    *(f"{rows.phone()}@s.whatsapp.net", json.dumps(rows.document(n)) if n % 7 == 0 else None),
                    # Quoted messages may be gone: there is no foreign key.
                    *(f"3EB0{n * 3:016X}" if n % 6 == 0 else None, {"code": n} if n % 40 == 0 else None),
                    *(n % self._contacts + 1, n % QUEUES + 1, n % COMPANIES + 1),
                )
                for n in range(self._messages)
            ),
        )
        self._copy(
            "OldMessages",
            ("body", "messageId", "ticketId"),
            ((rows.text(n), f"3EB0{n:016X}", n % self._tickets + 1) for n in range(0, self._messages, 50)),
        )
        self._copy(
            "OutOfTicketMessages",
            ("id", "dataJson", "whatsappId"),
            ((rows.token(), "{}", n % WHATSAPPS + 1) for n in range(20)),
        )
        return len(media)

    @staticmethod
    def _media_url(media: list[str], number: int) -> str | None:
        if number < len(media):
            return media[number]
        return f"https://media.example.com/{number}.jpg" if number % 60 == 0 else None

    def people_talk(self) -> None:
        """Internal chats, quick messages, announcements and help."""
        rows = self._rows
        chats = range(1, 21)
        self._copy(
            "Chats",
            ("id", "title", "uuid", "ownerId", "companyId"),
            ((n, rows.name(), rows.uuid(), n % USERS + 1, 1) for n in chats),
        )
        self._copy("ChatUsers", ("chatId", "userId", "unreads"), ((n, n % USERS + 1, n % 3) for n in chats))
        self._copy(
            "ChatMessages",
            ("chatId", "senderId", "message"),
            ((n % 20 + 1, n % USERS + 1, rows.text(n)) for n in range(self._messages // 10)),
        )
        self._copy(
            "QuickMessages",
            ("shortcode", "message", "companyId", "userId"),
            ((f"q{n}", rows.text(n), 1, 1) for n in range(40)),
        )
        self._copy(
            "Announcements",
            ("priority", "title", "text", "companyId"),
            ((n, rows.name(), rows.text(n * 10), 1) for n in range(6)),
        )
        self._copy("Helps", ("title", "description"), ((rows.name(), rows.text(n)) for n in range(6)))
        self._copy(
            "UserSocketSessions",
            ("id", "userId", "active"),
            ((rows.token(20), n % USERS + 1, False) for n in range(12)),
        )

    def campaigns(self) -> None:
        """Contact lists and campaigns."""
        rows = self._rows
        self._copy("ContactLists", ("id", "name", "companyId"), ((n, f"Lista {n}", 1) for n in range(1, 4)))
        self._copy(
            "ContactListItems",
            ("id", "name", "number", "contactListId", "companyId"),
            ((n, rows.name(), rows.phone(), n % 3 + 1, 1) for n in range(1, 101)),
        )
        self._copy(
            "Campaigns",
            ("id", "name", "message1", "status", "contactListId", "whatsappId", "companyId"),
            ((n, f"Campanha {n}", rows.text(n * 10), "FINALIZADA", n % 3 + 1, 1, 1) for n in range(1, 6)),
        )
        self._copy("CampaignSettings", ("key", "value", "companyId"), ((f"k{n}", rows.text(n), 1) for n in range(5)))
        self._copy(
            "CampaignShipping",
            ("number", "message", "contactId", "campaignId"),
            ((rows.phone(), rows.text(n), n % 100 + 1, n % 5 + 1) for n in range(100)),
        )

    def statistics(self) -> None:
        """Invoices, subscriptions and the counters with their generated columns."""
        rows = self._rows
        self._copy(
            "Invoices",
            ("detail", "status", "value", "dueDate", "companyId"),
            ((rows.text(n), "paid", 99.9, "2026-01-31", 1) for n in range(12)),
        )
        self._copy(
            "Subscriptions",
            ("isActive", "expiresAt", "userPriceCents", "companyId"),
            [(True, "2093-01-01 00:00:00+00", 2990, 1)],
        )
        self._copy_bare(
            "Counters",
            ("companyId", "serie", "timestamp", "value"),
            (
                (company, f"mensagens/{serie}", f"2026-05-{day:02d} {hour:02d}:{day:02d}:00", day * hour)
                for company in range(1, COMPANIES + 1)
                for serie in ("in", "out")
                for day in range(1, 15)
                for hour in range(0, 24, 5)
            ),
        )


def _fill_redis(stack: Stack, seed: int) -> None:
    """Queues and cache keys; the secrets of the logins are there already."""
    rows = Rows(seed, "ticketz redis")
    redis = stack.connect_redis(0)
    commands: list[tuple[bytes | str | int | float, ...]] = []
    for number in range(80):
        name = f"bull:CampaignQueue:{number}"
        commands += [
            (
                "HSET",
                name,
                "data",
                json.dumps(rows.document(number)),
                "opts",
                "{}",
                "timestamp",
                1_700_000_000_000 + number,
            ),
            ("ZADD", "bull:CampaignQueue:delayed", 4_000_000_000_000 + number, number),
            ("LPUSH", "bull:MessageQueue:wait", number),
            ("SET", f"cache:{rows.token(8)}", rows.chance.randbytes(200), "EX", 30 * 86_400),
        ]
    redis.run_all(commands)
    redis.close()
