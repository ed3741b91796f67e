# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin with the variables of hosts, and the role in a real run of Ansible in which every host fails."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crm.continuity.plugins.action.fleet_report import OPTIONS, ActionModule
from ansible_collections.crm.continuity.plugins.modules import fleet_report
from ansible_collections.crm.continuity.tests.unit import report_samples as samples

ROOT = Path(__file__).resolve().parents[4]


class HostVars(dict):
    """What Ansible knows of hosts."""

    def raw_get(self, host):
        return self[host]


@pytest.fixture
def report(tmp_path):
    """Return a function that reports of hosts with these variables."""

    def run(hostvars, *, check=False, hosts=None, **arguments):
        arguments = {"directory": str(tmp_path / "report"), "date": samples.AT, "timezone": "UTC", **arguments}
        task = SimpleNamespace(args=arguments, action="fleet_report", async_val=0, check_mode=check, environment=None)
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=str(tmp_path)), has_pipelining=False)
        plugin = ActionModule(task, connection, SimpleNamespace(), DataLoader(), SimpleNamespace(), SimpleNamespace())
        return plugin.run(task_vars={"hostvars": HostVars(hostvars), "ansible_play_hosts_all": hosts or list(hostvars)})

    return run


def of(statuses):
    return {host: {"status_result": status} for host, status in statuses.items()}


def test_what_is_documented_is_what_there_is():
    documented = yaml.safe_load(fleet_report.DOCUMENTATION)["options"]

    assert {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in documented.items()
    } == OPTIONS


def test_it_tells_where_the_report_is_and_what_it_says(report, tmp_path):
    result = report(of(samples.five()))

    assert result["changed"]
    assert result["page"] == str(tmp_path / "report" / "report.html")
    assert result["msg"].startswith("Servers: 2 critical, 1 warning, 2 ok;")
    assert result["msg"].endswith(f"See {result['page']}.")
    assert os.path.getsize(result["page"]) == result["size"]
    assert result["standing"] == "critical"
    documented = yaml.safe_load(fleet_report.RETURN)
    assert set(result) - {"changed"} == set(documented)
    assert set(result["summary"]) == set(documented["summary"]["contains"])
    assert set(result["worst"][0]) == set(documented["worst"]["contains"])


def test_the_same_once_more_changes_nothing(report):
    report(of(samples.five()))

    assert not report(of(samples.five()))["changed"]


def test_check_mode_writes_nothing_and_says_so(report, tmp_path):
    result = report(of(samples.five()), check=True)

    assert result["changed"]
    assert "Check mode: nothing is written" in result["msg"]
    assert os.listdir(tmp_path) == []


def test_check_mode_knows_when_nothing_would_change(report):
    report(of(samples.five()))

    assert not report(of(samples.five()), check=True)["changed"]


def told(result):
    with open(result["json"], encoding="utf-8") as file:
        return {host["name"]: host["problems"][0] for host in json.load(file)["hosts"] if host["problems"]}


def test_a_host_of_which_nothing_is_known_is_in_the_report(report):
    result = report({"crm-1": {}}, hosts=["crm-1", "crm-2"])

    assert {name: problem["code"] for name, problem in told(result).items()} == {"crm-1": "broken", "crm-2": "broken"}


def test_the_error_that_kept_a_host_from_being_asked_is_in_the_report(report):
    failure = {"failed": True, "msg": "Error processing keyword 'become_pass': 'nowhere' is undefined"}

    result = report({"crm-1": {"ansible_failed_result": failure}})

    assert "'nowhere' is undefined" in told(result)["crm-1"]["message"]


def test_only_the_hosts_that_are_asked_for_are_in_the_report(report):
    assert report(of(samples.five()), hosts=["crm-1", "crm-2"])["standing"] == "ok"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mode": "rw"}, "octal"),
        ({"timezone": "Nowhere"}, "no time zone Nowhere"),
        ({"date": "yesterday"}, "date of the report is yesterday"),
        ({"language": "de"}, "must be one of"),
        ({"directory": "/dev/null/report"}, "cannot be written to /dev/null/report"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(report, arguments, message):
    with pytest.raises((AnsibleActionFail, AnsibleError), match=message):
        report(of(samples.five()), **arguments)


INVENTORY = {
    "all": {
        "hosts": {
            # Nobody listens there.
            "crm-1": {"ansible_host": "127.0.0.1", "ansible_port": 1},
            # As with a vault that was not given: nothing at all can be run on this host.
            "crm-2": {"ansible_become_password": "{{ nowhere }}"},
        }
    }
}


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    """Return where Ansible finds this collection, whatever the checkout is called."""
    place = tmp_path_factory.mktemp("collections")
    (place / "ansible_collections" / "crm").mkdir(parents=True)
    (place / "ansible_collections" / "crm" / "continuity").symlink_to(ROOT)
    return place


def play(tmp_path, collections, *arguments):
    (tmp_path / "inventory.yml").write_text(json.dumps(INVENTORY), encoding="utf-8")
    environment = {
        **os.environ,
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_SHOW_CUSTOM_STATS": "1",
        "ANSIBLE_SSH_ARGS": "-o BatchMode=yes -o ControlMaster=no",
        "ANSIBLE_LOCAL_TEMP": str(tmp_path / "temporary"),
    }
    command = [sys.executable, "-m", "ansible", "playbook", "crm.continuity.report", "-i", "inventory.yml"]
    return subprocess.run(
        [*command, *arguments], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )


def test_a_report_is_written_when_every_host_failed(tmp_path, collections):
    run = play(tmp_path, collections, "-e", "report_title=Night")

    assert run.returncode == 0, run.stdout + run.stderr
    with open(tmp_path / "crm-report" / "report.csv", encoding="utf-8", newline="") as file:
        table = {line["host"]: line for line in csv.DictReader(file)}
    assert table["crm-1"]["problems"] == "unreachable"
    assert "Connection refused" in table["crm-1"]["messages"]
    assert "'nowhere' is undefined" in table["crm-2"]["messages"]
    assert "<h1>Night</h1>" in (tmp_path / "crm-report" / "report.html").read_text(encoding="utf-8")
    # What a scheduler such as AWX keeps of the run.
    stats = run.stdout.partition("CUSTOM STATS")[2]
    assert '"silent": 2' in stats
    assert '"standing": "critical"' in stats


def test_in_check_mode_nothing_is_written(tmp_path, collections):
    run = play(tmp_path, collections, "--check", "--limit", "crm-1")

    assert run.returncode == 0, run.stdout + run.stderr
    assert "Check mode: nothing is written" in run.stdout
    assert not (tmp_path / "crm-report").exists()
