#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: container_check
short_description: Check that the containers of a stack run and are healthy
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Looks at every container of one stack, that is of one compose project. It has to run, must not be paused or be
    restarted again and again, and has to be healthy where it has a health check.
  - Waits for containers that are starting, and for young ones until they have stayed up for O(settle) seconds.
  - A container that has ended well and was not meant to stay, such as one that runs migrations, is a warning.
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
  services:
    description:
      - Names of the compose services that have to run.
      - One of them that has no container is a finding. A stopped service that is not among them is only a warning.
      - When empty, every service that has a container has to run.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds to wait for containers that are starting, restarting, unhealthy or paused.
    type: int
    default: 120
  settle:
    description: Seconds that a container has to have been up to be believed.
    type: int
    default: 5
seealso:
  - module: crm.continuity.http_check
  - module: crm.continuity.log_check
"""

EXAMPLES = r"""
- name: See whether the stack runs
  crm.continuity.container_check:
    stack: crm
  register: containers

- name: Wait up to five minutes for two services, and fail unless they run
  crm.continuity.container_check:
    stack: crm
    services: [chatwoot, evolution_api]
    timeout: 300
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
      sample: container runs
    subject:
      description: Name of the compose service, with its container where it has several.
      returned: always
      type: str
      sample: evolution_api
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
      sample: has ended with exit code 137, killed because memory ran out
    remedy:
      description: What to do about it. Empty when all is well.
      returned: always
      type: str
      sample: See docker logs --tail 50 crm-evolution_api-1.
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._check import CHECK_OPTIONS, message, outcome
from ..module_utils._container_check import Request, look
from ..module_utils._engine import connect
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, load_profiles, reported_by
from ..module_utils._stack import Request as StackRequest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "services": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 120},
            "settle": {"type": "int", "default": 5},
            **CHECK_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
        },
        supports_check_mode=True,
    )
    with reported_by(module):
        checks = look(
            Request(
                StackRequest(module.params["stack"], tuple(module.params["stack_profiles"])),
                services=tuple(module.params["services"]),
                timeout=module.params["timeout"],
                settle=module.params["settle"],
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
