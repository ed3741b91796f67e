#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_decrypt
short_description: Decrypt one file of a backup
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Writes the plaintext of one encrypted artifact to a file, compressed as it was.
  - No restore needs this. It is for programs that cannot decrypt by themselves. Best write to a tmpfs, and remove the
    file.
  - The file appears when all of it was decrypted, or not at all.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._keys
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(force=true) the file is always written again.
options:
  path:
    description: The encrypted file. How it is encrypted is found out by its first bytes.
    type: path
    required: true
  to:
    description: The file to write, with mode 0600. Its directory must exist.
    type: path
    required: true
  sha256:
    description: Checksum of the encrypted file, as its manifest says. Another file is refused.
    type: str
  force:
    description: Whether to replace a file that is already there.
    type: bool
    default: false
requirements:
  - age or GnuPG on the host
seealso:
  - module: crm.continuity.backup_extract
  - module: crm.continuity.backup_rekey
"""

EXAMPLES = r"""
- name: Look into the compose files of a backup
  crm.continuity.backup_decrypt:
    path: /var/backups/crm/crm/20261121T020000Z/config/project.tar.zst.age
    to: /dev/shm/project.tar.zst
    identity_file: /dev/shm/identity
"""

RETURN = r"""
file:
  description: The file that was written, or would be.
  returned: success
  type: str
reason:
  description: Why the file is written, null when it is there already.
  returned: success
  type: str
size:
  description: Size of the plaintext in bytes.
  returned: when it was written
  type: int
sha256:
  description: Checksum of the plaintext.
  returned: when it was written
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_decrypt import Request, apply, plan
from ..module_utils._module import KEY_OPTIONS, reported_by


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "to": {"type": "path", "required": True},
            "sha256": {"type": "str"},
            "force": {"type": "bool", "default": False},
            **KEY_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    with reported_by(module):
        wanted = plan(Request(params["path"], params["to"], params["sha256"], params["force"]))
        result: dict[str, t.Any] = {
            "changed": wanted.changed,
            "reason": wanted.reason,
            "file": params["to"],
            "diff": wanted.diff(),
        }
        if wanted.changed and not module.check_mode:
            written = apply(wanted)
            result.update(size=written.size, sha256=written.sha256)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
