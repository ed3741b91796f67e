# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_store import (
    Store,
    existing_parent,
    is_id,
    new_id,
    unwritable,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.tests.unit.fakes import manifest

MOMENT = datetime.datetime(2026, 11, 21, 2, 0, 0, tzinfo=datetime.timezone.utc)
TESTS = Path(__file__).resolve().parents[3]


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "root"))


def put(store, stack, *ids):
    for id_ in ids or ("",):
        os.makedirs(os.path.join(store.root, stack, id_))


# IDs


def test_an_id_is_the_time_in_utc():
    assert new_id(MOMENT, ()) == "20261121T020000Z"


def test_a_second_backup_in_the_same_second_gets_a_number():
    first = new_id(MOMENT, ())
    second = new_id(MOMENT, {first})

    assert (second, new_id(MOMENT, {first, second})) == ("20261121T020000Z-2", "20261121T020000Z-3")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20261121T020000Z", True),
        ("20261121T020000Z-2", True),
        (".20261121T020000Z.partial", False),
        ("20261121T020000Z.partial", False),
        ("20261121T020000Z-", False),
        ("latest", False),
        ("20261121", False),
        ("٢٠٢٦١١٢١T٠٢٠٠٠٠Z", False),  # noqa: RUF001 - digits, but not ours
    ],
)
def test_only_ids_are_names_of_backups(name, expected):
    assert is_id(name) is expected


# Listing


def test_backups_are_listed_oldest_first_and_by_number_within_a_second(store):
    put(store, "crm", *(f"20261121T020000Z-{number}" for number in (10, 2)), "20261121T020000Z", "20251231T235959Z")

    assert [backup.id for backup in store.backups("crm")] == [
        "20251231T235959Z",
        "20261121T020000Z",
        "20261121T020000Z-2",
        "20261121T020000Z-10",
    ]


def test_work_in_progress_and_other_things_are_not_listed(store):
    put(store, "crm", "20261121T020000Z", ".20261121T030000Z.partial", "old", ".git")

    assert [backup.id for backup in store.backups("crm")] == ["20261121T020000Z"]


def test_a_root_that_does_not_exist_yet_is_empty(store):
    assert store.stacks() == []
    assert store.backups("crm") == []


def test_stacks_are_the_directories_of_the_root(store):
    put(store, "ticketz")
    put(store, "crm")
    put(store, ".hidden")
    put(store, "lost+found")
    (Path(store.root) / "notes").write_text("")

    assert store.stacks() == ["crm", "ticketz"]


def test_the_latest_backup_is_the_youngest(store):
    put(store, "crm", "20261121T020000Z", "20261121T020000Z-2", "20261120T020000Z")

    assert store.backup("crm").id == "20261121T020000Z-2"
    assert store.backup("crm", "20261120T020000Z").id == "20261120T020000Z"


def test_a_backup_that_is_not_there_is_an_error_with_those_that_are(store):
    put(store, "crm", "20261121T020000Z", "20261120T020000Z")

    with pytest.raises(StoreError, match=r"no backup 20200101T000000Z of stack crm\. The latest are 20261120T0200"):
        store.backup("crm", "20200101T000000Z")


def test_a_stack_without_backups_is_an_error_with_the_place(store):
    with pytest.raises(StoreError, match=f"no backup of stack crm in {store.root}/crm. Set crm_backup_root"):
        store.backup("crm")


@pytest.mark.parametrize("name", ["../crm", "", ".", "..", "a/b", "a b", "-x", "ação", "a\n"])
def test_a_stack_whose_name_is_no_directory_is_refused(store, name):
    with pytest.raises(StoreError, match="cannot be the name of a stack"):
        store.backups(name)


# Publishing


def fill(partial):
    wanted = manifest(id=partial.id, artifacts=())
    encoded = encode(wanted)
    Path(partial.file(NAME)).write_bytes(encoded)
    Path(partial.file(SUMS)).write_bytes(sums(wanted, encoded))
    Path(partial.file("volumes/a.tar")).write_bytes(b"abc")
    return wanted


def test_a_published_backup_is_listed_and_complete(store):
    with store.locked("crm"), store.partial("crm") as partial:
        wanted = fill(partial)
        published = partial.publish()

    assert store.backups("crm") == [published]
    assert published.manifest() == wanted
    assert (Path(published.path) / "volumes" / "a.tar").read_bytes() == b"abc"


