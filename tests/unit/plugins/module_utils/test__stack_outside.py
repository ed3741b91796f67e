# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

CHATWOOT = "chatwoot/chatwoot:v4.15.1"
EVOLUTION = "evoapicloud/evolution-api:v2.3.6"


def outside_of(image, env, *others, own=()):
    containers = [container("app", image, env=env), *others]
    names = {mount.source for entry in containers for mount in entry.mounts}
    return find_one(
        FakeEngine(containers, [volume(name) for name in names]), shipped_profiles(*own), Request("crm")
    ).outside


def named(outside, name):
    (entry,) = [entry for entry in outside if entry.name == name]
    return entry


# Object storage


@pytest.mark.parametrize(
    ("env", "name", "where"),
    [
        (
            {"ACTIVE_STORAGE_SERVICE": "amazon", "S3_BUCKET_NAME": "desk", "AWS_REGION": "sa-east-1"},
            "attachments (Amazon S3)",
            "ACTIVE_STORAGE_SERVICE=amazon, S3_BUCKET_NAME=desk, AWS_REGION=sa-east-1",
        ),
        (
            {"ACTIVE_STORAGE_SERVICE": "google", "GCS_BUCKET": "desk"},
            "attachments (Google Cloud Storage)",
            "ACTIVE_STORAGE_SERVICE=google, GCS_BUCKET=desk",
        ),
        (
            {"ACTIVE_STORAGE_SERVICE": "microsoft", "AZURE_STORAGE_CONTAINER": "desk"},
            "attachments (Azure)",
            "ACTIVE_STORAGE_SERVICE=microsoft, AZURE_STORAGE_CONTAINER=desk",
        ),
        (
            {"ACTIVE_STORAGE_SERVICE": "s3_compatible", "STORAGE_ENDPOINT": "https://u:p@s3.example.com"},
            "attachments (compatible with S3)",
            "ACTIVE_STORAGE_SERVICE=s3_compatible, STORAGE_ENDPOINT=https://***@s3.example.com",
        ),
    ],
    ids=["amazon", "google", "microsoft", "compatible"],
)
def test_attachments_in_object_storage_are_named_with_their_place(env, name, where):
    entry = named(outside_of(CHATWOOT, {**env, "AWS_SECRET_ACCESS_KEY": "hunter2"}), name)

    assert (entry.profile, entry.covered, entry.where) == ("chatwoot", False, where)
    assert "back it up where it is" in entry.how


@pytest.mark.parametrize(
    ("endpoint", "shown"),
    [
        ("https://key:se/cr@t@s3.example.com/x", "https://***@s3.example.com/x"),
        ("key:secret@s3.example.com", "***@s3.example.com"),
        ("https://s3.example.com", "https://s3.example.com"),
    ],
)
def test_a_login_in_a_url_is_hidden(endpoint, shown):
    env = {"ACTIVE_STORAGE_SERVICE": "s3_compatible", "STORAGE_ENDPOINT": endpoint}

    assert named(outside_of(CHATWOOT, env), "attachments (compatible with S3)").where.endswith(f"={shown}")


@pytest.mark.parametrize("service", ["local", "", None])
def test_attachments_on_the_disk_are_not_outside(service):
    env = {} if service is None else {"ACTIVE_STORAGE_SERVICE": service}

    assert [entry for entry in outside_of(CHATWOOT, env) if "attachments" in entry.name] == []


MINIO = {"S3_ENABLED": "true", "S3_BUCKET": "media", "CACHE_REDIS_ENABLED": "false"}


def media_of(endpoint, *others):
    return named(outside_of(EVOLUTION, {**MINIO, "S3_ENDPOINT": endpoint}, *others), "media")


def test_media_elsewhere_are_not_covered():
    entry = media_of("s3.example.com")

    assert (entry.covered, entry.where) == (
        False,
        "S3_ENABLED=true, S3_BUCKET=media, S3_ENDPOINT=s3.example.com",
    )


