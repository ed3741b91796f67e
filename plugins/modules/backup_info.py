#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_info
short_description: List backups and what they hold
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Lists the complete backups below a backup root, oldest first, from their manifests.
  - Opens no archive and no dump, unless O(contents=true). M(crm.continuity.backup_verify) reads them all.
  - A backup whose manifest is missing or damaged is listed with RV(backups[].problem) set.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._keys
  - crm.continuity._store
options:
  stack:
    description: Name of a stack. Without it, the backups of all stacks are listed.
    type: str
  id:
    description:
      - ID of one backup, or V(latest).
      - An ID that does not exist is an error; V(latest) of a stack without backups is an empty list.
    type: str
  manifest:
    description: Whether to return the whole manifests.
    type: bool
    default: false
  contents:
    description:
      - Whether to list what is inside the archives, as of the backup. Names that one holds and that were deleted
        before are left out, and one that it holds twice is shown once. Nothing is unpacked to disk.
      - Of a database, the tables are listed with the numbers of their rows, from the manifest.
      - Reads every archive that is asked for twice, which takes its time. Needs O(id).
    type: bool
    default: false
  artifact:
    description: With O(contents), one artifact only, by its path in the backup or by the volume or database it holds.
    type: str
  path:
    description:
      - With O(contents), only names at or below this path in a volume.
      - V(*), V(?) and V([]) stand for characters of one name, V(**) also for slashes.
    type: str
    default: ""
  limit:
    description: With O(contents), how many names of each archive are returned, in the order of the alphabet.
    type: int
    default: 1000
"""

EXAMPLES = r"""
- name: List all backups of this host
  crm.continuity.backup_info:
  register: all_backups

- name: Read the manifest of the latest backup of one stack
  crm.continuity.backup_info:
    stack: crm
    id: latest
    manifest: true

- name: See what a folder of a volume held
  crm.continuity.backup_info:
    stack: crm
    id: latest
    contents: true
    artifact: crm_chatwoot_storage
    path: ab/cd
"""

RETURN = r"""
backups:
  description: The backups, oldest first within each stack.
  returned: success
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      returned: always
      type: str
    id:
      description: ID of the backup, the time in UTC at which it was started.
      returned: always
      type: str
      sample: 20261121T020000Z
    path:
      description: Directory of the backup.
      returned: always
      type: str
    problem:
      description: Why the backup cannot be used. Null when the manifest is sound.
      returned: always
      type: str
    standing:
      description: >-
        What the audit log says of the backup, and what it counts as for M(crm.continuity.backup_prune). Null when the
        log cannot be read.
      returned: always
      type: dict
      contains:
        word:
          description: V(verified), V(unverified), V(anomalous) or V(damaged).
          type: str
        arrived_at:
          description: When it was published here, in UTC. Null when the log does not know.
          type: str
        verified_at:
          description: When it was last read as a whole and found sound.
          type: str
        damage:
          description: What was wrong with it when it was verified last.
          type: str
        anomalies:
          description: What was out of the ordinary when it was taken.
          type: list
          elements: str
        accepted:
          description: Why that is as it should be.
          type: str
        held:
          description: Why it is never pruned.
          type: str
        held_at:
          description: Since when.
          type: str
        drilled_at:
          description: When it was last restored for a proof.
          type: str
        sums:
          description: SHA-256 of C(SHA256SUMS) of the backup that all of this is about, where the log says it.
          type: str
        manifest:
          description: SHA-256 of its C(manifest.json), where the log says it.
          type: str
    size:
      description: Size of all artifacts in bytes.
      returned: when the manifest is sound
      type: int
    cut_at:
      description: The instant that all parts belong to, in UTC.
      returned: when the manifest is sound
      type: str
    host:
      description: Name of the host that the backup was taken on.
      returned: when the manifest is sound
      type: str
    profiles:
      description: Names of the profiles that matched.
      returned: when the manifest is sound
      type: list
      elements: str
    frozen_seconds:
      description: How long the services stood still.
      returned: when the manifest is sound
      type: float
    artifacts:
      description: Number of artifacts.
      returned: when the manifest is sound
      type: int
    warnings:
      description: What the backup does not cover, and other remarks made when it was taken.
      returned: when the manifest is sound
      type: list
      elements: str
    manifest:
      description: The whole manifest, as described in C(docs/schemas/manifest.schema.json).
      returned: when O(manifest=true) and the manifest is sound
      type: dict
    contents:
      description: What is inside the archives and dumps.
      returned: when O(contents=true) and the manifest is sound
      type: list
      elements: dict
      contains:
        artifact:
          description: Path of the artifact in the backup.
          type: str
        kind:
          description: Either V(archive), V(config) or V(dump).
          type: str
        source:
          description: The volume or database that it holds.
          type: str
        problem:
          description: Why it cannot be listed. Null when it was read and has the checksum of the manifest.
          type: str
        tables:
          description: Of a dump, the number of rows by table.
          returned: for a dump
          type: dict
        entries:
          description:
            - The first names, each with C(name), C(kind), C(size), C(mode), C(uid), C(gid), C(modified) in UTC, and the
              C(target) of a link.
          returned: for an archive without a problem
          type: list
          elements: dict
        names:
          description: How many names there are.
          returned: for an archive without a problem
          type: int
        more:
          description: How many of them are not shown.
          returned: for an archive without a problem
          type: int
        content_bytes:
          description: How many bytes of content they have.
          returned: for an archive without a problem
          type: int
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_info import Request, describe
from ..module_utils._module import KEY_OPTIONS, STORE_OPTIONS, reported_by


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str"},
            "manifest": {"type": "bool", "default": False},
            "contents": {"type": "bool", "default": False},
            "artifact": {"type": "str"},
            "path": {"type": "str", "default": ""},
            "limit": {"type": "int", "default": 1000},
            **KEY_OPTIONS,
            **STORE_OPTIONS,
        },
        required_if=[("contents", True, ("id",))],
        supports_check_mode=True,
    )
    with reported_by(module):
        backups = describe(
            Request(
                root=module.params["backup_root"],
                stack=module.params["stack"],
                id=module.params["id"],
                manifest=module.params["manifest"],
                contents=module.params["contents"],
                artifact=module.params["artifact"],
                path=module.params["path"],
                limit=module.params["limit"],
            )
        )
    module.exit_json(changed=False, backups=backups)


if __name__ == "__main__":
    main()
