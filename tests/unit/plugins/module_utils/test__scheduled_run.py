# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
import time

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _scheduled_run
from ansible_collections.crm.continuity.plugins.module_utils._errors import SignalError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._schedule_job import CRON, Call
from ansible_collections.crm.continuity.plugins.module_utils._schedule_state import RUNNING
from ansible_collections.crm.continuity.plugins.module_utils._scheduled_run import BUSY, _wait, as_process
from ansible_collections.crm.continuity.tests.unit.schedule_fakes import TAKEN, VERIFIED, FakeHost, at, job, run


@pytest.fixture
def host(tmp_path):
    return FakeHost(tmp_path)


def failing(for_stack):
    return lambda given: {"failed": True, "msg": "No space left."} if given["stack"] == for_stack else TAKEN


PROFILES = {"profiles": [], "shipped_profiles": [{"name": "x"}]}


def test_a_job_runs_its_modules_for_every_stack_that_is_found(host):
    host.install(job())

    assert host.runner.run("backup") == 0

    assert host.calls == [
        ("stack_info", {"details": False, **PROFILES}),
        ("stack_backup", {"backup_root": "/var/backups/crm", "stack": "crm", **PROFILES}),
        ("stack_backup", {"backup_root": "/var/backups/crm", "stack": "ticketz", **PROFILES}),
    ]


def test_a_job_runs_its_modules_for_the_stacks_that_the_user_named_as_he_described_them(host):
    host.install(
        job(
            find={"stacks": [{"name": "crm", "project_dir": "/opt/crm"}, {"name": "ticketz", "profiles": ["ticketz"]}]},
            calls=(
                Call(
                    "stack_backup",
                    {"backup_root": "/b"},
                    each=True,
                    recognises=True,
                    stack_fields=("stack", "stack_profiles", "project_dir"),
                ),
            ),
        )
    )

    assert host.runner.run("backup") == 0

    assert host.calls == [
        ("stack_backup", {"backup_root": "/b", "stack": "crm", "project_dir": "/opt/crm", **PROFILES}),
        ("stack_backup", {"backup_root": "/b", "stack": "ticketz", "stack_profiles": ["ticketz"], **PROFILES}),
    ]


def test_a_run_is_noted_with_its_steps_and_told_in_short_lines(host):
    host.install(job())

    host.runner.run("backup")

    last = host.state().last
    assert (last.result, last.ended, last.due, last.late) == ("ok", last.began, "2026-11-22T02:00:00+00:00", 3)
    assert [(step.module, step.stack, step.ok) for step in last.steps] == [
        ("stack_backup", "crm", True),
        ("stack_backup", "ticketz", True),
    ]
    assert host.state().last_success == last.began
    assert host.lines[1:] == [
        "crm: stack_backup: 20261122T020003Z, 14.8 MB, 627 files, 1 row, frozen for 0.031 s",
        "ticketz: stack_backup: 20261122T020003Z, 14.8 MB, 627 files, 1 row, frozen for 0.031 s",
        "backup: ok after 0 s, next 2026-11-23T02:00:00+00:00",
    ]


def test_the_failure_of_one_stack_does_not_stop_the_next_and_fails_the_run(host):
    host.install(job())
    host.results["stack_backup"] = failing("crm")

    assert host.runner.run("backup") == 1

    last = host.state().last
    assert (last.result, last.message) == ("failed", "crm: stack_backup: No space left.")
    assert [step.ok for step in last.steps] == [False, True]
    assert host.state().last_success is None


def test_after_a_failure_nothing_else_is_done_for_that_stack(host):
    host.install(job(calls=(Call("stack_backup", {}, each=True), Call("backup_prune", {}, each=True))))
    host.results["stack_backup"] = failing("crm")

    host.runner.run("backup")

    assert [(module, given["stack"]) for module, given in host.calls[1:]] == [
        ("stack_backup", "crm"),
        ("stack_backup", "ticketz"),
        ("backup_prune", "ticketz"),
    ]


