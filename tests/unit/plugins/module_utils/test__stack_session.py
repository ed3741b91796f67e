# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

V1 = "atendai/evolution-api:v1.8.2"
V2 = "evoapicloud/evolution-api:v2.3.6"
FILES = {"/evolution/instances": "crm_instances"}
# What the image of version 1 sets by itself.
V1_ENV = {
    "DATABASE_ENABLED": "false",
    "DATABASE_CONNECTION_URI": "mongodb://root:root@mongodb:27017/?authSource=admin",
    "DATABASE_SAVE_DATA_INSTANCE": "false",
    "CACHE_REDIS_ENABLED": "false",
    "CACHE_REDIS_URI": "redis://redis:6379",
    "CACHE_REDIS_SAVE_INSTANCES": "false",
}
MYSQL = {
    "DATABASE_PROVIDER": "mysql",
    "DATABASE_CONNECTION_URI": "mysql://evo:secret@mysql:3306/evolution",
    "CACHE_REDIS_ENABLED": "false",
}
REDIS = container("redis", "redis:7", volumes={"/data": "crm_redis"})


def session_of(image, env, *others, volumes=None, own=(), exclude=()):
    containers = [container("api", image, env=env, volumes=FILES if volumes is None else volumes), *others]
    names = {mount.source for entry in containers for mount in entry.mounts}
    engine = FakeEngine(containers, [volume(name) for name in names])
    return find_one(engine, shipped_profiles(*own), Request("crm", exclude=exclude)).session


def parts(session):
    return [(state.holds, state.place, state.covered, state.where) for state in session]


# Words


@pytest.mark.parametrize("word", ["TRUE", "True", "1", "yes", '"true"', " true", ""])
def test_any_other_word_than_true_means_no(word):
    env = {"CACHE_REDIS_ENABLED": word, "DATABASE_SAVE_DATA_INSTANCE": "true", "CACHE_REDIS_URI": "redis://redis"}

    session = session_of(V2, env, REDIS)

    assert {state.rule for state in session} == {"credentials in the database, signal keys in files"}


def test_one_of_several_words_may_be_meant():
    rule = {
        "name": "kept by the job server",
        "when": {"MODE": ["queue", "cluster"], "OFF": ["", False]},
        "stores": [{"holds": "all", "place": "volume", "path": "/evolution/instances"}],
    }
    own = [{"name": "evolution", "session": {"rules": [rule]}}]

    rules = [
        session_of(V2, {"MODE": mode, "OFF": off}, own=own)[0].rule
        for mode, off in [("queue", ""), ("cluster", "false"), ("single", ""), ("queue", "true")]
    ]

    assert [name == "kept by the job server" for name in rules] == [True, True, False, False]


# Version 1


@pytest.mark.parametrize(
    "image",
    [V1, "atendai/evolution-api:1.8.2", "atendai/evolution-api:v1", "hub:5000/x/atendai/evolution-api:v1-alpine"],
)
def test_version_1_keeps_its_session_in_files(image):
    session = session_of(image, V1_ENV)

    assert parts(session) == [("credentials and signal keys", "volume", True, "volume crm_instances")]
    assert session[0].rule == "version 1, session in files"


def test_version_1_without_a_volume_is_not_covered():
    session = session_of(V1, V1_ENV, volumes={})

    assert parts(session) == [
        ("credentials and signal keys", "volume", False, "/evolution/instances inside the container")
    ]


def test_version_1_may_keep_it_in_redis():
    env = {**V1_ENV, "CACHE_REDIS_ENABLED": "true", "CACHE_REDIS_SAVE_INSTANCES": "true"}

    assert parts(session_of(V1, env, REDIS)) == [
        ("credentials and signal keys", "redis", True, "Redis in volume crm_redis")
    ]


def test_older_ones_of_version_1_call_redis_otherwise():
    env = {"REDIS_ENABLED": "true", "REDIS_URI": "redis://redis:6379"}

    assert parts(session_of("atendai/evolution-api:v1.6.1", env, REDIS)) == [
        ("credentials and signal keys", "redis", True, "Redis in volume crm_redis")
    ]


def test_version_1_with_mongodb_keeps_the_keys_in_files():
    env = {**V1_ENV, "DATABASE_ENABLED": "true", "DATABASE_SAVE_DATA_INSTANCE": "true"}
    mongo = container("mongodb", "mongo:6", volumes={"/data/db": "crm_mongo", "/data/configdb": "f" * 64})

    assert parts(session_of(V1, env, mongo)) == [
        ("credentials", "database", True, "MongoDB in volume crm_mongo, as files"),
        ("signal keys", "volume", True, "volume crm_instances"),
    ]


def test_version_1_does_not_save_sessions_in_a_database_that_is_switched_off():
    env = {**V1_ENV, "DATABASE_SAVE_DATA_INSTANCE": "true"}

    assert [state.place for state in session_of(V1, env)] == ["volume"]


