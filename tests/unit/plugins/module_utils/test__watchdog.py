# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The watchdog outlives its parent, so each test has a parent of its own to kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _backup_store, _journal
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._errors import FreezeError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._freeze import Freezer, Target
from ansible_collections.crm.continuity.plugins.module_utils._watchdog import Watch, Watchdog
from ansible_collections.crm.continuity.tests.unit.cgroup_fakes import cgroup_host
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container

TESTS = Path(__file__).resolve().parents[3]

PARENT = """
    import os, pathlib, signal, time
    from ansible_collections.crm.continuity.plugins.module_utils import _backup_store, _watchdog
    from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store, locked_on_host
    from ansible_collections.crm.continuity.plugins.module_utils._engine import Container, EngineInfo
    from ansible_collections.crm.continuity.plugins.module_utils._errors import *
    from ansible_collections.crm.continuity.plugins.module_utils._freeze import Freezer, Target
    from ansible_collections.crm.continuity.plugins.module_utils._watchdog import Watch, Watchdog

    directory = pathlib.Path(sys.argv[2])
    _backup_store.RUN = str(directory / "run")
    _watchdog.PAUSE = 0.01

    class FileEngine:
        def __init__(self):
            if (directory / "down").exists():
                (directory / "tried").touch()
                raise EngineError("no answer")

        def info(self):
            return EngineInfo("20.10", "/var/lib/docker", "unix:///run/test.sock")

        def containers(self):
            return []

        def container(self, id_):
            return Container(id_, id_, "x", "x", (directory / id_).read_text())

        def act(self, verb, id_, state):
            if (directory / f"{id_}-refuses").exists():
                raise EngineError("no")
            with open(directory / "log", "a") as log:
                log.write(f"{verb} {id_}" + chr(10))
            # Both processes ask: a file written in place is empty for a moment.
            new = directory / f"{id_}-{os.getpid()}"
            new.write_text(state)
            new.replace(directory / id_)

        def pause(self, id_):
            self.act("pause", id_, "paused")

        def stop(self, id_, timeout):
            self.act("stop", id_, "exited")

        def unpause(self, id_):
            self.act("unpause", id_, "running")

        def start(self, id_):
            self.act("start", id_, "running")

    for id_ in ("web", "worker", "db"):
        (directory / id_).write_text("running")
    wanted = [Target("web", "web", "pause"), Target("worker", "worker", "stop")]
    guarded = [Target("db", "db", "none")]
    freezer = Freezer(FileEngine(), wanted)

    def watchdog(timeout=60, lock=None):
        return Watchdog(Watch(FileEngine, lock, str(directory / "journal")), "crm", wanted, guarded, timeout)

    def freeze():
        freezer.freeze(lambda target: None)
        print("frozen", flush=True)
        sys.stdin.readline()

    def backup(timeout=60, lock=None, confirm=True):
        with watchdog(timeout, lock) as dog:
            try:
                freeze()
                if confirm:
                    dog.confirm()
            finally:
                freezer.thaw()
"""
FROZEN = ["pause web", "stop worker"]
THAWED = ["start worker", "unpause web"]


@pytest.fixture
def parent(tmp_path):
    started = []

    def start(code):
        head = "import sys\nsys.path.insert(0, sys.argv[1])\nimport conftest\n"
        program = head + textwrap.dedent(PARENT) + textwrap.dedent(code)
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(TESTS), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout.readline() == "frozen\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def log(tmp_path):
    """Return a function that returns what the engine was asked to do after everything was frozen."""

    def read():
        path = tmp_path / "log"
        return path.read_text().splitlines()[len(FROZEN) :] if path.exists() else []

    return read


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "journal" / "crm.json"


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def states(tmp_path):
    return {name: (tmp_path / name).read_text() for name in ("web", "worker", "db")}


RUNNING = {"web": "running", "worker": "running", "db": "running"}


# When all goes well


