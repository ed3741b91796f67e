# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is said to PostgreSQL's own programs: argument lists, environment and connection strings.

Pure functions. A password only ever goes into the environment. Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def conninfo(*, database: str, user: str, port: int, host: str | None = None) -> str:
    """Return a connection string without password; no value can be taken for another parameter or for a URI."""
    values = {"host": host, "port": str(port), "user": user, "dbname": database}
    return " ".join(f"{key}={_quoted(value)}" for key, value in values.items() if value is not None)


def environment(
    *,
    password: str | None,
    application: str,
    settings: t.Mapping[str, str] | None = None,
    sslmode: str | None = None,
    sslrootcert: str | None = None,
    sslcert: str | None = None,
    sslkey: str | None = None,
) -> dict[str, str]:
    """Return what the programs read from their environment.

    ``application`` is how their sessions show in pg_stat_activity; ``settings`` are server parameters of the session.
    """
    options = " ".join(f"-c {key}={value}" for key, value in sorted((settings or {}).items()))
    env = {"PGAPPNAME": application, "PGCONNECT_TIMEOUT": "10", "PGOPTIONS": options}
    given = {
        "PGPASSWORD": password,
        "PGSSLMODE": sslmode,
        "PGSSLROOTCERT": sslrootcert,
        "PGSSLCERT": sslcert,
        "PGSSLKEY": sslkey,
    }
    return {**env, **{name: value for name, value in given.items() if value is not None}}


def dump(connection: str, *, snapshot: str, lock_timeout: int) -> list[str]:
    """Return the command that writes one database to its standard output.

    Not compressed by PostgreSQL, whose gzip is several times slower than a compressor behind it. ``lock_timeout``
    (seconds) bounds the wait for a migration that holds a table.
    """
    return [
        "pg_dump",
        "--format=custom",
        "--compress=0",
        f"--snapshot={snapshot}",
        f"--lock-wait-timeout={lock_timeout * 1000}",
        "--no-password",
        f"--dbname={connection}",
    ]


def dump_globals(connection: str, *, role_passwords: bool) -> list[str]:
    """Return the command that writes roles and tablespaces as SQL; only a superuser may read passwords.

    It is told which database to use, for it would try postgres and template1, which managed servers may keep closed.
    """
    hidden = [] if role_passwords else ["--no-role-passwords"]
    return [
        "pg_dumpall",
        "--globals-only",
        *hidden,
        "--no-password",
        f"--dbname={connection}",
        f"--database={connection}",
    ]


def restore_list() -> list[str]:
    """Return the command that lists the dump on its standard input; it reads no further than the table of contents."""
    return ["pg_restore", "--list"]


def restore_script() -> list[str]:
    """Return the command that prints the definitions of the dump on its standard input as SQL."""
    return ["pg_restore", "--create", "--schema-only", "--file=-"]


def restore_rows() -> list[str]:
    """Return the command that prints the dump on its standard input, with its rows, as SQL."""
    return ["pg_restore", "--file=-"]


def play(connection: str) -> list[str]:
    """Return the command that runs the script on its standard input in one transaction, until the first error.

    Its messages leave out the values that an error is about; what queries answer goes nowhere.
    """
    return [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--set=VERBOSITY=terse",
        "--output=/dev/null",
        f"--dbname={connection}",
        "--file=-",
    ]


def psql_version() -> list[str]:
    """Return the command that prints the version of psql."""
    return ["psql", "--version"]


def can_restrict(printed: str) -> bool:
    """Tell by its version whether psql has the command that forbids all others (CVE-2025-8714)."""
    found = re.search(r"(\d+)\.?(\d*)", printed)
    if found is None:
        return False
    major, minor = int(found[1]), int(found[2] or 0)
    return major >= 18 or minor >= {13: 22, 14: 19, 15: 14, 16: 10, 17: 6}.get(major, 1 << 30)


def restore(
    connection: str,
    archive: str,
    *,
    section: str,
    jobs: int = 1,
    role: str | None = None,
    privileges: bool = True,
    use_list: str | None = None,
) -> list[str]:
    """Return the command that restores one section of a dump; it stops at the first error."""
    argv = ["pg_restore", "--exit-on-error", "--no-password", "--no-owner", f"--section={section}", f"--jobs={jobs}"]
    if role is not None:
        argv.append(f"--role={role}")
    if not privileges:
        argv.append("--no-privileges")
    if use_list is not None:
        argv.append(f"--use-list={use_list}")
    return [*argv, f"--dbname={connection}", archive]


def restore_table(schema: str, table: str, *, section: str) -> list[str]:
    """Return the command that prints what the dump on its standard input holds of one table in a section, as SQL."""
    return ["pg_restore", f"--section={section}", "--no-owner", f"--schema={schema}", f"--table={table}", "--file=-"]


def restore_rows_of(connection: str, archive: str, schema: str, table: str) -> list[str]:
    """Return the command that restores the rows of one table; it stops at the first error."""
    return [
        *("pg_restore", "--exit-on-error", "--no-password", "--no-owner", "--section=data"),
        *(f"--schema={schema}", f"--table={table}", f"--dbname={connection}", archive),
    ]


def dialogue(connection: str) -> list[str]:
    """Return the command that runs the script on its standard input until the first error.

    Transactions are for the script to begin and to commit: when it is cut off, nothing is committed.
    """
    return [
        "psql",
        "--no-psqlrc",
        "--quiet",
        "--no-password",
        "--set=ON_ERROR_STOP=1",
        # Without the values that an error is about.
        "--set=VERBOSITY=terse",
        "--output=/dev/null",
        f"--dbname={connection}",
        "--file=-",
    ]


def analyze(connection: str, *, jobs: int) -> list[str]:
    """Return the command that gathers the planner's statistics of all tables."""
    return ["vacuumdb", "--analyze-only", "--quiet", "--no-password", f"--jobs={jobs}", f"--dbname={connection}"]


def identifier(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def label(schema: str, name: str) -> str:
    """Return ``schema.name``, quoted where SQL needs it: how tables and sequences are called in results and manifests.

    It does not depend on the server's list of keywords, so that two versions of PostgreSQL agree.
    """
    return ".".join(part if _PLAIN.fullmatch(part) else identifier(part) for part in (schema, name))


def literal(text: str) -> str:
    """Quote a text for SQL."""
    # The escape form means the same whatever standard_conforming_strings says.
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
