# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_preflight import (
    check_coverage,
    check_freeze,
    check_profiles,
    check_root,
    data_directories,
    streamed,
    uncovered,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, StackError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.backup_fakes import EVOLUTION, EVOLUTION_ENV, Host
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest


@pytest.fixture
def host(tmp_path):
    """A host with Evolution API, whose signal keys are in Redis."""
    host = Host(tmp_path)
    host.add("evolution", EVOLUTION, volumes={"/evolution/instances": "crm_instances"}, env=EVOLUTION_ENV)
    host.add("postgres", "postgres:15", volumes={"/var/lib/postgresql/data": "crm_pg"})
    host.add("redis", "redis:7", volumes={"/data": "crm_redis"})
    return host


def stack_of(host, **more):
    return find_one(host, host.profiles, Request("crm", **more))


def put_backup(root, id_, size):
    """Write a backup that says of itself to be of a size."""
    directory = root / "crm" / id_
    directory.mkdir(parents=True)
    wanted = manifest(id=id_, artifacts=(artifact("config/project.tar.zst", "config", size=size),))
    encoded = encode(wanted)
    (directory / NAME).write_bytes(encoded)
    (directory / SUMS).write_bytes(sums(wanted, encoded))
    return directory


def free_bytes(path):
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


# What the stack is


def test_a_stack_that_a_profile_describes_is_accepted(host):
    check_profiles(stack_of(host))


def test_a_stack_that_no_profile_describes_is_refused_with_its_images(host):
    host.by_id.clear()
    host.add("app", "example.com/app:1")
    host.add("db", "postgres:15")

    with pytest.raises(StackError) as caught:
        check_profiles(stack_of(host))

    assert "Stack crm matches no profile (its images are example.com/app:1, postgres:15)" in str(caught.value)
    assert "crm_stacks" in str(caught.value)
    assert "crm_profiles" in str(caught.value)
    assert caught.value.details == {"stack": "crm"}


def test_a_stack_that_is_covered_is_accepted(host):
    stack = stack_of(host)

    check_coverage(stack, require_session=True)

    assert uncovered(stack) == []


def test_a_volume_that_does_not_exist_is_refused_with_its_name_and_what_to_do(host):
    del host.volumes["crm_instances"]

    with pytest.raises(StackError) as caught:
        check_coverage(stack_of(host), require_session=False)

    assert "Volume crm_instances of stack crm cannot be backed up: it does not exist" in str(caught.value)
    assert "name the volume in exclude" in str(caught.value)


def test_a_volume_of_another_driver_is_read_through_a_container_that_mounts_it(host):
    host.add("a-viewer", "nginx", state="exited", volumes={"/srv": "crm_instances"})
    host.volumes["crm_instances"] = replace(host.volumes["crm_instances"], driver="rclone")

    # One that runs is preferred: the engine has mounted it there already.
    assert streamed(host, stack_of(host)) == {"crm_instances": ("evolution", "/evolution/instances")}


def test_a_volume_that_only_a_stopped_container_mounts_is_read_through_that(host):
    host.change("evolution", state="exited")
    host.volumes["crm_instances"] = replace(host.volumes["crm_instances"], driver="rclone")

    assert streamed(host, stack_of(host)) == {"crm_instances": ("evolution", "/evolution/instances")}


def test_a_volume_of_this_engine_whose_directory_is_gone_is_an_error(host):
    host.data("crm_instances").rename(host.directory / "elsewhere")

    with pytest.raises(EngineError, match="there is no directory"):
        streamed(host, stack_of(host))


@pytest.mark.parametrize("words", ["crm_media", "/media"], ids=["by name", "by path"])
def test_a_volume_of_another_driver_may_be_excluded(host, words):
    host.add_volume("crm_media", driver="nfs")
    host.add("media", "nginx", volumes={"/media": "crm_media"})

    check_coverage(stack_of(host, exclude=(words,)), require_session=True)


