# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._module import reported_by


class FakeModule:
    """Notes what it is told to fail with, and ends as AnsibleModule does."""

    def __init__(self):
        self.failed = None

    def fail_json(self, **result):
        self.failed = result
        raise SystemExit(1)


@pytest.fixture
def module():
    return FakeModule()


def fail_with(module, error):
    with pytest.raises(SystemExit), reported_by(module):
        raise error
    return module.failed


def test_an_error_of_ours_is_reported_with_its_details(module):
    assert fail_with(module, StoreError("It is full.", path="/b")) == {"msg": "It is full.", "path": "/b"}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (PermissionError(13, "Permission denied", "/b"), "/b: Permission denied"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (OSError("odd"), "odd"),
    ],
)
def test_an_error_of_the_system_is_reported_with_its_file(module, error, message):
    assert fail_with(module, error)["msg"] == message


def test_a_bug_stays_a_traceback(module):
    with pytest.raises(ZeroDivisionError), reported_by(module):
        int("1") / 0

    assert module.failed is None


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_runs_what_has_to_be_undone_once_and_is_reported(module, number):
    undone = []

    def work():
        with reported_by(module):
            try:
                os.kill(os.getpid(), number)
            finally:
                os.kill(os.getpid(), number)
                undone.append(True)

    with pytest.raises(SystemExit):
        work()

    assert undone == [True]
    assert module.failed["msg"].startswith(f"Interrupted by {number.name}.")


def test_signals_mean_afterwards_what_they_meant_before(module):
    numbers = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    fail_with(module, ContinuityError("x"))

    assert [signal.getsignal(number) for number in numbers] == before
