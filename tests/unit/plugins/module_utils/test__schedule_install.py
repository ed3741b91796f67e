# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import configparser
import fcntl
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _schedule_install
from ansible_collections.crm.continuity.plugins.module_utils._errors import ProcessError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._journal import boot_id, started
from ansible_collections.crm.continuity.plugins.module_utils._schedule_install import (
    Places,
    Request,
    Systemd,
    apply,
    manager,
    plan,
    trial,
)
from ansible_collections.crm.continuity.plugins.module_utils._schedule_job import CRON, Call, Job, encode, names, read
from ansible_collections.crm.continuity.plugins.module_utils._schedule_state import RUNNING, Owner, State, save
from ansible_collections.crm.continuity.plugins.module_utils._schedule_units import UNITS, Ways, files
from ansible_collections.crm.continuity.plugins.plugin_utils._bundle import Bundle, build
from ansible_collections.crm.continuity.tests.unit.schedule_fakes import job, run

OTHER = "# Installed by crm.continuity.prepare\n"


class FakeServices:
    """A service manager that notes what it was told."""

    def __init__(self):
        self.started = set()
        self.told = []

    def runs(self, unit):
        return unit in self.started

    def reload(self):
        self.told.append("reload")

    def pause(self, unit):
        self.started.discard(unit)
        self.told.append(f"pause {unit}")

    def start(self, unit):
        self.started.add(unit)
        self.told.append(f"start {unit}")

    def stop(self, unit):
        self.started.discard(unit)
        self.told.append(f"stop {unit}")


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return build({"stack_info"})


@pytest.fixture
def places(tmp_path):
    os.makedirs(tmp_path / "run/systemd/system")
    os.makedirs(tmp_path / "etc/systemd/system")
    os.makedirs(tmp_path / "etc/cron.d")
    return Places(
        program=str(tmp_path / "usr/lib/crm.continuity"),
        jobs=str(tmp_path / "etc/crm.continuity/schedule"),
        state=str(tmp_path / "var/lib/crm.continuity/schedule"),
        locks=str(tmp_path / "run/crm.continuity"),
        root=str(tmp_path),
        services=FakeServices(),
    )


@pytest.fixture
def request_(tmp_path, bundle):
    archive = tmp_path / "archive.pyz"
    archive.write_bytes(bundle.content)
    jobs = (job(), job("verify", "Sun *-*-* 01:00:00"))
    return Request(
        jobs=jobs,
        digest=bundle.digest,
        version="0.1.0",
        ansible_core="2.19.1",
        archive=str(archive),
        python=sys.executable,
        metrics_directory=str(tmp_path),
    )


def everything(root):
    """Return the paths of all files below a directory."""
    return {os.path.join(top, name) for top, _directories, found in os.walk(root) for name in found}


def install(request, places):
    apply(plan(request, places), places)
    places.services.told.clear()


def test_a_host_gets_the_program_the_jobs_and_the_timers(request_, places):
    wanted = plan(request_, places)
    apply(wanted, places)

    assert names(places.jobs) == ["backup", "verify"]
    assert read(places.jobs, "backup").calls == job().calls
    assert os.stat(os.path.join(places.jobs, "backup.json")).st_mode & 0o777 == 0o600
    assert os.stat(places.jobs).st_mode & 0o777 == 0o700
    units = os.listdir(places.at(UNITS))
    assert sorted(units) == [
        "crm-continuity-backup.service",
        "crm-continuity-backup.timer",
        "crm-continuity-failed@.service",
        "crm-continuity-verify.service",
        "crm-continuity-verify.timer",
    ]
    assert places.services.told == ["reload", "start crm-continuity-backup.timer", "start crm-continuity-verify.timer"]
    assert os.path.realpath(os.path.join(places.program, "crm-continuity.pyz")) == wanted.archive


def test_the_second_time_nothing_changes(request_, places):
    install(request_, places)

    again = plan(replace(request_, archive=None), places)

    assert (again.changed, again.changes, again.archive, again.start) == (False, (), None, ())


def test_a_plan_only_looks(request_, places, tmp_path):
    before = everything(tmp_path)

    wanted = plan(request_, places)

    assert wanted.changed
    assert everything(tmp_path) == before


