#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_transfer
short_description: Bring a backup from one host to another through this machine
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Runs on a machine that reaches both hosts, such as the control node. The hosts need not reach each other.
  - The files flow through, and neither memory nor disk of this machine keeps them.
  - Goes on where an earlier run was interrupted.
  - The backup gets its name on the target after all checksums were compared there.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  id:
    description: ID of the backup.
    type: str
    required: true
  source_shell:
    description:
      - Words that run a line of shell on the source, such as those of C(ssh) with its options and the host.
      - Must not ask for a password.
    type: list
    elements: str
    required: true
  source_root:
    description: Directory on the source that holds the backups.
    type: str
    default: /var/backups/crm
  source_become:
    description: Words in front of what needs privileges on the source, such as C(sudo -n).
    type: list
    elements: str
    default: []
  target_shell:
    description: Words that run a line of shell on the target.
    type: list
    elements: str
    required: true
  target_root:
    description: Directory on the target that holds the backups.
    type: str
    default: /var/backups/crm
  target_become:
    description: Words in front of what needs privileges on the target.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Bring a backup to the new server
  crm.continuity.backup_transfer:
    stack: crm
    id: 20261121T020000Z
    source_shell: [ssh, -o, BatchMode=yes, root@old.example.com]
    target_shell: [ssh, -o, BatchMode=yes, root@new.example.com]
  delegate_to: localhost
"""

RETURN = r"""
bytes:
  description: How many bytes were brought, or would be. Less than the size of the backup where a run went on.
  returned: success
  type: int
files:
  description: How many files the backup has.
  returned: success
  type: int
directory:
  description: Directory of the backup on the target.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_store import DEFAULT_ROOT
from ..module_utils._backup_transfer import Place, Request, apply, plan
from ..module_utils._module import reported_by


def main() -> None:
    place = {
        "shell": {"type": "list", "elements": "str", "required": True},
        "root": {"type": "str", "default": DEFAULT_ROOT},
        "become": {"type": "list", "elements": "str", "default": []},
    }
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "id": {"type": "str", "required": True},
            **{f"{side}_{name}": options for side in ("source", "target") for name, options in place.items()},
        },
        supports_check_mode=True,
    )
    params = module.params
    source, target = (
        Place(tuple(params[f"{side}_shell"]), params[f"{side}_root"], tuple(params[f"{side}_become"]))
        for side in ("source", "target")
    )
    with reported_by(module):
        wanted = plan(Request(source, target, params["stack"], params["id"]))
        if not module.check_mode:
            apply(wanted)
    module.exit_json(
        changed=not wanted.complete,
        bytes=wanted.missing,
        files=len(wanted.files),
        directory=target.directory(params["stack"], params["id"]),
    )


if __name__ == "__main__":
    main()
