# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _backup_rekey
from ansible_collections.crm.continuity.plugins.module_utils._backup_decrypt import Request as DecryptRequest
from ansible_collections.crm.continuity.plugins.module_utils._backup_decrypt import apply as decrypt
from ansible_collections.crm.continuity.plugins.module_utils._backup_decrypt import plan as plan_decrypt
from ansible_collections.crm.continuity.plugins.module_utils._backup_rekey import Request, apply, plan
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._encryption import (
    NO_ENCRYPTION,
    NO_KEYS,
    Encryption,
    holding,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._restore_check import prove_keys
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host


@pytest.fixture
def host(tmp_path, monkeypatch):
    return crm_host(tmp_path, monkeypatch)


def content(path):
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(Path(path).rglob("*")) if file.is_file()}


def wanted(host, encryption, **more):
    return Request(host.root, "crm", encryption, **more)


def test_another_key_opens_it_and_the_old_one_does_not(host, age_pair):
    taken = host.back_up(encryption=age_pair.encryption)
    new = Encryption("age", age_pair.other_recipients)
    before = content(taken.backup.path)

    with holding(age_pair.keys):
        planned = plan(wanted(host, new))
        assert content(taken.backup.path) == before
        manifest = apply(planned)

    (backup,) = Store(host.root).backups("crm")
    assert (backup.id, backup.manifest()) == (taken.backup.id, manifest)
    assert manifest.encryption == new.described()
    assert [a.plain_sha256 for a in manifest.artifacts if a.kind != "instructions"] == [
        a.plain_sha256 for a in taken.manifest.artifacts if a.kind != "instructions"
    ]
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=backup.path, check=True)
    with holding(age_pair.others):
        prove_keys(manifest, backup.path)
    with holding(age_pair.keys), pytest.raises(StoreError, match="cannot be decrypted with this key"):
        prove_keys(manifest, backup.path)
    assert age_pair.other_recipients[0] in (Path(backup.path) / "RESTORE.md").read_text(encoding="utf-8")
    assert sorted(os.listdir(os.path.dirname(backup.path))) == [".lock", backup.id]


def test_the_method_may_change_and_the_names_follow(host, age_pair, passphrase_pair):
    taken = host.back_up(encryption=age_pair.encryption)

    with holding(age_pair.keys):
        manifest = apply(plan(wanted(host, passphrase_pair.encryption)))

    assert [a.path for a in manifest.artifacts] == [a.path.replace(".age", ".gpg") for a in taken.manifest.artifacts]
    with holding(passphrase_pair.keys):
        prove_keys(manifest, taken.backup.path)


def test_a_backup_that_lies_open_is_encrypted(host, key_pair):
    taken = host.back_up()

    manifest = apply(plan(wanted(host, key_pair.encryption)))

    suffix = key_pair.encryption.suffix
    assert all(a.path.endswith(suffix) for a in manifest.artifacts if a.kind != "instructions")
    assert not list(Path(taken.backup.path).rglob("*.zst"))


def test_what_is_encrypted_to_the_wanted_keys_is_left_alone_unless_forced(host, age_pair):
    host.back_up(encryption=age_pair.encryption)

    with holding(age_pair.keys):
        assert not plan(wanted(host, age_pair.encryption)).changed
        assert plan(wanted(host, age_pair.encryption, force=True)).reason == "force=true"


@pytest.mark.parametrize("given", ["others", "none"])
def test_without_the_old_key_nothing_happens(given, host, key_pair):
    taken = host.back_up(encryption=key_pair.encryption)
    before = content(taken.backup.path)

    with holding(key_pair.others if given == "others" else NO_KEYS), pytest.raises(StoreError):
        plan(wanted(host, key_pair.encryption, force=True))

    assert content(taken.backup.path) == before


def test_it_is_encrypted_anew_and_never_decrypted(host, age_pair):
    host.back_up(encryption=age_pair.encryption)

    with holding(age_pair.keys), pytest.raises(StoreError, match="and not decrypted"):
        plan(wanted(host, NO_ENCRYPTION))


def test_a_damaged_artifact_leaves_the_backup_as_it_was(host, age_pair):
    taken = host.back_up(encryption=age_pair.encryption)
    path = Path(taken.backup.path, "databases/chatwoot.dump.zst.age")

    with holding(age_pair.keys):
        planned = plan(wanted(host, Encryption("age", age_pair.other_recipients)))
        path.write_bytes(path.read_bytes()[:-1])
        before = content(taken.backup.path)
        with pytest.raises(StoreError, match="left as it is"):
            apply(planned)

    assert content(taken.backup.path) == before
    assert sorted(os.listdir(os.path.dirname(taken.backup.path))) == [".lock", taken.backup.id]


def test_a_failed_exchange_leaves_the_backup_as_it_was(host, age_pair, monkeypatch):
    taken = host.back_up(encryption=age_pair.encryption)
    before = content(taken.backup.path)

    def refuse(_one, _other):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(_backup_rekey, "exchange", refuse)
    with holding(age_pair.keys):
        planned = plan(wanted(host, Encryption("age", age_pair.other_recipients)))
        with pytest.raises(StoreError):
            apply(planned)

    assert content(taken.backup.path) == before
    assert sorted(os.listdir(os.path.dirname(taken.backup.path))) == [".lock", taken.backup.id]


def test_a_signed_backup_is_not_left_unsigned(host, age_pair):
    taken = host.back_up(encryption=age_pair.encryption)
    Path(taken.backup.path, "SHA256SUMS.sig").write_text("-----BEGIN SSH SIGNATURE-----\n")

    with holding(age_pair.keys), pytest.raises(StoreError, match="there is no key here to sign it anew"):
        plan(wanted(host, Encryption("age", age_pair.other_recipients)))


# Decrypting one file


def test_one_file_is_decrypted_with_a_private_mode(host, key_pair, tmp_path):
    taken = host.back_up(encryption=key_pair.encryption)
    source = next(Path(taken.backup.path).glob("config/project.tar.zst.*"))
    request = DecryptRequest(str(source), str(tmp_path / "project.tar.zst"))

    with holding(key_pair.keys):
        written = decrypt(plan_decrypt(request))
        assert not plan_decrypt(request).changed

    artifact = next(a for a in taken.manifest.artifacts if a.path.startswith("config/project"))
    assert written.sha256 == artifact.plain_sha256
    assert (tmp_path / "project.tar.zst").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        pytest.param("nowhere", "x", "There is no file", id="missing"),
        pytest.param("RESTORE.md", "x", "is not encrypted", id="open"),
        pytest.param("config/containers.json.age", "no/such/x", "There is no directory", id="place"),
    ],
)
def test_what_cannot_be_decrypted_is_refused(path, to, words, host, age_pair, tmp_path):
    taken = host.back_up(encryption=age_pair.encryption)

    with holding(age_pair.keys), pytest.raises(StoreError, match=words):
        plan_decrypt(DecryptRequest(os.path.join(taken.backup.path, path), str(tmp_path / to)))


@pytest.mark.parametrize("sha256", [None, "0" * 64])
def test_a_truncated_file_leaves_nothing(sha256, host, age_pair, tmp_path):
    taken = host.back_up(encryption=age_pair.encryption)
    source = Path(taken.backup.path, "volumes/crm_storage.tar.zst.age")
    source.write_bytes(source.read_bytes()[:-8])
    (tmp_path / "out").mkdir()

    with holding(age_pair.keys), pytest.raises(StoreError, match="damaged"):
        decrypt(plan_decrypt(DecryptRequest(str(source), str(tmp_path / "out" / "x"), sha256)))

    assert os.listdir(tmp_path / "out") == []
