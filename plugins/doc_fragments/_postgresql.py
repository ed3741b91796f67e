# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Private to this collection.

from __future__ import annotations


class ModuleDocFragment:
    """Options of every module that works on one database; DATABASE_OPTIONS in module_utils/_database_options.py."""

    DOCUMENTATION = r"""
options:
  container:
    description:
      - Name or ID of the container that runs PostgreSQL. Its own programs are used, so their version always fits.
      - User, password and database default to what its environment says (E(POSTGRES_USER), E(POSTGRES_PASSWORD),
        E(POSTGRES_DB), or the files that E(POSTGRES_PASSWORD_FILE) and its like name).
      - Mutually exclusive with O(host). One of the two is required.
    type: str
  host:
    description:
      - Name or address of a PostgreSQL server, or the directory of its socket.
      - The client programs of this host are used. They must be of the server's version or newer.
    type: str
  port:
    description:
      - Port that the server listens on. In a container, the port inside it.
      - The default is V(5432), or what the container's command or E(PGPORT) says.
    type: int
  user:
    description:
      - Role to connect as. The default is the superuser of O(container), or V(postgres).
    type: str
  password:
    description: Password of the role. Not needed where the server trusts the connection.
    type: str
  sslmode:
    description: How to encrypt the connection to O(host). The default of PostgreSQL is V(prefer).
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  sslrootcert:
    description:
      - File on the host with the certificate of the authority that the server's own has to be from.
      - Needed for O(sslmode=verify-ca) and O(sslmode=verify-full), unless it is C(~/.postgresql/root.crt).
    type: path
  database:
    description: Name of the database. The default is the database of O(container), or the one named like the role.
    type: str
requirements:
  - PostgreSQL >= 12
  - python3-psycopg2 >= 2.8 on the host
  - zstd on the host, for the compression V(zstd)
"""
