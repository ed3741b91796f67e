# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which program encrypts an artifact, to whom, and how it is decrypted again.

    age       to public keys: a server holds nothing that decrypts what it wrote
    aes256    OpenPGP with a passphrase, AES-256 and integrity protection, by GnuPG

Both work on streams, so that no plaintext reaches a disk. Secrets are given as files, best ones on a tmpfs: age reads
an identity by its path, GnuPG the passphrase from a descriptor; neither is ever in an argument, a variable of the
environment or a message. GnuPG runs without a configuration, a keyring and an agent, in an empty directory on a tmpfs.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
import typing as t
from dataclasses import dataclass

from ._errors import ProcessError, StoreError
from ._files import CHUNK
from ._process import SECRET, Pipeline, Stage, program, run

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

METHODS: tuple[str, ...] = ("none", "age", "aes256")

SUFFIXES = {"none": "", "age": ".age", "aes256": ".gpg"}

AGE_MAGIC = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
# A session key by passphrase (tag 3), with an old or a new header, of version 4 or 5.
_OPENPGP = re.compile(rb"[\x8c\xc3].[\x04\x05]|-----BEGIN PGP MESSAGE-----", re.DOTALL)
# A public key of age, of one of its plugins, or an SSH key that age can use.
_RECIPIENT = re.compile(r"age1[0-9a-z]+|ssh-(ed25519|rsa) [A-Za-z0-9+/=]+( .*)?")
_SECRET_KEY = re.compile(r"AGE-(SECRET-KEY|PLUGIN)-|-----BEGIN", re.IGNORECASE)

RUN = "/run/crm.continuity"
# Bytes that are hashed for each guess of a passphrase: as many as OpenPGP can say.
GUESSING_COST = "65011712"
# What a key file may hold at most; a disk image given by mistake is not read.
LONGEST_KEY = 1 << 16


@dataclass(frozen=True)
class Encryption:
    """How to encrypt: ``recipients`` are public keys of age, ``passphrase_file`` is for aes256."""

    method: str = "none"
    recipients: tuple[str, ...] = ()
    passphrase_file: str | None = None

    @property
    def enabled(self) -> bool:
        return self.method != "none"

    @property
    def suffix(self) -> str:
        """What a file name gains; empty without encryption."""
        return SUFFIXES[self.method]

    def described(self) -> dict[str, t.Any]:
        """Return what a manifest says of it."""
        return {"method": self.method, "recipients": list(self.recipients)}


@dataclass(frozen=True)
class Keys:
    """What decrypts: files that hold identities of age, and the passphrase of aes256."""

    identity_file: str | None = None
    passphrase_file: str | None = None


NO_ENCRYPTION = Encryption()
NO_KEYS = Keys()
# The keys of this run, the latest last.
_held = [NO_KEYS]


@contextlib.contextmanager
def holding(keys: Keys) -> Iterator[None]:
    """Let every reader inside the block decrypt with these keys."""
    _held.append(keys)
    try:
        yield
    finally:
        _held.pop()


def held() -> Keys:
    """Return the keys of this run."""
    return _held[-1]


def encrypt_stage(encryption: Encryption, name: str) -> Stage | None:
    """Return the pipeline stage that encrypts, or None where nothing is encrypted."""
    if encryption.method == "age":
        to = [argument for recipient in encryption.recipients for argument in ("--recipient", recipient)]
        return Stage(name, [program("age"), "--encrypt", *to])
    if encryption.method == "aes256":
        # The compressor has been there already. Without a cost of guessing, gpg would ask its agent for one.
        how = ["--cipher-algo", "AES256", "--compress-algo", "none", "--s2k-mode", "3", "--s2k-digest-algo", "SHA512"]
        argv = [*_gpg(), *how, "--s2k-cipher-algo", "AES256", "--s2k-count", GUESSING_COST, "--symmetric"]
        return Stage(name, argv, secret_file=_passphrase_file(encryption))
    return None


