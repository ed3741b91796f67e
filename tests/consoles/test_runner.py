# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every playbook runs in ansible-runner, as in AWX, and leaves what AWX can show and nothing secret.

One host is this machine, with backups and without an engine; the other refuses every connection. What changes a host
runs in check mode. The servers of Molecule are where all of it happens for real. What was shown is kept in
build/ansible-runner/.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.crm.continuity.tests.consoles import jobs
from ansible_collections.crm.continuity.tests.consoles.conftest import GONE, ROOT, STARTER, local_host
from ansible_collections.crm.continuity.tests.consoles.fake_awx import inject

TRANSCRIPTS = ROOT / "build" / "ansible-runner"
STATE = json.loads((STARTER / "awx" / "awx.json").read_text(encoding="utf-8"))
TYPES = {kind["name"]: kind for kind in STATE["credential_types"]}
# AWX keeps no more of an event, and shows much less.
LARGEST = 100_000
ENGINE = "Docker"
SILENT = "Failed to connect to the host via ssh"


@dataclass(frozen=True)
class Case:
    """A playbook, and what comes of it."""

    playbook: str
    variables: dict[str, Any] = field(default_factory=dict)
    check: bool = True
    # What the host that is there says when it fails; nothing when it does not.
    fails: str = ""
    # Whether the other one is asked at all.
    asked: bool = True
    hosts: tuple[str, ...] = ("here", "gone")


CASES = [
    Case("adopt", {"adopt_paths": ["/nonexistent"]}, fails="/nonexistent"),
    Case("audit", check=False),
    Case("backup", fails=ENGINE),
    Case("check", check=False, fails="engine"),
    Case("commit", {"restore_stack": "crm"}, fails=ENGINE),
    Case(
        "extract", {"extract_stack": "crm", "extract_volume": "crm_storage", "extract_to": "/nonexistent/x"}, fails="."
    ),
    Case("hold", {"hold_stack": "crm", "hold_id": "latest", "hold_reason": "a test"}),
    Case("legacy", {"legacy_paths": ["/nonexistent"]}),
    Case("load", {"load_path": "/nonexistent.tar.gz"}, fails=ENGINE),
    Case("migrate", {"migrate_source": "gone", "migrate_stack": "crm"}, fails="."),
    Case("notify", check=False, fails="nobody to tell", asked=False),
    # What they do to a host they would do to this machine.
    Case("prepare", hosts=("gone",)),
    Case("schedule", hosts=("gone",)),
    Case("prune"),
    Case("report", check=False),
    Case("restore", {"restore_stack": "crm", "restore_id": "latest", "restore_confirm": "crm"}, fails=ENGINE),
    Case("retrieve", {"retrieve_path": "/nonexistent/x.tar.gz"}, fails=ENGINE),
    Case("revert", {"restore_stack": "crm", "restore_many": True}, fails=ENGINE),
    # Without a journal, nobody asks the engine.
    Case("thaw"),
    Case("validate", check=False, fails=ENGINE),
    Case("verify"),
]


def awx_credential(kind, inputs, directory):
    """Return what AWX makes of a credential for a job: files by path, and environment variables."""
    (directory / "env").mkdir()
    return inject(TYPES[kind], inputs, str(directory / "env"))


def told(name, job):
    """Keep what a job showed."""
    shown = re.sub(r"\x1b\[[0-9;]*m", "", job.stdout)
    TRANSCRIPTS.mkdir(parents=True, exist_ok=True)
    head = f"{job.status}, {len(job.events)} events, artifacts: {json.dumps(job.artifacts)}\n"
    (TRANSCRIPTS / f"{name}.txt").write_text(head + shown, encoding="utf-8")


def test_there_is_a_case_for_every_playbook():
    assert {case.playbook for case in CASES} == {path.stem for path in (ROOT / "playbooks").glob("*.yml")}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.playbook)
def test_a_playbook_tells_awx_what_happened(case, starter, backups, tmp_path):
    here = backups["aes256"]
    every = {"here": local_host(here.root), "gone": GONE}
    credential = awx_credential("CRM backup keys", here.inputs, tmp_path)

    job = jobs.run(
        tmp_path,
        starter,
        case.playbook,
        {name: every[name] for name in case.hosts},
        check=case.check,
        variables=case.variables,
        credential=credential,
    )

    told(case.playbook, job)
    assert len(job.of("playbook_on_stats")) == 1
    assert all(len(json.dumps(event["event_data"].get("res", {}))) < LARGEST for event in job.events)
    assert not [secret for secret in here.secrets if secret in job.kept]
    # Whoever did not answer is told of, and hides nothing.
    assert any(SILENT in message for message in (*job.failures, job.stdout)) == case.asked
    own = [
        str(event["event_data"]["res"].get("msg", ""))
        for event in job.of("runner_on_failed", "runner_item_on_failed")
        if event["event_data"].get("host") == "here"
    ]
    if case.fails:
        assert case.fails in " ".join(own) or case.fails in job.stdout
        assert all(own)
    else:
        assert own == []
    assert "Traceback" not in job.stdout


