# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: actor
short_description: Who runs this playbook
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Returns what the modules of this collection take as O(crm.continuity.stack_backup#module:actor), for the audit log.
  - In a job of AWX, the automation controller or Semaphore, that is its user and number, which they give as extra
    variables. Elsewhere it is the user who runs Ansible, or who called sudo for it.
  - Whoever may run playbooks can say that he is somebody else. It tells colleagues apart, and does not prove anything.
options: {}
"""

EXAMPLES = r"""
- name: Back up a stack by hand and leave a name
  crm.continuity.stack_backup:
    stack: crm
    actor: "{{ lookup('crm.continuity.actor') }}"
"""

RETURN = r"""
_list:
  description: One dictionary.
  type: list
  elements: dict
  contains:
    user:
      description: Name of the person or account.
      type: str
    job:
      description: What ran it; missing when that is nothing but a person.
      type: str
    control_node:
      description: Name of the machine that Ansible runs on.
      type: str
  sample: [{user: ana, job: awx 4711 (Nightly backup), control_node: control-1}]
"""

import getpass
import os
import platform
import typing as t

from ansible.plugins.lookup import LookupBase

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# The automation controller gives both.
PREFIXES = ("awx", "tower")


class LookupModule(LookupBase):
    """Looks at the variables of the play and at this process."""

    def run(
        self, terms: list[t.Any], variables: dict[str, t.Any] | None = None, **kwargs: t.Any
    ) -> list[dict[str, str]]:
        """Return one description."""
        return [{**actor(variables or {}), "control_node": platform.node()}]


def actor(variables: Mapping[str, t.Any]) -> dict[str, str]:
    """Return the user, and the job if there is one."""
    for prefix in PREFIXES:
        if number := variables.get(f"{prefix}_job_id"):
            name = variables.get(f"{prefix}_job_template_name")
            user = variables.get(f"{prefix}_user_name") or _user()
            return {"user": str(user), "job": f"{prefix} {number}" + (f" ({name})" if name else "")}
    semaphore = variables.get("semaphore_vars")
    details = semaphore.get("task_details") if isinstance(semaphore, dict) else None
    if isinstance(details, dict):
        number = details.get("id")
        return {
            "user": str(details.get("username") or _user()),
            "job": "semaphore" if number is None else f"semaphore {number}",
        }
    return {"user": _user()}


def _user() -> str:
    return os.environ.get("SUDO_USER") or getpass.getuser()
