# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action plugin with real receivers, and the role in a real run of Ansible with planted secrets."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import ansible_runner
import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible.parsing.dataloader import DataLoader

from ansible_collections.crm.continuity.plugins.action import fleet_notify
from ansible_collections.crm.continuity.plugins.action.fleet_notify import OPTIONS, ActionModule
from ansible_collections.crm.continuity.plugins.plugin_utils._notify_memory import alone
from ansible_collections.crm.continuity.tests.unit import status_samples as samples
from ansible_collections.crm.continuity.tests.unit.receivers import WebReceiver, nobody, serving

ROOT = Path(__file__).resolve().parents[4]
TOKEN = "planted7token7that7nobody7may7see"
RESULT = {
    "changed",
    "hosts",
    "news",
    "receivers",
    "remembered",
    "sent",
    "subject",
    "text",
    "unchanged",
    "undelivered",
    "warnings",
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def web():
    server = WebReceiver()
    with serving(server):
        yield server


class HostVars(dict):
    """What Ansible knows of hosts: with all templates rendered, and as the inventory has it."""

    def raw_get(self, host):
        return self[host]


@pytest.fixture
def notify(tmp_path):
    """Return a function that notifies of hosts by name, with a memory that lasts for the test."""

    def run(statuses, *, check=False, settings=None, failures=None, **arguments):
        arguments = {"memory": str(tmp_path / "memory.json"), "timeout": 20, **arguments}
        task = SimpleNamespace(
            args=arguments, action="crm.continuity.fleet_notify", async_val=0, check_mode=check, environment=None
        )
        connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=str(tmp_path)), has_pipelining=False)
        plugin = ActionModule(task, connection, SimpleNamespace(), DataLoader(), SimpleNamespace(), SimpleNamespace())
        hostvars = HostVars({host: {"status_result": status} for host, status in statuses.items()})
        for host, own in (settings or {}).items():
            hostvars[host]["crm_notify"] = own
        for host, failure in (failures or {}).items():
            hostvars[host]["ansible_failed_result"] = failure
        return plugin.run(task_vars={"hostvars": hostvars, "ansible_play_hosts_all": list(statuses)})

    return run


FAILED = {"crm-a": samples.failed("crm-a"), "crm-b": samples.good("crm-b")}
GOOD = {"crm-a": samples.good("crm-a"), "crm-b": samples.good("crm-b")}


def url(web):
    return f"json://{web.address}/{TOKEN}"


def test_a_failure_is_told_once_and_its_end_once(notify, web):
    outcomes = [notify(hosts, urls=[url(web)]) for hosts in (FAILED, FAILED, GOOD, GOOD)]

    assert [outcome["sent"] for outcome in outcomes] == [True, False, True, False]
    assert [outcome["changed"] for outcome in outcomes] == [True, False, True, False]
    assert [outcome["remembered"] for outcome in outcomes] == [False, True, True, True]
    assert [posted.json["type"] for posted in web.got] == ["failure", "success"]
    assert web.got[0].json["title"] == "[crm] 2 critical: crm-a"
    assert "no longer: the last run failed" in web.got[1].json["message"]


def test_the_result_has_the_same_keys_in_every_state_and_mode(notify, web):
    given = {"urls": [url(web)], "ping_url": f"http://{web.address}/{TOKEN}"}

    for state in ("start", "finish", "test"):
        for check in (False, True):
            assert notify(FAILED, state=state, check=check, **given).keys() == RESULT


def test_check_mode_says_what_it_would_tell_and_does_nothing(notify, web, tmp_path):
    outcome = notify(FAILED, check=True, urls=[url(web)], ping_url=f"http://{web.address}/")

    assert (outcome["changed"], outcome["sent"]) == (True, False)
    assert "password authentication failed" in outcome["text"]
    assert web.got == []
    assert os.listdir(tmp_path) == []


