# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _encryption
from ansible_collections.crm.continuity.plugins.module_utils._encryption import (
    GUESSING_COST,
    NO_KEYS,
    Encryption,
    Keys,
    check,
    decrypt_stage,
    detect,
    encrypt_stage,
    head,
    held,
    holding,
    prove,
    start_of,
    tool,
    undecryptable,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProcessError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._process import run
from ansible_collections.crm.continuity.tests.unit.keys import PASSPHRASE, secret

CONTENT = os.urandom(300_000)


@pytest.fixture
def encrypted(key_pair, tmp_path):
    path = tmp_path / "artifact"
    path.write_bytes(run(encrypt_stage(key_pair.encryption, "encrypt"), CONTENT).stdout)
    return path


@pytest.fixture
def encrypted_by_passphrase(passphrase_pair, tmp_path):
    path = tmp_path / "artifact"
    path.write_bytes(run(encrypt_stage(passphrase_pair.encryption, "encrypt"), CONTENT).stdout)
    return path


def decrypted(path, keys):
    return run(decrypt_stage(detect(str(path)), keys, "decrypt"), path.read_bytes()).stdout


def test_what_was_encrypted_is_recognised_and_decrypted(key_pair, encrypted):
    assert detect(str(encrypted)) == key_pair.encryption.method
    assert decrypted(encrypted, key_pair.keys) == CONTENT
    assert CONTENT[:64] not in encrypted.read_bytes()


def test_stock_tools_decrypt_it(key_pair, encrypted):
    keys, quiet = key_pair.keys, ("--batch", "--quiet", "--no-autostart", "--no-symkey-cache")
    argv = ["age", "--decrypt", "--identity", str(keys.identity_file)]
    if keys.identity_file is None:
        given = ("--pinentry-mode", "loopback", "--passphrase-file", str(keys.passphrase_file))
        argv = ["gpg", *quiet, "--homedir", str(key_pair.place), *given, "--decrypt"]

    plain = subprocess.run([*argv, str(encrypted)], capture_output=True, check=True).stdout

    assert plain == CONTENT


def test_its_beginning_is_read_without_the_rest(key_pair, encrypted):
    method = key_pair.encryption.method

    # Nothing but the first chunk is there.
    encrypted.write_bytes(encrypted.read_bytes()[:200_000])

    assert head(str(encrypted), method, key_pair.keys, 100) == CONTENT[:100]


def test_another_key_is_refused_and_said_to_be_another_one(key_pair, encrypted):
    with pytest.raises(StoreError, match="cannot be decrypted with this key: it was encrypted for another one"):
        prove(str(encrypted), key_pair.others)


def test_a_missing_key_is_named_with_what_to_set(key_pair, encrypted):
    option = {"age": "crm_identity_file", "aes256": "crm_passphrase"}[key_pair.encryption.method]

    with pytest.raises(StoreError, match=option):
        prove(str(encrypted), NO_KEYS)


@pytest.mark.parametrize("left", [0.999, 0.5, 0.25])
def test_truncated_ciphertext_is_an_error(left, key_pair, encrypted):
    encrypted.write_bytes(encrypted.read_bytes()[: int(len(encrypted.read_bytes()) * left)])

    with pytest.raises(ProcessError) as found:
        decrypted(encrypted, key_pair.keys)

    assert "damaged or truncated" in str(undecryptable(str(encrypted), found.value))


def test_a_flipped_bit_is_an_error(key_pair, encrypted):
    data = bytearray(encrypted.read_bytes())
    data[len(data) // 2] ^= 1
    encrypted.write_bytes(data)

    with pytest.raises(ProcessError):
        decrypted(encrypted, key_pair.keys)


def test_the_keys_of_a_run_hold_inside_the_block_only(key_pair, encrypted):
    with holding(key_pair.keys):
        assert start_of(str(encrypted), 16) == CONTENT[:16]

    assert held() == NO_KEYS


def test_what_is_not_encrypted_is_read_as_it_is(tmp_path):
    (tmp_path / "x").write_bytes(b"plain")

    assert detect(str(tmp_path / "x")) == "none"
    assert start_of(str(tmp_path / "x"), 100) == b"plain"
    prove(str(tmp_path / "x"), NO_KEYS)


def test_several_recipients_can_each_decrypt(age_pair, tmp_path):
    both = Encryption("age", (*age_pair.encryption.recipients, *age_pair.other_recipients))
    (tmp_path / "x").write_bytes(run(encrypt_stage(both, "encrypt"), CONTENT).stdout)

    assert decrypted(tmp_path / "x", age_pair.keys) == decrypted(tmp_path / "x", age_pair.others) == CONTENT


def test_no_secret_is_in_an_argument_or_the_environment(key_pair):
    stages = [
        encrypt_stage(key_pair.encryption, "encrypt"),
        decrypt_stage(key_pair.encryption.method, key_pair.keys, "decrypt"),
    ]

    for stage in stages:
        assert PASSPHRASE not in repr((stage.argv, dict(stage.env)))
        assert "AGE-SECRET-KEY" not in repr((stage.argv, dict(stage.env)))


def test_a_guess_of_a_passphrase_costs_as_much_as_openpgp_allows(passphrase_pair, monkeypatch):
    # Other tests have less of it.
    monkeypatch.setattr(_encryption, "GUESSING_COST", GUESSING_COST)

    packet = run(encrypt_stage(passphrase_pair.encryption, "encrypt"), CONTENT).stdout[:15]

    # RFC 4880, 5.3 and 3.7.1.3: AES-256; iterated and salted, SHA-512, a salt of 8 bytes, the highest count.
    assert (packet[3], packet[4:6], packet[14]) == (9, b"\x03\x0a", 0xFF)


def test_gnupg_leaves_neither_a_file_nor_an_agent(passphrase_pair, encrypted_by_passphrase, gnupg_home):
    decrypted(encrypted_by_passphrase, passphrase_pair.keys)

    assert os.listdir(gnupg_home) == []
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(gnupg_home) not in running


def test_what_can_encrypt_is_accepted_and_named(key_pair):
    check(key_pair.encryption)

    assert tool(key_pair.encryption.method).split()[0] in ("age", "gpg")
    assert tool(key_pair.encryption.method).split()[1][0].isdigit()
    assert tool("none") == ""


@pytest.mark.parametrize(
    ("encryption", "words"),
    [
        pytest.param(Encryption("rot13"), "is no encryption", id="method"),
        pytest.param(Encryption("age"), "at least one recipient", id="no recipient"),
        pytest.param(Encryption("age", ("age1nonsense",)), "Nothing can be encrypted so", id="malformed"),
        pytest.param(Encryption("age", ("someone@example.org",)), "is no recipient of age", id="address"),
        pytest.param(Encryption("aes256"), "needs a passphrase", id="no passphrase"),
        pytest.param(Encryption("aes256", ("age1x",), "/x"), "recipients are for age", id="recipients of aes256"),
        pytest.param(Encryption("none", ("age1x",)), "recipients are for age", id="recipients of nothing"),
        pytest.param(Encryption("age", ("age1x",), "/x"), "A passphrase is for aes256", id="passphrase of age"),
        pytest.param(Encryption("aes256", (), "/nowhere"), "/nowhere cannot be read", id="no file"),
    ],
)
def test_what_cannot_encrypt_is_refused(encryption, words):
    with pytest.raises(StoreError, match=words):
        check(encryption)


def test_a_private_key_among_the_recipients_is_refused_and_not_shown(age_pair):
    private = Path(age_pair.keys.identity_file).read_text(encoding="utf-8").splitlines()[-1]
    assert private.startswith("AGE-SECRET-KEY")

    with pytest.raises(StoreError, match="Recipient 1 is a private key") as found:
        check(Encryption("age", (private,)))

    assert private not in str(found.value)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        pytest.param("age1qqqqqq", 0o600, "holds no identity of age", id="public key"),
        pytest.param("age-encryption.org/v1\n-> scrypt x", 0o600, "itself encrypted", id="encrypted"),
        pytest.param("AGE-SECRET-KEY-1X", 0o644, "Others may read", id="readable"),
        pytest.param(None, 0o600, "cannot be read", id="missing"),
    ],
)
def test_an_identity_that_cannot_be_used_is_refused(content, mode, words, tmp_path):
    path = str(tmp_path / "identity")
    if content is not None:
        secret(path, content, mode)

    with pytest.raises(StoreError, match=words) as found:
        decrypt_stage("age", Keys(identity_file=path), "decrypt")

    assert "SECRET-KEY-1X" not in str(found.value)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        pytest.param("\nsecond", 0o600, "first line", id="empty"),
        pytest.param("hunter2", 0o640, "Others may read", id="readable"),
    ],
)
def test_a_passphrase_that_cannot_be_used_is_refused(content, mode, words, tmp_path):
    path = secret(str(tmp_path / "passphrase"), content, mode)

    with pytest.raises(StoreError, match=words) as found:
        decrypt_stage("aes256", Keys(passphrase_file=path), "decrypt")

    assert "hunter2" not in str(found.value)
