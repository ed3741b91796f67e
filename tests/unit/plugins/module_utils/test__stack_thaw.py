# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _journal, _thaw_alone
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import locked_on_host
from ansible_collections.crm.continuity.plugins.module_utils._cgroup import Cgroup
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, SignalError
from ansible_collections.crm.continuity.plugins.module_utils._freeze import Target, examine
from ansible_collections.crm.continuity.plugins.module_utils._revive import Revived
from ansible_collections.crm.continuity.plugins.module_utils._stack_thaw import Request, recover, thaw_stacks
from ansible_collections.crm.continuity.tests.unit.cgroup_fakes import cgroup_host
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container
from ansible_collections.crm.continuity.tests.unit.restore_fakes import BEFORE, ID, RUNNING
from ansible_collections.crm.continuity.tests.unit.restore_fakes import Host as Restored

LABELS = {"com.docker.compose.container-number": "1"}
DEAD = {"boot_id": "an earlier one"}
OVERDUE = {"deadline": "2026-11-21T02:00:00.000+00:00"}


class Host:
    """A host with a stack that a backup has frozen: web by its cgroup, worker stopped, db not at all."""

    def __init__(self, journals, tmp_path, monkeypatch):
        self.journals = str(journals)
        cgroups = cgroup_host(tmp_path, monkeypatch)
        self.web = Cgroup(str(cgroups.add("/docker/web", 42)), 2)
        self.engine = FakeEngine(
            [
                container("web", "x", labels=LABELS, pid=42),
                container("worker", "x", labels=LABELS),
                container("db", "x", labels=LABELS),
            ]
        )
        self.hosts = []

    def freeze(self, stack="crm", **changes):
        """Write a journal and freeze what it names."""
        modes = {"web": "pause", "worker": "stop", "db": "none"}
        entries = [examine(self.engine.by_id[id_], Target(id_, id_, mode)) for id_, mode in modes.items()]
        journal = _journal.new(stack, "unix:///run/other.sock", entries, timeout=60)
        _journal.write(self.journals, replace(journal, **changes))
        self.web.freeze()
        self.set("worker", state="exited")
        return journal

    def set(self, id_, **changes):
        self.engine.by_id[id_] = replace(self.engine.by_id[id_], **changes)

    def connect(self, host, timeout):
        self.hosts.append(host)
        return self.engine

    def thaw(self, stack=None, *, force=False, act=True, connect=None):
        request = Request(stack, force, docker_host="unix:///run/default.sock")
        return thaw_stacks(request, act=act, engine_at=connect or self.connect)

    @property
    def open(self):
        return _journal.stacks(self.journals)

    @property
    def running(self):
        return not self.web.held() and {found.state for found in self.engine.containers()} == {"running"}


@pytest.fixture
def host(journals, tmp_path, monkeypatch):
    return Host(journals, tmp_path, monkeypatch)


WORKER = Revived("worker", "crm-worker-1", "start")
WEB = Revived("web", "crm-web-1", "thaw")


def test_what_a_dead_backup_left_is_brought_back_and_its_journal_closed(host):
    host.freeze(**DEAD)

    outcome = host.thaw()

    (thawed,) = outcome.thawed
    assert (thawed.stack, set(thawed.revived), thawed.closed) == ("crm", {WORKER, WEB}, True)
    assert (outcome.busy, outcome.failed) == ((), ())
    assert host.running
    assert host.open == []
    assert set(host.hosts) == {"unix:///run/other.sock"}


def test_a_second_time_there_is_nothing_to_do(host):
    host.freeze(**DEAD)
    host.thaw()

    assert host.thaw().thawed == ()
    (named,) = host.thaw("crm").thawed
    assert (named.revived, named.remarks, named.closed) == ((), (), False)


def test_check_mode_says_the_same_and_does_nothing(host):
    host.freeze(**DEAD)

    said = host.thaw(act=False)

    assert host.web.held()
    assert host.engine.calls == []
    assert host.open == ["crm"]
    (planned,), (real,) = said.thawed, host.thaw().thawed
    assert set(planned.revived) == set(real.revived)
    assert (planned.remarks, planned.closed) == (real.remarks, real.closed)


