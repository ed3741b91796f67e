#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: http_check
short_description: Check that the services of a stack answer over HTTP
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Sends the requests that the profiles describe and compares status and JSON fields of the answers.
    For Chatwoot these tell whether database and queue work, for Evolution API whether every WhatsApp instance is
    connected.
  - The requests go from the host straight to the containers, on their own networks or on published ports.
    No proxy is used and no redirect is followed.
  - Tries again until all is well or O(timeout) is over.
  - Changes nothing. Secrets that requests carry do not appear in results or messages.
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
  timeout:
    description: Seconds to go on asking while answers are missing or wrong.
    type: int
    default: 60
  request_timeout:
    description: Seconds to wait for one answer.
    type: int
    default: 10
  sessions:
    description: Whether to ask also what is only answered well while every WhatsApp session is paired.
    type: bool
    default: true
seealso:
  - module: crm.continuity.container_check
  - module: crm.continuity.log_check
"""

EXAMPLES = r"""
- name: Ask the applications how they are
  crm.continuity.http_check:
    stack: crm
  register: answers

- name: Ask an application that the collection does not know
  crm.continuity.http_check:
    stack: tickets
    stack_profiles: [helpdesk]
    profiles:
      - name: helpdesk
        services:
          - name: web
            images: [example/helpdesk]
            http:
              - name: the queue is short
                port: 8000
                path: /status
                headers: {Authorization: STATUS_TOKEN}
                json: {queue.state: ok}
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
      sample: every WhatsApp instance is connected
    subject:
      description: Name of the compose service, and of the object that was asked about.
      returned: always
      type: str
      sample: "evolution_api: sales"
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
      sample: GET /instance/connectionState/sales answered 200, but instance.state is close, expected open
    remedy:
      description: What to do about it. Empty when all is well.
      returned: always
      type: str
      sample: See docker logs --tail 50 crm-evolution_api-1.
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._check import CHECK_OPTIONS, message, outcome
from ..module_utils._engine import connect
from ..module_utils._http_check import Request, look
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, load_profiles, reported_by
from ..module_utils._stack import Request as StackRequest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "timeout": {"type": "int", "default": 60},
            "request_timeout": {"type": "int", "default": 10},
            "sessions": {"type": "bool", "default": True},
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
                timeout=module.params["timeout"],
                request_timeout=module.params["request_timeout"],
                sessions=module.params["sessions"],
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
