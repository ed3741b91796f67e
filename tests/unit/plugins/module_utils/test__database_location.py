# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _database_location
from ansible_collections.crm.continuity.plugins.module_utils._database_location import in_container, on_host
from ansible_collections.crm.continuity.plugins.module_utils._engine import Network
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.tests.unit.database_fakes import LocalEngine
from ansible_collections.crm.continuity.tests.unit.fakes import container


def server(**more):
    described = container("db", "postgres:16", project=None, **more)
    return described if "networks" in more else replace(described, networks=(Network("crm", "172.18.0.2"),))


def located(described, **options):
    return in_container(LocalEngine([described]), "db", **options)


def test_the_environment_says_who_and_where():
    found = located(server(env={"POSTGRES_USER": "crm", "POSTGRES_PASSWORD": "s3cret", "POSTGRES_DB": "chatwoot"}))

    assert (found.sql.host, found.sql.port) == ("172.18.0.2", 5432)
    assert (found.sql.user, found.sql.password, found.default_database) == ("crm", "s3cret", "chatwoot")
    assert found.sql.password_source == "POSTGRES_PASSWORD of container db"


def test_without_an_environment_the_superuser_is_trusted():
    found = located(server())

    assert (found.sql.user, found.sql.password, found.default_database) == ("postgres", None, "postgres")


def test_options_win_over_the_environment():
    found = located(server(env={"POSTGRES_PASSWORD": "x"}), user="app", password="y", database="d", port=6432)

    assert (found.sql.user, found.sql.password, found.default_database) == ("app", "y", "d")
    assert found.sql.port == found.port == 6432
    assert found.sql.password_source == "the option password"


def test_the_password_of_the_superuser_is_not_tried_for_another_user():
    assert located(server(env={"POSTGRES_PASSWORD": "x"}), user="app").sql.password is None


def test_a_password_file_is_read_inside_the_container(tmp_path):
    (tmp_path / "secret").write_text("from a file\n")

    found = located(server(env={"POSTGRES_PASSWORD_FILE": str(tmp_path / "secret")}))

    assert found.sql.password == "from a file"


def test_a_password_file_that_cannot_be_read_is_named():
    with pytest.raises(DatabaseError, match="read POSTGRES_PASSWORD_FILE of container db"):
        located(server(env={"POSTGRES_PASSWORD_FILE": "/absent/secret"}))


@pytest.mark.parametrize(
    ("command", "env", "port"),
    [
        pytest.param(("postgres",), {}, 5432, id="default"),
        pytest.param(("postgres", "-p", "5433"), {}, 5433, id="-p 5433"),
        pytest.param(("postgres", "-p5433"), {}, 5433, id="-p5433"),
        pytest.param(("postgres", "--port=5433"), {}, 5433, id="--port"),
        pytest.param(("postgres", "-c", "port=5433"), {}, 5433, id="-c"),
        pytest.param(("postgres", "-c", "max_connections=200"), {"PGPORT": "5434"}, 5434, id="PGPORT"),
    ],
)
def test_the_port_is_the_one_that_the_server_was_started_with(command, env, port):
    assert located(server(command=command, env=env)).port == port


def test_published_ports_are_tried_after_the_own_address():
    engine = LocalEngine([server()])
    engine.ports = {"5432/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}, {"HostIp": "10.0.0.1", "HostPort": "7"}]}

    found = in_container(engine, "db")

    assert found.sql.addresses == (("172.18.0.2", 5432), ("127.0.0.1", 49153), ("10.0.0.1", 7))


def test_a_container_on_the_hosts_network_is_reached_there():
    found = located(replace(server(), networks=(Network("host", ""),)))

    assert found.sql.addresses == (("127.0.0.1", 5432),)


def test_a_container_without_any_address_is_refused():
    with pytest.raises(DatabaseError, match="has no network address and publishes no port 5432"):
        located(replace(server(), networks=()))


def test_a_missing_container_is_named():
    with pytest.raises(DatabaseError, match="There is no container db"):
        in_container(LocalEngine(), "db")


def test_a_stopped_container_is_refused_with_the_remedy():
    with pytest.raises(DatabaseError, match=r"is exited.*docker start db"):
        located(server(state="exited"))


def test_programs_get_the_password_by_environment_only():
    found = located(server(env={"POSTGRES_PASSWORD": "s3cret"}))

    stage = found.client("dump", ["pg_dump", f"--dbname={found.target('crm')}"], version=16, run_id="1")

    assert stage.env["PGPASSWORD"] == "s3cret"
    assert stage.env["PGAPPNAME"] == "crm.continuity tool 1"
    assert "s3cret" not in str(stage.argv)


def test_the_representation_of_a_server_does_not_hold_the_password():
    assert "s3cret" not in repr(located(server(env={"POSTGRES_PASSWORD": "s3cret"})).sql)


def test_programs_encrypt_their_connections_as_sql_does(monkeypatch):
    monkeypatch.setattr(_database_location, "_client_program", lambda name, version: f"/usr/bin/{name}-{version}")
    found = on_host(
        host="db.example.org",
        port=5432,
        user="crm",
        sslmode="verify-full",
        sslrootcert="/ca.pem",
        sslcert="/me.pem",
        sslkey="/me.key",
    )

    stage = found.client("dump", ["pg_dump"], version=17)

    assert {name: value for name, value in stage.env.items() if name.startswith("PGSSL")} == {
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
        "PGSSLCERT": "/me.pem",
        "PGSSLKEY": "/me.key",
    }
    assert found.connection("other").sslrootcert == "/ca.pem"


@pytest.mark.parametrize(("password", "source"), [("x", "the environment"), (None, "none was given")])
def test_a_server_elsewhere_says_where_its_password_came_from(password, source):
    found = on_host(host="db", port=1, user="crm", password=password, source="the environment")

    assert found.sql.password_source == source


def test_a_program_that_is_older_than_the_server_is_refused_with_the_package(monkeypatch, tmp_path):
    old = tmp_path / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n")
    old.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(_database_location.glob, "glob", lambda _pattern: [])

    with pytest.raises(DatabaseError) as caught:
        on_host(host="db", port=1, user="crm").client("dump", ["pg_dump"], version=17)

    assert f"The server is PostgreSQL 17, and {old} on this host is older (pg_dump (PostgreSQL) 15.18" in str(
        caught.value
    )
    assert "Install the package postgresql-client-17; apt.postgresql.org has" in str(caught.value)


def test_a_server_elsewhere_is_named_by_its_address():
    found = on_host(host="db.example.org", port=5433, user="crm", password="x", sslmode="require")

    assert found.name == "PostgreSQL at db.example.org:5433"
    assert found.default_database == "crm"
    assert found.target("a") == "host='db.example.org' port='5433' user='crm' dbname='a'"
    assert not found.sees_data_directory
