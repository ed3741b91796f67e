#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: log_check
short_description: Check the logs of a stack for lost files and lost sessions
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Searches what the services of a stack have logged lately for the patterns of their profiles,
    such as missing attachments, missing permissions or a lost WhatsApp session.
  - Each pattern that occurs is one finding, with its meaning, how often it occurs, and the last such line.
  - Changes nothing.
  - A finding is a result and not a failure, unless O(fail_on_findings=true).
    The task fails when the checks cannot be made, for example because there is no such stack.
  - The role P(crm.continuity.validate#role) makes all checks of a host and prints a checklist.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._check
  - crm.continuity._docker
  - crm.continuity._profiles
options:
  lines:
    description: How many lines to search, counted from the end of each log.
    type: int
    default: 200
  since:
    description:
      - Older lines do not count. A time like V(2026-11-21T02:00:00Z), or seconds since 1970.
      - Without it, errors count that were logged long ago and mended since.
    type: str
seealso:
  - module: crm.continuity.container_check
  - module: crm.continuity.http_check
"""

EXAMPLES = r"""
- name: Search the logs
  crm.continuity.log_check:
    stack: crm
  register: logs

- name: Search what was logged since the stack was started, and fail when there is an error
  crm.continuity.log_check:
    stack: crm
    lines: 1000
    since: "2026-11-21T02:00:00Z"
    fail_on_findings: true
"""

RETURN = r"""
ok:
  description: Whether no check has failed. Warnings do not count.
  returned: when the checks could be made
  type: bool
failed_checks:
  description: Number of checks that have failed.
  returned: when the checks could be made
  type: int
checks:
  description: The checklist, in the order of the services.
  returned: when the checks could be made
  type: list
  elements: dict
  contains:
    check:
      description: What was checked.
      returned: always
      type: str
      sample: log without errors
    subject:
      description: Name of the compose service, with its container where it has several.
      returned: always
      type: str
      sample: chatwoot
    ok:
      description: Whether all is well.
      returned: always
      type: bool
    severity:
      description: V(error) or V(warning), which says how bad it is when RV(checks[].ok) is false.
      returned: always
      type: str
      sample: error
    detail:
      description: What was found. Secrets of the containers' environments are replaced by asterisks.
      returned: always
      type: str
      sample: "the disk is full (3 times), last: Errno::ENOSPC: No space left on device"
    remedy:
      description: What to do about it. Empty when all is well.
      returned: always
      type: str
      sample: See docker logs --tail 50 crm-evolution_api-1.
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._check import CHECK_OPTIONS, message, outcome, unix_time
from ..module_utils._engine import connect
from ..module_utils._log_check import Request, look
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, load_profiles, reported_by
from ..module_utils._stack import Request as StackRequest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "lines": {"type": "int", "default": 200},
            "since": {"type": "str"},
            **CHECK_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
        },
        supports_check_mode=True,
    )
    if module.params["lines"] < 1:
        module.fail_json(msg=f"lines is {module.params['lines']}, but at least one line has to be searched.")
    try:
        since = int(unix_time(module.params["since"])) or None if module.params["since"] else None
    except ValueError as exc:
        module.fail_json(msg=f"since: {exc}.")
    with reported_by(module):
        checks = look(
            Request(
                StackRequest(module.params["stack"], tuple(module.params["stack_profiles"])),
                lines=module.params["lines"],
                since=since,
            ),
            connect(module.params["docker_host"], module.params["docker_timeout"]),
            load_profiles(module),
        )
    result = outcome(checks)
    if module.params["fail_on_findings"] and not result["ok"]:
        module.fail_json(msg=message(module.params["stack"], checks), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