def test_leftovers_of_version_1_do_not_matter_to_version_2():
    env = {**V1_ENV, "REDIS_ENABLED": "true", "DATABASE_SAVE_DATA_INSTANCE": "true"}

    assert session_of(V2, env)[0].rule == "credentials in the database, signal keys in files"


# Databases that are not dumped


def mysql(**more):
    return container("mysql", "mysql:8.0", **more)


def test_a_session_in_mysql_is_covered_by_its_files():
    session = session_of(V2, MYSQL, mysql(volumes={"/var/lib/mysql": "crm_mysql"}))

    assert parts(session)[0] == ("credentials", "database", True, "MySQL in volume crm_mysql, as files")
    assert session[0].how == ""


def test_mariadb_is_called_by_its_name_though_clients_call_it_mysql():
    server = container("mysql", "mariadb:11", volumes={"/var/lib/mysql": "crm_mysql"})

    assert parts(session_of(V2, MYSQL, server))[0][2:] == (True, "MariaDB in volume crm_mysql, as files")


def test_a_session_in_mysql_whose_files_are_elsewhere_is_covered_too():
    session = session_of(V2, MYSQL, mysql(volumes={"/srv/mysql": "crm_mysql"}))

    assert parts(session)[0][2:] == (True, "MySQL in volume crm_mysql, as files")


@pytest.mark.parametrize(
    ("others", "exclude", "where", "how"),
    [
        pytest.param(
            [], (), "MySQL at mysql, outside this stack", "there is no dump of MySQL here: move it", id="managed"
        ),
        pytest.param(
            [mysql()],
            (),
            "MySQL in container crm-mysql-1, whose files are not on a volume",
            "mount a named volume on /var/lib/mysql of mysql",
            id="no volume",
        ),
        pytest.param(
            [mysql(volumes={"/var/lib/mysql": "a" * 64})],
            (),
            "which is anonymous: compose does not mount it again after a restore",
            "give it a name in the compose file",
            id="anonymous",
        ),
        pytest.param(
            [mysql(volumes={"/var/lib/mysql": "crm_mysql"})],
            ("crm_mysql",),
            "on volume crm_mysql, which is not covered: it was excluded",
            "have that volume covered",
            id="excluded",
        ),
        pytest.param(
            [container("mysql", "mysql:8", project="data", networks=["crm_default"], volumes={"/var/lib/mysql": "d"})],
            (),
            "MySQL in container data-mysql-1, which belongs to stack data",
            "back it up there at the same time",
            id="another stack",
        ),
    ],
)
def test_a_session_in_a_mysql_that_is_not_kept_says_where_it_is_and_what_to_do(others, exclude, where, how):
    state = session_of(V2, MYSQL, *others, exclude=exclude)[0]

    assert not state.covered
    assert where in state.where
    assert how in state.how


def test_a_session_in_a_managed_postgresql_is_covered_over_the_network():
    env = {"DATABASE_CONNECTION_URI": "postgresql://u:p@db.example.com:25060/evo", "CACHE_REDIS_ENABLED": "false"}

    state = session_of(V2, env)[0]

    assert (state.covered, state.where) == (True, "database evo at db.example.com:25060, over the network")


# Redis


def test_signal_keys_in_a_redis_of_another_stack_are_not_covered():
    env = {"CACHE_REDIS_URI": "redis://redis", "DATABASE_CONNECTION_URI": "postgresql://u@postgres/evo"}
    other = container("redis", "redis:7", project="shared", networks=["crm_default"], volumes={"/data": "shared_redis"})

    state = session_of(V2, env, other)[1]

    assert (state.covered, state.where) == (False, "Redis in container shared-redis-1, which belongs to stack shared")


def test_redis_of_bitnami_keeps_its_files_elsewhere():
    env = {"CACHE_REDIS_URI": "redis://redis", "DATABASE_CONNECTION_URI": "postgresql://u@postgres/evo"}

    state = session_of(V2, env, container("redis", "bitnami/redis:7", volumes={"/bitnami/redis/data": "r"}))[1]

    assert (state.covered, state.where) == (True, "Redis in volume r")


# A provider


PROVIDER = {"PROVIDER_ENABLED": "true", "PROVIDER_HOST": "files", "PROVIDER_PORT": "5656"}


def test_a_session_at_a_provider_is_not_covered_and_says_where_it_is():
    state = session_of(V2, PROVIDER)[0]

    assert (state.covered, state.where) == (False, "PROVIDER_ENABLED=true, PROVIDER_HOST=files, PROVIDER_PORT=5656")
    assert state.how.startswith("it is outside this host: back it up where it is")


def test_a_provider_in_the_stack_is_covered_by_its_volume():
    files = container("files", "example/files:1", volumes={"/sessions": "crm_sessions"})

    state = session_of(V2, PROVIDER, files)[0]

    assert state.covered
    assert state.where.endswith("(container crm-files-1)")
