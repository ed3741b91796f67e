# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make of console.yml what the two consoles read: awx/awx.json and semaphore/project.json.

    python3 generate.py            write both
    python3 generate.py --check    fail when one of them is not what would be written

awx.json has one list for each kind of thing in AWX, with the names of the fields as in its API and names in place of
numbers. awx/configure.yml brings AWX to that state. project.json is what Semaphore imports as a project.
"""

from __future__ import annotations

import argparse
import json
import sys
import zoneinfo
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
NO_SURVEY: dict[str, Any] = {}
# How many characters an answer may have: names and paths.
LONGEST = 1024


def awx(console: dict[str, Any]) -> dict[str, Any]:
    """Return the state of AWX."""
    organization = console["organization"]
    own = {"organization": organization}
    return {
        "credential_types": [{**kind, "kind": "cloud"} for kind in console["credential_types"]],
        # Without inputs: nobody overwrites what was filled in on the screen.
        "credentials": [
            {"name": one["name"], "description": one["description"], "credential_type": one["type"], **own}
            for one in console["credentials"].values()
        ],
        "execution_environments": [{**console["execution_environment"], "pull": "always"}],
        "notification_templates": [{**receiver, **own} for receiver in console["notifications"]],
        "projects": [
            {
                "name": console["project"]["name"],
                "description": "Inventory and playbooks",
                "scm_type": "git",
                "scm_url": console["project"]["url"],
                "scm_branch": console["project"]["branch"],
                "scm_clean": True,
                "scm_update_on_launch": True,
                **own,
            }
        ],
        "inventories": [
            {"name": console["inventory"]["name"], "description": "Filled from the project, not by hand", **own}
        ],
        "inventory_sources": [
            {
                "name": console["inventory"]["path"],
                "inventory": console["inventory"]["name"],
                "source": "scm",
                "source_project": console["project"]["name"],
                "source_path": console["inventory"]["path"],
                "update_on_launch": True,
                "overwrite": True,
                "overwrite_vars": True,
                **own,
            }
        ],
        "job_templates": [job_template(console, job) for job in console["jobs"]],
        "workflow_job_templates": [workflow(console, flow) for flow in console["workflows"]],
        "schedules": [
            {
                "name": flow["schedule"]["name"],
                "unified_job_template": flow["name"],
                "rrule": (
                    f"DTSTART;TZID={console['timezone']}:{flow['schedule']['start']} RRULE:{flow['schedule']['rule']}"
                ),
                "enabled": True,
            }
            for flow in console["workflows"]
        ],
    }


def job_template(console: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Return one job as AWX has it."""
    survey = [question(one) for one in job.get("survey", [])]
    return {
        "name": job["name"],
        "description": job["description"],
        "organization": console["organization"],
        "job_type": "check" if job.get("check") else "run",
        "inventory": console["inventory"]["name"],
        "project": console["project"]["name"],
        "playbook": playbook(job),
        "execution_environment": console["execution_environment"]["name"],
        "credentials": [console["credentials"][kind]["name"] for kind in ["ssh", *job.get("credentials", [])]],
        "extra_vars": job.get("variables", {}),
        "ask_limit_on_launch": bool(job.get("limit")),
        # All servers in one job: a slice would know nothing of the others, and write a report of its own.
        "job_slice_count": 1,
        "survey_enabled": bool(survey),
        "survey_spec": {"name": "", "description": "", "spec": survey} if survey else NO_SURVEY,
    }


def question(one: dict[str, Any]) -> dict[str, Any]:
    """Return one question as AWX has it."""
    choices = one.get("choices", [])
    return {
        "variable": one["variable"],
        "question_name": one["question"],
        "question_description": one["help"],
        "required": one["required"],
        "type": "multiplechoice" if choices else "text",
        "choices": choices,
        "default": one.get("default", ""),
        # Otherwise AWX takes an empty text for an answer.
        "min": 1 if one["required"] else 0,
        "max": LONGEST,
    }


def workflow(console: dict[str, Any], flow: dict[str, Any]) -> dict[str, Any]:
    """Return one workflow with its nodes."""
    return {
        "name": flow["name"],
        "description": flow["description"],
        "organization": console["organization"],
        "inventory": console["inventory"]["name"],
        "notification_templates_error": flow["notify_on_error"],
        "workflow_nodes": [
            {
                "identifier": node["name"],
                "unified_job_template": {
                    "name": node["job"],
                    "type": "job_template",
                    "organization": {"name": console["organization"]},
                },
                "related": {
                    f"{outcome}_nodes": [{"identifier": name} for name in node.get(outcome, [])]
                    for outcome in ("success", "failure", "always")
                },
            }
            for node in flow["nodes"]
        ],
    }


