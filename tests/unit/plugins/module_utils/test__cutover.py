# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _cutover
from ansible_collections.crm.continuity.plugins.module_utils._cutover import (
    back,
    dependents_first,
    forward,
    hold,
    mend,
    refuse_paused,
    release,
    stop,
    strangers,
    torn,
    users,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, StackError
from ansible_collections.crm.continuity.plugins.module_utils._stage_servers import Access, Servers
from ansible_collections.crm.continuity.tests.unit.fakes import container
from ansible_collections.crm.continuity.tests.unit.restore_fakes import AFTER, BEFORE, ID, RUNNING, Host


@pytest.fixture
def host(tmp_path, monkeypatch, restores):
    return Host(tmp_path, monkeypatch, restores)


def servers(host):
    return Servers(host.engine, "crm", host.record().databases, Access())


def mended(host):
    return mend("crm", host.engine_at, directory=host.directory)


# Both directions


def test_all_of_it_goes_forward_and_back(host):
    with servers(host) as sessions:
        forward(host.record(), host.engine, sessions)
        assert host.state == AFTER

        back(host.record(), host.engine, sessions)
        assert host.state == BEFORE


def test_a_server_that_was_stopped_meanwhile_is_started_for_it(host):
    with servers(host) as sessions:
        sessions.connect()
        host.stop("postgres")

        forward(host.record(), host.engine, sessions)

    assert host.state == AFTER
    assert host.engine.calls == [("start", "postgres")]


def test_on_the_way_back_whatever_has_started_meanwhile_is_stopped(host):
    host.stop("web")
    with servers(host) as sessions:
        forward(host.record(), host.engine, sessions)
        back(host.record(), host.engine, sessions)

    assert host.engine.calls == [("stop", "worker")]
    assert host.state == BEFORE


def test_without_its_server_nothing_goes_back(host):
    with servers(host) as sessions:
        forward(host.record(), host.engine, sessions)
    host.stop("postgres")
    host.engine.refuses[("start", "postgres")] = "no"

    with servers(host) as sessions, pytest.raises(EngineError):
        back(host.record(), host.engine, sessions)

    assert host.state == AFTER


# Who uses the data


def test_those_that_mount_a_volume_use_it_and_those_that_stand_still_do_not(host):
    host.stop("web")

    assert [found.id for found in users(host.engine, host.record())] == ["worker"]


@pytest.mark.parametrize(("part", "uses"), [("", True), ("/below", True), ("/..", False), ("/../gone", False)])
def test_of_bound_directories_those_count_that_keep_hold_of_the_data(host, part, uses):
    (host.live / "below").mkdir()
    host.stop("web", "worker")
    host.engine.by_id["agent"] = container("agent", "x", project="else", binds={"/x": f"{host.live}{part}"})

    assert bool(users(host.engine, host.record())) == uses


def test_strangers_are_refused_by_name():
    with pytest.raises(StackError, match="not part of stack crm run and use its data: a, else-web-1"):
        strangers([container("web", "x", project="else"), container("a", "x", project=None)], "crm")
    strangers([container("web", "x")], "crm")


def test_what_somebody_has_paused_is_refused():
    with pytest.raises(StackError, match=r"paused: crm-web-1\. Unpause or stop"):
        refuse_paused([container("web", "x", state="paused"), container("db", "x")])


# Stopping


def test_those_are_stopped_first_that_others_do_not_need(host):
    needy = container("needy", "x", depends_on=("worker",))

    order = [found.id for found in dependents_first([*host.engine.containers(), needy])]

    assert order.index("needy") < order.index("worker") < order.index("web") < order.index("postgres")


def test_in_a_circle_all_are_stopped_at_once(host):
    circle = [container("a", "x", depends_on=("b",)), container("b", "x", depends_on=("a",))]

    assert [found.id for found in dependents_first(circle)] == ["a", "b"]


def test_what_stands_still_already_is_left_alone(host):
    host.stop("worker")

    stop(host.engine, host.engine.containers())

    assert ("stop", "worker") not in host.engine.calls
    assert set(host.states.values()) == {"exited"}


def test_one_that_cannot_be_stopped_is_an_error(host):
    host.engine.refuses[("stop", "worker")] = "it hangs"

    with pytest.raises(EngineError, match="it hangs"):
        stop(host.engine, host.engine.containers())

    # Those that the others need were not touched.
    assert host.states["postgres"] == "running"


# Restart policies


def test_policies_that_the_engine_acts_on_by_itself_are_changed_and_given_back(host):
    policies = host.policies
    affected = [host.engine.by_id[id_] for id_ in ("web", "worker")]

    held = hold(host.engine, host.record(), affected, host.directory)

    assert host.policies == {**policies, "web": "unless-stopped", "worker": "unless-stopped"}
    assert host.record().policies == held.policies == {"web": "always", "worker": "on-failure:3"}

    assert release(host.engine, held, host.directory).policies == {}
    assert host.policies == policies
    assert host.record().policies == {}


def test_the_record_knows_of_a_policy_before_it_is_changed(host):
    def refuse(_id, _policy):
        raise EngineError("no")

    host.engine.set_restart_policy = refuse

    with pytest.raises(EngineError):
        hold(host.engine, host.record(), [host.engine.by_id["web"]], host.directory)

    assert host.record().policies == {"web": "always"}


def test_a_container_that_is_gone_needs_no_policy(host):
    held = host.change(policies={"web": "always", "gone": "always"})

    release(host.engine, held, host.directory)

    assert host.engine.calls == [("restart=always", "web")]


# What a dead run has left


def test_of_a_restore_that_nobody_has_touched_nothing_is_mended(host):
    assert mended(host) == []
    assert torn("crm", host.directory) == []
    assert host.engine.calls == []


@pytest.mark.parametrize("reached", ["nothing", "the volume", "the databases", "all"])
@pytest.mark.parametrize(("phase", "then"), [("cutting", "staged"), ("reverting", "reverted")])
def test_an_exchange_that_died_anywhere_ends_with_what_was_before(host, reached, phase, then):
    exchange = host.record().volumes[0].exchange
    if reached in ("the volume", "all"):
        exchange.forward()
    if reached in ("the databases", "all"):
        with servers(host) as sessions:
            sessions.forward()
    host.stop("web", "worker")
    host.change(phase=phase, policies={"web": "always"})
    host.set("web", restart_policy="unless-stopped")
    assert [record.id for record in torn("crm", host.directory)] == [ID]

    (remark,) = mended(host)

    assert "died while it exchanged data. All is as it was before." in remark
    assert host.state == BEFORE
    assert host.phases == {ID: then}
    assert host.policies["web"] == "always"
    # Nothing was started: that is for whoever knows what ran.
    assert host.states == {**RUNNING, "web": "exited", "worker": "exited"}
    assert mended(host) == []


def test_policies_of_a_run_that_died_after_its_exchange_are_given_back(host):
    host.record().volumes[0].exchange.forward()
    host.change(phase="live", policies={"web": "always"})

    assert mended(host) == []

    assert host.record().policies == {}
    assert host.phases == {ID: "live"}
    assert (host.live / "file").read_text() == "restored 1"


def test_a_policy_that_cannot_be_given_back_holds_up_nothing_and_is_tried_again(host, monkeypatch):
    def refuse(_id, _policy):
        raise EngineError("no")

    host.change(phase="cutting", policies={"web": "always"})
    with monkeypatch.context() as patch:
        patch.setattr(host.engine, "set_restart_policy", refuse)
        patch.setattr(_cutover, "PAUSE", 0.0)
        assert mended(host)[1] == "Stack crm: no"
    assert host.phases == {ID: "staged"}
    assert host.record().policies == {"web": "always"}

    assert mended(host) == []
    assert host.record().policies == {}


def test_an_engine_that_is_busy_with_a_container_is_asked_again(host, monkeypatch):
    host.change(phase="live", policies={"web": "always"})
    refusals = iter([True, True, False])
    real = host.engine.set_restart_policy

    def refuse(id_, policy):
        if next(refusals):
            raise EngineError("it is being stopped")
        real(id_, policy)

    monkeypatch.setattr(host.engine, "set_restart_policy", refuse)
    monkeypatch.setattr(_cutover, "PAUSE", 0.0)

    assert mended(host) == []
    assert host.record().policies == {}


def test_what_cannot_be_mended_stays_torn(host):
    host.record().volumes[0].exchange.forward()
    host.change(phase="cutting")
    host.engine.refuses[("stop", "worker")] = "it hangs"

    with pytest.raises(EngineError):
        mended(host)

    assert host.phases == {ID: "cutting"}
    del host.engine.refuses[("stop", "worker")]
    assert mended(host)
    assert host.state == BEFORE


def test_the_engine_is_that_of_the_record(host):
    host.change(phase="cutting", docker_host="unix:///run/other.sock")

    with pytest.raises(EngineError, match=r"other\.sock is another engine"):
        mended(host)

    assert host.phases == {ID: "cutting"}
