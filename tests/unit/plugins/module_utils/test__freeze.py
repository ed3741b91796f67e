# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._cgroup import Cgroup
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    EngineError,
    FreezeError,
    RedisError,
    SignalError,
)
from ansible_collections.crm.continuity.plugins.module_utils._freeze import (
    Freezer,
    Frozen,
    Target,
    dependents_first,
    examine,
    guarded,
    targets,
    wait_healthy,
)
from ansible_collections.crm.continuity.plugins.module_utils._journal import Entry
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request, Service
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.cgroup_fakes import cgroup_host
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

CHATWOOT = "chatwoot/chatwoot:v4.15.1"


def stack_of(*containers, volumes=(), own=()):
    return find_one(FakeEngine(containers, volumes), shipped_profiles(*own), Request("crm"))


def modes(stack, **overrides):
    return [(target.service, target.mode) for target in targets(stack, overrides)]


def nothing(target):
    """Do nothing before a target is frozen."""


# Which, and in which order


def test_what_writes_is_frozen_dependents_first_and_redis_last():
    stack = stack_of(
        container("rails", CHATWOOT, depends_on=["postgres", "redis"], volumes={"/app/storage": "s"}),
        container("sidekiq", CHATWOOT, command=("sidekiq",), depends_on=["rails", "redis"]),
        container("ai", "example/ai", depends_on=["sidekiq"], volumes={"/app/storage": "s"}),
        container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "pg"}),
        container("redis", "redis:7", depends_on=["ai"], volumes={"/data": "r"}),
        container("proxy", "caddy"),
        volumes=[volume("s"), volume("r"), volume("pg")],
    )

    assert modes(stack) == [
        ("ai", "pause"),
        ("sidekiq", "pause"),
        ("rails", "pause"),
        # No profile says that it is dumped.
        ("postgres", "stop"),
        ("redis", "pause"),
    ]


def test_a_database_that_is_dumped_goes_on():
    stack = stack_of(
        container("rails", CHATWOOT, env={"POSTGRES_HOST": "postgres"}),
        container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "pg"}),
        volumes=[volume("pg")],
    )

    assert modes(stack) == [("rails", "pause")]


def test_a_service_that_only_reads_the_data_goes_on():
    stack = stack_of(
        container("rails", CHATWOOT, volumes={"/app/storage": "s"}),
        container("nginx", "nginx", volumes={"/files:ro": "s"}),
        volumes=[volume("s")],
    )

    assert modes(stack) == [("rails", "pause")]


@pytest.mark.parametrize("state", ["paused", "exited", "created", "dead"])
def test_a_service_that_does_not_run_is_left_alone(state):
    stack = stack_of(container("rails", CHATWOOT), container("sidekiq", CHATWOOT, command=("sidekiq",), state=state))

    assert modes(stack) == [("rails", "pause")]


def test_a_service_that_keeps_crashing_is_stopped_because_the_engine_does_not_pause_it():
    stack = stack_of(container("rails", CHATWOOT, state="restarting"))

    assert modes(stack) == [("rails", "stop")]


def test_the_profile_and_then_the_user_say_how():
    own = {"name": "chatwoot", "services": [{"name": "worker", "freeze": "stop"}]}
    stack = stack_of(
        container("rails", CHATWOOT),
        container("sidekiq", CHATWOOT, command=("sidekiq",)),
        container("proxy", "caddy"),
        own=[own],
    )

    assert modes(stack) == [("rails", "pause"), ("sidekiq", "stop")]
    assert modes(stack, rails="none", sidekiq="pause", proxy="stop") == [("proxy", "stop"), ("sidekiq", "pause")]


def test_everything_that_runs_is_guarded_and_nothing_else():
    stack = stack_of(
        container("rails", CHATWOOT, env={"POSTGRES_HOST": "postgres"}, depends_on=["postgres"]),
        container("postgres", "postgres:16", volumes={"/var/lib/postgresql/data": "pg"}),
        container("proxy", "caddy", state="exited"),
        volumes=[volume("pg")],
    )

    found = guarded(stack, targets(stack, {}))

    assert [(target.service, target.mode) for target in found] == [("rails", "pause"), ("postgres", "none")]


def test_a_circle_of_dependencies_has_an_order_too():
    services = [
        Service(container(name, "x"), name, tuple(depends_on))
        for name, depends_on in {"a": ["b"], "b": ["a", "c"], "c": ["missing"]}.items()
    ]

    ordered = [service.name for service in dependents_first(services)]

    assert sorted(ordered) == ["a", "b", "c"]
    assert ordered[-1] == "c"


