#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_status
short_description: Tell how the backups of a host stand
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Answers for every stack of a host to when it can be restored, how the last backups went, and what was proved of
    them; and for the host how full its disk is, whether its container engine answers, whether its audit log is whole,
    and whether its timers do what they should.
  - Says what is wrong with words that do not change, RV(status.problems[].code), by the thresholds in O(alerts).
  - One call per host, and an answer of a few kilobytes. Nothing that is wrong with a stack or with the host makes it
    fail.
  - Changes nothing.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._docker
  - crm.continuity._profiles
  - crm.continuity._store
options:
  stacks:
    description:
      - Names of the stacks that have to be backed up here. One that has no backup is a problem, also when it does not
        run.
      - Every other one that has a backup here, or that runs here and is one of a known CRM, is told as well.
    type: list
    elements: str
    default: []
  docker_timeout:
    default: 10
  alerts:
    description:
      - Thresholds. 0 turns one off.
    type: dict
    default: {}
    suboptions:
      max_age_hours:
        description: >-
          How old the newest backup that can be restored may be. 26 by default, as no run ends at the same
          minute every day.
        type: float
      min_bytes:
        description: How small the newest backup may be. 1048576 by default.
        type: int
      max_unverified_days:
        description: >-
          How long ago a backup of the stack was last read as a whole and found sound. 8 by default.
        type: float
      max_undrilled_days:
        description: How long ago one was last restored for a proof, of a stack that ever was. 30 by default.
        type: float
      max_unuploaded_hours:
        description: How long ago one was last copied elsewhere, of a stack that ever was. 26 by default.
        type: float
      disk_warn:
        description: >-
          From how many percent on the file system of the backup root is worth a warning. 80 by default.
        type: float
      disk_critical:
        description: From how many percent on that is critical. 90 by default.
        type: float
      max_freeze_seconds:
        description: How long the services may stand still for a backup. 5 by default.
        type: float
      max_clock_skew:
        description: >-
          How many seconds the clock of the host may differ from that of the control node. 60 by default.
        type: float
      expect_backups:
        description: >-
          Whether the stack has to be backed up at all. V(false) is for one that was given up, and whose
          backups stay. V(true) by default.
        type: bool
      expect_drills:
        description: Whether a stack that never was drilled has to be. V(false) by default.
        type: bool
      expect_uploads:
        description: Whether a stack that was never copied elsewhere has to be. V(false) by default.
        type: bool
      stacks:
        description: The same by name of a stack, over those above.
        type: dict
