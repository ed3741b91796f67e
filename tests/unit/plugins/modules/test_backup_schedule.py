# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.crm.continuity.plugins.module_utils import _schedule_install
from ansible_collections.crm.continuity.plugins.module_utils._schedule_install import Places
from ansible_collections.crm.continuity.plugins.modules import backup_schedule
from ansible_collections.crm.continuity.plugins.plugin_utils._bundle import build

VERSIONS = {"version": "0.1.0", "ansible_core": "2.19.1"}


class Services:
    """A service manager on which everything runs that was started."""

    def __init__(self):
        self.units = set()

    def runs(self, unit):
        return unit in self.units

    def reload(self):
        pass

    def pause(self, unit):
        self.units.discard(unit)

    def start(self, unit):
        self.units.add(unit)

    def stop(self, unit):
        self.units.discard(unit)


@pytest.fixture(scope="module")
def bundle():
    return build({"backup_prune", "stack_info"})


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, bundle):
    """Return a function that runs the module as the action plugin does, on a host below a directory."""
    for name in ("run/systemd/system", "etc/systemd/system"):
        os.makedirs(tmp_path / name)
    places = Places(
        program=str(tmp_path / "program"),
        jobs=str(tmp_path / "jobs"),
        state=str(tmp_path / "state"),
        locks=str(tmp_path / "locks"),
        root=str(tmp_path),
        services=Services(),
    )
    monkeypatch.setattr(backup_schedule, "Places", lambda: places)
    archive = tmp_path / "archive.pyz"
    archive.write_bytes(bundle.content)

    def run_module(**params):
        given = {
            "jobs": [{"name": "prune", "calendar": "daily", "calls": [{"module": "backup_prune"}]}],
            "digest": bundle.digest,
            "versions": VERSIONS,
            "archive": str(archive),
            "trial": False,
            "metrics_directory": str(tmp_path),
            **params,
        }
        with patch_module_args(given), pytest.raises(SystemExit):
            backup_schedule.main()
        return json.loads(capsys.readouterr().out)

    return run_module


def test_check_mode_says_what_the_real_run_does(run, tmp_path):
    said = run(_ansible_check_mode=True, _ansible_diff=True)
    between = os.path.exists(tmp_path / "jobs")
    done = run(_ansible_diff=True)
    again = run()

    assert (said["changed"], between, done["changed"], again["changed"]) == (True, False, True, False)
    assert (said["files"], said["diff"]) == (done["files"], done["diff"])
    assert (done["manager"], done["version"], again["files"]) == ("systemd", "0.1.0", [])
    assert done["jobs"][0]["name"] == "prune"
    assert "diff" not in again


def test_a_host_that_lacks_the_program_asks_for_it_and_changes_nothing(run, tmp_path):
    asked = run(archive=None)

    assert (asked["archive_wanted"], os.path.exists(tmp_path / "jobs")) == (True, False)
    assert run()["archive_wanted"] is False


def test_what_is_taken_away_is_gone(run, tmp_path):
    run()

    gone = run(state="absent", jobs=[])

    assert (gone["changed"], gone["manager"], gone["jobs"]) == (True, None, [])
    assert not os.path.exists(tmp_path / "jobs")
    assert run(state="absent", jobs=[])["changed"] is False


@pytest.mark.parametrize("lives", [True, False])
def test_a_cron_that_does_not_run_is_told(run, tmp_path, monkeypatch, lives):
    os.makedirs(tmp_path / "etc/cron.d")
    monkeypatch.setattr(backup_schedule, "cron_lives", lambda: lives)
    monkeypatch.setattr(_schedule_install, "_installed", lambda _name: True)

    warned = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, words: warned.append(words))

    run(manager="cron")

    assert ["cron does not run on this host" in words for words in warned] == ([] if lives else [True])


def test_what_would_fail_at_night_fails_at_once(run, monkeypatch):
    monkeypatch.setattr(
        backup_schedule,
        "trial",
        lambda name, _request, _places: {"job": name, "ok": False, "message": "No stack was found.", "steps": []},
    )

    result = run(trial=True)

    assert (result["failed"], result["changed"]) == (True, True)
    assert "what they start would fail. prune: No stack was found." in result["msg"]


@pytest.mark.parametrize(
    ("job", "words"),
    [
        ({"name": "Prune"}, "'Prune' cannot be the name of a job"),
        ({"calendar": "sometimes"}, "'sometimes' is no calendar expression"),
        ({"find": {"stacks": [{"profiles": ["ticketz"]}]}}, "cannot be one of the stacks (crm_stacks): it has no name"),
        ({"find": {"stacks": ["crm"]}}, "'crm' cannot be one of the stacks"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(run, tmp_path, job, words):
    wrong = {"name": "prune", "calendar": "daily", "calls": [{"module": "backup_prune"}], **job}

    result = run(jobs=[wrong])

    assert words in result["msg"]
    assert not os.path.exists(tmp_path / "jobs")
