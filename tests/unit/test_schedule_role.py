# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A timer runs the modules with the arguments that the roles would give, whatever the inventory says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.crm.continuity.plugins.modules import backup_prune

ROOT = Path(__file__).resolve().parents[2]
PREFIX = "crm.continuity."
OMITTED = "omitted"

# What only one of the two can give, and why.
APART = {
    # Each stack of the host gives these; the timer has a delay of its own.
    "stack_backup": {"stack", "stack_profiles", "project_dir", "delay", "actor", "profiles"},
    # A private key never lies on a host.
    "backup_verify": {"identity_file", "passphrase_file", "actor", "fail_on_damage", "fail_when_none"},
    "backup_prune": {"actor", "fail_when_blocked"},
    "stack_info": {"profiles"},
}

INVENTORIES = {
    "empty": {},
    "of variables for all roles": {
        "crm_backup_root": "/opt/crm/backups",
        "crm_stacks": [{"name": "crm", "profiles": ["chatwoot"], "project_dir": "/opt/crm"}],
        "crm_compression": "gzip",
        "crm_encryption": {"method": "age", "recipients": ["age1x"]},
        "crm_exclude": ["cache"],
        "crm_freeze": {"evolution_api": "stop"},
        "crm_freeze_budget": 2,
        "crm_freeze_timeout": 200,
        "crm_health_timeout": 60,
        "crm_metrics_directory": "/metrics",
        "crm_anomaly": {"rows_drop": 30},
        "crm_space_warn": 70,
        "crm_space_critical": 75,
        "crm_window": "22:00-06:00",
        "crm_docker_host": "unix:///run/another.sock",
        "crm_signers": ["host-1 ssh-ed25519 AAAA"],
        "crm_signature": "ignore",
        "crm_retention": {"days": 14},
    },
    "of variables of the roles": {
        "backup_root": "/b",
        "backup_stacks": [{"name": "ticketz"}],
        "backup_compression": "none",
        "backup_signing_key": "/etc/key",
        "backup_encryption": {"method": "age", "recipients": ["age1y"]},
        "backup_exclude": ["tmp"],
        "backup_freeze": {"web": "none"},
        "backup_freeze_budget": 3,
        "backup_freeze_timeout": 100,
        "backup_health_timeout": 30,
        "backup_metrics_directory": "/m1",
        "backup_require_session": False,
        "backup_anomaly": {"rows_drop": 10},
        "backup_space_warn": 60,
        "backup_space_critical": 65,
        "backup_window": "01:00-05:00",
        "backup_force": True,
        "backup_only_stale": 20,
        "backup_attach": False,
        "backup_docker_host": "tcp://127.0.0.1:2375",
        "verify_root": "/v",
        "verify_stack": "ticketz",
        "verify_id": "all",
        "verify_level": "sample",
        "verify_share": 20,
        "verify_signers": ["host-2 ssh-ed25519 AAAA"],
        "verify_signature": "ignore",
        "verify_record": False,
        "verify_metrics_directory": "/m2",
        "prune_root": "/p",
        "prune_stack": "ticketz",
        "prune_retention": {"keep_last": 5},
        "prune_space_warn": 50,
        "prune_space_critical": 55,
        "prune_metrics_directory": "/m3",
    },
}


def load(path):
    return DataLoader().load_from_file(str(path), trusted_as_template=True)


def tasks_in(node):
    """Yield all tasks of a list, also those in blocks."""
    for entry in node:
        yield entry
        for part in ("block", "rescue", "always"):
            yield from tasks_in(entry.get(part, []))


def of_role(role, module, inventory):
    """Return the arguments that a role gives to a module."""
    places = sorted((ROOT / "roles" / role / "tasks").glob("*.yml"))
    found = [task for path in places for task in tasks_in(load(path) or []) if PREFIX + module in task]
    assert len(found) == 1, f"{role} runs {module} {len(found)} times"
    wanted = {name: value for name, value in found[0][PREFIX + module].items() if name not in APART[module]}
    vars_file = ROOT / "roles" / role / "vars" / "main.yml"
    variables = {
        **load(ROOT / "roles" / role / "defaults" / "main.yml"),
        **inventory,
        **(load(vars_file) if vars_file.exists() else {}),
        "omit": OMITTED,
    }
    rendered = Templar(DataLoader(), variables=variables).template(wanted)
    # A timer leaves out what is empty, too.
    return {name: value for name, value in rendered.items() if value not in (OMITTED, "")}