def decrypt_stage(method: str, keys: Keys, name: str) -> Stage | None:
    """Return the pipeline stage that decrypts, or None where nothing is encrypted.

    Raises StoreError that says which key is missing and how to give it, or why a key file cannot be used.
    """
    if method == "age":
        if keys.identity_file is None:
            raise StoreError(
                f"Cannot {name}: it is encrypted with age, and there is no identity to decrypt it. Set identity_file, "
                "or crm_identity_file to where the private key lies on the control node.",
                key="identity",
            )
        check_identity_file(keys.identity_file)
        return Stage(name, [program("age"), "--decrypt", "--identity", keys.identity_file])
    if method == "aes256":
        if keys.passphrase_file is None:
            raise StoreError(
                f"Cannot {name}: it is encrypted with a passphrase, and none was given. Set passphrase_file, or "
                "crm_passphrase from Ansible Vault.",
                key="passphrase",
            )
        check_passphrase_file(keys.passphrase_file)
        return Stage(name, [*_gpg(), "--decrypt"], secret_file=keys.passphrase_file)
    return None


def detect(path: str) -> str:
    """Return the method that a file is encrypted with, by its first bytes."""
    with open(path, "rb") as stream:
        start = stream.read(64)
    if start.startswith(AGE_MAGIC):
        return "age"
    return "aes256" if _OPENPGP.match(start) else "none"


def check(encryption: Encryption) -> None:
    """Try everything that can fail of an encryption before anything is written.

    Raises StoreError for options that do not fit together, a recipient that age refuses, or a passphrase file that
    cannot be used, and ProcessError where the program is missing.
    """
    if encryption.method not in METHODS:
        raise StoreError(f"{encryption.method} is no encryption. Choose one of {', '.join(METHODS)}.")
    if encryption.method == "age":
        _check_recipients(encryption.recipients)
    elif encryption.recipients:
        raise StoreError(f"recipients are for age, and the encryption is {encryption.method}. Leave them out.")
    if encryption.method == "aes256":
        check_passphrase_file(_passphrase_file(encryption))
    elif encryption.passphrase_file is not None:
        raise StoreError(f"A passphrase is for aes256, and the encryption is {encryption.method}. Leave it out.")
    stage = encrypt_stage(encryption, "encrypt")
    if stage is not None:
        try:
            run(stage)
        except ProcessError as exc:
            raise StoreError(f"Nothing can be encrypted so. {exc}") from exc


def prove(path: str, keys: Keys, name: str | None = None) -> None:
    """Decrypt the beginning of a file: whether these keys open it, at no cost.

    Raises StoreError when they do not. That the rest is whole is proved by reading it.
    """
    head(path, detect(path), keys, 1, name)


def start_of(path: str, size: int) -> bytes:
    """Return the first bytes of a file, or of what it decrypts to with the keys of this run; raises like ``prove``."""
    return head(path, detect(path), held(), size)


def head(path: str, method: str, keys: Keys, size: int, name: str | None = None) -> bytes:
    """Return the first bytes of what an encrypted file decrypts to, and read little more of it."""
    name = name or f"decrypt {path}"
    stage = decrypt_stage(method, keys, name)
    found = b""
    with open(path, "rb") as stream:
        if stage is None:
            return stream.read(size)
        try:
            with contextlib.suppress(_EnoughError), Pipeline([stage], stdin=stream.fileno()) as pipeline:
                while portion := os.read(pipeline.stdout.fileno(), min(size - len(found), CHUNK)):
                    found += portion
                    if len(found) == size:
                        # The rest is not asked for: leaving by an exception ends the program.
                        raise _EnoughError
        except ProcessError as exc:
            raise undecryptable(path, exc) from exc
    return found


def undecryptable(path: str, cause: ProcessError) -> StoreError:
    """Explain why a file could not be decrypted: by a wrong key, or because it is damaged."""
    words = str(cause)
    wrong = ("no identity matched", "Bad session key", "incorrect passphrase")
    if any(one in words for one in wrong):
        return StoreError(
            f"{path} cannot be decrypted with this key: it was encrypted for another one. Give the key that belongs to "
            f"the recipients in its manifest, or the passphrase of that time. {cause}",
            path=path,
        )
    return StoreError(f"{path} is damaged or truncated: it cannot be decrypted. {cause} Use another copy.", path=path)


