# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a PostgreSQL server can take a dump, and what will be different there. Only compares.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._restore_preflight_findings import OK, REFUSE, WARN, Finding
from ._restore_preflight_servers import Server, foreign

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ._restore_preflight_servers import Silent

# Locales that every server has.
EVERYWHERE = ("C", "POSIX", "C.UTF-8", "C.utf8", "ucs_basic")


def check(entry: Mapping[str, t.Any], server: Server | Silent, own: Sequence[str], *, globals_: bool) -> list[Finding]:
    """Compare what the backup says of a database with its server.

    ``own`` are the addresses of the stack's containers; ``globals_`` tells whether the backup has the server's roles.
    """
    subject = entry["name"]
    if not isinstance(server, Server):
        severity = REFUSE if server.runs else WARN
        later = "" if server.runs else " It is asked once it runs, before anything is exchanged."
        return [Finding("postgresql", severity, subject, f"Database {subject}: {server.reason}.{later}")]
    # An entry without them is of a server that did not answer in detail when the backup was taken.
    return [
        *_version(entry, server),
        *_extensions(entry, server),
        *_collation(entry, server),
        *_encoding(entry, server),
        *_roles(entry, server, globals_=globals_),
        *_rights(entry, server),
        *_sessions(entry, server, own),
    ]


def schema_version(entry: Mapping[str, t.Any], server: Server | Silent, *, same_image: bool | None) -> list[Finding]:
    """Compare the version of the application's schema with the one that is there.

    ``same_image`` tells whether the application's image is the one of the backup; None where that is not known.
    """
    before = entry.get("schema_version")
    live = server.live if isinstance(server, Server) else None
    now = live.facts.get("schema_version") if live is not None else None
    if before is None or now is None:
        return []
    subject = entry["name"]
    if now == before:
        return [Finding("schema_version", OK, subject, f"Database {subject} has the schema of the backup ({before}).")]
    if now > before:
        again = (
            "the application brings it up to date again when it starts"
            if not same_image
            else "and so is the application: it is the image of the backup"
        )
        message = (
            f"Database {subject} has the newer schema {now}, and the backup {before}: {again}. What migrations did to "
            "the data by hand has to be done again."
        )
        return [Finding("schema_version", WARN, subject, message)]
    message = f"The backup of database {subject} has the newer schema {before}, and what is there {now}"
    if same_image:
        return [Finding("schema_version", OK, subject, f"{message}: the application is the image of the backup.")]
    message += (
        ": the application that is there may not know it, and fails or damages the data. Start the image of the backup "
        "(images=pin)."
    )
    return [Finding("schema_version", REFUSE, subject, message)]


def _version(entry: Mapping[str, t.Any], server: Server) -> Iterator[Finding]:
    before, subject = entry["server_version_num"], entry["name"]
    was, is_ = _number(before), _number(server.version)
    if before // 10000 > server.version // 10000:
        yield Finding(
            "postgresql",
            REFUSE,
            subject,
            f"Database {subject} is of PostgreSQL {was}, and {server.name} runs {is_}: a dump goes into the same major "
            f"version or a newer one, never into an older. Start PostgreSQL {before // 10000} there.",
        )
        return
    if before // 10000 < server.version // 10000:
        words = f"the dump of PostgreSQL {was} is restored into the newer {is_} of {server.name}, which is supported"
        yield Finding("postgresql", OK, subject, f"Database {subject}: {words}.")
    elif before > server.version:
        yield Finding(
            "postgresql",
            WARN,
            subject,
            f"Database {subject} is of PostgreSQL {was}, and {server.name} runs the older {is_}: it lacks what was "
            "mended in between. Update it to the minor version of the backup or newer.",
        )
    else:
        yield Finding("postgresql", OK, subject, f"Database {subject}: {server.name} runs PostgreSQL {is_}.")
    if server.tools is not None and server.tools < before and server.tools // 10000 < before // 10000:
        yield Finding(
            "postgresql",
            REFUSE,
            subject,
            f"Database {subject}: pg_restore of {server.name} is {_number(server.tools)} and older than the server "
            f"that was dumped ({was}), so it may not read the dump. Install the programs of that version.",
        )
    elif server.tools is not None and server.tools // 10000 != server.version // 10000:
        yield Finding(
            "postgresql",
            WARN,
            subject,
            f"Database {subject}: pg_restore of {server.name} is {_number(server.tools)}, and the server {is_}: they "
            "are not of one version, and errors may be said in other words.",
        )


