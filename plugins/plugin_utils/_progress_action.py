# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module detached from the connection, and tell how far it is while it runs.

What Ansible does for ``async`` and ``poll``, with fewer round trips and with progress: the module goes on whatever
becomes of the connection and of this process, one command on the host waits for its end or for the next look, and a
connection that is lost is tried again for a while. The result is what the module returns when it is run directly.

A token in the module's environment says where it tells its progress and keeps its result; see _progress and _job of
module_utils. A task with ``async`` of its own, and check mode, are left to Ansible. Private to this collection.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shlex
import sys
import time
import typing as t
import uuid

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure, AnsibleError
from ansible.utils.display import Display

from ..module_utils._job import JOBS
from ..module_utils._progress import VARIABLE, place
from ._module_action import ModuleAction
from ._progress_lines import AUTO, COLLECTED, MODES, NONE, Manner, Pace, describe, manner

if t.TYPE_CHECKING:
    from collections.abc import Mapping

display = Display()

# Asked while this file is loaded, which is before Ansible forks: its workers have no terminal.
TERMINAL = (
    sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and not any(name in os.environ for name in COLLECTED)
)
ERASE = "\r\x1b[K"

TIMEOUT = 43200
# Seconds for which a connection that is lost is tried again, and between two tries.
RECONNECT = 600
PAUSE = 5
# Of what async_status returns, what is not of the module.
OF_THE_JOB = ("ansible_job_id", "started", "finished", "results_file")
RUNNING, ENDED, GONE = "running", "ended", "gone"


class ProgressAction(ModuleAction):
    """Runs the module as a job of the host's own, and watches it."""

    def _carry_out(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        if self._task.async_val or self._task.check_mode:
            return super()._carry_out(arguments, task_vars)
        variables = task_vars or {}
        how = self._manner(variables)
        limit = int(self._number(variables, "crm_job_timeout", TIMEOUT))
        patience = self._number(variables, "crm_reconnect_timeout", RECONNECT)
        token = uuid.uuid4().hex
        begun = self._begin(arguments, task_vars, token, limit)
        if "results_file" not in begun:
            # It could not be begun, or the connection runs modules in its own way.
            return begun
        host = str(self._task.delegate_to or variables.get("inventory_hostname", "this host"))
        watch = _Watch(self, begun, token, how, patience, host)
        ended = watch.until_its_end(task_vars)
        result = verdict(ended, str(self._task.action).rpartition(".")[2], limit)
        if "ansible_facts" in begun:
            # What was found out about the host, such as its Python.
            result["ansible_facts"] = {**begun["ansible_facts"], **result.get("ansible_facts", {})}
        return result

    def _begin(
        self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None, token: str, limit: int
    ) -> dict[str, t.Any]:
        task, environment = self._task, self._task.environment
        try:
            task.async_val = limit
            task.environment = [*(environment or ()), {VARIABLE: token}]
            begun: dict[str, t.Any] = self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=True)
        finally:
            # Else Ansible would poll, too.
            task.async_val, task.environment = 0, environment
        return begun

    def _manner(self, variables: Mapping[str, t.Any]) -> Manner:
        mode = str(self._value(variables, "crm_progress", AUTO) or AUTO).lower()
        if mode not in MODES:
            raise AnsibleActionFail(f"crm_progress is {mode!r}: it is one of {', '.join(MODES)}.")
        if self._task.no_log:
            mode = NONE
        interval = self._number(variables, "crm_progress_interval", 0)
        forks = int(self._number(variables, "ansible_forks", 5))
        hosts = len(variables.get("ansible_play_batch") or variables.get("ansible_play_hosts") or [None])
        terminal = TERMINAL and "semaphore_vars" not in variables
        return manner(mode, interval, hosts=max(1, min(forks, hosts)), terminal=terminal)

    def _value(self, variables: Mapping[str, t.Any], name: str, default: object) -> t.Any:
        return self._templar.template(variables[name]) if name in variables else default

    def _number(self, variables: Mapping[str, t.Any], name: str, default: float) -> float:
        value = self._value(variables, name, default)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = -1
        if number < 0:
            raise AnsibleActionFail(f"{name} is {value!r}: it has to be a number of seconds.")
        return number


