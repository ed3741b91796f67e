#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_export
short_description: Archive the content of a Docker volume
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Writes all of a volume to one tar archive, which any tar restores.
  - Keeps hard links, sparse files, extended attributes, ACLs, FIFOs, numeric owners and any file name.
  - The archive takes its name only once it is complete and on disk. Until then, nothing is to be seen of it.
  - Stops no container. A file that changes while it is read is an error, unless O(allow_changed=true).
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._docker
  - crm.continuity._encryption
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(force=true) the archive is always written again.
options:
  volume:
    description:
      - Name of the volume, as C(docker volume ls) shows it.
      - It must be of the driver V(local). Volumes of that driver that bind a directory of the host are archived too,
        and those that mount a file system when they are mounted at that moment.
    type: str
    required: true
  archive:
    description:
      - Path of the archive to write. Its directory must exist, and may not be inside the volume.
      - The file gets the mode V(0600).
    type: path
    required: true
  compression:
    description:
      - How to compress the archive.
      - For V(gzip), the fastest program that is installed is used, C(igzip) before C(pigz) before C(gzip).
    type: str
    choices:
      - zstd
      - gzip
      - none
    default: zstd
  level:
    description:
      - Level of compression, from 1 to 19 for V(zstd) and from 1 to 9 for V(gzip).
      - When left out, 3 for V(zstd) and 1 for V(gzip).
    type: int
  force:
    description: Whether to replace an archive that is already there.
    type: bool
    default: false
  allow_changed:
    description:
      - Whether to keep the archive although files changed or vanished while it was written.
      - Such files may be torn in the archive. They are named in warnings.
    type: bool
    default: false
requirements:
  - GNU tar >= 1.34 on the host
  - zstd on the host, for O(compression=zstd)
seealso:
  - module: crm.continuity.volume_import
  - module: crm.continuity.stack_backup
"""

EXAMPLES = r"""
- name: Archive the uploads of Chatwoot
  crm.continuity.volume_export:
    volume: crm_chatwoot_storage
    archive: /var/backups/uploads.tar.zst

- name: Write a tar.gz, as other tools expect it, whatever the application is writing meanwhile
  crm.continuity.volume_export:
    volume: crm_chatwoot_public
    archive: /var/backups/public.tar.gz
    compression: gzip
    allow_changed: true
    force: true
"""

RETURN = r"""
reason:
  description: Why the archive was written, or would be in check mode. Null when it was left alone.
  returned: success
  type: str
  sample: the archive does not exist
archive:
  description: Path of the archive.
  returned: success
  type: str
  sample: /var/backups/uploads.tar.zst
files:
  description: Number of files in the archive, every hard link counted. In check mode those of the volume.
  returned: changed
  type: int
  sample: 15790
directories:
  description: Number of directories in the archive, without that of the volume itself.
  returned: changed
  type: int
  sample: 4265
content_bytes:
  description: Size of all files in the archive before compression.
  returned: changed
  type: int
  sample: 1999992041
size:
  description: Size of the archive in bytes.
  returned: changed, not in check mode
  type: int
  sample: 1609600253
sha256:
  description: Checksum of the archive.
  returned: changed, not in check mode
  type: str
  sample: 1f683d5ab7073ace3ada2f81663c485daec81af7328a44f57ad8062fc5fe2b5b
plain_sha256:
  description: Checksum of the compressed archive before encryption. Without encryption, it equals RV(sha256).
  returned: changed, not in check mode
  type: str
  sample: 1f683d5ab7073ace3ada2f81663c485daec81af7328a44f57ad8062fc5fe2b5b
"""

import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._compression import COMPRESSIONS
from ..module_utils._engine import connect
from ..module_utils._module import DOCKER_OPTIONS, ENCRYPTION_OPTIONS, encryption_of, reported_by
from ..module_utils._volume_export import Request, apply, plan


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "volume": {"type": "str", "required": True},
            "archive": {"type": "path", "required": True},
            "compression": {"type": "str", "choices": list(COMPRESSIONS), "default": "zstd"},
            "level": {"type": "int"},
            "force": {"type": "bool", "default": False},
            "allow_changed": {"type": "bool", "default": False},
            **DOCKER_OPTIONS,
            **ENCRYPTION_OPTIONS,
        },
        supports_check_mode=True,
    )
    request = Request(
        volume=module.params["volume"],
        archive=module.params["archive"],
        compression=module.params["compression"],
        level=module.params["level"],
        force=module.params["force"],
        allow_changed=module.params["allow_changed"],
        encryption=encryption_of(module),
    )
    with reported_by(module):
        wanted = plan(request, connect(module.params["docker_host"], module.params["docker_timeout"]))
        result: dict[str, t.Any] = {
            "changed": wanted.changed,
            "reason": wanted.reason,
            "archive": request.archive,
            "diff": wanted.diff(),
        }
        if wanted.changed:
            result.update(files=wanted.files, directories=wanted.directories, content_bytes=wanted.content_bytes)
        if wanted.changed and not module.check_mode:
            exported = asdict(apply(wanted))
            for warning in exported.pop("warnings"):
                module.warn(warning)
            result.update(exported)
        module.exit_json(**result)


if __name__ == "__main__":
    main()
