# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """The option of every module that writes to the audit log; ACTOR_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  actor:
    description:
      - Who is to stand in the audit log of the backup root as the one who asked for this.
      - Without it, that is the user of the host who runs the module, or who called sudo for it.
      - The roles fill it in with P(crm.continuity.actor#lookup).
    type: dict
    default: {}
    suboptions:
      user:
        description: Name of the person or account.
        type: str
      job:
        description: What ran it, such as a job of AWX.
        type: str
      control_node:
        description: Name of the machine that Ansible runs on.
        type: str
"""
