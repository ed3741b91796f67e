# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: fleet_check
short_description: Sum up how the hosts stand
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Takes the statuses of hosts, and returns one line for each stack and each problem, and the same for programs.
options:
  _input:
    description: >-
      Each host by its name in the inventory, with its status, as P(crm.continuity.host_status#filter) returns it; or
      with an empty dictionary, when it dropped out of the play before it was asked.
    type: dict
    required: true
seealso:
  - plugin: crm.continuity.host_status
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show how all hosts stand
  ansible.builtin.debug:
    msg: "{{ (statuses | crm.continuity.fleet_check).lines }}"
  vars:
    statuses: "{{ dict(hosts | zip(hosts | map('extract', hostvars, 'status_result'))) }}"
    hosts: "{{ ansible_play_hosts_all }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The sum.
  type: dict
  contains:
    standing:
      description: V(ok), V(warning) or V(critical), the worst of all.
      type: str
    hosts:
      description: How many hosts there are, and in C(ok), C(warning) and C(critical) how many stand so.
      type: int
    stacks:
      description: Each stack of each C(host), with its C(standing) and the instants that it can be restored to.
      type: list
      elements: dict
    problems:
      description: Each problem of each C(host).
      type: list
      elements: dict
    lines:
      description: All of it in words.
      type: list
      elements: str
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ..module_utils._status_check import summed_up
from ..plugin_utils._host_status import of_result
from ..plugin_utils._report_status import read


def fleet_check(statuses: t.Any) -> dict[str, t.Any]:
    """Sum up the statuses of hosts."""
    if not isinstance(statuses, dict):
        raise AnsibleFilterError(f"fleet_check needs statuses by host, not {type(statuses).__name__}.")
    return summed_up(
        {
            host: read(host, status if "problems" in status else of_result(status, host))
            for host, status in statuses.items()
        }
    )


class FilterModule:
    """Tells Ansible of the filter."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        return {"fleet_check": fleet_check}