def test_a_host_that_lacks_the_program_says_so(request_, places):
    wanted = plan(replace(request_, archive=None), places)

    assert wanted.archive.endswith(f"crm-continuity-{request_.digest[:16]}.pyz")
    with pytest.raises(StoreError, match="did not arrive"):
        apply(wanted, places)
    assert not os.path.exists(places.jobs)


def test_a_program_that_is_damaged_is_brought_again(request_, places):
    install(request_, places)
    path = plan(request_, places).spare or os.path.join(places.program, f"crm-continuity-{request_.digest[:16]}.pyz")
    with open(path, "r+b") as file:
        file.truncate(1000)

    wanted = plan(request_, places)
    apply(wanted, places)

    assert wanted.archive == path
    assert not plan(request_, places).changed


def test_an_archive_that_arrived_damaged_is_refused(request_, places):
    with open(request_.archive, "r+b") as file:
        file.truncate(1000)

    with pytest.raises(StoreError, match="did not arrive on this host as it was sent"):
        apply(plan(request_, places), places)


def test_another_calendar_changes_the_job_and_its_timer_only(request_, places):
    install(request_, places)
    changed = replace(request_, jobs=(job(calendar="*-*-* 04:00:00"), request_.jobs[1]))

    wanted = plan(changed, places)
    apply(wanted, places)

    assert sorted(os.path.basename(change.path) for change in wanted.changes) == [
        "backup.json",
        "crm-continuity-backup.timer",
    ]
    backup = "crm-continuity-backup.timer"
    assert places.services.told == [f"pause {backup}", "reload", f"start {backup}"]
    assert "+OnCalendar=*-*-* 04:00:00" not in wanted.diff["before"]
    assert "OnCalendar=*-*-* 04:00:00" in wanted.diff["after"]


def test_a_time_that_has_passed_today_already_is_not_made_up_for_when_it_is_new(request_, places):
    install(request_, places)
    stamps = [places.at(f"/var/lib/systemd/timers/stamp-crm-continuity-{name}.timer") for name in ("backup", "verify")]
    os.makedirs(os.path.dirname(stamps[0]))
    for path in stamps:
        with open(path, "w"):
            pass
        os.utime(path, (1000, 1000))
    places.services.told.clear()

    changed = replace(request_, jobs=(job(calendar="*-*-* 04:00:00"), replace(request_.jobs[1], delay=60)))
    apply(plan(changed, places), places)

    # systemd takes it for the last start. Another delay is no other time.
    assert [os.stat(path).st_mtime == 1000 for path in stamps] == [False, True]
    # As long as a timer is active, it has another memory, and would begin when its new time is read.
    backup, verify = "crm-continuity-backup.timer", "crm-continuity-verify.timer"
    assert places.services.told == [f"pause {backup}", "reload", f"start {backup}", f"start {verify}"]


@pytest.mark.parametrize(
    ("change", "kept"), [({"find": {"details": True}}, True), ({"calendar": "*-*-* 04:00:00"}, False)]
)
def test_a_job_that_keeps_its_time_has_missed_what_it_had_missed_before(request_, places, change, kept):
    install(request_, places)
    path = os.path.join(places.jobs, "backup.json")
    os.utime(path, (1000, 1000))

    apply(plan(replace(request_, jobs=(job(**change), request_.jobs[1])), places), places)

    assert (read(places.jobs, "backup").since.timestamp() == 1000) is kept


def test_prometheus_learns_of_a_new_time_before_the_next_run(request_, places, tmp_path):
    metrics = tmp_path / "crm_backup_schedule.prom"

    def announced(calendar):
        wanted = job(calendar=f"{calendar} UTC", metrics_directory=str(tmp_path))
        assert apply(plan(replace(request_, jobs=(wanted,)), places), places) == []
        return re.search(r'next_timestamp_seconds\{timer="backup"\} (\d+)', metrics.read_text())[1]

    # Else the time of the old calendar passes, and the timer looks dead.
    assert announced("*-01-01") != announced("*-07-01")


def test_a_timer_that_somebody_has_stopped_is_started(request_, places):
    install(request_, places)
    places.services.started.clear()

    wanted = plan(request_, places)

    assert (wanted.changed, wanted.changes, wanted.reload) == (True, (), False)
    assert wanted.start == ("crm-continuity-backup.timer", "crm-continuity-verify.timer")


