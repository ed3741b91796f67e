# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import contextlib
import datetime
import os
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _journal, _revive, _stack_cutover, _watchdog
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import locked_on_host
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    DatabaseError,
    EngineError,
    StackError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack_cutover import Request, only_stack, plan, take
from ansible_collections.crm.continuity.tests.unit.fakes import container, shipped_profiles
from ansible_collections.crm.continuity.tests.unit.restore_fakes import AFTER, BEFORE, ID, LATER, RUNNING, Host

NOW = datetime.datetime(2026, 11, 21, 2, 0, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture
def host(tmp_path, monkeypatch, restores):
    # The watchdog of a cutover that fails is a process of its own: it tries once, and not for minutes.
    monkeypatch.setattr(_watchdog, "ATTEMPTS", 1)
    monkeypatch.setattr(_revive, "HEALTH_LIMIT", 0.0)
    return Host(tmp_path, monkeypatch, restores)


@pytest.fixture
def clock(monkeypatch):
    """Let hours pass."""
    times = [NOW]
    monkeypatch.setattr(_stack_cutover, "now", lambda: times[0])

    def later(hours):
        times[0] += datetime.timedelta(hours=hours)

    return later


def request(host, state, **more):
    return Request("crm", state, directory=host.directory, **{"health_timeout": 0, **more})


def cut(host, state, **more):
    return take(request(host, state, **more), host.engine, shipped_profiles(), lambda: host.engine)


def planned(host, state, **more):
    return plan(request(host, state, **more), host.engine, shipped_profiles())


# What happens


def test_live_stops_what_uses_the_data_exchanges_all_of_it_and_starts_the_same(host, clock):
    wanted, done = cut(host, "live", keep_hours=5)

    assert host.state == AFTER
    assert host.states == RUNNING
    assert host.phases == {ID: "live"}
    assert host.record().kept_until == "2026-11-21T07:00:00+00:00"
    assert [found.id for found in wanted.stopped] == ["worker", "web"]
    assert [call for call in host.engine.calls if call[0] in ("stop", "start")] == [
        ("stop", "worker"),
        ("stop", "web"),
        ("start", "web"),
        ("start", "worker"),
    ]
    assert list(done.seconds) == ["stop", "exchange", "start"]
    assert done.downtime == round(sum(done.seconds.values()), 3)
    assert done.records == (host.record(),)


def test_while_data_are_exchanged_the_engine_starts_nothing_by_itself(host, monkeypatch):
    policies = host.policies
    seen = []
    real = _stack_cutover.forward

    def forward(*arguments):
        seen.append((host.policies, host.record().phase, host.record().policies, host.states))
        real(*arguments)

    monkeypatch.setattr(_stack_cutover, "forward", forward)
    cut(host, "live")

    ((held, phase, noted, states),) = seen
    assert held == {**policies, "web": "unless-stopped", "worker": "unless-stopped"}
    assert (phase, noted) == ("cutting", {"web": "always", "worker": "on-failure:3"})
    assert states == {**RUNNING, "web": "exited", "worker": "exited"}
    assert host.policies == policies
    assert host.record().policies == {}


def test_there_is_a_journal_while_services_are_away_even_when_none_were_running(host, journals, monkeypatch):
    seen = []
    real = _stack_cutover.forward

    def forward(*arguments):
        seen.append(_journal.read(str(journals), "crm"))
        real(*arguments)

    monkeypatch.setattr(_stack_cutover, "forward", forward)
    host.stop("web", "worker")
    cut(host, "live")

    assert [(entry.service, entry.mode) for entry in seen[0].entries] == [("postgres", "none")]
    assert _journal.read(str(journals), "crm") is None
    assert host.states == {**RUNNING, "web": "exited", "worker": "exited"}


def test_reverted_does_the_same_in_the_other_direction(host, clock):
    cut(host, "live")
    clock(1)

    _wanted, done = cut(host, "reverted", keep_hours=2)

    assert host.state == BEFORE
    assert host.states == RUNNING
    assert host.phases == {ID: "reverted"}
    assert done.records[0].kept_until == "2026-11-21T05:00:00+00:00"


def test_what_was_reverted_can_become_live_again(host):
    for state in ("live", "reverted", "live"):
        cut(host, state)

    assert host.state == AFTER


@pytest.mark.parametrize("state", ["live", "reverted"])
def test_a_second_time_there_is_nothing_to_do(host, state):
    cut(host, "live")
    cut(host, state)
    host.engine.calls.clear()

    wanted, done = cut(host, state)

    assert (wanted.records, done.records, done.downtime) == ((), (), 0)
    assert host.engine.calls == []


def test_committed_removes_what_waits_and_leaves_what_is_live(host):
    exchange = host.record().volumes[0].exchange
    cut(host, "live")

    _wanted, done = cut(host, "committed")

    assert host.state == AFTER
    assert host.phases == {}
    assert not os.path.exists(exchange.base)
    assert [name for name in host.server.databases if "__" in name] == []
    assert [record.id for record in done.records] == [ID]
    assert cut(host, "committed")[1].records == ()


def test_what_was_staged_and_never_became_live_can_be_given_up_too(host):
    cut(host, "committed")

    assert host.state == BEFORE
    assert host.phases == {}
    assert [name for name in host.server.databases if "__" in name] == []
    assert host.engine.calls == []


def test_a_commit_that_died_is_completed(host):
    cut(host, "live")
    host.change(phase="committing")
    host.record().volumes[0].exchange.discard()

    cut(host, "committed")

    assert host.state == AFTER
    assert host.phases == {}


def test_a_volume_that_is_gone_keeps_nobody_from_giving_the_rest_up(host):
    cut(host, "live")
    host.live.parent.rename(host.live.parent.with_name("gone"))

    cut(host, "committed")

    assert host.phases == {}


def test_expired_gives_up_those_whose_time_is_over(host, clock):
    cut(host, "live", keep_hours=5)
    clock(4)
    assert cut(host, "expired")[1].records == ()

    clock(2)
    _wanted, done = cut(host, "expired")

    assert [record.id for record in done.records] == [ID]
    assert host.phases == {}
    assert host.state == AFTER


def test_what_only_waits_does_not_expire(host, clock):
    clock(1000)

    assert planned(host, "expired").records == ()


# Which of several


def test_restores_are_undone_in_the_opposite_order(host):
    cut(host, "live")
    host.server.databases["chatwoot__crm_staged_2"] = 300
    host.put(LATER, "2", 300)
    cut(host, "live")
    assert host.state == ("restored 2", 300)

    with pytest.raises((StoreError, DatabaseError), match="Revert that one first"):
        cut(host, "reverted", id=ID)
    assert host.state == ("restored 2", 300)

    cut(host, "reverted")
    assert host.state == AFTER
    assert host.phases == {ID: "live", LATER: "reverted"}
    cut(host, "reverted", id=ID)
    assert host.state == BEFORE


def test_the_newest_decides_so_that_a_second_run_does_not_go_on(host):
    cut(host, "live")
    host.server.databases["chatwoot__crm_staged_2"] = 300
    host.put(LATER, "2", 300)
    cut(host, "live")
    cut(host, "reverted")

    assert cut(host, "reverted")[1].records == ()
    assert host.state == AFTER
    assert host.phases == {ID: "live", LATER: "reverted"}

    assert [record.id for record in cut(host, "live")[1].records] == [LATER]
    assert cut(host, "live")[1].records == ()
    assert host.phases == {ID: "live", LATER: "live"}


def test_all_of_several_are_given_up_unless_one_is_named(host):
    cut(host, "live")
    for number, later in enumerate((LATER, LATER.replace("21T", "22T")), 2):
        host.server.databases[f"chatwoot__crm_staged_{number}"] = 100 * (number + 1)
        host.put(later, str(number), 100 * (number + 1))
        cut(host, "live")

    assert [record.id for record in cut(host, "committed", id=LATER)[1].records] == [LATER]
    assert len(cut(host, "committed")[1].records) == 2
    assert cut(host, "committed")[1].records == ()
    assert host.phases == {}
    assert [name for name in host.server.databases if "__" in name] == []


@pytest.mark.parametrize(
    ("state", "id_", "words"),
    [
        ("reverted", None, r"no restore that could become reverted\. There are: 20261121T020000Z \(staged\)"),
        ("reverted", ID, "is staged, so it cannot become reverted"),
        ("live", LATER, rf"no restore {LATER} of stack crm on this host\. There are: {ID} \(staged\)"),
    ],
)
def test_what_cannot_be_is_refused_with_what_there_is(host, state, id_, words):
    with pytest.raises(StackError, match=words):
        planned(host, state, id=id_)


def test_without_any_restore_it_says_so(host):
    os.unlink(os.path.join(host.directory, "crm", f"{ID}.json"))

    for state in ("live", "reverted"):
        with pytest.raises(StackError, match="Nothing was restored here, or what was kept has been given up"):
            planned(host, state)
    assert planned(host, "committed", id=ID).records == ()
    assert planned(host, "expired").records == ()


def test_a_stack_may_be_left_out_where_there_is_one(host):
    assert only_stack() == "crm"

    os.makedirs(os.path.join(host.directory, "empty"))
    assert only_stack() == "crm"

    os.makedirs(os.path.join(host.directory, "other"))
    os.link(os.path.join(host.directory, "crm", f"{ID}.json"), os.path.join(host.directory, "other", f"{ID}.json"))
    with pytest.raises(StackError, match="Several stacks of this host have restores: crm, other"):
        only_stack()


# What is refused before anything stops


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"web": {"state": "paused"}}, "Containers are paused: crm-web-1"),
        ({"else-other": {"mounts": "web"}}, "not part of stack crm run and use its data: else-other-1"),
        ({"postgres": {"state": "exited"}}, "does not answer"),
    ],
)
def test_nothing_is_stopped_for_what_could_not_succeed(host, changes, words):
    for id_, change in changes.items():
        mounts = {"mounts": host.engine.by_id[change["mounts"]].mounts} if "mounts" in change else {}
        host.set(id_, **{**change, **mounts})

    with pytest.raises((StackError, DatabaseError), match=words):
        cut(host, "live")

    assert host.engine.calls == []
    assert host.state == BEFORE
    assert host.phases == {ID: "staged"}


