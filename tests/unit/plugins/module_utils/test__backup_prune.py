# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import MappingProxyType

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _audit, _backup_prune, _backup_store
from ansible_collections.crm.continuity.plugins.module_utils._backup_hold import Request as HoldRequest
from ansible_collections.crm.continuity.plugins.module_utils._backup_hold import apply as hold
from ansible_collections.crm.continuity.plugins.module_utils._backup_hold import plan as plan_hold
from ansible_collections.crm.continuity.plugins.module_utils._backup_prune import Request, describe, plan, prune
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._catalogue import Catalogue
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root

TESTS = Path(__file__).resolve().parents[3]
IDS = [f"202611{day:02}T020000Z" for day in range(1, 11)]
KEEP = MappingProxyType({"keep_last": 3})


@pytest.fixture
def root(tmp_path):
    """A root with ten backups of crm, all verified."""
    root = Root(tmp_path / "root")
    for id_ in IDS:
        root.take(id_)
    return root


def request(root, retention=KEEP, **more):
    return Request(str(root.path), retention, **{"stack": "crm", **more})


def pruned(root, retention=KEEP, **more):
    """Prune one stack, and return what there is to say of it."""
    ((wanted, done),) = prune(request(root, retention, **more))
    return describe(wanted, done)


def planned(root, retention=KEEP, **more):
    (wanted,) = plan(request(root, retention, **more))
    return describe(wanted)


def ids(entries):
    return [entry["id"] for entry in entries]


def everything(root):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(root.path.rglob("*"))}


def events(root, action="prune"):
    return [event for event in Catalogue(root.log).events if event.action == action]


# A good run


def test_what_no_rule_keeps_goes_and_the_log_knows_who_did_it(root):
    result = pruned(root, actor={"user": "ana"})

    assert ids(result["removed"]) == IDS[:7]
    assert ids(result["kept"]) == root.names() == IDS[7:]
    assert (result["blocked"], result["overdue"], result["error"]) == (None, [], None)
    assert [(event.backup, event.actor["user"]) for event in events(root)] == [(id_, "ana") for id_ in IDS[:7]]
    assert events(root)[0].facts["standing"] == "verified"
    assert result["bytes"] == sum(event.facts["size"] for event in events(root)) > 0


def test_looking_changes_nothing_and_says_the_same(root):
    before = everything(root)

    said = planned(root)

    assert everything(root) == before
    assert said == pruned(root)


def test_a_second_run_changes_nothing(root):
    pruned(root)
    before = everything(root)

    result = pruned(root)

    assert (result["removed"], result["finished"]) == ([], [])
    assert everything(root) == before


def test_every_stack_is_pruned_for_itself_and_by_its_own_rules(root):
    for id_ in IDS[:4]:
        root.take(id_, "ticketz")

    done = prune(request(root, {**KEEP, "stacks": {"ticketz": {"keep_last": 2, "min_verified": 1}}}, stack=None))

    assert [(wanted.stack, len(pruned.removed)) for wanted, pruned in done] == [("crm", 7), ("ticketz", 2)]


def test_rules_that_make_no_sense_are_refused_before_anything_goes(root):
    root.take(IDS[0], "ticketz")

    with pytest.raises(StoreError, match="no rule for stack ticketz"):
        prune(request(root, {"stacks": {"crm": KEEP}, "keep_daily": 0}, stack=None))

    assert root.names() == IDS


def test_a_stack_that_is_not_there_is_an_error(root):
    with pytest.raises(StoreError, match=r"no backup of stack cmr in .*, which has crm"):
        prune(request(root, stack="cmr"))


def test_an_old_archive_that_is_adopted_is_not_the_newest_backup(root):
    root.put("20250101T020000Z")
    root.log.append("adopt", stack="crm", backup="20250101T020000Z")

    result = pruned(root)

    assert result["blocked"] is None
    assert result["remarks"] == []
    assert root.names() == IDS[7:]


def test_a_root_that_is_not_there_has_nothing_to_prune(tmp_path):
    assert prune(Request(str(tmp_path / "none"), KEEP)) == []
    assert not (tmp_path / "none").exists()


# The clock


@pytest.mark.parametrize("days", [-365, 31, 3650], ids=["a year back", "a month on", "ten years on"])
def test_the_clock_of_the_host_decides_nothing(root, monkeypatch, days):
    expected = planned(root, {"days": 5, "keep_monthly": 2})
    real = datetime.datetime.now(datetime.timezone.utc)
    for module in (_backup_store, _audit):
        monkeypatch.setattr(module, "now", lambda: real + datetime.timedelta(days=days))

    result = pruned(root, {"days": 5, "keep_monthly": 2})

    assert ids(result["kept"]) == ids(expected["kept"]) == IDS[5:]


@pytest.mark.parametrize("wrong", ["20251111T020000Z", "20261211T020000Z"], ids=["a year back", "a month on"])
def test_a_backup_of_a_wrong_clock_costs_no_other_one_its_place(root, wrong):
    root.take(wrong)
    root.take("20261112T020000Z")

    result = pruned(root, {"days": 5})

    assert {wrong, "20261112T020000Z", *IDS[-4:]} <= set(root.names())
    assert any("the clock was wrong" in remark for remark in result["remarks"])


