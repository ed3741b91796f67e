# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The errors are those of real ones: of ansible-core 2.19, OpenSSH and sudo."""

from __future__ import annotations

import json

import pytest

from ansible_collections.crm.continuity.plugins.plugin_utils._host_status import of_result
from ansible_collections.crm.continuity.tests.unit import status_samples as samples

SSH = "Task failed: Failed to connect to the host via ssh: "
NO_JSON = "Module result deserialization failed: No start of json char found"
CLOSED = "Shared connection to 192.0.2.7 closed.\r\n"


def unreachable(words):
    return {"unreachable": True, "msg": words, "changed": False}


def failed(words, **more):
    return {"failed": True, "msg": words, "changed": False, **more}


ERRORS = [
    pytest.param(
        unreachable(f"{SSH}ssh: connect to host 192.0.2.7 port 22: Connection refused"),
        "unreachable",
        "The host cannot be reached: ssh: connect to host 192.0.2.7 port 22: Connection refused. Check that",
        id="refused",
    ),
    pytest.param(
        unreachable(f"{SSH}ssh: Could not resolve hostname crm-a: Name or service not known"),
        "unreachable",
        "Could not resolve hostname crm-a",
        id="no such name",
    ),
    pytest.param(
        unreachable(f"{SSH}Connection timed out during banner exchange\r\nConnection to 192.0.2.7 port 22 timed out"),
        "unreachable",
        "Connection to 192.0.2.7 port 22 timed out.",
        id="silent",
    ),
    pytest.param(
        unreachable(f"{SSH}@@@@@@@@@@\r\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\r\nHost key is wrong."),
        "unreachable",
        "does not know the key of the host",
        id="another host key",
    ),
    pytest.param(
        unreachable(f"{SSH}Welcome to crm-a\r\nops@192.0.2.7: Permission denied (publickey,password)."),
        "password",
        "The host refuses the login: ops@192.0.2.7: Permission denied (publickey,password). Set ansible_user",
        id="wrong key, after a banner",
    ),
    pytest.param(
        unreachable("Invalid/incorrect username/password. Skipping remaining 0 retries"),
        "password",
        "The host refuses the login",
        id="wrong password of the user",
    ),
    pytest.param(
        failed("Task failed: Incorrect sudo password"), "password", "fails: Incorrect sudo password. Set", id="sudo"
    ),
    pytest.param(failed("Task failed: Missing sudo password"), "password", "The change to root", id="no password"),
    pytest.param(
        failed("Task failed: Timeout (12s) waiting for privilege escalation prompt: "),
        "password",
        "The change to root",
        id="no prompt",
    ),
    pytest.param(
        failed(NO_JSON, module_stdout="\r\nops is not in the sudoers file.\r\n", module_stderr=CLOSED),
        "password",
        "The change to root fails: ops is not in the sudoers file (",
        id="no right to sudo",
    ),
    pytest.param(
        failed(
            "The module interpreter '/usr/bin/python3' was not found.",
            module_stdout="/bin/sh: 1: /usr/bin/python3: not found\r\n",
            module_stderr=CLOSED,
            rc=127,
        ),
        "half_installed",
        "The host lacks what a module needs: /bin/sh: 1: /usr/bin/python3: not found (",
        id="no python",
    ),
    pytest.param(
        failed(NO_JSON, module_stdout="/bin/sh: 1: sudo: not found\r\n", module_stderr=CLOSED),
        "half_installed",
        "sudo: not found",
        id="no sudo",
    ),
    pytest.param(
        failed("ansible-core requires a minimum of Python version 3.9. Current version: 3.6.8 (default)"),
        "half_installed",
        "a minimum of Python version 3.9",
        id="old python",
    ),
    pytest.param(
        unreachable("Task failed: Failed to create temporary directory. In some cases, you may have been able to"),
        "broken",
        "Nothing can be run on the host: Failed to create temporary directory",
        id="nothing can be written",
    ),
    pytest.param(
        failed("[Errno 28] No space left on device: '/root/.ansible/tmp'"),
        "broken",
        "Its disk may be full",
        id="the disk is full",
    ),
    pytest.param(
        failed("MODULE FAILURE", module_stderr=f"Traceback (most recent call last):\n  File\nMemoryError\n{CLOSED}"),
        "broken",
        "The host gave no answer: MemoryError (MODULE FAILURE). Run",
        id="a module that dies",
    ),
    pytest.param(failed(NO_JSON, module_stdout="", module_stderr=CLOSED), "broken", NO_JSON, id="nothing"),
    pytest.param(failed("alerts has no threshold max_age."), "broken", "no threshold max_age. Run", id="a setting"),
    pytest.param({}, "broken", "it dropped out of the play before it was asked. Run", id="never asked"),
    pytest.param({"changed": False, "status": "fine"}, "broken", "The host gave no answer", id="another module"),
    pytest.param({"msg": None, "skipped": True}, "broken", "The host gave no answer", id="skipped"),
]


@pytest.mark.parametrize(("result", "code", "words"), ERRORS)
def test_a_host_without_an_answer_is_told_by_its_error(result, code, words):
    status = of_result(result, "crm-a")

    (problem,) = status["problems"]
    assert (problem["code"], problem["severity"], problem["stack"]) == (code, "critical", None)
    assert words in problem["message"]
    assert (status["host"], status["standing"], status["stacks"]) == ("crm-a", "critical", [])


@pytest.mark.parametrize("result", [case.values[0] for case in ERRORS])
def test_it_has_the_shape_of_an_answer(result):
    status = of_result(result, "crm-a")

    assert status.keys() == samples.good().keys()
    assert json.loads(json.dumps(status)) == status


def test_an_answer_is_left_as_it_is():
    assert of_result({"changed": False, "status": samples.stale()}, "x") == samples.stale()


@pytest.mark.parametrize("flag", ["failed", "unreachable"])
def test_an_answer_of_a_task_that_failed_does_not_count(flag):
    assert of_result({"status": samples.good(), flag: True, "msg": "late"}, "x")["standing"] == "critical"


def test_errors_are_short_and_without_secrets():
    result = failed("MODULE FAILURE", module_stderr="x" * 5000 + "\npostgresql://crm:s3cret@db/crm: " + "y" * 5000)

    text = json.dumps(of_result(result, "crm-a"))

    assert "s3cret" not in text
    assert "postgresql://crm:***@db/crm" in text
    assert len(text) < 1500
