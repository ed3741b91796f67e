# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _stack_info
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.plugins.module_utils._stack_info import LIST
from ansible_collections.crm.continuity.plugins.module_utils._stack_other_databases import (
    describe_in_detail,
    with_unnamed,
)
from ansible_collections.crm.continuity.tests.unit.backup_fakes import FakeDatabase, crm_host

OPEN = [(name, True) for name in ("chatwoot", "evolution", "postgres", "typebot")]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm", whose server also has a database of typebot, and an empty one called postgres."""
    host = crm_host(tmp_path, monkeypatch)
    host.server.answers[LIST] = OPEN
    host.server.rows.update(typebot={"public.User": 3}, postgres={})
    inner = host.server.connect

    class Session(FakeDatabase):
        def is_empty(self):
            return not self._server.rows[self._name]

    def connect(connection, application=""):
        inner(connection, application)
        return Session(host.server, connection.dbname)

    monkeypatch.setattr(_stack_info, "connect", connect)
    return host


def stack_of(host, **more):
    return find_one(host, host.profiles, Request("crm", **more))


def names(stack):
    return [(database.name, database.profile) for database in stack.databases]


def test_a_database_that_no_profile_names_is_found_on_the_server(host):
    stack = with_unnamed(host, stack_of(host))

    assert names(stack) == [("chatwoot", "chatwoot"), ("evolution", "evolution"), ("typebot", None)]
    assert host.server.sessions == 0


def test_it_is_dumped_as_the_server_has_it_and_without_what_belongs_to_another(host):
    evolution = next(entry for entry in stack_of(host).databases if entry.name == "evolution")
    typebot = with_unnamed(host, stack_of(host)).databases[-1]

    assert (typebot.container, typebot.port) == (evolution.container, 5432)
    assert (typebot.schema, typebot.rule.repair, typebot.rule.schema_version) == (None, (), None)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("chatwoot__crm_20261121020000123456", False),
        ("chatwoot__crm_old_20261121020000123456", False),
        ("chatwoot__crm_previous_20261121020000123456", False),
        ("my__crm_old", True),
    ],
)
def test_what_a_restore_keeps_is_no_database_of_the_stack(host, name, found):
    host.server.answers[LIST] = [*OPEN, (name, True)]
    host.server.rows[name] = {"public.accounts": 1}

    assert ((name, None) in names(with_unnamed(host, stack_of(host)))) is found


def test_one_that_is_excluded_is_a_warning(host):
    stack = with_unnamed(host, stack_of(host), exclude=("typebot",))

    assert ("typebot", None) not in names(stack)
    assert stack.warnings == ("Database typebot of container crm-postgres-1 is not covered: it was excluded.",)


def test_one_that_lets_nobody_in_is_a_warning(host):
    host.server.answers[LIST] = [*OPEN[:2], ("archive", False)]

    stack = with_unnamed(host, stack_of(host))

    assert stack.warnings == ("Database archive of container crm-postgres-1 is not covered: it allows no connections.",)


def test_one_that_cannot_be_looked_into_is_an_error_with_what_to_do(host):
    host.server.refuses["typebot"] = "PostgreSQL refused user evolution."

    with pytest.raises(DatabaseError) as caught:
        with_unnamed(host, stack_of(host))

    assert "PostgreSQL refused user evolution. No profile names this database" in str(caught.value)
    assert "name it in exclude to do without it" in str(caught.value)
    assert caught.value.details == {"database": "typebot"}


def test_a_server_that_does_not_answer_is_an_error(host):
    host.change("postgres", state="paused")

    with pytest.raises(DatabaseError, match="Container crm-postgres-1 is paused"):
        with_unnamed(host, stack_of(host))


def test_the_server_of_another_machine_is_not_asked(host):
    elsewhere = {"POSTGRES_HOST": "db.example.com", "POSTGRES_DATABASE": "chatwoot"}
    host.change("web", env=elsewhere)
    host.change("evolution", env={"DATABASE_CONNECTION_URI": "postgresql://u:p@db.example.com/evolution"})

    assert len(with_unnamed(host, stack_of(host)).databases) == 2
    assert host.server.connections == []


def test_the_server_of_another_stack_is_not_asked(host):
    host.change("postgres", labels={**host.by_id["postgres"].labels, "com.docker.compose.project": "shared"})

    assert len(with_unnamed(host, stack_of(host)).databases) == 2
    assert host.server.connections == []


# For stack_info


def test_the_description_holds_it_too(host):
    described = describe_in_detail(host, stack_of(host))

    typebot = described["databases"][-1]
    assert (typebot["name"], typebot["profile"], typebot["covered"]) == ("typebot", None, True)
    assert typebot["server_version"] == "17.2"
    json.dumps(described)


def test_a_server_that_does_not_say_what_it_holds_gets_an_error_and_the_rest_is_described(host):
    host.server.refuses["typebot"] = "PostgreSQL refused user evolution."

    chatwoot, evolution = describe_in_detail(host, stack_of(host))["databases"]

    assert "name it in exclude" in chatwoot["error"]
    assert "error" not in evolution
    assert chatwoot["server_version"] == "17.2"
