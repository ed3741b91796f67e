#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_hold
short_description: Exempt a backup from pruning, or accept an anomaly
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Holds a backup, so that M(crm.continuity.backup_prune) never removes it, until it is released.
  - Accepts a backup that M(crm.continuity.stack_backup) found anomalous, because its data is as it should be, such as
    after a big clean-up. From then on it counts as good, and later ones are compared with it and not with older ones.
  - Each is an event of the audit log with its reason and who asked for it.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._metrics
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
    description: Name of the stack.
    type: str
    required: true
  id:
    description: ID of the backup, or V(latest).
    type: str
    required: true
  state:
    description:
      - V(held) keeps the backup until V(released).
      - V(accepted) says that an anomaly is none. It cannot be taken back.
    type: str
    choices: [held, released, accepted]
    default: held
  reason:
    description: Why, in your words. It stays in the audit log, so write no secrets and no personal data.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Keep the backup from before the migration
  crm.continuity.backup_hold:
    stack: crm
    id: 20261121T020000Z
    reason: Before the migration to Chatwoot 5

- name: Accept a backup with far fewer rows
  crm.continuity.backup_hold:
    stack: crm
    id: latest
    state: accepted
    reason: Conversations of before 2024 were deleted on purpose
"""

RETURN = r"""
id:
  description: ID of the backup.
  returned: success
  type: str
standing:
  description: What the backup counts as afterwards, V(verified), V(unverified), V(anomalous) or V(damaged).
  returned: success
  type: str
held:
  description: Why it is held. Null when it is not.
  returned: success
  type: str
remarks:
  description: What is wrong with the audit log, and why metrics could not be written.
  returned: success
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

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_hold import STATES, Request, after, apply, plan
from ..module_utils._metrics import refresh
from ..module_utils._module import ACTOR_OPTIONS, METRICS_OPTIONS, STORE_OPTIONS, reported_by


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "id": {"type": "str", "required": True},
            "state": {"type": "str", "choices": list(STATES), "default": STATES[0]},
            "reason": {"type": "str", "required": True},
            **ACTOR_OPTIONS,
            **METRICS_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    request = Request(
        root=module.params["backup_root"],
        stack=module.params["stack"],
        id=module.params["id"],
        state=module.params["state"],
        reason=module.params["reason"].strip(),
        actor=module.params["actor"],
    )
    if not request.reason:
        module.fail_json(msg="reason is empty: say why, for whoever reads the audit log.")
    with reported_by(module):
        wanted = plan(request)
        event = None if module.check_mode else apply(wanted)
        remarks = [] if event is None else refresh(module.params["metrics_directory"], request.root, request.stack)
        before, later = wanted.entry.standing, after(wanted)
        module.exit_json(
            changed=wanted.change is not None,
            id=wanted.backup.id,
            standing=later.word,
            held=later.held,
            remarks=[*wanted.warnings, *remarks],
            audit=event,
            diff={
                "before": f"{wanted.backup.id}: {before.word}, held: {before.held}\n",
                "after": f"{wanted.backup.id}: {later.word}, held: {later.held}\n",
            },
        )


if __name__ == "__main__":
    main()
