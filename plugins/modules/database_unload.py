#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_unload
short_description: Write an archive of CSV files from the tables of a PostgreSQL database
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Writes C(retrieved_data.tar.gz) as Ticketz' own tools know it, with one file such as C(012-Messages.csv) per table,
    while the database is in use. All rows are of one moment.
  - M(crm.continuity.database_load) loads it, and with O(tables=classic) also the loader of Ticketz.
  - The archive has mode 0600, and its name only when it is complete, was read back, and holds as many rows as the
    database had.
  - It is for carrying data elsewhere, not a backup. Files, sequences, Redis and the definitions of tables are not in
    it. It holds password hashes and, with all tables, the WhatsApp sessions.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._postgresql
  - crm.continuity._docker
  - crm.continuity._profiles
  - crm.continuity._store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details: Shows the path.
  idempotent:
    support: full
    details: An archive that is there is left alone, unless O(force=true).
options:
  path:
    description: Path on the host of the archive to write.
    type: path
    required: true
  schema:
    description: Schema of the tables.
    type: str
    default: public
  profile:
    description: Name of the profile that the database is of, such as V(ticketz). Needed for O(tables=classic).
    type: str
  tables:
    description:
      - Whether to write V(all) tables with all columns, or only the V(classic) ones that the application's own tools
        write and load, with the columns that they know.
      - Generated columns are never written.
    type: str
    choices: [all, classic]
    default: all
  force:
    description: Whether to replace an archive that is there.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Retrieve everything from a server that runs
  crm.continuity.database_unload:
    container: ticketz-postgres-1
    path: /root/retrieved_data.tar.gz

- name: Write what the loader of Ticketz accepts
  crm.continuity.database_unload:
    container: ticketz-postgres-1
    profile: ticketz
    tables: classic
    path: /opt/ticketz/retrieve/retrieved_data.tar.gz
"""

RETURN = r"""
reason:
  description: Why the archive was written, or would be in check mode. Null when it was not.
  returned: success
  type: str
  sample: /root/retrieved_data.tar.gz does not exist
tables:
  description: The tables that are written, by file.
  returned: success
  type: dict
  sample: {001-Plans.csv: public."Plans"}
missing:
  description: Tables and columns that the application's own tools write, and that this database does not have.
  returned: success
  type: list
  elements: str
rows:
  description: Number of rows, by file.
  returned: when the archive was written
  type: dict
size:
  description: Size of the archive in bytes.
  returned: when the archive was written
  type: int
sha256:
  description: Checksum of the archive.
  returned: when the archive was written
  type: str
cut_time:
  description: The moment that all rows are of.
  returned: when the archive was written
  type: str
  sample: "2026-11-21T02:00:01.500Z"
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
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._database_options import DATABASE_OPTIONS, DATABASE_RULES, locate
from ..module_utils._database_rules import rules_of
from ..module_utils._database_unload import Request, apply, plan
from ..module_utils._errors import ProfileError
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    PROFILE_OPTIONS,
    STORE_OPTIONS,
    audited,
    load_profiles,
    reported_by,
)

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "schema": {"type": "str", "default": "public"},
            "profile": {"type": "str"},
            "tables": {"type": "str", "choices": ["all", "classic"], "default": "all"},
            "force": {"type": "bool", "default": False},
            **DATABASE_OPTIONS,
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
        required_if=[("tables", "classic", ("profile",))],
        **DATABASE_RULES,
    )
    params = module.params
    with reported_by(module):
        classic = _classic(module) if params["tables"] == "classic" else None
        location = locate(params)
        database = params["database"] or location.default_database
        wanted = plan(Request(database, params["path"], params["schema"], classic, params["force"]), location)
        result: dict[str, t.Any] = {
            "reason": wanted.reason,
            "tables": {unload.file: unload.table.label for unload in wanted.unloads},
            "missing": list(wanted.missing),
            "diff": wanted.diff(),
        }
        if wanted.changed and not module.check_mode:
            with audited(module, "extract", begin=False) as entry:
                unloaded = asdict(apply(wanted, location))
                entry.facts.update(database=database, to=params["path"], rows=sum(unloaded["rows"].values()))
            result.update(unloaded, audit=entry.written)
    if wanted.missing:
        module.warn(f"The database does not have: {', '.join(wanted.missing)}. The archive holds the rest.")
    module.exit_json(changed=wanted.changed, **result)


def _classic(module: AnsibleModule) -> Mapping[str, Sequence[str]]:
    name = module.params["profile"]
    classic = rules_of(load_profiles(module), name).csv.classic
    if not classic:
        raise ProfileError(f"Profile {name} names no classic tables (databases, csv). Set tables=all.")
    return classic


if __name__ == "__main__":
    main()