def test_every_copy_of_a_scaled_service_is_frozen():
    stack = stack_of(
        container("rails", CHATWOOT, id="one", name="crm-rails-1"),
        container("rails", CHATWOOT, id="two", name="crm-rails-2"),
    )

    assert sorted(target.container for target in targets(stack, {})) == ["one", "two"]


# Freezing and thawing


WEB = Target("web", "web", "pause")
WORKER = Target("worker", "worker", "stop")
CACHE = Target("cache", "cache", "pause")
ALL = [WEB, WORKER, CACHE]


@pytest.fixture
def engine():
    return FakeEngine([container(name, "x") for name in ("web", "worker", "cache")])


def states(engine):
    return {id_: found.state for id_, found in engine.by_id.items()}


def test_targets_are_frozen_in_order_and_thawed_in_the_opposite_one(engine):
    freezer = Freezer(engine, ALL)

    freezer.freeze(nothing)
    freezer.thaw()

    assert engine.calls == [
        ("pause", "web"),
        ("stop", "worker"),
        ("pause", "cache"),
        ("unpause", "cache"),
        ("start", "worker"),
        ("unpause", "web"),
    ]
    assert set(states(engine).values()) == {"running"}


def test_how_long_each_stood_still_is_told(engine):
    # Two to freeze, and to thaw: starting the worker notes when it was started, as well.
    times = iter([0.0, 1.0, 5.0, 5.25, 9.0])
    freezer = Freezer(engine, [WEB, WORKER], clock=lambda: next(times))
    freezer.freeze(nothing)

    assert freezer.thaw() == [Frozen("worker", "stop", 4.25), Frozen("web", "pause", 9.0)]


def test_thawing_twice_does_nothing_more(engine):
    freezer = Freezer(engine, ALL)
    freezer.freeze(nothing)
    freezer.thaw()
    before = list(engine.calls)

    assert freezer.thaw() == []
    assert engine.calls == before


def test_something_may_be_done_before_each_is_frozen(engine):
    freezer = Freezer(engine, ALL)

    freezer.freeze(lambda target: engine.calls.append(("before", target.container)))

    assert [call for call in engine.calls if call[1] == "cache"] == [("before", "cache"), ("pause", "cache")]


def test_one_that_refuses_to_be_frozen_thaws_the_others(engine):
    engine.refuses["pause", "cache"] = "the daemon says no"

    with pytest.raises(EngineError, match="the daemon says no"):
        Freezer(engine, ALL).freeze(nothing)

    assert set(states(engine).values()) == {"running"}


def test_a_failure_before_the_last_is_frozen_thaws_the_others(engine):
    def fail(target):
        if target == CACHE:
            raise RedisError("no answer")

    with pytest.raises(RedisError):
        Freezer(engine, ALL).freeze(fail)

    assert set(states(engine).values()) == {"running"}


def test_an_interrupt_in_the_middle_of_a_call_loses_no_container(engine):
    class InterruptedEngine(FakeEngine):
        def pause(self, id_):
            super().pause(id_)
            raise KeyboardInterrupt

    interrupted = InterruptedEngine(engine.by_id.values())

    with pytest.raises(KeyboardInterrupt):
        Freezer(interrupted, ALL).freeze(nothing)

    assert states(interrupted)["web"] == "running"


def test_thawing_tries_all_and_names_those_that_refuse(engine):
    freezer = Freezer(engine, ALL)
    freezer.freeze(nothing)
    engine.refuses["unpause", "cache"] = "cgroup is gone"
    engine.refuses["unpause", "web"] = "port is taken"

    with pytest.raises(EngineError) as caught:
        freezer.thaw()

    assert states(engine) == {"web": "paused", "worker": "running", "cache": "paused"}
    assert "cache: cgroup is gone; web: port is taken" in str(caught.value)
    assert "docker compose up -d" in str(caught.value)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SignalError("Interrupted by SIGTERM.")])
def test_an_interrupt_while_thawing_leaves_the_rest_to_the_next_call(engine, interrupt):
    freezer = Freezer(engine, [WEB, CACHE])
    freezer.freeze(nothing)
    real, engine.unpause = engine.unpause, lambda id_: (never for never in ()).throw(interrupt)

    with pytest.raises((KeyboardInterrupt, SignalError)):
        freezer.thaw()
    engine.unpause = real
    freezer.thaw()

    assert states(engine)["web"] == states(engine)["cache"] == "running"


# By the cgroup


