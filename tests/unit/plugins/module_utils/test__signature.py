# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _signature
from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._signature import (
    NO_SIGNERS,
    OPTIONAL,
    PROVED,
    REQUIRED,
    UNPROVED,
    UNSIGNED,
    Proof,
    Signers,
    prove,
    sign,
    signers_of,
    usable_key,
)
from ansible_collections.crm.continuity.tests.unit.signing import signing_key

HOST = "crm-a"
CONTENT = b"0123  manifest.json\n4567  volumes/storage.tar.zst\n"


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """Two keys, of this host and of somebody else."""
    directory = tmp_path_factory.mktemp("keys")
    return signing_key(directory, "own"), signing_key(directory, "other")


@pytest.fixture
def signed(tmp_path, keys):
    """The directory of a backup whose checksums are CONTENT."""
    (tmp_path / "SHA256SUMS.sig").write_bytes(sign(keys[0].path, CONTENT))
    return tmp_path


@pytest.fixture
def signers(keys):
    return Signers((keys[0].line(HOST),))


def test_a_signature_of_the_host_proves_it(signed, signers):
    proof = prove(str(signed), HOST, CONTENT, signers)

    assert (proof.status, proof.signer) == (PROVED, HOST)
    assert proof.key.startswith("SHA256:")


def test_ssh_keygen_itself_accepts_what_was_signed(signed, keys, tmp_path):
    (tmp_path / "allowed").write_text(keys[0].line(HOST) + "\n", encoding="utf-8")
    words = ["-f", str(tmp_path / "allowed"), "-I", HOST, "-n", "crm.continuity", "-s", f"{signed}/SHA256SUMS.sig"]

    done = subprocess.run(["ssh-keygen", "-Y", "verify", *words], input=CONTENT, capture_output=True, check=False)

    assert done.returncode == 0, done.stderr


def test_without_signers_a_sound_signature_proves_nothing(signed):
    proof = prove(str(signed), HOST, CONTENT, NO_SIGNERS)

    assert (proof.status, proof.signer) == (UNPROVED, None)


@pytest.mark.parametrize("signers", [NO_SIGNERS, Signers((f"{HOST} ssh-ed25519 AAAA",), required=False)])
def test_what_is_not_signed_is_told_where_nobody_requires_it(tmp_path, signers):
    assert prove(str(tmp_path), HOST, CONTENT, signers) == Proof(UNSIGNED)


def test_what_is_not_signed_is_refused_where_signers_are_known(tmp_path, signers):
    with pytest.raises(StoreError, match=r"is not signed, and signers are known.*set signature to optional"):
        prove(str(tmp_path), HOST, CONTENT, signers)


@pytest.mark.parametrize("required", [True, False])
def test_a_signature_of_somebody_else_is_refused_whether_required_or_not(signed, keys, required):
    (signed / "SHA256SUMS.sig").write_bytes(sign(keys[1].path, CONTENT))

    with pytest.raises(StoreError, match=f"is said to be of {HOST}, and is signed with the key SHA256:"):
        prove(str(signed), HOST, CONTENT, Signers((keys[0].line(HOST),), required=required))


def test_another_host_whose_key_is_known_cannot_sign_for_this_one(signed, keys):
    signers = Signers((keys[1].line(HOST), keys[0].line("crm-b")))

    with pytest.raises(StoreError, match="which is not a key of crm-a"):
        prove(str(signed), HOST, CONTENT, signers)


def test_an_old_and_a_new_key_of_a_host_both_count(signed, keys):
    signers = Signers((keys[1].line(HOST), keys[0].line(HOST)))

    assert prove(str(signed), HOST, CONTENT, signers).status == PROVED


def test_a_signature_that_the_key_made_for_something_else_does_not_count(signed, keys, signers):
    argv = ["ssh-keygen", "-Y", "sign", "-f", keys[0].path, "-n", "git"]
    foreign = subprocess.run(argv, input=CONTENT, capture_output=True, check=True).stdout
    (signed / "SHA256SUMS.sig").write_bytes(foreign)

    with pytest.raises(StoreError, match="is no signature of SHA256SUMS as it is now"):
        prove(str(signed), HOST, CONTENT, signers)