def test_a_file_that_others_may_read_gets_its_mode_back(request_, places):
    install(request_, places)
    path = os.path.join(places.jobs, "backup.json")
    os.chmod(path, 0o644)

    apply(plan(request_, places), places)

    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_job_that_is_not_wanted_any_more_goes_with_its_timer(request_, places):
    install(request_, places)
    save(places.state, State("verify", "0.1.0", (run("2026-11-22T01:00:00", "2026-11-22T01:01:00", result="ok"),)))
    save(places.state, State("backup", "0.1.0"))

    apply(plan(replace(request_, jobs=request_.jobs[:1]), places), places)

    assert names(places.jobs) == ["backup"]
    assert os.listdir(places.state) == ["backup.json"]
    assert places.services.told == ["stop crm-continuity-verify.timer", "reload"]
    assert not os.path.exists(os.path.join(places.at(UNITS), "crm-continuity-verify.service"))


def test_taking_it_away_leaves_what_others_have_made(request_, places, tmp_path):
    units = places.at(UNITS)
    mine = {os.path.join(units, "crm-continuity-thaw.service"), str(tmp_path / "etc/crm.continuity/signing_key")}
    os.makedirs(os.path.dirname(places.jobs))
    for path in mine:
        with open(path, "w") as file:
            file.write(OTHER)
    before = everything(tmp_path)
    install(request_, places)
    save(places.state, State("backup", "0.1.0"))
    stamps = places.at("/var/lib/systemd/timers")
    os.makedirs(stamps)
    for path in (
        os.path.join(stamps, "stamp-crm-continuity-backup.timer"),
        request_.metrics_directory + "/crm_backup_schedule.prom",
    ):
        with open(path, "w") as file:
            file.write("")

    os.makedirs(places.locks)
    with open(os.path.join(places.locks, "schedule-backup.lock"), "w"):
        pass

    nothing = Request((), metrics_directory=request_.metrics_directory)
    apply(plan(nothing, places), places)

    assert everything(tmp_path) == before
    assert not os.path.exists(places.program)
    assert places.services.told == ["stop crm-continuity-backup.timer", "stop crm-continuity-verify.timer", "reload"]
    assert not plan(nothing, places).changed


def test_a_job_that_runs_is_not_taken_away(request_, places):
    install(request_, places)
    me = Owner(os.getpid(), started(os.getpid()), boot_id())
    save(places.state, State("backup", "0.1.0", (replace(run("2026-11-22T02:00:00"), owner=me, result=RUNNING),)))

    with pytest.raises(StoreError, match="The job backup runs since 2026-11-22T02:00:00"):
        plan(Request(()), places)


def test_an_older_program_goes_unless_a_run_uses_it(request_, places):
    install(request_, places)
    old, used = (os.path.join(places.program, f"crm-continuity-{name}.pyz") for name in ("old", "used"))
    for path in (old, used):
        with open(path, "w") as file:
            file.write("")
    with open(used) as archive:
        fcntl.flock(archive, fcntl.LOCK_SH)
        apply(plan(request_, places), places)

        assert (os.path.exists(old), os.path.exists(used)) == (False, True)
        assert not plan(request_, places).changed

    assert plan(request_, places).archives == (used,)


def test_an_older_program_stays_that_a_run_has_begun_to_use_since_the_plan(request_, places):
    install(request_, places)
    old = os.path.join(places.program, "crm-continuity-old.pyz")
    with open(old, "w") as archive:
        wanted = plan(request_, places)
        fcntl.flock(archive, fcntl.LOCK_SH)
        apply(wanted, places)

    assert wanted.spare == (old,)
    assert os.path.exists(old)


@pytest.mark.parametrize(
    ("booted", "programs", "wanted", "expected"),
    [
        (True, (), "auto", "systemd"),
        (True, ("cron",), "cron", "cron"),
        (False, ("cron",), "auto", "cron"),
        (False, ("crond",), "auto", "cron"),
    ],
)
def test_systemd_is_taken_where_it_runs_and_cron_elsewhere(places, monkeypatch, booted, programs, wanted, expected):
    if not booted:
        os.rmdir(places.at("/run/systemd/system"))
    monkeypatch.setattr(_schedule_install, "_installed", lambda name: name in programs)

    assert manager(places, wanted) == expected


