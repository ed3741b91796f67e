# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run programs and pipelines: argv lists, no shell, every exit code checked.

Secrets travel in ``Stage.env``, never in ``argv``. Standard library only. Private to this collection.
"""

# AnsibleModule.run_command, which is asked for instead, knows no pipelines; and utils take no module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import typing as t
from dataclasses import dataclass, field

from ._errors import ProcessError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

T = t.TypeVar("T")

# What a program printed is kept up to the first limit for those who read it; a message shows the end of it.
STDERR_KEPT = 1 << 20
STDERR_SHOWN = 4096
# The most that an unprivileged process may ask for; the default of 64 KiB makes every program of a pipeline wait often.
PIPE_SIZE = 1 << 20
# In argv, the number of the descriptor that reads the stage's secret_file.
SECRET = "{secret}"


@dataclass(frozen=True)
class Stage:
    """One program of a pipeline.

    ``name`` says what it does, for messages ("archive volume crm_storage"); ``env`` extends the environment;
    ``accept`` are the exit codes that mean success. ``secret_file`` is open in the program under the descriptor whose
    number takes the place of SECRET in ``argv``, for programs that read a passphrase from there.
    With ``reader_may_leave``, to fail because nobody reads its output any more is no failure.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    accept: frozenset[int] = frozenset({0})
    secret_file: str | None = None
    reader_may_leave: bool = False


@dataclass(frozen=True)
class Completed:
    """What a program printed and how it ended."""

    returncode: int
    stdout: bytes
    stderr: str


def program(name: str, package: str | None = None) -> str:
    """Return the path of a program, or raise ProcessError with the package that provides it."""
    # A module that runs over SSH may have a PATH without the sbin directories.
    found = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        raise ProcessError(
            f"{name} is not installed. Install the package {package or name}, or run crm.continuity.prepare."
        )
    return found


def run(stage: Stage, data: bytes = b"") -> Completed:
    """Run one program to its end with ``data`` on its standard input; raise ProcessError unless it succeeded."""
    with _started_with(stage) as (argv, descriptors), _explained(stage):
        done = subprocess.run(
            argv, input=data, capture_output=True, env=_environment(stage), pass_fds=descriptors, check=False
        )
    stderr = done.stderr.decode(errors="backslashreplace")
    if done.returncode not in stage.accept:
        raise _failure(stage, done.returncode, stderr)
    return Completed(done.returncode, done.stdout, stderr)


