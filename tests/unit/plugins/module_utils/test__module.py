# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._errors import ContinuityError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._module import audited, reported_by


class FakeModule:
    """Notes what it is told to fail with, and ends as AnsibleModule does."""

    def __init__(self, root=None):
        self.failed = None
        self.warnings = []
        self.check_mode = False
        self.params = {"backup_root": root, "actor": {"user": "ana", "job": None}}

    def warn(self, text):
        self.warnings.append(text)

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


@pytest.fixture
def noting(tmp_path):
    """A module with a backup root."""
    return FakeModule(str(tmp_path / "root"))


def events(module):
    return AuditLog(module.params["backup_root"]).read()[0]


def test_what_a_module_does_is_noted_when_it_is_done(noting):
    with audited(noting, "backup", stack="crm") as entry:
        assert events(noting) == []
        entry.backup = "20261121T020000Z"
        entry.facts["files"] = 3

    (event,) = events(noting)
    assert (event.action, event.result, event.stack, event.backup) == ("backup", "ok", "crm", "20261121T020000Z")
    assert (event.actor, event.facts) == ({"user": "ana"}, {"files": 3})
    assert entry.written == {"sequence": 1, "sha256": event.sha256}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        pytest.param(StoreError("It is full."), "It is full.", id="ours"),
        pytest.param(OSError(28, "No space left"), "[Errno 28] No space left", id="of the system"),
        pytest.param(KeyError("perhaps a secret"), "KeyError", id="a bug"),
    ],
)
def test_what_fails_is_noted_with_why(noting, error, message):
    with pytest.raises(type(error)), audited(noting, "backup"):
        raise error

    (event,) = events(noting)
    assert (event.result, event.facts) == ("failed", {"message": message})


def refuse(module):
    with audited(module, "restore") as entry:
        entry.result = "refused"
        raise StoreError("It is not signed.")


def test_a_refusal_stays_one(noting):
    with pytest.raises(StoreError):
        refuse(noting)

    assert events(noting)[0].result == "refused"


def test_nothing_is_noted_in_check_mode_and_where_nothing_was_done(noting):
    noting.check_mode = True
    with audited(noting, "backup"):
        pass
    noting.check_mode = False
    with audited(noting, "backup") as entry:
        entry.wanted = False

    assert events(noting) == []
    assert entry.written is None


def test_what_is_not_about_a_store_begins_none(noting, tmp_path):
    with audited(noting, "thaw", begin=False):
        pass

    assert not (tmp_path / "root").exists()


def test_a_log_that_cannot_be_written_does_not_fail_what_was_done(noting, tmp_path):
    (tmp_path / "root").touch()

    with audited(noting, "backup"):
        pass

    assert "The audit log does not know of this" in noting.warnings[0]


def test_a_log_that_cannot_be_written_fails_what_needs_it(noting, tmp_path):
    (tmp_path / "root").touch()

    with pytest.raises(StoreError, match="cannot be written"), audited(noting, "prune", needed=True):
        pass


def test_a_failure_is_not_covered_by_that_of_the_log(noting, tmp_path):
    (tmp_path / "root").touch()

    with pytest.raises(StoreError, match="the reason"), audited(noting, "prune", needed=True):
        raise StoreError("the reason")


def test_what_the_log_has_to_say_is_a_warning(noting):
    with audited(noting, "backup"):
        pass
    with open(AuditLog(noting.params["backup_root"]).path, "ab") as stream:
        stream.write(b"{")

    with audited(noting, "backup"):
        pass

    assert "not written to its end" in noting.warnings[0]