def test_a_session_outside_the_backup_is_refused_with_the_store_and_what_to_do(host):
    host.change("redis", mounts=())

    with pytest.raises(StackError) as caught:
        check_coverage(stack_of(host), require_session=True)

    words = str(caught.value)
    assert "The signal keys of the WhatsApp session (evolution) would not be in the backup" in words
    assert (
        "they are in Redis in container crm-redis-1, whose /data is not on a volume: mount a named volume on" in words
    )
    assert "every number has to be paired again" in words
    assert "Cover that store, or set require_session to false." in words


def test_a_session_outside_the_backup_is_a_warning_when_it_is_not_required(host):
    host.change("redis", mounts=())
    stack = stack_of(host)

    check_coverage(stack, require_session=False)

    assert any(
        warning.startswith("The session's signal keys are not covered: Redis in") for warning in uncovered(stack)
    )


def test_an_excluded_volume_may_take_the_session_with_it(host):
    stack = stack_of(host, exclude=("crm_redis",))

    with pytest.raises(StackError, match="signal keys of the WhatsApp session"):
        check_coverage(stack, require_session=True)


def test_a_redis_that_is_not_kept_is_a_warning(host):
    host.add("cache", "redis:7")

    assert uncovered(stack_of(host)) == [
        "Redis cache is not covered: Redis in container crm-cache-1, whose /data is not on a volume: "
        "mount a named volume on /data of cache."
    ]


def test_a_redis_of_another_host_is_a_warning(host):
    host.change("evolution", env={**EVOLUTION_ENV, "CACHE_REDIS_URI": "redis://cache.example.com:6379"})

    warnings = uncovered(stack_of(host))

    assert [w for w in warnings if w.startswith("Outside: Redis evolution is not covered: Redis at cache.example.com,")]


def test_a_mysql_without_a_volume_is_a_warning(host):
    host.add("mysql", "mysql:8")
    host.change("evolution", env={**EVOLUTION_ENV, "DATABASE_CONNECTION_URI": "mysql://evo:x@mysql/evo"})

    assert (
        "Database evolution is not covered: MySQL in container crm-mysql-1, whose files are not on a volume: "
        "mount a named volume on /var/lib/mysql of mysql."
    ) in uncovered(stack_of(host))


def test_a_mysql_whose_files_are_archived_is_covered(host):
    host.add("mysql", "mysql:8", volumes={"/var/lib/mysql": "crm_mysql"})
    host.change("evolution", env={**EVOLUTION_ENV, "DATABASE_CONNECTION_URI": "mysql://evo:x@mysql/evo"})
    stack = stack_of(host)

    check_coverage(stack, require_session=True)

    assert uncovered(stack) == []


def test_what_is_outside_is_a_warning_with_what_to_do(host):
    host.change("evolution", env={**EVOLUTION_ENV, "S3_ENABLED": "true", "S3_BUCKET": "media"})

    (warning,) = uncovered(stack_of(host))

    assert warning.startswith(
        "Outside: media is not covered: S3_ENABLED=true, S3_BUCKET=media: it is outside this host"
    )


def test_a_managed_database_is_covered_and_no_warning(host):
    env = {**EVOLUTION_ENV, "DATABASE_CONNECTION_URI": "postgresql://evo:x@db.example.com:25060/evo"}
    host.change("evolution", env=env)

    assert uncovered(stack_of(host)) == []


# How it stands still


def test_modes_that_make_sense_are_no_warnings(host):
    host.add("mariadb", "mariadb:11", volumes={"/var/lib/mysql": "crm_mariadb"})

    assert check_freeze(stack_of(host), {"mariadb": "pause", "evolution": "none", "postgres": "none"}) == []


def test_a_server_that_is_dumped_cannot_be_frozen(host):
    (warning,) = check_freeze(stack_of(host), {"postgres": "stop"})

    assert "freeze names postgres, which goes on running" in warning


def test_files_of_a_server_that_goes_on_are_a_warning(host):
    host.add("mariadb", "mariadb:11", volumes={"/var/lib/mysql": "crm_mariadb"})

    (warning,) = check_freeze(stack_of(host), {"mariadb": "none"})

    assert "freeze lets mariadb run while its files are copied" in warning
    assert "Use stop, or pause." in warning


# Where its data is


