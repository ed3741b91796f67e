#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_restore
short_description: Restore a PostgreSQL database from a dump
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Restores a dump in pg_dump's custom format, as M(crm.continuity.database_dump) writes it, or a SQL script of
    pg_dump.
  - Of a script, only what pg_dump writes goes to psql, and psql runs no command of its own. It is one database and
    whole, or it is refused.
  - The dump is read to its end and checked first. Then it is restored into a scratch database beside the live one,
    which stays in use. Only when every statement succeeded and all row counts are right, the two exchange their names,
    in one transaction. After a failure the live database is as it was, and the scratch database is gone.
  - Sessions that are connected to the live database are ended for the exchange. Stop the applications before, so that
    they do not write what is about to be replaced.
  - Refuses a database that is not empty unless O(replace=true).
  - Refuses what cannot succeed before anything is changed, such as extensions or roles that the server does not have,
    an older server, a disk that is too small, or a user that may not create databases.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._postgresql
  - crm.continuity._docker
  - crm.continuity._keys
attributes:
  check_mode:
    support: full
    details: The dump is read and checked, and everything is refused that the real run would refuse.
  diff_mode:
    support: full
    details: Shows the row counts of all tables, without O(rows) only of those that are there now.
  idempotent:
    support: none
    details:
      - It restores whenever it runs. Equal row counts do not prove that a database is what the dump holds.
