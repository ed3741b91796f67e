# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.plugin_utils._digest import Memory, decide
from ansible_collections.crm.continuity.plugins.plugin_utils._notify_memory import alone, recall, remember
from ansible_collections.crm.continuity.tests.unit import status_samples as samples


@pytest.fixture
def memory():
    """Return what is remembered of a fleet with every problem there is, told and not told."""
    first = decide(samples.fleet(300), None, samples.NOW, events=("failure",), repeat=timedelta(hours=24))
    return first.delivered


def test_what_was_remembered_is_recalled(tmp_path, memory):
    remember(str(tmp_path / "memory.json"), memory)

    assert recall(str(tmp_path / "memory.json")) == memory
    assert any(known.problems for known in memory.hosts.values())


def test_before_anything_was_told_there_is_no_memory(tmp_path):
    assert recall(str(tmp_path / "memory.json")) is None


def test_it_is_nobody_elses_business(tmp_path, memory):
    path = tmp_path / "state" / "crm" / "memory.json"

    remember(str(path), memory)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["memory.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"format": 2}',
        b'{"format": 1}',
        b'{"format": 1, "sent": null, "hosts": {"a": 7}}',
        b'{"format": 1, "sent": null, "hosts": {"a": {"seen": "never", "problems": {}}}}',
        b'{"format": 1, "sent": null, "hosts": {"a": {"seen": "2026-11-22T07:00:00Z", "problems": {"x": {}}}}}',
        b"\xff\xfe",
    ],
)
def test_a_damaged_memory_is_named(tmp_path, content):
    (tmp_path / "memory.json").write_bytes(content)

    with pytest.raises(StoreError, match=r"memory\.json"):
        recall(str(tmp_path / "memory.json"))


def test_runs_take_turns_and_nobody_waits_for_ever(tmp_path):
    path = str(tmp_path / "state" / "memory.json")

    with alone(path, 0) as first:
        begun = time.monotonic()
        with alone(path, 0.5) as second:
            waited = time.monotonic() - begun
    with alone(path, 0) as third:
        pass

    assert (first, second, third) == (True, False, True)
    assert 0.5 <= waited < 20


def test_a_run_that_was_killed_holds_nobody_up(tmp_path):
    path = str(tmp_path / "memory.json")
    holder = "import fcntl, os, sys; fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX); print(flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{holder}; sys.stdin.read()", str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with alone(path, 0) as before:
            pass
        other.kill()
    with alone(path, 0) as after:
        pass

    assert (before, after) == (False, True)


def test_where_there_is_no_place_everybody_is_alone(tmp_path):
    (tmp_path / "file").write_text("")

    with alone(str(tmp_path / "file" / "memory.json"), 0) as first:
        assert first


def test_a_place_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreError, match="cannot be written"):
        remember(str(tmp_path / "file" / "memory.json"), Memory({}))
    with pytest.raises(StoreError, match="cannot be read"):
        recall(str(tmp_path))