@pytest.mark.parametrize("endpoint", ["minio", "http://minio:9000", "MINIO:9000"])
def test_media_in_a_container_of_the_stack_are_covered_by_its_volume(endpoint):
    entry = media_of(endpoint, container("minio", "minio/minio", volumes={"/data": "crm_minio"}))

    assert (entry.covered, entry.how) == (True, "it is in the archive of crm_minio")
    assert entry.where.endswith("(container crm-minio-1)")


def test_media_in_a_container_that_traefik_publishes_are_covered_too():
    labels = {"traefik.http.routers.s3.rule": "Host(`console.example.com`) || Host(`s3.example.com`)"}

    entry = media_of("s3.example.com", container("minio", "minio/minio", volumes={"/data": "m"}, labels=labels))

    assert entry.covered


@pytest.mark.parametrize(
    ("minio", "how"),
    [
        pytest.param(container("minio", "minio/minio"), "mount a named volume where minio keeps its files", id="none"),
        pytest.param(
            container("minio", "minio/minio", volumes={"/data": "b" * 64}),
            "mount a named volume where minio keeps its files",
            id="anonymous",
        ),
        pytest.param(
            container("minio", "minio/minio", project="s3", networks=["crm_default"], volumes={"/data": "x"}),
            "it is part of stack s3: back that up too, at the same time",
            id="another stack",
        ),
        pytest.param(
            container("minio", "minio/minio", project=None, networks=["crm_default"], volumes={"/data": "x"}),
            "it is part of container minio, which belongs to no stack: back that up too, at the same time",
            id="no stack",
        ),
    ],
)
def test_media_in_a_container_that_is_not_kept_say_what_to_do(minio, how):
    entry = media_of("minio", minio)

    assert (entry.covered, entry.how) == (False, how)


def test_media_that_are_switched_off_are_not_outside():
    assert outside_of(EVOLUTION, {"S3_ENABLED": "false", "S3_ENDPOINT": "s3", "CACHE_REDIS_ENABLED": "false"}) == ()


def test_a_profile_of_ones_own_names_what_is_outside():
    own = {
        "name": "own",
        "services": [{"name": "app", "images": ["example/app"]}],
        "outside": [{"name": "scans", "service": "app", "show": ["SHARE"]}],
    }

    (entry,) = outside_of("example/app:1", {"SHARE": "//nas/scans"}, own=[own])

    assert (entry.profile, entry.name, entry.where) == ("own", "scans", "SHARE=//nas/scans")


# Servers


def test_a_managed_postgresql_is_covered_over_the_network():
    entry = named(outside_of(CHATWOOT, {"DATABASE_URL": "postgres://u:p@db.example.com:25060/desk"}), "database desk")

    assert (entry.covered, entry.where) == (True, "PostgreSQL at db.example.com:25060")
    assert "dumped over the network" in entry.how


def test_a_managed_mysql_is_not_covered():
    env = {"DATABASE_CONNECTION_URI": "mysql://u:p@db.example.com/evo", "CACHE_REDIS_ENABLED": "false"}

    entry = named(outside_of(EVOLUTION, env), "database evolution")

    assert (entry.covered, entry.where) == (False, "MySQL at db.example.com, outside this stack")
    assert "there is no dump of MySQL here" in entry.how


def test_a_redis_elsewhere_is_not_covered():
    env = {"POSTGRES_HOST": "postgres", "REDIS_URL": "rediss://cache.example.com:6380"}

    entry = named(outside_of(CHATWOOT, env), "Redis chatwoot")

    assert (entry.profile, entry.covered) == ("chatwoot", False)
    assert entry.where == "Redis at cache.example.com, outside this stack"


def test_what_runs_in_the_stack_is_not_outside():
    env = {"POSTGRES_HOST": "postgres", "REDIS_URL": "redis://redis"}

    assert outside_of(CHATWOOT, env, container("postgres", "postgres:16"), container("redis", "redis:7")) == ()