def test_all_volumes_are_looked_for_also_those_that_are_not_archived(host):
    host.add("files", "nginx", volumes={"/cache": "crm_cache"}, binds={"/media": str(host.directory / "media")})
    (host.directory / "media").mkdir()

    directories = data_directories(host, stack_of(host, exclude=("crm_cache",)))

    assert set(directories) == {
        str(host.directory / "media"),
        *(str(host.data(name)) for name in ("crm_instances", "crm_redis", "crm_pg", "crm_cache")),
    }


def test_a_volume_whose_directory_is_not_here_is_refused(host):
    for path in sorted(host.data("crm_redis").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    host.data("crm_redis").rmdir()

    with pytest.raises(EngineError, match="Volume crm_redis cannot be read: there is no directory"):
        data_directories(host, stack_of(host))


# Where the backup goes


@pytest.mark.parametrize("below", ["", "backups", "backups/crm"])
def test_a_root_inside_the_data_is_refused(host, below):
    place = str(host.data("crm_pg"))
    root = os.path.join(place, below).rstrip("/")

    with pytest.raises(StoreError) as caught:
        check_root(root, stack_of(host), [place])

    assert f"The backup root {root} lies inside {place}, which is backed up itself." in str(caught.value)
    assert "Set crm_backup_root to a directory outside the stack's data." in str(caught.value)


def test_a_root_that_a_link_leads_into_the_data_is_refused(host, tmp_path):
    (tmp_path / "link").symlink_to(host.data("crm_pg"))

    with pytest.raises(StoreError, match="lies inside"):
        check_root(str(tmp_path / "link" / "backups"), stack_of(host), [str(host.data("crm_pg"))])


def test_data_behind_a_link_is_data_too(host, tmp_path):
    (tmp_path / "link").symlink_to(host.data("crm_pg"))

    with pytest.raises(StoreError, match="lies inside"):
        check_root(str(host.data("crm_pg") / "backups"), stack_of(host), [str(tmp_path / "link")])


@pytest.mark.parametrize("name", ["data-backups", "d"])
def test_a_root_beside_the_data_is_accepted(host, tmp_path, name):
    (tmp_path / "data").mkdir()

    check_root(str(tmp_path / name), stack_of(host), [str(tmp_path / "data")])

    assert not (tmp_path / name).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_root_on_a_read_only_disk_is_refused(host, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        with pytest.raises(StoreError) as caught:
            check_root(str(disk / "backups" / "crm"), stack_of(host), [])
    finally:
        subprocess.run(["umount", disk], check=True)

    assert str(caught.value) == (f"{disk} is on a read-only file system. Mount it writable or set crm_backup_root.")


def test_a_disk_with_less_space_than_the_last_backup_took_is_refused(host, tmp_path):
    root = tmp_path / "root"
    put_backup(root, "20261120T020000Z", 1)
    put_backup(root, "20261121T020000Z", 1 << 60)

    with pytest.raises(StoreError) as caught:
        check_root(str(root), stack_of(host), [])

    words = str(caught.value)
    assert re.search(rf"{root} has \d+ bytes free, and the last backup of stack crm took {1 << 60}\.", words)
    assert "Free space there or set crm_backup_root to another disk." in words


def test_a_disk_with_as_much_space_as_the_last_backup_took_is_accepted(host, tmp_path):
    root = tmp_path / "root"
    put_backup(root, "20261120T020000Z", 1 << 60)
    put_backup(root, "20261121T020000Z", free_bytes(tmp_path) // 2)

    check_root(str(root), stack_of(host), [])


def test_the_size_is_taken_from_the_last_backup_that_can_be_read(host, tmp_path):
    root = tmp_path / "root"
    put_backup(root, "20261120T020000Z", 1 << 60)
    (put_backup(root, "20261121T020000Z", 1) / NAME).write_text("damaged")

    with pytest.raises(StoreError, match=f"took {1 << 60}"):
        check_root(str(root), stack_of(host), [])


def test_the_first_backup_needs_no_figure(host, tmp_path):
    check_root(str(tmp_path / "not" / "there" / "yet"), stack_of(host), [])