@pytest.mark.parametrize("days", range(1, 6))
def test_plain_days_never_leave_fewer_than_min_verified(tmp_path, days):
    # A stack that was backed up for years without anybody looking, and is verified now and then.
    root = Root(tmp_path / "root")
    for id_ in IDS:
        root.take(id_, verified=id_ in (IDS[0], IDS[1], IDS[2], IDS[-1]))

    pruned(root, {"days": days, "min_verified": 4})

    assert {IDS[0], IDS[1], IDS[2], IDS[-1]} <= set(root.names())


# When nothing goes


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(lambda root: root.take("20261111T020000Z", verified=False), "has not been verified", id="newest"),
        pytest.param(lambda root: root.take("20261111T020000Z", anomalies=["x"]), "is anomalous", id="anomalous"),
        pytest.param(
            lambda root: root.verify(IDS[-1], level="quick", result="failed", problems=["x"]),
            "is damaged",
            id="damaged",
        ),
        pytest.param(lambda root: root.log.append("backup", stack="crm", result="failed"), "last try", id="failed"),
        pytest.param(lambda root: (root.path / "crm" / IDS[-1] / NAME).unlink(), "is damaged", id="no manifest"),
        pytest.param(
            lambda root: (root.path / "crm" / IDS[-1] / "volumes" / "storage.tar").unlink(), "is damaged", id="a file"
        ),
        pytest.param(lambda root: root.put("20261111T020000Z"), "has not been verified", id="not in the log"),
        pytest.param(lambda root: (root.path / "audit.jsonl").unlink(), "There is no audit log", id="no log"),
        pytest.param(
            lambda root: (root.path / "audit.jsonl").write_bytes(b""), "There is no audit log", id="empty log"
        ),
        pytest.param(lambda root: (root.path / "audit.jsonl").write_bytes(os.urandom(999)), "audit log", id="garbage"),
        pytest.param(
            lambda root: os.truncate(root.path / "audit.jsonl", (root.path / "audit.jsonl").stat().st_size // 2),
            "missing",
            id="half a log",
        ),
    ],
)
def test_nothing_goes_and_it_says_so(root, spoil, words):
    spoil(root)
    before = root.names()

    result = pruned(root)

    assert words in result["blocked"]
    assert result["removed"] == []
    assert len(result["overdue"]) >= 6
    assert root.names() == before


def test_copies_that_are_not_there_any_more_do_not_count_as_verified(root):
    for id_ in IDS[1:-1]:
        (root.path / "crm" / id_ / "volumes" / "storage.tar").unlink()

    result = pruned(root, {"keep_last": 1, "min_verified": 2})

    # The other one that is whole is the oldest.
    assert {IDS[0], IDS[-1]} <= set(root.names())
    assert result["blocked"] is None


def test_a_log_that_cannot_be_read_is_an_error(root):
    (root.path / "audit.jsonl").unlink()
    (root.path / "audit.jsonl").mkdir()

    with pytest.raises(StoreError, match=r"audit\.jsonl"):
        prune(request(root))

    assert root.names() == IDS


def test_a_stack_that_is_busy_is_left_alone_and_the_others_are_not(root):
    for id_ in IDS[:5]:
        root.take(id_, "ticketz")

    with Store(str(root.path)).locked("crm"):
        (_crm, busy), (_ticketz, done) = prune(request(root, stack=None))

    assert "Stack crm is busy" in busy.error
    assert root.names("crm") == IDS
    assert len(done.removed) == 2


# Holds


def test_what_is_held_stays_until_it_is_released(root):
    for state in ("held", "released"):
        hold(plan_hold(HoldRequest(str(root.path), "crm", IDS[0], state, "lawsuit 17")))
        result = pruned(root, KEEP if state == "released" else {"keep_last": 5})
        assert (IDS[0] in root.names()) == (state == "held")

    assert result["blocked"] is None


def test_what_is_held_while_it_is_pruned_comes_back(root, monkeypatch):
    original = _backup_prune.sync_directory

    def hold_meanwhile(path):
        monkeypatch.setattr(_backup_prune, "sync_directory", original)
        root.log.append("hold", stack="crm", backup=IDS[0], facts={"reason": "wait"})

    monkeypatch.setattr(_backup_prune, "sync_directory", hold_meanwhile)

    result = pruned(root)

    assert IDS[0] in root.names()
    assert ids(result["removed"]) == IDS[1:7]
    assert [entry["reasons"] for entry in result["kept"] if entry["id"] == IDS[0]] == [["held meanwhile"]]


# Interrupted


KILLED = """
import os, signal
from ansible_collections.crm.continuity.plugins.module_utils import _audit, _backup_prune, _backup_store
_backup_store.RUN, _audit.DEFAULT_HEADS = sys.argv[2:4]
left = int(sys.argv[5])
def watched(function):
    def call(*arguments, **more):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **more)
    return call
for name in ("rename", "unlink", "rmdir", "fsync", "write"):
    setattr(os, name, watched(getattr(os, name)))
_backup_prune.prune(_backup_prune.Request(sys.argv[4], {"keep_last": 3}, "crm"))
"""


