# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._engine import Volume
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, StackError
from ansible_collections.crm.continuity.plugins.module_utils._volume_directory import (
    has_quota,
    is_inside,
    is_mount_point,
    mounts_below,
    refuse_users,
    volume_directory,
)
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container


def volume(tmp_path, driver="local", **options):
    directory = tmp_path / "v" / "_data"
    directory.mkdir(parents=True, exist_ok=True)
    return Volume("v", driver, str(directory), options=options)


def test_a_local_volume_is_its_mountpoint(tmp_path):
    assert volume_directory(volume(tmp_path)) == str(tmp_path / "v" / "_data")
    assert volume_directory(volume(tmp_path, size="1G")) == str(tmp_path / "v" / "_data")


def test_another_driver_is_refused_by_name(tmp_path):
    with pytest.raises(EngineError, match=r"driver rexray.*local"):
        volume_directory(volume(tmp_path, "rexray"))


def test_a_bound_directory_is_read_where_it_is(tmp_path):
    (tmp_path / "srv").mkdir()
    (tmp_path / "link").symlink_to("srv")

    bound = volume(tmp_path, type="none", o="bind,rw", device=str(tmp_path / "link"))

    assert volume_directory(bound) == str(tmp_path / "srv")


def test_a_volume_that_is_not_mounted_now_is_refused(tmp_path):
    with pytest.raises(EngineError, match=r"type nfs .*not\. Start a container"):
        volume_directory(volume(tmp_path, type="nfs", o="addr=192.0.2.1", device=":/export"))


def test_a_directory_that_is_not_here_is_explained(tmp_path):
    with pytest.raises(EngineError, match="host of the Docker daemon"):
        volume_directory(Volume("v", "local", str(tmp_path / "nowhere")))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_that_may_not_be_read_asks_for_root(tmp_path):
    closed = volume(tmp_path)
    os.chmod(closed.mountpoint, 0)

    with pytest.raises(EngineError, match="become"):
        volume_directory(closed)


def test_quotas_are_recognised(tmp_path):
    assert has_quota(volume(tmp_path, size="1G"))
    assert not has_quota(volume(tmp_path))
    assert not has_quota(volume(tmp_path, size="1G", o="bind", device="/srv"))


@pytest.mark.parametrize("state", ["running", "paused", "restarting"])
def test_running_users_are_named(state, tmp_path):
    engine = FakeEngine(
        [
            container("rails", "chatwoot/chatwoot", volumes={"/app/storage": "v"}, state=state),
            container("other", "redis", volumes={"/data": "w"}),
        ]
    )

    with pytest.raises(StackError, match=r"container crm-rails-1\. Stop it") as caught:
        refuse_users(engine, "Volume v", "v", str(tmp_path))

    assert caught.value.details["containers"] == ["crm-rails-1"]


def test_containers_that_bind_the_directory_or_a_part_of_it_are_users_too(tmp_path):
    engine = FakeEngine(
        [
            container("whole", "nginx", binds={"/www": str(tmp_path / "v")}),
            container("part", "nginx", binds={"/www": str(tmp_path / "v" / "public")}),
            container("monitor", "cadvisor", binds={"/rootfs:ro": "/", "/data:ro": str(tmp_path)}),
        ]
    )

    with pytest.raises(StackError) as caught:
        refuse_users(engine, "Volume v", "v", str(tmp_path / "v"))

    assert caught.value.details["containers"] == ["crm-part-1", "crm-whole-1"]


def test_stopped_containers_are_no_users(tmp_path):
    engine = FakeEngine([container("rails", "x", volumes={"/x": "v"}, state="exited")])

    refuse_users(engine, "Volume v", "v", str(tmp_path))


def test_inside_is_meant_by_real_paths(tmp_path):
    (tmp_path / "v").mkdir()
    (tmp_path / "link").symlink_to("v")

    assert is_inside(str(tmp_path / "link" / "x"), str(tmp_path / "v"))
    assert is_inside(str(tmp_path / "v"), str(tmp_path / "v"))
    assert not is_inside(str(tmp_path / "v2"), str(tmp_path / "v"))
    assert not is_inside(str(tmp_path / "v" / ".." / "x"), str(tmp_path / "v"))


def test_mounts_are_found_whatever_they_are_called(tmp_path):
    odd = tmp_path / "with blank\tand tab"
    odd.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", odd], check=False).returncode:
        pytest.skip("mounting is not possible here")
    try:
        assert is_mount_point(str(odd))
        assert not is_mount_point(str(tmp_path))
        assert mounts_below(str(tmp_path)) == [str(odd)]
        assert mounts_below(str(odd)) == []
    finally:
        subprocess.run(["umount", odd], check=True)