@pytest.fixture
def cgroups(tmp_path, monkeypatch):
    """Return a function that gives a container a process with a cgroup, and returns the file that freezes it."""
    host = cgroup_host(tmp_path, monkeypatch)

    def add(engine, id_):
        pid = 100 + len(list(host.mount_point.glob("*")))
        directory = host.add(f"/docker-{id_}.scope", pid)
        engine.by_id[id_] = replace(engine.by_id[id_], pid=pid)
        return directory / "cgroup.freeze"

    return add


def test_a_container_whose_cgroup_is_within_reach_is_frozen_without_the_engine(engine, cgroups):
    switch = cgroups(engine, "web")
    freezer = Freezer(engine, [WEB])

    freezer.freeze(nothing)
    between = switch.read_text().strip()
    frozen = freezer.thaw()

    assert between == "1"
    assert switch.read_text().strip() == "0"
    assert engine.calls == []
    assert [entry.service for entry in frozen] == ["web"]


def test_one_that_would_not_stand_still_is_named_and_all_go_on(engine, cgroups, monkeypatch):
    web, cache = cgroups(engine, "web"), cgroups(engine, "cache")
    real = Cgroup.freeze

    def refuse(cgroup, *args):
        real(cgroup)
        if "cache" in cgroup.path:
            raise FreezeError("it does not stand still within 10 s: tar (7) cannot be interrupted")

    monkeypatch.setattr(Cgroup, "freeze", refuse)

    with pytest.raises(FreezeError) as caught:
        Freezer(engine, ALL).freeze(nothing)

    assert str(caught.value).startswith("Service cache (crm-cache-1) cannot be frozen: it does not stand still")
    assert "crm_freeze: {cache: stop}" in str(caught.value)
    assert web.read_text().strip() == cache.read_text().strip() == "0"
    assert set(states(engine).values()) == {"running"}


def test_one_that_was_killed_while_it_stood_still_is_started(engine, cgroups):
    cgroups(engine, "web")
    freezer = Freezer(engine, [WEB])
    freezer.freeze(nothing)
    engine.by_id["web"] = replace(engine.by_id["web"], state="exited")

    freezer.thaw()

    assert states(engine)["web"] == "running"


def test_what_the_cgroups_froze_goes_on_although_the_engine_is_gone(engine, cgroups):
    switches = [cgroups(engine, "web"), cgroups(engine, "cache")]
    freezer = Freezer(engine, [WEB, CACHE])
    freezer.freeze(nothing)

    def gone(id_):
        raise EngineError("no answer")

    engine.container = gone
    with pytest.raises(EngineError, match="cache, web: no answer"):
        freezer.thaw()

    assert [switch.read_text().strip() for switch in switches] == ["0", "0"]


# A torn cut


def thaw_by_hand(engine, switch):
    switch.write_text("0")


def unpause(engine, switch):
    engine.unpause("cache")


def start(engine, switch):
    engine.start("worker")


def start_and_stop(engine, switch):
    engine.by_id["worker"] = replace(engine.by_id["worker"], started_at="later")


def remove(engine, switch):
    del engine.by_id["worker"]


@pytest.mark.parametrize(
    ("meddle", "service"),
    [
        pytest.param(thaw_by_hand, "web", id="thawed"),
        pytest.param(unpause, "cache", id="unpaused"),
        pytest.param(start, "worker", id="started"),
        pytest.param(start_and_stop, "worker", id="started and stopped"),
        pytest.param(remove, "worker", id="removed"),
    ],
)
def test_when_somebody_meddles_the_cut_is_torn_and_everything_runs(engine, cgroups, meddle, service):
    switch = cgroups(engine, "web")
    freezer = Freezer(engine, ALL)
    freezer.freeze(nothing)
    meddle(engine, switch)

    with pytest.raises(FreezeError, match=f"did not stand still until the end: {service}. Somebody"):
        freezer.thaw()

    assert set(states(engine).values()) == {"running"}
    assert switch.read_text().strip() == "0"


def test_a_container_that_was_removed_before_is_an_error_with_the_service(engine):
    del engine.by_id["worker"]

    with pytest.raises(EngineError, match="The container of service worker is gone"):
        Freezer(engine, ALL).freeze(nothing)

    assert engine.calls == []


# The order of starting, and health


class SlowEngine(FakeEngine):
    """An engine whose containers are healthy some seconds after they were started; ``sleep`` lets time pass."""

    def __init__(self, containers, seconds):
        super().__init__(containers)
        self.now = 0.0
        self.seconds = seconds
        self.due = {}

    def sleep(self, seconds):
        self.now += seconds

    def start(self, id_):
        super().start(id_)
        self.calls[-1] = (*self.calls[-1], round(self.now))
        if self.by_id[id_].health is not None:
            self.due[id_] = self.now + self.seconds

    def container(self, id_):
        found = super().container(id_)
        if id_ not in self.due:
            return found
        return replace(found, health="healthy" if self.now >= self.due[id_] else "starting")


