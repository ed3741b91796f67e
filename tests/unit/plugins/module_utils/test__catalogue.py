# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import shutil

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._catalogue import Catalogue, incomplete
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root

ONE, TWO, THREE = "20261120T020000Z", "20261121T020000Z", "20261122T020000Z"


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


def standing(root, id_=ONE):
    return next(entry.standing for entry in Catalogue(root.log).entries("crm") if entry.backup.id == id_)


def note(root, action, result="ok", id_=ONE, **facts):
    root.log.append(action, stack="crm", backup=id_, result=result, facts=facts)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param([], "unverified", id="taken"),
        pytest.param([("verify", "ok", {"level": "full"})], "verified", id="read as a whole"),
        pytest.param([("verify", "ok", {"level": "quick"})], "unverified", id="looked at"),
        pytest.param([("verify", "ok", {"level": "sample"})], "unverified", id="read in part"),
        pytest.param([("drill", "ok", {})], "verified", id="restored"),
        pytest.param([("verify", "failed", {"level": "quick", "problems": ["x"]})], "damaged", id="damaged"),
        pytest.param(
            [("verify", "ok", {"level": "full"}), ("verify", "failed", {"level": "quick"})], "damaged", id="since then"
        ),
        pytest.param(
            [("verify", "failed", {"level": "full"}), ("verify", "ok", {"level": "quick"})], "damaged", id="no proof"
        ),
        pytest.param(
            [("verify", "failed", {"level": "full"}), ("verify", "ok", {"level": "full"})], "verified", id="mended"
        ),
        pytest.param([("verify", "refused", {"level": "full"})], "damaged", id="not signed"),
        pytest.param([("drill", "failed", {"message": "x"})], "damaged", id="drill failed"),
        pytest.param([("restore", "failed", {})], "unverified", id="a restore has reasons of its own"),
        pytest.param([("verify", "ok", {"level": "full"}), ("backup", "ok", {})], "unverified", id="the ID again"),
        pytest.param([("verify", "ok", {"level": "full"}), ("prune", "ok", {})], "unverified", id="pruned and back"),
        pytest.param([("hold", "ok", {"reason": "x"})], "unverified", id="held"),
        pytest.param([("backup", "anomalous", {"anomalies": ["x"]})], "anomalous", id="anomalous"),
        pytest.param(
            [("backup", "anomalous", {"anomalies": ["x"]}), ("verify", "ok", {"level": "full"})],
            "anomalous",
            id="anomalous and sound",
        ),
        pytest.param(
            [
                ("backup", "anomalous", {"anomalies": ["x"]}),
                ("verify", "ok", {"level": "full"}),
                ("accept", "ok", {"reason": "y"}),
            ],
            "verified",
            id="accepted",
        ),
    ],
)
def test_the_standing_follows_from_the_events(root, events, expected):
    root.take(ONE, verified=False)
    for action, result, facts in events:
        note(root, action, result, **facts)

    assert standing(root).word == expected


def test_a_hold_has_its_reason_until_it_is_released(root):
    root.take(ONE)
    note(root, "hold", reason="lawsuit 17")
    held = standing(root).held
    note(root, "release")

    assert (held, standing(root).held) == ("lawsuit 17", None)


def test_an_anomaly_that_the_log_does_not_know_is_in_the_manifest(root):
    root.put(ONE, warnings=("Anomalous: too small.", "volume x is not covered"))
    root.verify(ONE)

    assert (standing(root).word, standing(root).anomalies) == ("anomalous", ("too small.",))


def test_a_backup_with_a_damaged_manifest_is_damaged(root):
    (root.take(ONE) / NAME).write_text("{}")

    assert standing(root).word == "damaged"


def test_a_backup_that_took_the_name_of_a_verified_one_is_not_verified(root):
    root.take(ONE)
    other = root.put(TWO)
    shutil.rmtree(root.path / "crm" / ONE)
    other.rename(root.path / "crm" / ONE)

    assert standing(root).word == "damaged"
    assert "SHA256SUMS is not the one that the audit log knows" in standing(root).damage


def test_a_backup_that_only_a_verification_knows_is_known_by_its_manifest(root):
    place = root.put(ONE)
    root.verify(ONE, manifest_sha256=file_sha256(str(place / NAME)).sha256)
    before = standing(root).word
    shutil.rmtree(place)
    root.put(ONE, host="another")

    assert (before, standing(root).word) == ("verified", "damaged")


def test_other_keys_mean_another_verification(root):
    place = root.take(ONE)
    shutil.rmtree(place)
    sums = file_sha256(str(root.put(ONE, host="another") / SUMS)).sha256
    note(root, "rekey", sums_sha256=sums)
    rekeyed = standing(root)
    root.verify(ONE)

    assert (rekeyed.word, standing(root).word) == ("unverified", "verified")


