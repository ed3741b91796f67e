# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _exchange, _stack_stage
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    ArchiveError,
    DatabaseError,
    StackError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._restore_record import records
from ansible_collections.crm.continuity.plugins.module_utils._stack_stage import Request, plan, take
from ansible_collections.crm.continuity.tests.unit.archives import described
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine
from ansible_collections.crm.continuity.tests.unit.restore_fakes import BEFORE, ID, RUNNING, Host

DATABASE = {"name": "chatwoot", "service": "postgres", "host": "postgres", "port": 5432, "dump": "/backup/dump"}
DATABASE |= {"sha256": "0" * 64, "rows": {"public.accounts": "2"}, "repair": [], "globals": None}


class KilledError(BaseException):
    """Takes the place of SIGKILL: nothing that follows is done."""


class Place:
    """A directory that a stack binds, an archive of what it is to hold, and an engine that has nothing else."""

    def __init__(self, tmp_path, restores):
        self.live = tmp_path / "srv" / "storage"
        self.live.mkdir(parents=True)
        (self.live / "file").write_text("before")
        source = tmp_path / "source"
        (source / "folder").mkdir(parents=True)
        (source / "file").write_text("restored")
        (source / "folder" / "other").write_text("restored, too")
        self.archive = tmp_path / "storage.tar"
        subprocess.run(["tar", "--format=posix", "-C", source, "-cf", self.archive, "."], check=True)
        self.wanted = described(source)
        self.directory = str(restores)
        self.engine = FakeEngine()

    def volume(self, **more):
        """Describe it as restore_check does."""
        facts = {"name": "storage", "kind": "bind", "source": str(self.live), "files": 1, "archived_files": 2}
        facts |= {"archive": str(self.archive), "sha256": hashlib.sha256(self.archive.read_bytes()).hexdigest()}
        return {**facts, "deleted": None, "deleted_sha256": None, "labels": {}, "options": {}, **more}

    def request(self, *volumes, databases=()):
        return Request(
            stack="crm",
            backup="20261120T020000Z",
            directory="/backup",
            volumes=volumes or (self.volume(),),
            databases=databases,
            records=self.directory,
        )

    def stage(self, *volumes, **more):
        return take(self.request(*volumes), self.engine, **more)

    @property
    def records(self):
        return records(self.directory, "crm")

    @property
    def beside(self):
        return sorted(path.name for path in self.live.parent.iterdir())


@pytest.fixture
def place(tmp_path, restores):
    return Place(tmp_path, restores)


def test_a_volume_that_the_engine_unmounts_is_refused(place):
    nas = {"kind": "volume", "source": "crm_storage", "options": {"type": "nfs", "device": ":/crm"}}

    with pytest.raises(StackError, match=r"Volume crm_storage is of type nfs \(:/crm\): the engine unmounts it"):
        place.stage(place.volume(**nas))

    assert place.records == []


def test_what_is_staged_waits_beside_what_is_live(place):
    before = described(place.live)

    wanted, staged = place.stage()

    (record,) = place.records
    assert (record.phase, record.id, record.replaces) == ("staged", wanted.id, True)
    assert record == staged.record
    waiting = record.volumes[0].exchange.waiting
    assert described(waiting) == place.wanted
    assert described(place.live) == before
    assert (staged.record.volumes[0].files, staged.content_bytes) == (2, 21)


def test_check_mode_changes_nothing(place):
    wanted = plan(place.request(), place.engine)

    assert wanted.replaces
    assert place.records == []
    assert place.beside == ["storage"]


def test_what_an_earlier_run_has_staged_is_given_up_first(place):
    place.stage()

    second, _staged = place.stage()

    assert [record.id for record in place.records] == [second.id]
    assert len(place.beside) == 2


def test_steps_of_the_session_see_what_waits(place):
    seen = []

    def step(name, directory):
        seen.append((name, described(directory) == place.wanted))
        return [f"{name} was seen"]

    _wanted, staged = place.stage(on_volume=[step])

    assert seen == [("storage", True)]
    assert staged.warnings == ("storage was seen",)


@pytest.mark.parametrize("there", [True, False])
def test_a_directory_that_was_not_there_is_made_and_goes_with_what_waits_in_it(place, there):
    new = place.live.parent / "new"
    place.stage(place.volume(name="new", source=str(new), files=0))
    (record,) = place.records
    assert record.volumes[0].created
    assert not record.replaces
    if there:
        # Somebody has started the stack without the restore.
        (new / "work").write_text("of today")

    place.stage()

    assert new.exists() == there
    assert there == ((new / "work").exists())


