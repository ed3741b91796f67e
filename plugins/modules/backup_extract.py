#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_extract
short_description: Take a file, a folder, a volume, a table or a database out of a backup
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Takes a part out of a backup, to a directory or a database to look at it, or back to its live place.
  - The whole artifact is read first and compared with the checksum of the manifest. Archives come through the same gate
    as for M(crm.continuity.volume_import), which refuses whatever leads out of the target.
  - Files in a live volume are exchanged one by one, each in one step, while the application runs. What is there and not
    in the backup stays. No symbolic link on the way is followed. When anything fails, what was done is undone.
  - A live table is filled in one transaction. It ends with proofs and is rolled back when one of them fails. These are
    the number of rows, and that no row of any table refers to one that is not there. Triggers do not fire, no other
    table is changed, and sequences are moved on.
  - A whole volume comes to its live place with M(crm.continuity.volume_import), a whole database with
    M(crm.continuity.database_restore). The role P(crm.continuity.extract#role) knows them all.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._keys
  - crm.continuity._signers
  - crm.continuity._postgresql
  - crm.continuity._store
attributes:
  check_mode:
    support: full
    details:
      - Reads and compares everything, for which files are extracted beside their target and removed again.
      - Whether a live table can be filled is only known up to the proofs at the end.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details:
      - A live table is filled whenever it is asked for. Equal numbers of rows do not prove that it is what the backup
        holds. Everything else is only changed where it differs.
options:
  stack:
    description: Name of the stack that the backup is of.
    type: str
    required: true
  id:
    description: ID of the backup, or V(latest).
    type: str
    default: latest
  volume:
    description: Name of a volume or bound directory, as the backup calls it.
    type: str
  path:
    description:
      - A file or a folder of O(volume), below its root. Without it, all of the volume is meant.
      - V(*), V(?) and V([]) stand for characters of one name, V(**) also for slashes. A name that is there word for
        word is meant as such.
    type: str
    default: ""
  database:
    description:
      - Name of a database, as the backup calls it.
      - Its server is found by the service of O(stack) that the backup names, unless O(container) or O(host) names it.
    type: str
  table:
    description: A table of O(database), with its schema unless the name is the only one of its kind.
    type: str
  to:
    description:
      - Directory on the host. It is made if need be.
      - Files keep their path below the root of the volume, with owner, mode and attributes. A database becomes a dump
        that C(pg_restore) reads, a table becomes a file in O(format).
      - What is there already and differs is left alone unless O(replace=true).
    type: path
  to_database:
    description:
      - Name of a database to look at, in the server of the live one. C(__crm_look) is put behind it.
      - With O(table), only that table has rows.
      - O(state=absent) removes it. A database that was not made by this module is neither replaced nor removed.
    type: str
  live:
    description: Whether to put files of O(volume), or a table of O(database), back to where they were taken from.
    type: bool
    default: false
  replace:
    description: Whether to replace what is there already and differs, or the rows that are in a live table.
    type: bool
    default: false
  format:
    description: V(csv) has a line with the names of the columns. V(sql) is for C(psql).
    type: str
    choices: [csv, sql]
    default: csv
  allow_devices:
    description: Whether device nodes are extracted. An archive that holds any is refused otherwise.
    type: bool
    default: false
  state:
    description: V(absent) removes O(to_database).
    type: str
    choices: [present, absent]
    default: present
  container:
    description: Name or ID of the container that runs PostgreSQL, if not that of the stack.
"""

EXAMPLES = r"""
- name: Look at a folder as it was
  crm.continuity.backup_extract:
    stack: crm
    volume: crm_chatwoot_storage
    path: ab/cd
    to: /root/look

- name: Put a lost attachment back
  crm.continuity.backup_extract:
    stack: crm
    id: 20261121T020000Z
    volume: crm_chatwoot_storage
    path: ab/cd/abcdefghijkl
    live: true

- name: Put a table back that was emptied by mistake
  crm.continuity.backup_extract:
    stack: ticketz
    database: ticketz
    table: public.QuickMessages
    live: true

- name: Look at the database of yesterday beside that of today
  crm.continuity.backup_extract:
    stack: ticketz
    database: ticketz
    to_database: yesterday

- name: Remove it again
  crm.continuity.backup_extract:
    stack: ticketz
    database: ticketz
    to_database: yesterday
    state: absent
"""

RETURN = r"""
directory:
  description: Where the files were put.
  returned: with O(volume)
  type: str
files:
  description: How many files are meant.
  returned: with O(volume)
  type: int
content_bytes:
  description: How many bytes these have, with superseded ones that the archive holds besides.
  returned: with O(volume)
  type: int
placed:
  description: How many names were not there.
  returned: with O(volume)
  type: int
replaced:
  description: How many files differed and were replaced.
  returned: with O(volume)
  type: int
unchanged:
  description: How many files were there already, with the same content, owner, mode and time.
  returned: with O(volume)
  type: int
file:
  description: The file that was made.
  returned: with O(database) and O(to)
  type: str
size:
  description: Its size in bytes.
  returned: with O(database) and O(to), not in check mode when the file is new
  type: int
database:
  description: The database that was filled or removed.
  returned: with O(database), not with O(to)
  type: str
table:
  description: The table, as the manifest calls it.
  returned: with O(table), not with O(to_database)
  type: str
rows:
  description: Number of rows of the table. With O(to_database), by table.
  returned: with O(table), or O(to_database) not in check mode
  type: raw
rows_before:
  description: How many rows the live table held before.
  returned: with O(table) and O(live=true)
  type: int
encoding:
  description: Encoding of the file.
  returned: with O(table) and O(to), not in check mode when the file is new
  type: str
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

from ..module_utils._backup_extract import Request, plan, plan_absent
from ..module_utils._backup_store import LATEST, Store
from ..module_utils._database_location import in_container
from ..module_utils._database_options import DATABASE_OPTIONS, DATABASE_RULES, locate
from ..module_utils._engine import connect
from ..module_utils._errors import StackError
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    KEY_OPTIONS,
    SIGNER_OPTIONS,
    STORE_OPTIONS,
    audited,
    reported_by,
)
from ..module_utils._signature import signers_of
from ..module_utils._stack import COMPOSE