class _Watch:
    """One job that is watched until its end."""

    def __init__(
        self, action: ProgressAction, begun: Mapping[str, t.Any], token: str, how: Manner, patience: float, host: str
    ) -> None:
        self._action = action
        self._job = str(begun["ansible_job_id"])
        self._results = str(begun["results_file"])
        self._token = token
        self._how = how
        self._patience = patience
        self._host = host
        self._pace = Pace(how, time.monotonic())
        self._drawn = False

    def until_its_end(self, task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        """Return what async_status says at the end; raise AnsibleConnectionFailure when the host is lost for long."""
        lost: float | None = None
        try:
            while True:
                try:
                    state, progress = self._look()
                    _stop_when_orphaned()
                    if state != RUNNING:
                        ended: dict[str, t.Any] = self._action._execute_module(
                            module_name="ansible.legacy.async_status",
                            module_args={"jid": self._job, "_async_dir": os.path.dirname(self._results)},
                            task_vars=task_vars,
                        )
                        if "ansible_job_id" not in ended:
                            # It did not come to look: a result may be there all the same.
                            words = str(ended.get("msg") or ended.get("module_stderr") or "no answer").strip()
                            raise AnsibleConnectionFailure(f"The result cannot be fetched: {words[-500:]}")
                        self._clear_up()
                        return ended
                except AnsibleConnectionFailure as exc:
                    lost = self._bear(exc, lost)
                    continue
                if lost is not None:
                    self._say("is reached again")
                    lost = None
                if progress:
                    self._tell(progress)
        finally:
            self._erase()

    def _look(self) -> tuple[str, dict[str, t.Any]]:
        command = look_command(self._results, self._job, place(self._token), self._how.looks)
        said = self._action._low_level_execute_command(command)
        # With a terminal in between, lines end in two characters.
        state, _newline, told = str(said.get("stdout", "")).strip().replace("\r\n", "\n").partition("\n")
        if state not in (RUNNING, ENDED, GONE):
            words = str(said.get("stderr") or said.get("stdout") or "no answer").strip()
            raise AnsibleConnectionFailure(f"A command on {self._host} failed: {words[-500:]}")
        try:
            progress = json.loads(told) if told else {}
        except ValueError:
            progress = {}
        return state, progress if isinstance(progress, dict) else {}

    def _bear(self, exc: AnsibleError, lost: float | None) -> float:
        moment = time.monotonic()
        since = moment if lost is None else lost
        if moment - since >= self._patience:
            raise AnsibleConnectionFailure(
                f"{self._host} cannot be reached any more: {exc} What was begun there goes on: run this again when the "
                "host is back."
            ) from exc
        if lost is None:
            self._say(f"the connection is lost, and tried again; the job goes on there. {str(exc).strip()}")
        # One that is shared may be the one that is dead.
        with contextlib.suppress(AnsibleError, OSError, AttributeError):
            self._action._connection.reset()
        time.sleep(PAUSE)
        return since

    def _clear_up(self) -> None:
        # The result has arrived, so nobody has to come for it. What is in memory only is not worth a failure.
        files = [self._results, place(self._token)]
        command = f"rm -f {' '.join(map(shlex.quote, files))} {JOBS}/*.{self._token}.json"
        with contextlib.suppress(AnsibleConnectionFailure):
            self._action._low_level_execute_command(command)

    def _tell(self, progress: Mapping[str, t.Any]) -> None:
        if self._how.replaced:
            line = f"{self._host} | {describe(progress)}"
            # One that is broken could not be taken back.
            most = max(20, t.cast("int", display.columns) - 1)
            display.display(f"{ERASE}{line[:most]}", newline=False, screen_only=True)
            self._drawn = True
        elif self._how.lines and self._pace.wants(progress, time.monotonic()):
            self._say(describe(progress))

    def _say(self, words: str) -> None:
        if self._how.replaced or self._how.lines:
            self._erase()
            display.display(f"{self._host} | {words}")

    def _erase(self) -> None:
        if self._drawn:
            display.display(ERASE, newline=False, screen_only=True)
            self._drawn = False


def _stop_when_orphaned() -> None:
    """Raise AnsibleActionFail when ansible-playbook was killed and left this worker of its behind.

    What it fetched then would arrive nowhere, and would not be found by the next run any more.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid != os.getppid():
        raise AnsibleActionFail("ansible-playbook has gone, so nobody waits for this result any more.")


def look_command(results: str, job: str, progress: str, seconds: int) -> str:
    """Return the command that says whether a job still runs, at its end or after some seconds, and its progress.

    As long as the file of its results says that it was started, or is not there yet because the host is slow, and a
    process has its number among its arguments, it runs. Without the process it has died: nobody will write a result.
    """
    number = job.partition(".")[0]
    # Nowhere in one piece, so that what searches does not find itself.
    pattern = f"[{number[0]}]{number[1:]}"
    directory, name = os.path.split(results)
    results = f"{shlex.quote(directory)}/{name[0]}''{shlex.quote(name[1:])}"
    progress = shlex.quote(progress)
    return (
        f"n=0; while :; do s={RUNNING}; "
        f"""case "$(head -c 10 {results} 2>/dev/null)" in '{{"started"' | '') ;; *) s={ENDED}; break;; esac; """
        f"grep -qs {shlex.quote(pattern)} /proc/[0-9]*/cmdline || {{ s={GONE}; break; }}; "
        f"[ $n -ge {seconds} ] && break; n=$((n+1)); sleep 1; done; "
        f"echo $s; cat {progress} 2>/dev/null || :"
    )


def verdict(ended: Mapping[str, t.Any], module: str, limit: int) -> dict[str, t.Any]:
    """Return the result of the module; where it left none, a failure that says so."""
    if not ended.get("finished"):
        return _failed(_died(module), ended)
    result = {name: value for name, value in ended.items() if name not in OF_THE_JOB}
    if not result.get("failed"):
        return result
    if "child_pid" in result:
        words = f"{module} was ended after {limit} s, which is its timeout. Look what takes it so long, or allow more."
        return _failed(words, result)
    if ended.get("msg") == "could not find job":
        return _failed(
            f"The result of {module} is not on the host any more: somebody removed {ended.get('results_file', 'it')}.",
            result,
        )
    if "cmd" in result and not str(result.get("data", result.get("outdata", ""))).strip():
        # What async_wrapper makes of a module that printed nothing.
        return _failed(_died(module), {"stderr": result.get("stderr", "")})
    return result


def _died(module: str) -> str:
    return (
        f"{module} was killed on the host, or the host was restarted, before it came to its end: it left no result. "
        "What stood still for it is thawed by its watchdog, and what is not complete is removed by the next run. Look "
        "for the reason on the host (journalctl -k: out of memory? df: a full disk?) and run this again."
    )


def _failed(words: str, ended: Mapping[str, t.Any]) -> dict[str, t.Any]:
    said = str(ended.get("stderr") or "").strip()
    return {"failed": True, "changed": False, "msg": f"{words} It said: {said[-2000:]}" if said else words}