def test_what_need_not_succeed_is_only_noted(host):
    host.install(job("verify", calls=(Call("backup_verify", {}, must=False), Call("backup_prune", {}))))
    host.results["backup_verify"] = {"failed": True, "msg": "Damaged."}

    assert host.runner.run("verify") == 0
    assert [step.ok for step in host.state("verify").last.steps] == [False, True]


def test_a_list_that_has_to_be_empty_fails_the_run_when_it_is_not(host):
    host.install(job(calls=(Call("stack_backup", {}, each=True, empty=("anomalies",)),)))
    host.results["stack_backup"] = {**TAKEN, "anomalies": [{"message": "half of the rows are gone"}]}

    assert host.runner.run("backup") == 1
    assert "ANOMALOUS: half of the rows are gone" in host.state().last.message


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"stacks": []}, "No stack of a known CRM was found"),
        ({"failed": True, "msg": "The Docker daemon does not answer."}, "The Docker daemon does not answer."),
    ],
)
def test_a_host_without_stacks_fails(host, found, words):
    host.install(job())
    host.results["stack_info"] = found

    assert host.runner.run("backup") == 1
    assert words in host.state().last.message
    assert [module for module, _given in host.calls] == ["stack_info"]


def test_a_named_stack_that_is_not_there_fails_in_the_module_which_notes_it(host):
    def look(given):
        return {"failed": True, "msg": "There is no stack crm on this host."} if given["stack"] == "crm" else TAKEN

    host.install(job(find={"stacks": [{"name": "crm"}, {"name": "ticketz"}]}))
    host.results["stack_info"] = {"failed": True, "msg": "There is no stack crm on this host."}
    host.results["stack_backup"] = look

    assert host.runner.run("backup") == 1

    last = host.state().last
    assert last.message == "crm: stack_backup: There is no stack crm on this host."
    assert [(step.module, step.stack, step.ok) for step in last.steps] == [
        ("stack_backup", "crm", False),
        ("stack_backup", "ticketz", True),
    ]


