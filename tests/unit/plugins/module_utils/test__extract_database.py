# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _extract_database
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.plugins.module_utils._extract_database import SUFFIX, look_at, make, remove
from ansible_collections.crm.continuity.tests.unit.database_fakes import location

MADE = "Made by crm.continuity to look at: "


class Server:
    """A server with databases and what is said about each."""

    def __init__(self, comments, refuses=()):
        self.comments = comments
        self.refuses = refuses
        self.said = []
        self.entered = []

    def connect(self, connection, *_more):
        if connection.dbname in self.refuses:
            raise DatabaseError(f"{connection.dbname} is closed")
        self.entered.append(connection.dbname)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def execute(self, sql, parameters=None):
        self.said.append(sql)
        return [(self.comments[name],) for name in parameters or () if name in self.comments]

    def drop_database(self, name):
        del self.comments[name]


@pytest.fixture
def server(monkeypatch):
    server = Server({"taken__crm_look": None, "old__crm_look": f"{MADE}crm of backup 1"})
    monkeypatch.setattr(_extract_database, "connect", server.connect)
    return server


@pytest.mark.parametrize(
    ("name", "origin", "expected"),
    [
        ("new", "crm of backup 1", ("new__crm_look", False, False)),
        ("old", "crm of backup 1", ("old__crm_look", True, True)),
        ("old__crm_look", "crm of backup 2", ("old__crm_look", True, False)),
    ],
)
def test_it_is_known_whether_a_database_is_there_and_of_what(server, name, origin, expected):
    look = look_at(location(), name, origin)

    assert (look.name, look.exists, look.current) == expected
    assert look.name.endswith(SUFFIX)


def test_a_database_that_was_not_made_to_look_at_is_left_alone(server):
    with pytest.raises(DatabaseError, match="taken__crm_look is there already and was not made to look at"):
        look_at(location(), "taken", "x")


@pytest.mark.parametrize("name", ["", "Upper", "a-b", 'a"; DROP', "x" * 54])
def test_a_name_that_cannot_be_is_refused(server, name):
    with pytest.raises(DatabaseError, match="cannot be the name of a database to look at"):
        look_at(location(), name, "x")


def test_a_server_without_its_maintenance_database_is_reached_by_its_template(server):
    server.refuses = ("postgres",)

    look_at(location(), "new", "x")

    assert server.entered == ["template1"]


def test_a_server_that_refuses_is_an_error_with_its_words(server):
    server.refuses = ("postgres", "template1")

    with pytest.raises(DatabaseError, match="postgres is closed"):
        look_at(location(), "new", "x")


def test_it_is_removed(server):
    remove(look_at(location(), "old", ""), location())

    assert "old__crm_look" not in server.comments


def test_the_whole_dump_is_restored_strictly_and_marked(server, monkeypatch):
    asked = []

    monkeypatch.setattr(_extract_database, "restore_plan", lambda request, place: asked.append(request) or "plan")
    monkeypatch.setattr(_extract_database, "restore_apply", lambda wanted, place: SimpleNamespace(rows={"public.a": 2}))

    rows = make(
        look_at(location(), "new", "crm of it's backup"), location(), "/x.dump", "abc", {"public.a": 2}, (), None
    )

    assert rows == {"public.a": 2}
    (request,) = asked
    assert (request.database, request.path, request.sha256, request.rows) == (
        "new__crm_look",
        "/x.dump",
        "abc",
        {"public.a": 2},
    )
    assert request.privileges is False
    assert server.said[-1] == f"COMMENT ON DATABASE \"new__crm_look\" IS E'{MADE}crm of it''s backup'"
