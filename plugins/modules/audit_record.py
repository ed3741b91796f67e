#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_record
short_description: Note something in the audit log of a backup root
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Adds a line to C(audit.jsonl) about something that no module of this collection did and that has to be known later,
    such as a copy on a disk that was handed over, or a backup that was deleted by hand.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: none
    details: Every run adds an event.
options:
  action:
    description:
      - What was done.
      - V(copy) says that a backup was copied from here, V(transfer) that it came here from elsewhere, V(prune) that it
        was deleted, and V(restore) that a restore was refused before it began, with O(result=refused).
    type: str
    choices: [note, copy, transfer, prune, extract, restore]
    default: note
  text:
    description:
      - What happened, in your words, or why it did not. Do not write secrets or personal data here, for nobody can
        remove them.
    type: str
  stack:
    description: The stack that it is about.
    type: str
  id:
    description: ID of the backup that it is about.
    type: str
  to:
    description: Where a copy went. With O(action=copy).
    type: str
  source:
    description: Where the backup came from. With O(action=transfer), which reads what came.
    type: str
  result:
    description: How it ended.
    type: str
    choices: [ok, failed, anomalous, refused]
    default: ok
"""

EXAMPLES = r"""
- name: Note that a copy left the house
  crm.continuity.audit_record:
    action: copy
    stack: crm
    id: 20261121T020000Z
    to: disk 7 in the safe of the notary
    actor: "{{ lookup('crm.continuity.actor') }}"
"""

RETURN = r"""
audit:
  description: The line that the audit log got, for a control node to keep. Null in check mode.
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

from ..module_utils._audit_chain import REFUSED, RESULTS
from ..module_utils._audit_facts import of_backup
from ..module_utils._backup_store import Store
from ..module_utils._errors import StoreError
from ..module_utils._module import ACTOR_OPTIONS, LONGEST_MESSAGE, STORE_OPTIONS, audited, reported_by

ACTIONS = ["note", "copy", "transfer", "prune", "extract", "restore"]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "action": {"type": "str", "choices": ACTIONS, "default": "note"},
            "text": {"type": "str"},
            "stack": {"type": "str"},
            "id": {"type": "str"},
            "to": {"type": "str"},
            "source": {"type": "str"},
            "result": {"type": "str", "choices": list(RESULTS), "default": "ok"},
            **ACTOR_OPTIONS,
            **STORE_OPTIONS,
        },
        required_by={"id": ("stack",)},
        required_if=[
            ("action", "copy", ("id", "to")),
            ("action", "transfer", ("id", "source")),
            ("action", "prune", ("id",)),
            ("action", "note", ("text",)),
            ("action", "restore", ("id", "text")),
        ],
        supports_check_mode=True,
    )
    params = module.params
    if params["action"] == "restore" and params["result"] != REFUSED:
        module.fail_json(msg="stack_cutover notes what a restore did. This notes one that was refused: result=refused.")
    with reported_by(module), audited(module, params["action"], stack=params["stack"], needed=True) as entry:
        entry.backup, entry.result = params["id"], params["result"]
        said = {"message" if params["result"] == REFUSED else "text": (params["text"] or "")[:LONGEST_MESSAGE]}
        entry.facts.update({name: value for name, value in {**said, "to": params["to"]}.items() if value})
        if params["action"] == "prune":
            _check_gone(params)
        if params["action"] == "transfer":
            entry.facts["from"] = params["source"]
            backup = Store(params["backup_root"]).backup(params["stack"], params["id"])
            entry.facts.update(of_backup(backup, backup.manifest()))
    module.exit_json(changed=True, audit=entry.written)


def _check_gone(params: t.Mapping[str, t.Any]) -> None:
    """Fail when the backup is there; that would let a log say of data that they were deleted."""
    for backup in Store(params["backup_root"]).backups(params["stack"]):
        if backup.id == params["id"]:
            raise StoreError(f"{backup.path} is there. Delete it first, then note it.", path=backup.path)


if __name__ == "__main__":
    main()