def test_backups_are_in_the_order_of_their_arrival(root):
    for id_ in (TWO, THREE, ONE):
        root.take(id_)

    assert [entry.backup.id for entry in Catalogue(root.log).entries("crm")] == [TWO, THREE, ONE]


@pytest.mark.parametrize("action", ["adopt", "transfer"])
def test_what_was_taken_elsewhere_is_as_old_as_its_id_says(root, action):
    root.take(TWO)
    root.put(ONE)
    note(root, action)

    entries = Catalogue(root.log).entries("crm")

    assert [entry.backup.id for entry in entries] == [ONE, TWO]
    assert entries[0].standing.arrived_at is not None


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        (["ok"], None),
        (["ok", "failed"], "failed: No space."),
        (["failed", "ok"], None),
        (["failed", "anomalous"], None),
        (["ok", "refused"], "failed: No space."),
        ([], None),
    ],
)
def test_the_last_try_counts(root, tries, expected):
    for result in tries:
        root.log.append("backup", stack="crm", result=result, facts={"message": "No space."})
    root.log.append("backup", stack="other", result="failed")

    said = Catalogue(root.log).failed_attempt("crm")

    assert said is None if expected is None else expected in said


# When the log is not whole


def lines(root):
    return (root.path / "audit.jsonl").read_bytes().splitlines(keepends=True)


def write(root, content):
    (root.path / "audit.jsonl").write_bytes(b"".join(content))


def test_without_a_log_nothing_is_verified(root):
    root.put(ONE)
    catalogue = Catalogue(root.log)

    assert "There is no audit log" in catalogue.distrust
    assert catalogue.entries("crm")[0].standing.word == "unverified"


@pytest.mark.parametrize("damage", ["gone", "empty", "cut off", "written anew"])
def test_when_the_end_of_the_log_is_missing_nothing_is_verified(root, damage):
    for id_ in (ONE, TWO):
        root.take(id_)
    if damage == "gone":
        (root.path / "audit.jsonl").unlink()
    elif damage == "written anew":
        write(root, [line.replace(b'"full"', b'"most"') for line in lines(root)])
    else:
        write(root, lines(root)[:3] if damage == "cut off" else [])

    catalogue = Catalogue(root.log)

    assert catalogue.distrust
    assert [entry.standing.word for entry in catalogue.entries("crm")] == ["unverified"] * 2


def test_a_line_that_was_changed_takes_away_all_proof_before_it_and_no_hold(root):
    root.take(ONE)
    note(root, "hold", reason="x")
    note(root, "release")
    root.log.append("note", facts={"text": "a"})
    for id_ in (TWO, THREE):
        root.take(id_)
    content = lines(root)
    content[4] = content[4].replace(b'"a"', b'"b"')
    write(root, content)

    catalogue = Catalogue(root.log)

    assert catalogue.distrust is None
    assert "was not written after line 5" in " ".join(catalogue.warnings())
    assert [(entry.standing.word, entry.standing.held) for entry in catalogue.entries("crm")] == [
        ("unverified", "x"),
        ("verified", None),
        ("verified", None),
    ]


def test_what_is_verified_after_a_break_counts_again(root):
    for id_ in (ONE, TWO):
        root.take(id_)
    write(root, lines(root)[:2])
    root.verify(TWO)

    catalogue = Catalogue(root.log)

    assert catalogue.distrust is None
    assert catalogue.warnings()
    assert [entry.standing.word for entry in catalogue.entries("crm")] == ["unverified", "verified"]


def test_a_line_that_a_power_cut_tore_costs_no_proof(root):
    root.take(ONE)
    with open(root.path / "audit.jsonl", "ab") as stream:
        stream.write(b'{"sequence":3,"at":"2026')
    torn = Catalogue(root.log)
    root.take(TWO)

    for catalogue in (torn, Catalogue(root.log)):
        assert catalogue.distrust is None
        assert catalogue.warnings() == []
        assert catalogue.entries("crm")[0].standing.word == "verified"


# Whether the files are there


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda place: None, None),
        (lambda place: (place / "volumes" / "storage.tar").unlink(), "No such file"),
        (lambda place: (place / "volumes" / "storage.tar").write_bytes(b"x"), "has 1 bytes, and 19 are expected"),
        (lambda place: (place / NAME).unlink(), "does not exist"),
    ],
    ids=["whole", "missing", "cut off", "no manifest"],
)
def test_a_look_finds_what_is_missing(root, damage, words):
    damage(root.take(ONE))

    found = incomplete(Catalogue(root.log).entries("crm")[0])

    assert found is None if words is None else words in found
