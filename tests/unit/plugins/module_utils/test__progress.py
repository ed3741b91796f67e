# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _progress
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.module_utils._progress import Rate, Reporter

TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def asked(monkeypatch):
    """Let somebody ask for the progress; return where it is told."""
    monkeypatch.setenv(_progress.VARIABLE, TOKEN)
    monkeypatch.setattr(_progress, "EVERY", 0.005)
    return Path(_progress.place(TOKEN))


def told(path, **wanted):
    """Wait until a file tells something, and return all that it tells."""
    limit = time.monotonic() + 10
    while time.monotonic() < limit:
        if path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
            if all(found.get(name) == value for name, value in wanted.items()):
                return found
        time.sleep(0.005)
    raise AssertionError(f"{path} never told {wanted}")


def test_nothing_is_done_when_nobody_asks(tmp_path):
    threads = threading.active_count()

    with _progress.reporting("backup", "crm"), _progress.writing("volume a", str(tmp_path / "a"), "a"):
        _progress.expect(lambda: pytest.fail("looked for what nobody wants to know"))
        assert threading.active_count() == threads

    assert not os.path.exists(_progress.PROGRESS)


@pytest.mark.parametrize("given", ["", "short", "../../etc/passwd", "0" * 31 + "/"])
def test_a_token_that_is_none_is_nobody(monkeypatch, given):
    monkeypatch.setenv(_progress.VARIABLE, given)

    assert _progress.token() is None


def test_what_is_told_is_private_and_gone_at_the_end(asked):
    with _progress.reporting("backup", "crm"):
        _progress.phase("live")
        told(asked, operation="backup", subject="crm", phase="live")
        assert stat.S_IMODE(asked.stat().st_mode) == 0o600
        assert stat.S_IMODE(asked.parent.stat().st_mode) == 0o700

    assert list(asked.parent.iterdir()) == []


def test_it_is_gone_after_a_failure_too(asked):
    def fail():
        with _progress.reporting("backup"):
            told(asked, phase="begin")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert not asked.exists()


def test_a_place_that_cannot_be_written_fails_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setattr(_progress, "PROGRESS", str(tmp_path / "file" / "progress"))
    monkeypatch.setenv(_progress.VARIABLE, TOKEN)

    with _progress.reporting("backup"):
        _progress.phase("live")


def test_what_killed_runs_left_is_removed_after_a_day(asked):
    asked.parent.mkdir(parents=True)
    old, young = asked.parent / "old.json", asked.parent / "young.json"
    for path in (old, young):
        path.touch()
    os.utime(old, (0, 0))

    with _progress.reporting("backup"):
        told(asked)

    assert [path.name for path in asked.parent.iterdir()] == ["young.json"]


def test_a_file_that_is_written_is_measured_under_both_of_its_names(asked, tmp_path):
    path, partial = tmp_path / "a.tar", tmp_path / ".a.tar.partial"
    with _progress.reporting("backup"):
        _progress.expect(lambda: {"a.tar": 100})
        with _progress.writing("volume a", str(path), "a.tar"):
            partial.write_bytes(bytes(40))
            assert told(asked, step_bytes=40)["step"] == "volume a"
            partial.rename(path)
            with path.open("ab") as stream:
                stream.write(bytes(20))
            told(asked, step_bytes=60, step_expected=100, bytes=60, expected=100)


def test_a_file_that_is_read_by_a_program_is_measured_by_how_far_that_is(asked, tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(100))
    with _progress.reporting("verify"):
        _progress.expect(lambda: {str(path): 100})
        with _progress.reading("a.tar", str(path)), path.open("rb") as stream:
            subprocess.run(["dd", "bs=30", "count=1", "status=none", "of=/dev/null"], stdin=stream.fileno(), check=True)
            told(asked, step_bytes=30, step_expected=100)
        # Whatever was not seen of it.
        told(asked, bytes=100, step=None)


def test_the_slowest_reader_counts(tmp_path):
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(100))

    with path.open("rb", buffering=0) as one, path.open("rb", buffering=0) as other:
        one.read(70)
        other.read(20)
        assert _progress._read(str(path)) == 20

    assert _progress._read(str(path)) == 0


def test_hashing_moves_on_in_the_file_for_others_to_see(tmp_path, monkeypatch):
    path = tmp_path / "a.tar"
    path.write_bytes(bytes(3 << 20))
    seen = []
    real = os.readv

    def readv(descriptor, buffers):
        seen.append(_progress._read(str(path)))
        return real(descriptor, buffers)

    monkeypatch.setattr(os, "readv", readv)
    file_sha256(str(path))

    assert seen == [0, 1 << 20, 2 << 20, 3 << 20]


def test_a_run_may_tell_what_another_one_tells(asked):
    other = Path(_progress.place("f" * 32))
    other.parent.mkdir(parents=True)
    other.write_text('{"phase": "dump", "bytes": 7}')
    with _progress.reporting("backup", "crm"):
        with _progress.following("f" * 32):
            assert told(asked, phase="dump")["attached"] is True
            other.unlink()
            assert told(asked, phase="begin")["attached"] is True
        assert "attached" not in told(asked, bytes=0)


def test_what_was_done_does_not_become_less():
    sizes = [50]
    reporter = Reporter("backup", None)
    reporter.expect({"a": 100, "b": 50})
    with reporter.step("volume a", "a", lambda: sizes[0]):
        assert reporter.snapshot(0)["step_bytes"] == 50
        sizes[0] = 10
        assert reporter.snapshot(1)["step_bytes"] == 50
    with reporter.step("volume b", "b", lambda: 20):
        found = reporter.snapshot(2)

    assert (found["step"], found["step_bytes"], found["bytes"], found["expected"]) == ("volume b", 20, 70, 150)


def test_the_whole_is_unknown_while_a_part_of_it_is():
    reporter = Reporter("backup", None)
    assert reporter.snapshot(0)["expected"] is None
    reporter.expect({"a": 100, "b": None})
    assert reporter.snapshot(1)["expected"] is None
    assert reporter.snapshot(1)["eta"] is None
    reporter.expect({"b": 1})
    assert reporter.snapshot(2)["expected"] == 101


def test_rate_and_time_that_is_left_follow_the_last_moments():
    size = [0]
    reporter = Reporter("backup", None)
    reporter.expect({"a": 1000})
    with reporter.step("volume a", "a", lambda: size[0]):
        first = reporter.snapshot(0)
        size[0] = 100
        second = reporter.snapshot(1)
        size[0] = 400
        for moment in (20, 40):
            third = reporter.snapshot(moment)
        size[0] = 2000
        last = reporter.snapshot(41)

    assert (first["rate"], first["eta"]) == (None, None)
    assert (second["rate"], second["eta"]) == (100, 9)
    # Nothing for longer than is looked back.
    assert (third["rate"], third["eta"]) == (0, None)
    # More than expected.
    assert last["eta"] is None


def test_the_first_moments_promise_nothing():
    size = [0]
    reporter = Reporter("backup", None)
    reporter.expect({"a": 1000})
    with reporter.step("volume a", "a", lambda: size[0]):
        reporter.snapshot(0)
        size[0] = 9
        assert reporter.snapshot(1)["eta"] is None
        size[0] = 10
        assert reporter.snapshot(2)["eta"] == 198


def test_a_rate_needs_two_moments_that_differ():
    rate = Rate()
    assert rate.value() is None
    rate.see(1, 10)
    rate.see(1, 20)
    assert rate.value() is None
