# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.crm.continuity.plugins.action.backup_verify import ActionModule as Verify
from ansible_collections.crm.continuity.plugins.action.legacy_audit import ActionModule as Audit
from ansible_collections.crm.continuity.plugins.action.stack_backup import ActionModule as Backup
from ansible_collections.crm.continuity.plugins.action.stack_cutover import ActionModule as Cutover
from ansible_collections.crm.continuity.plugins.action.stack_stage import ActionModule as Stage
from ansible_collections.crm.continuity.plugins.module_utils import _progress
from ansible_collections.crm.continuity.plugins.plugin_utils import _progress_action
from ansible_collections.crm.continuity.plugins.plugin_utils._profile_action import ProfileAction
from ansible_collections.crm.continuity.plugins.plugin_utils._progress_action import (
    ProgressAction,
    look_command,
    verdict,
)
from ansible_collections.crm.continuity.tests.unit.fakes import shipped

RESULT = {"changed": True, "id": "20261122T020000Z", "invocation": {"module_args": {"stack": "crm"}}}
JOB = {"ansible_job_id": "j42.7", "started": True, "finished": True, "results_file": "/root/.ansible_async/j42.7"}
LOST = AnsibleConnectionFailure("Failed to connect to the host via ssh")


class Host:
    """A host that answers what it is told to; ``asked`` is what it was asked, with the task as it was then."""

    def __init__(self, looks=(), ended=None, begun=None):
        self.looks = iter(looks)
        self.ended = {**RESULT, **JOB} if ended is None else ended
        self.begun = {"changed": True, **JOB, "finished": False} if begun is None else begun
        self.modules = []
        self.commands = []
        self.resets = 0

    def execute(self, action, module_name=None, module_args=None, task_vars=None, wrap_async=False):
        task = action._task
        self.modules.append((module_name, module_args, wrap_async, task.async_val, list(task.environment or [])))
        if not wrap_async and module_name is None:
            return dict(RESULT)
        if wrap_async:
            return dict(self.begun)
        ended = next(self.ended) if isinstance(self.ended, Iterator) else self.ended
        if isinstance(ended, Exception):
            raise ended
        return dict(ended)

    def run(self, command):
        self.commands.append(command)
        if command.startswith("rm "):
            return {"rc": 0, "stdout": "", "stderr": ""}
        answer = next(self.looks, "ended")
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, dict) else {"rc": 0, "stdout": f"{answer}\r\n", "stderr": ""}

    def reset(self):
        self.resets += 1


@pytest.fixture
def said(monkeypatch):
    """Return what is displayed: text, and whether a line ends there."""
    lines = []
    monkeypatch.setattr(
        _progress_action,
        "display",
        SimpleNamespace(
            columns=60, display=lambda text, newline=True, screen_only=False: lines.append((text, newline))
        ),
    )
    return lines


@pytest.fixture
def clock(monkeypatch):
    """Let time pass by waiting only, and by 1 s for every question."""
    now = [0.0]
    ticks = itertools.count()
    monkeypatch.setattr(
        _progress_action,
        "time",
        SimpleNamespace(
            sleep=lambda seconds: now.__setitem__(0, now[0] + seconds), monotonic=lambda: now[0] + next(ticks) * 0.001
        ),
    )
    return now


@pytest.fixture
def action(said, clock):
    """Return a function that makes an action plugin for a host."""

    def make(
        host,
        kind=Verify,
        asynchronous=0,
        check_mode=False,
        no_log=False,
        environment=None,
        delegate_to=None,
        **arguments,
    ):
        class Action(kind):
            def _execute_module(self, **more):
                return host.execute(self, **more)

            def _low_level_execute_command(self, command):
                return host.run(command)

        task = SimpleNamespace(
            args=arguments,
            action="crm.continuity.stack_backup",
            async_val=asynchronous,
            check_mode=check_mode,
            diff=False,
            no_log=no_log,
            delegate_to=delegate_to,
            environment=[] if environment is None else environment,
        )
        shell = SimpleNamespace(tmpdir="/tmp/x")
        connection = SimpleNamespace(_shell=shell, has_pipelining=False, reset=host.reset)
        templar = SimpleNamespace(template=lambda value: "7" if value == "{{ seven }}" else value)
        return Action(task, connection, SimpleNamespace(), SimpleNamespace(), templar, SimpleNamespace())

    return make


