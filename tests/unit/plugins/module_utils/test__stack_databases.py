# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._stack import Request, Tls
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

CHATWOOT = "chatwoot/chatwoot:v4.15.1"
EVOLUTION = "evoapicloud/evolution-api:v2.3.6"


class Engine(FakeEngine):
    """An engine that also tells the extra hosts of containers."""

    def __init__(self, containers, volumes=(), extra_hosts=()):
        super().__init__(containers, volumes)
        self.extra_hosts = list(extra_hosts)

    def inspect(self, id_):
        return {**super().inspect(id_), "HostConfig": {"ExtraHosts": self.extra_hosts or None}}


def stack_of(env, *others, image=CHATWOOT, volumes=(), extra_hosts=(), mounted=None, **more):
    engine = Engine([container("app", image, env=env, volumes=mounted, **more), *others], volumes, extra_hosts)
    return find_one(engine, shipped_profiles(), Request("crm"))


def database_of(env, *others, **more):
    (database,) = stack_of(env, *others, **more).databases
    return database


# Servers that there is no dump for


@pytest.mark.parametrize(
    ("url", "kind", "host"),
    [
        pytest.param("mysql://root:x@mysql:3306/evolution", "MySQL", "mysql", id="MySQL"),
        pytest.param("mysql://root:p#s/s@mysql:3306/evolution", "MySQL", "mysql", id="password that is not encoded"),
        pytest.param("mysql://mysql/evolution", "MySQL", "mysql", id="without a user"),
        pytest.param("mariadb://root@db/evolution", "MariaDB", "db", id="MariaDB"),
        pytest.param("mongodb://a:b@one:27017,two:27017/?ssl=false", "MongoDB", "one", id="several servers"),
        pytest.param("mongodb+srv://a:b@cluster0.example.net/", "MongoDB", "cluster0.example.net", id="by DNS"),
    ],
)
def test_another_server_is_known_by_its_url(url, kind, host):
    stack = stack_of({"DATABASE_CONNECTION_URI": url}, image=EVOLUTION)

    assert stack.databases == ()
    assert [(other.kind, other.host, other.profile) for other in stack.others] == [(kind, host, "evolution")]
    assert not [warning for warning in stack.warnings if "dumped" in warning]


def test_another_server_is_found_among_the_containers():
    mysql = container("mysql", "mysql:8")

    stack = stack_of({"DATABASE_CONNECTION_URI": "mysql://u:p@mysql/evolution"}, mysql, image=EVOLUTION)

    assert [other.container for other in stack.others] == [mysql]


V1 = "atendai/evolution-api:v1.8.2"
MONGO = {"DATABASE_CONNECTION_URI": "mongodb://root:root@mongodb:27017/?authSource=admin"}


@pytest.mark.parametrize(("enabled", "kinds"), [("true", ["MongoDB"]), ("false", []), ("TRUE", []), ("", [])], ids=str)
def test_version_1_uses_the_database_that_its_image_names_only_when_told(enabled, kinds):
    stack = stack_of({**MONGO, "DATABASE_ENABLED": enabled}, image=V1)

    assert [other.kind for other in stack.others] == kinds
    assert stack.databases == ()


@pytest.mark.parametrize("tag", ["v2.3.6", "latest", "2.1.1", "v2.0.10-rc1"])
def test_version_2_uses_its_database_whatever_is_left_of_version_1(tag):
    env = {"DATABASE_CONNECTION_URI": "postgresql://u:p@postgres/evolution", "DATABASE_ENABLED": "false"}

    stack = stack_of(env, image=f"atendai/evolution-api:{tag}")

    assert [database.name for database in stack.databases] == ["evolution"]


def test_the_redis_of_a_disabled_cache_is_none():
    env = {"CACHE_REDIS_URI": "redis://redis:6379", "CACHE_REDIS_ENABLED": "false"}

    assert stack_of(env, image=EVOLUTION).redis == ()


def test_redis_of_version_1_has_a_name_of_its_own():
    stack = stack_of({"REDIS_ENABLED": "true", "REDIS_URI": "redis://redis:6379"}, image="atendai/evolution-api:1.6.1")

    assert [cache.host for cache in stack.redis] == ["redis"]


