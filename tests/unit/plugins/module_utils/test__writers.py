# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._freeze import Target
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.plugins.module_utils._writers import unfrozen_writers
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import container


@pytest.fixture
def host(tmp_path, monkeypatch):
    return crm_host(tmp_path, monkeypatch)


def writers(host, *frozen):
    stack = find_one(host, host.profiles, Request("crm"))
    targets = [Target(name, name, "pause") for name in frozen]
    return [(data.name, container.name) for data, container in unfrozen_writers(host, stack, targets)]


ALL = ("web", "worker", "evolution", "redis")


def test_when_everything_is_frozen_nothing_writes(host):
    assert writers(host, *ALL) == []


def test_what_is_not_frozen_writes_to_what_it_mounts(host):
    assert writers(host, "web", "worker", "redis") == [("crm_instances", "crm-evolution-1")]


@pytest.mark.parametrize("state", ["exited", "paused", "created"])
def test_what_does_not_run_does_not_write(host, state):
    host.change("evolution", state=state)

    assert writers(host, "web", "worker", "redis") == []


def test_containers_of_others_count(host):
    host.by_id["other"] = container("other", "nginx", project="website", volumes={"/srv": "crm_storage"})

    assert writers(host, *ALL) == [("crm_storage", "website-other-1")]


def test_who_only_reads_does_not_write(host):
    host.by_id["other"] = container("other", "nginx", project="website", volumes={"/srv:ro": "crm_storage"})

    assert writers(host, *ALL) == []


@pytest.mark.parametrize(("below", "counts"), [("", True), ("inner", True), ("..", True), ("../elsewhere", False)])
def test_a_directory_may_be_bound_in_parts(host, below, counts):
    place = host.project / "uploads"
    (place / "inner").mkdir(parents=True)
    (host.project / "elsewhere").mkdir()
    host.add("files", "nginx", binds={"/srv": str(place)})
    host.by_id["other"] = container("other", "x", project=None, binds={"/x": str((place / below).resolve())})

    assert (writers(host, *ALL, "files") != []) is counts
