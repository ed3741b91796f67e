# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _redis
from ansible_collections.crm.continuity.plugins.module_utils._errors import RedisError
from ansible_collections.crm.continuity.plugins.module_utils._redis import (
    AppendOnly,
    BackgroundSave,
    RedisFacts,
    facts,
    save,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack import StackRedis
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container

CACHE = StackRedis("crm", ("chatwoot",), "redis", "hunter2", container("redis", "redis:7"), "crm_redis")

INFO = r"printf '# Server\r\nredis_version:7.2.4\r\nused_memory:100000000\r\nrdb_last_bgsave_time_sec:-1\r\n%s\r\n' "
AOF = "printf 'appendonly\\nyes\\n'"
RDB = "printf 'appendonly\\nno\\n'"


@pytest.fixture
def engine():
    engine = FakeEngine([CACHE.container])
    engine.answers = {
        "redis-cli INFO": INFO + "rdb_bgsave_in_progress:0",
        "redis-cli CONFIG GET appendonly": RDB,
        "redis-cli CONFIG GET dir": "printf 'dir\\n/data\\n'",
        "redis-cli SAVE": "echo OK",
    }
    return engine


def asked(engine):
    return [" ".join(stage.argv) for stage in engine.stages]


def test_a_redis_says_its_version_and_how_it_keeps_what_it_holds(engine):
    assert facts(engine, CACHE) == RedisFacts("7.2.4", appendonly=False, directory="/data", save_seconds=2.0)


def test_the_time_of_the_last_save_counts_when_it_was_longer(engine):
    engine.answers["redis-cli INFO"] = INFO + "rdb_last_bgsave_time_sec:9"

    assert facts(engine, CACHE).save_seconds == 9


def test_an_append_only_file_is_always_up_to_date(engine):
    engine.answers["redis-cli CONFIG GET appendonly"] = AOF

    assert facts(engine, CACHE).appendonly is True


def test_an_append_only_file_that_could_not_be_written_is_refused(engine):
    engine.answers["redis-cli CONFIG GET appendonly"] = AOF
    engine.answers["redis-cli INFO"] = INFO + "aof_last_write_status:err"

    with pytest.raises(RedisError, match="could not write its append-only file"):
        facts(engine, CACHE)


def test_a_save_waits_for_another_one(engine, tmp_path):
    engine.answers["redis-cli SAVE"] = (
        f"echo x >>{tmp_path}/asked; [ $(wc -l <{tmp_path}/asked) -gt 2 ] && echo OK || "
        "echo 'ERR Background save already in progress'"
    )

    save(engine, CACHE)

    assert asked(engine).count("redis-cli SAVE") == 3


def test_the_password_travels_in_the_environment_only(engine):
    save(engine, CACHE)

    assert all(stage.env == {"REDISCLI_AUTH": "hunter2"} for stage in engine.stages)
    assert not any("hunter2" in word for stage in engine.stages for word in (*stage.argv, stage.name))


def test_without_a_password_none_is_sent(engine):
    save(engine, StackRedis("crm", (), "redis", None, CACHE.container, "crm_redis"))

    assert all(stage.env == {} for stage in engine.stages)


@pytest.mark.parametrize(
    ("question", "answer", "words"),
    [
        pytest.param("INFO", "echo 'NOAUTH Authentication required.'", "refused INFO: NOAUTH", id="no password"),
        pytest.param("INFO", "echo 'WRONGPASS invalid'", "refused INFO: WRONGPASS", id="wrong password"),
        pytest.param("INFO", "echo 'LOADING Redis is loading'", "refused INFO: LOADING", id="starting"),
        pytest.param("INFO", "echo Could not connect >&2; exit 1", "Could not connect", id="no answer"),
        pytest.param(
            "CONFIG GET appendonly", "echo 'ERR unknown command'", "refused CONFIG: ERR", id="renamed command"
        ),
        pytest.param("SAVE", "echo 'ERR Background save already in progress'", "refused SAVE: ERR Back", id="busy"),
        pytest.param("SAVE", "echo 'MISCONF Errors writing to the RDB'", "refused SAVE: MISCONF", id="disk full"),
        pytest.param("SAVE", "echo 'NOPERM no permissions'", "could not save: NOPERM", id="no permission"),
        pytest.param("SAVE", "true", "could not save: .", id="silence"),
    ],
)
def test_a_redis_that_refuses_is_an_error_with_its_words(engine, question, answer, words, monkeypatch):
    engine.answers[f"redis-cli {question}"] = answer

    monkeypatch.setattr(_redis, "BUSY", 0)

    def ask():
        facts(engine, CACHE)
        save(engine, CACHE)

    with pytest.raises(RedisError) as caught:
        ask()

    assert words in str(caught.value)
    assert "container crm-redis-1" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_redis_elsewhere_is_not_asked(engine):
    with pytest.raises(RedisError, match=r"Redis at cache\.example\.com is not in a container of this host"):
        save(engine, StackRedis("crm", ("chatwoot",), "cache.example.com", None))


# An append-only file that lags behind.


def answering(*waiting, end="exit 0"):
    """Answer as redis-cli does when it reads commands: each INFO says how much waits to be appended."""
    script = 'while read -r word rest; do case "$word" in INFO) case $n in '
    for number, size in enumerate(waiting):
        last = "*" if number == len(waiting) - 1 else str(number)
        script += f"{last}) printf '# Persistence\\r\\naof_buffer_length:{size}\\r\\n\\n' ;; "
    return f"n=0; {script}esac; n=$((n + 1)) ;; ECHO) echo $rest ;; esac; done; {end}"


def test_what_waits_to_be_appended_is_waited_for(engine, tmp_path):
    # The first answer is to the greeting.
    engine.answers["redis-cli"] = answering(7, 4711, 12, 0, end=f"echo $n >{tmp_path}/asked")

    with AppendOnly(engine, CACHE) as appending:
        appending.settle()

    assert (tmp_path / "asked").read_text() == "4\n"
    assert asked(engine) == ["redis-cli"]
    assert [stage.env for stage in engine.stages] == [{"REDISCLI_AUTH": "hunter2"}]


def test_a_disk_that_does_not_keep_up_is_an_error(engine, monkeypatch):
    monkeypatch.setattr(_redis, "SETTLES", 0.1)
    engine.answers["redis-cli"] = answering(4711)

    with pytest.raises(RedisError, match="still has 4711 bytes to append"), AppendOnly(engine, CACHE) as appending:
        appending.settle()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("echo NOAUTH Authentication required.; cat >/dev/null", "refused INFO: NOAUTH", id="no password"),
        pytest.param("echo Could not connect; exit 1", "does not answer any more: Could not connect", id="no answer"),
        pytest.param("exit 1", "does not answer any more: it is gone", id="gone"),
    ],
)
def test_a_redis_that_does_not_answer_is_an_error_before_anything_stands_still(engine, script, words):
    engine.answers["redis-cli"] = script

    with pytest.raises(RedisError, match=words), AppendOnly(engine, CACHE):
        pass


