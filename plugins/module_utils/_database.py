# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One PostgreSQL server as the operations see it.

The only file that imports psycopg2. Everything else takes a Database, and unit tests hand it a fake.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import re
import select
import threading
import traceback
import typing as t
from dataclasses import dataclass, field

from ._errors import DatabaseError
from ._pg_commands import identifier, label, literal

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

try:
    import psycopg2
    import psycopg2.extensions as pg

    DRIVER_IMPORT_ERROR: str | None = None
except ImportError:
    DRIVER_IMPORT_ERROR = traceback.format_exc()

CONNECT_TIMEOUT = 10
# What libpq says when nobody is there to refuse.
_SILENCE = ("timeout expired", "could not", "refused", "No route", "unreachable", "No such file", "timed out")
# What libpq and the server say when one wants encryption that the other does not have, or does not trust.
_ENCRYPTION = ("certificate", "SSL error", "does not support SSL", "no encryption", "SSL off")
# Of a COPY, at a time: less than the kernel takes of what libpq hands it.
COPY_CHUNK = 1 << 16
# The oldest server whose catalogs and options are known to be as expected here.
OLDEST_SERVER = 120000

_USER_SCHEMA = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
_NOT_OF_AN_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend d"
    " WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"
)


@dataclass(frozen=True)
class Connection:
    """How to reach one database.

    ``alternatives`` are further addresses of the same server; ``password_source`` says where the password came from,
    for messages. The password is not part of the representation.
    """

    host: str
    port: int
    user: str
    dbname: str
    password: str | None = field(default=None, repr=False)
    password_source: str = "none was given"
    sslmode: str | None = None
    sslrootcert: str | None = None
    sslcert: str | None = None
    sslkey: str | None = None
    alternatives: tuple[tuple[str, int], ...] = ()

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        return ((self.host, self.port), *self.alternatives)

    @property
    def where(self) -> str:
        return " or ".join(f"{host}:{port}" for host, port in self.addresses)


@dataclass(frozen=True)
class Facts:
    """What a database is: everything that a restore elsewhere has to match or to know."""

    name: str
    owner: str
    server_version: str
    server_version_num: int
    encoding: str
    collate: str
    ctype: str
    locale_provider: str
    locale: str | None
    collation_version: str | None
    extensions: dict[str, str]
    schemas: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Role:
    """What the connected role may do."""

    name: str
    superuser: bool
    create_database: bool


@dataclass(frozen=True)
class Snapshot:
    """A moment of a database that several sessions can see; valid while the block that opened it runs.

    ``cut_time`` is None in a session that joined the snapshot of another.
    """

    id: str
    cut_time: str | None
    database: Database

    def row_counts(self) -> dict[str, int]:
        """Return the exact number of rows of every table at that moment."""
        return self.database.row_counts()


class Database(t.Protocol):
    """What the operations need of one database; PostgreSQL provides it. Every method raises DatabaseError."""

    def execute(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] | None = None
    ) -> list[tuple[t.Any, ...]]:
        """Run one statement and return its rows, if it has any."""

    def server_version(self) -> int:
        """Return the version as PostgreSQL counts it: 150018 is 15.18."""

    def role(self) -> Role:
        """Return the role that is connected."""

    def facts(self) -> Facts:
        """Describe the connected database."""

    def snapshot(self, id_: str | None = None) -> contextlib.AbstractContextManager[Snapshot]:
        """Keep one moment visible: a new one that is exported, or the one that another session exported as ``id_``."""

    def row_counts(self) -> dict[str, int]:
        """Return the exact number of rows of every table of the users.

        Partitions are counted one by one and their parents not at all, so that every row counts once. Tables of
        extensions, foreign tables and materialized views are left out: a dump does not hold their rows.
        """

    def sequences(self) -> dict[str, int | None]:
        """Return the last value of every sequence, None where it was never used."""

    def is_empty(self) -> bool:
        """Return whether there is no table, view or materialized view except those of extensions."""

    def available_extensions(self) -> dict[str, bool]:
        """Return the extensions that the server has files for, and whether one needs no superuser to create it."""

    def setting(self, name: str) -> str | None:
        """Return a server parameter, or None when this role may not see it."""

    def databases(self) -> dict[str, str]:
        """Return all databases of the server and their owners."""

    def roles(self) -> frozenset[str]:
        """Return all roles of the server."""

    def create_database(self, name: str, *, owner: str, options: str) -> None:
        """Create an empty database from template0; ``options`` is the SQL that sets encoding and locale."""

    def drop_database(self, name: str) -> None:
        """Remove a database with everything in it and whoever is connected to it."""

    def rename_databases(self, renames: Sequence[tuple[str, str]], comments: Mapping[str, str]) -> None:
        """Rename several databases at once, or none of them, ending the sessions that are connected to them.

        ``comments`` are set on databases by their new name in the same transaction.
        """

    def terminate(self, application: str) -> int:
        """End the sessions of an application by its name; returns how many there were."""

    def terminate_orphans(self, marker: str) -> int:
        """End the sessions named ``<marker> tool <id>`` for which no session ``<marker> <id>`` exists any more."""

    def try_lock(self, key: str) -> bool:
        """Take a lock that is held until this session ends; returns False when another session has it."""

    def transaction(self) -> contextlib.AbstractContextManager[None]:
        """Run a block in one transaction: what it does is done when it ends well, and never happened when it fails."""

    def copy_from(self, sql: str, source: Readable) -> int:
        """Run COPY FROM STDIN with the bytes of ``source`` as they are; returns the number of rows.

        The details of the DatabaseError for a bad row hold its ``line`` and, where it is known, its ``column``.
        """

    def copy_to(self, sql: str, sink: Writable) -> int:
        """Run COPY TO STDOUT, write what comes to ``sink`` as it is, and return the number of rows."""