def test_the_journal_is_there_before_anything_is_frozen_and_gone_when_everything_runs(parent, tmp_path, journal):
    process = parent("""
    def look(target):
        assert (directory / "journal" / "crm.json").exists()
        assert not (directory / "log").exists() or target.service == "worker"

    with watchdog() as dog:
        try:
            freezer.freeze(look)
            print("frozen", flush=True)
            sys.stdin.readline()
            dog.confirm()
        finally:
            freezer.thaw()
    """)
    data = json.loads(journal.read_text())

    output, _errors = process.communicate("go on\n", timeout=20)

    assert (process.returncode, output) == (0, "")
    assert data["owner_pid"] == process.pid
    assert data["docker_host"] == "unix:///run/test.sock"
    assert [(entry["service"], entry["mode"]) for entry in data["entries"]] == [
        ("web", "pause"),
        ("worker", "stop"),
        ("db", "none"),
    ]
    assert not journal.exists()
    assert states(tmp_path) == RUNNING


def test_a_watchdog_does_nothing_while_its_parent_works(parent, log, journal):
    parent("backup()")

    time.sleep(0.3)

    assert log() == []
    assert journal.exists()


def test_a_watchdog_that_is_dismissed_does_nothing(parent, log):
    process = parent("backup()")

    process.communicate("go on\n", timeout=20)
    time.sleep(0.3)

    assert process.returncode == 0
    assert log() == THAWED


# When the parent dies


def test_a_watchdog_thaws_when_its_parent_is_killed_and_closes_the_journal(parent, log, journal, tmp_path):
    process = parent("backup()")

    process.kill()

    eventually(lambda: not journal.exists())
    assert log() == THAWED
    assert states(tmp_path) == RUNNING


def test_a_watchdog_survives_what_kills_the_whole_group_of_its_parent(parent, log):
    process = parent("backup()")

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        os.killpg(process.pid, number)

    eventually(lambda: log() == THAWED)


def test_what_was_never_frozen_runs_again_too(parent, log, tmp_path):
    process = parent("backup()")
    # As when the engine dies: it takes all containers along.
    (tmp_path / "db").write_text("exited")

    process.kill()

    eventually(lambda: log() == ["start db", *THAWED])


def test_a_parent_that_dies_before_it_freezes_leaves_nothing(parent, journal):
    process = parent("""
    with watchdog():
        print("frozen", flush=True)
        sys.stdin.readline()
    """)
    assert journal.exists()

    process.kill()

    eventually(lambda: not journal.exists())


def test_a_parent_that_dies_right_after_it_has_written_the_journal_leaves_nothing(parent, journal, tmp_path):
    process = parent("""
        def write(place, found, real=_watchdog.write):
            real(place, found)
            print("frozen", flush=True)
            sys.stdin.readline()
        _watchdog.write = write
        with watchdog():
            pass
    """)
    assert journal.exists()

    process.kill()

    eventually(lambda: not journal.exists())
    assert set(states(tmp_path).values()) == {"running"}


def test_a_watchdog_keeps_neither_the_output_nor_the_store_of_its_parent(parent, tmp_path, log):
    (tmp_path / "root").mkdir()
    process = parent("""
    with Store(str(directory / "root")).locked("crm"):
        backup()
    """)
    (tmp_path / "down").touch()

    process.kill()
    output, _errors = process.communicate(timeout=20)

    assert output == ""
    with Store(str(tmp_path / "root")).locked("crm"):
        assert log() == []
    (tmp_path / "down").unlink()
    eventually(lambda: log() == THAWED)


def test_a_watchdog_keeps_the_lock_of_the_stack_until_everything_runs(parent, tmp_path, monkeypatch, journal):
    monkeypatch.setattr(_backup_store, "RUN", str(tmp_path / "run"))
    process = parent("""
    with locked_on_host("crm") as lock:
        backup(lock=lock)
    """)
    (tmp_path / "down").touch()

    process.kill()
    eventually((tmp_path / "tried").exists)
    with pytest.raises(StoreError, match="Stack crm is busy"), _backup_store.locked_on_host("crm"):
        pass
    (tmp_path / "down").unlink()
    eventually(lambda: not journal.exists())

    def free():
        try:
            with _backup_store.locked_on_host("crm"):
                return True
        except StoreError:
            return False

    eventually(free)