if t.TYPE_CHECKING:
    from ..module_utils._backup_extract import Plan
    from ..module_utils._database_location import Location
    from ..module_utils._engine import DockerEngine


# What the audit log says of it: what was asked for, and how much that was.
NOTED = ("volume", "path", "database", "table", "to", "to_database", "live", "state")
COUNTED = ("files", "rows", "file", "directory")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "id": {"type": "str", "default": "latest"},
            "volume": {"type": "str"},
            "path": {"type": "str", "default": ""},
            "table": {"type": "str"},
            "to": {"type": "path"},
            "to_database": {"type": "str"},
            "live": {"type": "bool", "default": False},
            "replace": {"type": "bool", "default": False},
            "format": {"type": "str", "choices": ["csv", "sql"], "default": "csv"},
            "allow_devices": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            **DATABASE_OPTIONS,
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **KEY_OPTIONS,
            **SIGNER_OPTIONS,
            **STORE_OPTIONS,
        },
        mutually_exclusive=[
            *DATABASE_RULES["mutually_exclusive"],
            ("volume", "database"),
            ("to", "to_database"),
            ("volume", "to_database"),
            ("volume", "table"),
        ],
        required_one_of=[("volume", "database")],
        required_if=[("state", "absent", ("to_database",))],
        supports_check_mode=True,
    )
    _check_target(module)
    with reported_by(module):
        with audited(module, "extract", stack=module.params["stack"], begin=False) as entry:
            entry.backup = _id(module.params)
            entry.facts.update({name: module.params[name] for name in NOTED if module.params[name]})
            result = _plan(module).carry_out(act=not module.check_mode)
            entry.wanted = result["changed"]
            entry.facts.update({name: result[name] for name in COUNTED if name in result})
        result["audit"] = entry.written
    module.exit_json(**result)


def _check_target(module: AnsibleModule) -> None:
    """Fail unless it is said where to, once; ``live`` is no for the argument specification as soon as it is there."""
    params = module.params
    targets = [name for name in ("to", "to_database", "live") if params[name]]
    if len(targets) != 1:
        given = f"and not {' and '.join(targets)}" if targets else "and none was"
        module.fail_json(msg=f"Give one of to, to_database and live, {given}.")


def _plan(module: AnsibleModule) -> Plan:
    params = module.params

    def engine() -> DockerEngine:
        return connect(params["docker_host"], params["docker_timeout"])

    def server(facts: t.Mapping[str, t.Any]) -> Location:
        if params["container"] is not None or params["host"] is not None:
            return locate({**params, "database": None})
        return _of_stack(engine(), params, facts)

    if params["state"] == "absent":
        manifest = Store(params["backup_root"]).backup(params["stack"], params["id"]).manifest()
        entry = next((e for e in manifest.source["databases"] if e["name"] == params["database"]), {"service": None})
        return plan_absent(params["to_database"], server(entry))
    names = ("stack", "id", "volume", "path", "database", "table", "to", "to_database", "replace", "allow_devices")
    request = Request(
        root=params["backup_root"],
        form=params["format"],
        signers=signers_of(params["signers"], params["signature"]),
        **{name: params[name] for name in names},
    )
    return plan(request, engine, server)


def _id(params: t.Mapping[str, t.Any]) -> str | None:
    """Return which backup is meant, as far as there is one, before there is a newer."""
    if params["id"] != LATEST:
        return str(params["id"])
    backups = Store(params["backup_root"]).backups(params["stack"])
    return backups[-1].id if backups else None


def _of_stack(engine: DockerEngine, params: t.Mapping[str, t.Any], facts: t.Mapping[str, t.Any]) -> Location:
    """Return the server of the stack's service that the backup names."""
    for container in engine.containers():
        labels = container.labels
        if (labels.get(COMPOSE + "project"), labels.get(COMPOSE + "service")) == (params["stack"], facts["service"]):
            return in_container(engine, container.name, user=params["user"], password=params["password"])
    what = f"service {facts['service']}" if facts["service"] else f"service that runs the database {params['database']}"
    raise StackError(
        f"Stack {params['stack']} has no {what} here. Say where PostgreSQL is: container, or host with user and "
        "password.",
        stack=params["stack"],
    )


if __name__ == "__main__":
    main()
