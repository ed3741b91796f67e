# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, decode, encode, read, sums
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest, source


def publish(directory, wanted):
    encoded = encode(wanted)
    (directory / NAME).write_bytes(encoded)
    (directory / SUMS).write_bytes(sums(wanted, encoded))
    return str(directory)


def test_what_is_written_is_what_is_read(tmp_path):
    wanted = manifest(warnings=("etwas fehlt", "ação"), session=({"profile": "evolution", "covered": True},))

    assert read(publish(tmp_path, wanted)) == wanted


def test_a_manifest_is_written_the_same_way_every_time():
    assert encode(manifest()) == encode(decode(encode(manifest()), "/b"))


def test_names_that_are_no_unicode_survive(tmp_path):
    name = b"mountpoint-\xff".decode(errors="surrogateescape")
    wanted = manifest(source=source(project_dir=f"/opt/{name}"))

    assert read(publish(tmp_path, wanted)).source["project_dir"] == f"/opt/{name}"


def test_the_checksums_are_those_of_stock_tools(tmp_path):
    (tmp_path / "volumes").mkdir()
    (tmp_path / "volumes" / "a b é.tar").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    publish(tmp_path, manifest(artifacts=(artifact("volumes/a b é.tar", sha256=known),)))

    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", SUMS], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stdout.count(": OK")) == (0, 2), checked.stdout + checked.stderr


def test_the_size_of_a_backup_is_that_of_its_artifacts():
    assert manifest(artifacts=(artifact("a", size=3), artifact("b", size=4))).size == 7


def test_an_artifact_is_found_by_what_it_holds():
    wanted = manifest()

    assert wanted.find("archive", "crm_storage") == wanted.artifacts[0]
    assert wanted.find("dump") == wanted.artifacts[1]
    assert wanted.find("archive", "other") is None


def test_a_list_of_deleted_names_is_found_apart_from_the_archive():
    listed = artifact("volumes/crm_storage.deleted", "deletions", source="crm_storage")
    wanted = manifest(artifacts=(listed, *manifest().artifacts))

    assert wanted.find("deletions", "crm_storage") == listed
    assert wanted.find("archive", "crm_storage").path == "volumes/crm_storage.tar.zst"
    assert decode(encode(wanted), "/b") == wanted


@pytest.mark.parametrize("name", [NAME, SUMS])
def test_one_flipped_bit_anywhere_is_noticed(tmp_path, name):
    directory = publish(tmp_path, manifest())
    sound = (tmp_path / name).read_bytes()
    unnoticed = []

    for place in range(len(sound)):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << place % 8
        (tmp_path / name).write_bytes(damaged)
        try:
            read(directory)
        except StoreError:
            continue
        unnoticed.append(place)

    assert unnoticed == []


