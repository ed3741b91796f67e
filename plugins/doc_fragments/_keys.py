# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """What every module decrypts with that reads parts of backups; KEY_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  identity_file:
    description:
      - File on the host, of mode 0600, that holds the private key for what is encrypted with age, or several.
        Best on a tmpfs, and only as long as it is needed. The roles of this collection bring it there and remove it.
      - A file that is itself encrypted with a passphrase cannot be used, since nobody is there to be asked for it.
    type: path
  passphrase_file:
    description: File on the host, of mode 0600, whose first line is the passphrase for what is encrypted with aes256.
    type: path
"""