def test_what_was_not_delivered_is_a_warning_and_told_by_the_next_run(notify, web):
    web.status = 500
    lost = notify(FAILED, urls=[url(web)])
    web.status = 200
    told = notify(FAILED, urls=[url(web)])

    assert not lost.get("failed")
    assert (lost["sent"], lost["changed"]) == (False, False)
    assert lost["undelivered"] == [{"receiver": "json (address 1)", "reason": "answered with HTTP status 500"}]
    assert lost["warnings"] == ["A notification was not delivered: json (address 1) answered with HTTP status 500."]
    assert told["sent"]


def test_what_one_of_two_has_heard_is_told(notify, web):
    both = [f"json://{nobody()}/{TOKEN}", url(web)]

    first = notify(FAILED, urls=both)
    second = notify(FAILED, urls=both)

    assert first["sent"]
    assert len(first["undelivered"]) == 1
    assert not second["sent"]


def test_strict_makes_it_fail(notify):
    outcome = notify(FAILED, urls=[f"json://{nobody()}/{TOKEN}"], strict=True)

    assert outcome["failed"]
    assert outcome["msg"] == "A notification was not delivered: json (address 1) could not be reached."


def test_a_monitor_hears_how_the_fleet_stands_in_every_run(notify, web):
    ping = f"http://{web.address}/ping"

    notify({}, state="start", ping_url=ping)
    for hosts in (FAILED, FAILED, GOOD, {"crm-a": samples.unverified("crm-a")}):
        notify(hosts, ping_url=ping)
    notify({"crm-a": samples.unverified("crm-a")}, ping_url=ping, ping_fail_on="warning")

    assert [posted.path for posted in web.got] == [
        *("/ping/start", "/ping/fail", "/ping/fail", "/ping", "/ping", "/ping/fail")
    ]
    assert web.got[2].body.startswith("[crm] 2 critical: crm-a\n\nCRITICAL\n- crm-a / crm: ")
    assert web.got[3].body.startswith("[crm] all is well\n\n")


def test_without_receivers_nothing_waits_for_being_told(notify, web):
    ping = f"http://{web.address}/ping"
    first = notify(FAILED, ping_url=ping)
    second = notify(FAILED, ping_url=ping)

    assert [(outcome["changed"], outcome["sent"]) for outcome in (first, second)] == [(False, False)] * 2


def test_a_test_reaches_everybody_and_says_nothing_of_how_the_fleet_stands(notify, web):
    outcome = notify({}, state="test", urls=[url(web)], ping_url=f"http://{web.address}/ping", language="pt-BR")

    assert outcome["sent"]
    assert [posted.path for posted in web.got] == [f"/{TOKEN}", "/ping/log"]
    assert web.got[0].json["title"] == "[crm] teste das notificações"


def test_digests_keep_their_distance(notify, web):
    notify({"crm-a": samples.failed("crm-a")}, urls=[url(web)])

    soon = notify(
        {"crm-a": samples.failed("crm-a"), "crm-b": samples.failed("crm-b")}, urls=[url(web)], interval_minutes=60
    )
    later = notify({"crm-a": samples.failed("crm-a"), "crm-b": samples.failed("crm-b")}, urls=[url(web)])

    assert not soon["sent"]
    assert later["sent"]
    assert "crm-b" in later["text"]
    assert later["unchanged"] == 2


def test_always_sends_even_when_all_is_well(notify, web):
    outcomes = [notify(GOOD, urls=[url(web)], events=["failure", "always"]) for _turn in range(2)]

    assert [outcome["sent"] for outcome in outcomes] == [True, True]
    assert web.got[1].json["title"] == "[crm] all is well"


def test_a_memory_that_cannot_be_used_is_a_warning_and_all_is_told(notify, web, tmp_path):
    (tmp_path / "file").write_text("")

    outcome = notify(FAILED, urls=[url(web)], memory=str(tmp_path / "file" / "memory.json"))

    assert outcome["sent"]
    assert len(outcome["warnings"]) == 2
    assert "told again" in outcome["warnings"][1]