def test_an_env_file_in_the_image_says_what_the_environment_does_not():
    engine = Engine([container("app", EVOLUTION, env={"CACHE_REDIS_ENABLED": ""})])
    engine.answers["cat /evolution/.env"] = (
        "printf \"DATABASE_CONNECTION_URI='postgresql://u:p@db/inner'\\nCACHE_REDIS_ENABLED=true\\n\""
    )

    stack = find_one(engine, shipped_profiles(), Request("crm"))

    assert [database.name for database in stack.databases] == ["inner"]
    # An empty variable is set: the file does not replace it.
    assert stack.session[0].rule == "credentials in the database, signal keys in files"


# Servers elsewhere


URL = "postgresql://u:p@db.example.com:25060/desk"


@pytest.mark.parametrize(
    ("query", "env", "expected"),
    [
        pytest.param("", {}, Tls(), id="nothing said"),
        pytest.param("?sslmode=require", {}, Tls("require"), id="URL"),
        pytest.param("?sslmode=require", {"PGSSLMODE": "disable"}, Tls("require"), id="the URL wins"),
        pytest.param("", {"PGSSLMODE": "verify-full"}, Tls("verify-full"), id="variable"),
        pytest.param("", {"POSTGRES_SSLMODE": "require"}, Tls("require"), id="the application's variable"),
        pytest.param("?ssl=true", {}, Tls("require"), id="the JDBC way"),
        pytest.param("?sslmode=no-verify", {}, Tls("require"), id="the Node way"),
        pytest.param(
            "?sslmode=verify-full&sslrootcert=/certs/ca.pem", {}, Tls("verify-full", "/certs/ca.pem"), id="authority"
        ),
        pytest.param(
            "?sslmode=verify-ca",
            {"PGSSLROOTCERT": "/ca.pem", "PGSSLCERT": "/me.pem", "PGSSLKEY": "/me.key"},
            Tls("verify-ca", "/ca.pem", "/me.pem", "/me.key"),
            id="client certificate",
        ),
        pytest.param(
            "?sslmode=require&sslaccept=strict&sslcert=/certs/ca.pem",
            {},
            Tls("verify-full", "/certs/ca.pem"),
            id="the Prisma way",
        ),
    ],
)
def test_the_encryption_of_the_application_is_used(query, env, expected):
    assert database_of({"DATABASE_URL": URL + query, **env}).tls == expected


def test_a_certificate_is_found_where_the_host_has_it():
    stack = stack_of(
        {
            "DATABASE_URL": f"{URL}?sslmode=verify-full&sslrootcert=/run/secrets/ca.pem",
            "PGSSLCERT": "/keys/own/me.pem",
            "PGSSLKEY": "/etc/me.key",
        },
        binds={"/run/secrets/ca.pem": "/opt/crm/ca.pem"},
        mounted={"/keys": "crm_keys"},
        volumes=[volume("crm_keys")],
    )

    assert stack.databases[0].tls == Tls(
        "verify-full", "/opt/crm/ca.pem", "/var/lib/docker/volumes/crm_keys/_data/own/me.pem", "/etc/me.key"
    )


def test_a_server_in_a_container_needs_no_encryption_between_host_and_container():
    found = database_of(
        {"DATABASE_URL": "postgres://u:p@postgres/desk?sslmode=require"}, container("postgres", "postgres")
    )

    assert found.tls == Tls()


@pytest.mark.parametrize(
    ("host", "extra_hosts", "address"),
    [
        ("host.docker.internal", ["host.docker.internal:host-gateway"], "127.0.0.1"),
        ("db", ["db:192.0.2.7"], "192.0.2.7"),
        ("db", ["db=192.0.2.7"], "192.0.2.7"),
        ("db6", ["db6:2001:db8::7"], "2001:db8::7"),
        ("db.example.com", ["db:192.0.2.7"], None),
        ("db.example.com", [], None),
    ],
)
def test_a_name_that_only_the_container_knows_is_told_to_this_host(host, extra_hosts, address):
    assert database_of({"POSTGRES_HOST": host}, extra_hosts=extra_hosts).address == address
