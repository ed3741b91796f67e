# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _status_host
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._space import judge
from ansible_collections.crm.continuity.plugins.module_utils._status_host import Request, look, missing_packages
from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container, shipped_profiles
from ansible_collections.crm.continuity.tests.unit.status_samples import NOW, moment, timer

CHATWOOT = "chatwoot/chatwoot:v4.15.1"
ID = "20261122T020000Z"


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(_status_host, "now", lambda: NOW)


@pytest.fixture(autouse=True)
def disk(monkeypatch):
    """Return a function that fills the disk of the root to so many percent."""

    def fill(percent):
        def space(root, warn, critical):
            return judge(root, percent, 100 - percent, warn, critical)

        monkeypatch.setattr(_status_host, "space", space)

    fill(41)
    return fill


@pytest.fixture
def root(tmp_path):
    """Return a root with a good backup of stack crm."""
    root = Root(tmp_path / "root")
    good(root, "crm")
    return root


def good(root, stack):
    root.put(ID, stack, cut_at=moment(5))
    root.log.append("backup", stack=stack, backup=ID)
    root.verify(ID, stack)


def engine(*stacks, image=CHATWOOT):
    return FakeEngine([container("rails", image, project=stack) for stack in stacks])


def ask(root, runs=None, *, missing=(), schedule=None, **more):
    request = Request(str(root.path), **{"alerts": {"min_bytes": 0, "max_unverified_days": 0}, **more})
    return look(request, lambda: runs or engine("crm"), shipped_profiles(), missing, lambda: schedule)


def codes(answer):
    return [(problem["code"], problem["stack"]) for problem in answer["problems"]]


def test_a_good_host_is_fine(root):
    answer = ask(root)

    assert (answer["standing"], answer["problems"]) == ("ok", [])
    assert answer["engine"] == {"ok": True, "version": "20.10.24", "message": None}
    assert answer["disk"] == {"path": str(root.path), "total": 100, "used": 41, "free": 59, "percent": 41.0}
    assert (answer["at"], answer["collection"], answer["schedule"]) == ("2026-11-22T07:00:00+00:00", VERSION, None)
    assert [(stack["stack"], stack["standing"], stack["backups"]) for stack in answer["stacks"]] == [("crm", "ok", 1)]
    assert json.loads(json.dumps(answer)) == answer


def test_one_bad_stack_hides_no_other(root):
    root.put(ID, "evil", freeze={"seconds": 1, "services": ["web"]})
    root.put(ID, "old", cut_at=moment(99))

    answer = ask(root)

    assert {stack["stack"]: stack["standing"] for stack in answer["stacks"]} == {
        "crm": "ok",
        "evil": "critical",
        "old": "critical",
    }
    assert ("stale", "old") in codes(answer)


def test_a_stack_that_runs_and_was_never_backed_up_is_told(root):
    answer = ask(root, engine("crm", "new"))

    assert codes(answer) == [("uncovered", "new")]
    assert (answer["standing"], answer["stacks"][1]["profiles"]) == ("warning", ["chatwoot"])


def test_a_stack_that_runs_may_be_left_alone(root):
    answer = ask(root, engine("crm", "new"), alerts={"min_bytes": 0, "stacks": {"new": {"expect_backups": False}}})

    assert codes(answer) == []


def test_what_is_no_known_crm_is_not_told(root):
    assert [one["stack"] for one in ask(root, engine("shop", image="shop:1"))["stacks"]] == ["crm"]


def test_a_stack_that_has_to_be_there_is_told_when_it_is_not(root):
    assert codes(ask(root, stacks=("crm", "ticketz"))) == [("never", "ticketz")]
    # It runs, and that is no excuse.
    assert codes(ask(root, engine("crm", "ticketz"), stacks=("crm", "ticketz"))) == [("never", "ticketz")]


def test_a_host_with_nothing_is_told(tmp_path):
    assert codes(ask(Root(tmp_path / "none"), FakeEngine())) == [("never", None)]


def test_an_engine_that_does_not_answer_hides_nothing(root):
    def connect():
        raise EngineError("No Docker daemon answers at tcp://user:s3cret@docker:2375. Start it.")

    answer = look(Request(str(root.path)), connect, shipped_profiles(), (), lambda: None)

    assert ("engine", None) in codes(answer)
    assert "s3cret" not in json.dumps(answer)
    assert answer["engine"]["ok"] is False
    assert [stack["stack"] for stack in answer["stacks"]] == ["crm"]


def test_a_label_that_names_no_profile_is_a_problem_of_the_engine(root):
    labelled = FakeEngine([container("rails", CHATWOOT, labels={"crm.continuity.profile": "nothing"})])

    assert codes(ask(root, labelled)) == [("engine", None)]


