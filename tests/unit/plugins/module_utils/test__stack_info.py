# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _stack_info
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError, RedisError
from ansible_collections.crm.continuity.plugins.module_utils._redis import facts as redis_facts
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.plugins.module_utils._stack_info import add_details, describe, locate
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, crm_host


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm": Chatwoot with a worker, Evolution API, PostgreSQL and Redis."""
    return crm_host(tmp_path, monkeypatch)


def stack_of(host, **more):
    return find_one(host, host.profiles, Request("crm", **more))


def described(host, **more):
    return describe(host, stack_of(host, **more))


def detailed(host, **more):
    stack = stack_of(host, **more)
    entry = describe(host, stack)
    add_details(host, stack, entry)
    return entry


def by_name(entries, key="name"):
    return {entry[key]: entry for entry in entries}


# What is known without asking


def test_a_stack_is_described_by_where_it_is_and_what_it_is(host):
    entry = described(host)

    assert entry["name"] == "crm"
    assert entry["profiles"] == ["chatwoot", "evolution"]
    assert entry["project_dir"] == str(host.project)
    assert entry["compose_files"] == [f"{host.project}/compose.yml"]
    assert entry["environment_files"] == []


def test_each_service_is_described_with_its_image_and_its_role(host):
    host.change("web", health="healthy")

    web = by_name(described(host)["services"], "service")["web"]

    assert web == {
        "service": "web",
        "container": "crm-web-1",
        "container_id": "web",
        "image": "chatwoot/chatwoot:v4.15.1",
        "image_id": "sha256:chatwoot/chatwoot:v4.15.1",
        "repository": "chatwoot/chatwoot",
        "digests": [],
        "state": "running",
        "health": "healthy",
        "profile": "chatwoot",
        "role": "web",
        "depends_on": ["postgres", "redis"],
    }


def test_a_service_that_no_profile_knows_is_described_too(host):
    host.add("proxy", "caddy:2", state="exited")

    proxy = by_name(described(host)["services"], "service")["proxy"]

    assert (proxy["profile"], proxy["role"], proxy["state"]) == (None, None, "exited")


def test_each_volume_is_described_with_how_it_is_covered(host):
    volumes = by_name(described(host)["volumes"])

    assert {name: volume["coverage"] for name, volume in volumes.items()} == {
        "crm_storage": "archive",
        "crm_instances": "archive",
        "crm_redis": "archive",
        "crm_pg": "dump",
    }
    assert volumes["crm_storage"]["driver"] == "local"
    assert volumes["crm_storage"]["mountpoint"] == str(host.data("crm_storage"))
    assert volumes["crm_storage"]["labels"] == {"com.docker.compose.project": "crm"}
    assert volumes["crm_storage"]["mounts"] == [
        {"service": "web", "path": "/app/storage"},
        {"service": "worker", "path": "/app/storage"},
    ]
    assert (volumes["crm_storage"]["purpose"], volumes["crm_storage"]["profile"]) == ("attachments", "chatwoot")


def test_a_bound_directory_has_no_driver_and_is_its_own_mountpoint(host):
    host.add("files", "nginx", binds={"/srv": str(host.directory)})

    bind = next(volume for volume in described(host)["volumes"] if volume["kind"] == "bind")

    assert (bind["driver"], bind["mountpoint"], bind["labels"], bind["options"]) == (None, str(host.directory), {}, {})


def test_a_volume_that_is_gone_is_described_as_unreadable(host):
    del host.volumes["crm_storage"]

    volume = by_name(described(host)["volumes"])["crm_storage"]

    assert (volume["driver"], volume["mountpoint"], volume["coverage"]) == (None, None, "unreadable")


def test_each_database_is_described_with_who_uses_it_and_where_it_runs(host):
    databases = by_name(described(host)["databases"])

    assert databases["evolution"] == {
        "name": "evolution",
        "profile": "evolution",
        "host": "postgres",
        "port": 5432,
        "user": "evolution",
        "schema": "evolution_api",
        "container": "crm-postgres-1",
        "service": "postgres",
        "covered": True,
    }


def test_a_database_elsewhere_has_neither_container_nor_service(host):
    host.change("web", env={**host.by_id["web"].env, "POSTGRES_HOST": "db.example.com"})

    database = by_name(described(host)["databases"])["chatwoot"]

    assert (database["host"], database["container"], database["service"]) == ("db.example.com", None, None)


def test_a_redis_is_described_with_who_uses_it_and_whether_it_is_kept(host):
    host.add("cache", "redis:7")

    redis = {entry["container"]: entry for entry in described(host)["redis"]}

    assert redis["crm-redis-1"]["profiles"] == ["chatwoot", "evolution"]
    assert (redis["crm-redis-1"]["volume"], redis["crm-redis-1"]["covered"]) == ("crm_redis", True)
    assert (redis["crm-cache-1"]["volume"], redis["crm-cache-1"]["covered"]) == (None, False)


