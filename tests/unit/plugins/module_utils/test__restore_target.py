# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import Composed, Unknown
from ansible_collections.crm.continuity.plugins.module_utils._restore_target import (
    Target,
    as_mounted,
    collisions,
    retarget,
)
from ansible_collections.crm.continuity.tests.unit.fakes import manifest, source

PROJECT, VOLUME = "com.docker.compose.project", "com.docker.compose.volume"
SILENT = Unknown("there is no compose")
(VOLUME_ENTRY,) = source()["volumes"]
(DATABASE_ENTRY,) = source()["databases"]


def volume(**more):
    return {**VOLUME_ENTRY, **more}


def backup(*volumes, **more):
    return manifest(source=source(volumes=list(volumes or [VOLUME_ENTRY]), **more))


def sources(found):
    return [entry["source"] for entry in found.source["volumes"]]


def test_without_a_target_nothing_changes():
    wanted = backup(compose_files=["/opt/crm/compose.yml"])

    assert retarget(wanted, Target()) == wanted
    assert retarget(wanted, Target("crm")) == wanted


def test_a_volume_that_compose_named_is_named_after_the_new_project():
    labels = {PROJECT: "crm", VOLUME: "storage", "com.docker.compose.config-hash": "abc", "backup": "no"}

    found = retarget(backup(volume(labels=labels)), Target("crm2"))

    (entry,) = found.source["volumes"]
    assert (found.stack, entry["name"], entry["source"]) == ("crm2", "crm_storage", "crm2_storage")
    # The hash is over the name too: with the old one, compose would take the volume for one that was changed.
    assert entry["labels"] == {PROJECT: "crm2", VOLUME: "storage", "backup": "no"}


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(
            volume(source="media", labels={PROJECT: "crm", VOLUME: "storage"}), id="named in the compose file"
        ),
        pytest.param(volume(source="crm_media", labels={}), id="external"),
        pytest.param(volume(kind="bind", source="/srv/media", labels={}), id="outside the project directory"),
    ],
)
def test_what_compose_did_not_name_stays_unless_it_is_mapped(entry):
    assert sources(retarget(backup(entry), Target("crm2"))) == [entry["source"]]
    assert sources(retarget(backup(entry), Target("crm2", volumes={entry["source"]: "other"}))) == ["other"]


def test_everything_below_the_project_directory_moves_with_it():
    bind = volume(kind="bind", source="/opt/crm/data/media", labels={})
    wanted = backup(bind, compose_files=["/opt/crm/compose.yml", "/srv/extra.yml"], environment_files=["/opt/crm/.env"])

    found = retarget(wanted, Target("crm2")).source

    assert found["project_dir"] == "/opt/crm2"
    assert found["compose_files"] == ["/opt/crm2/compose.yml", "/srv/extra.yml"]
    assert found["environment_files"] == ["/opt/crm2/.env"]
    assert found["volumes"][0]["source"] == "/opt/crm2/data/media"


def test_the_directory_may_be_another_for_the_same_name():
    found = retarget(backup(volume(kind="bind", source="/opt/crm", labels={})), Target(project_dir="/srv/crm"))

    assert (found.stack, found.source["project_dir"], sources(found)) == ("crm", "/srv/crm", ["/srv/crm"])


@pytest.mark.parametrize("option", ["volumes", "databases"])
def test_a_map_that_names_nothing_is_an_error(option):
    with pytest.raises(StackError, match=f"{option} maps crm_typo, which the backup does not have"):
        retarget(backup(), Target("crm2", **{option: {"crm_typo": "x"}}))


def compose(**service):
    return Composed("x", {"services": {"rails": service}, "volumes": {"media": {"name": "shared_media"}}})


MOUNTED = compose(volumes=[{"type": "volume", "source": "media", "target": "/app/storage"}])


def test_compose_knows_best_what_it_will_mount_for_a_copy():
    original = backup(volume(source="media", labels={}))
    target = Target("crm2")

    assert sources(as_mounted(retarget(original, target), original, target, MOUNTED)) == ["shared_media"]
    assert sources(as_mounted(retarget(original, target), original, target, SILENT)) == ["media"]


def test_a_map_wins_over_compose():
    original, target = backup(volume(source="media", labels={})), Target("crm2", volumes={"media": "mine"})

    assert sources(as_mounted(retarget(original, target), original, target, MOUNTED)) == ["mine"]


def test_in_place_the_backup_knows_best():
    original = backup(volume(source="media"))

    assert sources(as_mounted(original, original, Target(), MOUNTED)) == ["media"]


def shared(original, target, exists=True):
    return [(e.check, e.severity) for e in collisions(retarget(original, target), original, target, lambda _e: exists)]


@pytest.mark.parametrize(
    ("original", "target", "expected"),
    [
        pytest.param(backup(), Target("crm2"), [], id="volumes of its own"),
        pytest.param(backup(volume(source="media")), Target(), [], id="in place"),
        pytest.param(backup(volume(source="media")), Target("crm2"), [("shared_data", "refuse")], id="shared volume"),
        pytest.param(
            backup(volume(kind="bind", source="/srv/media")),
            Target("crm2"),
            [("shared_data", "refuse")],
            id="shared bind",
        ),
        pytest.param(
            backup(volume(source="media")), Target("crm2", volumes={"media": "media2"}), [], id="mapped to another"
        ),
        pytest.param(backup(volume(source="media", coverage="none")), Target("crm2"), [], id="not in the backup"),
        pytest.param(backup(volume(source="a" * 64, labels={})), Target("crm2"), [("mounts", "warn")], id="anonymous"),
        pytest.param(
            backup(databases=[{**DATABASE_ENTRY, "service": None}]),
            Target("crm2"),
            [("shared_data", "refuse")],
            id="database outside",
        ),
        pytest.param(
            backup(databases=[{**DATABASE_ENTRY, "service": None}]),
            Target("crm2", databases={"chatwoot": "chatwoot2"}),
            [],
            id="database outside, mapped",
        ),
        pytest.param(
            backup(redis=[{"name": "chatwoot", "host": "cache.example.com", "container": None, "service": None}]),
            Target("crm2"),
            [("outside", "refuse")],
            id="redis outside",
        ),
        pytest.param(
            backup(redis=[{"name": "chatwoot", "host": "redis", "container": "crm-redis-1", "service": "redis"}]),
            Target("crm2"),
            [],
            id="redis of the stack",
        ),
        pytest.param(
            backup(outside=[{"name": "attachments", "where": "S3 bucket crm"}]),
            Target("crm2"),
            [("outside", "warn")],
            id="object storage",
        ),
    ],
)
def test_what_a_copy_would_share_with_the_original_is_found(original, target, expected):
    assert shared(original, target) == expected


def test_what_is_not_on_this_host_is_nobody_elses():
    assert shared(backup(volume(source="media")), Target("crm2"), exists=False) == []
