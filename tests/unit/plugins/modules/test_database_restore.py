# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import database_restore


@pytest.fixture
def run(capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with patch_module_args(params), pytest.raises(SystemExit):
            database_restore.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_a_server_has_to_be_named(run):
    result = run(path="/x")

    assert result["failed"]
    assert "one of the following is required: container, host" in result["msg"]


def test_only_one_server_can_be_named(run):
    assert "mutually exclusive: container|host" in run(path="/x", container="a", host="b")["msg"]


def test_an_unreachable_server_is_reported_without_the_password(run, tmp_path):
    result = run(path=str(tmp_path / "x"), host="127.0.0.1", port=1, user="crm", password="s3cret")

    assert result["failed"]
    assert "No PostgreSQL answers at 127.0.0.1:1 (user crm" in result["msg"]
    assert "s3cret" not in json.dumps(result["msg"])


def test_a_repair_needs_its_statement(run):
    result = run(path="/x", host="127.0.0.1", repair=[{"name": "broken"}])

    assert "missing required arguments: sql found in repair" in result["msg"]
