# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that checks a running stack; CHECK_OPTIONS in module_utils/_check.py."""

    DOCUMENTATION = r"""
options:
  stack:
    description: Name of the stack, which is the name of its compose project.
    type: str
    required: true
  stack_profiles:
    description:
      - Names of the profiles that the stack consists of.
      - When empty, they are found by the images of its containers.
    type: list
    elements: str
    default: []
  fail_on_findings:
    description:
      - Whether the task fails when a check has failed.
      - Otherwise findings are only returned. Warnings never fail the task.
    type: bool
    default: false
"""
