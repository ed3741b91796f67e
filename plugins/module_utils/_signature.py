# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who made a backup: a signature over SHA256SUMS, which covers the manifest and every artifact.

The host signs with a key of its own (``ssh-keygen -Y sign``). Its public half is a line of an allowed-signers file,
see ssh-keygen(1); the control node keeps those lines, and the principal is the name of the host. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import stat
import tempfile
import typing as t
from dataclasses import dataclass

from ._errors import ProcessError, StoreError
from ._manifest import SIGNATURE, SUMS
from ._process import Stage, program, run

if t.TYPE_CHECKING:
    from collections.abc import Sequence

# Made by the role prepare.
DEFAULT_KEY = "/etc/crm.continuity/signing_key"
# A signature for something else, made with the same key, is none for a backup.
NAMESPACE = "crm.continuity"
REQUIRED, OPTIONAL = "required", "optional"
MODES = (REQUIRED, OPTIONAL)
PROVED, UNPROVED, UNSIGNED = "proved", "unproved", "unsigned"
# As ssh-keygen writes it.
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_WIDTH = 70
# One of an RSA key of 16,384 bits is smaller.
_LONGEST = 1 << 14
_KEY = re.compile(r"with \S+ key (SHA256:\S+)")
_LINE = re.compile(r"\S+ +(\S.* )?(ssh-|ecdsa-|sk-)\S+ +[A-Za-z0-9+/]+=*( .*)?")
# A key with a passphrase is refused: nobody is there to be asked for it.
_ASK_NOBODY = {"SSH_ASKPASS": "/bin/false", "SSH_ASKPASS_REQUIRE": "force"}


@dataclass(frozen=True)
class Signers:
    """Whose signatures count: ``lines`` of an allowed-signers file; empty when they are not known.

    Where they are known, ``required`` refuses a backup without a signature. One with a bad signature is always refused.
    """

    lines: tuple[str, ...] = ()
    required: bool = True


NO_SIGNERS = Signers()


@dataclass(frozen=True)
class Signer:
    """A key that can sign, by its path and its fingerprint."""

    path: str
    key: str


@dataclass(frozen=True)
class Proof:
    """What a signature says; ``status`` is one of PROVED, UNPROVED, UNSIGNED.

    One is UNPROVED that is sound, and nobody said whose keys count. ``key`` is the fingerprint of the key.
    """

    status: str
    signer: str | None = None
    key: str | None = None


def signers_of(lines: Sequence[str], mode: str) -> Signers:
    """Return the signers that a task gives; raise StoreError for a line that can be none."""
    kept = []
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        if not _LINE.fullmatch(stripped):
            raise StoreError(
                f"Line {number} of the signers is none of an allowed-signers file: {stripped!r}. "
                'crm.continuity.prepare prints the line of each host: NAME namespaces="crm.continuity" ssh-ed25519 KEY.'
            )
        kept.append(stripped)
    return Signers(tuple(kept), required=mode == REQUIRED)


def usable_key(path: str | None) -> Signer | None:
    """Return who signs: the key that was named, else that of the host, or None where it has none.

    It is tried before anything depends on it; raises StoreError when it cannot sign.
    """
    if path is None:
        if not os.path.lexists(DEFAULT_KEY):
            return None
        path = DEFAULT_KEY
    if not os.path.isfile(path):
        raise StoreError(
            f"There is no signing key {path}. crm.continuity.prepare makes one in {DEFAULT_KEY}; or set signing_key.",
            path=path,
        )
    attempt = os.urandom(16)
    return Signer(path, fingerprint(sign(path, attempt), attempt, path))


def sign(path: str, content: bytes) -> bytes:
    """Return a signature over ``content``; raise StoreError when the key cannot be used."""
    argv = [program("ssh-keygen", "openssh-client"), "-Y", "sign", "-f", path, "-n", NAMESPACE]
    try:
        made = run(Stage(f"sign with {path}", argv, env=_ASK_NOBODY), content)
    except ProcessError as exc:
        raise StoreError(
            f"The key {path} cannot sign. It has to be a private key without a passphrase, of mode 0600. {exc}",
            path=path,
        ) from exc
    raw = _raw(made.stdout)
    if raw is None:
        raise StoreError(f"ssh-keygen did not print a signature with {path}, but {made.stdout[:80]!r}.", path=path)
    return _armored(raw)