def test_without_an_engine_it_tries_again_and_the_journal_stays(parent, log, journal, tmp_path):
    process = parent("backup()")
    (tmp_path / "down").touch()

    process.kill()
    eventually((tmp_path / "tried").exists)

    assert journal.exists()
    (tmp_path / "down").unlink()
    eventually(lambda: not journal.exists())
    assert log() == THAWED


def test_one_that_cannot_be_brought_back_does_not_hold_up_the_others(parent, log, journal, tmp_path):
    process = parent("backup()")
    (tmp_path / "worker-refuses").touch()

    process.kill()

    eventually(lambda: log() == ["unpause web"])
    assert journal.exists()
    (tmp_path / "worker-refuses").unlink()
    eventually(lambda: log() == ["unpause web", "start worker"])
    eventually(lambda: not journal.exists())


def test_an_error_that_nobody_expects_does_not_end_it(parent, log, journal):
    process = parent("""
    real = _watchdog.revive_all

    def fail_once(*args):
        if not (directory / "failed").exists():
            (directory / "failed").touch()
            raise ValueError("never seen before")
        return real(*args)

    _watchdog.revive_all = fail_once
    backup()
    """)

    process.kill()

    eventually(lambda: log() == THAWED)
    eventually(lambda: not journal.exists())


def test_it_gives_up_after_a_while_and_leaves_the_journal_to_others(parent, journal, tmp_path):
    process = parent("""
    _watchdog.ATTEMPTS = 3
    real = _watchdog.revive_all

    def count(*args):
        with open(directory / "attempts", "a") as file:
            file.write("x")
        return real(*args)

    _watchdog.revive_all = count
    with locked_on_host("crm") as lock:
        backup(lock=lock)
    """)
    (tmp_path / "down").touch()

    process.kill()
    eventually(lambda: (tmp_path / "attempts").exists() and (tmp_path / "attempts").read_text() == "xxx")
    time.sleep(0.2)

    assert (tmp_path / "attempts").read_text() == "xxx"
    assert journal.exists()


# When the parent fails


def test_after_an_error_everything_runs_before_the_watchdog_is_left(parent, log, journal):
    process = parent("""
    try:
        with watchdog():
            freeze()
            raise SignalError("interrupted")
    except SignalError:
        print((directory / "log").read_text())
    """)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output.split("\n")[2:4] == THAWED
    assert not journal.exists()


def test_after_an_error_of_the_engine_the_watchdog_goes_on_alone(parent, log, journal, tmp_path):
    process = parent("""
    try:
        with watchdog():
            freeze()
            (directory / "down").touch()
            raise EngineError("no answer")
    except EngineError:
        print("left", flush=True)
    """)

    output, _errors = process.communicate("go on\n", timeout=20)
    eventually((tmp_path / "tried").exists)
    assert journal.exists()
    (tmp_path / "down").unlink()

    assert output == "left\n"
    eventually(lambda: log() == THAWED)
    eventually(lambda: not journal.exists())


def test_after_another_error_an_engine_that_is_gone_is_not_waited_for(parent, log, tmp_path):
    process = parent("""
    try:
        with watchdog():
            freeze()
            (directory / "down").touch()
            raise DatabaseError("connection lost")
    except DatabaseError:
        print("left", flush=True)
    """)

    output, _errors = process.communicate("go on\n", timeout=20)
    (tmp_path / "down").unlink()

    assert output == "left\n"
    eventually(lambda: log() == THAWED)


def test_a_watchdog_that_was_killed_itself_is_no_error(parent, journal):
    process = parent("""
    with watchdog() as dog:
        try:
            os.kill(dog._child, signal.SIGKILL)
            os.waitpid(dog._child, 0)
            freeze()
            dog.confirm()
        finally:
            freezer.thaw()
    """)

    process.communicate("go on\n", timeout=20)

    assert process.returncode == 0
    assert not journal.exists()


def test_when_both_are_killed_the_journal_stays(parent, journal, tmp_path):
    process = parent("""
    with watchdog() as dog:
        (directory / "child").write_text(str(dog._child))
        freeze()
    """)

    os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)
    process.kill()
    process.wait()
    time.sleep(0.2)

    assert journal.exists()
    assert states(tmp_path) == {"web": "paused", "worker": "exited", "db": "running"}


# When it takes too long