def _extensions(entry: Mapping[str, t.Any], server: Server) -> Iterator[Finding]:
    subject, fine = entry["name"], True
    for name, version in sorted(entry["extensions"].items()):
        available = server.extensions.get(name)
        if available is None:
            fine = False
            yield Finding(
                "extensions",
                REFUSE,
                subject,
                f"Database {subject} needs the extension {name} {version}, and {server.name} does not have it: its "
                "tables and indexes cannot be made. Use the image of the backup, or install its package there.",
            )
        elif version not in available:
            fine = False
            yield Finding(
                "extensions",
                WARN,
                subject,
                f"Database {subject} had the extension {name} {version}, and {server.name} has "
                f"{', '.join(sorted(available))}: the default of there is installed, and may lack functions or sort "
                "otherwise.",
            )
        if available is not None and not (server.role.superuser or server.trusted.get(name)):
            fine = False
            yield Finding(
                "extensions",
                REFUSE,
                subject,
                f"Database {subject} needs the extension {name}, which only a superuser may create, and "
                f"{server.role.name} is none. Give a superuser of {server.name}.",
            )
    if fine:
        names = ", ".join(sorted(entry["extensions"])) or "none"
        yield Finding("extensions", OK, subject, f"Database {subject}: {server.name} has its extensions ({names}).")


def _collation(entry: Mapping[str, t.Any], server: Server) -> Iterator[Finding]:
    subject, locale = entry["name"], entry["collate"]
    if (
        entry["locale_provider"] == "libc"
        and locale not in EVERYWHERE
        and server.locales
        and not any(_same_locale(locale, name) for name in server.locales)
    ):
        yield Finding(
            "collation",
            WARN,
            subject,
            f"Database {subject} sorts by {locale}, which {server.name} does not have: it is made with the locale of "
            "there, texts sort otherwise and partitions by text may refuse rows. Use an image with that locale.",
        )
        return
    before, now = entry["collation_version"], server.collation_version
    if before and now and before != now:
        yield Finding(
            "collation",
            WARN,
            subject,
            f"Database {subject} sorts by {locale} of version {before}, and {server.name} has version {now}: indexes "
            "are built anew and are sound, but lists may be in another order and partitions by text may refuse rows.",
        )
        return
    if server.live is not None:
        facts = server.live.facts
        kept = ("collate", "ctype", "locale_provider", "locale")
        different = [name for name in kept if (facts.get(name) or "") != (entry.get(name) or "")]
        if different:
            words = ", ".join(f"{name} {facts.get(name)} instead of {entry.get(name)}" for name in different)
            yield Finding(
                "collation",
                WARN,
                subject,
                f"The database {subject} that is there has {words}: after the restore it has those of the backup, and "
                "texts sort otherwise than today.",
            )
            return
    yield Finding("collation", OK, subject, f"Database {subject} sorts as in the backup ({locale}).")


def _same_locale(left: str, right: str) -> bool:
    # en_US.UTF-8 and en_US.utf8 are one.
    return left.lower().replace("-", "") == right.lower().replace("-", "")


def _encoding(entry: Mapping[str, t.Any], server: Server) -> Iterator[Finding]:
    subject = entry["name"]
    if server.live is not None and server.live.facts["encoding"] != entry["encoding"]:
        yield Finding(
            "encoding",
            WARN,
            subject,
            f"The database {subject} that is there is in {server.live.facts['encoding']}, and the backup in "
            f"{entry['encoding']}: after the restore it has that of the backup. Check what else writes to it.",
        )


def _roles(entry: Mapping[str, t.Any], server: Server, *, globals_: bool) -> Iterator[Finding]:
    subject, owner = entry["name"], entry["owner"]
    if owner in server.roles:
        yield Finding("roles", OK, subject, f"Database {subject}: its owner {owner} is a role of {server.name}.")
    elif globals_:
        message = f"Database {subject}: its owner {owner} is not there, and is restored with the roles of the backup."
        yield Finding("roles", OK, subject, message)
    else:
        yield Finding(
            "roles",
            WARN,
            subject,
            f"Database {subject} belongs to {owner}, which {server.name} does not have, and the backup holds no roles: "
            f"it will belong to {server.role.name}. Create the role first if the application connects with it.",
        )


def _rights(entry: Mapping[str, t.Any], server: Server) -> Iterator[Finding]:
    role, subject = server.role, entry["name"]
    if not (role.superuser or role.create_database):
        yield Finding(
            "rights",
            REFUSE,
            subject,
            f"User {role.name} may not create databases in {server.name}, which a restore beside the live database "
            f"needs. Use a superuser, or: ALTER ROLE {role.name} CREATEDB.",
        )


def _sessions(entry: Mapping[str, t.Any], server: Server, own: Sequence[str]) -> Iterator[Finding]:
    if server.live is None:
        return
    for session in foreign(server.live, own):
        who = f"{session.application or 'a client'} as {session.user or 'nobody'}"
        where = f" from {session.address}" if session.address else " on the server's own socket"
        yield Finding(
            "sessions",
            WARN,
            entry["name"],
            f"Database {entry['name']} is used by {who}{where} ({session.count} sessions), which is not of the stack: "
            "it is cut off at the cutover, and what it writes until then is lost. Tell whoever that is.",
        )


def _number(version: int) -> str:
    return f"{version // 10000}.{version % 10000}"
