# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import RedisError
from ansible_collections.crm.continuity.plugins.module_utils._redis import RedisFacts, facts, flush
from ansible_collections.crm.continuity.plugins.module_utils._stack import StackRedis
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container

CACHE = StackRedis("crm", ("chatwoot",), "redis", "hunter2", container("redis", "redis:7"), "crm_redis")

INFO = "printf '# Server\\r\\nredis_version:7.2.4\\r\\nredis_mode:standalone\\r\\n'"
AOF = "printf 'appendonly\\nyes\\n'"
RDB = "printf 'appendonly\\nno\\n'"


@pytest.fixture
def engine():
    engine = FakeEngine([CACHE.container])
    engine.answers = {
        "redis-cli INFO server": INFO,
        "redis-cli CONFIG GET appendonly": RDB,
        "redis-cli SAVE": "echo OK",
    }
    return engine


def asked(engine):
    return [" ".join(stage.argv) for stage in engine.stages]


def test_a_redis_says_its_version_and_how_it_keeps_what_it_holds(engine):
    assert facts(engine, CACHE) == RedisFacts("7.2.4", appendonly=False)


def test_without_an_append_only_file_a_snapshot_is_made(engine):
    assert flush(engine, CACHE) == "save"
    assert asked(engine)[-1] == "redis-cli SAVE"


def test_an_append_only_file_is_always_up_to_date(engine):
    engine.answers["redis-cli CONFIG GET appendonly"] = AOF

    assert flush(engine, CACHE) == "aof"
    assert "redis-cli SAVE" not in asked(engine)


def test_the_password_travels_in_the_environment_only(engine):
    flush(engine, CACHE)

    assert all(stage.env == {"REDISCLI_AUTH": "hunter2"} for stage in engine.stages)
    assert not any("hunter2" in word for stage in engine.stages for word in (*stage.argv, stage.name))


def test_without_a_password_none_is_sent(engine):
    flush(engine, StackRedis("crm", (), "redis", None, CACHE.container, "crm_redis"))

    assert all(stage.env == {} for stage in engine.stages)


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        pytest.param("INFO server", "echo 'NOAUTH Authentication required.'", "refused INFO: NOAUTH", id="no password"),
        pytest.param("INFO server", "echo 'WRONGPASS invalid'", "refused INFO: WRONGPASS", id="wrong password"),
        pytest.param("INFO server", "echo 'LOADING Redis is loading'", "refused INFO: LOADING", id="starting"),
        pytest.param("INFO server", "echo Could not connect >&2; exit 1", "Could not connect", id="no answer"),
        pytest.param(
            "CONFIG GET appendonly", "echo 'ERR unknown command'", "refused CONFIG: ERR", id="renamed command"
        ),
        pytest.param("SAVE", "echo 'ERR Background save already in progress'", "refused SAVE: ERR Back", id="busy"),
        pytest.param("SAVE", "echo 'MISCONF Errors writing to the RDB'", "refused SAVE: MISCONF", id="disk full"),
        pytest.param("SAVE", "echo 'NOPERM no permissions'", "could not save: NOPERM", id="no permission"),
        pytest.param("SAVE", "true", "could not save: .", id="silence"),
    ],
)
def test_a_redis_that_refuses_is_an_error_with_its_words(engine, question, answer, words):
    engine.answers[f"redis-cli {question}"] = answer

    with pytest.raises(RedisError) as caught:
        flush(engine, CACHE)

    assert words in str(caught.value)
    assert "container crm-redis-1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_redis_elsewhere_is_not_asked(engine):
    with pytest.raises(RedisError, match=r"Redis at cache\.example\.com is not in a container of this host"):
        flush(engine, StackRedis("crm", ("chatwoot",), "cache.example.com", None))