def of_timers(inventory):
    """Return the jobs of the role schedule."""
    role = ROOT / "roles" / "schedule"
    variables = {**load(role / "defaults" / "main.yml"), **inventory, **load(role / "vars" / "main.yml")}
    templar = Templar(DataLoader(), variables=variables)
    return {job["name"]: job for job in templar.template(variables["__schedule_jobs"])}


def calls(inventory):
    return {call["module"]: call for job in of_timers(inventory).values() for call in job["calls"]}


@pytest.mark.parametrize("name", INVENTORIES)
@pytest.mark.parametrize(
    ("role", "module"), [("backup", "stack_backup"), ("verify", "backup_verify"), ("prune", "backup_prune")]
)
def test_a_timer_gives_a_module_the_arguments_of_its_role(role, module, name):
    inventory = INVENTORIES[name]

    given = calls(inventory)[module]["arguments"]

    assert {key: value for key, value in given.items() if key not in APART[module]} == of_role(role, module, inventory)


@pytest.mark.parametrize("name", INVENTORIES)
def test_the_stacks_are_found_as_the_role_finds_them(name):
    inventory = INVENTORIES[name]

    found = {
        **of_role("backup", "stack_info", inventory),
        "stacks": inventory.get("backup_stacks", inventory.get("crm_stacks", [])),
    }
    assert of_timers(inventory)["backup"]["find"] == found


@pytest.mark.parametrize(
    ("variable", "module"),
    [("backup_timeout", "stack_backup"), ("verify_timeout", "backup_verify"), ("prune_timeout", "backup_prune")],
)
def test_a_module_has_the_time_of_its_role(variable, module):
    role = load(ROOT / "roles" / variable.partition("_")[0] / "defaults" / "main.yml")

    assert calls({})[module]["timeout"] == role[variable]
    assert calls({variable: 60})[module]["timeout"] == 60


def test_what_a_role_fails_for_a_timer_fails_for():
    found = calls({})

    assert found["backup_verify"]["arguments"]["fail_on_damage"] is True
    assert found["backup_verify"]["arguments"]["fail_when_none"] is False
    assert found["backup_prune"]["arguments"]["fail_when_blocked"] is True
    assert found["stack_backup"]["empty"] == []
    found = calls({"prune_fail_when_blocked": False, "backup_fail_when_anomalous": True})
    assert found["backup_prune"]["arguments"]["fail_when_blocked"] is False
    assert found["stack_backup"]["empty"] == ["anomalies"]


def test_what_is_tried_by_day_is_not_refused_for_the_hour_nor_for_a_young_backup():
    call = calls({"crm_window": "22:00-06:00", "backup_only_stale": 20})["stack_backup"]

    tried = {**call["arguments"], **call["trial"]}

    assert (call["arguments"]["force"], call["arguments"]["younger_than"]) == (False, 20)
    assert (tried["force"], tried["younger_than"]) == (True, 0)


def test_rules_of_retention_are_tried_on_a_host_that_has_no_backup_yet(tmp_path):
    inventory = {"crm_backup_root": str(tmp_path / "none"), "prune_stack": "crm"}
    call = calls(inventory)["backup_prune"]

    given = {**call["arguments"], **call["trial"], "_ansible_check_mode": True}
    with patch_module_args(given), pytest.raises(SystemExit) as ended:
        backup_prune.main()

    assert ended.value.code == 0


def test_the_times_of_the_guide_are_the_defaults():
    assert {name: job["calendar"] for name, job in of_timers({}).items()} == {
        "backup": "*-*-* 02:00:00",
        "verify": "Sun *-*-* 01:00:00",
    }


def test_one_calendar_may_be_changed_and_one_turned_off():
    found = of_timers({"crm_schedule": {"backup": "hourly", "verify": ""}})

    assert {name: job["calendar"] for name, job in found.items()} == {"backup": "hourly"}


def test_profiles_of_the_user_come_along():
    assert of_timers({"crm_profiles": ["own.yml"]})["backup"]["profiles"] == ["own.yml"]


def test_the_passphrase_of_the_host_encrypts_and_verifies():
    found = calls({"crm_encryption": {"method": "aes256"}, "schedule_passphrase_file": "/root/passphrase"})

    assert found["stack_backup"]["arguments"]["encryption"] == {
        "method": "aes256",
        "passphrase_file": "/root/passphrase",
    }
    assert found["backup_verify"]["arguments"]["passphrase_file"] == "/root/passphrase"


def test_where_none_is_needed_none_is_named():
    found = calls({"crm_encryption": {"method": "age", "recipients": ["age1x"]}})

    assert "passphrase_file" not in found["stack_backup"]["arguments"]["encryption"]
    assert "passphrase_file" not in found["backup_verify"]["arguments"]
