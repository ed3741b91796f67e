#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_import
short_description: Replace the content of a Docker volume by that of an archive
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Extracts an archive of M(crm.continuity.volume_export), or any other tar archive, beside the content of the volume,
    and exchanges the two in one atomic step.
  - Before that step everything was extracted, counted, verified and brought to disk. Whatever fails, the old content
    is as it was. What an interrupted run left behind is cleared up by the next one.
  - Restores owners, modes, times, hard links, sparse files, extended attributes, ACLs and FIFOs. The directory of the
    volume gets owner and mode from the archive, where they are in it.
  - An archive that was begun while the applications were running may hold files that were deleted before the backup's
    cut. They are named in a list, see O(deleted), and are not put in place.
  - Refuses an archive with names or links that lead out of the volume, with device nodes, with more content than is
    allowed or fits, and a damaged one; also a list of deleted names that does not belong to the archive.
  - Refuses a volume that a running container uses.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._docker
  - crm.continuity._keys
attributes:
  check_mode:
    support: full
    details: Reads all of the archive and of its list, so that a damaged or hostile one fails in check mode too.
  diff_mode:
    support: full
    details: Shows the numbers of files, directories and bytes.
  idempotent:
    support: full
    details:
      - A volume that equals the archive is left alone. Compared are the numbers of entries, and of each its name, type,
        mode, owner, time of modification, size, content and link target.
      - Extended attributes and ACLs are not compared.
      - Of a name that the archive holds several times, the last one is compared; deleted ones have to be absent.
options:
  volume:
    description: Name of the volume. It must be of the driver V(local).
    type: str
  directory:
    description: A directory to fill instead of a volume, such as one that a container binds.
    type: path
  archive:
    description: Path of the archive on the host. A tar archive, not compressed or compressed with zstd or gzip.
    type: path
    required: true
  sha256:
    description: Checksum that the archive must have. It is verified before the volume is touched.
    type: str
  files:
    description:
      - Number of files that the archive must hold, as returned by M(crm.continuity.volume_export).
      - A name that it holds several times counts once, and a deleted one not at all.
    type: int
  deleted:
    description:
      - Path of the list of names that are in the archive and were deleted before the backup's cut. Each begins with
        V(./) and ends with a NUL.
      - Without it, the list is taken that lies beside the archive. For V(volumes/NAME.tar.zst), that is
        V(volumes/NAME.deleted).
    type: path
  deleted_sha256:
    description: Checksum that the list of deleted names must have.
    type: str
  replace:
    description:
      - Whether the content of a volume that is not empty may be replaced.
      - All of it is lost then, also what the archive does not hold.
    type: bool
    default: false
  create:
    description: Whether to create the volume or directory when it does not exist.
    type: bool
    default: true
  labels:
    description:
      - Labels of the volume, when it has to be created.
      - Compose wants V(com.docker.compose.project) and V(com.docker.compose.volume) on a volume of its own.
    type: dict
    default: {}
  driver_options:
    description: Options of the volume's driver, when it has to be created.
    type: dict
    default: {}
  allow_devices:
    description: Whether the archive may hold device nodes.
    type: bool
    default: false
  max_bytes:
    description:
      - Most content that the archive may hold, in bytes.
      - Whatever is set here, the free space is a limit too.
    type: int
requirements:
  - GNU tar >= 1.34 on the host
  - zstd on the host, for archives that are compressed with it
seealso:
  - module: crm.continuity.volume_export
"""

EXAMPLES = r"""
- name: Put the uploads back into an empty volume
  crm.continuity.volume_import:
    volume: crm_chatwoot_storage
    archive: /var/backups/uploads.tar.zst

- name: Replace what is in the volume, by an archive of known checksum
  crm.continuity.volume_import:
    volume: crm_chatwoot_storage
    archive: /var/backups/uploads.tar.zst
    sha256: 1f683d5ab7073ace3ada2f81663c485daec81af7328a44f57ad8062fc5fe2b5b
    replace: true

