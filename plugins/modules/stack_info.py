#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_info
short_description: Find the CRM stacks of a host and what they consist of
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Finds compose projects by their labels, and recognises the CRM in them by image and profile.
  - Tells for each its services, volumes, databases, Redis, where the WhatsApp session is, what lies outside, and what a
    backup covers.
  - Reads the env file that an application itself reads inside its running container, where the profile names one.
  - Returns no secret, only the names of those that are set.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._docker
  - crm.continuity._profiles
options:
  stacks:
    description: The stacks to describe. When empty, every stack of the host that a profile matches.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the compose project.
        type: str
        required: true
      profiles:
        description:
          - Names of the profiles that the stack consists of.
          - When given, services are recognised by their compose names too.
          - A profile that matches nothing is an error.
        type: list
        elements: str
        default: []
      project_dir:
        description: Directory of the compose project. Found by label when left out.
        type: path
  details:
    description:
      - Whether to measure the volumes and to ask PostgreSQL and Redis about themselves.
      - Only then are databases found that no profile names.
      - One that does not answer is described with an C(error).
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: See what is on this host
  crm.continuity.stack_info:
  register: found

- name: Describe a stack of images of your own
  crm.continuity.stack_info:
    stacks:
      - name: helpdesk
        profiles: [ticketz]
    profiles:
      - name: ticketz
        services:
          - name: backend
            compose_services: [helpdesk-api-*]
"""

RETURN = r"""
stacks:
  description: The stacks, by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the compose project.
      type: str
    profiles:
      description: Names of the profiles that match.
      type: list
      elements: str
    project_dir:
      description: Directory of the compose project. Null when compose did not note it.
      type: str
    compose_files:
      description: Paths of the compose files.
      type: list
      elements: str
    environment_files:
      description: Paths of the env files that compose was started with.
      type: list
      elements: str
    services:
      description: The containers, each with service, container, image, digests, state, health, profile and role.
      type: list
      elements: dict
    volumes:
      description:
        - Volumes and bound data directories.
        - Each has name, kind, driver, mountpoint, labels, mounts, coverage, note and same_image.
        - The coverage is V(archive), V(dump), V(none) or V(unreadable).
        - With same_image the content fits only the image that wrote it, such as the files of a database server.
        - With O(details=true) also files and bytes.
      type: list
      elements: dict
    databases:
      description:
        - PostgreSQL databases, each with name, profile, host, port, user, schema, container and service.
        - The profile is null for one that no profile names, but that is on a server of the stack.
        - With O(details=true) also server_version, encoding, collate, extensions, size and schema_version, or error.
      type: list
      elements: dict
    redis:
      description:
        - Redis servers, each with name, profiles, host, container, service, volume and covered.
        - With O(details=true) also version and appendonly, or error.
      type: list
      elements: dict
    outside:
      description:
        - What is kept outside the stack's volumes and containers, such as attachments in object storage or a managed
          database.
        - Each has profile, name, covered, where, and how it is covered or could be.
      type: list
      elements: dict
    session:
      description:
        - The parts of the WhatsApp session, each with profile, rule, holds, place, covered, where, and how to cover it.
      type: list
      elements: dict
    secrets:
      description: Names of the secrets that belong to the data and are set, by profile.
      type: dict
    warnings:
      description: What was found and a backup would not cover, or not as one may expect.
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, load_profiles, reported_by
from ..module_utils._stack import Request
from ..module_utils._stack_find import find
from ..module_utils._stack_info import describe
from ..module_utils._stack_other_databases import describe_in_detail


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stacks": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "profiles": {"type": "list", "elements": "str", "default": []},
                    "project_dir": {"type": "path"},
                },
            },
            "details": {"type": "bool", "default": True},
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
        },
        supports_check_mode=True,
    )
    requests = [
        Request(name=stack["name"], profiles=tuple(stack["profiles"]), project_dir=stack["project_dir"])
        for stack in module.params["stacks"]
    ]
    with reported_by(module):
        profiles = load_profiles(module)
        engine = connect(module.params["docker_host"], module.params["docker_timeout"])
        described = [
            describe_in_detail(engine, stack) if module.params["details"] else describe(engine, stack)
            for stack in find(engine, profiles, requests)
        ]
    module.exit_json(changed=False, stacks=described)


if __name__ == "__main__":
    main()
