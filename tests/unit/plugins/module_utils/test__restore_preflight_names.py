# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import Composed
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_names import check
from ansible_collections.crm.continuity.plugins.module_utils._restore_target import Target, retarget
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, manifest

ORIGINAL = manifest()
CLONE = retarget(ORIGINAL, Target("crm2"))
MOUNT = {"type": "volume", "source": "storage", "target": "/app/storage"}


class Publishing(FakeEngine):
    """An engine whose containers publish a port of every address."""

    bindings: t.ClassVar = {"3000/tcp": [{"HostIp": "", "HostPort": "3000"}], "53/udp": None}

    def inspect(self, id_):
        return {**super().inspect(id_), "HostConfig": {"PortBindings": self.bindings}}


def found(service, *, wanted=CLONE, others=(), networks=None, names=None, volumes=None):
    model = {
        "services": {"rails": {"volumes": [MOUNT], **service}},
        "volumes": volumes or {"storage": {"name": f"{wanted.stack}_storage"}},
        "networks": networks or {},
    }
    entries = check(wanted, ORIGINAL, Composed("x", model, names or {}), Publishing(others), others, ["rails"])
    return [(entry.check, entry.severity) for entry in entries]


def port(number, address="", protocol="tcp"):
    return {"ports": [{"published": str(number), "host_ip": address, "protocol": protocol}]}


OTHER = container("web", "nginx", project="other")


@pytest.mark.parametrize(
    ("service", "others", "expected"),
    [
        pytest.param({}, [OTHER], [], id="nothing published"),
        pytest.param(port(3000), [OTHER], [("ports", "refuse")], id="taken"),
        pytest.param(port(3000, "127.0.0.1"), [OTHER], [("ports", "refuse")], id="taken at every address"),
        pytest.param(port(3000, protocol="udp"), [OTHER], [], id="other protocol"),
        pytest.param(port(3001), [OTHER], [], id="other port"),
        pytest.param(port(3000), [], [], id="nobody else"),
        pytest.param(port(3000), [container("web", "nginx", project="other", state="exited")], [], id="stopped"),
    ],
)
def test_a_port_that_somebody_has_is_found(service, others, expected):
    assert found(service, others=others) == expected


def test_a_port_of_two_addresses_is_no_collision(monkeypatch):
    monkeypatch.setattr(Publishing, "bindings", {"80/tcp": [{"HostIp": "192.0.2.1", "HostPort": "80"}]})

    assert found(port(80, "192.0.2.2"), others=[OTHER]) == []


def test_a_fixed_container_name_that_is_taken_is_found():
    assert found({"container_name": "other-web-1"}, others=[OTHER]) == [("names", "refuse")]
    assert found({"container_name": "crm2-web"}, others=[OTHER]) == []


@pytest.mark.parametrize(
    ("wanted", "name", "expected"), [(CLONE, "crm", [("names", "warn")]), (CLONE, "crm2", []), (ORIGINAL, "crm", [])]
)
def test_a_file_that_names_another_project_is_found(wanted, name, expected):
    assert found({}, wanted=wanted, names={"/opt/crm2/.env": name}) == expected


@pytest.mark.parametrize(
    ("wanted", "network", "expected"),
    [
        (CLONE, {"name": "crm2_default"}, []),
        (CLONE, {"name": "proxy", "external": True}, [("names", "warn")]),
        (CLONE, {"name": "crm_default"}, [("names", "warn")]),
        (ORIGINAL, {"name": "proxy", "external": True}, []),
    ],
)
def test_a_network_that_a_copy_would_share_is_found(wanted, network, expected):
    assert found({}, wanted=wanted, networks={"n": network}) == expected


@pytest.mark.parametrize(
    ("service", "volumes"),
    [({"volumes": []}, None), ({}, {"storage": {"name": "crm_media"}})],
    ids=["nothing", "something else"],
)
def test_a_service_that_would_not_see_what_is_restored_is_found(service, volumes):
    assert found(service, wanted=ORIGINAL, volumes=volumes) == [("mounts", "warn")]