notes:
  - A host that cannot be reached gives no answer. The filter P(crm.continuity.host_status#filter) makes one of what
    was registered, so that it has its place among the others.
seealso:
  - plugin: crm.continuity.host_status
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Ask how the backups stand
  crm.continuity.backup_status:
    stacks: [crm]
    alerts:
      max_age_hours: 30
      stacks:
        old-crm: {expect_backups: false}
  register: answer

- name: Fail when a backup is missing
  ansible.builtin.assert:
    that: answer.status.standing != "critical"
    fail_msg: "{{ answer.status.problems | map(attribute='message') | join(' ') }}"
"""

RETURN = r"""
status:
  description: How the host stands. All times are RFC 3339.
  returned: success
  type: dict
  contains:
    host:
      description: Name of the host as it calls itself.
      type: str
    at:
      description: The time of its clock.
      type: str
    clock_skew:
      description: Seconds that it is ahead of the control node. Null when nobody compared them.
      type: float
    collection:
      description: Version of the collection that answers.
      type: str
    installed:
      description: Version of the copy that the timers of the host use. Null without one.
      type: str
    engine:
      description: >-
        Whether the container engine answers (C(ok)), its C(version), and otherwise why not (C(message)).
      type: dict
    root:
      description: The backup root.
      type: str
    disk:
      description: >-
        The file system of the root, with C(path), C(total), C(used), C(free) in bytes and C(percent). Null when
        it cannot be looked at.
      type: dict
    schedule:
      description: The C(timers) of the host, and the C(problems) with them. Null without timers.
      type: dict
    standing:
      description: V(ok), V(warning) or V(critical), the worst of all problems.
      type: str
    problems:
      description: What is not as it should be.
      type: list
      elements: dict
      contains:
        code:
          description: >-
            V(stale), V(failed), V(never), V(too_small), V(anomalous), V(damaged), V(unverified), V(undrilled),
            V(not_uploaded), V(disk_warning), V(disk_critical), V(frozen_long), V(clock), V(engine), V(log),
            V(schedule_dead), V(schedule_missed), V(versions), V(uncovered) or V(half_installed). C(docs/monitoring.md)
            explains them.
          type: str
        severity:
          description: V(warning) or V(critical).
          type: str
        message:
          description: What happened, to what, and what to do.
          type: str
        stack:
          description: Name of the stack. Null when it is about the host.
          type: str
        says:
          description: Name of the text of the message, for those who say it in another language.
          type: str
        facts:
          description: What is filled in there, such as times, sizes and the error itself.
          type: dict
    stacks:
      description: The stacks.
      type: list
      elements: dict
      contains:
        stack:
          description: Name of the stack.
          type: str
        profiles:
          description: Names of its profiles.
          type: list
          elements: str
        standing:
          description: V(ok), V(warning) or V(critical), the worst of its problems.
          type: str
        restorable_to:
          description: >-
            The instant to which it can be restored, that of its newest backup that is neither damaged nor
            incomplete. Null when there is none.
          type: str
        verified_to:
          description: The same of the newest backup that was read as a whole.
          type: str
        latest:
          description: >-
            The newest backup, with C(id), C(cut_at), C(finished_at), C(size), C(seconds), C(freeze_seconds),
            C(files), C(rows), C(artifacts), C(anomalies), C(accepted), C(remarks), C(encryption), C(signed), C(held),
            C(word), C(damage), C(verified_at), C(drilled_at) and C(uploaded_at). Numbers are null when its manifest
            cannot be read. Null without backups.
          type: dict
        attempt:
          description: >-
            The last try, with C(at), C(result) (V(ok), V(anomalous), V(failed) or V(refused)), C(message),
            C(backup) and C(seconds).
          type: dict
        previous_result:
          description: How the try before ended.
          type: str
        last_success:
          description: When a backup was last complete.
          type: str
        last_verified:
          description: When one was last read as a whole and found sound.
          type: str
        last_drilled:
          description: When one was last restored for a proof.
          type: str
        last_uploaded:
          description: When one was last copied elsewhere.
          type: str
        first_at:
          description: Since when there are backups.
          type: str
        backups:
          description: How many backups there are.
          type: int
        bytes:
          description: Size of all of them.
          type: int
        held:
          description: How many of them are held.
          type: int
        damaged:
          description: IDs of up to 5 backups beside the newest that are damaged or incomplete, newest first.
          type: list
          elements: str
        history:
          description: >-
            Up to 30 backups, oldest first, with C(id), C(cut_at), C(size), C(seconds), C(freeze_seconds), C(files),
            C(rows) and C(word) (V(verified), V(unverified), V(anomalous) or V(damaged)).
          type: list
          elements: dict
        failures:
          description: Up to 5 failures, newest first, with C(at), C(action) and C(message).
          type: list
          elements: dict
"""

import functools

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, STORE_OPTIONS, load_profiles, reported_by
from ..module_utils._status_host import Request, look, missing_packages

LIMITS = (
    "max_age_hours",
    "max_unverified_days",
    "max_undrilled_days",
    "max_unuploaded_hours",
    "disk_warn",
    "disk_critical",
    "max_freeze_seconds",
    "max_clock_skew",
)
EXPECTATIONS = ("expect_backups", "expect_drills", "expect_uploads")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stacks": {"type": "list", "elements": "str", "default": []},
            "alerts": {
                "type": "dict",
                "default": {},
                "options": {
                    **{name: {"type": "float"} for name in LIMITS},
                    **{name: {"type": "bool"} for name in EXPECTATIONS},
                    "min_bytes": {"type": "int"},
                    "stacks": {"type": "dict"},
                },
            },
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
            **DOCKER_OPTIONS,
            "docker_timeout": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    with reported_by(module):
        profiles = load_profiles(module)
        status = look(
            Request(
                root=module.params["backup_root"],
                stacks=tuple(module.params["stacks"]),
                alerts=module.params["alerts"],
            ),
            functools.partial(connect, module.params["docker_host"], module.params["docker_timeout"]),
            profiles,
            missing_packages(),
        )
    module.exit_json(changed=False, status=status)


if __name__ == "__main__":
    main()