def test_packages_that_lack_are_told_once(root):
    def connect():
        raise EngineError("The Docker SDK for Python is not installed on this host.")

    missing = ("python3-docker", "zstd")
    answer = look(Request(str(root.path), alerts={"min_bytes": 0}), connect, shipped_profiles(), missing, lambda: None)

    assert codes(answer) == [("half_installed", None)]
    assert "python3-docker, zstd" in answer["problems"][0]["message"]


@pytest.mark.parametrize(
    ("percent", "limits", "expected"),
    [
        (79, {}, []),
        (80, {}, [("disk_warning", None)]),
        (90, {}, [("disk_critical", None)]),
        (80, {"disk_warn": 85}, []),
        (85, {"disk_warn": 0}, []),
        (95, {"disk_critical": 0}, [("disk_warning", None)]),
        (95, {"disk_warn": 0}, [("disk_critical", None)]),
        (99, {"disk_warn": 0, "disk_critical": 0}, []),
        (100, {"disk_warn": 0, "disk_critical": 0}, []),
        (100, {"disk_critical": 0}, [("disk_warning", None)]),
    ],
)
def test_a_disk_that_fills_up_is_told(root, disk, percent, limits, expected):
    disk(percent)

    assert codes(ask(root, alerts={"min_bytes": 0, **limits})) == expected


def test_a_disk_that_is_gone_is_told(root, monkeypatch):
    def space(*_arguments):
        raise OSError(5, "Input/output error", "/var/backups")

    monkeypatch.setattr(_status_host, "space", space)

    answer = ask(root)

    assert (codes(answer), answer["disk"]) == ([("disk_critical", None)], None)


def test_a_root_that_is_none_is_told(tmp_path):
    (tmp_path / "root").write_text("")
    answer = look(Request(str(tmp_path / "root")), FakeEngine, shipped_profiles(), (), lambda: None)

    assert ("damaged", None) in codes(answer)


def test_a_log_that_was_changed_is_told(root):
    path = root.path / "audit.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"ok"', b'"failed"', 1))

    assert ("log", None) in codes(ask(root))


def test_timers_are_told_with_their_problems(root):
    problem = {"code": "schedule_dead", "severity": "critical", "message": "Nothing will start it.", "stack": None}
    told = {"version": VERSION, "ansible_core": "2.19.14", "timers": [timer(active=False)], "problems": [problem]}

    answer = ask(root, schedule=told)

    assert codes(answer) == [("schedule_dead", None)]
    assert (answer["installed"], answer["schedule"]["timers"]) == (VERSION, [timer(active=False)])


def test_what_timers_say_is_short_and_without_secrets(root):
    words = f"postgresql://crm:s3cret@db/crm: refused. {'x' * 3000}"
    problem = {"code": "failed", "severity": "critical", "message": words, "stack": None}
    told = {"version": VERSION, "ansible_core": None, "timers": [timer(message=words)], "problems": [problem]}

    answer = ask(root, schedule=told)

    for one in (*answer["schedule"]["timers"], *answer["schedule"]["problems"], *answer["problems"]):
        assert one["message"].startswith("postgresql://crm:***@db/crm: refused.")
        assert len(one["message"]) <= 300


def test_timers_of_another_version_are_told(root):
    told = {"version": "0.0.1", "ansible_core": "2.19.14", "timers": [timer()], "problems": []}

    answer = ask(root, schedule=told)

    assert codes(answer) == [("versions", None)]
    assert "0.0.1" in answer["problems"][0]["message"]


def test_thresholds_are_tried_for_every_stack_that_has_its_own(root):
    with pytest.raises(StoreError, match="no threshold max_age"):
        ask(root, alerts={"stacks": {"ticketz": {"max_age": 3}}})


def test_thresholds_of_a_stack_are_its_own(root):
    good(root, "ticketz")

    assert codes(ask(root, alerts={"min_bytes": 0, "stacks": {"crm": {"max_age_hours": 4}}})) == [("stale", "crm")]


def test_an_answer_stays_small(root):
    noise = "Something that nobody can read to its end. " * 60
    for name in ("crm", "one", "two"):
        for day in range(60):
            id_ = f"{NOW - datetime.timedelta(days=day, hours=6):%Y%m%dT%H%M%SZ}"
            root.put(id_, name, warnings=(noise,))
            root.log.append("verify", stack=name, backup=id_, result="failed", facts={"problems": [noise] * 20})

    answer = ask(root)

    assert [stack["backups"] for stack in answer["stacks"]] == [61, 60, 60]
    assert len(json.dumps(answer)) < 30_000


def test_packages_are_looked_for(monkeypatch):
    monkeypatch.setattr(_status_host, "PROGRAMS", {"tar": "tar", "no-such-program": "no-such-package"})
    monkeypatch.setattr(_status_host, "LIBRARIES", {"json": "python3", "no_such_library": "python3-nothing"})

    assert missing_packages() == ("python3-nothing", "no-such-package")