- name: Restore into a new volume that compose takes for its own
  crm.continuity.volume_import:
    volume: crm_chatwoot_storage
    archive: /opt/crm/backups/chatwoot_storage_2026-11-21_0200.tar.gz
    labels:
      com.docker.compose.project: crm
      com.docker.compose.volume: chatwoot_storage
"""

RETURN = r"""
reason:
  description: Why the content was replaced, or would be in check mode. Null when it equals the archive.
  returned: success
  type: str
  sample: the volume is empty
volume:
  description: Name of the volume.
  returned: with O(volume)
  type: str
  sample: crm_chatwoot_storage
directory:
  description: The directory.
  returned: with O(directory)
  type: str
files:
  description: Number of files, every hard link counted.
  returned: changed
  type: int
  sample: 15790
directories:
  description: Number of directories, without that of the volume itself.
  returned: changed
  type: int
  sample: 4265
content_bytes:
  description: Size of all files.
  returned: changed
  type: int
  sample: 1999992041
root:
  description: Whether the archive said what mode and owner the directory itself has. It keeps its own otherwise.
  returned: changed
  type: bool
superseded:
  description: How many members of the archive were replaced by later ones of the same name.
  returned: changed
  type: int
  sample: 158
deleted:
  description: How many names of the archive were not put in place because they are on its list of deleted names.
  returned: changed
  type: int
  sample: 12
size:
  description: Size of the archive in bytes.
  returned: changed
  type: int
  sample: 1609600253
sha256:
  description: Checksum of the archive.
  returned: changed
  type: str
  sample: 1f683d5ab7073ace3ada2f81663c485daec81af7328a44f57ad8062fc5fe2b5b
"""

import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._module import DOCKER_OPTIONS, KEY_OPTIONS, reported_by
from ..module_utils._volume_import import Request, apply, plan, rehearse


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "volume": {"type": "str"},
            "directory": {"type": "path"},
            "archive": {"type": "path", "required": True},
            "sha256": {"type": "str"},
            "files": {"type": "int"},
            "deleted": {"type": "path"},
            "deleted_sha256": {"type": "str"},
            "replace": {"type": "bool", "default": False},
            "create": {"type": "bool", "default": True},
            "labels": {"type": "dict", "default": {}},
            "driver_options": {"type": "dict", "default": {}},
            "allow_devices": {"type": "bool", "default": False},
            "max_bytes": {"type": "int"},
            **DOCKER_OPTIONS,
            **KEY_OPTIONS,
        },
        required_one_of=[("volume", "directory")],
        mutually_exclusive=[("volume", "directory")],
        supports_check_mode=True,
    )
    request = Request(
        volume=module.params["volume"] or "",
        directory=module.params["directory"],
        archive=module.params["archive"],
        sha256=module.params["sha256"],
        files=module.params["files"],
        deleted=module.params["deleted"],
        deleted_sha256=module.params["deleted_sha256"],
        replace=module.params["replace"],
        create=module.params["create"],
        labels={key: str(value) for key, value in module.params["labels"].items()},
        driver_options={key: str(value) for key, value in module.params["driver_options"].items()},
        allow_devices=module.params["allow_devices"],
        max_bytes=module.params["max_bytes"],
    )
    with reported_by(module):
        engine = connect(module.params["docker_host"], module.params["docker_timeout"])
        wanted = plan(request, engine)
        result: dict[str, t.Any] = {"changed": wanted.changed, "reason": wanted.reason, **request.details}
        imported = None
        if wanted.changed:
            imported = rehearse(wanted) if module.check_mode else apply(wanted, engine)
            values = asdict(imported)
            for warning in values.pop("warnings"):
                module.warn(warning)
            result.update(values)
        module.exit_json(**result, diff=wanted.diff(imported))


if __name__ == "__main__":
    main()
