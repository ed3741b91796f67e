#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_thaw
short_description: Bring back what a dead backup left frozen or stopped
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Before M(crm.continuity.stack_backup) freezes a service, it notes in a journal on the host what has to run again.
  - This module reads the journals, thaws what stands still, starts what does not run, and removes the journal when
    everything that it names runs.
  - There is nothing to do after a backup that ended, well or not. There is when the backup and its watchdog were both
    killed, or when the host was restarted.
  - A container that was created anew meanwhile is found by the names that compose gives it.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  stack:
    description: Name of the compose project. Every stack that has a journal, when left out.
    type: str
  force:
    description:
      - Whether to thaw also what a living backup has frozen. That backup notices and fails.
      - With O(stack), also thaws its containers that stand still although there is no journal, or none that can be
        read. A damaged journal is set aside then.
    type: bool
    default: false
notes:
  - Needs root, as the backup does.
  - A journal names its Docker daemon. O(docker_host) is for what O(force) finds without one.
"""

EXAMPLES = r"""
- name: Bring back everything that backups have left behind
  crm.continuity.stack_thaw:

- name: Thaw a stack now, although its backup is still being taken
  crm.continuity.stack_thaw:
    stack: crm
    force: true
"""

RETURN = r"""
thawed:
  description: The containers that were brought back, or would be in check mode.
  returned: always
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    service:
      description: Name of the compose service.
      type: str
    container:
      description: Name of the container.
      type: str
    action:
      description: V(thaw) and V(unpause) for one that stood still, V(start) for one that did not run.
      type: str
closed:
  description: The stacks whose journal was removed, or would be, since everything that it names runs.
  returned: always
  type: list
  elements: str
remarks:
  description: Containers that are gone, and other remarks.
  returned: always
  type: list
  elements: str
audit:
  description: The line that the audit log got for this, for a control node to keep. Null where it got none.
  returned: success
  type: dict
  contains:
    sequence:
      description: Number of the event.
      type: int
    sha256:
      description: Checksum of its line.
      type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit_chain import FAILED
from ..module_utils._module import ACTOR_OPTIONS, DOCKER_OPTIONS, STORE_OPTIONS, Entry, audited, reported_by
from ..module_utils._stack_thaw import Outcome, Request, thaw_stacks


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "force": {"type": "bool", "default": False},
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    request = Request(
        stack=module.params["stack"],
        force=module.params["force"],
        docker_host=module.params["docker_host"],
        docker_timeout=module.params["docker_timeout"],
    )
    with reported_by(module):
        with audited(module, "thaw", stack=request.stack, begin=False) as entry:
            outcome = thaw_stacks(request, act=not module.check_mode)
            _describe(entry, outcome)
        thawed = [
            {"stack": done.stack, "service": entry.service, "container": entry.container, "action": entry.action}
            for done in outcome.thawed
            for entry in done.revived
        ]
        closed = [done.stack for done in outcome.thawed if done.closed]
        result: dict[str, t.Any] = {
            "changed": bool(thawed or closed),
            "thawed": thawed,
            "closed": closed,
            "audit": entry.written,
            "remarks": [remark for done in outcome.thawed for remark in done.remarks],
            "diff": {
                "before": "".join(
                    [
                        *(f"{entry['container']}: {_BEFORE[entry['action']]}\n" for entry in thawed),
                        *(f"journal of stack {stack}\n" for stack in closed),
                    ]
                ),
                "after": "".join(f"{entry['container']}: running\n" for entry in thawed),
            },
        }
        if trouble := (*outcome.busy, *outcome.failed):
            module.fail_json(msg=" ".join(trouble), **result)
    module.exit_json(**result)


def _describe(entry: Entry, outcome: Outcome) -> None:
    """Fill in the event; nothing happened where nothing stood still."""
    services = [one.service for done in outcome.thawed for one in done.revived]
    trouble = [*outcome.busy, *outcome.failed]
    stacks = [done.stack for done in outcome.thawed if done.revived or done.closed]
    entry.wanted = bool(stacks or outcome.failed)
    entry.stack = stacks[0] if len(stacks) == 1 else entry.stack
    entry.facts.update(stacks=stacks, services=services)
    if trouble:
        entry.result = FAILED
        entry.facts["message"] = " ".join(trouble)


_BEFORE = {"thaw": "frozen", "unpause": "paused", "start": "not running"}


if __name__ == "__main__":
    main()