def chain(seconds, health="healthy"):
    """A database, what depends on it, and something that does not."""
    return SlowEngine(
        [
            container("app", "x", depends_on=["db", "missing"]),
            container("other", "x"),
            container("db", "x", health=health),
        ],
        seconds,
    )


STOPPED = [Target(name, name, "stop") for name in ("app", "other", "db")]


@pytest.mark.parametrize(
    ("seconds", "health", "expected"),
    [
        pytest.param(5, "healthy", 5, id="until it is healthy"),
        pytest.param(500, "healthy", 20, id="not for ever"),
        pytest.param(500, None, 0, id="not without a health check"),
    ],
)
def test_what_depends_on_another_starts_when_that_is_healthy(seconds, health, expected):
    engine = chain(seconds, health)
    freezer = Freezer(engine, STOPPED, clock=lambda: engine.now, sleep=engine.sleep)
    freezer.freeze(nothing)

    freezer.thaw()

    assert engine.calls[3:] == [("start", "db", 0), ("start", "other", 0), ("start", "app", expected)]


def test_one_that_ends_at_once_is_not_waited_for():
    engine = chain(5)
    freezer = Freezer(engine, STOPPED, clock=lambda: engine.now, sleep=engine.sleep)
    freezer.freeze(nothing)
    real = engine.start

    def start_and_end(id_):
        real(id_)
        if id_ == "db":
            engine.by_id["db"] = replace(engine.by_id["db"], state="exited")

    engine.start = start_and_end
    freezer.thaw()

    assert engine.calls[-1] == ("start", "app", 0)


def test_which_were_healthy_is_kept():
    engine = chain(5)
    freezer = Freezer(engine, STOPPED)
    freezer.freeze(nothing)

    assert freezer.healthy == (STOPPED[2],)


def healthy_after(engine, limit):
    return wait_healthy(engine, [STOPPED[2]], limit, clock=lambda: engine.now, sleep=engine.sleep)


def test_services_are_waited_for_until_they_are_healthy():
    engine = chain(7)
    engine.start("db")

    assert healthy_after(engine, 60) == []
    assert 7 <= engine.now < 8


def test_one_that_stays_unhealthy_is_a_remark_after_the_limit():
    engine = chain(500)
    engine.start("db")

    assert healthy_after(engine, 30) == ["Service db was healthy before it stood still and is starting 30 s after."]
    assert 30 <= engine.now < 31


@pytest.mark.parametrize(("change", "word"), [({"health": "unhealthy"}, "unhealthy"), ({"state": "exited"}, "exited")])
def test_a_remark_says_how_it_is(change, word):
    engine = chain(0)
    engine.by_id["db"] = replace(engine.by_id["db"], **change)

    assert healthy_after(engine, 0) == [f"Service db was healthy before it stood still and is {word} 0 s after."]


def test_one_that_is_gone_is_a_remark():
    assert "is gone" in wait_healthy(FakeEngine(), [STOPPED[2]], 0)[0]


def test_nothing_is_waited_for_when_there_is_nothing_to_wait_for():
    engine = chain(0)

    def never(_seconds):
        pytest.fail("slept")

    assert wait_healthy(engine, [STOPPED[2]], 60, sleep=never) == []
    assert wait_healthy(engine, [], 60, sleep=never) == []


# What is known of a container


def test_what_is_needed_to_find_it_again_is_noted(engine, cgroups):
    engine.by_id["web"] = replace(
        engine.by_id["web"],
        labels={
            **engine.by_id["web"].labels,
            "com.docker.compose.container-number": "2",
            "com.docker.compose.depends_on": "db:service_healthy:false,cache:service_started:true",
        },
    )
    switch = cgroups(engine, "web")

    assert examine(engine.by_id["web"], WEB) == Entry(
        service="web",
        id="web",
        name="crm-web-1",
        mode="pause",
        method="cgroup",
        cgroup=str(switch.parent),
        project="crm",
        number="2",
        depends_on=("db", "cache"),
    )


@pytest.mark.parametrize(("mode", "method"), [("pause", "engine"), ("stop", "engine"), ("none", None)])
def test_the_engine_does_what_the_cgroup_cannot(engine, mode, method):
    entry = examine(engine.by_id["web"], replace(WEB, mode=mode))

    assert (entry.mode, entry.method, entry.cgroup, entry.depends_on) == (mode, method, None, ())
