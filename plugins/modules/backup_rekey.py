#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_rekey
short_description: Encrypt a backup anew, to other keys
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Decrypts every artifact of a backup and encrypts it to other keys in one stream, so that no plaintext is on a disk.
  - Needs the backup and its old key only, so it can be done wherever a copy of the backup lies, without the server that
    it was taken on.
  - What was decrypted is compared with the manifest. Manifest, checksums and instructions are written anew.
  - The new copy takes the place of the old one in one step, which needs a file system that can exchange two names, and
    room for both. Whatever fails leaves the backup as it was.
  - A backup that is not encrypted is encrypted.
  - A key that became known to others opens the copies that lie elsewhere as before. Encrypt those anew, or remove them.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._encryption
  - crm.continuity._keys
  - crm.continuity._store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: A backup that is encrypted to the same recipients is left alone. A passphrase cannot be compared.
options:
  stack:
    description: Name of the stack.
    type: str
    required: true
  id:
    description: ID of the backup, or V(latest).
    type: str
    default: latest
  force:
    description: Whether to encrypt a backup anew whose recipients are the wanted ones already.
    type: bool
    default: false
  signing_key:
    description:
      - Private key on the host that signs the new checksums. Without it, C(/etc/crm.continuity/signing_key) signs.
      - A backup that is signed is not encrypted anew where nothing can sign it.
    type: path
requirements:
  - age or GnuPG on the host
seealso:
  - module: crm.continuity.backup_verify
  - module: crm.continuity.stack_backup
"""

EXAMPLES = r"""
- name: Encrypt the newest backup to the new key
  crm.continuity.backup_rekey:
    stack: crm
    identity_file: /dev/shm/old-identity
    encryption:
      method: age
      recipients: "{{ crm_encryption.recipients }}"
"""

RETURN = r"""
id:
  description: ID of the backup.
  returned: success
  type: str
directory:
  description: Directory of the backup.
  returned: success
  type: str
reason:
  description: Why it is encrypted anew, null when it is not.
  returned: success
  type: str
artifacts:
  description: Paths of the artifacts, relative to RV(directory). Their endings tell the encryption.
  returned: success
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit_facts import of_backup
from ..module_utils._backup_rekey import Request, apply, plan
from ..module_utils._module import (
    ACTOR_OPTIONS,
    ENCRYPTION_OPTIONS,
    KEY_OPTIONS,
    STORE_OPTIONS,
    audited,
    encryption_of,
    reported_by,
)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "id": {"type": "str", "default": "latest"},
            "force": {"type": "bool", "default": False},
            "signing_key": {"type": "path"},
            **ACTOR_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **KEY_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    request = Request(
        root=params["backup_root"],
        stack=params["stack"],
        encryption=encryption_of(module),
        id=params["id"],
        signing_key=params["signing_key"],
        force=params["force"],
    )
    with reported_by(module), audited(module, "rekey", stack=request.stack, needed=True) as entry:
        wanted = plan(request)
        manifest = wanted.manifest
        entry.backup = wanted.backup.id
        entry.wanted = wanted.changed
        if wanted.changed and not module.check_mode:
            manifest = apply(wanted)
            # So a verification knows the new checksums.
            entry.facts.update(of_backup(wanted.backup, manifest))
        result: dict[str, t.Any] = {
            "changed": wanted.changed,
            "id": wanted.backup.id,
            "directory": wanted.backup.path,
            "reason": wanted.reason,
            "artifacts": [artifact.path for artifact in manifest.artifacts],
            "diff": wanted.diff(),
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
