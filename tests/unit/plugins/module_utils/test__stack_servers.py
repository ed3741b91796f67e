# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._freeze import targets
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.plugins.module_utils._stack_servers import kind_of_scheme, server_kind
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

CHATWOOT = "chatwoot/chatwoot:v4.15.1"


def stack_of(*containers):
    names = {mount.source for entry in containers for mount in entry.mounts}
    return find_one(FakeEngine(containers, [volume(name) for name in names]), shipped_profiles(), Request("crm"))


def modes(stack, **overrides):
    return {target.service: target.mode for target in targets(stack, overrides)}


WEB = container("web", CHATWOOT, env={"POSTGRES_HOST": "postgres"}, volumes={"/app/storage": "crm_storage"})
MARIADB = container("mariadb", "mariadb:11", volumes={"/var/lib/mysql": "crm_mariadb"})


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        ("postgres:16", "PostgreSQL"),
        ("timescale/timescaledb-ha:pg16", "PostgreSQL"),
        ("bitnamilegacy/mariadb:11", "MariaDB"),
        ("mysql/mysql-server:8.0", "MySQL"),
        ("percona/percona-server:8.0", "MySQL"),
        ("percona/percona-server-mongodb:7.0", "MongoDB"),
        ("mongodb/mongodb-community-server:7.0", "MongoDB"),
        ("redis:7", None),
        ("phpmyadmin/phpmyadmin", None),
        ("bitnami/postgres-exporter", None),
        ("dockage/phppgadmin", None),
        ("schickling/postgres-backup-s3", None),
    ],
)
def test_a_database_server_is_known_by_its_image(image, kind):
    found = server_kind(container("db", image))

    assert (found.name if found else None) == kind


@pytest.mark.parametrize(
    ("scheme", "kind"),
    [("postgresql+asyncpg", "PostgreSQL"), ("mongodb+srv", "MongoDB"), ("mysql", "MySQL"), ("file", None)],
)
def test_a_database_server_is_known_by_the_scheme_of_its_url(scheme, kind):
    found = kind_of_scheme(scheme)

    assert (found.name if found else None) == kind


# How it stands still


def test_a_server_whose_files_are_archived_is_stopped():
    assert modes(stack_of(WEB, MARIADB)) == {"web": "pause", "mariadb": "stop"}


@pytest.mark.parametrize("mode", ["pause", "stop"])
def test_the_operator_may_choose_how_it_stands_still(mode):
    assert modes(stack_of(WEB, MARIADB), mariadb=mode)["mariadb"] == mode


def test_the_operator_may_let_it_run():
    assert "mariadb" not in modes(stack_of(WEB, MARIADB), mariadb="none")


def test_a_postgresql_that_no_profile_names_is_stopped():
    metabase = container("metabase-db", "postgres:17", volumes={"/var/lib/postgresql/data": "metabase"})

    assert modes(stack_of(WEB, metabase))["metabase-db"] == "stop"


@pytest.mark.parametrize("overrides", [{}, {"postgres": "pause"}, {"postgres": "stop"}], ids=str)
def test_a_server_whose_databases_are_dumped_goes_on_whatever_else_it_writes_to(overrides):
    postgres = container(
        "postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "crm_pg", "/backups": "crm_backups"}
    )

    assert modes(stack_of(WEB, postgres), **overrides) == {"web": "pause"}


def test_a_server_that_only_reads_the_files_is_left_alone():
    reader = container("reader", "mariadb:11", volumes={"/import:ro": "crm_storage"})

    assert modes(stack_of(WEB, reader)) == {"web": "pause"}


def test_redis_is_still_the_last():
    redis = container("redis", "redis:7", volumes={"/data": "crm_redis"})

    assert list(modes(stack_of(WEB, redis, MARIADB)))[-1] == "redis"
