# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import getpass
import platform

import pytest

from ansible_collections.crm.continuity.plugins.lookup.actor import LookupModule


@pytest.fixture
def look(monkeypatch):
    """Return a function that looks with variables, on the control node of user "ana"."""
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", lambda: "ana")
    monkeypatch.setattr(platform, "node", lambda: "control")
    return lambda **variables: LookupModule().run([], variables)


def test_a_person_is_who_runs_ansible(look):
    assert look() == [{"user": "ana", "control_node": "control"}]


def test_a_person_who_called_sudo_is_that_person(look, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "bia")

    assert look() == [{"user": "bia", "control_node": "control"}]


@pytest.mark.parametrize("prefix", ["awx", "tower"])
def test_a_job_of_the_automation_controller_is_named(look, prefix):
    variables = {f"{prefix}_job_id": 4711, f"{prefix}_user_name": "caio", f"{prefix}_job_template_name": "Nightly"}

    assert look(**variables) == [{"user": "caio", "job": f"{prefix} 4711 (Nightly)", "control_node": "control"}]


def test_a_scheduled_job_has_no_user_of_its_own(look):
    assert look(awx_job_id=4711) == [{"user": "ana", "job": "awx 4711", "control_node": "control"}]


def test_a_task_of_semaphore_is_named(look):
    details = {"id": 17, "username": "davi", "url": None}

    found = look(semaphore_vars={"task_details": details})

    assert found == [{"user": "davi", "job": "semaphore 17", "control_node": "control"}]


@pytest.mark.parametrize("value", [None, "text", {}, {"task_details": None}])
def test_other_variables_of_that_name_are_nobody(look, value):
    assert look(semaphore_vars=value) == [{"user": "ana", "control_node": "control"}]


def test_without_variables_it_is_a_person(look):
    assert LookupModule().run([], None)[0]["user"] == "ana"
