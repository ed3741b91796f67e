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
  - Asks the PostgreSQL servers that run, the engine, and C(docker compose config) for what would be started.
  - Secrets are compared, and neither shown nor returned.
  - With O(target), the stack is restored under another name, and nothing of the original is touched.
  - Changes nothing, and does not read archives and dumps. M(crm.continuity.backup_verify) does that.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._docker
  - crm.continuity._keys
  - crm.continuity._profiles
  - crm.continuity._signers
  - crm.continuity._store
options:
  stack:
    description: Name of the stack. It may be left out where the backup root holds backups of one stack only.
    type: str
  id:
    description: ID of the backup, or V(latest).
    type: str
    default: latest
  target:
    description:
      - Name that the restored stack is to have. That of the backup by default.
      - Names of volumes that compose makes, and everything below the project directory, are mapped to it.
    type: str
  project_dir:
    description:
      - Directory of the restored compose project.
      - That of the backup by default; with another O(target), the directory of that name beside it.
    type: path
  volumes:
    description: Maps volumes and bound directories of the backup to others, where O(target) does not do so by itself.
    type: dict
    default: {}
  databases:
    description: Maps databases on servers outside the stack to other names.
    type: dict
    default: {}
  config:
    description:
      - What the restore does with compose and env files that are there already.
      - They are kept and only V(missing) ones put back, or all are taken from the backup with V(replace).
      - With V(never), nothing is put back.
    type: str
    choices: [missing, replace, never]
    default: missing
  images:
    description:
      - What to do about a service that would start another image than the backup was taken with.
      - With V(pin), the restore starts those of RV(pins); a service without such a reference is refused.
    type: str
    choices: [warn, pin, refuse]
    default: warn
  compose_overrides:
    description:
      - Further compose files of the host. Their settings win, for example to publish other ports.
      - They become a part of RV(compose).
    type: list
    elements: path
    default: []
  allow:
    description:
      - Checks whose refusals are only warned of.
      - What could only fail, or would overwrite another stack, is refused whatever is said here.
    type: list
    elements: str
    choices:
      - collation
      - compose
      - encoding
      - extensions
      - images
      - mounts
      - names
      - outside
      - ports
      - postgresql
      - rights
      - roles
      - same_image
      - schema_version
      - secrets
      - session_state
      - sessions
      - space
      - volume_in_use
    default: []
  database_user:
    description:
      - User for the PostgreSQL servers. A container names its own superuser.
      - Without one, a server outside the stack is not asked.
    type: str
  database_password:
    description: Password of O(database_user).
    type: str
"""

EXAMPLES = r"""
- name: See what restoring the latest backup would do
  crm.continuity.restore_check:
    stack: crm
  register: restore_plan

- name: See what a copy beside the original would need
  crm.continuity.restore_check:
    stack: crm
    target: crm2
    compose_overrides: [/opt/crm2/other-ports.yml]

- name: Start images of the backup, and restore although the API key has changed
  crm.continuity.restore_check:
    stack: crm
    images: pin
    allow: [secrets]

- name: Show what would be replaced
  ansible.builtin.debug:
    var: restore_plan.occupied
"""

RETURN = r"""
stack:
  description: Name of the restored stack.
  returned: success
  type: str
source_stack:
  description: Name of the stack that was backed up. It differs from RV(stack) where a target was given.
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
signature:
  description: What the signature of the backup says.
  returned: success
  type: dict
  contains:
    status:
      description:
        - V(proved) for one of the host that the manifest names, V(unsigned) where there is none.
        - V(unproved) for one that is sound, and nobody said whose signatures count.
      type: str
    signer:
      description: The host that has signed it, when that is proved.
      type: str
    key:
      description: Fingerprint of the key.
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
left_out:
  description: Volumes that stay as they are, because they belong to an image that would not be started.
  returned: success
  type: list
  elements: str
pins:
  description:
    - By service, the reference of the image that the backup was taken with.
    - Only services that are not known to start it are named, and of these only those with a known reference.
  returned: success
  type: dict
pins_file:
  description:
    - The compose file that has to name RV(pins) before RV(compose) is used, which ends with it.
    - It is not written by this module.
    - Null unless O(images=pin) and there are pins.
  returned: success
  type: str
sessions_covered:
  description: Whether the backup holds all of the WhatsApp sessions, so that they can connect again.
  returned: success
  type: bool
  sample: true
session_default:
  description: V(reset) for a copy under another name, which must not use the same WhatsApp sessions; V(keep) otherwise.
  returned: success
  type: str
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
remarks:
  description: What to know before the restore starts.
  returned: success
  type: list
  elements: str
preflight:
  description: Every question that was asked, with its answer. Refusals come first.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: What the question is about; what O(allow) names.
      type: str
    severity:
      description: One of V(refuse), V(warn) and V(ok).
      type: str
    subject:
      description: The database, service, volume or variable in question.
      type: str
    message:
      description: What was found, what it breaks and what to do.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._module import (
    DOCKER_OPTIONS,
    KEY_OPTIONS,
    PROFILE_OPTIONS,
    SIGNER_OPTIONS,
    STORE_OPTIONS,
    load_profiles,
    reported_by,
)
from ..module_utils._restore_check import Request, check
from ..module_utils._restore_preflight_compose import POLICIES
from ..module_utils._restore_preflight_findings import CHECKS
from ..module_utils._restore_preflight_images import POLICIES as IMAGE_POLICIES
from ..module_utils._restore_target import Target
from ..module_utils._signature import signers_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str", "default": "latest"},
            "target": {"type": "str"},
            "project_dir": {"type": "path"},
            "volumes": {"type": "dict", "default": {}},
            "databases": {"type": "dict", "default": {}},
            "config": {"type": "str", "choices": list(POLICIES), "default": "missing"},
            "images": {"type": "str", "choices": list(IMAGE_POLICIES), "default": "warn"},
            "compose_overrides": {"type": "list", "elements": "path", "default": []},
            "allow": {"type": "list", "elements": "str", "choices": list(CHECKS), "default": []},
            "database_user": {"type": "str"},
            "database_password": {"type": "str", "no_log": True},
            **DOCKER_OPTIONS,
            **KEY_OPTIONS,
            **PROFILE_OPTIONS,
            **SIGNER_OPTIONS,
            **STORE_OPTIONS,
        },
        required_by={"database_password": ["database_user"]},
        supports_check_mode=True,
    )
    with reported_by(module):
        profiles = load_profiles(module)
        engine = connect(module.params["docker_host"], module.params["docker_timeout"])
        result = check(_request(module), engine, profiles)
    module.exit_json(changed=False, **result)


def _request(module: AnsibleModule) -> Request:
    user = module.params["database_user"]
    return Request(
        root=module.params["backup_root"],
        stack=module.params["stack"],
        id=module.params["id"],
        target=Target(
            module.params["target"],
            module.params["project_dir"],
            module.params["volumes"],
            module.params["databases"],
        ),
        config=module.params["config"],
        images=module.params["images"],
        allow=tuple(module.params["allow"]),
        overrides=tuple(module.params["compose_overrides"]),
        login=(user, module.params["database_password"]) if user else None,
        signers=signers_of(module.params["signers"], module.params["signature"]),
    )


if __name__ == "__main__":
    main()