def running(**progress):
    return f"running\r\n{json.dumps(progress)}"


def run(plugin, **variables):
    return plugin.run(task_vars={"inventory_hostname": "web-1", "ansible_play_hosts": ["web-1"], **variables})


def test_the_result_is_that_of_the_module(action):
    host = Host()

    assert run(action(host, stack="crm")) == RESULT


def test_the_module_is_begun_as_a_job_with_a_token_and_the_task_is_as_before(action):
    host = Host()
    environment = [{"LANG": "C"}]
    plugin = action(host, environment=environment, stack="crm")

    run(plugin, crm_job_timeout="{{ seven }}")

    name, arguments, wrapped, limit, seen = host.modules[0]
    assert (name, arguments, wrapped, limit) == (None, {"stack": "crm"}, True, 7)
    assert seen[0] == {"LANG": "C"}
    assert _progress.TOKEN.fullmatch(seen[1][_progress.VARIABLE])
    # Else Ansible would poll for it, too.
    assert plugin._task.async_val == 0
    assert plugin._task.environment is environment
    assert environment == [{"LANG": "C"}]


def test_the_task_is_as_before_also_when_the_host_is_not_reached(action, monkeypatch):
    host = Host()
    monkeypatch.setattr(host, "execute", lambda *_arguments, **_more: (part for part in ()).throw(LOST))
    plugin = action(host)

    with pytest.raises(AnsibleConnectionFailure):
        run(plugin)

    assert (plugin._task.async_val, plugin._task.environment) == (0, [])


def test_afterwards_nothing_is_left_on_the_host_for_anybody_to_collect(action):
    host = Host()

    run(action(host))

    token = host.modules[0][4][0][_progress.VARIABLE]
    assert host.commands[-1] == (
        f"rm -f /root/.ansible_async/j42.7 {_progress.place(token)} /var/lib/crm.continuity/jobs/*.{token}.json"
    )


@pytest.mark.parametrize(("asynchronous", "check_mode"), [(600, False), (0, True)], ids=["async", "check mode"])
def test_a_task_with_async_of_its_own_and_check_mode_are_left_to_ansible(action, asynchronous, check_mode):
    host = Host()

    run(action(host, asynchronous=asynchronous, check_mode=check_mode))

    assert [(wrapped, limit, seen) for _name, _arguments, wrapped, limit, seen in host.modules] == [
        (bool(asynchronous), asynchronous, [])
    ]
    assert host.commands == []


@pytest.mark.parametrize(
    "begun", [{"failed": True, "msg": "No python"}, dict(RESULT)], ids=["a failure", "a connection without jobs"]
)
def test_what_was_not_begun_as_a_job_is_not_watched(action, begun):
    host = Host(begun=begun)

    assert run(action(host)) == begun
    assert host.commands == []


def test_what_was_found_out_about_the_host_is_kept(action):
    facts = {"ansible_facts": {"discovered_interpreter_python": "/usr/bin/python3"}}
    host = Host(begun={**JOB, "finished": False, **facts})

    assert run(action(host)) == {**RESULT, **facts}


def test_lines_say_how_far_it_is(action, said):
    looks = [
        "running",
        running(subject="crm", phase="look"),
        running(subject="crm", phase="look"),
        running(subject="crm", phase="dump"),
        "running\r\nnot json",
        "running\r\n[1]",
    ]

    run(action(Host(looks)))

    assert said == [("web-1 | crm | look", True), ("web-1 | crm | dump", True)]


def test_a_host_that_the_task_is_delegated_to_is_named(action, said):
    run(action(Host([running(phase="look")]), delegate_to="old-1"))

    assert said == [("old-1 | look", True)]


def test_on_a_terminal_one_line_is_replaced_and_removed_at_the_end(action, said, monkeypatch):
    monkeypatch.setattr(_progress_action, "TERMINAL", True)
    looks = [running(subject="crm", phase="live", step="volume " + "a" * 80), running(subject="crm", phase="dump")]

    run(action(Host(looks)))

    assert [newline for _text, newline in said] == [False, False, False]
    assert said[1][0] == "\r\x1b[Kweb-1 | crm | dump"
    assert len(said[0][0]) - len("\r\x1b[K") == 59
    assert said[2][0] == "\r\x1b[K"