def test_a_container_that_is_stopped_afterwards_is_no_error(engine):
    engine.answers["redis-cli"] = answering(0, end="exit 137")

    with AppendOnly(engine, CACHE) as appending:
        appending.settle()


# Saving while it goes on. The programs here do with files what a Redis does.


@pytest.fixture
def data(tmp_path):
    directory = tmp_path / "data"
    directory.mkdir()
    (directory / "dump.rdb").write_text("old")
    return directory


def saves(engine, data, content="of the instant"):
    """Let BGSAVE leave what its copy writes first."""
    engine.answers["redis-cli BGSAVE"] = f"printf '{content}' >{data}/temp-77.rdb; echo Background saving started"


def status(engine, *lines):
    engine.answers["redis-cli INFO"] = f"printf '{'%s' * len(lines)}' " + " ".join(f"'{line}\r\n'" for line in lines)


def test_a_save_in_the_background_is_waited_for(engine, data):
    saves(engine, data)
    engine.answers["redis-cli INFO"] = (
        f"if [ -e {data}/once ]; then mv {data}/temp-77.rdb {data}/dump.rdb; n=0; else touch {data}/once; n=1; fi;"
        r" printf 'rdb_bgsave_in_progress:%s\r\nrdb_last_bgsave_status:ok\r\n' $n"
    )

    with BackgroundSave(engine, CACHE, str(data)) as late:
        late.start()
        late.wait()
        late.check()

    assert (data / "dump.rdb").read_text() == "of the instant"


def test_a_save_that_fails_in_the_background_is_an_error(engine, data):
    saves(engine, data)
    status(engine, "rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:err")

    with BackgroundSave(engine, CACHE, str(data)) as late:
        late.start()
        with pytest.raises(RedisError, match="could not write what it holds"):
            late.wait()


def test_a_file_of_a_later_save_does_not_count(engine, data):
    saves(engine, data)
    status(engine, "rdb_bgsave_in_progress:0", "rdb_last_bgsave_status:ok")

    with BackgroundSave(engine, CACHE, str(data)) as late:
        late.start()
        (data / "temp-77.rdb").rename(data / "dump.rdb")
        late.wait()
        (data / "temp-78.rdb").write_text("later")
        (data / "temp-78.rdb").rename(data / "dump.rdb")
        with pytest.raises(RedisError, match="has saved once more"):
            late.check()


def test_a_save_that_leaves_no_file_here_is_an_error(engine, data, monkeypatch):
    monkeypatch.setattr(_redis, "APPEARS", 0.05)
    (data / "temp-76.rdb").write_text("of a save that died")
    engine.answers["redis-cli BGSAVE"] = "echo Background saving started"

    with BackgroundSave(engine, CACHE, str(data)) as late, pytest.raises(RedisError, match="no file of it appears"):
        late.start()


def test_a_redis_that_cannot_save_in_the_background_says_so(engine, data):
    engine.answers["redis-cli BGSAVE"] = 'echo "ERR Can\'t BGSAVE now"'

    with BackgroundSave(engine, CACHE, str(data)) as late, pytest.raises(RedisError, match="Can't BGSAVE"):
        late.start()