options:
  path:
    description: Path of the dump on the host. Its compression is recognised.
    type: path
    required: true
  sha256:
    description: Checksum that the file must have.
    type: str
  rows:
    description:
      - Number of rows that every table must have after the restore, as RV(crm.continuity.database_dump#module:rows).
      - Without it, a SQL script is compared with the rows in it, and nothing is known to compare any other dump with.
    type: dict
  replace:
    description: Whether a database that holds tables may be replaced.
    type: bool
    default: false
  keep_previous:
    description:
      - Whether to keep the former database, under the name that RV(previous) returns. It is not removed by later runs.
    type: bool
    default: false
  owner:
    description:
      - Role that will own the database and all objects in it.
      - The default is the owner of the database that is replaced, else the owner at the time of the dump if the server
        has that role, else the role that connects.
    type: str
  privileges:
    description: Whether to restore who was granted what. The server must have all those roles then.
    type: bool
    default: true
  globals_path:
    description:
      - Path of a dump of the roles, as O(crm.continuity.database_dump#module:globals_path) writes it. Roles that the
        server lacks are created from it. Those that exist are left alone.
    type: path
  repair:
    description: Statements to run before indexes and constraints are made, where they could not be made otherwise.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: What the statement does.
        type: str
        required: true
      sql:
        description: The statement.
        type: str
        required: true
      when:
        description: A query that returns one boolean. The statement only runs when it is true.
        type: str
  jobs:
    description:
      - How many sessions restore at once. The default is one per processor, at most four, and one for a small dump.
        A SQL script is restored by one session.
    type: int
  check_space:
    description: Whether to refuse a restore that the disks seem to have no room for.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Restore into an empty database
  crm.continuity.database_restore:
    container: crm-postgres-1
    database: chatwoot
    path: /var/backups/chatwoot.dump.zst

- name: Restore a SQL script
  crm.continuity.database_restore:
    container: crm-postgres-1
    database: chatwoot
    path: /opt/crm/backups/chatwoot_2026-11-20.sql.gz

- name: Replace a database, and keep what was there
  crm.continuity.database_restore:
    container: ticketz-postgres-1
    path: /var/backups/ticketz.dump.zst
    sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    replace: true
    keep_previous: true
    repair:
      - name: give immutable_unaccent its search path
        when: SELECT to_regprocedure('public.immutable_unaccent(text)') IS NOT NULL
        sql: ALTER FUNCTION public.immutable_unaccent(text) SET search_path = public, pg_temp
"""

RETURN = r"""
reason:
  description: Why the dump was restored, or would be in check mode.
  returned: success
  type: str
  sample: database chatwoot is empty
source:
  description: What the dump is of.
  returned: success
  type: dict
  contains:
    database:
      description: Name of the database. Empty where the dump does not say it.
      type: str
    server_version:
      description: Version of its server.
      type: str
      sample: "16.4"
    extensions:
      description: Extensions that it needs.
      type: list
      elements: str
    tables:
      description: Number of tables whose rows it holds.
      type: int
    bytes:
      description: Its size without compression.
      type: int
owner:
  description: Role that owns the database, or would.
  returned: success
  type: str
replaced:
  description: Row counts of the database that was replaced, or would be. Null when there was none.
  returned: success
  type: dict
rows:
  description: Exact number of rows of every table, counted after the restore.
  returned: not in check mode
  type: dict
tables:
  description: Number of tables.
  returned: not in check mode
  type: int
previous:
  description: Name under which the former database was kept. Null when it was not.
  returned: not in check mode
  type: str
  sample: chatwoot__crm_previous_20261121020000123456
repaired:
  description: Names of the O(repair) statements that were run.
  returned: not in check mode
  type: list
  elements: str
roles_created:
  description: Roles that were created from O(globals_path).
  returned: not in check mode
  type: list
  elements: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._database_options import DATABASE_OPTIONS, DATABASE_RULES, locate
from ..module_utils._database_restore import Plan, Request, apply, plan
from ..module_utils._module import DOCKER_OPTIONS, KEY_OPTIONS, reported_by
from ..module_utils._profile import Repair

if t.TYPE_CHECKING:
    from ..module_utils._database_location import Location

REPAIR_OPTIONS = {
    "name": {"type": "str", "required": True},
    "sql": {"type": "str", "required": True},
    "when": {"type": "str"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str"},
            "rows": {"type": "dict"},
            "replace": {"type": "bool", "default": False},
            "keep_previous": {"type": "bool", "default": False},
            "owner": {"type": "str"},
            "privileges": {"type": "bool", "default": True},
            "globals_path": {"type": "path"},
            "repair": {"type": "list", "elements": "dict", "default": [], "options": REPAIR_OPTIONS},
            "jobs": {"type": "int"},
            "check_space": {"type": "bool", "default": True},
            **DATABASE_OPTIONS,
            **DOCKER_OPTIONS,
            **KEY_OPTIONS,
        },
        supports_check_mode=True,
        **DATABASE_RULES,
    )
    with reported_by(module):
        location = locate(module.params)
        wanted = plan(_request(module, location.default_database), location)
        contents = wanted.dump.contents
        result: dict[str, t.Any] = {
            "changed": True,
            "reason": wanted.reason,
            "source": {
                "database": contents.database,
                "server_version": contents.server_version,
                "extensions": contents.extensions,
                "tables": contents.table_data,
                "bytes": wanted.dump.plain_size,
            },
            "owner": wanted.owner,
            "replaced": wanted.live_rows,
            "diff": wanted.diff(),
        }
        if not module.check_mode:
            result.update(_act(module, wanted, location))
        module.exit_json(**result)


def _request(module: AnsibleModule, default_database: str) -> Request:
    params = module.params
    rows = params["rows"]
    return Request(
        database=params["database"] or default_database,
        path=params["path"],
        sha256=params["sha256"],
        # A template of the caller may have made texts of the numbers.
        rows={table: int(count) for table, count in rows.items()} if rows is not None else None,
        replace=params["replace"],
        keep_previous=params["keep_previous"],
        owner=params["owner"],
        privileges=params["privileges"],
        globals_path=params["globals_path"],
        repair=tuple(Repair(step["name"], step["when"], step["sql"]) for step in params["repair"]),
        jobs=params["jobs"],
        check_space=params["check_space"],
    )


def _act(module: AnsibleModule, wanted: Plan, location: Location) -> dict[str, t.Any]:
    restored = apply(wanted, location)
    for warning in restored.warnings:
        module.warn(warning)
    names = ("rows", "tables", "previous", "repaired", "roles_created")
    return {name: getattr(restored, name) for name in names}


if __name__ == "__main__":
    main()
