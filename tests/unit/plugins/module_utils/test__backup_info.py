# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_info import Request, describe
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.tests.unit.archives import END
from ansible_collections.crm.continuity.tests.unit.archives import directory as tar_directory
from ansible_collections.crm.continuity.tests.unit.archives import file as tar_file
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest

OLD, NEW = "20261120T020000Z", "20261121T020000Z"


@pytest.fixture
def root(tmp_path):
    """A root with two stacks: crm with two backups, ticketz with one."""
    for stack, id_ in (("crm", OLD), ("crm", NEW), ("ticketz", OLD)):
        directory = tmp_path / stack / id_
        directory.mkdir(parents=True)
        wanted = manifest(stack=stack, id=id_)
        encoded = encode(wanted)
        (directory / NAME).write_bytes(encoded)
        (directory / SUMS).write_bytes(sums(wanted, encoded))
    (tmp_path / "empty").mkdir()
    return tmp_path


def listed(root, **request):
    return [(entry["stack"], entry["id"]) for entry in describe(Request(str(root), **request))]


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({}, [("crm", OLD), ("crm", NEW), ("ticketz", OLD)], id="all"),
        pytest.param({"stack": "crm"}, [("crm", OLD), ("crm", NEW)], id="one stack"),
        pytest.param({"stack": "crm", "id": OLD}, [("crm", OLD)], id="one backup"),
        pytest.param({"id": "latest"}, [("crm", NEW), ("ticketz", OLD)], id="the latest of each"),
        pytest.param({"id": NEW}, [("crm", NEW)], id="one backup of any stack"),
        pytest.param({"stack": "empty", "id": "latest"}, [], id="the latest of none"),
        pytest.param({"stack": "shop"}, [], id="a stack that was never backed up"),
    ],
)
def test_what_was_asked_for_is_listed_oldest_first(root, request_, expected):
    assert listed(root, **request_) == expected


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            {"stack": "crm", "id": "20200101T000000Z"},
            f"no backup 20200101T000000Z of stack crm. The latest are {OLD}, {NEW}",
        ),
        ({"stack": "empty", "id": OLD}, "no backup of stack empty"),
        ({"id": "20200101T000000Z"}, "no backup 20200101T000000Z of any stack"),
        ({"stack": "../crm"}, "cannot be the name of a stack"),
    ],
)
def test_a_backup_that_does_not_exist_is_an_error(root, request_, words):
    with pytest.raises(StoreError) as caught:
        describe(Request(str(root), **request_))

    assert words in str(caught.value)


def test_a_root_that_does_not_exist_holds_nothing(tmp_path):
    assert listed(tmp_path / "none") == []


def test_a_backup_is_described_from_its_manifest(root):
    (entry,) = describe(Request(str(root), "crm", NEW))

    assert entry.pop("standing")["word"] == "unverified"
    assert entry == {
        "stack": "crm",
        "id": NEW,
        "path": str(root / "crm" / NEW),
        "problem": None,
        "size": 12,
        "cut_at": "2026-11-21T02:00:01.500+00:00",
        "host": "crm-a",
        "profiles": ["chatwoot"],
        "frozen_seconds": 1.25,
        "artifacts": 4,
        "warnings": [],
    }


def test_the_whole_manifest_comes_when_asked_for(root):
    (entry,) = describe(Request(str(root), "crm", NEW, manifest=True))

    assert entry["manifest"]["artifacts"][0]["path"] == "volumes/crm_storage.tar.zst"


def test_a_damaged_backup_is_listed_with_its_problem_and_hides_no_other(root):
    (root / "crm" / OLD / NAME).write_text("{}")

    damaged, sound = describe(Request(str(root), "crm"))

    assert "does not match SHA256SUMS" in damaged["problem"]
    assert set(damaged) == {"stack", "id", "path", "problem", "standing"}
    assert sound["problem"] is None


def test_the_standing_is_that_of_the_audit_log(root):
    log = AuditLog(str(root))
    for action, facts in (("verify", {"level": "full"}), ("hold", {"reason": "lawsuit 17"})):
        log.append(action, stack="crm", backup=OLD, facts=facts)

    old, new = (entry["standing"] for entry in describe(Request(str(root), "crm")))

    assert (old["word"], old["held"]) == ("verified", "lawsuit 17")
    assert (new["word"], new["held"], new["verified_at"]) == ("unverified", None, None)


def test_backups_are_listed_without_a_log_that_can_be_read(root):
    (root / "audit.jsonl").mkdir()

    assert [entry["standing"] for entry in describe(Request(str(root), "crm"))] == [None, None]


# What is inside


@pytest.fixture
def filled(root):
    """Put an archive of two names into the newest backup of crm."""
    directory = root / "crm" / NEW
    (directory / "volumes").mkdir()
    archive = directory / "volumes" / "crm_storage.tar"
    archive.write_bytes(tar_directory(b"./") + tar_directory(b"./a/") + tar_file(b"./a/b", b"xyz") + END)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    artifacts = (
        artifact("volumes/crm_storage.tar", source="crm_storage", sha256=digest),
        artifact("databases/chatwoot.dump.zst", "dump", source="chatwoot", facts={"rows": {"public.accounts": 2}}),
        artifact("config/containers.json", "config"),
    )
    wanted = manifest(stack="crm", id=NEW, artifacts=artifacts)
    encoded = encode(wanted)
    (directory / NAME).write_bytes(encoded)
    (directory / SUMS).write_bytes(sums(wanted, encoded))
    return root


def contents_of(root, **more):
    (backup,) = describe(Request(str(root), stack="crm", id=NEW, contents=True, **more))
    return {entry["artifact"]: entry for entry in backup["contents"]}


def test_archives_and_tables_are_listed_when_that_is_asked_for(filled):
    found = contents_of(filled)

    assert set(found) == {"volumes/crm_storage.tar", "databases/chatwoot.dump.zst"}
    assert found["databases/chatwoot.dump.zst"]["tables"] == {"public.accounts": 2}
    archive = found["volumes/crm_storage.tar"]
    assert [(entry["name"], entry["kind"], entry["size"]) for entry in archive["entries"]] == [
        ("a", "directory", 0),
        ("a/b", "file", 3),
    ]
    assert (archive["names"], archive["more"], archive["content_bytes"], archive["problem"]) == (2, 0, 3, None)


def test_what_is_listed_can_be_narrowed(filled):
    found = contents_of(filled, artifact="crm_storage", path="a/*", limit=1)
    shortened = contents_of(filled, artifact="volumes/crm_storage.tar", limit=1)

    assert [entry["name"] for entry in found["volumes/crm_storage.tar"]["entries"]] == ["a/b"]
    assert (shortened["volumes/crm_storage.tar"]["names"], shortened["volumes/crm_storage.tar"]["more"]) == (2, 1)


def test_an_artifact_that_is_not_there_is_refused(filled):
    with pytest.raises(StoreError, match=r"holds no other. It holds volumes/crm_storage.tar, databases"):
        contents_of(filled, artifact="other")


@pytest.mark.parametrize("damage", ["flip", "remove"])
def test_an_archive_that_is_damaged_or_missing_has_a_problem(filled, damage):
    archive = filled / "crm" / NEW / "volumes" / "crm_storage.tar"
    if damage == "flip":
        archive.write_bytes(archive.read_bytes().replace(b"xyz", b"xyZ"))
    else:
        archive.unlink()

    entry = contents_of(filled)["volumes/crm_storage.tar"]

    assert ("is damaged" if damage == "flip" else "is missing") in entry["problem"]
    assert "entries" not in entry
