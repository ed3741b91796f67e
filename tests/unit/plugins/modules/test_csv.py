# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import database_load, database_unload, sequence_sync
from ansible_collections.crm.continuity.tests.unit.fakes import shipped

NOBODY = {"host": "127.0.0.1", "port": 1, "user": "crm", "password": "s3cret", "shipped_profiles": shipped()}


@pytest.fixture
def run(capsys):
    """Return a function that runs a module as Ansible would and returns its result."""

    def run_module(module, **params):
        with patch_module_args(params), pytest.raises(SystemExit):
            module.main()
        return json.loads(capsys.readouterr().out)

    return run_module


@pytest.mark.parametrize("module", [database_load, database_unload, sequence_sync])
def test_an_unreachable_server_is_reported_without_the_password(run, module, tmp_path):
    paths = {} if module is sequence_sync else {"path": str(tmp_path / "x")}

    result = run(module, **NOBODY, **paths)

    assert result["failed"]
    assert "No PostgreSQL answers at 127.0.0.1:1 (user crm" in result["msg"]
    assert "s3cret" not in result["msg"]


@pytest.mark.parametrize("module", [database_load, database_unload, sequence_sync])
def test_an_unknown_profile_is_named(run, module):
    paths = {} if module is sequence_sync else {"path": "/x"}

    result = run(
        module, **NOBODY, **paths, profile="helpdesk", **({"tables": "classic"} if module is database_unload else {})
    )

    assert "There is no profile helpdesk. Known here are chatwoot, evolution, ticketz" in result["msg"]


def test_classic_tables_are_known_to_a_profile_only(run):
    assert (
        "tables is classic but all of the following are missing: profile"
        in run(database_unload, **NOBODY, path="/x", tables="classic")["msg"]
    )
    assert (
        "Profile chatwoot names no classic tables"
        in run(database_unload, **NOBODY, path="/x", tables="classic", profile="chatwoot")["msg"]
    )


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        pytest.param({"like": "("}, "is not a regular expression", id="expression"),
        pytest.param({"where": {"account": "x"}}, "no group named x", id="group"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(run, rule, words):
    rules = [{"name": "n", "like": "a", "table": "t", "column": "c", **rule}]

    assert words in run(sequence_sync, **NOBODY, rules=rules)["msg"]