TOO_LONG = """
    try:
        backup(timeout=0.3)
    except FreezeTimeoutError as exc:
        print("timeout", exc)
"""


def test_after_the_timeout_everything_is_thawed_although_the_parent_hangs(parent, log):
    begun = time.monotonic()
    process = parent(TOO_LONG)
    os.kill(process.pid, signal.SIGSTOP)

    eventually(lambda: log() == THAWED)

    assert time.monotonic() - begun > 0.3
    os.kill(process.pid, signal.SIGCONT)


def test_after_the_timeout_the_cut_does_not_count(parent, log, journal):
    process = parent(TOO_LONG)
    eventually(lambda: log() == THAWED)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output.startswith("timeout Services stood still for more than 0.3 s (freeze_timeout) and were thawed")
    assert log() == THAWED
    assert not journal.exists()


def test_a_torn_cut_after_the_timeout_is_told_as_what_it_is(parent, log):
    process = parent("""
    try:
        backup(timeout=0.3, confirm=False)
    except FreezeTimeoutError as exc:
        print("timeout", exc)
    """)
    eventually(lambda: log() == THAWED)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output.startswith("timeout ")


def test_what_the_parent_freezes_after_the_timeout_is_thawed_again(parent, tmp_path):
    process = parent("""
    freezer = Freezer(FileEngine(), wanted[:1])
    with watchdog(timeout=0.2) as dog:
        try:
            print("frozen", flush=True)
            sys.stdin.readline()
            freezer.freeze(lambda target: None)
            sys.stdin.readline()
        finally:
            freezer.thaw()
    """)
    time.sleep(0.4)

    process.stdin.write("go on\n")
    process.stdin.flush()

    eventually(lambda: (tmp_path / "log").exists() and len((tmp_path / "log").read_text().splitlines()) == 2)
    assert (tmp_path / "log").read_text() == "pause web\nunpause web\n"


MENDING = """
    def mend():
        with open(directory / "log", "a") as log:
            log.write("mend" + chr(10))
        if (directory / "torn").exists():
            raise EngineError("not yet")

    def exchange(timeout=60):
        watch = Watch(FileEngine, None, str(directory / "journal"), mend)
        with Watchdog(watch, "crm", wanted, guarded, timeout):
            freeze()
"""


def test_data_are_put_in_order_before_anything_starts(parent, log, journal):
    process = parent(textwrap.dedent(MENDING) + "exchange()")

    process.kill()

    eventually(lambda: not journal.exists())
    assert log() == ["mend", *THAWED]


def test_nothing_starts_on_data_that_cannot_be_put_in_order(parent, log, journal, tmp_path):
    process = parent(textwrap.dedent(MENDING) + "exchange()")
    (tmp_path / "torn").touch()

    process.kill()
    eventually(lambda: len(log()) > 1)

    assert set(log()) == {"mend"}
    assert journal.exists()
    (tmp_path / "torn").unlink()
    eventually(lambda: not journal.exists())
    assert log()[-3:] == ["mend", *THAWED]


def test_whoever_exchanges_data_for_too_long_is_killed_before_they_are_put_in_order(parent, log, journal):
    process = parent(textwrap.dedent(MENDING) + "exchange(timeout=0.3)")

    assert process.wait(20) == -signal.SIGKILL

    eventually(lambda: not journal.exists())
    assert log() == ["mend", *THAWED]


def test_what_was_confirmed_counts_although_the_rest_takes_longer(parent, log, journal):
    process = parent("""
    with watchdog(timeout=2) as dog:
        freeze()
        dog.confirm()
        freezer.thaw()
        time.sleep(dog._deadline + 0.3 - time.monotonic())
    print("done")
    """)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert (process.returncode, output) == (0, "done\n")
    assert not journal.exists()


def test_a_watchdog_that_does_not_answer_has_not_confirmed(parent, tmp_path):
    process = parent("""
    _watchdog.PATIENCE = 0.2
    try:
        with watchdog() as dog:
            os.kill(dog._child, signal.SIGSTOP)
            try:
                freeze()
                dog.confirm()
            finally:
                freezer.thaw()
                os.kill(dog._child, signal.SIGCONT)
    except FreezeTimeoutError:
        print("not confirmed")
    """)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output == "not confirmed\n"


