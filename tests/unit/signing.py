# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys that sign, made by the real ssh-keygen."""

from __future__ import annotations

import subprocess
import typing as t
from dataclasses import dataclass

if t.TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class SigningKey:
    """A private key, and its public half."""

    path: str
    public: str

    def line(self, host: str, options: str = 'namespaces="crm.continuity" ') -> str:
        """Return the line by which its signatures are recognised as those of a host."""
        return f"{host} {options}{self.public}"


def signing_key(directory: Path, name: str = "key", passphrase: str = "") -> SigningKey:
    """Make a key."""
    path = directory / name
    argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", "", "-f", str(path)]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    return SigningKey(str(path), " ".join((directory / f"{name}.pub").read_text(encoding="utf-8").split()[:2]))
