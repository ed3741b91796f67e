# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: host_status
short_description: The status of a host, also of one that gave no answer
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Takes what a task with M(crm.continuity.backup_status) has registered, and returns its
    RV(crm.continuity.backup_status#module:status).
  - Of a host that could not be reached, refused the password, lacks Python or is broken otherwise, it returns one of
    the same shape, with that as its only problem. So it does for an answer that makes no sense. The error is short and
    without secrets.
positional: host
options:
  _input:
    description: The registered result.
    type: dict
    required: true
  host:
    description: Name of the host, for one that cannot say it.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Ask how the backups stand
  crm.continuity.backup_status:
  register: answer
  ignore_unreachable: true
  ignore_errors: true

- name: Note it, whatever it is
  ansible.builtin.set_fact:
    status_result: "{{ answer | crm.continuity.host_status(inventory_hostname) }}"
"""

RETURN = r"""
_value:
  description: >-
    The status. The codes V(unreachable), V(password) and V(broken) of its problems come from here only,
    V(half_installed) also from the module.
  type: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ..plugin_utils._host_status import of_result
from ..plugin_utils._report_status import read


def host_status(result: t.Any, host: str) -> dict[str, t.Any]:
    """Return the status of one host."""
    if not isinstance(result, dict):
        raise AnsibleFilterError(f"host_status needs the registered result of a task, not {type(result).__name__}.")
    return read(host, of_result(result, host))


class FilterModule:
    """Tells Ansible of the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"host_status": host_status}