def test_a_backup_of_an_earlier_moment_is_listed_before_newer_ones(store):
    put(store, "crm", "20261122T020000Z")

    with store.locked("crm"), store.partial("crm", MOMENT) as partial:
        fill(partial)
        partial.publish()

    assert [backup.id for backup in store.backups("crm")] == ["20261121T020000Z", "20261122T020000Z"]


def test_a_backup_in_the_making_is_not_listed(store):
    with store.partial("crm") as partial:
        fill(partial)

        assert store.backups("crm") == []


def test_a_backup_that_fails_leaves_nothing(store):
    def fail():
        with store.partial("crm") as partial:
            fill(partial)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()

    assert os.listdir(os.path.join(store.root, "crm")) == []


def test_a_backup_that_is_not_published_leaves_nothing(store):
    with store.partial("crm") as partial:
        fill(partial)

    assert os.listdir(os.path.join(store.root, "crm")) == []


def test_what_a_dead_run_left_is_removed_by_the_next(store):
    put(store, "crm", ".20261121T010000Z.partial/volumes", "20261121T000000Z", ".keep.partial")

    with store.partial("crm") as partial:
        names = sorted(os.listdir(os.path.join(store.root, "crm")))

    assert names == [f".{partial.id}.partial", ".keep.partial", "20261121T000000Z"]


def test_everything_is_private_to_its_owner(store):
    previous = os.umask(0)
    try:
        with store.locked("crm"), store.partial("crm") as partial:
            fill(partial)
            published = partial.publish()
    finally:
        os.umask(previous)

    directories = [store.root, os.path.dirname(published.path), published.path, os.path.join(published.path, "volumes")]
    assert [oct(os.stat(path).st_mode & 0o777) for path in directories] == ["0o700"] * 4


# Locks


def child(code, *arguments):
    """Start Python with the collection importable; it prints a line when it has come to where it waits."""
    program = "import sys\nsys.path.insert(0, sys.argv[1])\nimport conftest\n" + textwrap.dedent(code)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(TESTS), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


HOLD = """
    from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
    with Store(sys.argv[2]).locked("crm"):
        print("locked", flush=True)
        sys.stdin.read()
"""


def test_a_stack_is_worked_on_by_one_process_at_a_time(store):
    with child(HOLD, store.root) as other:
        assert other.stdout.readline() == "locked\n"

        with (
            pytest.raises(StoreError, match=rf"Stack crm is busy: process {other.pid} since 20.* Wait for its end"),
            store.locked("crm"),
        ):
            pass
        with store.locked("ticketz"):
            pass
        other.stdin.close()
        other.wait()

    with store.locked("crm"):
        pass


def test_a_process_that_is_killed_holds_no_lock(store):
    with child(HOLD, store.root) as other:
        assert other.stdout.readline() == "locked\n"
        other.kill()
        other.wait()

    with store.locked("crm"):
        pass


# What can be wrong with the root


def test_a_root_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "root").write_text("")

    with pytest.raises(StoreError, match=r"root/crm cannot be written: .* Mend it or set crm_backup_root"):
        Store(str(tmp_path / "root")).prepare("crm")


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (30, "is on a read-only file system. Mount it writable"),
        (28, "is full. Free space there"),
        (122, "is full. Free space there"),
        (13, "cannot be written: Permission denied. Mend it"),
    ],
)
def test_why_nothing_can_be_written_is_explained(number, words):
    assert words in str(unwritable("/var/backups/crm", OSError(number, os.strerror(number))))


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB."""
    where = tmp_path / "disk"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(where)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("this user may not mount a file system")
    yield where
    subprocess.run(["umount", str(where)], check=True)


def test_a_read_only_disk_is_named_before_anything_happens(small_disk):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)

    with pytest.raises(StoreError, match="is on a read-only file system"), Store(str(small_disk)).locked("crm"):
        pass


def test_a_full_disk_is_named_before_anything_happens(small_disk):
    (small_disk / "filler").write_bytes(bytes(64 << 10))

    with pytest.raises(StoreError, match=r"is full\. Free space there"), Store(str(small_disk)).locked("crm"):
        pass


def test_a_disk_that_fills_up_leaves_nothing_partial(small_disk):
    store = Store(str(small_disk))

    with pytest.raises(OSError, match="No space left"), store.partial("crm") as partial:
        Path(partial.file("volumes/a.tar")).write_bytes(bytes(128 << 10))

    assert os.listdir(small_disk / "crm") == []


def test_the_free_space_is_that_of_the_nearest_directory_that_exists(small_disk):
    assert Store(str(small_disk / "not" / "there")).free_bytes() <= 64 << 10
    assert existing_parent(str(small_disk / "not" / "there")) == str(small_disk)