@pytest.mark.parametrize("calls", range(0, 60, 3))
def test_a_run_that_is_killed_at_any_step_leaves_whole_backups_and_is_finished_by_the_next(root, heads, calls):
    program = f"import sys\nsys.path.insert(0, sys.argv[1])\nimport conftest\n{KILLED}"
    argv = [sys.executable, "-c", program, str(TESTS), _backup_store.RUN, str(heads), str(root.path), str(calls)]
    killed = subprocess.run(argv, check=False)

    assert killed.returncode == -signal.SIGKILL
    whole = Store(str(root.path)).backups("crm")
    assert {backup.id for backup in whole} >= set(IDS[7:])
    assert all((Path(backup.path) / "volumes" / "storage.tar").exists() for backup in whole)
    assert all(backup.manifest() for backup in whole)
    result = pruned(root)

    assert root.names() == IDS[7:]
    assert (result["blocked"], result["error"]) == (None, None)
    assert {event.backup for event in events(root)} == set(IDS[:7])
    assert Catalogue(root.log).warnings() == []


def test_what_was_left_is_not_touched_while_the_log_cannot_be_trusted(root):
    left = root.path / "crm" / f".{IDS[0]}.pruned"
    (root.path / "crm" / IDS[0]).rename(left)
    (root.path / "audit.jsonl").unlink()

    assert pruned(root)["finished"] == []
    assert left.exists()


def test_other_names_are_left_alone(root):
    for name in (".keep.pruned", f".{IDS[0]}.partial", "notes"):
        (root.path / "crm" / name).mkdir()

    pruned(root)

    assert {".keep.pruned", f".{IDS[0]}.partial", "notes"} < set(root.names())


# Disks


def broken(monkeypatch, code, times):
    """Let the log fail so many times."""
    original, left = _audit.write_all, [times]

    def fail(descriptor, data):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(code, os.strerror(code))
        original(descriptor, data)

    monkeypatch.setattr(_audit, "write_all", fail)


def test_a_log_that_cannot_be_written_gives_the_backup_its_name_back(root, monkeypatch):
    before = everything(root)
    broken(monkeypatch, errno.EIO, 99)

    result = pruned(root)

    assert "audit.jsonl cannot be written" in result["error"]
    assert result["removed"] == []
    assert {path: content for path, content in everything(root).items() if path.name != ".lock"} == before
    assert len(result["kept"]) == 10


def test_a_full_disk_is_pruned_all_the_same(root, monkeypatch):
    broken(monkeypatch, errno.ENOSPC, 1)

    result = pruned(root)

    assert result["error"] is None
    assert root.names() == IDS[7:]
    assert [event.backup for event in events(root)] == IDS[:7]


def test_a_disk_that_stays_full_leaves_one_to_be_finished_and_says_so(root, monkeypatch):
    broken(monkeypatch, errno.ENOSPC, 2)

    result = pruned(root)
    between = root.names()
    after = pruned(root)

    assert "is full" in result["error"]
    assert result["removed"] == []
    assert between == [f".{IDS[0]}.pruned", *IDS[1:]]
    assert os.listdir(root.path / "crm") != between
    assert after["finished"] == IDS[:1]
    assert root.names() == IDS[7:]
    assert {event.backup for event in events(root)} == set(IDS[:7])


@pytest.fixture
def small_disk(tmp_path):
    """A file system of one megabyte, for who may mount one."""
    place = tmp_path / "small"
    place.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "crm-continuity", str(place)]
    if os.geteuid() or subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a file system here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full_is_pruned(small_disk):
    root = Root(small_disk / "root")
    for id_ in IDS:
        root.take(id_)
    with Store(str(root.path)).locked("crm"):
        # As after any backup, the lock has a block of its own.
        log = root.path / "audit.jsonl"
    # The next event needs another block, and there is none.
    while 4096 - log.stat().st_size % 4096 > 350:
        root.log.append("note", facts={"text": "x" * min(1500, max(1, 4096 - log.stat().st_size % 4096 - 600))})
    with contextlib.suppress(OSError), open(small_disk / "filler", "wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))
    with pytest.raises(StoreError, match="is full"):
        root.log.append("note", facts={"text": "x" * 4000})

    result = pruned(root)

    assert result["error"] is None
    assert root.names() == IDS[7:]
    assert [event.backup for event in events(root)] == IDS[:7]
    assert Catalogue(root.log).warnings() == []


def test_a_file_that_cannot_be_removed_is_an_error_and_the_next_run_finishes(root, monkeypatch):
    def refuse(path):
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    with monkeypatch.context() as patched:
        patched.setattr(_backup_prune, "remove_tree", refuse)
        result = pruned(root)

    assert "Mend that and run this again" in result["error"]
    assert pruned(root)["finished"] == IDS[:1]
    assert root.names() == IDS[7:]
