# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._check import (
    Check,
    Mask,
    has_finished,
    mask_of,
    message,
    outcome,
    unix_time,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack_find import find_one
from ansible_collections.crm.continuity.tests.unit.plugins.module_utils.check_fakes import (
    CRM,
    FakeEngine,
    container,
    described,
    on_localhost,
    profile,
)

GOOD = Check("container runs", "web", True, "runs")
BAD = Check("container runs", "worker", False, "is paused", remedy="Run docker unpause worker.")
DOUBTFUL = Check("log without errors", "web", False, "no log", severity="warning", remedy="Use another driver.")


def test_warnings_do_not_spoil_the_outcome():
    result = outcome([GOOD, DOUBTFUL])

    assert result["ok"]
    assert result["failed_checks"] == 0
    assert [entry["ok"] for entry in result["checks"]] == [True, False]


def test_one_failed_check_spoils_the_outcome():
    result = outcome([GOOD, BAD, DOUBTFUL])

    assert not result["ok"]
    assert result["failed_checks"] == 1


def test_the_message_names_what_failed_and_the_remedy_and_nothing_else():
    assert message("crm", [GOOD, BAD, DOUBTFUL]) == (
        "Stack crm is not in order. worker, container runs: is paused. Run docker unpause worker."
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("1795226400", 1795226400, id="a number"),
        pytest.param("2026-11-21T02:00:00Z", 1795226400, id="UTC"),
        pytest.param("2026-11-21T02:00:00.500000000Z", 1795226400.5, id="nanoseconds, as the engine writes"),
        pytest.param("2026-11-20T23:00:00-03:00", 1795226400, id="another zone"),
    ],
)
def test_a_time_is_understood(text, expected):
    assert unix_time(text) == expected


@pytest.mark.parametrize("text", ["yesterday", "2026-11-21", "2026-11-21T02:00:00", "2026-13-41T02:00:00Z", ""])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        unix_time(text)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("token=abcd/efgh=", id="as it is"),
        pytest.param("GET /?token=abcd%2Fefgh%3D", id="percent-encoded"),
        pytest.param("x" * 290 + "abcd/efgh=", id="where the line is cut"),
    ],
)
def test_a_secret_is_hidden(line):
    shown = Mask(["abcd/efgh="]).excerpt(line)

    assert "abcd" not in shown
    assert "***" in shown


def test_a_secret_that_contains_another_is_hidden_whole():
    assert Mask(["alpha", "alphabeta"]).hide("alphabeta") == "***"


@pytest.mark.parametrize("value", ["", "ab", "true", "False"])
def test_what_is_no_secret_is_not_hidden(value):
    assert Mask([value]).hide("ab true False") == "ab true False"


def test_an_excerpt_is_one_short_line_without_control_characters():
    shown = Mask([]).excerpt("\x1b[31mred\x1b[0m\tand\r\nbell\x07 " + "long " * 100)

    assert shown.startswith("red and bell long")
    assert len(shown) == 300
    assert shown.isprintable()


@pytest.mark.parametrize(
    "env",
    [
        pytest.param({"API_TOKEN": "s3cr3t-value"}, id="by its name"),
        pytest.param({"ODDLY_CALLED": "s3cr3t-value"}, id="listed in the profile"),
        pytest.param({"DATABASE_URL": "postgres://app:s3cr3t-value@db/app"}, id="inside an address"),
        pytest.param({"REDIS_URL": "redis://:s3cr3t-value@redis:6379"}, id="inside an address without a user"),
    ],
)
def test_the_secrets_of_an_environment_are_known(env):
    engine = FakeEngine(container("web", env=env))
    mask = mask_of(find_one(engine, profile(secrets=["ODDLY_CALLED"]), CRM))

    assert mask.hide("it is s3cr3t-value!") == "it is ***!"


def test_names_of_things_are_shown_although_profiles_list_them():
    engine = FakeEngine(container("web", env={"CACHE_PREFIX_KEY": "evolution", "CLIENT_NAME": "sales"}))
    mask = mask_of(find_one(engine, profile(secrets=["CACHE_PREFIX_KEY", "CLIENT_NAME"]), CRM))

    assert mask.hide("evolution of sales") == "evolution of sales"


def finished(engine, service):
    stack = find_one(engine, profile(), CRM)
    return has_finished(engine, stack, next(entry for entry in stack.services if entry.name == service))


def host(*others, restart="no", code=0, healthcheck=None, image="example/migrate:1"):
    """Return a host with a container "job" that has ended, beside others."""
    engine = FakeEngine(container("job", image), *others)
    engine.raw["crm-job-1"] = described(restart=restart, healthcheck=healthcheck)
    engine.end("crm-job-1", code)
    return engine


def test_a_container_that_ended_well_and_nobody_needs_has_finished():
    assert finished(host(container("web")), "job")


def test_a_job_with_the_image_of_a_redis_that_nobody_uses_has_finished():
    assert finished(host(container("web"), image="redis:7"), "job")


def test_a_container_that_runs_has_not_finished():
    assert not finished(host(container("web")), "web")


def test_a_container_that_lends_its_image_to_a_running_one_has_finished():
    assert finished(host(container("web"), image="example/app:1"), "job")


def test_the_only_container_of_its_kind_has_not_finished_but_is_missing():
    assert not finished(host(image="example/app:1"), "job")


def test_what_others_wait_for_to_complete_has_finished_whatever_its_restart_policy():
    waiting = container("web", depends_on="job:service_completed_successfully:false")

    assert finished(host(waiting, restart="always"), "job")


@pytest.mark.parametrize(
    ("others", "facts"),
    [
        pytest.param((), {"code": 1}, id="ended with an error"),
        pytest.param((), {"restart": "unless-stopped"}, id="was to be restarted"),
        pytest.param((), {"healthcheck": {"Test": ["CMD", "true"]}}, id="has a health check"),
        pytest.param((container("web", depends_on="job:service_started:false"),), {}, id="others depend on it"),
        pytest.param(
            (container("web", env={"REDIS_URL": "redis://job:6379"}, networks=on_localhost()),),
            {},
            id="holds the data of others",
        ),
    ],
)
def test_a_service_that_was_stopped_has_not_finished(others, facts):
    engine = host(container("worker"), *others, **facts)
    engine.change("crm-job-1", networks=on_localhost())

    assert not finished(engine, "job")
