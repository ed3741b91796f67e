# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._engine import Image
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import Composed, Unknown
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_images import (
    compare,
    findings,
    fits,
    pins,
    volume_finding,
)
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, manifest, source

IMAGE = "chatwoot/chatwoot:v4.15.1"
ID = "sha256:" + "a" * 64
DIGEST = "chatwoot/chatwoot@sha256:" + "d" * 64
OTHER = "chatwoot/chatwoot@sha256:" + "e" * 64
(SERVICE,) = source()["services"]
(VOLUME,) = source()["volumes"]


def compared(wanted, images=None, digests=(DIGEST,), image=IMAGE):
    backup = manifest(source=source(services=[{**SERVICE, "image": image, "digests": list(digests)}]))
    engine = FakeEngine()
    engine.images.update(images or {})
    compose = Composed("x", {"services": {"rails": {"image": wanted}}}) if wanted else Unknown("no compose")
    return compare(backup, engine, compose, {})


@pytest.mark.parametrize(
    ("wanted", "images", "digests", "verdict"),
    [
        pytest.param(IMAGE, {IMAGE: Image(ID)}, (), "same", id="same ID"),
        pytest.param(IMAGE, {IMAGE: Image("sha256:x", (DIGEST,))}, (DIGEST,), "same", id="same digest"),
        pytest.param("chatwoot/chatwoot:stable", {"chatwoot/chatwoot:stable": Image(ID)}, (), "same", id="other tag"),
        pytest.param(DIGEST, {}, (DIGEST,), "same", id="named by digest"),
        pytest.param(OTHER, {}, (DIGEST,), "different", id="named by another digest"),
        pytest.param(OTHER, {}, (), "unknown", id="named by a digest that nothing can be compared with"),
        pytest.param(IMAGE, {IMAGE: Image("sha256:x", (OTHER,))}, (DIGEST,), "different", id="same tag, other digest"),
        pytest.param(IMAGE, {}, (DIGEST,), "unknown", id="same tag, not here"),
        pytest.param("chatwoot/chatwoot:v4.16.0", {}, (DIGEST,), "different", id="newer"),
        pytest.param(None, {}, (DIGEST,), "unknown", id="not known"),
    ],
)
def test_an_image_is_compared_by_what_it_is(wanted, images, digests, verdict):
    assert [entry.verdict for entry in compared(wanted, images, digests)] == [verdict]


def test_without_compose_the_container_says_which_image_is_started():
    backup = manifest()
    engine = FakeEngine()
    engine.images["chatwoot/chatwoot:v4.16.0"] = Image("sha256:x")
    containers = {"rails": container("rails", "chatwoot/chatwoot:v4.16.0")}

    (found,) = compare(backup, engine, Unknown("x"), containers)

    assert (found.verdict, found.wanted) == ("different", "chatwoot/chatwoot:v4.16.0")


@pytest.mark.parametrize(
    ("policy", "wanted", "images", "digests", "severity"),
    [
        ("warn", IMAGE, {IMAGE: Image(ID)}, (), "ok"),
        ("warn", "other:1", {}, (DIGEST,), "warn"),
        ("refuse", "other:1", {}, (DIGEST,), "refuse"),
        ("refuse", IMAGE, {}, (DIGEST,), "warn"),
        ("pin", "other:1", {}, (DIGEST,), "warn"),
        ("pin", "other:1", {}, (), "refuse"),
        ("pin", "other:1", {ID: Image(ID)}, (), "warn"),
    ],
)
def test_the_policy_decides_about_another_image(policy, wanted, images, digests, severity):
    (found,) = findings(compared(wanted, images, digests), policy)

    assert found.severity == severity


def test_a_pin_is_the_digest_of_the_backup_or_the_image_that_is_still_here():
    assert pins(compared("other:1")) == {"rails": DIGEST}
    assert pins(compared("other:1", {ID: Image(ID)}, ())) == {"rails": ID}
    assert pins(compared("other:1", {}, ())) == {}
    assert pins(compared(IMAGE, {IMAGE: Image(ID)})) == {}


def test_of_several_digests_the_one_of_the_repository_is_pinned():
    mirror = "registry.example.com/mirror@sha256:" + "d" * 64

    assert pins(compared("other:1", digests=(mirror, DIGEST))) == {"rails": DIGEST}


@pytest.mark.parametrize(
    ("wanted", "images", "policy", "image", "expected"),
    [
        pytest.param(IMAGE, {IMAGE: Image(ID)}, "warn", IMAGE, True, id="same"),
        pytest.param("chatwoot/chatwoot:v4.16.0", {}, "warn", IMAGE, False, id="newer"),
        pytest.param("chatwoot/chatwoot:v4.16.0", {}, "pin", IMAGE, True, id="pinned"),
        pytest.param(IMAGE, {}, "warn", IMAGE, True, id="same tag that does not move"),
        pytest.param("c/c:latest", {}, "warn", "c/c:latest", False, id="same tag that moves"),
        pytest.param("c/c", {}, "warn", "c/c", False, id="no tag"),
        pytest.param(None, {}, "warn", IMAGE, False, id="not known"),
    ],
)
def test_files_of_an_image_go_onto_no_other(wanted, images, policy, image, expected):
    assert fits(VOLUME, compared(wanted, images, image=image), policy) is expected


def test_a_volume_of_another_service_is_none_of_their_business():
    assert fits({**VOLUME, "mounts": [{"service": "files", "path": "/x"}]}, compared("other:1"), "warn")


def test_public_files_stay_and_files_of_a_server_are_a_reason_to_refuse():
    assert volume_finding(VOLUME, "crm").severity == "warn"
    assert (
        volume_finding({**VOLUME, "profile": None, "note": "it holds the files of MySQL"}, "crm").severity == "refuse"
    )
