# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write to a file what one of PostgreSQL's dump programs produces, compressed on the way, every exit code checked.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import select
import typing as t
from dataclasses import dataclass

from ._database_location import APPLICATION, InContainer
from ._errors import DatabaseError, ProcessError, StoreError
from ._files import read_chunks
from ._process import Pipeline, Stage
from ._workplace import workplace

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ._database import Database
    from ._database_location import Location
    from ._seal import Seal, Sealed
    from ._workplace import Workplace

    Watch = Callable[[Iterable[bytes]], Iterable[bytes]]


@dataclass(frozen=True)
class Client:
    """A dump program that is about to run: where, what for, which, for which major version, in which run."""

    location: Location
    what: str
    argv: Sequence[str]
    version: int
    run_id: str

    def stage(self, *options: str) -> Stage:
        argv = [*self.argv, *options]
        return self.location.client(self.what, argv, version=self.version, run_id=self.run_id)


@dataclass(frozen=True)
class Output:
    """What was written, and what the dump program said meanwhile."""

    written: Sealed
    stderr: str


def write_output(
    client: Client, compressor: Stage | None, seal: Seal, path: str, session: Database, watch: Watch = iter
) -> Output:
    """Run a dump program to its end and write its output, compressed, to the file that will become ``path``.

    ``watch`` is given the compressed chunks and passes them on.

    When anything fails, the program's session is ended in the server too: killing the docker command would leave the
    program running inside the container.
    """
    try:
        if isinstance(client.location, InContainer):
            with workplace(client.location, client.run_id) as place:
                fifo = place.fifo("output")
                if fifo is not None:
                    return _through_fifo(client, compressor, seal, place, *fifo, watch)
        return _through_stdout(client, compressor, seal, watch)
    except BaseException as exc:
        with contextlib.suppress(DatabaseError):
            session.terminate(f"{APPLICATION} tool {client.run_id}")
        if isinstance(exc, OSError) and exc.filename is None:
            raise StoreError(f"{path} cannot be written: {exc.strerror}. Nothing was left there.", path=path) from exc
        raise


def _through_stdout(client: Client, compressor: Stage | None, seal: Seal, watch: Watch) -> Output:
    stages = [client.stage()] if compressor is None else [client.stage(), compressor]
    with Pipeline(stages) as pipeline:
        pipeline.close_stdin()
        seal.take(watch(read_chunks(pipeline.stdout)))
    return Output(seal.written(), pipeline.stderr[0])


def _through_fifo(
    client: Client, compressor: Stage | None, seal: Seal, place: Workplace, path: str, reading: int, watch: Watch
) -> Output:
    with open(reading, "rb", buffering=0) as source, Pipeline([client.stage(f"--file={path}", "--no-sync")]) as program:
        program.close_stdin()
        connected = _has_writer(source, program.stdout)
        # Both ends are open: nothing is left in the container now, even if this process should be killed.
        place.remove()
        if connected:
            _copy(source, compressor, seal, watch)
        # Whoever should still come to write must not wait for a reader.
        source.close()
    if not connected:
        raise ProcessError(f"Cannot {client.what}: {client.argv[0]} ended well without writing anything.")
    return Output(seal.written(), program.stderr[0])


def _copy(source: t.BinaryIO, compressor: Stage | None, seal: Seal, watch: Watch) -> None:
    os.set_blocking(source.fileno(), True)
    if compressor is None:
        seal.take(watch(read_chunks(source)))
        return
    with Pipeline([compressor], stdin=source.fileno()) as pipeline:
        # Only the compressor may read, so that the dump program notices when it dies.
        source.close()
        seal.take(watch(read_chunks(pipeline.stdout)))


def _has_writer(source: t.BinaryIO, printed: t.BinaryIO) -> bool:
    """Wait until the program opens the named pipe, or ends without doing so, which closes what it prints to."""
    poll = select.poll()
    poll.register(source, select.POLLIN)
    poll.register(printed, select.POLLIN)
    if any(file == source.fileno() for file, _event in poll.poll()):
        return True
    # A short dump may be seen a moment after the end of its program.
    poll.unregister(printed)
    return bool(poll.poll(100))