def test_after_a_reboot_what_was_stopped_or_merely_ran_is_started(host):
    host.freeze(**DEAD)
    # Nothing is frozen any more, and these have no restart policy.
    host.web.thaw()
    for id_ in ("web", "db"):
        host.set(id_, state="exited")

    (thawed,) = host.thaw().thawed

    assert [(entry.service, entry.action) for entry in thawed.revived] == [
        ("db", "start"),
        ("worker", "start"),
        ("web", "start"),
    ]
    assert host.running


def test_a_container_that_was_created_anew_is_brought_back(host):
    host.freeze(**DEAD)
    del host.engine.by_id["worker"]
    host.engine.by_id["new"] = container("worker", "x", labels=LABELS, id="new", state="created")

    host.thaw()

    assert ("start", "new") in host.engine.calls
    assert host.open == []


def test_one_that_is_gone_for_good_is_a_remark(host):
    host.freeze(**DEAD)
    del host.engine.by_id["worker"]

    (planned,), (thawed,) = host.thaw(act=False).thawed, host.thaw().thawed

    assert planned.remarks == thawed.remarks
    assert thawed.remarks == ("Service worker: container crm-worker-1 is gone, with none in its place.",)
    assert thawed.closed


# While somebody works


def refused(host, **more):
    (words,) = host.thaw(**more).busy
    assert host.web.held()
    assert host.open == ["crm"]
    return words


def test_what_a_living_backup_has_frozen_is_left_to_it(host):
    journal = host.freeze()

    words = refused(host)

    assert f"by process {os.getpid()} since {journal.since}" in words
    assert f"by {journal.deadline} at the latest" in words
    assert "thaw_force=true" in words


def test_check_mode_refuses_too(host):
    host.freeze()

    assert refused(host, act=False)


def test_what_a_living_watchdog_takes_care_of_is_left_to_it(host):
    host.freeze(owner_started=1)

    with locked_on_host("crm"):
        assert refused(host)


def test_with_force_it_is_thawed_and_the_journal_left_to_who_holds_the_lock(host):
    host.freeze()

    with locked_on_host("crm"):
        (thawed,) = host.thaw(force=True).thawed

    assert host.running
    assert host.open == ["crm"]
    assert not thawed.closed


def test_after_the_deadline_nobody_is_waited_for(host):
    host.freeze(**OVERDUE)

    with locked_on_host("crm"):
        (thawed,) = host.thaw().thawed

    assert host.running
    assert host.open == ["crm"]
    assert not thawed.closed


def test_a_stack_that_somebody_works_on_without_a_journal_is_left_alone(host):
    with locked_on_host("crm"):
        (words,) = host.thaw("crm", force=True).busy

    assert "Stack crm is busy" in words


def test_one_stack_does_not_hold_up_another(host):
    host.freeze()
    other = _journal.new("other", "unix:///x", [], 60)
    _journal.write(host.journals, replace(other, **DEAD))

    outcome = host.thaw()

    assert [done.stack for done in outcome.thawed] == ["other"]
    assert len(outcome.busy) == 1
    assert host.open == ["crm"]


# When something is wrong


def test_without_an_engine_the_cgroups_are_thawed_and_the_journal_stays(host):
    host.freeze(**DEAD)

    def gone(_host, _timeout):
        raise EngineError("No Docker daemon answers.")

    planned = host.thaw(act=False, connect=gone)
    assert host.web.held()
    outcome = host.thaw(connect=gone)

    assert planned.thawed[0].revived == outcome.thawed[0].revived == (WEB,)
    assert planned.failed == ("Stack crm: No Docker daemon answers.",)
    assert "No Docker daemon answers." in outcome.failed[0]
    assert not host.web.held()
    assert host.open == ["crm"]


def test_what_the_engine_refuses_keeps_the_journal(host):
    host.freeze(**DEAD)
    host.engine.refuses["start", "worker"] = "port is taken"

    (words,) = host.thaw().failed

    assert "Stack crm: Services could not be brought back: worker: port is taken" in words
    assert not host.web.held()
    assert host.open == ["crm"]


def test_a_signal_stops_it_and_the_journal_stays(host):
    host.freeze(**DEAD)

    def interrupted(id_):
        raise SignalError("Interrupted by SIGTERM.")

    host.engine.start = interrupted

    with pytest.raises(SignalError):
        host.thaw()

    assert host.open == ["crm"]