@pytest.mark.parametrize(
    ("module", "waits"), [("stack_backup", True), ("backup_prune", True), ("backup_verify", False)]
)
def test_what_works_on_stacks_waits_for_another_job_that_does(host, module, waits):
    host.install(job(calls=(Call(module, {}),)), since="2026-11-21T12:00:00")
    os.makedirs(host.runner.locks)
    begun = threading.Event()
    host.runner.say = lambda line: (host.lines.append(line), begun.set())
    runner = threading.Thread(target=host.runner.run, args=("backup",))

    with open(os.path.join(host.runner.locks, "schedule-.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        runner.start()
        assert begun.wait(10)
        meanwhile = list(host.calls)
    runner.join()

    assert (meanwhile == [], "waits for another job of this host" in host.lines) == (waits, waits)
    assert [called for called, _given in host.calls] == [module]


def test_times_that_had_no_run_are_counted_when_the_host_is_on_again(host):
    host.install(job())
    host.remember(run("2026-11-18T02:00:01", "2026-11-18T02:00:09", result="ok"))

    host.runner.run("backup")

    last = host.state().last
    assert (last.due, last.missed) == ("2026-11-22T02:00:00+00:00", 3)
    assert host.lines[0] == "backup: 3 times before 2026-11-22T02:00:00+00:00 had no run; this one catches up"


def test_a_run_by_hand_is_due_to_no_time(host):
    host.install(job())
    host.remember(run("2026-11-22T02:00:01", "2026-11-22T02:00:02", result="ok"))

    host.runner.run("backup")

    assert (host.state().last.due, host.state().last.missed, host.state().last.late) == (None, 0, 0)


def test_a_run_that_was_killed_is_noted_by_the_next_one(host):
    host.install(job())
    host.remember(run("2026-11-21T02:00:01", result=RUNNING))

    host.runner.run("backup")

    killed, last = host.state().runs
    assert (killed.result, last.result) == ("killed", "ok")
    assert "It was killed before its first step" in killed.message


def test_what_the_service_manager_saw_is_noted_for_a_run_that_was_killed(host):
    host.install(job(metrics_directory=str(host.directory)))
    host.remember(run("2026-11-22T02:00:01", result=RUNNING))

    assert host.runner.failed("backup") == 0

    assert host.state().last.message.endswith("(the service manager says: signal, KILL)")
    assert 'last_run_success{timer="backup"} 0' in (host.directory / "crm_backup_schedule.prom").read_text()


def test_a_run_that_could_not_begin_is_noted_too(host):
    host.install(job())
    host.remember(run("2026-11-21T02:00:01", "2026-11-21T02:01:00", result="ok"))

    host.runner.failed("backup")

    last = host.state().last
    assert (last.result, last.message) == (
        "failed",
        "It could not begin: the service manager says: signal, KILL. "
        "See journalctl -u crm-continuity-backup on the host.",
    )


def test_a_failure_that_the_run_has_noted_itself_is_not_noted_again(host):
    host.install(job())
    host.remember(run("2026-11-22T01:59:01", "2026-11-22T02:00:00", result="failed", message="No space left."))

    host.runner.failed("backup")

    assert [entry.message for entry in host.state().runs] == ["No space left."]


def test_a_run_that_somebody_has_started_again_meanwhile_is_left_alone(host):
    host.install(job())
    host.remember(run("2026-11-22T02:00:01", result=RUNNING))
    os.makedirs(host.runner.locks)
    with open(os.path.join(host.runner.locks, "schedule-backup.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert host.runner.failed("backup") == 0

    # It notes what became of the run before, and nobody writes into the books meanwhile.
    assert [entry.result for entry in host.state().runs] == [RUNNING]


def test_a_signal_ends_the_run_and_is_noted(host):
    def interrupted(_given):
        raise SignalError("Interrupted by SIGTERM.")

    host.install(job())
    host.results["stack_backup"] = interrupted

    with pytest.raises(SignalError):
        host.runner.run("backup")
    assert (host.state().last.result, host.state().last.message) == ("killed", "Interrupted by SIGTERM.")


def test_after_a_signal_cron_begins_nothing_else(host):
    def interrupted(_given):
        raise SignalError("Interrupted by SIGTERM.")

    host.install(job(manager=CRON))
    host.install(job("verify", calls=(Call("backup_verify", {}),), manager=CRON))
    host.results["stack_backup"] = interrupted

    with pytest.raises(SignalError):
        host.runner.tick()

    assert [module for module, _given in host.calls] == ["stack_info", "stack_backup"]


def test_two_runs_of_a_job_do_not_overlap(host):
    host.install(job())
    os.makedirs(host.runner.locks)
    with open(os.path.join(host.runner.locks, "schedule-backup.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        assert host.runner.run("backup") == BUSY

    assert host.calls == []
    assert host.lines == ["backup: it runs already"]


def test_while_it_runs_the_state_says_so(host):
    seen = []

    def look(_given):
        seen.append((host.state().last.verdict, len(host.state().last.steps)))
        return TAKEN

    host.install(job())
    host.results["stack_backup"] = look

    host.runner.run("backup")

    assert seen == [("running", 0), ("running", 1)]


@pytest.mark.parametrize(
    ("now", "runs"), [("2026-11-22T01:59:59", 0), ("2026-11-22T02:00:00", 1), ("2026-11-22T09:00:00", 1)]
)
def test_cron_runs_what_is_due(host, now, runs):
    host.install(job(manager=CRON))
    host.remember(run("2026-11-21T02:00:01", "2026-11-21T02:01:00", result="ok"))
    host.clock = at(now)

    assert host.runner.tick() == 0
    assert len(host.state().runs) == 1 + runs


def test_cron_does_not_run_it_twice(host):
    host.install(job(manager=CRON))

    host.runner.tick()
    host.runner.tick()

    assert len(host.state().runs) == 1


def test_cron_does_not_run_it_again_and_again_where_the_state_cannot_be_written(host):
    host.install(job(manager=CRON))
    (host.directory / "state").write_text("in the way")

    for _time in range(3):
        assert host.runner.tick() == 0

    assert [module for module, _given in host.calls].count("stack_info") == 1


@pytest.mark.parametrize("since", ["2026-11-18T12:00:00", "2030-01-01T00:00:00"])
def test_cron_goes_on_once_a_clock_that_was_ahead_is_right_again(host, since):
    host.install(job(manager=CRON), since=since)
    host.remember(run("2030-01-01T02:00:01", "2030-01-01T02:01:00", result="ok"))

    host.runner.tick()
    host.runner.tick()

    assert [entry.began for entry in host.state().runs[1:]] == ["2026-11-22T02:00:03+00:00"]


def test_a_run_within_its_own_delay_is_not_done_again(host, monkeypatch):
    monkeypatch.setattr(_scheduled_run, "_wait", lambda _job: 600)
    host.install(job(manager=CRON))
    host.remember(
        run("2026-11-21T02:10:01", "2026-11-21T02:11:00", result="ok"),
        run("2026-11-22T02:05:00", "2026-11-22T02:06:00", result="ok"),
    )
    host.clock = at("2026-11-22T02:12:00")

    assert (host.runner.tick(), host.calls) == (0, [])


def test_a_timer_that_is_damaged_hides_the_metrics_of_no_other(host):
    host.install(job(metrics_directory=str(host.directory)))
    host.install(job("verify", calls=(Call("backup_verify", {}),)))
    host.remember(name="verify")
    (host.directory / "state" / "verify.json").write_text("{")
    (host.directory / "jobs" / "another.json").write_text("{}")

    host.runner.run("backup")

    written = (host.directory / "crm_backup_schedule.prom").read_text()
    assert 'last_run_success{timer="backup"} 1' in written
    assert any(line.startswith("backup: There are no metrics of the timer verify: ") for line in host.lines)


def test_what_a_module_remarks_and_warns_of_is_in_the_journal(host):
    host.install(job("verify", calls=(Call("backup_verify", {}),)))
    warning = {"event": {"msg": "The audit log does not know of this."}, "__ansible_type": "WarningSummary"}
    host.results["backup_verify"] = {**VERIFIED, "remarks": ["It is not signed."], "warnings": [warning]}

    host.runner.run("verify")

    assert host.lines[-3:-1] == [
        "backup_verify: ! It is not signed.",
        "backup_verify: ! The audit log does not know of this.",
    ]


def test_cron_leaves_the_jobs_of_systemd_alone(host):
    host.install(job())

    assert (host.runner.tick(), host.calls) == (0, [])


def test_cron_waits_on_every_host_in_its_own_way():
    waits = [_wait(job(delay=900), f"host-{number}") for number in range(50)]

    assert len(set(waits)) > 40
    assert all(0 <= wait < 900 for wait in waits)
    assert waits[0] == _wait(job(delay=900), "host-0")


def test_cron_tells_of_a_job_that_cannot_be_read_and_runs_the_others(host):
    host.install(job(manager=CRON))
    (host.directory / "jobs" / "another.json").write_text("{}")

    assert host.runner.tick() == 1
    assert "another.json is damaged" in host.lines[0]
    assert host.state().last.result == "ok"


def test_a_trial_runs_in_check_mode_what_can_be_tried_and_notes_nothing(host):
    host.install(
        job(calls=(Call("stack_backup", {"level": 3}, each=True, trial={"level": 1}), Call("backup_prune", {})))
    )
    host.results["stack_info"] = {"stacks": [{"name": "crm"}]}
    host.results["stack_backup"] = {"directory": "/var/backups/crm/crm/20261122T020003Z"}

    tried = host.runner.trial("backup")

    assert (tried["ok"], tried["message"], [step["message"] for step in tried["steps"]]) == (
        True,
        "",
        ["would go to /var/backups/crm/crm/20261122T020003Z"],
    )
    assert [module for module, _given in host.calls] == ["stack_info", "stack_backup"]
    assert all(given["_ansible_check_mode"] for _module, given in host.calls)
    assert host.calls[1][1]["level"] == 1
    assert not os.path.exists(host.place.state)


def test_a_trial_says_what_would_fail(host):
    host.install(job())
    host.results["stack_backup"] = failing("crm")

    tried = host.runner.trial("backup")

    assert (tried["ok"], tried["message"]) == (False, "crm: stack_backup: No space left.")


def test_a_job_that_does_not_exist_is_refused_by_name(host):
    host.install(job())

    with pytest.raises(StoreError, match=r"There is no job drill in .*, which has: backup"):
        host.runner.run("drill")


def test_a_state_that_cannot_be_written_does_not_stop_a_backup(host):
    host.install(job())
    (host.directory / "state").write_text("in the way")

    assert host.runner.run("backup") == 0
    assert any("its state cannot be written" in line for line in host.lines)


def test_a_state_that_is_damaged_begins_anew(host):
    host.install(job())
    host.remember()
    (host.directory / "state" / "backup.json").write_text("{")

    assert host.runner.run("backup") == 0
    assert "is damaged" in host.lines[0]
    assert [entry.result for entry in host.state().runs] == ["ok"]


def test_the_state_holds_nothing_of_the_arguments(host):
    host.install(job(calls=(Call("stack_backup", {"encryption": {"passphrase_file": "/root/secret"}}, each=True),)))

    host.runner.run("backup")

    assert "/root/secret" not in json.dumps(host.lines) + (host.directory / "state" / "backup.json").read_text()


PROGRAM = """
import json, os, signal, sys, time
assert sys.argv[1] == "module", sys.argv
given = json.load(sys.stdin)["ANSIBLE_MODULE_ARGS"]
what = sys.argv[2]
if what == "works":
    print("a word before")
    print(json.dumps({"given": given}))
elif what == "fails":
    print(json.dumps({"failed": True, "msg": "No space left."}))
    sys.exit(1)
elif what == "silent":
    sys.exit("a traceback")
elif what == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif what == "slow":
    def thaw(number, frame):
        print(json.dumps({"failed": True, "msg": "Interrupted. What was frozen has been thawed."}))
        sys.stdout.flush()
        os._exit(1)
    signal.signal(signal.SIGTERM, thaw)
    open(given["begun"], "w").close()
    time.sleep(30)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program in the place of this one that knows some modules."""
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    monkeypatch.setattr("sys.argv", [str(path)])
    return tmp_path


@pytest.mark.usefixtures("program")
def test_a_module_is_a_process_with_its_arguments_on_standard_input():
    given = as_process("works", {"stack": "crm"}, 10)["given"]

    assert given["stack"] == "crm"
    # What it is called with would fill the journal.
    assert given["_ansible_no_log"] is True


@pytest.mark.usefixtures("program")
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("fails", "No space left."),
        ("silent", "silent ended with 1: a traceback"),
        ("killed", "killed was killed by SIGKILL: it printed nothing"),
    ],
)
def test_a_module_that_fails_or_dies_has_failed_and_says_why(module, words):
    result = as_process(module, {}, 10)

    assert (result["failed"], result["msg"]) == (True, words)


def test_a_module_that_takes_too_long_is_told_to_end_and_may_bring_everything_back(program):
    result = as_process("slow", {"begun": str(program / "begun")}, 3.0)

    assert result["failed"]
    assert result["msg"] == "It took longer than 3 s and was ended. Interrupted. What was frozen has been thawed."


def test_a_signal_is_passed_on_to_the_module_before_the_run_ends(program):
    def interrupt(_number, _frame):
        raise SignalError("Interrupted by SIGTERM.")

    def strike():
        while not (program / "begun").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    previous = signal.signal(signal.SIGTERM, interrupt)
    striker = threading.Thread(target=strike)
    striker.start()
    try:
        with pytest.raises(SignalError):
            as_process("slow", {"begun": str(program / "begun")}, 20)
    finally:
        signal.signal(signal.SIGTERM, previous)
        striker.join()
