# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _audit
from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_proof import prove, refuse_strangers
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._backup_verify import Request, verify
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import decode, encode, sums
from ansible_collections.crm.continuity.plugins.module_utils._signature import NO_SIGNERS, Signers, sign
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.signing import signing_key

# All that a restore reads before it unpacks; archives and dumps are compared while they are unpacked.
BEFORE = ("manifest.json", "SHA256SUMS", "SHA256SUMS.sig", "RESTORE.md", "config/", "globals", ".deleted")


class Place:
    """A root with two signed backups of one stack; ``lines`` are the signers."""

    def __init__(self, root, lines):
        self.root = root
        self.lines = lines
        self.old, self.new = Store(str(root)).backups("crm")

    def prove(self, backup=None):
        return prove(backup or self.new, Signers(self.lines))

    def problems(self, **request):
        request = {"stack": "crm", "id": "all", **request}
        report = verify(Request(str(self.root), signers=Signers(self.lines), record=False, **request))
        return [problem for verdict in report.verdicts for problem in verdict.problems] + list(report.log_problems)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        key = signing_key(tmp_path_factory.mktemp("keys"))
        host = crm_host(tmp_path_factory.mktemp("host"), monkeypatch)
        host.back_up(signing_key=key.path)
        (host.directory / "volumes/crm_storage/_data/later").write_text("later", encoding="utf-8")
        taken = host.back_up(signing_key=key.path)
        return Path(host.root), (key.line(taken.manifest.host),)


@pytest.fixture
def place(real, tmp_path):
    root, lines = real
    return Place(Path(shutil.copytree(root, tmp_path / "root")), lines)


def exchange(one, other):
    one, other = Path(one), Path(other)
    kept = one.with_name("kept")
    one.rename(kept)
    other.rename(one)
    kept.rename(other)


def test_what_the_host_has_signed_is_proved(place):
    manifest, proof = place.prove()

    assert (manifest.id, proof.signer) == (place.new.id, manifest.host)
    assert place.problems() == []


def test_an_artifact_of_another_backup_is_found(place):
    exchange(Path(place.old.path, "volumes/crm_storage.tar.zst"), Path(place.new.path, "volumes/crm_storage.tar.zst"))

    problems = place.problems()

    assert len([problem for problem in problems if problem.startswith("volumes/crm_storage.tar.zst")]) == 2


def test_an_older_backup_in_the_place_of_the_newest_is_refused(place):
    shutil.rmtree(place.new.path)
    shutil.copytree(place.old.path, place.new.path)

    with pytest.raises(StoreError, match="the directory was renamed or exchanged"):
        place.prove()
    assert [problem for problem in place.problems() if "was renamed or exchanged" in problem]


def test_an_older_manifest_with_its_signature_is_refused(place):
    for name in ("manifest.json", "SHA256SUMS", "SHA256SUMS.sig"):
        shutil.copy(Path(place.old.path, name), Path(place.new.path, name))

    with pytest.raises(StoreError, match="the directory was renamed or exchanged"):
        place.prove()


def rewrite(backup, change):
    """Change a manifest as someone would who can write to the store and knows how to hide it."""
    path = Path(backup.path, "manifest.json")
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    encoded = encode(decode(json.dumps(data).encode(), backup.path))
    path.write_bytes(encoded)
    Path(backup.path, "SHA256SUMS").write_bytes(sums(decode(encoded, backup.path), encoded))


def test_an_older_manifest_that_was_given_the_newer_id_is_refused_for_its_signature(place):
    for name in ("manifest.json", "SHA256SUMS", "SHA256SUMS.sig"):
        shutil.copy(Path(place.old.path, name), Path(place.new.path, name))
    rewrite(place.new, lambda data: data.update(id=place.new.id))

    with pytest.raises(StoreError, match="is no signature of SHA256SUMS as it is now"):
        place.prove()


@pytest.mark.parametrize("known", [True, False], ids=["signers", "no signers"])
def test_a_manifest_that_was_rewritten_with_right_checksums_is_refused(place, known):
    rewrite(place.new, lambda data: data.update(warnings=[]) or data["source"].update(project_dir="/tmp/evil"))

    with pytest.raises(StoreError, match="is no signature"):
        prove(place.new, Signers(place.lines) if known else NO_SIGNERS)


def test_one_whose_signature_was_removed_too_is_refused_where_signers_are_known(place):
    rewrite(place.new, lambda data: data["source"].update(project_dir="/tmp/evil"))
    Path(place.new.path, "SHA256SUMS.sig").unlink()

    with pytest.raises(StoreError, match="is not signed, and signers are known"):
        place.prove()


def test_one_that_an_intruder_has_signed_is_refused(place, tmp_path):
    rewrite(place.new, lambda data: data["source"].update(project_dir="/tmp/evil"))
    key = signing_key(tmp_path)
    listed = Path(place.new.path, "SHA256SUMS").read_bytes()
    Path(place.new.path, "SHA256SUMS.sig").write_bytes(sign(key.path, listed))

    with pytest.raises(StoreError, match="which is not a key of"):
        place.prove()


def test_a_file_that_was_changed_between_the_check_and_the_restore_is_refused(place):
    manifest, _proof = place.prove()
    archive = manifest.find("archive")
    path = f"{place.new.path}/{archive.path}"

    refuse_strangers(manifest, place.new.path, [(path, archive.sha256)])
    for wanted in [(path, "0" * 64), (path, None), (f"{place.old.path}/{archive.path}", archive.sha256)]:
        with pytest.raises(StoreError, match="is not what the manifest of backup"):
            refuse_strangers(manifest, place.new.path, [wanted])


def test_every_flipped_bit_is_detected_and_refused_before_anything_is_unpacked(place, monkeypatch, tmp_path):
    monkeypatch.setattr(_audit, "DEFAULT_HEADS", str(tmp_path / "heads"))
    log = AuditLog(str(place.root))
    for number in range(5):
        log.append("verify", stack="crm", backup=place.new.id, facts={"number": number})
    files = sorted(path for path in [*Path(place.new.path).rglob("*"), place.root / "audit.jsonl"] if path.is_file())
    chance = random.Random(5)
    undetected, unrefused = [], []

    for path in files * 2:
        content = path.read_bytes()
        damaged = bytearray(content)
        position, bit = chance.randrange(len(content)), chance.randrange(8)
        damaged[position] ^= 1 << bit
        path.write_bytes(damaged)
        name = path.relative_to(place.root).as_posix()
        if not place.problems(id=place.new.id):
            undetected.append((name, position, bit))
        if any(part in name for part in BEFORE):
            try:
                place.prove()
                unrefused.append((name, position, bit))
            except StoreError:
                pass
        path.write_bytes(content)

    assert (undetected, unrefused) == ([], [])
    assert place.problems() == []
