# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import RedisError
from ansible_collections.crm.continuity.plugins.module_utils._redis_keys import (
    count_keys,
    delete_keys,
    key_numbers,
    persist,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack import StackRedis
from ansible_collections.crm.continuity.tests.unit.fakes import container
from ansible_collections.crm.continuity.tests.unit.redis_fakes import RedisEngine

CACHE = StackRedis("crm", (), "redis", "hunter2", container("redis", "redis:7"), "crm_redis")


@pytest.fixture
def engine():
    return RedisEngine([CACHE.container], {"0": {"alfred:x"}, "6": {"evo:instance:a", "evo:instance:b", "evo:other"}})


def test_keys_are_counted_in_every_database(engine):
    engine.keys["0"].add("evo:instance:c")

    assert count_keys(engine, CACHE, ["evo:instance:*"]) == 3
    assert key_numbers(engine, CACHE) == {"0": 2, "6": 3}


def test_only_what_matches_is_deleted(engine):
    assert delete_keys(engine, CACHE, ["evo:instance:*"]) == 2
    assert engine.keys == {"0": {"alfred:x"}, "6": {"evo:other"}}


def test_what_a_redis_holds_is_written_to_its_disk(engine):
    persist(engine, CACHE)

    assert engine.asked[-1] == "SAVE"


def test_an_append_only_file_is_waited_for(engine):
    engine.answers["CONFIG"] = "appendonly\nyes"

    persist(engine, CACHE)

    assert engine.asked[-1] == ""
    assert "SAVE" not in engine.asked


@pytest.mark.parametrize(
    ("answer", "words"),
    [("NOPERM no permissions to run eval", "cannot count keys: NOPERM"), ("ERR unknown command", "refused EVAL: ERR")],
)
def test_a_redis_that_refuses_is_an_error_with_its_words(engine, answer, words):
    engine.answers["EVAL"] = answer

    with pytest.raises(RedisError, match=words):
        count_keys(engine, CACHE, ["x"])
