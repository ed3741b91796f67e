#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: session_reset
short_description: Clear the WhatsApp sessions of a stack, so that it has to be paired anew
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Two servers with the credentials of one WhatsApp session log each other out. A copy of a stack must not start with
    the sessions of the original.
  - Finds where the application keeps its sessions, as M(crm.continuity.stack_info) shows it, and clears them there.
    That is rows of the database, keys in Redis and files in volumes. What is cleared is said by the profiles.
  - Nothing else is changed. Conversations, contacts, instances and their settings stay.
  - Asks again afterwards, and fails when anything is left.
  - Only the phone can bring a session back that was cleared. Take a backup before.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._profiles
  - crm.continuity._store
attributes:
  check_mode:
    support: full
    details: Counts what would be cleared.
  diff_mode:
    support: full
    details: Shows the counts.
  idempotent:
    support: full
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  stack_profiles:
    description: Names of the profiles that the stack consists of. Found by image when left out.
    type: list
    elements: str
    default: []
  running_ok:
    description:
      - Whether to go on while a service runs that uses the session. It would write the session back, at the latest when
        it ends, unless it has logged out.
      - PostgreSQL and Redis have to run in any case.
    type: bool
    default: false
  outside_ok:
    description:
      - Whether to clear what is in a database or a Redis outside the stack, too.
      - That of a copy may still be that of the original, whose sessions would be lost then.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Stop what uses the sessions of a copy
  ansible.builtin.command:
    argv: [docker, compose, --project-name, crm-copy, stop, evolution_api]
  changed_when: true

- name: Clear them
  crm.continuity.session_reset:
    stack: crm-copy
"""

RETURN = r"""
reason:
  description: Why something was cleared, or would be in check mode. Null when there was nothing to clear.
  returned: success
  type: str
  sample: there are sessions
cleared:
  description: What was cleared, or would be.
  returned: success
  type: list
  elements: dict
  contains:
    profile:
      description: The profile that the session is of.
      type: str
    holds:
      description: Which part of the session.
      type: str
      sample: credentials
    place:
      description: Either V(database), V(redis) or V(volume).
      type: str
    where:
      description: The place, for a reader.
      type: str
      sample: database evolution
    name:
      description: What was cleared there.
      type: str
      sample: credentials of the instances
    count:
      description: How many rows, keys or files.
      type: int
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
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    PROFILE_OPTIONS,
    STORE_OPTIONS,
    audited,
    load_profiles,
    reported_by,
)
from ..module_utils._session_reset import Request, apply, plan
from ..module_utils._stack import Request as StackRequest

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..module_utils._session_reset import Cleared


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "stack_profiles": {"type": "list", "elements": "str", "default": []},
            "running_ok": {"type": "bool", "default": False},
            "outside_ok": {"type": "bool", "default": False},
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    request = Request(
        StackRequest(params["stack"], tuple(params["stack_profiles"])), params["running_ok"], params["outside_ok"]
    )
    with reported_by(module):
        profiles = load_profiles(module)
        engine = connect(params["docker_host"], params["docker_timeout"])
        wanted = plan(request, engine, profiles)
        acting = wanted.reason is not None and not module.check_mode
        with audited(module, "reset", stack=params["stack"], begin=False) as entry:
            cleared = apply(wanted, engine) if acting else wanted.found
            entry.wanted = acting
            entry.facts["cleared"] = sum(one.count for one in cleared)
    module.exit_json(
        audit=entry.written,
        changed=wanted.reason is not None,
        reason=wanted.reason,
        cleared=[asdict(entry) for entry in cleared],
        diff={"before": _table(wanted.found, left=True), "after": _table(wanted.found, left=False)},
    )


def _table(found: Sequence[Cleared], *, left: bool) -> str:
    return "".join(f"{entry.where}: {entry.name}: {entry.count if left else 0}\n" for entry in found)


if __name__ == "__main__":
    main()
