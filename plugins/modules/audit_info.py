#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: audit_info
short_description: Read and prove the audit log of a backup root
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Reads C(audit.jsonl), in which every backup, verification, restore, deletion and the like has a line that holds the
    checksum of the line before.
  - Finds lines that were changed, removed, added or moved. Whether the end is missing shows in what the host remembers
    of the last line in C(/var/lib/crm.continuity/audit), and in what is said to be known.
  - Answers which backups held whose data where until when, for requests under data protection law.
  - Changes nothing.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._store
options:
  stack:
    description: Only what happened to this stack.
    type: str
  id:
    description: Only what happened to the backup of this ID.
    type: str
  actions:
    description: Only these actions, such as V(backup), V(verify), V(restore), V(prune) and V(extract).
    type: list
    elements: str
    default: []
  results:
    description: Only what ended so.
    type: list
    elements: str
    choices: [ok, failed, anomalous, refused]
    default: []
  since:
    description: Only from this time on; a date or the beginning of a time in UTC, such as V(2026-11).
    type: str
    default: ""
  until:
    description: Only until the end of this time, as in O(since).
    type: str
    default: ""
  limit:
    description: Only so many events, the newest. V(0) is all of them.
    type: int
    default: 0
  storage:
    description: Whether to return RV(storage), too.
    type: bool
    default: false
  known:
    description:
      - Events as they were returned before, as RV(head) or as RV(crm.continuity.stack_backup#module:audit), by somebody
        who kept them elsewhere. The log has to hold every one of them.
    type: list
    elements: dict
    default: []
    suboptions:
      sequence:
        description: Number of the event.
        type: int
        required: true
      sha256:
        description: Checksum of its line.
        type: str
        required: true
  fail_on_problems:
    description: Whether a log that was tampered with is an error. Otherwise it is only reported.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Prove the log
  crm.continuity.audit_info:
    known: "{{ kept_heads }}"

- name: Ask where the data of one stack were kept, and until when
  crm.continuity.audit_info:
    stack: crm
    storage: true
  register: answer

- name: See what was deleted in November
  crm.continuity.audit_info:
    actions: [prune]
    since: 2026-11
    until: 2026-11
"""

RETURN = r"""
ok:
  description: Whether no event was lost or changed.
  returned: always
  type: bool
problems:
  description: What is wrong with the log.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(damaged), V(broken), V(missing), V(moved), V(truncated), V(replaced) or V(noted) where something was
          changed.
        - V(torn) where a line was not written to its end, V(unproved) where this host remembers no last event.
      type: str
    line:
      description: Number of the line, 0 for the log as a whole.
      type: int
    message:
      description: What is wrong there.
      type: str
    harmless:
      description: Whether no event was lost or changed.
      type: bool
head:
  description: The last event, to be kept elsewhere and given as O(known) later. Null where there is none.
  returned: always
  type: dict
  contains:
    sequence:
      description: Number of the event.
      type: int
    sha256:
      description: Checksum of its line.
      type: str
events:
  description: The events, oldest first.
  returned: always
  type: list
  elements: dict
  contains:
    sequence:
      description: Number of the event, from 1.
      type: int
    at:
      description: When it was noted, in UTC.
      type: str
    action:
      description: What was done.
      type: str
    result:
      description: How it ended.
      type: str
    stack:
      description: Name of the stack.
      type: str
    backup:
      description: ID of the backup.
      type: str
    actor:
      description: Who asked for it, with C(user), C(job) and C(control_node) as far as known.
      type: dict
    host:
      description: The host on which it was done.
      type: str
    facts:
      description: More, which depends on the action.
      type: dict
    previous:
      description: Checksum of the line before.
      type: str
    sha256:
      description: Checksum of its own line.
      type: str
storage:
  description: The backups that were kept here, in the order in which they came.
  returned: with O(storage)
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    backup:
      description: ID of the backup.
      type: str
    host:
      description: Where it was kept, empty where no event tells.
      type: str
    root:
      description: The directory below which it was kept.
      type: str
    since:
      description: Since when, empty where no event tells.
      type: str
    by:
      description: Who brought it there.
      type: dict
    until:
      description: When it was deleted, null for one that is there.
      type: str
    removed_by:
      description: Who deleted it.
      type: dict
    unrecorded:
      description: Whether it is gone without an event that says so.
      type: bool
    cut_at:
      description: The instant that its data are of.
      type: str
    encryption:
      description: How it is encrypted.
      type: str
    volumes:
      description: The volumes that it holds.
      type: list
      elements: str
    databases:
      description: The databases that it holds.
      type: list
      elements: str
    copies:
      description: What was taken out of it or brought elsewhere, when and by whom.
      type: list
      elements: dict
"""

import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit import AuditLog
from ..module_utils._audit_chain import RESULTS, Head
from ..module_utils._audit_report import Choice, choose, storage
from ..module_utils._backup_store import Store
from ..module_utils._module import STORE_OPTIONS, reported_by


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str"},
            "actions": {"type": "list", "elements": "str", "default": []},
            "results": {"type": "list", "elements": "str", "choices": list(RESULTS), "default": []},
            "since": {"type": "str", "default": ""},
            "until": {"type": "str", "default": ""},
            "limit": {"type": "int", "default": 0},
            "storage": {"type": "bool", "default": False},
            "known": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "sequence": {"type": "int", "required": True},
                    "sha256": {"type": "str", "required": True},
                },
            },
            "fail_on_problems": {"type": "bool", "default": True},
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    choice = Choice(
        stack=params["stack"],
        backup=params["id"],
        actions=tuple(params["actions"]),
        results=tuple(params["results"]),
        since=params["since"],
        until=params["until"],
        limit=params["limit"],
    )
    with reported_by(module):
        log = AuditLog(params["backup_root"])
        events, problems = log.read([Head(entry["sequence"], entry["sha256"]) for entry in params["known"]])
        serious = [problem for problem in problems if not problem.harmless]
        last = events[-1] if events else None
        result: dict[str, t.Any] = {
            "ok": not serious,
            "problems": [asdict(problem) for problem in problems],
            "head": None if last is None else last.receipt,
            "events": [asdict(event) for event in choose(events, choice)],
        }
        if params["storage"]:
            store = Store(params["backup_root"])
            present = {stack: [backup.id for backup in store.backups(stack)] for stack in store.stacks()}
            kept = storage(events, params["backup_root"], present, params["stack"])
            result["storage"] = [asdict(entry) for entry in kept if params["id"] in (None, entry.backup)]
        if serious and params["fail_on_problems"]:
            words = " ".join(problem.message for problem in serious)
            module.fail_json(
                msg=f"{log.path} is not as it was written. {words} Compare it with a copy of it from elsewhere.",
                **result,
            )
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