@pytest.mark.parametrize("name", [NAME, SUMS])
def test_a_file_that_ends_too_early_is_noticed(tmp_path, name):
    directory = publish(tmp_path, manifest())
    sound = (tmp_path / name).read_bytes()

    for length in (0, 1, len(sound) // 2, len(sound) - 1):
        (tmp_path / name).write_bytes(sound[:length])
        with pytest.raises(StoreError):
            read(directory)


@pytest.mark.parametrize("name", [NAME, SUMS])
def test_a_missing_file_means_an_incomplete_backup(tmp_path, name):
    directory = publish(tmp_path, manifest())
    (tmp_path / name).unlink()

    with pytest.raises(StoreError, match="is not a complete backup"):
        read(directory)


def test_a_file_that_cannot_be_read_is_an_error_of_that_backup(tmp_path):
    directory = publish(tmp_path, manifest())
    (tmp_path / NAME).unlink()
    (tmp_path / NAME).mkdir()

    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        read(directory)


def test_a_newer_format_is_refused_with_both_numbers():
    data = {**json.loads(encode(manifest())), "format": 2, "from_the_future": True}

    with pytest.raises(StoreError, match=r"has format 2, and this version of crm\.continuity reads up to 1"):
        decode(json.dumps(data).encode(), "/b")


@pytest.mark.parametrize("format_", [0, -1, "1", 1.0, True, None, [1]])
def test_a_format_that_is_no_number_of_ours_is_refused(format_):
    data = {**json.loads(encode(manifest())), "format": format_}

    with pytest.raises(StoreError, match="has format"):
        decode(json.dumps(data).encode(), "/b")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"7", id="a number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no format"),
        pytest.param(b'{"format": 1}', id="nothing else"),
        pytest.param(b"[" * 100_000, id="very deep"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_what_is_no_manifest_is_refused(content):
    with pytest.raises(StoreError, match=r"/b/manifest\.json is not a"):
        decode(content, "/b")


def changed(**changes):
    """Return the JSON of a manifest with some fields changed; ``...`` takes one out."""
    data = {**json.loads(encode(manifest())), **changes}
    return json.dumps({name: value for name, value in data.items() if value is not ...}).encode()


ARCHIVE = {
    "path": "volumes/a.tar",
    "kind": "archive",
    "size": 1,
    "sha256": "0" * 64,
    "plain_sha256": "0" * 64,
    "source": "a",
    "compression": "none",
    "facts": {},
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"artifacts": ...}, id="no artifacts"),
        pytest.param({"artifacts": None}, id="artifacts null"),
        pytest.param({"artifacts": [7]}, id="artifact a number"),
        pytest.param({"artifacts": [{}]}, id="artifact empty"),
        pytest.param({"artifacts": [{**ARCHIVE, "colour": 1}]}, id="artifact with more"),
        pytest.param({"artifacts": [{**ARCHIVE, "path": 7}]}, id="path a number"),
        pytest.param({"artifacts": [{**ARCHIVE, "size": "1"}]}, id="size a word"),
        pytest.param({"artifacts": [{**ARCHIVE, "facts": None}]}, id="facts null"),
        pytest.param({"stack": ...}, id="no stack"),
        pytest.param({"stack": 7}, id="stack a number"),
        pytest.param({"session": ...}, id="no session"),
        pytest.param({"source": []}, id="source a list"),
        pytest.param({"source": {}}, id="source empty"),
        pytest.param({"source": {**source(), "volumes": None}}, id="volumes null"),
        pytest.param({"freeze": {}}, id="freeze empty"),
        pytest.param({"freeze": {"seconds": "1", "services": []}}, id="seconds a word"),
        pytest.param({"more": 1}, id="more"),
    ],
)
def test_an_incomplete_manifest_is_refused(changes):
    with pytest.raises(StoreError, match=r"/b/manifest\.json is not a complete manifest"):
        decode(changed(**changes), "/b")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../other/volumes/a.tar",
        "volumes/../../a.tar",
        "volumes/..",
        "..",
        ".",
        "",
        "./volumes/a.tar",
        "volumes//a.tar",
        "volumes/",
        "a\nb",
        "a\x00b",
        "a\\b",
        NAME,
        SUMS,
    ],
)
def test_an_artifact_that_would_lie_elsewhere_is_refused(path):
    with pytest.raises(StoreError, match="that cannot be right"):
        decode(changed(artifacts=[{**ARCHIVE, "path": path}]), "/b")


def test_an_artifact_that_is_named_twice_is_refused():
    with pytest.raises(StoreError, match="that cannot be right"):
        decode(changed(artifacts=[ARCHIVE, ARCHIVE]), "/b")


def test_an_artifact_of_an_unknown_kind_is_refused():
    with pytest.raises(StoreError, match="that cannot be right"):
        decode(changed(artifacts=[{**ARCHIVE, "kind": "program"}]), "/b")


@pytest.mark.parametrize("path", ["volumes/..a.tar", "databases/a..b.dump", "volumes/a b é.tar"])
def test_an_odd_name_that_stays_inside_is_no_reason_to_refuse(path):
    assert decode(changed(artifacts=[{**ARCHIVE, "path": path}]), "/b").artifacts[0].path == path