def test_a_key_reaches_the_job_in_a_file_and_opens_the_backups(starter, backups, tmp_path):
    here = backups["age"]
    credential = awx_credential("CRM backup keys", here.inputs, tmp_path)
    assert list(credential[0].values()) == [here.inputs["identity"]]

    job = jobs.run(tmp_path, starter, "verify", {"here": local_host(here.root)}, check=True, credential=credential)

    told("verify-with-key", job)
    assert job.status == "successful"
    assert "the key opens all" in job.stdout
    assert not [secret for secret in here.secrets if secret in job.kept]


def test_a_credential_that_nobody_filled_in_is_no_key(starter, backups, tmp_path):
    job = jobs.run(
        tmp_path,
        starter,
        "verify",
        {"here": local_host(backups["age"].root)},
        check=True,
        credential=awx_credential("CRM backup keys", {}, tmp_path),
    )

    assert job.status == "successful"
    assert "the key opens all" not in job.stdout
    assert "THE KEY" not in job.stdout


def test_the_credential_stands_above_a_path_of_the_inventory_that_is_not_there(starter, backups, tmp_path):
    here = local_host(backups["age"].root, crm_identity_file="~/keys/of-another-machine.txt")

    job = jobs.run(
        tmp_path,
        starter,
        "verify",
        {"here": here},
        check=True,
        credential=awx_credential("CRM backup keys", backups["age"].inputs, tmp_path),
    )

    assert job.status == "successful"
    assert "the key opens all" in job.stdout


def test_the_jobs_that_follow_see_the_outcome(starter, backups, tmp_path):
    job = jobs.run(tmp_path, starter, "verify", {"here": local_host(backups["age"].root)}, check=True)

    assert job.artifacts == {"crm_verify": {"here": {"ok": True, "backups": 1, "damaged": []}}}


@pytest.mark.parametrize("playbook", ["restore", "revert", "commit", "extract", "hold"])
@pytest.mark.parametrize("typed", ["crm", "all", "here,there", "heer"])
def test_what_is_about_one_backup_is_for_one_server_by_its_name(typed, playbook, starter, backups, tmp_path):
    """The group of the starter has the name that most stacks have."""
    hosts = {name: local_host(backups["age"].root) for name in ("here", "there")}
    answers = {f"{playbook}_hosts": typed, "restore_stack": "crm"}

    job = jobs.run(tmp_path, starter, playbook, hosts, variables=answers, group="crm")

    assert job.status == "failed"
    (message,) = job.failures
    assert message.startswith(f"{typed} is not the name of one server in the inventory. Nothing was touched.")
    assert not job.of("runner_on_ok")


def test_a_server_that_nobody_knows_is_no_success(starter, backups, tmp_path):
    """Ansible alone would find nothing to do, and end well."""
    answers = {"verify_hosts": "heer"}

    job = jobs.run(tmp_path, starter, "verify", {"here": local_host(backups["age"].root)}, variables=answers)

    told("verify-unknown-server", job)
    assert job.status == "failed"
    assert "Could not match supplied host pattern" in job.stdout


@pytest.mark.parametrize("playbook", ["report", "check"])
def test_a_job_without_the_credential_of_notifications_tells_nobody_and_goes_on(playbook, starter, backups, tmp_path):
    # As docs/awx.md says: the inventory names the place of the memory, and the addresses come as a credential.
    here = local_host(backups["age"].root, crm_notify={"memory": str(tmp_path / "notify.json")})

    job = jobs.run(tmp_path, starter, playbook, {"here": here})

    assert "Nobody is told by this run" in job.stdout
    # There is no engine, which is what the check is about.
    assert [message for message in job.failures if ENGINE not in message] == []
    assert job.status == ("successful" if playbook == "report" else "failed")


def test_addresses_of_those_who_are_told_stay_secret(starter, backups, tmp_path):
    # Nobody listens there.
    secret = "json://ana:planted-in-the-address@127.0.0.1:9/"
    inputs = {"urls": secret}

    job = jobs.run(
        tmp_path,
        starter,
        "notify",
        {"here": local_host(backups["age"].root)},
        credential=awx_credential("CRM notifications", inputs, tmp_path),
    )

    told("notify-dead-receiver", job)
    # A dead receiver is told of, and fails nothing.
    assert job.status == "successful", job.stdout
    assert "planted-in-the-address" not in job.kept