def test_a_cron_that_reads_no_tables_of_others_is_none(places, monkeypatch):
    os.rmdir(places.at("/run/systemd/system"))
    os.rmdir(places.at("/etc/cron.d"))
    monkeypatch.setattr(_schedule_install, "_installed", lambda _name: True)

    with pytest.raises(StoreError, match=r"reads no /etc/cron\.d"):
        manager(places)


@pytest.mark.parametrize(
    ("wanted", "words"), [("auto", "neither systemd nor cron"), ("systemd", "was not started by systemd")]
)
def test_a_host_on_which_nothing_would_run_is_refused(places, monkeypatch, wanted, words):
    os.rmdir(places.at("/run/systemd/system"))
    monkeypatch.setattr(_schedule_install, "_installed", lambda name: False)

    with pytest.raises(StoreError, match=words):
        manager(places, wanted)


def test_cron_gets_one_table_that_looks_every_ten_minutes(request_, places):
    jobs = tuple(replace(one, manager=CRON) for one in request_.jobs)

    apply(plan(replace(request_, jobs=jobs), places), places)

    assert os.listdir(places.at(UNITS)) == []
    with open(places.at("/etc/cron.d/crm-continuity-schedule")) as file:
        lines = [line for line in file.read().splitlines() if line.startswith("*/")]
    program = os.path.join(places.program, "crm-continuity.pyz")
    (line,) = lines
    assert line.startswith("*/10 * * * * root nice -n 10 ionice ")
    assert line.endswith(f" {sys.executable} -I {program} tick 2>&1 | logger -t crm-continuity")
    assert places.services.told == []


def test_from_cron_to_systemd_the_table_goes(request_, places):
    install(replace(request_, jobs=tuple(replace(one, manager=CRON) for one in request_.jobs)), places)

    apply(plan(request_, places), places)

    assert os.listdir(places.at("/etc/cron.d")) == []
    assert "start crm-continuity-backup.timer" in places.services.told


def test_the_host_itself_tries_what_was_installed(request_, places):
    install(request_, places)

    # This very host has no stack, or no Docker; either way the program has run and says what is wrong.
    done = trial("backup", request_, places)

    assert done["job"] == "backup"
    assert not done["ok"]
    assert (
        "There is no job backup in /etc/crm.continuity/schedule" in done["message"] or "stack_info" in done["message"]
    )


