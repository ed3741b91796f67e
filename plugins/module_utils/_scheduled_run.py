# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program by which a host runs the modules by itself, at the times of a timer and without a control node.

It is ``__main__`` of the archive that the role ``schedule`` installs. Each module is a process of its own, which gets
its arguments on standard input; this one decides what to run and keeps the books. Nothing that it prints is secret.

    run JOB       run a job now
    tick          run what is due: for cron, which remembers nothing
    failed JOB    note that the service manager saw a job fail, for one that was killed
    try JOB       run a job in check mode, and tell about it in JSON
    module NAME   be that module; for this program itself

Standard library only. Private to this collection.
"""

# A program of its own, outside of any module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import itertools
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import typing as t
from dataclasses import asdict, dataclass, field, replace

from . import _schedule_metrics as metrics
from ._backup_store import RUN
from ._errors import ContinuityError, SignalError, StoreError
from ._journal import boot_id, started
from ._schedule_calendar import UTC, parse
from ._schedule_job import CRON, Job, names
from ._schedule_job import read as read_job
from ._schedule_state import (
    FAILED,
    KILLED,
    OK,
    RUNNING,
    Host,
    Owner,
    Run,
    State,
    Step,
    due,
    instant,
    load,
    save,
    stamp,
)
from ._schedule_words import LONGEST, failure, remarks, summary
from ._version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import FrameType

    from ._schedule_job import Call

MODULES = f"{(__package__ or '').rpartition('.')[0]}.modules"
# As sysexits(3) calls a failure that will pass: somebody else runs the same job.
BUSY = 75
# How long a module may take to bring everything back after it was told to end.
PATIENCE = 300.0
# What the service manager saw is noted by the run itself, unless that was killed.
NOTED = datetime.timedelta(minutes=2)
# Finds the stacks of a job.
FINDS = "stack_info"
FIND_TIMEOUT = 600.0
# Modules that only look, and need nobody's lock.
LOOK = (FINDS, "backup_verify")
# Of all jobs; no job has that name.
ALL_JOBS = ""
SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

Result = dict[str, t.Any]


class Modules(t.Protocol):
    """Runs modules."""

    def __call__(self, module: str, arguments: Mapping[str, t.Any], timeout: float) -> Result:
        """Run one to its end and return its result; one that says nothing has failed."""


def as_process(module: str, arguments: Mapping[str, t.Any], timeout: float) -> Result:
    """Run a module as a process of its own; SignalError passes on to it, and it has time to bring everything back."""
    # What a module was called with would fill pages of the journal every night.
    options = {"_ansible_no_log": True, "_ansible_module_name": f"crm.continuity.{module}", **arguments}
    given = json.dumps({"ANSIBLE_MODULE_ARGS": options}).encode()
    late = ""
    process = subprocess.Popen(
        [sys.executable, "-I", sys.argv[0], "module", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # A terminal interrupts this program only, which tells the module.
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(given, timeout)
    except subprocess.TimeoutExpired:
        late = f"It took longer than {timeout:g} s and was ended. "
        stdout, stderr = _ended(process)
    except SignalError:
        _ended(process)
        raise
    result = _result(stdout)
    if result is None:
        code = process.returncode
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        said = stderr.decode(errors="backslashreplace").strip()[-LONGEST:] or "it printed nothing"
        return {"failed": True, "msg": f"{late}{module} {how}: {said}"}
    if late or process.returncode:
        result = {**result, "failed": True, "msg": late + str(result.get("msg") or "")}
    return result


def _ended(process: subprocess.Popen[bytes]) -> tuple[bytes, bytes]:
    process.terminate()
    try:
        return process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        # Its watchdog brings back what it has frozen.
        process.kill()
        return process.communicate()


def _result(stdout: bytes) -> Result | None:
    for line in reversed(stdout.splitlines()):
        with contextlib.suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict):
                return found
    return None


def _print(line: str) -> None:
    encoding = sys.stdout.encoding
    try:
        # The locale of a host may lack a letter.
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError:
        # Whoever kept the log has gone. That is no reason to leave a backup out.
        with open(os.devnull, "w") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())


def _now() -> datetime.datetime:
    return datetime.datetime.now(UTC)


def _told_by_systemd() -> str:
    result = os.environ.get("MONITOR_SERVICE_RESULT")
    if not result:
        return "the service manager says that it failed"
    status = os.environ.get("MONITOR_EXIT_STATUS")
    return f"the service manager says: {result}{f', {status}' if status else ''}"


@dataclass
class Runner:
    """Runs jobs and keeps their states; ``say`` gets the lines for the journal of the host."""

    host: Host = field(default_factory=Host)
    modules: Modules = as_process
    say: Callable[[str], None] = _print
    now: Callable[[], datetime.datetime] = _now
    locks: str = RUN
    told: Callable[[], str] = _told_by_systemd

    def run(self, name: str) -> int:
        """Run a job, whether it is due or not; return the exit code."""
        with self._locked(name) as free:
            if not free:
                self.say(f"{name}: it runs already")
                return BUSY
            return self._run(read_job(self.host.jobs, name))

    def tick(self) -> int:
        """Run the jobs of cron that are due, one after the other; return the exit code."""
        code = 0
        for name in names(self.host.jobs):
            with self._locked(name) as free:
                try:
                    job = read_job(self.host.jobs, name)
                    if job.manager != CRON or not free:
                        continue
                    self._settle(job)
                    # Every host waits in its own way, and in the same way every time.
                    wait = datetime.timedelta(seconds=_wait(job))
                    wanted = due(job, self._load(name), self.now(), begun=self._begun(name), wait=wait)
                    if wanted.moment is not None:
                        code = self._run(job) or code
                except SignalError:
                    # Nothing else is to begin.
                    raise
                except ContinuityError as exc:
                    self.say(f"{name}: {exc}")
                    code = 1
        return code

    def failed(self, name: str) -> int:
        """Note what the service manager saw, unless the run could do so itself; return the exit code."""
        with self._locked(name) as free:
            # Whoever has started it again meanwhile notes what became of the run before.
            if free:
                self._note_failure(read_job(self.host.jobs, name))
        return 0

    def _note_failure(self, job: Job) -> None:
        words = self.told()
        if not self._settle(job, words):
            state = self._load(job.name)
            now = self.now()
            last = state.last
            if last is None or last.ended is None or now - instant(last.ended) > NOTED or last.result == OK:
                entry = Run(stamp(now), _this_process(), stamp(now), result=FAILED)
                message = f"It could not begin: {words}. See journalctl -u {job.unit} on the host."
                self._save(state.followed_by(replace(entry, message=message)))
            self._tell(job)

    def trial(self, name: str) -> Result:
        """Run a job in check mode and return how its steps went; nothing is noted."""
        job = read_job(self.host.jobs, name)
        steps: list[Step] = []
        problems = self._perform(job, steps.append, trial=True)
        return {"job": name, "ok": not problems, "message": " ".join(problems), "steps": [asdict(s) for s in steps]}

    def _run(self, job: Job) -> int:
        self._settle(job)
        state = self._load(job.name)
        begun = self.now()
        wanted = due(job, state, begun, begun=self._begun(job.name))
        entry = Run(
            began=stamp(begun),
            owner=_this_process(),
            due=stamp(wanted.moment) if wanted.moment else None,
            late=int((begun - wanted.moment).total_seconds()) if wanted.moment else 0,
            missed=wanted.missed,
        )
        known = replace(state, version=VERSION)
        with contextlib.suppress(OSError), open(self._lock(job.name), "w", encoding="ascii") as file:
            file.write(entry.began)
        self._save(known.followed_by(entry))
        self._tell(job)
        if entry.missed:
            self.say(f"{job.name}: {entry.missed} times before {entry.due} had no run; this one catches up")

        def note(step: Step) -> None:
            nonlocal entry
            entry = replace(entry, steps=(*entry.steps, step))
            self._save(known.followed_by(entry))

        interrupted = None
        try:
            problems = self._perform(job, note)
            result = FAILED if problems else OK
        except SignalError as exc:
            interrupted, problems, result = exc, [str(exc)], KILLED
        entry = replace(entry, ended=stamp(self.now()), result=result, message=" ".join(problems)[:LONGEST] or None)
        self._save(known.followed_by(entry))
        self._tell(job)
        seconds = (self.now() - begun).total_seconds()
        again = parse(job.calendar).after(self.now())
        self.say(f"{job.name}: {result} after {seconds:.0f} s, next {stamp(again) if again else 'never'}")
        if interrupted is not None:
            raise interrupted
        return 0 if result == OK else 1

    def _perform(self, job: Job, note: Callable[[Step], None], *, trial: bool = False) -> list[str]:
        """Run the modules of a job and return what went wrong; the failure of one stack does not stop the next."""
        problems: list[str] = []
        for each, group in itertools.groupby(job.calls, key=lambda call: call.each):
            calls = list(group)
            if not each:
                for call in calls:
                    problems += self._call(job, call, {}, note, trial=trial)
                continue
            stacks, missing = self._stacks(job, note, trial=trial)
            problems += missing
            for stack in stacks:
                for call in calls:
                    own = {name: stack[name] for name in call.stack_fields if stack.get(name)}
                    wrong = self._call(job, call, own, note, trial=trial)
                    problems += wrong
                    if wrong:
                        break
        return problems

    def _stacks(self, job: Job, note: Callable[[Step], None], *, trial: bool) -> tuple[list[Result], list[str]]:
        """Return the arguments that each stack of a job adds to a call, and what went wrong while they were looked for.

        Those that the user has named are not looked for: one that is not there fails in the modules, which note that.
        """
        named = job.find.get("stacks") or []
        if named:
            return [
                {
                    "stack": stack["name"],
                    "stack_profiles": stack.get("profiles"),
                    "project_dir": stack.get("project_dir"),
                }
                for stack in named
            ], []
        result, step = self._timed(FINDS, {**job.find, **job.profiles}, None, FIND_TIMEOUT, trial=trial)
        if step.ok and not result["stacks"]:
            words = "No stack of a known CRM was found on this host. Start it, or name it in crm_stacks."
            step = replace(step, ok=False, message=words)
        if not step.ok:
            self._note(step, note)
            return [], [f"{FINDS}: {step.message}"]
        return [{"stack": stack["name"]} for stack in result["stacks"]], []

    def _call(
        self,
        job: Job,
        call: Call,
        own: Mapping[str, t.Any],
        note: Callable[[Step], None],
        *,
        trial: bool,
    ) -> list[str]:
        if trial and call.trial is None:
            return []
        stack = own.get("stack")
        given = {**call.arguments, **(job.profiles if call.recognises else {}), **own}
        given |= (call.trial or {}) if trial else {}
        with contextlib.nullcontext() if trial or call.module in LOOK else self._turn():
            result, step = self._timed(call.module, given, stack, call.timeout, trial=trial)
        unwanted = [name for name in call.empty if result.get(name)]
        if step.ok and unwanted and not trial:
            step = replace(step, ok=False)
        self._note(step, note)
        where = f"{stack}: " if stack else ""
        if step.ok:
            for remark in remarks(result):
                self.say(f"{where}{call.module}: ! {remark}")
        return [f"{where}{call.module}: {step.message}"] if call.must and not step.ok else []

    def _timed(
        self, module: str, arguments: Mapping[str, t.Any], stack: str | None, timeout: float, *, trial: bool
    ) -> tuple[Result, Step]:
        begun = time.monotonic()
        result = self.modules(module, {**arguments, **({"_ansible_check_mode": True} if trial else {})}, timeout)
        ok = not result.get("failed")
        words = summary(module, result) if ok else failure(result)
        return result, Step(module, stack, ok, round(time.monotonic() - begun, 1), words)

    def _note(self, step: Step, note: Callable[[Step], None]) -> None:
        where = f"{step.stack}: " if step.stack else ""
        self.say(f"{where}{step.module}: {'' if step.ok else 'FAILED. '}{step.message}")
        note(step)

    def _settle(self, job: Job, words: str = "") -> bool:
        """Note the end of a run that was killed; tell whether there was one."""
        state = self._load(job.name)
        last = state.last
        if last is None or last.result != RUNNING or last.owner.lives:
            return False
        message = f"{last.words}{f' ({words})' if words else ''}"
        self.say(f"{job.name}: the run of {last.began} did not end. {message}")
        self._save(state.without_last().followed_by(replace(last, result=KILLED, message=message)))
        self._tell(job)
        return True

    def _load(self, name: str) -> State:
        try:
            return load(self.host.state, name, VERSION)
        except StoreError as exc:
            # The backups matter more than the books, which begin anew.
            self.say(f"{name}: {exc}")
            return State(name, VERSION)

    def _save(self, state: State) -> None:
        try:
            save(self.host.state, state)
        except OSError as exc:
            self.say(f"{state.job}: its state cannot be written to {self.host.state}: {exc.strerror}")

    def _tell(self, job: Job) -> None:
        for remark in metrics.refresh(job.metrics_directory, self.host.jobs, self.host.state, self.now()):
            self.say(f"{job.name}: {remark}")

    def _begun(self, name: str) -> datetime.datetime | None:
        """Return when a run began last since the host was started, also where its state could not be written."""
        with contextlib.suppress(OSError, ValueError), open(self._lock(name), encoding="ascii") as file:
            return instant(file.read())
        return None

    def _lock(self, name: str) -> str:
        return os.path.join(self.locks, f"schedule-{name}.lock")

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Let jobs work on stacks one at a time: a backup must not fail because old ones are being removed."""
        with self._locked(ALL_JOBS) as free:
            if free:
                yield
                return
        self.say("waits for another job of this host")
        with self._locked(ALL_JOBS, wait=True):
            yield

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool = False) -> Iterator[bool]:
        os.makedirs(self.locks, mode=0o700, exist_ok=True)
        descriptor = os.open(self._lock(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)


def main() -> int:
    """Do what the arguments say and return the exit code."""
    command, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if command == "module" and len(arguments) == 1:
        # Held by itself, for it outlives its caller when that is killed.
        with _in_use(sys.argv[0]):
            _be_module(arguments[0])
    runner = Runner()
    commands: dict[str, Callable[..., int]] = {
        "run": runner.run,
        "tick": runner.tick,
        "failed": runner.failed,
        "try": lambda name: _printed(runner.trial(name)),
    }
    if command not in commands or len(arguments) != (command != "tick"):
        print(f"usage: {os.path.basename(sys.argv[0])} run JOB | tick | failed JOB | try JOB", file=sys.stderr)
        return 64
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        with _in_use(sys.argv[0]):
            return commands[command](*arguments)
    except (ContinuityError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 1


def _be_module(name: str) -> t.NoReturn:
    # The arguments come on standard input when there are none here.
    sys.argv = sys.argv[:1]
    runpy.run_module(f"{MODULES}.{name}", run_name="__main__", alter_sys=True)
    raise StoreError(f"{name} has ended without a result.")


def _printed(result: Result) -> int:
    print(json.dumps(result))
    return 0 if result["ok"] else 1


@contextlib.contextmanager
def _in_use(path: str) -> Iterator[None]:
    """Keep this very archive from being removed by the installation of a newer one."""
    with open(path, "rb") as archive:
        fcntl.flock(archive, fcntl.LOCK_SH)
        yield


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once is enough: a second signal must not interrupt the clean-up.
    for other in SIGNALS:
        signal.signal(other, signal.SIG_IGN)
    raise SignalError(f"Interrupted by {signal.Signals(number).name}.")


def _this_process() -> Owner:
    return Owner(os.getpid(), started(os.getpid()) or 0, boot_id())


def _wait(job: Job, host: str = "") -> int:
    if not job.delay:
        return 0
    seed = f"{host or _machine()} {job.name}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:8], "big") % job.delay


def _machine() -> str:
    with contextlib.suppress(OSError), open("/etc/machine-id", encoding="ascii") as file:
        return file.read().strip()
    return os.uname().nodename