def test_a_damaged_memory_is_replaced(notify, web, tmp_path):
    (tmp_path / "memory.json").write_text("{")

    first = notify(FAILED, urls=[url(web)])
    second = notify(FAILED, urls=[url(web)])

    assert first["sent"]
    assert "is damaged" in first["warnings"][0]
    assert not second["sent"]
    assert second["warnings"] == []


def test_without_a_memory_every_run_tells_what_stands(notify, web, tmp_path):
    outcomes = [notify(FAILED, urls=[url(web)], memory="") for _turn in range(2)]

    assert [outcome["sent"] for outcome in outcomes] == [True, True]
    assert os.listdir(tmp_path) == []


def test_the_memory_holds_no_address_and_is_nobody_elses_business(notify, web, tmp_path):
    notify(FAILED, urls=[url(web)], ping_url=f"http://{web.address}/{TOKEN}")

    assert TOKEN not in (tmp_path / "memory.json").read_text()
    assert stat.S_IMODE((tmp_path / "memory.json").stat().st_mode) == 0o600


def test_of_two_runs_at_a_time_neither_forgets_what_the_other_told(notify, web):
    web.delay = 1.0
    teams = [{"crm-a": samples.failed("crm-a")}, {"crm-b": samples.failed("crm-b")}]
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda hosts: notify(hosts, urls=[url(web)]), teams))
    web.delay = 0.0

    again = notify(teams[0] | teams[1], urls=[url(web)])

    assert [outcome["sent"] for outcome in both] == [True, True]
    assert (again["sent"], again["unchanged"]) == (False, 4)


def test_a_run_that_keeps_the_memory_to_itself_is_named_and_waited_for_no_longer(notify, web, tmp_path, monkeypatch):
    monkeypatch.setattr(fleet_notify, "TURNS", 0)

    with alone(str(tmp_path / "memory.json"), 0):
        outcome = notify(FAILED, urls=[url(web)])

    assert outcome["sent"]
    assert len(outcome["warnings"]) == 1
    assert f"Another run has been using {tmp_path}/memory.json" in outcome["warnings"][0]


def test_a_digest_of_a_clock_that_was_ahead_does_not_hold_up_the_next(notify, web, tmp_path):
    sent = (datetime.now(timezone.utc) + timedelta(days=3650)).isoformat()
    (tmp_path / "memory.json").write_text(json.dumps({"format": 1, "sent": sent, "hosts": {}}))

    assert notify(FAILED, urls=[url(web)], interval_minutes=60)["sent"]


def test_a_missing_attachment_is_a_warning(notify, web, tmp_path):
    outcome = notify(FAILED, urls=[url(web)], attach=str(tmp_path / "report.html"))

    assert outcome["sent"]
    assert outcome["warnings"] == [f"{tmp_path}/report.html is not attached: No such file or directory."]


def test_a_directory_and_a_file_that_is_too_large_are_not_attached(notify, web, tmp_path):
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(20_000_000)

    for path in (tmp_path, tmp_path / "large"):
        assert (
            "is not attached: it is no file of at most 15 MB"
            in notify(FAILED, urls=[url(web)], attach=str(path), memory="")["warnings"][0]
        )


def test_hosts_with_other_settings_are_named(notify):
    outcome = notify(GOOD, settings={"crm-a": {"urls": [TOKEN]}, "crm-b": {"urls": [f"{TOKEN}-b"]}})

    assert len(outcome["warnings"]) == 1
    assert "crm-b" in outcome["warnings"][0]
    assert TOKEN not in outcome["warnings"][0]


def test_a_host_without_status_is_among_the_broken(notify):
    outcome = notify({"crm-a": samples.good("crm-a"), "crm-b": None})

    assert outcome["hosts"] == {"ok": 1, "warning": 0, "critical": 1}
    assert "crm-b" in outcome["text"]


