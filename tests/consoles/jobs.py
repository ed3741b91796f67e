# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a playbook of the starter repository as AWX does: ansible-runner, its environment, a credential's injectors."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ansible_runner.interface import run as run_in_runner

if TYPE_CHECKING:
    from pathlib import Path

# What AWX sets for every job, beside its numbers.
AWX_ENVIRONMENT = {
    "ANSIBLE_FORCE_COLOR": "True",
    "ANSIBLE_HOST_KEY_CHECKING": "False",
    "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
    "ANSIBLE_PARAMIKO_RECORD_HOST_KEYS": "False",
    "ANSIBLE_RETRY_FILES_ENABLED": "False",
    "MAX_EVENT_RES": "700000",
    "JOB_ID": "4711",
}
AWX_VARIABLES = {"awx_job_id": 4711, "awx_job_template_name": "CRM job", "awx_user_name": "ana"}


@dataclass
class Job:
    """What came of it."""

    status: str
    return_code: int
    stdout: str
    events: list[dict[str, Any]] = field(default_factory=list)
    # All that AWX would keep, as one text.
    kept: str = ""

    def of(self, *names: str) -> list[dict[str, Any]]:
        """Return the events of these kinds."""
        return [event for event in self.events if event["event"] in names]

    @property
    def failures(self) -> list[str]:
        """Return what failed tasks and hosts said."""
        failed = self.of("runner_on_failed", "runner_on_unreachable", "runner_item_on_failed")
        return [str(event["event_data"]["res"].get("msg", "")) for event in failed]

    @property
    def artifacts(self) -> dict[str, Any]:
        """Return what the nodes that follow in a workflow would see."""
        return next((event["event_data"].get("artifact_data", {}) for event in self.of("playbook_on_stats")), {})


def run(
    directory: Path,
    starter: Path,
    playbook: str,
    hosts: dict[str, dict[str, Any]],
    *,
    check: bool = False,
    variables: dict[str, Any] | None = None,
    credential: tuple[dict[str, str], dict[str, str]] = ({}, {}),
    group: str = "servers",
    timeout: int = 120,
) -> Job:
    """Run C(playbooks/playbook.yml) on these hosts of a group, with the files and variables of a credential."""
    (directory / "project").symlink_to(starter)
    (directory / "inventory").mkdir()
    # AWX gives a program that prints its inventory.
    content = {group: {"hosts": list(hosts)}, "_meta": {"hostvars": hosts}}
    program = directory / "inventory" / "hosts"
    program.write_text(f"#!/usr/bin/env python3\nprint({json.dumps(content)!r})\n", encoding="utf-8")
    program.chmod(0o700)
    files, env = credential
    for path, text in files.items():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
    (directory / "home").mkdir()
    events: list[dict[str, Any]] = []

    def keep(event: dict[str, Any]) -> bool:
        events.append(event)
        return True

    ran = run_in_runner(
        private_data_dir=str(directory),
        ident="4711",
        playbook=f"playbooks/{playbook}.yml",
        inventory=str(program),
        cmdline="--check" if check else None,
        extravars={**AWX_VARIABLES, **(variables or {})},
        envvars={
            **AWX_ENVIRONMENT,
            "HOME": str(directory / "home"),
            "AWX_PRIVATE_DATA_DIR": str(directory),
            "ANSIBLE_COLLECTIONS_PATH": str(starter / "collections"),
            **env,
        },
        settings={"suppress_ansible_output": True},
        suppress_env_files=True,
        event_handler=keep,
        timeout=timeout,
        quiet=True,
    )
    artifacts = directory / "artifacts"
    command = artifacts / "4711" / "command"
    # It also holds the environment of the process. AWX shows that with the values of credentials masked.
    argv = json.loads(command.read_text(encoding="utf-8"))["command"]
    command.unlink()
    files_kept = [path for path in sorted(artifacts.rglob("*")) if path.is_file()]
    kept = [path.read_text(encoding="utf-8", errors="replace") for path in files_kept]
    stdout = (artifacts / "4711" / "stdout").read_text(encoding="utf-8")
    job = Job(ran.status, ran.rc, stdout, events, "\n".join([*argv, *kept, json.dumps(events, default=str)]))
    shutil.rmtree(artifacts)
    return job