def prove(directory: str, host: str, sums: bytes, signers: Signers) -> Proof:
    """Return what the signature in ``directory`` says of the checksums of a backup that is said to be of ``host``.

    Raises StoreError when it is not sound, not of that host, or missing although signers are known.
    """
    path = os.path.join(directory, SIGNATURE)
    signature = _read(path)
    if signature is None:
        if signers.lines and signers.required:
            raise StoreError(
                f"{directory} is not signed, and signers are known: nobody can tell whether {host} has made it. Use "
                "another backup or a copy of this one. If it is from before its host had a signing key, set signature "
                "to optional.",
                path=directory,
            )
        return Proof(UNSIGNED)
    key = fingerprint(signature, sums, path)
    if not signers.lines:
        return Proof(UNPROVED, key=key)
    if not _verifies(signature, sums, host, signers):
        raise StoreError(
            f"{directory} is said to be of {host}, and is signed with the key {key}, which is not a key of {host}. "
            "Somebody else has made or changed it: use another copy. If the host has a new key, add its line to "
            "crm_signers.",
            path=directory,
        )
    return Proof(PROVED, signer=host, key=key)


def fingerprint(signature: bytes, content: bytes, subject: str) -> str:
    """Return the fingerprint of the key that signed ``content``; raise StoreError when the signature is not sound."""
    raw = _raw(signature)
    # ssh-keygen overlooks what surrounds a signature, and some of what is in it. Here every bit counts.
    if raw is not None and _armored(raw) == signature:
        verdict = _ask(signature, content, ["-Y", "check-novalidate"])
        if verdict is not None:
            return verdict
    raise StoreError(
        f"{subject} is no signature of {SUMS} as it is now: one of the two was changed or damaged. Use another backup, "
        "or a copy of this one.",
        path=subject,
    )


def _verifies(signature: bytes, content: bytes, host: str, signers: Signers) -> bool:
    with tempfile.NamedTemporaryFile(prefix="signers-", mode="w", encoding="utf-8") as allowed:
        allowed.write("".join(f"{line}\n" for line in signers.lines))
        allowed.flush()
        return _ask(signature, content, ["-Y", "verify", "-f", allowed.name, "-I", host]) is not None


def _ask(signature: bytes, content: bytes, words: Sequence[str]) -> str | None:
    """Return the fingerprint of the key that ssh-keygen finds good, or None."""
    with tempfile.NamedTemporaryFile(prefix="signature-") as file:
        file.write(signature)
        file.flush()
        argv = [program("ssh-keygen", "openssh-client"), *words, "-n", NAMESPACE, "-s", file.name]
        # 255 is its answer to everything that is not good.
        asked = run(Stage("verify a signature", argv, accept=frozenset({0, 255})), content)
    found = _KEY.search(asked.stdout.decode(errors="replace"))
    return found[1] if asked.returncode == 0 and found else None


def _read(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as exc:
        reason = "it is a link" if exc.errno == errno.ELOOP else exc.strerror
        raise StoreError(f"{path} cannot be read: {reason}. Use another backup.", path=path) from exc
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise StoreError(f"{path} is not a regular file. Use another backup.", path=path)
        # One that is too long is not sound either.
        return os.read(descriptor, _LONGEST)
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Use another backup.", path=path) from exc
    finally:
        os.close(descriptor)


def _raw(armored: bytes) -> bytes | None:
    """Return what is between the first and the last line."""
    first, *lines = armored.decode("ascii", errors="replace").split("\n")
    if first != _BEGIN or lines[-2:] != [_END, ""]:
        return None
    try:
        return base64.b64decode("".join(lines[:-2]), validate=True)
    except (binascii.Error, ValueError):
        return None


def _armored(raw: bytes) -> bytes:
    text = base64.b64encode(raw).decode("ascii")
    lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    return "\n".join([_BEGIN, *lines, _END, ""]).encode("ascii")