def test_a_staged_database_that_somebody_has_removed_is_noticed(host):
    del host.server.databases["chatwoot__crm_staged_1"]

    with pytest.raises(DatabaseError, match="Run the restore again"):
        cut(host, "live")

    assert host.engine.calls == []


def test_services_that_write_into_the_database_alone_are_stopped_too(host):
    host.set("worker", mounts=(), image="chatwoot/chatwoot:v4.15.1")

    assert [found.id for found in planned(host, "live").stopped] == ["worker", "web"]


def test_a_stack_that_somebody_works_on_is_left_alone(host):
    with locked_on_host("crm"), pytest.raises(StoreError, match="Stack crm is busy"):
        cut(host, "live")

    assert host.engine.calls == []


# What fails in the middle


@pytest.mark.parametrize("failure", ["stop", "exchange", "databases", "start"])
def test_after_a_failure_all_is_as_before_and_the_watchdog_starts_what_ran(host, failure, monkeypatch):
    if failure == "stop":
        host.engine.refuses[("stop", "web")] = "it broke"
    elif failure == "exchange":
        base = host.record().volumes[0].exchange.base
        os.rename(os.path.join(base, "new"), os.path.join(base, "taken away"))
    elif failure == "databases":
        host.server.refuses["rename"] = "it broke"
    else:
        host.engine.refuses[("start", "worker")] = "it broke"

    with pytest.raises((EngineError, StoreError, DatabaseError), match=r"it broke|is not what was made for"):
        cut(host, "live")

    assert host.state == BEFORE
    assert host.phases == {ID: "staged"}


