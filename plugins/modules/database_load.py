#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_load
short_description: Load an archive of CSV files into the tables of a PostgreSQL database
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Loads C(retrieved_data.tar.gz) of Ticketz, or any archive or directory of files such as C(012-Messages.csv), into
    tables that the application has created. M(crm.continuity.database_unload) writes such archives.
  - Everything happens in one transaction. When anything is wrong in any file, nothing has changed.
  - PostgreSQL reads the files as they are. A value that is empty and not quoted is NULL, and C("") is an empty text.
    Columns are found by the first line of each file, in any order.
  - Files may come in any order. Foreign keys are taken off meanwhile and put back at the end, which checks every row.
    Triggers do not run, so that they renumber nothing.
  - Afterwards the rows of every table are counted and compared with the file, sequences are raised as by
    M(crm.continuity.sequence_sync), and WhatsApp sessions are cleared.
  - Refuses tables that are not empty, by name. Rows that a fresh installation makes by itself are no obstacle, and are
    replaced. What those are is known to the O(profile).
  - The role must own the tables. They are locked until the end, so stop the application before.
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
    details:
      - All of the archive is read, and everything is refused that the real run would refuse, except rows that the
        database itself does not take.
  diff_mode:
    support: full
    details: Shows the row counts of the tables.
  idempotent:
    support: none
    details: A second run is refused, because the tables are not empty any more.
options:
  path:
    description: Path on the host of the archive, compressed with gzip, zstd or not at all, or of a directory of files.
    type: path
    required: true
  sha256:
    description: Checksum that the archive must have.
    type: str
  schema:
    description: Schema of the tables.
    type: str
    default: public
  profile:
    description:
      - Name of the profile that the database is of, such as V(ticketz). It says which rows an installation makes by
        itself, which tables tell what was done to this very database and are left alone, and what clears the sessions.
    type: str
  replace:
    description:
      - Whether to delete the rows that are there, of the tables that the archive has files for and of all tables that
        refer to those.
    type: bool
    default: false
  unknown_columns:
    description:
      - What to do about columns in a file that the table does not have, such as those of an older version.
      - Generated columns are no matter. PostgreSQL computes them anew.
    type: str
    choices: [fail, skip]
    default: fail
  unknown_tables:
    description: What to do about files of tables that are not there.
    type: str
    choices: [fail, skip]
    default: fail
  session:
    description:
      - Whether to V(reset) the WhatsApp sessions, so that each number has to be paired anew, or to V(keep) what the
        archive holds of them. Needs the O(profile).
      - Two servers with the same session log each other out. Archives of Ticketz do not hold the whole session.
    type: str
    choices: [reset, keep]
    default: reset
"""

EXAMPLES = r"""
- name: Load what was retrieved from another server into a new installation
  crm.continuity.database_load:
    container: ticketz-postgres-1
    profile: ticketz
    path: /root/retrieved_data.tar.gz

- name: Load an archive of an older version
  crm.continuity.database_load:
    container: ticketz-postgres-1
    profile: ticketz
    path: /root/retrieved_data.tar.gz
    unknown_columns: skip
"""

RETURN = r"""
reason:
  description: What was done, or would be in check mode.
  returned: success
  type: str
  sample: 18 tables are to be filled, 4 are to be emptied
tables:
  description: The tables that were filled, or would be.
  returned: success
  type: list
  elements: dict
  contains:
    table:
      description: Name with schema, quoted where SQL needs it.
      type: str
      sample: public."Messages"
    file:
      description: Name of the file.
      type: str
      sample: 012-Messages.csv
    rows:
      description: How many rows.
      type: int
    computed:
      description: Columns of the file that PostgreSQL computes anew.
      type: list
      elements: str
    dropped:
      description: Columns of the file that the table does not have, and that were left out.
      type: list
      elements: str
rows:
  description: Number of all rows.
  returned: success
  type: int
emptied:
  description: How many rows of which tables were deleted before, or would be.
  returned: success
  type: dict
kept:
  description: Tables that were left alone although there is a file, because they tell what was done to this database.
  returned: success
  type: list
  elements: str
skipped:
  description: Files of tables that are not there.
  returned: success
  type: list
  elements: str
ignored:
  description: Other files.
  returned: success
  type: list
  elements: str
sequences:
  description: Sequences that were raised, and the number that each gives next.
  returned: not in check mode
  type: dict
reset:
  description: What was cleared of WhatsApp sessions, and how many rows of it.
  returned: not in check mode
  type: dict
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

from ..module_utils._database_load import Plan, Request, apply, plan
from ..module_utils._database_options import DATABASE_OPTIONS, DATABASE_RULES, locate
from ..module_utils._database_rules import rules_of
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
    from ..module_utils._database_location import Location

CHOICE = {"type": "str", "choices": ["fail", "skip"], "default": "fail"}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "sha256": {"type": "str"},
            "schema": {"type": "str", "default": "public"},
            "profile": {"type": "str"},
            "replace": {"type": "bool", "default": False},
            "unknown_columns": CHOICE,
            "unknown_tables": CHOICE,
            "session": {"type": "str", "choices": ["reset", "keep"], "default": "reset"},
            **DATABASE_OPTIONS,
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
        **DATABASE_RULES,
    )
    with reported_by(module):
        location = locate(module.params)
        wanted = plan(_request(module, location), location)
        result = _described(wanted)
        if not module.check_mode:
            with audited(module, "load", begin=False) as entry:
                entry.facts.update(database=wanted.request.database, path=module.params["path"], rows=result["rows"])
                loaded = apply(wanted, location)
            result["audit"] = entry.written
            result["sequences"] = {state.label: state.wanted for state in loaded.synced.changed}
            result["reset"] = loaded.reset
            for remark in loaded.synced.remarks:
                module.warn(remark)
    module.exit_json(changed=True, **result)


def _request(module: AnsibleModule, location: Location) -> Request:
    params = module.params
    known = rules_of(load_profiles(module), params["profile"])
    return Request(
        database=params["database"] or location.default_database,
        path=params["path"],
        schema=params["schema"],
        sha256=params["sha256"],
        replace=params["replace"],
        skip_columns=params["unknown_columns"] == "skip",
        skip_tables=params["unknown_tables"] == "skip",
        rule=known.csv,
        sequences=known.sequences,
        reset=known.reset if params["session"] == "reset" else (),
    )


def _described(wanted: Plan) -> dict[str, t.Any]:
    return {
        "reason": wanted.reason,
        "tables": [
            {
                "table": load.table.label,
                "file": load.file,
                "rows": load.rows,
                "computed": list(load.computed),
                "dropped": list(load.dropped),
            }
            for load in wanted.loads
        ],
        "rows": sum(load.rows for load in wanted.loads),
        "emptied": dict(wanted.room.emptied),
        "kept": list(wanted.room.kept),
        "skipped": list(wanted.skipped),
        "ignored": list(wanted.ignored),
        "diff": wanted.diff(),
    }


if __name__ == "__main__":
    main()
