# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dump one PostgreSQL database: pg_dump's custom format, compressed behind it, with the row counts of the same moment.

``plan`` only looks and ``apply`` only acts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import typing as t
from dataclasses import dataclass, replace

from ._compression import compress_stage, decompress_stage
from ._database import connect
from ._database_globals import dump_globals
from ._database_location import APPLICATION
from ._database_output import Client, write_output
from ._dump_contents import table_data
from ._encryption import NO_ENCRYPTION, Encryption
from ._encryption import check as check_encryption
from ._errors import DatabaseError, StoreError
from ._files import partial_file, read_chunks, write_all
from ._pg_commands import dump, restore_list
from ._process import Alongside, Pipeline
from ._seal import sealed

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._database import Facts, Snapshot
    from ._database_globals import DumpedGlobals
    from ._database_location import Location
    from ._process import Stage

# Seconds that pg_dump waits for a table that a migration holds.
LOCK_TIMEOUT = 60


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types."""

    database: str
    path: str
    compression: str = "zstd"
    level: int | None = None
    force: bool = False
    globals_path: str | None = None
    encryption: Encryption = NO_ENCRYPTION


@dataclass(frozen=True)
class Plan:
    """What will happen, and why; ``reason`` is None when nothing will."""

    request: Request
    reason: str | None
    facts: Facts

    @property
    def changed(self) -> bool:
        return self.reason is not None

    def diff(self) -> dict[str, str]:
        paths = [path for path in (self.request.path, self.request.globals_path) if path is not None]
        before = [path for path in paths if os.path.exists(path)]
        after = paths if self.changed else before
        return {"before": "".join(f"{path}\n" for path in before), "after": "".join(f"{path}\n" for path in after)}


@dataclass(frozen=True)
class Dumped:
    """What was written, and what a restore has to find again.

    ``size`` and ``sha256`` are of the file, ``plain_sha256`` is of the same before encryption. ``rows`` are exact
    counts by table, taken in the moment of the dump, which is ``cut_time`` unless another session chose it.
    """

    path: str
    size: int
    sha256: str
    plain_sha256: str
    rows: dict[str, int]
    tables: int
    sequences: dict[str, int | None]
    cut_time: str | None
    facts: Facts
    warnings: tuple[str, ...]


def plan(request: Request, location: Location) -> Plan:
    """Compare the request with the host and look at the database. Changes nothing."""
    check_encryption(request.encryption)
    for path in (request.path, request.globals_path):
        directory = os.path.dirname(path) if path is not None else None
        if directory and not os.path.isdir(directory):
            raise StoreError(f"{directory} is not a directory. Create it first, with mode 0700.", path=directory)
        if path is not None and os.path.isdir(path):
            raise StoreError(f"{path} is a directory. Name the file to write.", path=path)
    with connect(location.connection(request.database)) as database:
        facts = database.facts()
    missing = [path for path in (request.path, request.globals_path) if path is not None and not os.path.exists(path)]
    if missing:
        return Plan(request, f"{missing[0]} does not exist", facts)
    return Plan(request, "force=true" if request.force else None, facts)


@contextlib.contextmanager
def open_snapshot(location: Location, database: str) -> Iterator[Snapshot]:
    """Hold one moment of a database; its ``id`` goes to ``dump_database`` while the block runs."""
    with connect(location.connection(database)) as session, session.snapshot() as moment:
        yield moment


def dump_database(
    location: Location,
    database: str,
    destination: str,
    *,
    compression: str = "zstd",
    level: int | None = None,
    snapshot: str | None = None,
    subject: str | None = None,
    encryption: Encryption = NO_ENCRYPTION,
) -> Dumped:
    """Write a dump that becomes ``destination`` only when it is complete and was found readable.

    The dump and the row counts are of one moment: of ``snapshot``, exported by a session that is still open, or of
    one taken now. ``subject`` is how messages call the database.
    """
    subject = subject or f"database {database}"
    run_id = secrets.token_hex(6)
    with connect(location.connection(database), f"{APPLICATION} {run_id}") as session:
        # Programs of a run that was killed go on inside the container and keep their snapshot from being cleaned up.
        session.terminate_orphans(APPLICATION)
        facts = session.facts()
        with (
            session.snapshot(snapshot) as moment,
            partial_file(destination) as descriptor,
            sealed(descriptor, encryption, f"the dump of {subject}") as seal,
        ):
            program = Client(
                location,
                f"dump {subject}",
                dump(location.target(database), snapshot=moment.id, lock_timeout=LOCK_TIMEOUT),
                facts.server_version_num // 10000,
                run_id,
            )
            compressor = compress_stage(compression, f"compress the dump of {subject}", level)
            readers = _readers(location, compression, facts, subject)
            if encryption.enabled:
                # This host may not be able to decrypt what it writes, so it is read on the way.
                with _Reading(readers) as reading:
                    output = write_output(program, compressor, seal, destination, session, reading.watch)
                listing = reading.listing()
            else:
                output = write_output(program, compressor, seal, destination, session)
                listing = _read_back(readers, descriptor)
            rows, sequences = moment.row_counts(), session.sequences()
            _prove_complete(listing, subject, tables=len(rows))
    return Dumped(
        path=destination,
        size=output.written.size,
        sha256=output.written.sha256,
        plain_sha256=output.written.plain_sha256,
        rows=rows,
        tables=len(rows),
        sequences=sequences,
        cut_time=moment.cut_time,
        facts=facts,
        warnings=tuple(line for line in output.stderr.splitlines() if "warning:" in line),
    )


def apply(wanted: Plan, location: Location) -> tuple[Dumped, DumpedGlobals | None]:
    """Carry out a plan."""
    request = wanted.request
    dumped = dump_database(
        location,
        request.database,
        request.path,
        compression=request.compression,
        level=request.level,
        encryption=request.encryption,
    )
    if request.globals_path is None:
        return dumped, None
    return dumped, dump_globals(
        location,
        request.database,
        request.globals_path,
        compression=request.compression,
        level=request.level,
        encryption=request.encryption,
    )


def _readers(location: Location, compression: str, facts: Facts, subject: str) -> list[Stage]:
    """Return what reads the table of contents of a dump: the program that would restore it."""
    stages = [location.client(f"list the dump of {subject}", restore_list(), version=facts.server_version_num // 10000)]
    unpack = decompress_stage(compression, f"unpack the dump of {subject}")
    if unpack is not None:
        # The reader stops after the table of contents.
        stages.insert(0, replace(unpack, reader_may_leave=True))
    return stages


def _read_back(readers: list[Stage], descriptor: int) -> str:
    """Read the finished file, as far as its table of contents."""
    # A second opening of the same file has a position of its own.
    with open(f"/proc/self/fd/{descriptor}", "rb") as written, Pipeline(readers, stdin=written.fileno()) as pipeline:
        return b"".join(read_chunks(pipeline.stdout)).decode(errors="backslashreplace")


class _Reading:
    """Reads a dump while it is written, as far as its table of contents."""

    def __init__(self, readers: list[Stage]) -> None:
        self._readers = readers
        self._open = contextlib.ExitStack()

    def __enter__(self) -> _Reading:
        with contextlib.ExitStack() as stack:
            self._pipeline = stack.enter_context(Pipeline(self._readers))
            printed = self._pipeline.stdout
            release = self._pipeline.close_stdin
            self._printed = stack.enter_context(Alongside(lambda: b"".join(read_chunks(printed)), release))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *exception: t.Any) -> bool | None:
        return self._open.__exit__(*exception)

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on what is written, and let the readers have it until they have seen enough."""
        enough = False
        for chunk in chunks:
            yield chunk
            if not enough:
                try:
                    write_all(self._pipeline.stdin.fileno(), chunk)
                except BrokenPipeError:
                    enough = True

    def listing(self) -> str:
        """Return the table of contents; to be asked for after the block."""
        return self._printed.result.decode(errors="backslashreplace")


def _prove_complete(listing: str, subject: str, *, tables: int) -> None:
    """Raise DatabaseError unless a dump holds all tables."""
    found = table_data(listing)
    if found < tables:
        raise DatabaseError(
            f"The dump of {subject} holds the rows of {found} tables, and there are {tables}. It was not published. "
            "Tables may have been created or dropped meanwhile: try again when no migration runs.",
        )
