#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: restore_check
short_description: Compare a backup with the host that it is to be restored on
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Reads the manifest of a backup and looks at the host.
  - Tells what a restore fills, which of that holds data already, and what speaks against starting.
  - Changes nothing, and does not read the artifacts. M(crm.continuity.backup_verify) does that.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._docker
  - crm.continuity._store
options:
  stack:
    description: Name of the stack. It may be left out where the backup root holds backups of one stack only.
    type: str
  id:
    description: ID of the backup, or V(latest).
    type: str
    default: latest
"""

EXAMPLES = r"""
- name: See what restoring the latest backup would do
  crm.continuity.restore_check:
    stack: crm
  register: restore_plan

- name: Show what would be replaced
  ansible.builtin.debug:
    var: restore_plan.occupied
"""

RETURN = r"""
stack:
  description: Name of the stack.
  returned: success
  type: str
id:
  description: ID of the backup.
  returned: success
  type: str
directory:
  description: Directory of the backup.
  returned: success
  type: str
cut_at:
  description: The instant that all parts of the backup belong to, in UTC.
  returned: success
  type: str
profiles:
  description: Names of the profiles that matched when the backup was taken.
  returned: success
  type: list
  elements: str
project_dir:
  description: Directory of the compose project. Null when it was not known.
  returned: success
  type: str
config:
  description: The archive with compose and env files. Null when the backup has none.
  returned: success
  type: str
compose:
  description: The compose command of the stack, as a list of words, up to the verb.
  returned: success
  type: list
  elements: str
services:
  description: Names of the services that ran when the backup was taken.
  returned: success
  type: list
  elements: str
running:
  description: Names of the stack's containers that run now.
  returned: success
  type: list
  elements: str
volumes:
  description: Volumes and bound directories that are restored from archives.
  returned: success
  type: list
  elements: dict
  contains: &volume
    name:
      description: Name in the backup.
      type: str
    kind:
      description: Either V(volume) or V(bind).
      type: str
    source:
      description: Name of the volume, or path of the directory.
      type: str
    labels:
      description: Labels that the volume is created with.
      type: dict
    options:
      description: Options of the driver that the volume is created with.
      type: dict
    exists:
      description: Whether it is there now.
      type: bool
    files:
      description: How many files it holds now.
      type: int
    content_bytes:
      description: How many bytes of content the archive holds.
      type: int
    archive:
      description: Path of the archive.
      type: str
    sha256:
      description: Checksum of the archive.
      type: str
    archived_files:
      description: How many files a restore leaves in it.
      type: int
    deleted:
      description: Path of the list of names that the archive holds and that were deleted before the cut. Null without.
      type: str
    deleted_sha256:
      description: Checksum of that list.
      type: str
data_volumes:
  description: Volumes that hold the files of database servers; their databases are restored from dumps.
  returned: success
  type: list
  elements: dict
  contains: *volume
databases:
  description: Databases that are restored from dumps.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the database.
      type: str
    service:
      description: Service of the stack that runs the server. Null for a server outside the stack.
      type: str
    host:
      description: Name under which the application reaches the server.
      type: str
    port:
      description: Port of the server.
      type: int
    owner:
      description: Role that owns the database.
      type: str
    repair:
      description: What has to be done between the sections of the restore.
      type: list
      elements: dict
    dump:
      description: Path of the dump.
      type: str
    sha256:
      description: Checksum of the dump.
      type: str
    rows:
      description: Number of rows by table.
      type: dict
    globals:
      description: Path of the dump of the server's roles. Null when there is none.
      type: str
    globals_sha256:
      description: Checksum of the dump of the server's roles.
      type: str
occupied:
  description:
    - What holds data already, and databases outside the stack, which may.
    - Replacing it needs the operator's explicit word.
  returned: success
  type: list
  elements: str
problems:
  description: Reasons not to start the restore.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._module import DOCKER_OPTIONS, STORE_OPTIONS, reported_by
from ..module_utils._restore_check import Request, check


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str", "default": "latest"},
            **DOCKER_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    with reported_by(module):
        engine = connect(module.params["docker_host"], module.params["docker_timeout"])
        result = check(
            Request(root=module.params["backup_root"], stack=module.params["stack"], id=module.params["id"]), engine
        )
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
