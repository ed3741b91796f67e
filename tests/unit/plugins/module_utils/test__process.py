# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ProcessError
from ansible_collections.crm.continuity.plugins.module_utils._process import (
    SECRET,
    Alongside,
    Pipeline,
    Stage,
    program,
    run,
)


def shell(script, **fields):
    return Stage("test", ["/bin/sh", "-c", script], **fields)


def test_a_program_gets_its_input_and_returns_its_output():
    done = run(shell("cat; echo problem >&2"), b"data")

    assert (done.stdout, done.stderr, done.returncode) == (b"data", "problem\n", 0)


def test_the_error_says_what_failed_how_and_why():
    with pytest.raises(ProcessError, match=r"Cannot test: sh exited with 3: no such luck") as caught:
        run(shell("echo no such luck >&2; exit 3"))

    assert caught.value.details == {"returncode": 3}


def test_a_death_by_signal_is_named():
    with pytest.raises(ProcessError, match="was killed by signal 9: it printed nothing"):
        run(shell("kill -9 $$"))


def test_an_exit_code_may_be_accepted():
    assert run(shell("exit 1", accept=frozenset({0, 1}))).returncode == 1


def test_a_program_that_is_not_there_is_named_with_its_package():
    with pytest.raises(ProcessError, match="Install the package some-package"):
        program("no-such-program", "some-package")
    with pytest.raises(ProcessError, match=r"/no/such is not installed"):
        run(Stage("test", ["/no/such"]))


def test_the_environment_is_extended_and_speaks_one_language(monkeypatch):
    monkeypatch.setenv("LC_ALL", "pt_BR.UTF-8")
    monkeypatch.setenv("KEPT", "yes")

    done = run(shell('echo "$LC_ALL $KEPT $GIVEN"', env={"GIVEN": "too"}))

    assert done.stdout == b"C.UTF-8 yes too\n"


def test_bytes_run_through_all_programs():
    with Pipeline([shell("tr a-z A-Z"), shell("rev")]) as pipeline:
        pipeline.stdin.write(b"abc\n")
        pipeline.close_stdin()
        out = pipeline.stdout.read()

    assert out == b"CBA\n"
    assert pipeline.returncodes == [0, 0]


def test_descriptors_may_be_given(tmp_path):
    (tmp_path / "in").write_bytes(b"abc")

    with (
        open(tmp_path / "in", "rb") as source,
        open(tmp_path / "out", "wb") as target,
        Pipeline([shell("rev")], stdin=source.fileno(), stdout=target.fileno()) as pipeline,
    ):
        with pytest.raises(ValueError, match="descriptor"):
            pipeline.stdin.close()
        with pytest.raises(ValueError, match="descriptor"):
            pipeline.stdout.close()

    assert (tmp_path / "out").read_bytes() == b"cba"


@pytest.mark.parametrize("position", [0, 1, 2])
def output_of(*stages):
    with Pipeline(stages) as pipeline:
        pipeline.close_stdin()
        return pipeline.stdout.read()


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_failure_anywhere_in_the_pipe_is_noticed(position):
    stages = [shell("echo x"), shell("cat"), shell("cat")]
    stages[position] = shell("cat; echo it was me >&2; exit 5")

    with pytest.raises(ProcessError, match="exited with 5: it was me"):
        output_of(*stages)


def test_the_program_that_died_of_its_own_is_blamed_and_not_the_one_that_lost_its_reader():
    reader = shell("head -c 10 >/dev/null; echo culprit >&2; exit 4")

    with pytest.raises(ProcessError, match="culprit"):
        output_of(shell("exec cat /dev/zero"), reader)


def feed_for_ever(*stages):
    with Pipeline(stages) as pipeline:
        while True:
            os.write(pipeline.stdin.fileno(), bytes(65536))


def test_a_broken_pipe_is_explained_by_the_program_that_died():
    with pytest.raises(ProcessError, match="exited with 7: full"):
        feed_for_ever(shell("echo full >&2; exit 7"))