def test_a_start_that_fails_after_the_way_back_leaves_it_reverted(host):
    cut(host, "live")
    host.engine.refuses[("start", "worker")] = "it broke"

    with pytest.raises(EngineError, match="it broke"):
        cut(host, "reverted")

    assert host.state == BEFORE
    assert host.phases == {ID: "reverted"}


def test_what_a_dead_run_has_left_is_put_in_order_first(host, clock):
    host.record().volumes[0].exchange.forward()
    host.change(phase="cutting", policies={"web": "always"})

    _wanted, done = cut(host, "live")

    assert host.state == AFTER
    assert ["died while it exchanged data" in remark for remark in done.remarks] == [True]
    assert host.policies["web"] == "always"


def test_services_that_are_not_healthy_again_are_named(host):
    host.set("web", health="healthy")
    real = host.engine.start

    def start(id_):
        real(id_)
        host.set(id_, health="starting")

    host.engine.start = start

    _wanted, done = cut(host, "live")

    assert ["web was healthy" in remark for remark in done.remarks] == [True]


def test_check_mode_says_what_it_would_do_and_does_nothing(host):
    wanted = planned(host, "live")

    assert [record.id for record in wanted.records] == [ID]
    assert [found.id for found in wanted.stopped] == ["worker", "web"]
    assert [found.id for found in wanted.others] == ["postgres"]
    assert host.engine.calls == []
    assert host.state == BEFORE
    assert host.server.sessions == 0


def test_a_container_that_came_meanwhile_is_not_in_the_way_of_undoing(host):
    host.server.refuses["rename"] = "it broke"
    real = host.engine.stop

    def stop(id_, timeout):
        real(id_, timeout)
        if id_ == "web":
            # As when somebody starts it by hand in the middle.
            storage = host.engine.by_id["web"].mounts
            host.engine.by_id["new"] = replace(container("new", "x"), mounts=storage)

    host.engine.stop = stop

    with contextlib.suppress(DatabaseError):
        cut(host, "live")

    assert host.states["new"] == "exited"
    assert host.state == BEFORE