def test_a_host_that_dropped_out_is_told_with_its_error(notify):
    failure = {"unreachable": True, "msg": "ssh: connect to host crm-b port 22: Connection refused"}

    outcome = notify({"crm-a": samples.good("crm-a"), "crm-b": None}, failures={"crm-b": failure})

    assert (
        "crm-b: The host cannot be reached: ssh: connect to host crm-b port 22: Connection refused" in outcome["text"]
    )


def test_without_any_status_it_says_what_to_run(notify):
    with pytest.raises(AnsibleActionFail, match=r"crm\.continuity\.status"):
        notify({"crm-a": None})


@pytest.mark.parametrize(
    "arguments",
    [{"urls": {TOKEN: 1}}, {"urls": 7}, {"ping_url": [{"x": TOKEN}]}, {"urls": [TOKEN], "eventz": []}],
    ids=["a dictionary", "a number", "a ping in a dictionary", "an option that is not there"],
)
def test_wrong_arguments_are_refused_without_their_values(notify, arguments):
    with pytest.raises(AnsibleActionFail) as caught:
        notify(GOOD, **arguments)

    assert TOKEN not in str(caught.value)


def test_the_documentation_knows_the_options_and_results():
    source = (ROOT / "plugins/modules/fleet_notify.py").read_text()
    scope: dict = {}
    exec(source, scope)
    documented = yaml.safe_load(scope["DOCUMENTATION"])["options"]

    assert documented.keys() == OPTIONS.keys()
    for name, option in OPTIONS.items():
        for key in ("type", "choices", "default"):
            mine, theirs = option.get(key), documented[name].get(key)
            assert (set(mine) if isinstance(mine, list) else mine) == (
                set(theirs) if isinstance(theirs, list) else theirs
            )
    assert yaml.safe_load(scope["RETURN"]).keys() == RESULT - {"changed", "warnings"}


PLAY = """
- hosts: all
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact:
        status_result: "{{ (lookup('ansible.builtin.file', 'statuses.json') | from_json)[inventory_hostname] }}"
    - ansible.builtin.include_role:
        name: crm.continuity.notify
        tasks_from: TASKS
      vars:
        notify_gather: false
"""