class Started:
    """Starts programs that wait, notes the process ID of the first, and then raises or reads on."""

    pid = 0

    def __call__(self, error=None):
        with Pipeline([shell("echo $$; exec sleep 60")]) as pipeline:
            self.pid = int(pipeline.stdout.readline())
            if error is not None:
                raise error
            pipeline.stdout.read()

    def is_gone(self):
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return self.pid > 0
        return False


def test_an_error_in_the_block_kills_all_programs():
    started = Started()

    with pytest.raises(KeyError):
        started(KeyError())

    assert started.is_gone()


def test_a_signal_in_the_block_kills_all_programs():
    def interrupt(number, frame):
        raise InterruptedError

    started = Started()
    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        with pytest.raises(InterruptedError):
            started()
    finally:
        signal.signal(signal.SIGALRM, previous)

    assert started.is_gone()


def test_a_program_that_is_missing_in_the_middle_stops_those_before_it():
    began = time.monotonic()

    with pytest.raises(ProcessError, match="not installed"):
        output_of(shell("exec sleep 60"), Stage("test", ["/no/such"]), shell("cat"))

    assert time.monotonic() - began < 30


def test_the_end_of_many_words_is_shown_and_all_are_kept():
    with pytest.raises(ProcessError) as caught, Pipeline([shell("seq 5000 >&2; exit 1")]) as pipeline:
        pipeline.close_stdin()

    assert str(caught.value).endswith("4999\n5000")
    assert len(str(caught.value)) < 5000
    assert pipeline.stderr[0].startswith("1\n2\n")


def test_a_function_alongside_returns_its_result():
    reading, writing = os.pipe()

    with (
        open(reading, "rb") as source,
        open(writing, "wb") as sink,
        Alongside(source.read, sink.close) as reader,
    ):
        sink.write(b"data")

    assert reader.result == b"data"


def write_for_ever_beside(function, writing):
    with open(writing, "wb", buffering=0) as sink, Alongside(function, sink.close):
        while True:
            sink.write(bytes(65536))


def test_the_error_of_a_function_alongside_is_the_cause():
    reading, writing = os.pipe()

    def fail():
        with open(reading, "rb"):
            raise KeyError("disk full")

    with pytest.raises(KeyError, match="disk full"):
        write_for_ever_beside(fail, writing)


def test_the_error_of_the_block_ends_the_function_alongside():
    reading, writing = os.pipe()
    results = []

    def raise_beside():
        with (
            open(reading, "rb") as source,
            open(writing, "wb") as sink,
            Alongside(lambda: results.append(source.read()), sink.close),
        ):
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        raise_beside()

    assert results == [b""]


# Secrets, and readers that have enough


def test_a_secret_is_read_from_a_descriptor_and_is_in_no_argument(tmp_path):
    (tmp_path / "secret").write_text("hunter2\n")
    argv = ["sh", "-c", 'cat "/dev/fd/$1"; echo "$@"', "sh", SECRET]
    stage = Stage("read", argv, secret_file=str(tmp_path / "secret"))

    said = run(stage).stdout.decode().splitlines()
    with Pipeline([stage]) as pipeline:
        also = pipeline.stdout.read().decode().splitlines()

    assert said[0] == also[0] == "hunter2"
    assert said[1].isdigit()


def test_a_secret_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no-such-secret"):
        run(Stage("read", ["true"], secret_file=str(tmp_path / "no-such-secret")))


@pytest.mark.parametrize("ending", ["kill -PIPE $$", "echo 'write error: Broken pipe' >&2; exit 2"])
def test_a_program_whose_reader_may_leave_does_not_fail_of_it(ending):
    writer = Stage("write", ["sh", "-c", ending], reader_may_leave=True)

    with Pipeline([writer, Stage("read", ["true"])]):
        pass

    with pytest.raises(ProcessError), Pipeline([replace(writer, reader_may_leave=False), Stage("read", ["true"])]):
        pass


def test_a_program_whose_reader_may_leave_may_fail_of_something_else():
    writer = Stage("write", ["sh", "-c", "echo damaged >&2; exit 2"], reader_may_leave=True)

    with pytest.raises(ProcessError, match="damaged"), Pipeline([writer, Stage("read", ["true"])]):
        pass
