# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._database import Role
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_postgresql import check, schema_version
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_servers import (
    Live,
    Server,
    Session,
    Silent,
)
from ansible_collections.crm.continuity.tests.unit.fakes import source

# PostgreSQL 16.11 with vector 0.8.1, sorted by en_US.utf8 of version 2.41, owned by chatwoot.
(ENTRY,) = source()["databases"]
FACTS = {name: ENTRY[name] for name in ("collate", "ctype", "locale_provider", "locale", "encoding", "extensions")}
LIVE = Live({**FACTS, "schema_version": ENTRY["schema_version"]}, tables=3, rows=10, sessions=())
SERVER = Server(
    name="container crm-postgres-1",
    version=160011,
    tools=160011,
    extensions={"plpgsql": frozenset({"1.0"}), "vector": frozenset({"0.8.0", "0.8.1"})},
    trusted={"plpgsql": True, "vector": False},
    roles=frozenset({"postgres", "chatwoot"}),
    role=Role("postgres", superuser=True, create_database=True),
    locales=frozenset({"C", "en_US.utf8"}),
    collation_version="2.41",
    data_directory="/var/lib/postgresql/data",
    live=LIVE,
)


def found(server=SERVER, *, globals_=True, own=("192.0.2.7",), **entry):
    return check({**ENTRY, **entry}, server, own, globals_=globals_)


def not_fine(*arguments, **options):
    return [(entry.check, entry.severity) for entry in found(*arguments, **options) if entry.severity != "ok"]


def live(**more):
    facts = {name: more.pop(name) for name in tuple(more) if name in (*FACTS, "schema_version")}
    return replace(SERVER, live=replace(LIVE, facts={**LIVE.facts, **facts}, **more))


def test_a_server_like_the_one_of_the_backup_is_fine():
    assert not_fine() == []
    assert {entry.check for entry in found()} == {"postgresql", "extensions", "collation", "roles"}


def test_a_server_without_the_database_is_fine():
    assert not_fine(replace(SERVER, live=None)) == []


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        pytest.param(replace(SERVER, version=150018, tools=150018), [("postgresql", "refuse")], id="older major"),
        pytest.param(replace(SERVER, version=170002, tools=170002), [], id="newer major"),
        pytest.param(replace(SERVER, version=160004, tools=160004), [("postgresql", "warn")], id="older minor"),
        pytest.param(replace(SERVER, version=160012, tools=160012), [], id="newer minor"),
        pytest.param(replace(SERVER, tools=150018), [("postgresql", "refuse")], id="older tools"),
        pytest.param(replace(SERVER, tools=170002), [("postgresql", "warn")], id="newer tools"),
        pytest.param(replace(SERVER, tools=None), [], id="tools that say nothing"),
        pytest.param(
            replace(SERVER, extensions={"plpgsql": frozenset({"1.0"})}), [("extensions", "refuse")], id="no vector"
        ),
        pytest.param(
            replace(SERVER, extensions={**SERVER.extensions, "vector": frozenset({"0.7.0"})}),
            [("extensions", "warn")],
            id="other vector",
        ),
        pytest.param(
            replace(SERVER, role=Role("chatwoot", superuser=False, create_database=True)),
            [("extensions", "refuse")],
            id="no superuser for vector",
        ),
        pytest.param(
            replace(SERVER, role=Role("chatwoot", superuser=False, create_database=False), trusted={"vector": True}),
            [("extensions", "refuse"), ("rights", "refuse")],
            id="no right to create databases",
        ),
        pytest.param(replace(SERVER, locales=frozenset({"C", "pt_BR.utf8"})), [("collation", "warn")], id="no locale"),
        pytest.param(replace(SERVER, locales=frozenset({"en_US.UTF-8"})), [], id="locale in other letters"),
        pytest.param(replace(SERVER, collation_version="2.36"), [("collation", "warn")], id="collation version"),
        pytest.param(live(collate="C", ctype="C"), [("collation", "warn")], id="live collation"),
        pytest.param(live(locale_provider="icu", locale="en-US"), [("collation", "warn")], id="live provider"),
        pytest.param(live(encoding="SQL_ASCII"), [("encoding", "warn")], id="live encoding"),
    ],
)
def test_what_a_server_lacks_or_does_otherwise_is_found(server, expected):
    assert not_fine(server) == expected


def test_a_dump_may_go_into_a_newer_major_version_and_that_is_said():
    first = found(replace(SERVER, version=170002, tools=170002))[0]

    assert first.message == (
        "Database chatwoot: the dump of PostgreSQL 16.11 is restored into the newer 17.2 of container crm-postgres-1, "
        "which is supported."
    )


def test_an_owner_that_is_not_there_comes_with_the_roles_of_the_backup():
    stranger = replace(SERVER, roles=frozenset({"postgres"}))

    assert not_fine(stranger) == []
    assert not_fine(stranger, globals_=False) == [("roles", "warn")]


@pytest.mark.parametrize(
    ("session", "foreign"),
    [
        pytest.param(Session("chatwoot", "puma", "192.0.2.7", 5), False, id="the application"),
        pytest.param(Session("bob", "DBeaver", "203.0.113.9", 1), True, id="somebody's tool"),
        pytest.param(Session("postgres", "crm.continuity tool 1", "203.0.113.9", 1), False, id="ourselves"),
        pytest.param(Session("postgres", "psql", "", 1), True, id="on the socket"),
        pytest.param(Session("", "", "", 1), False, id="a process of the server"),
    ],
)
def test_who_else_is_connected_is_named(session, foreign):
    words = [entry.message for entry in found(live(sessions=(session,))) if entry.check == "sessions"]

    assert bool(words) is foreign
    assert all(session.user in line and session.application in line for line in words)


@pytest.mark.parametrize(("runs", "severity"), [(False, "warn"), (True, "refuse")])
def test_what_cannot_be_asked_is_never_fine(runs, severity):
    assert not_fine(Silent("nobody answers", runs=runs)) == [("postgresql", severity)]


@pytest.mark.parametrize(
    ("now", "same_image", "severity"),
    [
        ("20260301000000", False, "ok"),
        ("20260401000000", False, "warn"),
        ("20260401000000", True, "warn"),
        ("20260201000000", False, "refuse"),
        ("20260201000000", None, "refuse"),
        ("20260201000000", True, "ok"),
    ],
)
def test_the_schema_of_the_application_is_compared(now, same_image, severity):
    (finding,) = schema_version(ENTRY, live(schema_version=now), same_image=same_image)

    assert finding.severity == severity


@pytest.mark.parametrize("server", [Silent("x"), replace(SERVER, live=None), live(schema_version=None)])
def test_a_schema_that_is_not_known_is_not_compared(server):
    assert schema_version(ENTRY, server, same_image=False) == []