def damage(host):
    path = Path(_journal.path_of(host.journals, "crm"))
    path.write_bytes(path.read_bytes()[:100])


def test_a_damaged_journal_is_an_error_with_the_file_and_the_remedy(host):
    host.freeze(**DEAD)
    damage(host)

    (words,) = host.thaw().failed

    assert f"{host.journals}/crm.json is damaged" in words
    assert "thaw_stack=crm and thaw_force=true" in words
    assert host.web.held()
    assert host.open == ["crm"]


def test_with_force_what_stands_still_is_thawed_and_the_rest_is_listed(host):
    host.freeze(**DEAD)
    damage(host)
    host.engine.by_id["foreign"] = container("foreign", "x", project="other", state="exited")

    (planned,) = host.thaw("crm", force=True, act=False).thawed
    assert host.web.held()
    (thawed,) = host.thaw("crm", force=True).thawed

    assert thawed.revived == planned.revived == (WEB,)
    assert not host.web.held()
    assert planned.remarks == ("Service worker: container crm-worker-1 is exited. Is it meant to be?",)
    assert thawed.remarks == (*planned.remarks, f"The damaged journal is now {host.journals}/crm.json.damaged.")
    assert thawed.closed
    assert host.open == []
    assert set(host.hosts) == {"unix:///run/default.sock"}


def test_with_force_what_stands_still_without_a_journal_is_thawed(host):
    host.web.freeze()

    (thawed,) = host.thaw("crm", force=True).thawed

    assert thawed.revived == (WEB,)
    assert not thawed.closed
    assert host.running


def test_without_force_nothing_is_looked_for(host):
    host.web.freeze()

    (thawed,) = host.thaw("crm").thawed

    assert thawed.revived == ()
    assert host.web.held()


@pytest.mark.parametrize("name", ["../crm", ".", "a/b"])
def test_a_name_does_not_lead_out_of_the_directory(host, name):
    (words,) = host.thaw(name).failed

    assert "cannot be the name of a stack" in words


# From within the next backup


def test_the_next_backup_brings_back_what_the_last_one_left(host):
    journal = host.freeze(**DEAD)

    with locked_on_host("crm"):
        remarks = recover("crm", host.connect)

    assert host.running
    assert host.open == []
    assert len(remarks) == 1
    assert f"died after {journal.since}. Brought back now: crm-web-1 (thaw), crm-worker-1 (start)." in remarks[0]


def test_that_everything_ran_is_said_too(host):
    host.freeze(**DEAD)
    host.web.thaw()
    host.set("worker", state="running")

    (remark,) = recover("crm", host.connect)

    assert "nothing, for everything ran" in remark
    assert host.open == []


def test_what_cannot_be_brought_back_stops_the_next_backup(host):
    host.freeze(**DEAD)
    host.engine.refuses["start", "worker"] = "port is taken"

    with pytest.raises(EngineError, match=r"An earlier backup of stack crm died after .* worker: port is taken"):
        recover("crm", host.connect)

    assert host.open == ["crm"]


def test_without_a_journal_there_is_nothing_to_say(host):
    assert recover("crm", host.connect) == []
    assert host.hosts == []


# The program of the boot unit

MODULE_UTILS = Path(_thaw_alone.__file__).parent
PREPARE = Path(__file__).resolve().parents[4] / "roles" / "prepare"


def test_the_program_says_what_it_does(host, monkeypatch, capsys):
    host.freeze(**DEAD)
    monkeypatch.setattr(
        _thaw_alone, "thaw_stacks", lambda request, act: thaw_stacks(request, act=act, engine_at=host.connect)
    )

    code = _thaw_alone.main()

    assert code == 0
    assert capsys.readouterr().out == "crm: crm-web-1: thaw\ncrm: crm-worker-1: start\n"
    assert host.running


def test_the_program_leaves_a_living_backup_alone(host, capsys):
    host.freeze()

    assert _thaw_alone.main() == 0
    assert capsys.readouterr().out == ""
    assert host.web.held()


def test_the_program_fails_when_something_does(host, monkeypatch, capsys):
    host.freeze(**DEAD)
    damage(host)

    assert _thaw_alone.main() == 1
    assert "crm.json is damaged" in capsys.readouterr().err


# What a dead restore has left half exchanged