def test_the_session_is_described_by_its_parts(host):
    assert described(host)["session"] == [
        {
            "profile": "evolution",
            "rule": "credentials in the database, signal keys in Redis",
            "holds": "credentials",
            "place": "database",
            "covered": True,
            "where": "database evolution",
            "how": "",
        },
        {
            "profile": "evolution",
            "rule": "credentials in the database, signal keys in Redis",
            "holds": "signal keys",
            "place": "redis",
            "covered": True,
            "where": "Redis in volume crm_redis",
            "how": "",
        },
    ]


def test_secrets_are_named_and_never_told(host):
    entry = detailed(host)

    assert entry["secrets"] == {"chatwoot": ["SECRET_KEY_BASE"], "evolution": []}
    assert SECRET not in json.dumps(entry)


def test_a_secret_among_the_options_of_a_volume_is_hidden(host):
    options = {"type": "cifs", "o": f"addr=nas,username=crm,password={SECRET},vers=3.0", "device": "//nas/crm"}
    host.volumes["crm_storage"] = replace(host.volumes["crm_storage"], options=options)

    volume = by_name(described(host)["volumes"])["crm_storage"]

    assert volume["options"]["o"] == "addr=nas,username=crm,password=***,vers=3.0"


def test_warnings_say_what_is_not_covered(host):
    assert described(host, exclude=("crm_storage",))["warnings"] == [
        "volume crm_storage is not covered: it was excluded."
    ]


# What has to be asked


def test_volumes_are_measured(host):
    (host.data("crm_storage") / "more").write_bytes(bytes(1000))

    volume = by_name(detailed(host)["volumes"])["crm_storage"]

    assert volume["files"] == 3
    assert volume["bytes"] == 1000 + len("content of crm_storage\n") + len("more\n")


def test_databases_are_asked_what_a_restore_has_to_match(host):
    database = by_name(detailed(host)["databases"])["chatwoot"]

    assert database["server_version"] == "17.2"
    assert (database["encoding"], database["collate"]) == ("UTF8", "C.UTF-8")
    assert database["extensions"] == {"plpgsql": "1.0"}
    assert database["schemas"] == ["public"]
    assert database["size"] == 8000000
    assert database["superuser"] == "postgres"
    assert host.server.sessions == 0


@pytest.mark.parametrize(
    ("rows", "expected"), [([("20261101",)], "20261101"), ([(None,)], None), ([], None)], ids=["some", "null", "none"]
)
def test_databases_are_asked_for_the_version_of_the_schema(host, rows, expected):
    host.server.answers["SELECT max(version) FROM schema_migrations"] = rows

    assert by_name(detailed(host)["databases"])["chatwoot"]["schema_version"] == expected


def test_a_database_without_migrations_has_no_schema_version(host, monkeypatch):
    class Young:
        def get(self, sql, default):
            if "schema_migrations" in sql:
                raise DatabaseError('relation "schema_migrations" does not exist')
            return default

    monkeypatch.setattr(host.server, "answers", Young())

    database = by_name(detailed(host)["databases"])["chatwoot"]

    assert database["schema_version"] is None
    assert "error" not in database


def test_redis_is_asked_how_it_keeps_what_it_holds(host):
    (redis,) = detailed(host)["redis"]

    assert (redis["version"], redis["appendonly"]) == ("7.2.4", False)


def test_what_does_not_answer_gets_an_error_and_the_rest_is_described(host):
    host.data("crm_storage").rename(host.directory / "elsewhere")
    host.server.refuses["chatwoot"] = "No PostgreSQL answers"
    host.programs["redis-cli"] = "exit 1"

    entry = detailed(host)

    volumes, databases = by_name(entry["volumes"]), by_name(entry["databases"])
    assert "Volume crm_storage cannot be read: there is no directory" in volumes["crm_storage"]["error"]
    assert "files" not in volumes["crm_storage"]
    assert databases["chatwoot"]["error"] == "No PostgreSQL answers"
    assert "Cannot ask Redis" in entry["redis"][0]["error"]
    assert volumes["crm_instances"]["files"] == 2
    assert "error" not in databases["evolution"]