# What fails


def _damaged(place):
    return place.volume(sha256="f" * 64)


def _second_is_damaged(place):
    other = place.live.parent / "other"
    other.mkdir()
    return place.volume(name="other", source=str(other), archived_files=7)


@pytest.mark.parametrize("volume", [_damaged, _second_is_damaged])
def test_after_a_failure_nothing_is_left(place, volume):
    bad = volume(place)
    before = place.beside

    with pytest.raises(ArchiveError):
        place.stage(place.volume(name="first") if bad["name"] == "other" else bad, *([bad] * (bad["name"] == "other")))

    assert place.records == []
    assert place.beside == before


def test_a_failure_in_the_making_of_a_directory_leaves_nothing_either(place, monkeypatch):
    def fail(*_arguments, **_more):
        raise StoreError("No space left on device")

    monkeypatch.setattr(_exchange, "can_exchange", fail)

    with pytest.raises(StoreError):
        place.stage()

    assert place.records == []
    assert place.beside == ["storage"]


@pytest.mark.parametrize("moment", ["copy_attributes", "sync", "unpack"])
def test_what_a_dead_run_has_left_the_next_one_removes(place, monkeypatch, moment):
    def die(*_arguments, **_more):
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(_stack_stage, moment, die)
        # Nothing that a dead process would have done.
        patch.setattr(_stack_stage, "abandon", lambda *_arguments: None)
        if moment == "copy_attributes":
            patch.setattr(
                _stack_stage,
                "prepare",
                lambda live, id_, note, **_more: (_exchange.prepare(live, id_, note=note), die()),
            )
        with pytest.raises(KilledError):
            place.stage()
    assert [record.phase for record in place.records] == ["staging"]

    place.stage()

    assert [record.phase for record in place.records] == ["staged"]
    assert len(place.beside) == 2


# Databases


@pytest.fixture
def host(tmp_path, monkeypatch, restores):
    return Host(tmp_path, monkeypatch, restores)


def with_database(host, monkeypatch, stage):
    monkeypatch.setattr(_stack_stage, "plan_database", lambda _request, _location: None)
    monkeypatch.setattr(_stack_stage, "stage", stage)
    return Request("crm", "20261120T020000Z", "/backup", (), (DATABASE,), records=host.directory)


def test_a_database_is_known_before_it_gets_the_name_under_which_it_waits(host, monkeypatch):
    def stage(database, _location, _planned, _steps, note):
        note(host.database("chatwoot", 300, "2"))
        assert [record.databases[0].oid for record in records(host.directory, "crm")] == [300]
        host.server.databases["chatwoot__crm_staged_2"] = 300
        raise DatabaseError("it broke")

    request = with_database(host, monkeypatch, stage)
    monkeypatch.setattr(_stack_stage.Plan, "replaces", True)

    with pytest.raises(DatabaseError, match="it broke"):
        take(request, host.engine)

    # The one that had been staged before is gone, too.
    assert [name for name in host.server.databases if "__" in name] == []
    assert host.phases == {}
    assert host.states == RUNNING
    assert host.state == BEFORE


def test_what_a_dead_cutover_has_left_is_put_in_order_before_anything_is_staged(host, monkeypatch):
    host.record().volumes[0].exchange.forward()
    host.change(phase="cutting")

    def stage(database, _location, _planned, _steps, note):
        note(host.database("chatwoot", 300, "2"))
        return ["it was seen"]

    request = with_database(host, monkeypatch, stage)
    monkeypatch.setattr(_stack_stage.Plan, "replaces", True)

    _wanted, staged = take(request, host.engine)

    assert "died while it exchanged data" in staged.warnings[0]
    assert staged.warnings[-1] == "it was seen"
    assert host.state == BEFORE
    assert ID not in host.phases
    assert staged.rows == 7


def test_counts_that_a_template_has_made_texts_are_numbers(host, monkeypatch):
    asked = []
    monkeypatch.setattr(_stack_stage, "plan_database", lambda request, _location: asked.append(request))

    plan(Request("crm", "20261120T020000Z", "/backup", (), (DATABASE,), records=host.directory), host.engine)

    assert asked[0].rows == {"public.accounts": 2}
    assert asked[0].replace
    assert not os.path.exists(DATABASE["dump"])