@pytest.mark.parametrize("known", [True, False], ids=["signers", "no signers"])
def test_changed_checksums_are_refused_whether_signers_are_known_or_not(signed, signers, known):
    with pytest.raises(StoreError, match="one of the two was changed or damaged"):
        prove(str(signed), HOST, CONTENT + b"x", signers if known else NO_SIGNERS)


def test_every_flipped_bit_of_a_signature_is_refused_without_knowing_signers(signed):
    content = (signed / "SHA256SUMS.sig").read_bytes()
    accepted = []
    # Every byte, and by turns all bits.
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << position % 8
        (signed / "SHA256SUMS.sig").write_bytes(damaged)
        try:
            prove(str(signed), HOST, CONTENT, NO_SIGNERS)
        except StoreError:
            continue
        accepted.append(position)

    assert accepted == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda text: text + b"\n", id="a line more"),
        pytest.param(lambda text: b"Hello\n" + text, id="a line before"),
        pytest.param(lambda text: text[:-1], id="no end of line"),
        pytest.param(lambda text: text.replace(b"\n", b"\r\n"), id="other ends of lines"),
        pytest.param(lambda text: text.replace(b"U1NIU0lH", b"U1NI U0lH"), id="a blank"),
        pytest.param(lambda text: text + bytes(1 << 16), id="too long"),
        pytest.param(lambda text: b"", id="empty"),
    ],
)
def test_a_signature_in_another_form_is_refused(signed, signers, change):
    path = signed / "SHA256SUMS.sig"
    path.write_bytes(change(path.read_bytes()))

    with pytest.raises(StoreError, match="is no signature"):
        prove(str(signed), HOST, CONTENT, signers)


def test_a_signature_that_is_a_link_a_directory_or_a_pipe_is_refused(signed, signers):
    path = signed / "SHA256SUMS.sig"
    path.rename(signed / "elsewhere")
    path.symlink_to(signed / "elsewhere")
    with pytest.raises(StoreError, match="it is a link"):
        prove(str(signed), HOST, CONTENT, signers)
    path.unlink()
    path.mkdir()
    with pytest.raises(StoreError, match="is not a regular file"):
        prove(str(signed), HOST, CONTENT, signers)
    path.rmdir()
    os.mkfifo(path)
    with pytest.raises(StoreError, match="is not a regular file"):
        prove(str(signed), HOST, CONTENT, signers)


# Keys


def test_the_key_of_the_host_signs_where_it_has_one(keys, monkeypatch, tmp_path):
    monkeypatch.setattr(_signature, "DEFAULT_KEY", str(tmp_path / "none"))
    assert usable_key(None) is None

    monkeypatch.setattr(_signature, "DEFAULT_KEY", keys[0].path)
    signer = usable_key(None)

    assert signer.path == keys[0].path
    assert signer.key.startswith("SHA256:")


def test_a_key_that_was_named_has_to_be_there(tmp_path):
    with pytest.raises(StoreError, match=r"There is no signing key .*crm.continuity.prepare makes one"):
        usable_key(str(tmp_path / "none"))


def test_a_key_that_cannot_sign_is_found_before_anything_depends_on_it(tmp_path):
    locked = signing_key(tmp_path, "locked", passphrase="a passphrase")
    open_ = signing_key(tmp_path, "open")
    os.chmod(open_.path, 0o644)
    (tmp_path / "text").write_text("no key", encoding="utf-8")
    os.chmod(tmp_path / "text", 0o600)

    for path in (locked.path, open_.path, str(tmp_path / "text")):
        with pytest.raises(ContinuityError, match=r"cannot sign. It has to be a private key without a passphrase"):
            usable_key(path)


# Signers


def test_blank_lines_and_comments_are_no_signers(keys):
    line = keys[0].line(HOST)

    assert signers_of(["# the hosts", "", f"  {line} "], REQUIRED) == Signers((line,), required=True)
    assert signers_of([], OPTIONAL) == Signers((), required=False)


@pytest.mark.parametrize("line", ["crm-a", "ssh-ed25519 AAAA", "crm-a SHA256:abc", "crm-a ssh-ed25519"])
def test_a_line_that_can_be_no_signer_is_an_error(line):
    with pytest.raises(StoreError, match="Line 2 of the signers is none of an allowed-signers file"):
        signers_of(["# x", line], REQUIRED)