def semaphore(console: dict[str, Any]) -> dict[str, Any]:
    """Return the project for Semaphore. Things refer to each other by name, and no secret travels."""
    views = list(dict.fromkeys(job["view"] for job in console["jobs"]))
    keys = [("None", "none"), ("SSH key of the servers", "ssh"), ("Vault password", "login_password")]
    return {
        "meta": {"name": console["project"]["name"], "type": "", "alert": True, "max_parallel_tasks": 2},
        "keys": [{"name": name, "type": kind, "owner": ""} for name, kind in keys],
        "repositories": [
            {
                "name": console["project"]["name"],
                "git_url": console["project"]["url"],
                "git_branch": console["project"]["branch"],
                "ssh_key": "None",
            }
        ],
        "inventories": [
            {
                "name": console["inventory"]["name"],
                "type": "file",
                "inventory": console["inventory"]["path"],
                "ssh_key": "SSH key of the servers",
                "become_key": None,
            }
        ],
        "environments": [{"name": "CRM keys", "json": "{}", "env": "{}"}],
        "views": [{"title": title, "position": position} for position, title in enumerate(views)],
        "templates": [template(console, job) for job in console["jobs"]],
        "schedules": [
            {
                "name": schedule["name"],
                "template": schedule["job"],
                "cron_format": f"CRON_TZ={console['timezone']} {schedule['cron']}",
                "active": True,
                "type": "",
                "delete_after_run": False,
                "task_params": {},
            }
            for schedule in console["schedules"]
        ],
        "integrations": [],
        "integration_aliases": [],
    }


def template(console: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
    """Return one job as Semaphore has it."""
    arguments = ["--check"] if job.get("check") else []
    if variables := job.get("variables"):
        arguments.append(f"--extra-vars={json.dumps(variables)}")
    return {
        "name": job["name"],
        "description": job["description"],
        "app": "ansible",
        "type": "",
        "playbook": playbook(job),
        "repository": console["project"]["name"],
        "inventory": console["inventory"]["name"],
        # Older versions know the first, newer ones the second.
        "environment": "CRM keys",
        "environments": ["CRM keys"],
        "view": job["view"],
        "arguments": json.dumps(arguments),
        "allow_override_args_in_task": False,
        "autorun": False,
        "suppress_success_alerts": True,
        "vaults": [],
        "survey_vars": [answer(one) for one in job.get("survey", [])],
        "task_params": {"allow_override_limit": bool(job.get("limit"))},
    }


def answer(one: dict[str, Any]) -> dict[str, Any]:
    """Return one question as Semaphore has it.

    Its versions read a default in two forms, each of which the others refuse. So there is none, and what has one has to
    be answered.
    """
    default = one.get("default", "")
    return {
        "name": one["variable"],
        "title": one["question"],
        "description": f"{one['help']} (usually {default})" if default else one["help"],
        "type": "enum" if "choices" in one else "",
        "required": one["required"],
        "values": [{"name": choice, "value": choice} for choice in one.get("choices", [])],
    }


def playbook(job: dict[str, Any]) -> str:
    """Return the path in the repository."""
    return f"playbooks/{job['playbook']}.yml"


def main() -> int:
    """Write both files, or compare them."""
    parser = argparse.ArgumentParser(description="Make awx/awx.json and semaphore/project.json of console.yml.")
    parser.add_argument("--check", action="store_true", help="only say whether they are what would be written")
    check = parser.parse_args().check
    console = yaml.safe_load((HERE / "console.yml").read_text(encoding="utf-8"))
    # Semaphore imports any name, and with a wrong one never starts anything.
    known = zoneinfo.available_timezones()
    if known and console["timezone"] not in known:
        print(
            f"console.yml: {console['timezone']} is no time zone. Write one such as America/Sao_Paulo.", file=sys.stderr
        )
        return 1
    stale = []
    for name, content in (("awx/awx.json", awx(console)), ("semaphore/project.json", semaphore(console))):
        path = HERE / name
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {name}")
    if check and stale:
        print(f"{', '.join(stale)}: not what console.yml says. Run: python3 generate.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
