#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: key_check
short_description: Prove that a key on the control node opens the newest backups of a host
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Brings the beginning of every encrypted artifact of a backup to the control node, and small artifacts as a whole,
    and decrypts them there. The key stays where it is.
  - So the key that is kept offline is known to be the right one before it is needed.
  - Changes no backup. Each verdict becomes a line of the audit log of the host.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._store
attributes:
  check_mode:
    support: full
    details: Tries the key, and notes nothing in the audit log.
  diff_mode:
    support: N/A
    details: Nothing is changed but the audit log.
  idempotent:
    support: full
    details: A line of the audit log counts as no change.
options:
  stack:
    description: Name of a stack. Without it, the key is tried on a backup of each stack.
    type: str
  id:
    description: ID of a backup, or V(latest).
    type: str
    default: latest
  identity_file:
    description: File on the control node, of mode 0600, with the private key for what is encrypted with age.
    type: path
  identity:
    description: The private key itself, such as from Ansible Vault. Set C(no_log) for the task.
    type: str
  passphrase:
    description: Passphrase for what is encrypted with aes256, such as from Ansible Vault. Set C(no_log) for the task.
    type: str
  fail_on_refusal:
    description: Whether it is an error when the key does not open everything. Otherwise it is only reported.
    type: bool
    default: true
  verdicts:
    description: What the control node has found. Filled in by the action plugin, not for you.
    type: list
    elements: dict
requirements:
  - C(age) or C(gpg) on the control node.
notes:
  - The private key is not sent to the host, neither in O(identity_file) nor in O(identity).
seealso:
  - module: crm.continuity.backup_verify
"""

EXAMPLES = r"""
- name: Try the key that lies in the safe
  crm.continuity.key_check:
    identity_file: /media/safe/crm.key
    actor: "{{ lookup('crm.continuity.actor') }}"
"""

RETURN = r"""
ok:
  description: Whether the key opens everything that is encrypted.
  returned: always
  type: bool
backups:
  description: What the key opened of each backup.
  returned: always
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    id:
      description: ID of the backup.
      type: str
    encrypted:
      description: Whether anything of it is encrypted.
      type: bool
    ok:
      description: Whether the key opens all of that.
      type: bool
    artifacts:
      description: Number of encrypted artifacts.
      type: int
    whole:
      description: How many of them were decrypted to their end, being small, and have the checksum of the manifest.
      type: int
    problems:
      description: What could not be opened, and why.
      type: list
      elements: str
audit:
  description: The last line that the audit log got, for a control node to keep. Null where it got none.
  returned: always
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

from ..module_utils._audit import AuditLog
from ..module_utils._audit_chain import FAILED, OK
from ..module_utils._key_check import Request, show
from ..module_utils._module import ACTOR_OPTIONS, STORE_OPTIONS, reported_by


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str", "default": "latest"},
            "identity_file": {"type": "path"},
            "identity": {"type": "str", "no_log": True},
            "passphrase": {"type": "str", "no_log": True},
            "fail_on_refusal": {"type": "bool", "default": True},
            "verdicts": {"type": "list", "elements": "dict"},
            **ACTOR_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    with reported_by(module):
        if params["verdicts"] is None:
            module.exit_json(changed=False, shown=show(Request(params["backup_root"], params["stack"], params["id"])))
        log = AuditLog(params["backup_root"])
        audit = None
        for verdict in params["verdicts"]:
            facts = {name: verdict[name] for name in ("artifacts", "whole", "problems")}
            result = OK if verdict["ok"] else FAILED
            event = log.append(
                "key", stack=verdict["stack"], backup=verdict["id"], result=result, actor=params["actor"], facts=facts
            )
            audit = event.receipt
    module.exit_json(changed=False, audit=audit)


if __name__ == "__main__":
    main()