ASK = """
    with watchdog(timeout=0.2) as dog:
        freeze()
        {meanwhile}
        try:
            dog.confirm()
            print("yes")
        except FreezeTimeoutError:
            print("no")
"""
KILL = "os.kill(dog._child, signal.SIGKILL); os.waitpid(dog._child, 0)"


@pytest.mark.parametrize("meanwhile", [pytest.param("pass", id="lives"), pytest.param(KILL, id="was killed")])
def test_a_watchdog_does_not_confirm_what_it_may_have_thawed(parent, log, meanwhile):
    process = parent(ASK.format(meanwhile=meanwhile))
    eventually(lambda: log() == THAWED)

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output == "no\n"


def test_a_watchdog_confirms_what_it_has_not_touched(parent):
    process = parent(ASK.replace("0.2", "60").format(meanwhile="pass"))

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output == "yes\n"


# When somebody meddles


def test_when_somebody_thaws_meanwhile_the_backup_fails_and_the_journal_is_closed(parent, journal, tmp_path):
    process = parent("""
    try:
        backup()
    except FreezeError as exc:
        print(type(exc).__name__, exc)
    """)
    (tmp_path / "web").write_text("running")

    output, _errors = process.communicate("go on\n", timeout=20)

    assert output.startswith("FreezeError Services did not stand still until the end: web.")
    assert not journal.exists()
    assert states(tmp_path) == RUNNING


# Before anything is frozen, in this process

WEB = Target("web", "web", "pause")


def watched(engine, **more):
    return Watchdog(Watch(lambda: engine, None), "crm", [WEB], [], timeout=60, **more)


def test_an_earlier_journal_is_left_alone_and_nothing_is_frozen(journals):
    engine = FakeEngine([container("web", "x")])
    _journal.write(str(journals), _journal.new("crm", "unix:///x", [], 1))

    with pytest.raises(StoreError, match="tells of a backup of stack crm that has died"), watched(engine):
        pytest.fail("frozen")

    assert _journal.stacks(str(journals)) == ["crm"]


def test_where_no_process_can_be_started_nothing_is_frozen(journals, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", refuse)

    with pytest.raises(FreezeError, match="No watchdog could be started: Resource temporarily"):
        watched(FakeEngine([container("web", "x")])).__enter__()

    assert _journal.stacks(str(journals)) == []
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_what_stands_still_already_without_the_engine_knowing_is_an_error(journals, tmp_path, monkeypatch):
    host = cgroup_host(tmp_path, monkeypatch)
    directory = host.add("/docker/web", 42)
    (directory / "cgroup.freeze").write_text("1\n")
    engine = FakeEngine([container("web", "x", pid=42)])

    with pytest.raises(FreezeError) as caught, watched(engine):
        pytest.fail("frozen")

    assert f"{directory} is frozen" in str(caught.value)
    assert "thaw_stack=crm -e thaw_force=true" in str(caught.value)
    assert (directory / "cgroup.freeze").read_text() == "1\n"
    assert _journal.stacks(str(journals)) == []


def test_what_is_gone_is_not_in_the_journal(journals):
    engine = FakeEngine([container("web", "x")])

    with Watchdog(Watch(lambda: engine, None), "crm", [WEB], [WEB, Target("db", "db", "none")], timeout=60):
        found = _journal.read(str(journals), "crm")

    assert [entry.service for entry in found.entries] == ["web"]


def test_containers_are_frozen_and_thawed_by_the_cgroup_of_the_journal(journals, tmp_path, monkeypatch):
    host = cgroup_host(tmp_path, monkeypatch)
    switch = host.add("/docker/web", 42) / "cgroup.freeze"
    engine = FakeEngine([container("web", "x", pid=42)])
    freezer = Freezer(engine, [WEB])

    with watched(engine) as watchdog:
        (entry,) = _journal.read(str(journals), "crm").entries
        freezer.freeze(lambda target: None)
        stood = switch.read_text().strip()
        watchdog.confirm()
        freezer.thaw()

    assert (entry.method, entry.cgroup) == ("cgroup", str(switch.parent))
    assert (stood, switch.read_text().strip()) == ("1", "0")
    assert engine.calls == []