@pytest.fixture
def restored(tmp_path, monkeypatch, restores):
    """A host whose stack a restore has left half exchanged, with its services stopped."""
    made = Restored(tmp_path, monkeypatch, restores)
    made.record().volumes[0].exchange.forward()
    made.change(phase="cutting", policies={"web": "always"})
    return made


def stop_all(restored, journals):
    """Stop what the restore had to stop, as its journal says, and let it die."""
    entries = [examine(restored.engine.by_id[id_], Target(id_, id_, "stop")) for id_ in ("worker", "web")]
    journal = _journal.new("crm", "unix:///fake.sock", entries, timeout=60)
    _journal.write(str(journals), replace(journal, **DEAD))
    restored.stop("worker", "web")
    restored.engine.calls.clear()


def thaw_restored(restored, **more):
    return thaw_stacks(Request(None, force=False, docker_host="", **more), act=True, engine_at=restored.engine_at)


def test_data_are_put_in_order_before_services_start_on_them(restored, journals):
    stop_all(restored, journals)

    (thawed,) = thaw_restored(restored).thawed

    assert restored.state == BEFORE
    assert restored.states == RUNNING
    assert restored.phases == {ID: "staged"}
    assert "died while it exchanged data" in thawed.remarks[0]
    # The policy is given back first: what is started then is the last word.
    assert restored.engine.calls == [("restart=always", "web"), ("start", "web"), ("start", "worker")]
    assert thaw_restored(restored).thawed == ()


def test_a_stack_without_a_journal_is_put_in_order_too(restored):
    restored.stop("worker", "web")

    (thawed,) = thaw_restored(restored).thawed

    assert (thawed.stack, thawed.revived) == ("crm", ())
    assert restored.state == BEFORE
    assert restored.states == {**RUNNING, "worker": "exited", "web": "exited"}


def test_nothing_starts_when_data_cannot_be_put_in_order(restored, journals):
    stop_all(restored, journals)
    restored.stop("postgres")
    restored.engine.refuses[("start", "postgres")] = "it is broken"

    (words,) = thaw_restored(restored).failed

    assert "it is broken" in words
    assert restored.phases == {ID: "cutting"}
    assert ("start", "web") not in restored.engine.calls
    assert _journal.stacks(str(journals)) == ["crm"]


def test_a_server_that_refuses_is_a_reason_and_holds_up_no_other_stack(restored, journals):
    stop_all(restored, journals)
    other = _journal.new("zoo", "unix:///fake.sock", [], timeout=60)
    _journal.write(str(journals), replace(other, **DEAD))
    restored.server.refuses["rename"] = "password authentication failed"
    restored.server.databases = {"postgres": 5, "chatwoot": 200, "chatwoot__crm_previous_1": 100}

    outcome = thaw_restored(restored)

    assert outcome.failed == ("Stack crm: password authentication failed",)
    assert [thawed.stack for thawed in outcome.thawed] == ["zoo"]


def test_check_mode_leaves_data_as_they_are(restored, journals):
    stop_all(restored, journals)

    thaw_stacks(Request(None, force=False, docker_host=""), act=False, engine_at=restored.engine_at)

    assert restored.phases == {ID: "cutting"}
    assert restored.engine.calls == []


def test_data_that_somebody_exchanges_at_this_moment_are_left_to_him(restored):
    with locked_on_host("crm"):
        outcome = thaw_restored(restored)

    assert outcome.thawed == ()
    assert len(outcome.busy) == 1
    assert restored.phases == {ID: "cutting"}


def test_force_does_not_start_anything_on_data_that_somebody_exchanges(restored, journals):
    stop_all(restored, journals)

    with locked_on_host("crm"):
        outcome = thaw_stacks(Request("crm", force=True, docker_host=""), act=True, engine_at=restored.engine_at)

    assert "are being exchanged by a restore" in outcome.busy[0]
    assert restored.engine.calls == []


def test_the_next_run_puts_them_in_order_first(restored, journals):
    stop_all(restored, journals)

    remarks = recover("crm", restored.engine_at, str(journals))

    assert "died while it exchanged data" in remarks[0]
    assert "Brought back now: crm-web-1 (start), crm-worker-1 (start)." in remarks[1]
    assert restored.state == BEFORE
    assert restored.states == RUNNING
