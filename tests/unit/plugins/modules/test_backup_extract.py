# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.modules import backup_extract
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container


class Planned:
    def carry_out(self, *, act):
        return {"changed": True, "acted": act}


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs the module as Ansible would, its result, and the requests that it made."""
    requests = []
    engine = FakeEngine(
        [container("db", "postgres:15", env={"POSTGRES_PASSWORD": "x", "POSTGRES_USER": "boss"}), container("web", "x")]
    )
    monkeypatch.setattr(backup_extract, "connect", lambda *_arguments: engine)

    def planned(request, engine, locate):
        requests.append((request, locate))
        if request.volume == "bad":
            raise StoreError("bad volume")
        return Planned()

    monkeypatch.setattr(backup_extract, "plan", planned)

    def run_module(**params):
        with patch_module_args({"stack": "crm", **params}), pytest.raises(SystemExit):
            backup_extract.main()
        return json.loads(capsys.readouterr().out)

    return run_module, requests


def test_the_task_becomes_a_request(run):
    run_module, requests = run

    result = run_module(volume="v", path="a/b", to="/x", replace=True, backup_root="/root", id="1")

    assert result["acted"] is True
    ((request, _locate),) = requests
    assert (request.root, request.stack, request.id, request.volume, request.path, request.to, request.replace) == (
        "/root",
        "crm",
        "1",
        "v",
        "a/b",
        "/x",
        True,
    )


def test_check_mode_does_not_act(run):
    assert run[0](volume="v", path="a", live=True, _ansible_check_mode=True)["acted"] is False


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"volume": "v"}, "Give one of to, to_database and live, and none was."),
        ({"volume": "v", "to": "/x", "live": True}, "and not to and live."),
        ({"volume": "v", "database": "d", "to": "/x"}, "mutually exclusive"),
        ({"volume": "v", "table": "t", "to": "/x"}, "mutually exclusive"),
        ({"volume": "v", "to_database": "x"}, "mutually exclusive"),
        ({"to": "/x"}, "one of the following is required: volume, database"),
        ({"database": "d", "to": "/x", "state": "absent"}, "to_database"),
        ({"volume": "bad", "to": "/x"}, "bad volume"),
    ],
)
def test_what_cannot_be_meant_is_refused(run, params, words):
    result = run[0](**params)

    assert result["failed"]
    assert words in result["msg"]


def asked_for(run, facts, monkeypatch, **params):
    run_module, requests = run
    found = []
    monkeypatch.setattr(backup_extract, "in_container", lambda engine, name, **more: found.append((name, more)))
    run_module(database="d", table="t", to="/x", **params)
    requests[0][1](facts)
    return found


def test_the_server_is_that_of_the_service_in_the_backup(run, monkeypatch):
    assert asked_for(run, {"service": "db"}, monkeypatch) == [("crm-db-1", {"user": None, "password": None})]


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"service": "gone"}, "has no service gone here"),
        ({"service": None}, "has no service that runs the database d here"),
    ],
)
def test_a_server_that_is_not_here_is_asked_for(run, monkeypatch, facts, words):
    with pytest.raises(backup_extract.StackError, match=words):
        asked_for(run, facts, monkeypatch)


def test_another_server_may_be_named(run, monkeypatch):
    found = []
    monkeypatch.setattr(
        backup_extract, "locate", lambda options: found.append((options["container"], options["database"]))
    )

    asked_for(run, {"service": None}, monkeypatch, container="other")

    assert found == [("other", None)]