class Readable(t.Protocol):
    """Where the bytes of a COPY come from."""

    def read(self, size: int, /) -> bytes:
        """Return some bytes, at most ``size``; none at the end."""


class Writable(t.Protocol):
    """Where the bytes of a COPY go to."""

    def write(self, data: bytes, /) -> object:
        """Take all of these bytes."""


class PostgreSQL:
    """Database backed by psycopg2. A context manager that closes the session."""

    def __init__(self, session: t.Any, connection: Connection) -> None:
        self._session = session
        self._connection = connection

    def __enter__(self) -> PostgreSQL:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session."""
        with contextlib.suppress(psycopg2.Error):
            self._session.close()

    def execute(
        self, sql: str, parameters: Sequence[object] | Mapping[str, object] | None = None
    ) -> list[tuple[t.Any, ...]]:
        try:
            with self._session.cursor() as cursor:
                cursor.execute(sql, parameters)
                return list(cursor.fetchall()) if cursor.description is not None else []
        except psycopg2.Error as exc:
            raise DatabaseError(self._explain(exc), sqlstate=exc.pgcode) from exc

    def server_version(self) -> int:
        return int(self._session.server_version)

    def role(self) -> Role:
        row = self.execute("SELECT rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user")[0]
        return Role(*row)

    def facts(self) -> Facts:
        # The columns of pg_database differ between versions: as JSON, those that are there can be asked for.
        row, owner, encoding, size = self.execute(
            "SELECT to_jsonb(d), pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), pg_database_size(d.oid)"
            " FROM pg_database d WHERE d.datname = current_database()"
        )[0]
        providers = {"c": "libc", "i": "icu", "b": "builtin"}
        return Facts(
            name=row["datname"],
            owner=owner,
            server_version=self.execute("SHOW server_version")[0][0].split(" ")[0],
            server_version_num=self.server_version(),
            encoding=encoding,
            collate=row["datcollate"],
            ctype=row["datctype"],
            locale_provider=providers.get(row.get("datlocprovider", "c"), row.get("datlocprovider", "c")),
            locale=row.get("datlocale") or row.get("daticulocale"),
            collation_version=row.get("datcollversion"),
            extensions=dict(self.execute("SELECT extname, extversion FROM pg_extension ORDER BY extname")),
            schemas=tuple(
                name
                for (name,) in self.execute(f"SELECT n.nspname FROM pg_namespace n WHERE {_USER_SCHEMA} ORDER BY 1")
            ),
            size=size,
        )

    @contextlib.contextmanager
    def snapshot(self, id_: str | None = None) -> Iterator[Snapshot]:
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            # Rows that a policy hides must be an error and not a smaller number.
            if id_ is not None:
                self.execute(f"SET TRANSACTION SNAPSHOT {literal(id_)}")
                self.execute("SET LOCAL row_security = off")
                yield Snapshot(id_, None, self)
            else:
                # The first query of the transaction is the moment that it sees.
                exported, time = self.execute(
                    "SELECT pg_export_snapshot(),"
                    " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
                )[0]
                self.execute("SET LOCAL row_security = off")
                yield Snapshot(exported, time, self)
        finally:
            if not self._session.closed:
                with contextlib.suppress(DatabaseError):
                    self.execute("ROLLBACK")

    def row_counts(self) -> dict[str, int]:
        tables = self.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND {_USER_SCHEMA} AND {_NOT_OF_AN_EXTENSION}"
            " ORDER BY n.nspname, c.relname"
        )
        counts = {}
        for schema, name in tables:
            # ONLY: the rows of a table that inherits from it are counted there.
            rows = self.execute(f"SELECT count(*) FROM ONLY {identifier(schema)}.{identifier(name)}")
            counts[label(schema, name)] = int(rows[0][0])
        return counts

    def sequences(self) -> dict[str, int | None]:
        rows = self.execute(
            "SELECT s.schemaname, s.sequencename, s.last_value FROM pg_sequences s"
            " JOIN pg_namespace n ON n.nspname = s.schemaname"
            " JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.sequencename"
            f" WHERE {_USER_SCHEMA} AND {_NOT_OF_AN_EXTENSION} ORDER BY 1, 2"
        )
        return {label(schema, name): value for schema, name, value in rows}

    def is_empty(self) -> bool:
        rows = self.execute(
            "SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            f" WHERE c.relkind IN ('r', 'p', 'f', 'm', 'v') AND c.relpersistence <> 't' AND {_USER_SCHEMA}"
            f" AND {_NOT_OF_AN_EXTENSION}"
        )
        return int(rows[0][0]) == 0

    def available_extensions(self) -> dict[str, bool]:
        # "trusted" came with PostgreSQL 13; before, an extension was for superusers or for everyone.
        trusted = "trusted OR NOT superuser" if self.server_version() >= 130000 else "NOT superuser"
        return dict(self.execute(f"SELECT name, bool_or({trusted}) FROM pg_available_extension_versions GROUP BY name"))

    def setting(self, name: str) -> str | None:
        rows = self.execute("SELECT setting FROM pg_settings WHERE name = %s", (name,))
        return str(rows[0][0]) if rows else None

    def databases(self) -> dict[str, str]:
        return dict(self.execute("SELECT datname, pg_get_userbyid(datdba) FROM pg_database ORDER BY datname"))

    def roles(self) -> frozenset[str]:
        return frozenset(name for (name,) in self.execute("SELECT rolname FROM pg_roles"))

    def create_database(self, name: str, *, owner: str, options: str) -> None:
        self.execute(
            f"CREATE DATABASE {identifier(name)} WITH OWNER = {identifier(owner)} TEMPLATE = template0 {options}"
        )

    def drop_database(self, name: str) -> None:
        if self.server_version() >= 130000:
            self.execute(f"DROP DATABASE IF EXISTS {identifier(name)} WITH (FORCE)")
        else:
            self._end_sessions([name])
            self.execute(f"DROP DATABASE IF EXISTS {identifier(name)}")

    def rename_databases(self, renames: Sequence[tuple[str, str]], comments: Mapping[str, str]) -> None:
        statements = [f"ALTER DATABASE {identifier(old)} RENAME TO {identifier(new)}" for old, new in renames]
        statements += [f"COMMENT ON DATABASE {identifier(name)} IS {literal(text)}" for name, text in comments.items()]
        involved = [old for old, _new in renames]
        # The first statement locks the name against newcomers and then waits five seconds for the sessions that are
        # in it: they are ended meanwhile. Ending them first would leave a gap for a client that reconnects.
        done = threading.Event()
        failures: list[BaseException] = []

        def end_sessions() -> None:
            try:
                with connect(self._connection) as other:
                    while True:
                        other._end_sessions(involved)
                        if done.wait(0.1):
                            return
            except BaseException as exc:
                failures.append(exc)

        helper = threading.Thread(target=end_sessions, daemon=True)
        helper.start()
        try:
            self.execute("BEGIN")
            try:
                for statement in statements:
                    self.execute(statement)
                self.execute("COMMIT")
            except BaseException:
                if not self._session.closed:
                    with contextlib.suppress(DatabaseError):
                        self.execute("ROLLBACK")
                raise
        except DatabaseError as exc:
            done.set()
            helper.join()
            if failures:
                raise DatabaseError(f"{exc} The sessions could not be ended: {failures[0]}") from exc
            raise
        finally:
            done.set()
            helper.join()

    def terminate(self, application: str) -> int:
        rows = self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (application,)
        )
        return len(rows)

    def terminate_orphans(self, marker: str) -> int:
        rows = self.execute(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a"
            " WHERE a.application_name LIKE %(tools)s AND NOT EXISTS (SELECT FROM pg_stat_activity o"
            " WHERE o.application_name = %(own)s || right(a.application_name, -%(skip)s))",
            {"tools": f"{marker} tool %", "own": f"{marker} ", "skip": len(f"{marker} tool ")},
        )
        return len(rows)

    def try_lock(self, key: str) -> bool:
        return bool(self.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,))[0][0])

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        self.execute("BEGIN")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if not self._session.closed:
                with contextlib.suppress(DatabaseError):
                    self.execute("ROLLBACK")
            raise

    def copy_from(self, sql: str, source: Readable) -> int:
        feed = _Feed(self._session.fileno(), source)
        return self._copy(sql, feed, feed)

    def copy_to(self, sql: str, sink: Writable) -> int:
        drain = _Drain(sink)
        return self._copy(sql, drain, drain)

    def _copy(self, sql: str, file: t.Any, end: _End) -> int:
        # psycopg2 knows no COPY together with a wait callback.
        pg.set_wait_callback(None)
        try:
            with self._session.cursor() as cursor:
                cursor.copy_expert(sql, file, COPY_CHUNK)
                return int(cursor.rowcount)
        except psycopg2.Error as exc:
            # It only says that our end has failed, and forgets how.
            if end.failure is not None:
                raise end.failure from None
            place = re.search(r"line (\d+)(?:, column (.+?))?(?::|$)", exc.diag.context or "")
            details = {"line": int(place[1]), "column": place[2]} if place is not None else {}
            raise DatabaseError(self._explain(exc), sqlstate=exc.pgcode, **details) from exc
        finally:
            pg.set_wait_callback(_wait)

    def _end_sessions(self, databases: Sequence[str]) -> None:
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = ANY (%s) AND pid <> pg_backend_pid()",
            (list(databases),),
        )

    def _explain(self, exc: psycopg2.Error) -> str:
        connection = self._connection
        words = _words(exc)
        place = f"database {connection.dbname} at {connection.where}"
        if exc.pgcode == "42501":
            return (
                f"User {connection.user} is not allowed to do this in {place}: {words}. Use the owner or a superuser."
            )
        if exc.pgcode == "57P01" or self._session.closed:
            return f"The session with {place} was ended by the server or the network: {words}."
        if exc.pgcode == "53100":
            return f"The disk of the PostgreSQL server is full ({place}): {words}. Free some space there."
        return f"PostgreSQL refused a statement in {place}: {words}."


def connect(connection: Connection, application: str = "crm.continuity") -> PostgreSQL:
    """Return a session with one database, or raise DatabaseError with what to check."""
    if DRIVER_IMPORT_ERROR is not None:
        raise DatabaseError(
            "The PostgreSQL driver for Python is not installed on this host. Install the package python3-psycopg2, "
            "or run crm.continuity.prepare.",
            import_error=DRIVER_IMPORT_ERROR,
        )
    pg.set_wait_callback(_wait)
    failures: list[psycopg2.OperationalError] = []
    for host, port in connection.addresses:
        try:
            session = psycopg2.connect(
                host=host,
                port=port,
                user=connection.user,
                password=connection.password,
                dbname=connection.dbname,
                sslmode=connection.sslmode or "prefer",
                sslrootcert=connection.sslrootcert,
                sslcert=connection.sslcert,
                sslkey=connection.sslkey,
                application_name=application,
                client_encoding="UTF8",
                keepalives_idle=60,
            )
        except psycopg2.OperationalError as exc:
            failures.append(exc)
            continue
        return _prepared(PostgreSQL(session, connection), session)
    # What a server answered says more than that another address is silent.
    answers = [exc for exc in failures if not _unreachable(str(exc))]
    cause = (answers or failures)[0]
    raise DatabaseError(_refusal(connection, _words(cause))) from cause


def _prepared(database: PostgreSQL, session: t.Any) -> PostgreSQL:
    session.autocommit = True
    if session.server_version < OLDEST_SERVER:
        version = session.server_version // 10000
        database.close()
        raise DatabaseError(f"The server is PostgreSQL {version}; this needs {OLDEST_SERVER // 10000} or newer.")
    # Limits that a database or a role sets for its application would cut off a long count or an idle snapshot.
    for name in ("statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"):
        if name != "idle_session_timeout" or session.server_version >= 140000:
            database.execute(f"SET {name} = 0")
    database.execute("SET lock_timeout = '60s'")
    # A database that is read-only by default can still be repaired and replaced.
    database.execute("SET default_transaction_read_only = off")
    return database


class _End:
    """Our end of a COPY; ``failure`` is what went wrong here, which psycopg2 does not pass on."""

    failure: BaseException | None = None


class _Feed(_End):
    def __init__(self, descriptor: int, source: Readable) -> None:
        self._descriptor = descriptor
        self._source = source

    def read(self, size: int) -> bytes:
        try:
            # libpq would keep in memory whatever the server does not take yet.
            select.select([], [self._descriptor], [])
            return self._source.read(size)
        except BaseException as exc:
            self.failure = exc
            raise


class _Drain(_End):
    def __init__(self, sink: Writable) -> None:
        self._sink = sink

    def write(self, data: bytes) -> None:
        try:
            self._sink.write(data)
        except BaseException as exc:
            self.failure = exc
            raise


def _wait(session: t.Any) -> None:
    """Wait for the server in Python, so that a signal is handled at once and not after the query."""
    limit = CONNECT_TIMEOUT if session.status == pg.STATUS_SETUP else None
    while True:
        state = session.poll()
        if state == pg.POLL_OK:
            return
        reading = [session.fileno()] if state == pg.POLL_READ else []
        writing = [session.fileno()] if state == pg.POLL_WRITE else []
        if limit is not None and not any(select.select(reading, writing, [], limit)):
            raise psycopg2.OperationalError("timeout expired")
        if limit is None:
            select.select(reading, writing, [])


def _words(exc: psycopg2.Error) -> str:
    diagnosis = exc.diag.message_primary if exc.pgcode else None
    if diagnosis:
        detail = f" ({exc.diag.message_detail})" if exc.diag.message_detail else ""
        return f"{diagnosis}{detail}".rstrip(".")
    words = " ".join(str(exc).split())
    # What follows is libpq's own guess at the cause.
    return words.partition(" Is the server running")[0].rstrip(".") or "it gave no reason"


def _unreachable(words: str) -> bool:
    # A server that answers says FATAL; everything else is the client's own.
    return "FATAL" not in words and any(sign in words for sign in _SILENCE)


def _refusal(connection: Connection, words: str) -> str:
    who = f"user {connection.user} to database {connection.dbname} at {connection.where}"
    if any(sign in words for sign in _ENCRYPTION):
        return (
            f"PostgreSQL and this host do not agree on encryption for {who}: {words}. Check sslmode, and sslrootcert: "
            "the certificate of the authority that the server's own is from."
        )
    if _unreachable(words):
        return (
            f"No PostgreSQL answers at {connection.where} (user {connection.user}, database {connection.dbname}): "
            f"{words}. Check that it runs, that it listens there and that nothing in between refuses the connection."
        )
    if "password" in words or "no pg_hba.conf entry" in words or "authentication" in words:
        return (
            f"PostgreSQL refused {who}: {words}. The password was taken from: {connection.password_source}. "
            "A server keeps the password of its first start, whatever its environment says later; give the right user "
            "and password."
        )
    if "starting up" in words or "shutting down" in words or "recovery mode" in words:
        return f"PostgreSQL at {connection.where} is not ready for {who}: {words}. Wait until it is, and try again."
    if "too many" in words or "remaining connection slots" in words:
        return (
            f"PostgreSQL has no connection left for {who}: {words}. Raise max_connections, or stop what holds them, "
            "and try again."
        )
    if "does not exist" in words:
        return f"PostgreSQL refused {who}: {words}. Check both names; databases are listed with \\l in psql."
    return f"PostgreSQL refused {who}: {words}."
