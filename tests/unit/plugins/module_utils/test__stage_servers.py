# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _stage_servers
from ansible_collections.crm.continuity.plugins.module_utils._database_options import access
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._restore_record import StagedDatabase
from ansible_collections.crm.continuity.plugins.module_utils._stage_servers import Access, Servers, locate
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container
from ansible_collections.crm.continuity.tests.unit.restore_fakes import OWN, FakeServer, Location

CHATWOOT = {"chatwoot": 100, "chatwoot__crm_staged_1": 200}
EVOLUTION = {"evolution": 300, "evolution__crm_staged_1": 400}
LIVE = {"chatwoot": 200, "chatwoot__crm_previous_1": 100}


def database(name, oid, **more):
    facts = {"service": "postgres", "host": "postgres", "port": 5432, "rows": 7, **more}
    former = facts.pop("previous", f"{name}__crm_previous_1")
    return StagedDatabase(name, f"{name}__crm_staged_1", former, oid, **facts)


@pytest.fixture
def server(monkeypatch):
    """Return a server in a container of the stack; all sessions are with it."""
    made = FakeServer(FakeEngine([container("postgres", "x")]), **CHATWOOT, **EVOLUTION)
    monkeypatch.setattr(_stage_servers, "in_container", lambda *_a, **_k: Location())
    monkeypatch.setattr(_stage_servers, "on_host", lambda **_k: Location())
    monkeypatch.setattr(_stage_servers, "connect", made.connect)
    monkeypatch.setattr(_stage_servers, "ANSWERS", 0.0)
    return made


def servers(server, *databases):
    return Servers(server.engine, "crm", databases or (database("chatwoot", 200), database("evolution", 400)), Access())


def live(server):
    return {name: oid for name, oid in server.databases.items() if "__" not in name and name not in OWN}


def renames(server):
    return [call for call in server.calls if call[0] == "rename"]


# Forward and back


def test_all_databases_of_a_server_take_their_place_in_one_transaction_and_give_it_back(server):
    before = dict(server.databases)
    with servers(server) as sessions:
        sessions.check_forward()
        sessions.forward()
        assert live(server) == {"chatwoot": 200, "evolution": 400}
        sessions.check_back()

        sessions.back()
        assert server.databases == before

    assert len(renames(server)) == 2
    assert server.sessions == 0


def test_each_direction_twice_is_as_good_as_once(server):
    with servers(server) as sessions:
        for _time in range(2):
            sessions.forward()
        assert live(server) == {"chatwoot": 200, "evolution": 400}
        for _time in range(2):
            sessions.back()

    assert live(server) == {"chatwoot": 100, "evolution": 300}
    assert len(renames(server)) == 2


def test_what_comes_into_an_empty_server_leaves_it_empty_on_the_way_back(server):
    del server.databases["chatwoot"]
    with servers(server, database("chatwoot", 200, previous=None)) as sessions:
        sessions.check_forward()
        sessions.forward()
        sessions.check_back()
        assert live(server)["chatwoot"] == 200

        sessions.back()

    assert "chatwoot" not in server.databases


def test_servers_elsewhere_are_asked_on_their_own(server):
    elsewhere = database("evolution", 400, service=None, host="db.example.org")
    with servers(server, database("chatwoot", 200), elsewhere) as sessions:
        sessions.forward()

        assert [found.id for found in sessions.containers()] == ["postgres"]

    assert len(renames(server)) == 2
    assert live(server) == {"chatwoot": 200, "evolution": 400}


# What could not succeed


@pytest.mark.parametrize(
    ("names", "more", "words"),
    [
        ({"chatwoot": 100}, {}, "is not there any more"),
        # Somebody has restored another one under that very name.
        ({**CHATWOOT, "chatwoot__crm_staged_1": 201}, {}, "is not there any more"),
        ({"chatwoot__crm_staged_1": 200}, {}, "chatwoot has been removed since"),
        (CHATWOOT, {"previous": None}, "chatwoot was created since"),
    ],
)
def test_what_has_changed_since_it_was_staged_is_refused(server, names, more, words):
    server.databases = {**OWN, **names}

    with servers(server, database("chatwoot", 200, **more)) as sessions, pytest.raises(DatabaseError, match=words):
        sessions.check_forward()


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({**LIVE, "chatwoot": 201}, "is not the one that this restore has put there"),
        ({"chatwoot": 200}, "cannot be brought back"),
    ],
)
def test_what_cannot_be_brought_back_is_refused(server, names, words):
    server.databases = {**OWN, **names}

    with servers(server, database("chatwoot", 200)) as sessions, pytest.raises(DatabaseError, match=words):
        sessions.check_back()


# Removing what waits


def test_only_what_waits_is_removed(server):
    server.databases = {**OWN, **LIVE, **EVOLUTION, "chatwoot_backup": 9}

    with servers(server) as sessions:
        sessions.discard()
        sessions.discard()

    assert server.databases == {**OWN, "chatwoot": 200, "evolution": 300, "chatwoot_backup": 9}


# Sessions


def test_a_server_that_is_starting_is_waited_for(server, monkeypatch):
    tries = iter([False, False, True])
    monkeypatch.setattr(_stage_servers, "PAUSE", 0.0)

    def connect(name):
        if next(tries):
            return server.connect(name)
        raise DatabaseError("the database system is starting up")

    monkeypatch.setattr(_stage_servers, "connect", connect)

    # Each attempt tries both maintenance databases.
    with servers(server) as sessions:
        sessions.connect(60)
        assert server.sessions == 1


def test_one_that_does_not_come_is_an_error(server):
    server.engine.stop("postgres", 1)

    with servers(server) as sessions, pytest.raises(DatabaseError, match="does not answer"):
        sessions.connect(0.01)


def test_a_database_that_is_to_be_renamed_is_not_the_one_to_be_connected_to(server):
    with servers(server, database("postgres", 5)) as sessions:
        sessions.connect()

    assert server.calls == [("connect", "template1")]


def test_a_service_without_container_is_named(server):
    with pytest.raises(DatabaseError, match="no container of service db, whose PostgreSQL holds chatwoot"):
        locate(server.engine, "crm", database("chatwoot", 200, service="db"), Access())


def test_options_that_are_empty_are_not_given():
    options = {"database_user": "root", "database_password": "", "sslmode": None, "sslrootcert": None}

    assert access(options) == Access("root", None, None, None)