def test_what_cannot_be_tried_says_why(request_, places):
    done = trial("backup", request_, places)

    assert not done["ok"]
    assert "crm-continuity.pyz" in done["message"]


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Put a systemctl first on the path that notes what it is told, and fails for what stands in a file."""
    program = tmp_path / "systemctl"
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" >>{tmp_path}/told\n'
        f'if grep -qsx "$2" {tmp_path}/refused; then echo "No, says $2." >&2; exit 1; fi\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def test_systemd_is_told_to_start_a_timer_now_and_after_every_boot_and_to_stop_it_for_good(asked):
    Systemd().reload()
    Systemd().start("crm-continuity-backup.timer")
    Systemd().stop("crm-continuity-backup.timer")

    assert (asked / "told").read_text().splitlines() == [
        "--quiet daemon-reload",
        "--quiet enable crm-continuity-backup.timer",
        "--quiet restart crm-continuity-backup.timer",
        "--quiet disable --now crm-continuity-backup.timer",
        "--quiet reset-failed crm-continuity-backup.service",
    ]


@pytest.mark.parametrize(("refused", "runs"), [("", True), ("is-active\n", False), ("is-enabled\n", False)])
def test_a_timer_runs_that_is_active_and_will_be_after_the_next_boot(asked, refused, runs):
    (asked / "refused").write_text(refused)

    assert Systemd().runs("crm-continuity-backup.timer") is runs


@pytest.mark.parametrize("what", ["enable", "restart"])
def test_a_timer_that_systemd_does_not_start_is_a_failure_in_its_words(asked, what):
    (asked / "refused").write_text(f"{what}\n")

    with pytest.raises(ProcessError, match=f"No, says {what}"):
        Systemd().start("crm-continuity-backup.timer")


def units(limit="2G", **more):
    ways = Ways(python="/usr/bin/python3", program="/usr/lib/crm.continuity/crm-continuity.pyz", memory_max=limit)
    return {os.path.basename(path): text for path, text in files("systemd", [job(delay=900, **more)], ways).items()}


def parsed(text):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string(text)
    return parser


def test_a_watchdog_outlives_the_service():
    service = parsed(units()["crm-continuity-backup.service"])["Service"]

    # With any other, systemd would kill what is to thaw.
    assert service["KillMode"] == "process"
    assert service["OOMPolicy"] == "continue"


def test_the_service_runs_the_job_and_is_nice_to_the_applications():
    service = parsed(units("512M")["crm-continuity-backup.service"])["Service"]

    assert service["ExecStart"] == "/usr/bin/python3 -I /usr/lib/crm.continuity/crm-continuity.pyz run backup"
    limits = {"MemoryMax": "512M", "Nice": "10", "CPUWeight": "50", "IOWeight": "50", "UMask": "0077"}
    assert {name: service[name] for name in limits} == limits
    # Its modules may take as long as backup_timeout and the like allow.
    assert service["TimeoutStartSec"] == "infinity"


def test_the_service_sees_the_file_systems_of_the_host():
    service = parsed(units()["crm-continuity-backup.service"])["Service"]
    # These give a service a view of its own, in which volumes that are mounted later may be missing.
    own_view = {"PrivateTmp", "PrivateMounts", "PrivateDevices", "ProtectSystem", "ProtectHome", "ProtectControlGroups"}

    assert not own_view & set(service)


def test_a_failure_starts_the_unit_that_notes_it():
    found = units()

    assert parsed(found["crm-continuity-backup.service"])["Unit"]["OnFailure"] == "crm-continuity-failed@backup.service"
    assert parsed(found["crm-continuity-failed@.service"])["Service"]["ExecStart"].endswith(" failed %i")


def test_the_timer_catches_up_and_waits_a_little():
    timer = parsed(units()["crm-continuity-backup.timer"])["Timer"]

    assert timer["Persistent"] == "true"
    assert (timer["RandomizedDelaySec"], timer["FixedRandomDelay"]) == ("900", "true")
    assert timer["OnCalendar"] == "*-*-* 02:00:00 UTC"


@pytest.mark.parametrize("limit", ["lots", "2GB", "2g", "0", "150%", "2 G", "2G\nUser=nobody", ""])
def test_a_limit_that_systemd_would_ignore_is_refused(limit):
    ways = Ways(python="/usr/bin/python3", program="/x.pyz", memory_max=limit)

    with pytest.raises(StoreError, match="is no amount of memory"):
        files("systemd", [job()], ways)


def test_a_calendar_of_several_lines_is_one():
    timer = parsed(units(calendar="Sun\n  02:00\n")["crm-continuity-backup.timer"])["Timer"]

    assert timer["OnCalendar"] == "Sun 02:00"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
@pytest.mark.parametrize("limit", ["2G", "1.5G", "512M", "1073741824", "25%", "100%", "infinity"])
def test_systemd_understands_the_units(tmp_path, limit):
    for name, text in units(limit).items():
        (tmp_path / name).write_text(text.replace("/usr/bin/python3", sys.executable))
    # Other units are of no interest here, and may not be installed.
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    shutil.copy(tmp_path / "crm-continuity-failed@.service", tmp_path / "crm-continuity-failed@backup.service")
    paths = [str(path) for path in sorted(tmp_path.iterdir()) if "@." not in path.name]

    argv = ["systemd-analyze", "verify", "--man=no", *paths]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.returncode, [line for line in done.stderr.splitlines() if "crm-continuity" in line]) == (0, [])


@pytest.mark.parametrize("name", ["", "Backup", "../x", "a b", "a" * 40])
def test_a_name_that_is_no_name_of_a_unit_is_refused(name, tmp_path):
    path = tmp_path / "job.json"
    path.write_bytes(encode(replace(job(), name=name)))

    with pytest.raises(StoreError, match="cannot be the name of a job"):
        read(str(tmp_path), "job")


def test_a_job_comes_back_as_it_was_written(tmp_path):
    wanted = Job(
        "backup", "daily", (Call("stack_backup", {"é": 1}, each=True, empty=("anomalies",), trial={}),), {}, {}
    )
    (tmp_path / "backup.json").write_bytes(encode(wanted))

    found = read(str(tmp_path), "backup")

    assert replace(found, path="", since=wanted.since) == wanted
