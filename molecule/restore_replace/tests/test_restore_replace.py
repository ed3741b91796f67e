# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after ``ansible-playbook crm.continuity.restore`` over a stack that runs and has data."""

from __future__ import annotations

import json
import re

import pytest

testinfra_hosts = ["ansible://mol-a"]

REFUSALS = ["unconfirmed", "wrong"]
REPLACED = ["chatwoot_public", "chatwoot_storage", "evolution_instances", "redis_data"]


@pytest.mark.parametrize("run", REFUSALS)
def test_without_the_name_of_the_stack_it_refuses_and_says_how_to_go_on(evidence, run):
    assert not evidence.succeeded(run)
    assert "To confirm, run it again with -e restore_confirm=crm" in evidence.said(run)


@pytest.mark.parametrize("run", REFUSALS)
def test_the_refusal_names_everything_that_would_be_replaced(evidence, run):
    said = evidence.said(run)

    assert "The restore would replace what is there now:" in said
    for volume in ("chatwoot_storage", "chatwoot_public", "evolution_instances", "redis_data", "postgres_data"):
        assert re.search(rf"volume crm_{volume} \(\d+ files\)", said)


def test_refusals_are_in_the_audit_log_and_check_mode_is_not(host):
    events = [json.loads(line) for line in host.file("/srv/replace/audit.jsonl").content_string.splitlines()]
    refused = [event for event in events if (event["action"], event["result"]) == ("restore", "refused")]

    assert len(refused) == len(REFUSALS)
    assert all(event["facts"]["message"].startswith("The restore would replace") for event in refused)


def test_a_refusal_and_check_mode_touch_no_service(evidence):
    assert evidence.starts("containers-after-refusals") == evidence.starts("containers-before")
    assert set(evidence.states("containers-after-refusals").values()) == {"running"}


def test_check_mode_says_what_would_be_replaced(evidence):
    assert evidence.succeeded("check")
    assert re.search(r"4 volumes, 2 databases\. Replaces .*crm_chatwoot_storage", evidence.said("check"))


def test_what_was_lost_was_worth_a_restore(evidence):
    lost = " ".join(evidence.differences("lost", evidence.directory / "before.json"))

    assert "postgresql" in lost
    assert "volumes" in lost
    assert "redis" in lost


def test_with_the_name_of_the_stack_everything_is_as_it_was_at_the_backup(evidence):
    assert evidence.succeeded("confirmed")
    assert evidence.differences("restored", evidence.directory / "before.json") == []


def test_every_service_runs_again(evidence):
    assert set(evidence.states("containers-after").values()) == {"running"}


def test_other_stacks_of_the_host_are_left_alone(evidence):
    before, after = evidence.starts("containers-before"), evidence.starts("containers-after")
    others = {name for name in before if not name.startswith("crm-")}

    assert len(others) == 3
    assert {name: after[name] for name in others} == {name: before[name] for name in others}


def test_what_was_there_before_is_kept_beside_the_data_and_nothing_else(host):
    volumes = host.check_output("find /var/lib/docker/volumes -mindepth 2 -maxdepth 2 -not -name _data")
    databases = host.check_output(
        "docker exec crm-postgres-1 psql --username=postgres --dbname=template1 -tA "
        "--command='SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1'"
    )

    kept = [path.split("/")[5:] for path in volumes.splitlines() if not path.endswith("/opts.json")]
    assert sorted(volume for volume, _name in kept) == sorted(f"crm_{volume}" for volume in REPLACED)
    assert all(re.fullmatch(r"\.crm-restore-\d{8}T\d{6}Z-_data", name) for _volume, name in kept)
    previous = r"__crm_previous_\d{20}"
    wanted = ["chatwoot_production", f"chatwoot_production{previous}", "evolution", f"evolution{previous}", "postgres"]
    assert len(databases.split()) == len(wanted)
    assert all(re.fullmatch(pattern, name) for pattern, name in zip(wanted, databases.split(), strict=True))


@pytest.mark.parametrize("run", [*REFUSALS, "check", "confirmed"])
def test_no_secret_is_shown_at_any_verbosity(evidence, secrets, run):
    shown = evidence.output(run)

    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in shown] == []