class Pipeline:
    """Programs joined by pipes, as a context manager.

    Inside the block, ``stdin`` feeds the first program and ``stdout`` reads from the last one, where they were not
    given as file descriptors. Leaving the block normally closes ``stdin``, waits for all and raises ProcessError for
    the first program that failed; leaving it by an exception kills them all.
    Afterwards ``stderr`` and ``returncodes`` hold what each printed and how it ended.
    """

    def __init__(self, stages: Sequence[Stage], *, stdin: int | None = None, stdout: int | None = None) -> None:
        self._stages = tuple(stages)
        self._given_stdin = stdin
        self._given_stdout = stdout
        self._processes: list[subprocess.Popen[bytes]] = []
        self._errors: list[t.BinaryIO] = []
        self._stdin: t.BinaryIO | None = None
        self._stdout: t.BinaryIO | None = None
        self.stderr: list[str] = []
        self.returncodes: list[int] = []

    def __enter__(self) -> Pipeline:
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A broken pipe is what a writer sees when a program has died: that program's own words say more.
        if kind is None or issubclass(kind, BrokenPipeError):
            try:
                self._finish()
            except BaseException:
                self._kill()
                raise
        else:
            self._kill()

    @property
    def stdin(self) -> t.BinaryIO:
        """The writing end of the pipe to the first program."""
        if self._stdin is None:
            raise ValueError("the input of this pipeline was given as a descriptor")
        return self._stdin

    @property
    def stdout(self) -> t.BinaryIO:
        """The reading end of the pipe from the last program."""
        if self._stdout is None:
            raise ValueError("the output of this pipeline was given as a descriptor")
        return self._stdout

    def close_stdin(self) -> None:
        """Tell the first program that its input has ended."""
        if self._stdin is not None and not self._stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                self._stdin.close()

    def close_stdout(self) -> None:
        """Tell the last program that nobody reads its output any more."""
        if self._stdout is not None:
            self._stdout.close()

    def _start(self) -> None:
        upstream: int | t.IO[bytes] = subprocess.PIPE if self._given_stdin is None else self._given_stdin
        for index, stage in enumerate(self._stages):
            last = index == len(self._stages) - 1
            errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the pipeline
            self._errors.append(errors)
            with _started_with(stage) as (argv, descriptors), _explained(stage):
                process = subprocess.Popen(
                    argv,
                    stdin=upstream,
                    stdout=self._given_stdout if last and self._given_stdout is not None else subprocess.PIPE,
                    stderr=errors,
                    env=_environment(stage),
                    pass_fds=descriptors,
                )
            self._processes.append(process)
            if index > 0:
                # Only the next program may hold the reading end, so that the writer notices when it dies.
                t.cast("t.IO[bytes]", upstream).close()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    enlarge_pipe(stream.fileno())
            if process.stdout is not None:
                upstream = process.stdout
        self._stdin = t.cast("t.BinaryIO | None", self._processes[0].stdin)
        self._stdout = t.cast("t.BinaryIO | None", self._processes[-1].stdout)

    def _finish(self) -> None:
        self.close_stdin()
        self.close_stdout()
        self.returncodes = [process.wait() for process in self._processes]
        self.stderr = [_tail(errors) for errors in self._errors]
        self._close_errors()
        failed = [
            (stage, code, text)
            for stage, code, text in zip(self._stages, self.returncodes, self.stderr, strict=True)
            if code not in stage.accept and not (stage.reader_may_leave and _was_left(code, text))
        ]
        if failed:
            # SIGPIPE is the echo of another program's death; report the one that died of its own.
            own = [entry for entry in failed if entry[1] != -13]
            raise _failure(*(own or failed)[0])

    def _kill(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        for process in self._processes:
            # Also the pipes between programs, when one of them could not be started.
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            process.wait()
        self._close_errors()

    def _close_errors(self) -> None:
        for errors in self._errors:
            errors.close()


class Alongside(t.Generic[T]):
    """A function that runs in a thread of its own while a block runs: the other end of a pipeline.

    Both sides talk through pipes and each closes its own end when it is done or fails, so that neither waits for ever:
    the function by itself, the block by ``release``, which is called when the block ends, however it ends. An error of
    the function is raised when the block ends, in place of the broken pipe or the early end that it caused there; so
    the function must not take the broken pipe or the early end that the block causes for an error.
    """

    def __init__(self, function: Callable[[], T], release: Callable[[], None]) -> None:
        self._function = function
        self._release = release
        self._results: list[T] = []
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def result(self) -> T:
        """What the function returned; to be asked for after the block."""
        return self._results[0]

    def __enter__(self) -> Alongside[T]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._results.append(self._function())
        except BaseException as exc:
            self._failure = exc


def enlarge_pipe(descriptor: int) -> None:
    """Let a pipe hold more, where the kernel allows it: fewer switches between the programs at its ends."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, PIPE_SIZE)


@contextlib.contextmanager
def _explained(stage: Stage) -> t.Iterator[None]:
    try:
        yield
    except FileNotFoundError as exc:
        raise ProcessError(f"Cannot {stage.name}: {stage.argv[0]} is not installed on this host.") from exc


@contextlib.contextmanager
def _started_with(stage: Stage) -> t.Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield the arguments of a program and the descriptors that it inherits besides the usual three."""
    if stage.secret_file is None:
        yield list(stage.argv), ()
        return
    with open(stage.secret_file, "rb", buffering=0) as secret:
        number = secret.fileno()
        yield [str(number) if argument == SECRET else argument for argument in stage.argv], (number,)


def _environment(stage: Stage) -> dict[str, str]:
    # Messages of the programs are shown to the operator and partly read by us: one language, one decimal point.
    return {**os.environ, "LC_ALL": "C.UTF-8", **stage.env}


def _was_left(code: int, words: str) -> bool:
    # Most die of it, and some say so.
    return code == -signal.SIGPIPE or os.strerror(errno.EPIPE) in words


def _tail(errors: t.BinaryIO) -> str:
    size = errors.seek(0, os.SEEK_END)
    errors.seek(max(0, size - STDERR_KEPT))
    return errors.read().decode(errors="backslashreplace")


def _failure(stage: Stage, code: int, stderr: str) -> ProcessError:
    ending = f"was killed by signal {-code}" if code < 0 else f"exited with {code}"
    words = stderr[-STDERR_SHOWN:].strip() or "it printed nothing"
    return ProcessError(f"Cannot {stage.name}: {os.path.basename(stage.argv[0])} {ending}: {words}", returncode=code)
