# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._container_check import Request, look
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request as StackRequest
from ansible_collections.crm.continuity.tests.unit.plugins.module_utils.check_fakes import (
    CRM,
    FakeClock,
    FakeEngine,
    container,
    described,
    profile,
)

JUST_NOW = "2026-11-21T02:59:59Z"


def check(engine, time=None, **options):
    """Check the stack and return what was found by subject."""
    time = time or FakeClock()
    found = look(Request(CRM, **options), engine, profile(), time.clock())
    return {entry.subject: entry for entry in found}


def test_a_stack_that_is_well_is_so_at_once():
    time = FakeClock()
    engine = FakeEngine(container("web", health="healthy"), container("worker"))

    found = check(engine, time)

    assert {name: (entry.ok, entry.detail) for name, entry in found.items()} == {
        "web": (True, "runs, healthy"),
        "worker": (True, "runs, no health check"),
    }
    assert time.passed == 0


def test_containers_of_one_service_are_told_apart():
    engine = FakeEngine(container("web"), container("web", name="crm-web-2"))

    assert list(check(engine)) == ["web (crm-web-1)", "web (crm-web-2)"]


def test_other_stacks_do_not_count():
    engine = FakeEngine(container("web"), container("web", project="shop", state="paused"))

    assert list(check(engine)) == ["web"]


def test_an_unknown_stack_is_an_error_and_no_finding():
    engine = FakeEngine(container("web"))

    with pytest.raises(StackError, match="no stack shop"):
        look(Request(StackRequest("shop")), engine, profile(), FakeClock().clock())


def test_a_stopped_service_fails_without_waiting():
    time = FakeClock()
    engine = FakeEngine(container("web"), container("worker"))
    engine.end("crm-worker-1", 137, OOMKilled=True)

    found = check(engine, time)["worker"]

    assert found.failed
    assert found.detail == "has ended with exit code 137, killed because memory ran out"
    assert "docker start crm-worker-1" in found.remedy
    assert time.passed == 0


def test_the_engines_reason_is_told_without_secrets():
    engine = FakeEngine(container("web", env={"API_KEY": "s3cr3t-value"}))
    engine.change("crm-web-1", state="created")
    engine.raw["crm-web-1"]["State"] = {"ExitCode": 128, "Error": "no such file: /run/s3cr3t-value"}

    assert check(engine)["web"].detail == "was never started (no such file: /run/***)"


def test_a_container_that_was_to_run_once_is_a_warning():
    engine = FakeEngine(container("web"), container("migrate", "example/migrate:1"))
    engine.raw["crm-migrate-1"] = described(restart="no")
    engine.end("crm-migrate-1")

    found = check(engine)["migrate"]

    assert not found.ok
    assert not found.failed


def test_a_service_that_was_not_asked_for_is_a_warning():
    engine = FakeEngine(container("web"), container("worker"))
    engine.end("crm-worker-1", 1)

    found = check(engine, services=("web",))

    assert found["web"].ok
    assert not found["worker"].ok
    assert not found["worker"].failed


def test_an_expected_service_without_a_container_fails():
    found = check(FakeEngine(container("web")), services=("web", "worker"))["worker"]

    assert found.failed
    assert found.detail == "has no container"
    assert found.remedy == "Run docker compose up -d worker in /opt/crm."


def test_a_container_that_becomes_healthy_is_waited_for():
    engine = FakeEngine(container("web", health="starting"))
    time = FakeClock({30: lambda: engine.change("crm-web-1", health="healthy")})

    assert check(engine, time)["web"].ok
    assert time.passed == 30


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"health": "starting"}, "not healthy 10 seconds after", id="starting"),
        pytest.param({"health": "unhealthy"}, "its health check fails: curl: (7) *** refused", id="unhealthy"),
        pytest.param({"state": "paused"}, "is paused", id="paused"),
        pytest.param({"state": "restarting", "restart_count": 7}, "exit code 1, restarted 7 times", id="restarting"),
    ],
)
def test_what_does_not_get_well_fails_when_the_time_is_over(fields, words):
    time = FakeClock()
    engine = FakeEngine(container("web", env={"HOST_KEY": "db.internal"}, **fields))
    engine.raw["crm-web-1"]["State"] = {
        "ExitCode": 1,
        "Health": {"Log": [{"Output": "older"}, {"Output": "curl: (7) db.internal refused\n"}]},
    }

    found = check(engine, time, timeout=10)["web"]

    assert found.failed
    assert words in found.detail
    assert found.remedy
    assert time.passed == 10


def test_a_pause_that_ends_is_no_finding():
    engine = FakeEngine(container("web", state="paused"))
    time = FakeClock({2: lambda: engine.change("crm-web-1", state="running")})

    assert check(engine, time)["web"].ok


def test_a_young_container_is_watched_until_it_has_settled():
    time = FakeClock()

    found = check(FakeEngine(container("web", started_at=JUST_NOW)), time)

    assert found["web"].ok
    assert time.passed == 4


def test_a_clock_that_differs_from_the_engines_does_not_hang_the_check():
    time = FakeClock()

    found = check(FakeEngine(container("web", started_at="2027-01-01T00:00:00Z")), time)

    assert found["web"].ok
    assert time.passed == 5


def test_a_young_container_that_ends_while_we_look_fails():
    engine = FakeEngine(container("web", started_at=JUST_NOW))
    time = FakeClock({2: lambda: engine.end("crm-web-1", 1)})

    assert check(engine, time)["web"].failed


def test_a_restart_loop_fails_as_soon_as_it_shows():
    engine = FakeEngine(container("web", started_at=JUST_NOW, restart_count=4))

    def restart():
        count = engine.container("crm-web-1").restart_count + 1
        engine.change("crm-web-1", restart_count=count, started_at=f"2026-11-21T03:00:{count:02}Z")

    time = FakeClock({1: restart, 2: restart, 3: restart})

    found = check(engine, time)["web"]

    assert found.failed
    assert "does not stay up" in found.detail
    assert time.passed == 3


def test_one_restart_while_we_look_is_a_warning_once_the_container_stays():
    engine = FakeEngine(container("web", started_at=JUST_NOW))
    restart = {"restart_count": 1, "started_at": "2026-11-21T03:00:02Z"}
    time = FakeClock({2: lambda: engine.change("crm-web-1", **restart)})

    found = check(engine, time)["web"]

    assert not found.ok
    assert not found.failed
    assert found.detail == "runs, no health check, but was restarted once while we looked"
    assert time.passed == 7


def test_one_restart_fails_when_there_is_no_time_to_see_the_container_stay():
    engine = FakeEngine(container("web", started_at=JUST_NOW))
    restart = {"restart_count": 1, "started_at": "2026-11-21T03:00:02Z"}
    time = FakeClock({2: lambda: engine.change("crm-web-1", **restart)})

    assert check(engine, time, timeout=3)["web"].failed


def test_earlier_restarts_are_told_and_are_no_finding():
    found = check(FakeEngine(container("web", restart_count=2)))["web"]

    assert found.ok
    assert found.detail == "runs, no health check; the engine has restarted it 2 times before"


def test_a_container_that_is_removed_while_we_look_fails():
    engine = FakeEngine(container("web", health="starting"))
    time = FakeClock({1: engine.by_name.clear})

    found = check(engine, time)["web"]

    assert found.failed
    assert found.detail == "was removed while we looked"
