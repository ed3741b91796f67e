#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_prune
short_description: Remove the backups that no rule keeps
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Keeps the last backups, and one of each of the last hours, days, weeks, months and years. What counts is the order
    in which backups arrived, as the audit log knows it, and never the clock of this moment.
  - Never removes the newest backup, one that is held, and the newest that were verified.
  - Removes nothing when the last try to take a backup failed, when the newest one is anomalous, damaged or not
    verified, when too few are verified, or when the audit log is missing or was tampered with. RV(stacks[].blocked)
    says so.
  - Anomalous and damaged backups take no place of a good one.
  - A run that is killed is finished by the next one.
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
    description: Name of a stack. Without it, the backups of all stacks are pruned, each stack for itself.
    type: str
  retention:
    description:
      - What stays. A backup goes when no rule keeps it.
      - Hours, days, weeks, months and years are those in UTC that have a backup; others do not count.
    type: dict
    required: true
    suboptions:
      keep_last:
        description: So many of the last backups.
        type: int
      keep_hourly:
        description: The last one of each of so many hours; one that was verified before one that was not.
        type: int
      keep_daily:
        description: The same by day.
        type: int
      keep_weekly:
        description: The same by week, from Monday to Sunday.
        type: int
      keep_monthly:
        description: The same by month.
        type: int
      keep_yearly:
        description: The same by year.
        type: int
      days:
        description: All of so many days that have a backup. A day without one makes no backup older.
        type: int
      min_verified:
        description: So many of the newest that were verified always stay, at least 1. V(2) when left out.
        type: int
      stacks:
        description: The same options by name of a stack, where it has rules of its own.
        type: dict
  space_warn:
    description: Percent of the file system of the backup root from which on it is a warning.
    type: float
    default: 80
  space_critical:
    description: Percent from which on it is critical.
    type: float
    default: 90
  fail_when_blocked:
    description: Whether it is an error when backups that no rule keeps could not be removed. If not, it is reported.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: See what would go, and why the others stay
  crm.continuity.backup_prune:
    retention:
      keep_last: 3
      keep_daily: 7
      keep_weekly: 4
      keep_monthly: 12
  check_mode: true
  register: would

- name: Keep fourteen days of everything, and more of one stack
  crm.continuity.backup_prune:
    retention:
      days: 14
      stacks:
        ticketz:
          days: 30
          min_verified: 5
"""

RETURN = r"""
stacks:
  description: What was done for each stack; in check mode what would be.
  returned: always
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    removed:
      description: The backups that were removed, each with its C(id), C(standing), C(why) it has that, and C(size).
      type: list
      elements: dict
    finished:
      description: IDs of those that an earlier run had begun to remove.
      type: list
      elements: str
    bytes:
      description: How many bytes that freed.
      type: int
    kept:
      description: >-
        The backups that stay in the order of their arrival, each with its C(id), C(standing) (V(verified),
        V(unverified), V(anomalous) or V(damaged)), C(why) it has that, and the C(reasons) to keep it.
      type: list
      elements: dict
      sample: [{id: 20261121T020000Z, standing: verified, why: null, reasons: [the newest, keep_daily 7]}]
    blocked:
      description: Why nothing may be removed. Null when it may.
      type: str
    overdue:
      description: IDs of those that would go if it were not blocked.
      type: list
      elements: str
    remarks:
      description: What is strange, such as a clock that was set back.
      type: list
      elements: str
    error:
      description: Why not everything could be removed, such as a stack that is busy. Null when it could.
      type: str
space:
  description: The file system of the backup root afterwards.
  returned: always
  type: dict
  contains:
    path:
      description: A directory on it.
      type: str
    total:
      description: Bytes that it has for users.
      type: int
    free:
      description: Bytes that are left.
      type: int
    used_percent:
      description: How full it is, as C(df) counts.
      type: float
    level:
      description: V(ok), V(warning) or V(critical).
      type: str
    message:
      description: What to do about it. Null when nothing.
      type: str
audit:
  description: The last line that the audit log got for this, for a control node to keep. Null where it got none.
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

import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_prune import Plan, Request, describe, plan, prune
from ..module_utils._metrics import refresh
from ..module_utils._module import ACTOR_OPTIONS, METRICS_OPTIONS, SPACE_OPTIONS, STORE_OPTIONS, reported_by
from ..module_utils._space import limits, space

RULES = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "days", "min_verified")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "retention": {
                "type": "dict",
                "required": True,
                "options": {**{name: {"type": "int"} for name in RULES}, "stacks": {"type": "dict"}},
            },
            "fail_when_blocked": {"type": "bool", "default": False},
            **ACTOR_OPTIONS,
            **METRICS_OPTIONS,
            **SPACE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    wrong = limits(module.params)
    if wrong:
        module.fail_json(msg=wrong)
    request = Request(
        root=module.params["backup_root"],
        retention=module.params["retention"],
        stack=module.params["stack"],
        actor=module.params["actor"],
    )
    with reported_by(module):
        if module.check_mode:
            plans = plan(request)
            stacks, audit = [describe(wanted) for wanted in plans], None
        else:
            done = prune(request)
            plans = [wanted for wanted, _pruned in done]
            stacks = [describe(wanted, pruned) for wanted, pruned in done]
            audit = next((pruned.audit for _wanted, pruned in reversed(done) if pruned.audit), None)
            for remark in refresh(module.params["metrics_directory"], request.root, request.stack):
                module.warn(remark)
        result: dict[str, t.Any] = {
            "changed": any(one["removed"] or one["finished"] for one in stacks),
            "stacks": stacks,
            "space": asdict(space(request.root, module.params["space_warn"], module.params["space_critical"])),
            "audit": audit,
            "diff": _diff(plans, stacks),
        }
    wrong = _wrong(stacks, blocked=module.params["fail_when_blocked"])
    if wrong:
        module.fail_json(msg=wrong, **result)
    module.exit_json(**result)


def _diff(plans: list[Plan], stacks: list[dict[str, t.Any]]) -> dict[str, str]:
    before = [f"{wanted.stack}/{id_}\n" for wanted in plans for id_ in wanted.entries]
    after = [f"{one['stack']}/{kept['id']}\n" for one in stacks for kept in one["kept"]]
    return {"before": "".join(before), "after": "".join(after)}


def _wrong(stacks: list[dict[str, t.Any]], *, blocked: bool) -> str:
    words = [f"{one['stack']}: {one['error']}" for one in stacks if one["error"]]
    if blocked:
        words += [
            f"{one['stack']}: {len(one['overdue'])} backups that no rule keeps were not removed. {one['blocked']}"
            for one in stacks
            if one["overdue"]
        ]
    return " ".join(words)


if __name__ == "__main__":
    main()
