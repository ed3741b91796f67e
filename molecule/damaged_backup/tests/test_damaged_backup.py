# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator is told of a backup that was damaged, and what happens to the stack when it is restored: nothing."""

from __future__ import annotations

import re

import pytest

ARCHIVE = r"volumes/ticketz_backend_public\.tar\.zst"
DUMP = r"databases/ticketz\.dump\.zst"
NAMED = [
    pytest.param("20260101T000001Z", rf"{ARCHIVE}: is damaged: its SHA-256 is \w+, and \w+ is expected", id="archive"),
    pytest.param("20260101T000002Z", rf"{DUMP}: is damaged: its SHA-256 is \w+, and \w+ is expected", id="dump"),
    pytest.param("20260101T000003Z", r"manifest\.json does not match SHA256SUMS", id="manifest"),
    pytest.param("20260101T000004Z", r"SHA256SUMS", id="sums"),
    pytest.param("20260101T000005Z", rf"{ARCHIVE}: is missing", id="missing"),
    pytest.param("20260101T000006Z", rf"{ARCHIVE}: has \d+ bytes, and \d+ are expected", id="truncated"),
    pytest.param("20260101T000007Z", r"volumes/notes\.txt is not in the manifest", id="foreign"),
    pytest.param("20260101T000008Z", r"manifest\.json has format 2, and this version .* reads up to 1", id="newer"),
    pytest.param("20260101T000009Z", r"manifest\.json is that of backup 20250101T000000Z", id="renamed"),
]
REFUSED = [
    pytest.param("archive", rf"{ARCHIVE} is damaged", id="archive"),
    pytest.param("dump", rf"{DUMP} is damaged: its SHA-256 is", id="dump"),
    pytest.param("manifest", r"manifest\.json does not match SHA256SUMS: .* Use another backup", id="manifest"),
    pytest.param("missing", rf"{ARCHIVE} is missing\. Copy it here from another copy", id="missing"),
    pytest.param("newer", r"format 2, .* Restore it with the version that wrote it, or a newer one", id="newer"),
]


def test_verify_fails_when_one_of_many_is_damaged(evidence):
    assert not evidence.succeeded("verify")


def test_the_sound_one_is_said_to_be_sound(evidence):
    assert evidence.succeeded("verify-sound")
    assert "ticketz 20260101T000000Z: sound" in evidence.said("verify")


@pytest.mark.parametrize(("id_", "problem"), NAMED)
def test_verify_names_the_file_and_what_is_wrong_with_it(evidence, id_, problem):
    said = evidence.said("verify")

    assert f"ticketz {id_}: DAMAGED" in said
    assert re.search(rf"ticketz {id_}: [^\"]*{problem}", said)


@pytest.mark.parametrize(("damage", "problem"), REFUSED)
def test_restore_refuses_and_names_the_file(evidence, damage, problem):
    assert not evidence.succeeded(f"restore-{damage}")
    assert re.search(problem, evidence.said(f"restore-{damage}"))


def test_no_service_was_touched(evidence):
    assert evidence.starts("containers-after") == evidence.starts("containers-before")
    assert set(evidence.states("containers-after").values()) == {"running"}


def test_no_data_was_touched(evidence):
    assert evidence.differences("after", evidence.directory / "before.json") == []
