# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that reads or writes the backup root; STORE_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  backup_root:
    description:
      - Directory on the host that holds the backups.
      - Each stack has a directory there, and each backup a directory of its own in that, named by its ID.
    type: path
    default: /var/backups/crm
"""
