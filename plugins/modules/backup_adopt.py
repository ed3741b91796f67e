#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_adopt
short_description: Make a backup of this collection from archives that other means have written
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Takes what the commands of a runbook or the sidekick of Ticketz have written, and makes a backup of it, with a
    manifest, checksums, counts and instructions, which M(crm.continuity.backup_verify) and the restore take like any
    other.
  - The loose archives of volumes, C(<volume>_YYYY-MM-DD_HHMM.tar.gz), are taken as they are, those of one run together.
    Dumps of PostgreSQL beside them, C(.sql), C(.sql.gz) or C(.dump), are taken too.
  - An archive C(ticketz-backup-YYYYmmddHHMMSS.tar.gz) is taken apart into its dump and one archive for each volume.
  - Every file is read to its end first. Refused, with the reason, is what is damaged or truncated, an archive that
    could write outside of its volume, a dump that is empty, ends early or holds an error message, and a script that
    pg_dump would not have written.
  - The files are not changed. What they do not hold is said in the manifest.
  - The backup is of the moment that the names of the files say, which is in UTC, so newer backups stay the latest.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._profiles
  - crm.continuity._store
attributes:
  check_mode:
    support: full
    details: Every file is read, and everything is refused that the real run would refuse.
  diff_mode:
    support: full
  idempotent:
    support: full
    details: Files that were adopted before are recognised by their checksums.
options:
  paths:
    description:
      - Files on the host, or directories that hold them.
      - Of a directory, the newest set is taken. Files that are named are all taken.
    type: list
    elements: path
    required: true
  date:
    description:
      - Which set of a directory to take, when it is not the newest. A beginning of its date is enough if only one
        has it.
      - For example V(2026-11-20) or V(2026-11-20_0200).
    type: str
    default: ""
  stack:
    description:
      - Name of the compose project that the files are of. It has to be on the host.
      - When left out, the only stack that may be meant.
    type: str
  stack_profiles:
    description: Names of the profiles that the stack consists of. Found by image when left out. Needs O(stack).
    type: list
    elements: str
    default: []
  project_dir:
    description: Directory of the compose project. Found by label when left out. Needs O(stack).
    type: path
  volumes:
    description:
      - The volume that an archive is of, by the name of the file, where that does not say it.
    type: dict
    default: {}
  databases:
    description:
      - The database that a dump is of, by the name of the file, where that does not say it.
    type: dict
    default: {}
  signing_key:
    description:
      - Private key on the host that signs the checksums of the backup, with C(ssh-keygen -Y sign).
      - Without it, C(/etc/crm.continuity/signing_key) signs, which the role C(prepare) makes. Where there is none, the
        backup is not signed.
    type: path
"""

EXAMPLES = r"""
- name: Adopt the newest archives of the runbook
  crm.continuity.backup_adopt:
    stack: crm
    paths: [/opt/crm/backups]

- name: Adopt those of one day, and say what their names do not
  crm.continuity.backup_adopt:
    stack: crm
    paths: [/opt/crm/backups]
    date: "2026-11-20"
    volumes:
      storage.tar.gz: crm_chatwoot_storage
    databases:
      before-update.sql.gz: chatwoot_production

- name: Adopt a backup of Ticketz' sidekick
  crm.continuity.backup_adopt:
    paths: [/opt/ticketz/backups/ticketz-backup-20261120020000.tar.gz]
"""

RETURN = r"""
reason:
  description: Why a backup was made. Null when the files were adopted before.
  returned: success
  type: str
id:
  description: ID of the backup. In check mode the one that it would have.
  returned: success
  type: str
  sample: 20261120T020000Z
stack:
  description: Name of the stack.
  returned: success
  type: str
directory:
  description: Directory of the backup.
  returned: success
  type: str
artifacts:
  description: Paths of the archives and dumps, relative to RV(directory).
  returned: success
  type: list
  elements: str
origin:
  description: The files that the backup was made of.
  returned: success
  type: dict
  contains:
    kind:
      description: V(runbook) or V(ticketz-backup).
      type: str
    made_at:
      description: When the first of them was begun, in UTC.
      type: str
    files:
      description: The files, each with its C(path), C(size) and C(sha256).
      type: list
      elements: dict
remarks:
  description: What the files do not hold and what is not known of them. Also kept in the manifest.
  returned: success
  type: list
  elements: str
size:
  description: Size of all artifacts in bytes.
  returned: when changed and not in check mode
  type: int
files:
  description: Number of files in the archives.
  returned: when changed and not in check mode
  type: int
rows:
  description: Number of rows in the dumps.
  returned: when changed and not in check mode
  type: int
audit:
  description: The line that the audit log got for this, for a control node to keep. Null where it got none.
  returned: success
  type: dict
  contains:
    sequence:
      description: Number of the event.
      type: int
    sha256:
      description: Checksum of its line.
      type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit_facts import of_backup
from ..module_utils._backup_adopt import Request, apply, plan, summary
from ..module_utils._backup_adopt_manifest import missing
from ..module_utils._engine import connect
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    PROFILE_OPTIONS,
    STORE_OPTIONS,
    audited,
    load_profiles,
    reported_by,
)
from ..module_utils._stack import Request as StackRequest
from ..module_utils._version import VERSION


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "required": True},
            "date": {"type": "str", "default": ""},
            "stack": {"type": "str"},
            "stack_profiles": {"type": "list", "elements": "str", "default": []},
            "project_dir": {"type": "path"},
            "volumes": {"type": "dict", "default": {}},
            "databases": {"type": "dict", "default": {}},
            "signing_key": {"type": "path"},
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    with reported_by(module):
        profiles = load_profiles(module)
        engine = connect(module.params["docker_host"], module.params["docker_timeout"])
        wanted = plan(_request(module), engine, profiles)
        result: dict[str, t.Any] = {
            "changed": wanted.reason is not None,
            "reason": wanted.reason,
            "id": wanted.id,
            "stack": wanted.stack.name,
            "directory": wanted.path,
            "artifacts": wanted.artifacts,
            "origin": wanted.origin,
            "remarks": [*missing(wanted), *wanted.remarks],
            "diff": wanted.diff(),
        }
        if wanted.reason is not None and not module.check_mode:
            with audited(module, "adopt", stack=wanted.stack.name) as entry:
                backup, manifest = apply(wanted, engine)
                entry.backup = backup.id
                entry.facts.update(of_backup(backup, manifest), paths=list(module.params["paths"]))
            result.update(summary(backup, manifest), audit=entry.written)
    module.exit_json(**result)


def _request(module: AnsibleModule) -> Request:
    params = module.params
    stack = None
    if params["stack"]:
        stack = StackRequest(
            name=params["stack"], profiles=tuple(params["stack_profiles"]), project_dir=params["project_dir"]
        )
    return Request(
        root=params["backup_root"],
        paths=tuple(params["paths"]),
        version=VERSION,
        stack=stack,
        date=params["date"],
        volumes=params["volumes"],
        databases=params["databases"],
        signing_key=params["signing_key"],
    )


if __name__ == "__main__":
    main()
