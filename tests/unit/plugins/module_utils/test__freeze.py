# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, RedisError
from ansible_collections.crm.continuity.plugins.module_utils._freeze import (
    Freezer,
    Frozen,
    Target,
    dependents_first,
    guarded,
    revive,
    targets,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request, Service
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles, volume

TESTS = Path(__file__).resolve().parents[3]
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
        ("postgres", "pause"),
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
    times = iter([0.0, 1.0, 5.25, 9.0])
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


def test_an_interrupt_while_thawing_leaves_the_rest_to_the_next_call(engine):
    freezer = Freezer(engine, [WEB, CACHE])
    freezer.freeze(nothing)
    real, engine.unpause = engine.unpause, lambda id_: (never for never in ()).throw(KeyboardInterrupt)

    with pytest.raises(KeyboardInterrupt):
        freezer.thaw()
    engine.unpause = real
    freezer.thaw()

    assert states(engine)["web"] == states(engine)["cache"] == "running"


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        pytest.param("paused", [("unpause", "web")], id="paused"),
        pytest.param("exited", [("start", "web")], id="died meanwhile"),
        pytest.param("running", [], id="runs already"),
        pytest.param("restarting", [], id="comes back by itself"),
    ],
)
def test_a_container_is_brought_back_from_whatever_state_it_is_in(state, calls):
    engine = FakeEngine([container("web", "x", state=state)])

    revive(engine, WEB)

    assert engine.calls == calls


def test_a_container_that_was_removed_is_no_error():
    revive(FakeEngine(), WEB)


# The guardian. It outlives its parent, so each test has a parent of its own to kill.


PARENT = """
    import os, pathlib, signal, time
    from ansible_collections.crm.continuity.plugins.module_utils import _freeze
    from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
    from ansible_collections.crm.continuity.plugins.module_utils._engine import Container
    from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, SignalError

    directory = pathlib.Path(sys.argv[2])
    _freeze.time.sleep = lambda seconds, sleep=time.sleep: sleep(seconds / 100)

    class FileEngine:
        def __init__(self):
            if (directory / "down").exists():
                (directory / "tried").touch()
                raise EngineError("no answer")

        def container(self, id_):
            return Container(id_, id_, "x", "x", (directory / id_).read_text())

        def unpause(self, id_):
            if (directory / f"{id_}-refuses").exists():
                raise EngineError("no")
            with open(directory / "thawed", "a") as log:
                log.write(id_ + " ")
            (directory / id_).write_text("running")

        start = unpause

    wanted = [_freeze.Target("web", "web", "pause"), _freeze.Target("worker", "worker", "stop")]
    guardian = _freeze.Guardian(FileEngine, wanted)

    def freeze():
        (directory / "web").write_text("paused")
        (directory / "worker").write_text("exited")
        print("frozen", flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def parent(tmp_path):
    started = []

    def start(code):
        program = "import sys\nsys.path.insert(0, sys.argv[1])\nimport conftest\n" + textwrap.dedent(PARENT + code)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(TESTS), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout.readline() == "frozen\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


KILLED = """
    with guardian:
        freeze()
"""


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def content(path):
    return path.read_text() if path.exists() else ""


def test_a_guardian_thaws_when_its_parent_is_killed(parent, tmp_path):
    process = parent(KILLED)

    process.kill()

    eventually(lambda: content(tmp_path / "thawed") == "worker web ")


def test_a_guardian_survives_what_kills_the_whole_group_of_its_parent(parent, tmp_path):
    process = parent(KILLED)

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)

    eventually(lambda: content(tmp_path / "thawed") == "worker web ")


def test_a_guardian_does_nothing_while_its_parent_works(parent, tmp_path):
    parent(KILLED)

    time.sleep(0.3)

    assert content(tmp_path / "thawed") == ""


def test_a_guardian_that_is_dismissed_does_nothing(parent, tmp_path):
    process = parent(KILLED)

    process.communicate("go on\n", timeout=20)
    time.sleep(0.3)

    assert process.returncode == 0
    assert content(tmp_path / "thawed") == ""


def test_after_an_error_everything_runs_before_the_guardian_is_left(parent, tmp_path):
    process = parent("""
    try:
        with guardian:
            freeze()
            raise SignalError("interrupted")
    except SignalError:
        print((directory / "thawed").read_text())
    """)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output == "worker web \n"


def test_after_an_error_of_the_engine_the_guardian_goes_on_alone(parent, tmp_path):
    process = parent("""
    try:
        with guardian:
            freeze()
            (directory / "down").touch()
            raise EngineError("no answer")
    except EngineError:
        print("left", flush=True)
    """)

    output, _errors = process.communicate("go on\n", timeout=20)
    eventually((tmp_path / "tried").exists)
    (tmp_path / "down").unlink()

    assert output == "left\n"
    eventually(lambda: content(tmp_path / "thawed") == "worker web ")


def test_one_that_cannot_be_brought_back_does_not_hold_up_the_others(parent, tmp_path):
    process = parent(KILLED)
    (tmp_path / "worker-refuses").touch()

    process.kill()

    eventually(lambda: content(tmp_path / "thawed") == "web ")
    (tmp_path / "worker-refuses").unlink()
    eventually(lambda: content(tmp_path / "thawed") == "web worker ")


def test_a_guardian_that_was_killed_itself_is_no_error(parent, tmp_path):
    process = parent("""
    with guardian:
        os.kill(guardian._child, signal.SIGKILL)
        freeze()
    """)

    process.communicate("go on\n", timeout=20)

    assert process.returncode == 0


def test_a_guardian_keeps_neither_the_output_nor_the_lock_of_its_parent(parent, tmp_path):
    (tmp_path / "root").mkdir()
    process = parent("""
    with Store(str(directory / "root")).locked("crm"), guardian:
        freeze()
    """)
    (tmp_path / "down").touch()

    process.kill()
    output, _errors = process.communicate(timeout=20)

    assert output == ""
    with Store(str(tmp_path / "root")).locked("crm"):
        assert content(tmp_path / "thawed") == ""
    (tmp_path / "down").unlink()
    eventually(lambda: content(tmp_path / "thawed") == "worker web ")