@pytest.fixture
def play(tmp_path):
    """Return a function that runs the role on two hosts, as loudly as possible, and returns all that comes of it."""

    def run(*options, accept=0, statuses=None, env=None, after="main", **crm_notify):
        statuses = FAILED if statuses is None else statuses
        settings = {"crm_notify": {"memory": str(tmp_path / "memory.json"), **crm_notify}} if crm_notify else {}
        settings = {"crm_notify": crm_notify["instead"]} if "instead" in crm_notify else settings
        (tmp_path / "statuses.json").write_text(json.dumps(statuses))
        (tmp_path / "play.yml").write_text(PLAY.replace("TASKS", after))
        inventory = {
            "all": {
                "hosts": {host: {} for host in statuses},
                "vars": {
                    "ansible_connection": "local",
                    "ansible_python_interpreter": sys.executable,
                    **settings,
                },
            }
        }
        # As people write it: YAML knows words that JSON does not.
        (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory).replace("'on'", "on"))
        done = subprocess.run(
            [
                *(str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.yml", "play.yml", "-vvvv"),
                *("--diff", *options),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "link"),
                "ANSIBLE_LOG_PATH": str(tmp_path / "ansible.log"),
                "ANSIBLE_NOCOLOR": "1",
                "HOME": str(tmp_path),
                **(env or {}),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr + (tmp_path / "ansible.log").read_text()
        assert done.returncode == accept, said
        return said

    return run


def test_the_role_tells_once_and_lets_no_address_out(play, web):
    urls = [url(web), f"json://{nobody()}/{TOKEN}", f"slack://{TOKEN}"]

    said = play(urls=urls, ping_url=f"http://{nobody()}/{TOKEN}", language="pt-BR")

    assert TOKEN not in said
    assert len(web.got) == 1
    assert "Sent: [crm] 2 críticos: crm-a" in said
    for receiver in (
        "json (address 2) could not be reached",
        "slack (address 3) is not an address",
        "ping could not be",
    ):
        assert f"! Not delivered: {receiver}" in said


def test_the_role_fails_when_it_is_to_be_strict_and_lets_no_address_out(play):
    said = play(urls=[f"json://{nobody()}/{TOKEN}"], strict=True, accept=2)

    assert TOKEN not in said
    assert "Not delivered: json (address 1) could not be reached. Unset crm_notify.strict" in said


def test_the_start_of_a_run_is_told_to_a_monitor_only(play, web):
    without = play("--extra-vars", "notify_state=start", urls=[url(web)])
    with_one = play("--extra-vars", "notify_state=start", urls=[url(web)], ping_url=f"http://{web.address}/{TOKEN}")

    assert "Nobody is told that the run begins: crm_notify.ping_url is not set." in without
    assert "knows that a run begins" not in without
    assert "The monitor knows that a run begins." in with_one
    assert [posted.path for posted in web.got] == [f"/{TOKEN}/start"]


def test_at_the_end_of_another_role_nobody_to_tell_is_no_failure(play, web):
    """In AWX, the report has no credential with addresses, and C(crm_notify) says where the memory is."""
    without = play(after="after", events=["failure"])
    with_one = play(after="after", urls=[url(web)])

    assert "Nobody is told by this run: neither crm_notify.urls nor" in without
    assert "Sent: [crm] 2 critical: crm-a" in with_one
    assert TOKEN not in with_one
    assert len(web.got) == 1


def test_events_of_awx_hold_no_address(play, web, tmp_path, monkeypatch):
    """AWX runs playbooks by ansible-runner, and keeps all of its events."""
    play("--syntax-check", urls=[url(web), f"json://{nobody()}/{TOKEN}"], ping_url=f"http://{nobody()}/{TOKEN}")
    monkeypatch.setenv("ANSIBLE_COLLECTIONS_PATH", str(ROOT / "build" / "link"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "runner").mkdir()

    done = ansible_runner.run(
        private_data_dir=str(tmp_path / "runner"),
        project_dir=str(tmp_path),
        playbook="play.yml",
        inventory=str(tmp_path / "inventory.yml"),
        verbosity=4,
        quiet=True,
    )

    events = json.dumps(list(done.events))
    assert done.status == "successful"
    assert "Not delivered: json (address 2) could not be reached" in events
    assert TOKEN not in events
    (stdout,) = (tmp_path / "runner" / "artifacts").glob("*/stdout")
    assert TOKEN not in stdout.read_text()
    assert len(web.got) == 1


def test_the_addresses_may_come_from_the_environment(play, web):
    said = play(env={"CRM_NOTIFY_URLS": f" {url(web)} ", "CRM_NOTIFY_PING_URL": f"http://{web.address}/{TOKEN}"})

    assert TOKEN not in said
    assert [posted.path for posted in web.got] == [f"/{TOKEN}", f"/{TOKEN}/fail"]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"urls": {"x": TOKEN}}, "not a list of strings", id="addresses of another shape"),
        pytest.param({"urls": [TOKEN], "on": ["failure"]}, "crm_notify holds True, which means nothing", id="on"),
        pytest.param({"urls": [TOKEN], "evnts": []}, "crm_notify holds evnts", id="a typing error"),
        pytest.param({"language": "pt-BR"}, "There is nobody to tell", id="nobody to tell"),
        pytest.param(f"slack://{TOKEN}", "crm_notify is no dictionary", id="an address"),
        pytest.param([f"slack://{TOKEN}"], "crm_notify is no dictionary", id="a list"),
        pytest.param(
            {"urls": [TOKEN], "events": ["bogus"]}, "value of notify_events must be one", id="an unknown event"
        ),
    ],
)
def test_a_wrong_setting_is_named_without_addresses(play, settings, words):
    given = settings if isinstance(settings, dict) else {"instead": settings}
    said = play(accept=2, **given)

    assert words in said
    assert TOKEN not in said