@pytest.mark.parametrize(
    ("variables", "no_log"),
    [({"crm_progress": "none"}, False), ({"crm_progress": "lines"}, True)],
    ids=["asked for", "no_log"],
)
def test_it_is_silent_and_the_result_is_the_same(action, said, variables, no_log):
    host = Host([running(phase="look"), LOST])

    assert run(action(host, no_log=no_log), **variables) == RESULT
    assert said == []


def test_in_the_output_of_semaphore_lines_are_printed_on_its_terminal_too(action, said, monkeypatch):
    monkeypatch.setattr(_progress_action, "TERMINAL", True)

    run(action(Host([running(phase="look")])), semaphore_vars={"task_details": {}})

    assert said == [("web-1 | look", True)]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"crm_progress": "loud"}, "crm_progress is 'loud': it is one of auto, lines, none"),
        ({"crm_progress_interval": "often"}, "crm_progress_interval is 'often'"),
        ({"crm_job_timeout": -1}, "crm_job_timeout is -1"),
        ({"crm_reconnect_timeout": None}, "crm_reconnect_timeout is None"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_before_anything_begins(action, variables, words):
    host = Host()

    with pytest.raises(AnsibleActionFail) as caught:
        run(action(host), **variables)

    assert words in str(caught.value)
    assert host.modules == []


def test_a_lost_connection_is_tried_again_and_nothing_is_begun_twice(action, said):
    host = Host([LOST, {"rc": 1, "stdout": "", "stderr": "sudo: a password is required"}, "running", "ended"])

    assert run(action(host)) == RESULT
    assert host.resets == 2
    assert [wrapped for _name, _arguments, wrapped, *_more in host.modules] == [True, False]
    assert [text for text, _newline in said] == [
        "web-1 | the connection is lost, and tried again; the job goes on there. Failed to connect to the host via ssh",
        "web-1 | is reached again",
    ]


def test_a_host_that_stays_lost_says_that_the_job_goes_on(action, clock):
    host = Host(itertools.repeat(LOST))

    with pytest.raises(AnsibleConnectionFailure, match=r"web-1 cannot be reached any more: .* goes on: run this again"):
        run(action(host), crm_reconnect_timeout=60)

    assert 60 <= clock[0] < 70


def test_patience_begins_anew_once_the_host_was_reached(action):
    lost = [LOST] * 10
    host = Host([*lost, "running", *lost, "ended"])

    assert run(action(host), crm_reconnect_timeout=60) == RESULT


def test_a_result_that_does_not_arrive_is_asked_for_again(action):
    host = Host(ended=LOST)

    with pytest.raises(AnsibleConnectionFailure):
        run(action(host), crm_reconnect_timeout=20)

    assert [name for name, *_more in host.modules].count("ansible.legacy.async_status") > 1
    assert not any(command.startswith("rm ") for command in host.commands)


def test_a_question_that_fails_on_the_host_is_asked_again_and_the_result_stays_there(action, said):
    host = Host(ended=iter([{"failed": True, "msg": "MODULE FAILURE: No space left on device"}, {**RESULT, **JOB}]))

    assert run(action(host)) == RESULT
    assert [command.startswith("rm ") for command in host.commands] == [False, False, True]
    assert said[0][0].endswith("The result cannot be fetched: MODULE FAILURE: No space left on device")


def test_a_worker_that_was_left_behind_leaves_the_result_to_the_next_run(action, monkeypatch):
    host = Host()
    monkeypatch.setattr(
        _progress_action, "multiprocessing", SimpleNamespace(parent_process=lambda: SimpleNamespace(pid=-1))
    )

    with pytest.raises(AnsibleActionFail, match="ansible-playbook has gone"):
        run(action(host))

    assert not any(command.startswith("rm ") for command in host.commands)


def test_a_module_that_was_killed_with_its_watcher_is_reported(action):
    host = Host(["gone"], ended={**JOB, "finished": False})

    result = run(action(host))

    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"].startswith("stack_backup was killed on the host, or the host was restarted")


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        pytest.param(
            {"failed": True, "cmd": "/x", "data": "", "stderr": "", "msg": "Traceback: JSONDecodeError"},
            "stack_backup was killed on the host",
            id="killed",
        ),
        pytest.param(
            {"failed": True, "cmd": "/x", "data": "", "stderr": "Out of memory", "msg": "Traceback"},
            "It said: Out of memory",
            id="with last words",
        ),
        pytest.param(
            {"failed": True, "msg": "Timeout exceeded", "child_pid": 7},
            "was ended after 600 s, which is its",
            id="timeout",
        ),
        pytest.param({"failed": True, "msg": "could not find job"}, "not on the host any more", id="removed"),
    ],
)
def test_a_module_that_left_no_result_is_reported(ended, words):
    result = verdict({**ended, "finished": True}, "stack_backup", 600)

    assert words in result["msg"]
    assert (result["failed"], result["changed"]) == (True, False)
    assert "Traceback" not in result["msg"]


