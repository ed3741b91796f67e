# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError
from ansible_collections.crm.continuity.plugins.module_utils._log_check import Request, look
from ansible_collections.crm.continuity.tests.unit.plugins.module_utils.check_fakes import (
    CRM,
    FakeEngine,
    container,
    described,
    pattern,
    profile,
)

LOST = pattern(re.compile("FileNotFoundError"), "an attachment is missing")
FULL = pattern(re.compile("ENOSPC"), "the disk is full")
FORGED = pattern(re.compile("InvalidSignature"), "a link is forged", "warning")


@pytest.fixture
def engine():
    engine = FakeEngine(container("web", env={"API_KEY": "s3cr3t-value"}), container("redis", "redis:7"))
    engine.log["crm-web-1"] = ["started", "ready"]
    return engine


def check(engine, **options):
    return look(Request(CRM, **options), engine, profile(logs=[LOST, FULL, FORGED]))


def test_a_quiet_log_is_well(engine):
    (found,) = check(engine)

    assert found.ok
    assert found.subject == "web"
    assert found.detail == "no known error in 2 lines"


def test_only_the_services_of_a_profile_are_searched(engine):
    check(engine, lines=50, since=1795226400)

    assert engine.asked_for_logs == [("crm-web-1", 50, 1795226400)]


def test_each_pattern_that_occurs_is_one_finding_with_meaning_count_and_example(engine):
    engine.log["crm-web-1"] += ["ENOSPC", "FileNotFoundError: one", "well", "FileNotFoundError: two"]

    lost, full = check(engine)

    assert lost.failed
    assert lost.detail == "an attachment is missing (2 times), last: FileNotFoundError: two"
    assert lost.remedy == "See docker logs --tail 200 crm-web-1."
    assert full.detail == "the disk is full (once), last: ENOSPC"


def test_a_pattern_that_only_warns_does_not_fail(engine):
    engine.log["crm-web-1"].append("InvalidSignature")

    (found,) = check(engine)

    assert not found.ok
    assert not found.failed


def test_an_example_shows_no_secret_and_no_colour(engine):
    engine.log["crm-web-1"].append("\x1b[31mFile\x1b[0mNotFoundError for key=s3cr3t-value")

    (found,) = check(engine)

    assert found.detail.endswith("last: FileNotFoundError for key=***")


def test_an_example_is_cut(engine):
    engine.log["crm-web-1"].append("FileNotFoundError " + "x" * 1000)

    (found,) = check(engine)

    assert len(found.detail) < 400


def test_a_container_that_keeps_no_log_is_a_warning(engine):
    engine.raw["crm-web-1"] = described(log_driver="none")

    (found,) = check(engine)

    assert not found.ok
    assert not found.failed
    assert engine.asked_for_logs == []


def test_a_log_that_cannot_be_read_is_an_error_and_not_a_quiet_log(engine):
    def refuse(*_arguments):
        raise EngineError("the daemon went away")

    engine.logs = refuse

    with pytest.raises(EngineError, match="went away"):
        check(engine)


def test_a_stopped_service_is_searched(engine):
    engine.log["crm-web-1"].append("ENOSPC")
    engine.end("crm-web-1", 1)

    (found,) = check(engine)

    assert found.failed


def test_a_container_that_has_finished_its_work_is_not_searched(engine):
    engine.by_name["crm-base-1"] = container("base")
    engine.raw["crm-base-1"] = described(restart="no")
    engine.end("crm-base-1")

    assert [entry.subject for entry in check(engine)] == ["web"]
