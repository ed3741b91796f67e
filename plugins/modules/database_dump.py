#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: database_dump
short_description: Dump a PostgreSQL database
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Writes a dump of one database in pg_dump's custom format, for any pg_restore of the same version or newer.
  - Works while applications write. The dump and the row counts that are returned are of the same moment.
  - The file appears under its name only when it is complete and its table of contents has been read back.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._postgresql
  - crm.continuity._docker
  - crm.continuity._encryption
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: partial
    details: With O(force=true) the dump is always written again.
options:
  path:
    description:
      - Path of the file to write. Its directory must exist.
      - By convention the name ends in C(.dump) and what O(compression) adds, like C(chatwoot.dump.zst).
    type: path
    required: true
  globals_path:
    description:
      - Path of a second file to write, with the roles of the server as SQL. Restoring on another server needs them when
        objects belong to or are granted to more than one role.
      - It holds the hashes of the roles' passwords when O(user) is a superuser, and no passwords otherwise.
    type: path
  compression:
    description: How to compress the files. It is done behind pg_dump, which is several times faster than its own.
    type: str
    choices: [zstd, gzip, none]
    default: zstd
  level:
    description: Compression level. The default is a fast one.
    type: int
  force:
    description: Whether to write again files that are already there.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Dump the database of a container
  crm.continuity.database_dump:
    container: crm-postgres-1
    path: /var/backups/chatwoot.dump.zst

- name: Dump a database of a server on the network, and its roles
  crm.continuity.database_dump:
    host: db.example.org
    user: backup
    password: "{{ vault_backup_password }}"
    database: chatwoot
    path: /var/backups/chatwoot.dump.zst
    globals_path: /var/backups/roles.sql.zst
"""

RETURN = r"""
reason:
  description: Why the dump was written, or would be in check mode. Null when it was left alone.
  returned: success
  type: str
  sample: /var/backups/chatwoot.dump.zst does not exist
database:
  description: What the database is.
  returned: success
  type: dict
  contains:
    name:
      description: Its name.
      type: str
    owner:
      description: Role that owns it.
      type: str
    server_version:
      description: Version of the server.
      type: str
      sample: "16.4"
    server_version_num:
      description: The same as a number.
      type: int
      sample: 160004
    encoding:
      description: Encoding of its texts.
      type: str
      sample: UTF8
    collate:
      description: How its texts are sorted.
      type: str
      sample: en_US.utf8
    ctype:
      description: How its letters are classified.
      type: str
      sample: en_US.utf8
    locale_provider:
      description: Library that sorts, C(libc), C(icu) or C(builtin).
      type: str
    locale:
      description: Locale of a provider that is not C(libc).
      type: str
    collation_version:
      description: Version of the collation when the database was made, where the server records it.
      type: str
    extensions:
      description: Extensions and their versions.
      type: dict
      sample: {plpgsql: "1.0", vector: 0.8.0}
    schemas:
      description: Schemas of the users.
      type: list
      elements: str
      sample: [public]
    size:
      description: Bytes that it takes on the server.
      type: int
path:
  description: The file that was written.
  returned: changed, not in check mode
  type: str
size:
  description: Its size in bytes.
  returned: changed, not in check mode
  type: int
sha256:
  description: Its checksum.
  returned: changed, not in check mode
  type: str
rows:
  description: Exact number of rows of every table. Partitions are counted one by one, their parents not at all.
  returned: changed, not in check mode
  type: dict
  sample: {public.conversations: 1200, 'public."Messages"': 84000}
tables:
  description: Number of tables.
  returned: changed, not in check mode
  type: int
sequences:
  description: Last value of every sequence, null where it was never used.
  returned: changed, not in check mode
  type: dict
cut_time:
  description: The moment that the dump shows, in UTC.
  returned: changed, not in check mode
  type: str
  sample: "2026-11-21T02:00:00.123Z"
globals:
  description: The file with the roles.
  returned: changed, with O(globals_path), not in check mode
  type: dict
  contains:
    path:
      description: Its path.
      type: str
    size:
      description: Its size in bytes.
      type: int
    sha256:
      description: Its checksum.
      type: str
    role_passwords:
      description: Whether it holds the hashes of passwords.
      type: bool
"""

import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._compression import COMPRESSIONS
from ..module_utils._database_dump import Plan, Request, apply, plan
from ..module_utils._database_options import DATABASE_OPTIONS, DATABASE_RULES, locate
from ..module_utils._module import DOCKER_OPTIONS, ENCRYPTION_OPTIONS, encryption_of, reported_by

if t.TYPE_CHECKING:
    from ..module_utils._database_location import Location


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "globals_path": {"type": "path"},
            "compression": {"type": "str", "choices": list(COMPRESSIONS), "default": "zstd"},
            "level": {"type": "int"},
            "force": {"type": "bool", "default": False},
            **DATABASE_OPTIONS,
            **DOCKER_OPTIONS,
            **ENCRYPTION_OPTIONS,
        },
        supports_check_mode=True,
        **DATABASE_RULES,
    )
    with reported_by(module):
        location = locate(module.params)
        request = Request(
            database=module.params["database"] or location.default_database,
            path=module.params["path"],
            globals_path=module.params["globals_path"],
            compression=module.params["compression"],
            level=module.params["level"],
            force=module.params["force"],
            encryption=encryption_of(module),
        )
        wanted = plan(request, location)
        result: dict[str, t.Any] = {
            "changed": wanted.changed,
            "reason": wanted.reason,
            "database": asdict(wanted.facts),
            "diff": wanted.diff(),
        }
        if wanted.changed and not module.check_mode:
            result.update(_act(module, wanted, location))
        module.exit_json(**result)


def _act(module: AnsibleModule, wanted: Plan, location: Location) -> dict[str, t.Any]:
    dumped, roles = apply(wanted, location)
    for warning in dumped.warnings:
        module.warn(warning)
    result = {
        name: getattr(dumped, name) for name in ("path", "size", "sha256", "rows", "tables", "sequences", "cut_time")
    }
    if roles is not None:
        result["globals"] = {name: getattr(roles, name) for name in ("path", "size", "sha256", "role_passwords")}
    return result


if __name__ == "__main__":
    main()
