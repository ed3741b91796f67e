# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys for tests that encrypt with the real programs."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass

from ansible_collections.crm.continuity.plugins.module_utils._encryption import Encryption, Keys

PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class KeyPair:
    """How to encrypt, what decrypts that, and what does not; all below ``place``."""

    place: object
    encryption: Encryption
    keys: Keys
    others: Keys
    other_recipients: tuple[str, ...] = ()


def secret(path, content, mode=0o600):
    """Write a file that holds a secret, and return its path."""
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(content)
    os.chmod(path, mode)
    return str(path)


def age_pair(place):
    """Make two pairs of keys of age."""
    recipients = []
    for name in ("identity", "other"):
        subprocess.run(["age-keygen", "--output", str(place / name)], capture_output=True, check=True)
        os.chmod(place / name, 0o600)
        made = subprocess.run(["age-keygen", "-y", str(place / name)], capture_output=True, text=True, check=True)
        recipients.append(made.stdout.strip())
    keys, others = Keys(identity_file=str(place / "identity")), Keys(identity_file=str(place / "other"))
    return KeyPair(place, Encryption("age", (recipients[0],)), keys, others, (recipients[1],))


def passphrase_pair(place):
    """Make two passphrases."""
    path = secret(place / "passphrase", PASSPHRASE + "\n")
    others = Keys(passphrase_file=secret(place / "other", "another one"))
    return KeyPair(place, Encryption("aes256", (), path), Keys(passphrase_file=path), others)
