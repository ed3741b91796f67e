# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._cgroup import Cgroup
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, FreezeError
from ansible_collections.crm.continuity.plugins.module_utils._journal import Entry
from ansible_collections.crm.continuity.plugins.module_utils._revive import (
    Revived,
    find,
    required,
    revive_all,
)
from ansible_collections.crm.continuity.tests.unit.cgroup_fakes import cgroup_host
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container

NUMBER = "com.docker.compose.container-number"


def entry(service, mode="pause", **more):
    return Entry(service, service, f"crm-{service}-1", mode, project="crm", number="1", **more)


def numbered(service, **more):
    return container(service, "x", **{"labels": {NUMBER: "1"}, **more})


def revived(engine, *entries):
    return revive_all(entries, lambda: engine)


@pytest.mark.parametrize(
    ("mode", "state", "action"),
    [
        ("pause", "paused", "unpause"),
        ("pause", "exited", "start"),
        ("pause", "created", "start"),
        ("pause", "running", None),
        ("pause", "restarting", None),
        ("stop", "exited", "start"),
        ("stop", "running", None),
        ("none", "exited", "start"),
        ("none", "running", None),
        # Nobody of us has paused these.
        ("stop", "paused", None),
        ("none", "paused", None),
    ],
)
def test_a_container_is_brought_back_from_whatever_state_it_is_in(mode, state, action):
    engine = FakeEngine([numbered("web", state=state)])

    outcome = revived(engine, entry("web", mode))

    assert engine.calls == ([] if action is None else [(action, "web")])
    assert outcome.revived == (() if action is None else (Revived("web", "crm-web-1", action),))
    assert (outcome.refused, outcome.gone) == ((), ())


def test_the_last_that_was_frozen_comes_back_first():
    engine = FakeEngine([numbered("web", state="exited"), numbered("db", state="exited")])

    revived(engine, entry("web", "stop"), entry("db", "none"))

    assert engine.calls == [("start", "db"), ("start", "web")]


def test_one_that_was_created_anew_is_found_by_the_names_of_compose():
    engine = FakeEngine(
        [
            numbered("web", id="second", labels={NUMBER: "2"}, state="exited"),
            numbered("web", id="new", state="created"),
            numbered("web", id="foreign", project="other", state="exited"),
            numbered("db", state="exited"),
        ]
    )

    revived(engine, entry("web", "stop"))

    assert engine.calls == [("start", "new")]


def test_one_that_compose_does_not_know_is_only_found_by_its_id():
    engine = FakeEngine([container("web", "x", project=None, id="new")])

    assert find(engine, replace(entry("web"), project=None)) is not None
    assert find(engine, replace(entry("gone"), project=None)) is None


def test_one_that_is_gone_is_told():
    outcome = revived(FakeEngine(), entry("web"))

    assert outcome.gone == (entry("web"),)
    assert outcome.refused == ()


def test_what_the_engine_refuses_does_not_hold_up_the_rest():
    engine = FakeEngine([numbered("web", state="exited"), numbered("db", state="exited")])
    engine.refuses["start", "db"] = "port is taken"

    outcome = revived(engine, entry("web", "stop"), entry("db", "stop"))

    assert outcome.revived == (Revived("web", "crm-web-1", "start"),)
    assert outcome.refused == ((entry("db", "stop"), "port is taken"),)


@pytest.fixture
def frozen(tmp_path, monkeypatch):
    """Entries of two containers that stand still by their cgroups."""
    host = cgroup_host(tmp_path, monkeypatch)
    entries = []
    for number, service in enumerate(("web", "worker")):
        cgroup = Cgroup(str(host.add(f"/{service}", 100 + number)), 2)
        cgroup.freeze()
        entries.append(entry(service, method="cgroup", cgroup=cgroup.path))
    return entries


def held(entries):
    return [Cgroup(one.cgroup, 2).held() for one in entries]


def test_cgroups_are_thawed_also_while_no_engine_answers(frozen):
    def connect():
        raise EngineError("No Docker daemon answers.")

    outcome = revive_all(frozen, connect)

    assert held(frozen) == [False, False]
    assert [done.action for done in outcome.revived] == ["thaw", "thaw"]
    assert [reason for _entry, reason in outcome.refused] == ["No Docker daemon answers."] * 2


def test_one_that_died_while_it_stood_still_is_started(frozen):
    engine = FakeEngine([numbered("web", state="exited"), numbered("worker")])

    outcome = revived(engine, *frozen)

    assert held(frozen) == [False, False]
    assert engine.calls == [("start", "web")]
    assert outcome.refused == ()


def test_a_cgroup_that_cannot_be_thawed_does_not_hold_up_the_rest(frozen, monkeypatch):
    real = Cgroup.thaw

    def refuse(cgroup):
        if cgroup.path == frozen[1].cgroup:
            raise FreezeError("read-only")
        return real(cgroup)

    monkeypatch.setattr(Cgroup, "thaw", refuse)

    outcome = revived(FakeEngine([numbered("web"), numbered("worker")]), *frozen)

    assert held(frozen) == [False, True]
    assert outcome.refused == ((frozen[1], "read-only"),)


def test_a_cgroup_that_is_gone_is_left_to_the_engine(tmp_path):
    engine = FakeEngine([numbered("web", state="exited")])

    outcome = revived(engine, entry("web", method="cgroup", cgroup=str(tmp_path / "gone")))

    assert engine.calls == [("start", "web")]
    assert outcome.refused == ()


def test_what_could_not_be_brought_back_is_one_error_with_every_reason():
    def connect():
        raise EngineError("No Docker daemon answers.")

    engine = FakeEngine([numbered("web", state="exited"), numbered("db", state="exited")])
    engine.refuses["start", "db"] = "port is taken"

    with pytest.raises(EngineError) as caught:
        required(revive_all([entry("web"), entry("db")], connect))
    with pytest.raises(EngineError, match="db: port is taken"):
        required(revived(engine, entry("web"), entry("db")))

    assert "web, db: No Docker daemon answers." in str(caught.value)
    assert "docker compose up -d" in str(caught.value)
    required(revived(FakeEngine(), entry("web")))
