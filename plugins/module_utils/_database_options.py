# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options that say which database a module works on.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ._database_location import DEFAULT_PORT, in_container, on_host
from ._engine import connect
from ._stage_servers import Access

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._database_location import Location

SSLMODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

# Documented in plugins/doc_fragments/_postgresql.py.
DATABASE_OPTIONS: dict[str, t.Any] = {
    "container": {"type": "str"},
    "host": {"type": "str"},
    "port": {"type": "int"},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "sslmode": {"type": "str", "choices": SSLMODES},
    "sslrootcert": {"type": "path"},
    "database": {"type": "str"},
}
DATABASE_RULES: dict[str, t.Any] = {
    "mutually_exclusive": [("container", "host"), ("container", "sslmode"), ("container", "sslrootcert")],
    "required_one_of": [("container", "host")],
}

# Documented in plugins/doc_fragments/_server.py.
SERVER_OPTIONS: dict[str, t.Any] = {
    "database_user": {"type": "str"},
    "database_password": {"type": "str", "no_log": True},
    "sslmode": {"type": "str", "choices": SSLMODES},
    "sslrootcert": {"type": "path"},
}


def access(options: Mapping[str, t.Any]) -> Access:
    """Return what the options of SERVER_OPTIONS say."""
    names = ("database_user", "database_password", "sslmode", "sslrootcert")
    return Access(*(options[name] or None for name in names))


def locate(options: Mapping[str, t.Any]) -> Location:
    """Return the server that these options and those of DOCKER_OPTIONS name."""
    if options["container"] is not None:
        return in_container(
            connect(options["docker_host"], options["docker_timeout"]),
            options["container"],
            user=options["user"],
            password=options["password"],
            database=options["database"],
            port=options["port"],
        )
    return on_host(
        host=options["host"],
        port=options["port"] or DEFAULT_PORT,
        user=options["user"] or "postgres",
        password=options["password"],
        database=options["database"],
        sslmode=options["sslmode"],
        sslrootcert=options["sslrootcert"],
    )
