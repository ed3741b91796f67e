#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Check backups against their manifests
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Reads a backup back and compares it with its manifest, and the manifest with its checksum.
  - Finds artifacts that are missing, damaged, exchanged or too many.
  - Changes nothing.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._store
options:
  stack:
    description: Name of a stack. Without it, backups of all stacks are verified.
    type: str
  id:
    description: ID of a backup, V(latest), or V(all).
    type: str
    default: latest
  level:
    description:
      - V(quick) checks the manifest, and that every artifact is there with its size.
      - V(full) also reads all artifacts, compares their checksums, decompresses them and walks through the archives
        and through their lists of deleted names.
    type: str
    choices: [quick, full]
    default: full
  fail_on_damage:
    description: Whether a damaged backup is an error. Otherwise it is only reported.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Verify the latest backup of every stack
  crm.continuity.backup_verify:

- name: Look over all backups of one stack
  crm.continuity.backup_verify:
    stack: crm
    id: all
    level: quick
    fail_on_damage: false
  register: verified
"""

RETURN = r"""
ok:
  description: Whether all backups that were verified are sound.
  returned: always
  type: bool
backups:
  description: What was found of each backup.
  returned: always
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    id:
      description: ID of the backup.
      type: str
    path:
      description: Directory of the backup.
      type: str
    ok:
      description: Whether nothing is wrong with it.
      type: bool
    artifacts:
      description: Number of artifacts in the manifest.
      type: int
    bytes:
      description: How many bytes were read.
      type: int
    problems:
      description: What is wrong with it.
      type: list
      elements: str
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_verify import LEVELS, Request, verify
from ..module_utils._module import STORE_OPTIONS, reported_by


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str", "default": "latest"},
            "level": {"type": "str", "choices": list(LEVELS), "default": "full"},
            "fail_on_damage": {"type": "bool", "default": True},
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    request = Request(
        root=module.params["backup_root"],
        stack=module.params["stack"],
        id=module.params["id"],
        level=module.params["level"],
    )
    with reported_by(module):
        verdicts = verify(request)
        ok = all(verdict.ok for verdict in verdicts)
        backups = [{**asdict(verdict), "ok": verdict.ok} for verdict in verdicts]
        if not ok and module.params["fail_on_damage"]:
            damaged = [f"{v.path}: {'; '.join(v.problems)}" for v in verdicts if not v.ok]
            words = f"Damaged. {' '.join(damaged)} Use another backup or a copy of this one."
            module.fail_json(msg=words, ok=ok, backups=backups)
    module.exit_json(changed=False, ok=ok, backups=backups)


if __name__ == "__main__":
    main()
