# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """How every module encrypts that writes parts of backups; ENCRYPTION_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  encryption:
    description:
      - How what is written is encrypted. Nothing is encrypted without it.
      - It is encrypted as it is written, so that no plaintext reaches the disk.
    type: dict
    suboptions:
      method:
        description:
          - V(age) encrypts to public keys, so that the host holds nothing that decrypts what it wrote.
          - V(aes256) is OpenPGP with a passphrase, AES-256 and integrity protection, by GnuPG.
        type: str
        choices: [none, age, aes256]
        default: none
      recipients:
        description: Public keys of age, or SSH public keys. The private key of any one of them decrypts.
        type: list
        elements: str
        default: []
      passphrase_file:
        description: File on the host, of mode 0600, whose first line is the passphrase for V(aes256). Best on a tmpfs.
        type: path
"""