def test_a_directory_inside_a_volume_that_cannot_be_read_is_an_error_of_that_volume(host, monkeypatch):
    denied = str(host.data("crm_storage") / "directory")
    real = os.scandir

    def scandir(path):
        if not isinstance(path, int) and os.fsdecode(path) == denied:
            raise PermissionError(errno.EACCES, "Permission denied", os.fsencode(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)

    volumes = by_name(detailed(host)["volumes"])

    assert volumes["crm_storage"]["error"] == f"{denied}: Permission denied"
    assert "error" not in volumes["crm_instances"]


# Reaching a database


def located(host, name="chatwoot"):
    database = next(entry for entry in stack_of(host).databases if entry.name == name)
    return locate(host, database)


def test_a_server_in_a_container_is_entered_as_its_superuser(host):
    connection = located(host, "evolution").connection("evolution")

    assert (connection.user, connection.password, connection.dbname) == ("postgres", SECRET, "evolution")
    assert host.server.sessions == 0


def test_where_the_superuser_is_refused_the_application_is_tried(host):
    host.server.refuses["postgres"] = "password authentication failed"

    connection = located(host, "evolution").connection("evolution")

    assert (connection.user, connection.password) == ("evolution", SECRET)


def test_where_both_are_refused_the_words_are_about_the_superuser(host):
    host.server.refuses["postgres"] = "password authentication failed for postgres"
    host.server.refuses["evolution"] = "password authentication failed for evolution"
    # A database of that name is not refused, only the user.
    host.change(
        "evolution",
        env={"DATABASE_CONNECTION_URI": f"postgresql://evolution:{SECRET}@postgres/chatwoot"},
    )

    with pytest.raises(DatabaseError, match="failed for postgres"):
        located(host, "chatwoot")


def test_a_server_elsewhere_is_entered_as_the_application(host):
    env = {
        **host.by_id["web"].env,
        "POSTGRES_HOST": "db.example.com",
        "POSTGRES_USERNAME": "woot",
        "POSTGRES_PASSWORD": SECRET,
    }
    host.change("web", env=env)

    connection = located(host).connection("chatwoot")

    assert (connection.host, connection.user, connection.password) == ("db.example.com", "woot", SECRET)


def test_a_server_whose_container_does_not_run_is_refused(host):
    host.change("postgres", state="paused")

    with pytest.raises(DatabaseError, match="Container crm-postgres-1 is paused"):
        located(host)


def test_what_is_asked_of_redis_fails_as_redis_does(host):
    host.programs["redis-cli"] = "echo NOAUTH"

    with pytest.raises(RedisError):
        redis_facts(host, stack_of(host).redis[0])


def test_the_same_words_are_hidden_wherever_they_stand():
    masked = _stack_info._masked

    assert masked("secret=a,PASSWD=b,ro,keyfile=c") == "secret=***,PASSWD=***,ro,keyfile=***"
    assert masked("addr=10.0.0.1,rw") == "addr=10.0.0.1,rw"


# Encryption


def managed(host, **env):
    url = f"postgres://woot:{SECRET}@db.example.com:25060/chatwoot?sslmode=verify-full"
    host.change("web", env={**host.by_id["web"].env, "DATABASE_URL": url, **env})
    return located(host).connection("chatwoot")


def test_a_server_elsewhere_is_reached_as_encrypted_as_the_application_does(host, tmp_path):
    authority = tmp_path / "ca.pem"
    authority.write_text("x")

    connection = managed(host, PGSSLROOTCERT=str(authority))

    assert (connection.sslmode, connection.sslrootcert) == ("verify-full", str(authority))
    assert connection.password_source == "the application's environment"


def test_without_an_authority_those_of_the_host_count(host, tmp_path, monkeypatch):
    (tmp_path / "all.crt").write_text("x")
    monkeypatch.setattr(_stack_info, "AUTHORITIES", ("/absent", str(tmp_path / "all.crt")))

    assert managed(host).sslrootcert == str(tmp_path / "all.crt")


@pytest.mark.parametrize("path", ["/absent/ca.pem", "../ca.pem"])
def test_a_certificate_that_only_the_container_has_is_named_with_what_to_do(host, path):
    with pytest.raises(DatabaseError) as caught:
        managed(host, PGSSLROOTCERT=path)

    assert f"with the file {path} of its container, and this host has no such file" in str(caught.value)
    assert "Mount it from a directory of the host, or put a copy there." in str(caught.value)


def test_the_authorities_of_libpq_itself_are_no_file(host):
    assert managed(host, PGSSLROOTCERT="system").sslrootcert == "system"


def test_a_name_that_only_the_container_knows_is_not_asked_for_here(host, monkeypatch):
    monkeypatch.setattr(
        host, "inspect", lambda _id: {"HostConfig": {"ExtraHosts": ["host.docker.internal:host-gateway"]}}
    )
    host.change("web", env={**host.by_id["web"].env, "POSTGRES_HOST": "host.docker.internal"})

    assert located(host).connection("chatwoot").host == "127.0.0.1"
