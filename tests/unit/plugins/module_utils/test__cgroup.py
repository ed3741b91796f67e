# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import os
import signal
import subprocess
import uuid
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._cgroup import Cgroup, locate, opened
from ansible_collections.crm.continuity.plugins.module_utils._errors import FreezeError
from ansible_collections.crm.continuity.tests.unit.cgroup_fakes import cgroup_host

ID = "c0ffee" * 10 + "c0ff"
OTHER = "decaf0" * 10 + "deca"


@pytest.fixture(params=[1, 2], ids=["v1", "v2"])
def version(request):
    return request.param


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes a host."""
    return lambda version=2, of="/": cgroup_host(tmp_path, monkeypatch, version, of)


# Which cgroup


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(f"/docker/{ID}", id="cgroupfs driver"),
        pytest.param(f"/system.slice/docker-{ID}.scope", id="systemd driver"),
        pytest.param(f"/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope", id="rootless"),
    ],
)
def test_the_cgroup_of_a_container_is_found_by_its_process(make, version, path):
    directory = make(version).add(path, 42)

    assert locate(42, ID) == Cgroup(str(directory), version)


def test_a_part_of_the_hierarchy_may_be_mounted(make, version):
    host = make(version, of=f"/docker/{OTHER}")
    directory = host.add(f"/docker/{ID}", 42)

    assert locate(42, ID) == Cgroup(str(directory), version)


def test_cgroups_inside_the_container_belong_to_it(make, version):
    host = make(version)
    directory = host.add(f"/docker/{ID}", 41)
    host.process(42, f"/docker/{ID}/init.scope")

    assert locate(42, ID) == Cgroup(str(directory), version)


def test_the_freezer_of_version_1_comes_first_where_a_host_has_both(make):
    host = make(1)
    directory = host.add(f"/docker/{ID}", 42)
    with open(host.root / "proc" / "42" / "cgroup", "a", encoding="ascii") as file:
        file.write(f"0::/docker/{ID}\n")

    assert locate(42, ID) == Cgroup(str(directory), 1)


def test_a_process_of_the_same_number_that_is_not_of_the_container_does_not_count(make, version):
    make(version).add(f"/docker/{OTHER}", 42)

    assert locate(42, ID) is None


@pytest.mark.parametrize("member", ["/user.slice/session-1.scope", f"/../../docker/{ID}", "/"])
def test_a_cgroup_that_is_outside_of_what_is_mounted_cannot_be_reached(make, version, member):
    make(version, of=f"/docker/{OTHER}").add(f"/docker/{ID}", 42, member=member)

    assert locate(42, ID) is None


def test_what_lies_beside_the_mount_is_not_what_is_meant(make, version):
    host = make(version, of="/docker")
    # Where the path of a similar name would lead.
    host.add(f"../docker2/{ID}", 42, member=f"/docker2/{ID}")

    assert locate(42, ID) is None


def test_a_path_that_leads_upwards_is_not_what_is_meant(make, version):
    make(version).add(f"/docker/{ID}", 42, member=f"/../docker/{ID}")

    assert locate(42, ID) is None


def test_a_container_without_a_process_has_none(make):
    make()

    assert locate(0, ID) is None
    assert locate(42, ID) is None


def test_one_that_may_not_be_written_cannot_be_used(make, version, monkeypatch):
    make(version).add(f"/docker/{ID}", 42)
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)

    assert locate(42, ID) is None


def test_one_without_a_freezer_cannot_be_used(make):
    directory = make(2).add(f"/docker/{ID}", 42)
    (directory / "cgroup.freeze").unlink()

    assert locate(42, ID) is None


def test_a_path_that_was_noted_is_opened_as_what_it_is(make, version, tmp_path):
    directory = make(version).add(f"/docker/{ID}", 42)

    assert opened(str(directory)) == Cgroup(str(directory), version)
    assert opened(str(tmp_path / "gone")) is None
    assert opened(None) is None


# Freezing


class Clock:
    """Time that passes when somebody sleeps; ``meanwhile`` is what happens then."""

    def __init__(self, meanwhile=lambda: None):
        self.now = 0.0
        self.meanwhile = meanwhile

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.meanwhile()


@pytest.fixture
def cgroup(make, version):
    return Cgroup(str(make(version).add(f"/docker/{ID}", 42)), version)


def content(cgroup, name):
    return Path(cgroup.path, name).read_text(encoding="ascii")


def test_freezing_writes_what_the_kernel_understands(make):
    first = Cgroup(str(make(1).add("/a", 1)), 1)
    first.freeze()

    assert content(first, "freezer.state").strip() == "FROZEN"
    assert first.held()

    first.thaw()

    assert content(first, "freezer.state").strip() == "THAWED"
    assert not first.held()


def test_freezing_version_2_writes_what_the_kernel_understands(make):
    second = Cgroup(str(make(2).add("/a", 1)), 2)
    second.freeze()

    assert content(second, "cgroup.freeze").strip() == "1"
    assert second.held()

    second.thaw()

    assert content(second, "cgroup.freeze").strip() == "0"
    assert not second.held()


def test_version_2_is_frozen_when_every_process_says_so(make):
    cgroup = Cgroup(str(make(2).add("/a", 1)), 2)
    events = Path(cgroup.path, "cgroup.events")
    events.write_text("populated 1\nfrozen 0\n")
    clock = Clock(lambda: clock.now > 1 and events.write_text("populated 1\nfrozen 1\n"))

    cgroup.freeze(clock=clock, sleep=clock.sleep)

    assert 1 < clock.now < 1.1


def test_version_1_is_told_again_while_it_stays_half_way(make):
    cgroup = Cgroup(str(make(1).add("/a", 1)), 1)
    state = Path(cgroup.path, "freezer.state")
    told = []

    class HalfWay(Cgroup):
        def _write(self, word):
            told.append(word)
            state.write_text("FROZEN\n" if len(told) > 3 else "FREEZING\n")

    clock = Clock()
    HalfWay(cgroup.path, 1).freeze(clock=clock, sleep=clock.sleep)

    assert told == ["FROZEN"] * 4


def test_a_process_that_does_not_stand_still_is_named_after_a_while(make):
    host = make(2)
    cgroup = Cgroup(str(host.add("/a", 1)), 2)
    host.process(7, "/a", name="a (b) c", state="D")
    Path(cgroup.path, "cgroup.procs").write_text("1\n7\n99\n")
    Path(cgroup.path, "cgroup.events").write_text("populated 1\nfrozen 0\n")
    clock = Clock()

    with pytest.raises(FreezeError) as caught:
        cgroup.freeze(clock=clock, sleep=clock.sleep)

    assert "within 10 s: a (b) c (7) cannot be interrupted" in str(caught.value)
    assert 10 < clock.now < 10.1
    assert cgroup.held()


def test_that_nothing_is_known_of_the_processes_is_said_too(make):
    cgroup = Cgroup(str(make(2).add("/a", 1)), 2)
    Path(cgroup.path, "cgroup.events").write_text("populated 1\nfrozen 0\n")
    clock = Clock()

    with pytest.raises(FreezeError, match="its processes do not react"):
        cgroup.freeze(limit=1, clock=clock, sleep=clock.sleep)


@pytest.mark.parametrize("gone", [errno.ENOENT, errno.ENODEV])
def test_a_container_that_ends_cannot_be_frozen_and_need_not_be_thawed(cgroup, monkeypatch, gone):
    def refuse(*_args, **_more):
        raise OSError(gone, "gone")

    monkeypatch.setattr(Cgroup, "_read", refuse)
    monkeypatch.setattr(Cgroup, "_write", refuse)

    with pytest.raises(FreezeError, match="has ended meanwhile"):
        cgroup.freeze()
    assert not cgroup.held()
    assert not cgroup.thaw()


def test_one_that_ends_while_it_is_thawed_is_no_error(cgroup, monkeypatch):
    cgroup.freeze()

    def end(_cgroup, _word):
        raise OSError(errno.ENODEV, "gone")

    monkeypatch.setattr(Cgroup, "_write", end)

    assert cgroup.thaw()


def test_whatever_else_the_kernel_refuses_is_an_error_with_the_path(cgroup, monkeypatch):
    cgroup.freeze()

    def refuse(*_args):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Cgroup, "_write", refuse)
    for act in (cgroup.freeze, cgroup.thaw):
        with pytest.raises(FreezeError, match=f"{cgroup.path} cannot be used: Operation not permitted"):
            act()
    monkeypatch.setattr(Cgroup, "_read", refuse)
    with pytest.raises(FreezeError, match="cannot be used"):
        cgroup.held()


def test_thawing_tells_whether_it_was_necessary(cgroup):
    assert not cgroup.thaw()

    cgroup.freeze()

    assert cgroup.thaw()
    assert not cgroup.thaw()


# The real thing, where this machine lets us


def writable(kind, marker):
    """Return where a hierarchy is mounted in which we may make cgroups, or None."""
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _dash, after = line.partition(" - ")
        found, _source, options = after.split(" ", 2)
        place = Path(before.split(" ")[4])
        if found == kind and marker in options and os.access(place, os.W_OK):
            return place
    return None


@pytest.mark.parametrize(("kind", "marker", "number"), [("cgroup", "freezer", 1), ("cgroup2", "", 2)])
def test_a_real_process_stands_still_and_goes_on(kind, marker, number):
    mount = writable(kind, marker)
    if mount is None:
        pytest.skip(f"no {kind} hierarchy that this user may write to")
    name = uuid.uuid4().hex
    directory = mount / f"crm-continuity-test-{name}"
    try:
        directory.mkdir()
    except OSError as exc:
        pytest.skip(f"no cgroup can be made here: {exc}")
    counting = "import itertools\nfor n in itertools.count(): print(n, flush=True)"
    process = subprocess.Popen(["python3", "-c", counting], stdout=subprocess.PIPE)
    try:
        (directory / "cgroup.procs").write_text(str(process.pid))
        cgroup = locate(process.pid, name)
        assert cgroup == Cgroup(str(directory), number)
        process.stdout.readline()

        cgroup.freeze()
        os.set_blocking(process.stdout.fileno(), False)
        while process.stdout.read(1 << 20):
            continue
        assert cgroup.held()
        assert process.stdout.read(1) is None

        assert cgroup.thaw()
        os.set_blocking(process.stdout.fileno(), True)
        assert process.stdout.readline()
    finally:
        Cgroup(str(directory), number).thaw()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        directory.rmdir()