def tool(method: str) -> str:
    """Return the name and version of the program that encrypts, for the manifest; empty for none."""
    if method == "none":
        return ""
    name = "age" if method == "age" else "gpg"
    printed = run(Stage(f"ask {name} for its version", [program(name), "--version"])).stdout.decode(errors="replace")
    line = printed.strip().split("\n")[0]
    return f"{name} {line.split()[-1].lstrip('v')}" if line else name


def check_identity_file(path: str) -> None:
    """Raise StoreError unless a file can hold identities that age reads without asking anybody anything."""
    content = _secret(path, "identity_file")
    if content.startswith(AGE_MAGIC):
        raise StoreError(
            f"The identity {path} is itself encrypted with a passphrase, and nobody is there to be asked for it. "
            f"Decrypt it for this run: age --decrypt FILE, into a file of mode 0600 on a tmpfs.",
            path=path,
        )
    if not _SECRET_KEY.search(content.decode(errors="replace")):
        raise StoreError(
            f"{path} holds no identity of age: a line that begins with AGE-SECRET-KEY-, or an SSH private key. "
            "Give the private key, not the public one.",
            path=path,
        )


def check_passphrase_file(path: str) -> None:
    """Raise StoreError unless the first line of a file can be a passphrase."""
    if not _secret(path, "passphrase_file").split(b"\n")[0].strip():
        raise StoreError(f"The first line of {path} is empty, and is to be a passphrase.", path=path)


def _passphrase_file(encryption: Encryption) -> str:
    if encryption.passphrase_file is None:
        raise StoreError("aes256 needs a passphrase. Set passphrase_file, or crm_passphrase from Ansible Vault.")
    return encryption.passphrase_file


def _check_recipients(recipients: Sequence[str]) -> None:
    if not recipients:
        raise StoreError(
            "age needs at least one recipient: a public key, age1…. Make a pair on the control node with age-keygen, "
            "keep the private key off the servers, and set crm_encryption.recipients."
        )
    for number, recipient in enumerate(recipients, start=1):
        if _SECRET_KEY.match(recipient.strip()):
            # It must not appear anywhere, so it is not shown.
            raise StoreError(
                f"Recipient {number} is a private key. Give the public one (age-keygen -y FILE prints it), and treat "
                "the private key as known to others from now on.",
                recipient=number,
            )
        if not _RECIPIENT.fullmatch(recipient):
            raise StoreError(f"{recipient!r} is no recipient of age: a public key begins with age1, or is an SSH key.")


def _secret(path: str, option: str) -> bytes:
    """Return what a file of a secret holds; raise StoreError when it is missing or others may read it."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is no file. Set {option} to the file that holds the key.", path=path)
        if status.st_mode & 0o077:
            raise StoreError(
                f"Others may read {path} (mode {stat.S_IMODE(status.st_mode):04o}), and it holds a key. "
                f"Change it to 0600.",
                path=path,
            )
        with open(path, "rb") as stream:
            return stream.read(LONGEST_KEY)
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Check {option}.", path=path) from exc


def _gpg() -> list[str]:
    """Return how GnuPG is called: it asks nobody, reads no settings, starts no agent and leaves nothing behind."""
    quiet = ["--batch", "--no-tty", "--quiet", "--no-options", "--no-autostart", "--no-keyring", "--lock-never"]
    place = ["--no-random-seed-file", "--homedir", _gnupg_directory(), "--no-symkey-cache"]
    # Of the older standard, which every OpenPGP program reads: integrity protection is part of it.
    given = ["--rfc4880", "--pinentry-mode", "loopback", "--passphrase-fd", SECRET]
    return [program("gpg", "gnupg"), *quiet, *place, *given]


def _gnupg_directory() -> str:
    """Return an empty directory of mode 0700 on a tmpfs, for GnuPG not to look into the user's own."""
    user = os.geteuid()
    path = os.path.join(RUN, "gnupg") if user == 0 else f"/dev/shm/crm.continuity.{user}"
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != user or status.st_mode & 0o077:
        raise StoreError(f"{path} is not a directory that only this user can read. Remove it.", path=path)
    return path


class _EnoughError(Exception):
    """Enough was read."""
