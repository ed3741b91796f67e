# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.modules import session_reset
from ansible_collections.crm.continuity.tests.unit.fakes import container, shipped
from ansible_collections.crm.continuity.tests.unit.redis_fakes import RedisEngine

KEYS = {"6": {"evo:instance:a", "evo:other"}}
ENV = {
    "CACHE_REDIS_ENABLED": "true",
    "CACHE_REDIS_SAVE_INSTANCES": "true",
    "CACHE_REDIS_URI": "redis://redis:6379/6",
    "CACHE_REDIS_PREFIX_KEY": "evo",
}


@pytest.fixture
def engine(monkeypatch):
    engine = RedisEngine(
        [
            container("api", "evoapicloud/evolution-api:v2.3.6", state="exited", env=ENV),
            container("redis", "redis:7"),
        ],
        {number: set(keys) for number, keys in KEYS.items()},
    )
    monkeypatch.setattr(session_reset, "connect", lambda *_arguments: engine)
    return engine


@pytest.fixture
def run(engine, capsys):
    """Return a function that runs the module as Ansible would and returns its result."""

    def run_module(**params):
        with patch_module_args({"shipped_profiles": shipped(), "stack": "crm", **params}), pytest.raises(SystemExit):
            session_reset.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_check_mode_counts_the_run_clears_and_the_next_one_finds_nothing(run, engine):
    said = run(_ansible_check_mode=True)
    untouched = dict(engine.keys)
    done = run()
    again = run()

    assert untouched == KEYS
    assert engine.keys == {"6": {"evo:other"}}
    assert said == done
    assert (done["changed"], done["reason"]) == (True, "there are sessions")
    assert done["cleared"] == [
        {
            "profile": "evolution",
            "holds": "credentials and signal keys",
            "place": "redis",
            "where": "Redis in container crm-redis-1",
            "name": "hashes of the instances",
            "count": 1,
        }
    ]
    assert (again["changed"], again["reason"], again["cleared"][0]["count"]) == (False, None, 0)
    assert again["diff"]["before"] == again["diff"]["after"]


def test_the_difference_shows_the_counts(run):
    diff = run(_ansible_check_mode=True)["diff"]

    assert diff["before"] == "Redis in container crm-redis-1: hashes of the instances: 1\n"
    assert diff["after"] == "Redis in container crm-redis-1: hashes of the instances: 0\n"


def test_a_refusal_is_a_failure_with_its_words(run, engine):
    engine.by_id["api"] = container("api", "evoapicloud/evolution-api:v2.3.6", env=ENV)

    result = run()

    assert result["failed"]
    assert "in use by crm-api-1" in result["msg"]
    assert engine.keys == KEYS
    assert run(running_ok=True)["changed"]
