# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._staging import (
    OLD,
    PLACING,
    PREFIX,
    STAGED,
    exchange,
    is_torn,
    leftovers,
    recover,
    staging,
    sync,
)

CONFTEST = Path(__file__).parents[3] / "conftest.py"


@pytest.fixture
def live(tmp_path):
    directory = tmp_path / "volume" / "_data"
    directory.mkdir(parents=True)
    for name in ("a", "b", "c"):
        (directory / name).write_text("old")
    directory.chmod(0o751)
    return directory


def contents(directory):
    return {path.name: path.read_text() for path in directory.iterdir() if not path.name.startswith(PREFIX)}


OLD_CONTENT = {"a": "old", "b": "old", "c": "old"}
NEW_CONTENT = {"b": "new", "n": "new"}


def fill(directory):
    for name, text in NEW_CONTENT.items():
        Path(directory, name).write_text(text)
    os.chmod(directory, 0o2700)


@pytest.mark.parametrize("may_exchange", [True, False])
def test_staged_content_takes_the_place_of_the_live_one(live, may_exchange):
    with staging(str(live), may_exchange=may_exchange) as staged:
        fill(staged.directory)
        assert contents(live) == OLD_CONTENT
        staged.take_place()
        assert contents(live) == NEW_CONTENT

    assert contents(live) == NEW_CONTENT
    assert live.stat().st_mode & 0o7777 == 0o2700
    assert leftovers(str(live)) == []


@pytest.mark.parametrize("may_exchange", [True, False])
def test_what_does_not_take_its_place_leaves_no_trace(live, may_exchange):
    before = live.stat().st_mtime_ns if may_exchange else None

    with staging(str(live), may_exchange=may_exchange) as staged:
        fill(staged.directory)

    assert contents(live) == OLD_CONTENT
    assert leftovers(str(live)) == []
    assert before is None or live.stat().st_mtime_ns == before


def test_the_exchange_is_one_step_and_keeps_the_inode(live):
    inodes = live.stat().st_ino

    with staging(str(live)) as staged:
        new = os.stat(staged.directory).st_ino
        staged.take_place()
        assert os.stat(staged.directory).st_ino == inodes

    assert live.stat().st_ino == new


def test_nobody_else_may_look_into_a_staging_directory(live):
    with staging(str(live)) as staged:
        assert os.stat(staged.base).st_mode & 0o777 == 0o700


def test_owner_and_mode_may_be_inherited(live):
    with staging(str(live)) as staged:
        staged.inherit()

        assert os.stat(staged.directory).st_mode & 0o7777 == 0o751
        assert os.stat(staged.directory).st_mtime_ns == live.stat().st_mtime_ns


def test_two_imports_into_one_directory_do_not_run_at_once(live):
    with staging(str(live)), pytest.raises(StoreError, match="Another import"), staging(str(live)):
        pass


def test_the_lock_is_gone_afterwards(live):
    with staging(str(live)):
        pass

    descriptor = os.open(live.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_leftovers_of_dead_runs_are_removed(live):
    for place in (live.parent, live):
        (place / f"{PREFIX}dead" / STAGED / "deep").mkdir(parents=True)

    with staging(str(live)) as staged:
        assert leftovers(str(live)) == [staged.base]

    assert contents(live) == OLD_CONTENT


# Runs a whole replacement inside the live directory, and dies of SIGKILL at the call of os.rename that is told.
DYING = """
import os, pathlib, runpy, signal, sys
conftest, live, fatal = sys.argv[1:]
runpy.run_path(conftest)
from ansible_collections.crm.continuity.plugins.module_utils._staging import staging
calls, rename = 0, os.rename
def dying(*arguments):
    global calls
    calls += 1
    if calls == int(fatal):
        os.kill(os.getpid(), signal.SIGKILL)
    rename(*arguments)
with staging(live, may_exchange=False) as staged:
    for name in ("b", "n"):
        pathlib.Path(staged.directory, name).write_text("new")
    os.chmod(staged.directory, 0o2700)
    os.rename = dying
    staged.take_place()
"""


def run_dying(live, fatal):
    return subprocess.run([sys.executable, "-c", DYING, CONFTEST, live, str(fatal)], check=False).returncode


@pytest.mark.parametrize(
    ("fatal", "expected"),
    [
        *((call, OLD_CONTENT) for call in (1, 2, 3, 4)),
        *((call, NEW_CONTENT) for call in (5, 6, 7)),
    ],
)
def test_a_run_killed_while_it_moves_entries_is_undone_or_completed(live, fatal, expected):
    assert run_dying(live, fatal) == -signal.SIGKILL
    assert is_torn(str(live))

    recover(str(live))

    assert contents(live) == expected
    assert leftovers(str(live)) == []
    assert live.stat().st_mode & 0o7777 == (0o751 if expected == OLD_CONTENT else 0o2700)


def test_that_all_moves_were_tried(live):
    assert run_dying(live, 8) == 0

    assert contents(live) == NEW_CONTENT
    assert not is_torn(str(live))


def test_a_failure_while_entries_are_moved_is_undone(live, monkeypatch):
    rename = os.rename

    def failing(source, target):
        if os.path.basename(os.fsencode(source)) == b"b" and OLD in os.fsdecode(target):
            raise OSError(5, "Input/output error")
        rename(source, target)

    def replace():
        with staging(str(live), may_exchange=False) as staged:
            fill(staged.directory)
            monkeypatch.setattr(os, "rename", failing)
            staged.take_place()

    with pytest.raises(OSError, match="Input/output"):
        replace()

    assert contents(live) == OLD_CONTENT
    assert leftovers(str(live)) == []


def test_the_names_on_disk_are_a_contract_with_earlier_versions():
    assert (PREFIX, STAGED, OLD, PLACING) == (".crm-import-", "staged", "old", "placing")


def test_a_mount_point_is_replaced_from_the_inside(live):
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "none", live], check=False).returncode:
        pytest.skip("mounting is not possible here")
    try:
        (live / "a").write_text("old")

        with staging(str(live)) as staged:
            assert staged.inside
            fill(staged.directory)
            staged.take_place()

        assert contents(live) == NEW_CONTENT
    finally:
        subprocess.run(["umount", live], check=True)


def test_exchange_says_which_path_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        exchange(str(tmp_path / "one"), str(tmp_path / "other"))

    assert caught.value.filename == str(tmp_path / "one")


def test_a_file_system_can_be_synced(tmp_path):
    sync(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        sync(str(tmp_path / "missing"))


@pytest.mark.parametrize("form", ["{}/", "{}/../_data", "{}/../../link"])
def test_the_live_directory_may_be_named_in_any_way(form, live):
    (live.parents[1] / "link").symlink_to(live)

    with staging(form.format(live)) as staged:
        assert os.path.dirname(staged.base) == str(live.parent)
        fill(staged.directory)
        staged.take_place()

    assert contents(live) == NEW_CONTENT
    assert leftovers(form.format(live)) == []
