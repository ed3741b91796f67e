#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_stage
short_description: Unpack and prove a backup beside the live data of a stack
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Unpacks every volume of a backup into a directory beside the live one, and restores every database into a database
    beside the live one, while the stack runs.
  - Before anything is unpacked, the manifest, its signature and the checksums that it names are compared.
  - Everything is proved before this ends. Checksums of the artifacts, counts of files, rows of every table.
  - Nothing live is changed. M(crm.continuity.stack_cutover) exchanges all of it for the live data in a moment.
  - When anything fails, nothing is left of it. What an earlier run has staged, and what was not made live, is removed
    first.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._keys
  - crm.continuity._profiles
  - crm.continuity._server
  - crm.continuity._signers
  - crm.continuity._store
attributes:
  check_mode:
    support: full
    description: Examines dumps, servers and directories, and reads no archive.
  diff_mode:
    support: full
  idempotent:
    support: none
    description: Every run stages everything anew.
options:
  stack:
    description: Name of the compose project whose data are to be replaced.
    type: str
    required: true
  id:
    description: ID of the backup.
    type: str
    required: true
  directory:
    description: Directory of the backup.
    type: path
    required: true
  volumes:
    description: What goes where, as RV(crm.continuity.restore_check#module:volumes) says.
    type: list
    elements: dict
    default: []
  databases:
    description:
      - What goes where, as RV(crm.continuity.restore_check#module:databases) says.
      - A server that is part of the stack has to run.
    type: list
    elements: dict
    default: []
  allow_devices:
    description: Whether an archive may hold device nodes.
    type: bool
    default: false
  session:
    description:
      - What becomes of the WhatsApp sessions of the backup. V(keep) leaves them as they are.
      - V(reset) clears them in the staged data, for a copy whose original goes on. Two servers with the same
        credentials log each other out, and WhatsApp may log out both for good.
    type: str
    choices: [keep, reset]
    default: keep
  jobs:
    description: How many tables C(pg_restore) restores at once. By default as many as there are processors, at most 4.
    type: int
notes:
  - Needs root, and space for the data once more. They are kept in C(.crm-restore-*) beside the volumes.
  - Roles that the dump of the roles names and that the server lacks are created.
seealso:
  - module: crm.continuity.restore_check
  - module: crm.continuity.stack_cutover
"""

EXAMPLES = r"""
- name: Find out what a restore means here
  crm.continuity.restore_check:
    stack: crm
  register: check

- name: Unpack and prove it
  crm.continuity.stack_stage:
    stack: crm
    id: "{{ check.id }}"
    directory: "{{ check.directory }}"
    volumes: "{{ check.volumes }}"
    databases: "{{ check.databases }}"
  async: 43200
  poll: 5

- name: Make it live
  crm.continuity.stack_cutover:
    stack: crm
    state: live
"""

RETURN = r"""
restore:
  description: ID of the restore, by which M(crm.continuity.stack_cutover) knows it.
  returned: success
  type: str
  sample: 20261121T020000Z
replaces:
  description: Whether there are data now that will have to make room.
  returned: success
  type: bool
seconds:
  description: How long it took.
  returned: not in check mode
  type: float
content_bytes:
  description: Size of all files that wait.
  returned: not in check mode
  type: int
files:
  description: Number of files that wait.
  returned: not in check mode
  type: int
rows:
  description: Number of rows that wait.
  returned: not in check mode
  type: int
remarks:
  description: What the operator should know.
  returned: always
  type: list
  elements: str
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

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit_chain import OK, REFUSED
from ..module_utils._backup_proof import prove, refuse_strangers
from ..module_utils._backup_store import Backup
from ..module_utils._database_options import SERVER_OPTIONS, access
from ..module_utils._engine import connect
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    KEY_OPTIONS,
    PROFILE_OPTIONS,
    SIGNER_OPTIONS,
    STORE_OPTIONS,
    audited,
    load_profiles,
    reported_by,
)
from ..module_utils._progress import reporting
from ..module_utils._signature import signers_of
from ..module_utils._stack_stage import Plan, Request, Staged, plan, take
from ..module_utils._stage_steps import KEEP, RESET, steps

if t.TYPE_CHECKING:
    from ..module_utils._manifest import Manifest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "id": {"type": "str", "required": True},
            "directory": {"type": "path", "required": True},
            "volumes": {"type": "list", "elements": "dict", "default": []},
            "databases": {"type": "list", "elements": "dict", "default": []},
            "allow_devices": {"type": "bool", "default": False},
            "jobs": {"type": "int"},
            "session": {"type": "str", "choices": [KEEP, RESET], "default": KEEP},
            **SERVER_OPTIONS,
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **KEY_OPTIONS,
            **PROFILE_OPTIONS,
            **SIGNER_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    request = Request(
        stack=params["stack"],
        backup=params["id"],
        directory=params["directory"],
        volumes=tuple(params["volumes"]),
        databases=tuple(params["databases"]),
        allow_devices=params["allow_devices"],
        jobs=params["jobs"],
        access=access(params),
    )
    with reported_by(module), reporting("restore", request.stack):
        engine = connect(params["docker_host"], params["docker_timeout"])
        profiles = load_profiles(module)
        if module.check_mode:
            steps(_proved(module, request), profiles, engine, params["session"])
            wanted = plan(request, engine)
            result: dict[str, t.Any] = {"remarks": []}
        else:
            with audited(module, "restore", stack=request.stack) as entry:
                entry.backup, entry.result = request.backup, REFUSED
                finish = steps(_proved(module, request), profiles, engine, params["session"])
                entry.result = OK
                wanted, staged = take(
                    request, engine, on_database=[finish.on_database], on_volume=[finish.on_volume], check=finish.check
                )
                entry.facts.update(_facts(wanted, staged))
            result = {
                "audit": entry.written,
                "seconds": staged.seconds,
                "content_bytes": staged.content_bytes,
                "files": sum(volume.files for volume in staged.record.volumes),
                "rows": staged.rows,
                "remarks": list(staged.warnings),
            }
        result |= {"changed": True, "restore": wanted.id, "replaces": wanted.replaces, "diff": _diff(wanted)}
    module.exit_json(**result)


def _proved(module: AnsibleModule, request: Request) -> Manifest:
    """Return the manifest of the backup, once it and all that is to be restored are what was signed."""
    place = os.path.normpath(request.directory)
    backup = Backup(os.path.basename(os.path.dirname(place)), request.backup, place)
    manifest, _proof = prove(backup, signers_of(module.params["signers"], module.params["signature"]))
    wanted = [(entry["archive"], entry["sha256"]) for entry in request.volumes]
    wanted += [(entry["deleted"], entry["deleted_sha256"]) for entry in request.volumes if entry["deleted"]]
    wanted += [(entry["dump"], entry["sha256"]) for entry in request.databases]
    wanted += [(entry["globals"], entry.get("globals_sha256")) for entry in request.databases if entry["globals"]]
    refuse_strangers(manifest, place, wanted)
    return manifest


def _facts(wanted: Plan, staged: Staged) -> dict[str, t.Any]:
    return {
        "restore": wanted.id,
        "from": wanted.request.directory,
        "replaces": wanted.replaces,
        "volumes": [volume.name for volume in staged.record.volumes],
        "databases": [database.name for database in staged.record.databases],
        "rows": staged.rows,
        "seconds": staged.seconds,
    }


def _diff(wanted: Plan) -> dict[str, str]:
    request = wanted.request
    before = [f"{entry['kind']} {entry['name']}: {entry['files']} files\n" for entry in request.volumes]
    after = [f"{entry['kind']} {entry['name']}: {entry['archived_files']} files\n" for entry in request.volumes]
    for database, _location, planned in wanted.databases:
        name, now = database.name, planned.live_rows
        before.append(f"database {name}: {'none' if now is None else f'{sum(now.values())} rows'}\n")
        rows = planned.request.rows
        after.append(f"database {name}: {'as dumped' if rows is None else f'{sum(rows.values())} rows'}\n")
    return {"before": "".join(before), "after": "".join(after)}


if __name__ == "__main__":
    main()