def test_a_failure_of_the_module_is_its_own():
    failure = {"failed": True, "msg": "Stack crm is busy.", "stack": "crm"}

    assert verdict({**failure, **JOB}, "stack_backup", 600) == failure


def test_a_module_that_printed_something_else_is_left_to_ansible_to_explain():
    ended = {"failed": True, "cmd": "/x", "data": "Segmentation fault", "stderr": "", "msg": "Traceback"}

    assert verdict({**ended, "finished": True}, "stack_backup", 600) == ended


def test_the_plugins_add_profiles_where_they_are_needed(action):
    for kind, needed in ((Backup, True), (Stage, True), (Cutover, True), (Audit, True), (Verify, False)):
        assert issubclass(kind, ProgressAction)
        assert issubclass(kind, ProfileAction) is needed
        host = Host()
        run(action(host, kind, stack="crm"))
        assert host.modules[0][1].get("shipped_profiles") == (shipped() if needed else None)


@pytest.mark.parametrize("ended", [None, {**JOB, "failed": True, "msg": "Stack crm is busy."}], ids=["ok", "failed"])
def test_the_result_of_a_backup_says_of_which_stack_it_is(action, ended):
    assert run(action(Host(ended=ended), Backup, stack="crm"))["stack"] == "crm"


@pytest.fixture
def look(tmp_path):
    """Return a function that looks at a job on this machine, as the host's shell would."""
    (tmp_path / "it's").mkdir()

    def run_command(job, seconds=0):
        command = look_command(str(tmp_path / "it's" / job), job, str(tmp_path / "progress"), seconds)
        done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    return run_command


@pytest.fixture
def job():
    """A process that has the number of a job among its arguments, as async_wrapper does; return that number."""
    number = f"j{time.time_ns()}"
    with subprocess.Popen([sys.executable, "-c", "input()", number], stdin=subprocess.PIPE) as process:
        yield f"{number}.{process.pid}"
        process.kill()


STARTED = '{"started": true, "finished": false, "ansible_job_id": "j"}'


def test_a_job_runs_while_its_process_does(look, job, tmp_path):
    (tmp_path / "it's" / job).write_text(STARTED)
    (tmp_path / "progress").write_text('{"phase": "look"}')

    assert look(job) == 'running\n{"phase": "look"}'


def test_a_job_is_gone_without_its_process(look, tmp_path):
    (tmp_path / "it's" / "j00000000.1").write_text(STARTED)

    assert look("j00000000.1", seconds=5) == "gone\n"


def test_a_job_has_ended_with_its_result(look, job, tmp_path):
    (tmp_path / "it's" / job).write_text(json.dumps(RESULT))

    assert look(job, seconds=5) == "ended\n"


def test_a_job_that_has_not_written_yet_that_it_was_started_runs(look, job):
    assert look(job) == "running\n"


def test_a_job_whose_result_was_removed_is_gone_when_it_ends(look):
    assert look("j00000000.1", seconds=5) == "gone\n"


def test_the_end_is_noticed_at_once(look, job, tmp_path):
    results = tmp_path / "it's" / job
    results.write_text(STARTED)
    timer = threading.Timer(0.2, lambda: results.write_text(json.dumps(RESULT)))
    timer.start()
    began = time.monotonic()

    assert look(job, seconds=60) == "ended\n"
    assert time.monotonic() - began < 10
    timer.join()
