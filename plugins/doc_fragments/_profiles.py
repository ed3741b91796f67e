# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that needs profiles; PROFILE_OPTIONS in module_utils/_module.py."""

    DOCUMENTATION = r"""
options:
  profiles:
    description:
      - Profiles of your own, added to those of the collection.
      - Each entry is a dictionary, or the path of a YAML file on the control node.
      - An entry with the name of a profile of the collection, or with C(extends), says only what differs.
      - The fields are described in C(docs/profiles.md) and C(docs/schemas/profile.schema.json).
    type: list
    elements: raw
    default: []
  shipped_profiles:
    description:
      - The profiles of the collection.
      - The action plugin of this module fills it in. Do not set it.
    type: list
    elements: dict
    default: []
"""
