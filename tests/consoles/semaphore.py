# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Semaphore does with a project: how it reads the file that it imports, and how it starts a template.

Its import goes through the file by the types of its own fields: a field that it does not know is left out, one of
another type ends it. Then it looks whether all names refer to something. It starts ansible-playbook on a terminal, in
the directory of the repository, with a home of its own, and answers prompts by what they begin with.
"""

from __future__ import annotations

import json
import os
import pty
import re
import select
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

Shape = dict[str, Any]

TEXT: Shape = {"type": "string"}
SWITCH: Shape = {"type": "boolean"}
NUMBER: Shape = {"type": "integer"}
OPTIONAL: Shape = {"type": ["string", "null"]}


def _object(required: Shape, **optional: Shape) -> Shape:
    return {
        "type": "object",
        "properties": required | optional,
        "required": list(required),
        # It would only be ignored; but then why write it?
        "additionalProperties": False,
    }


def _list(of: Shape) -> Shape:
    return {"type": "array", "items": of}


_QUESTION = _object(
    {"name": TEXT, "title": TEXT, "type": {"enum": ["", "int", "enum", "secret", "text"]}, "required": SWITCH},
    description=TEXT,
    values=_list(_object({"name": TEXT, "value": TEXT})),
)
_TEMPLATE = _object(
    {
        "name": TEXT,
        "app": {"const": "ansible"},
        "type": {"enum": ["", "build", "deploy"]},
        "playbook": TEXT,
        "repository": TEXT,
        "inventory": TEXT,
    },
    description=TEXT,
    environment=TEXT,
    environments=_list(TEXT),
    view=TEXT,
    arguments=TEXT,
    allow_override_args_in_task=SWITCH,
    autorun=SWITCH,
    suppress_success_alerts=SWITCH,
    vaults=_list(_object({"name": OPTIONAL, "type": {"const": "password"}, "vault_key": TEXT})),
    survey_vars=_list(_QUESTION),
    task_params={"type": "object"},
)
# The shape that versions from 2.16 on share; older ones read some of it in other forms.
PROJECT = _object(
    {
        "meta": _object({"name": TEXT, "type": TEXT}, alert=SWITCH, alert_chat=OPTIONAL, max_parallel_tasks=NUMBER),
        "keys": _list(
            _object({"name": TEXT, "type": {"enum": ["none", "ssh", "login_password", "string"]}}, owner=TEXT)
        ),
        "repositories": _list(_object({"name": TEXT, "git_url": TEXT, "git_branch": TEXT, "ssh_key": TEXT})),
        "inventories": _list(
            _object(
                {"name": TEXT, "type": {"enum": ["static", "static-yaml", "file"]}, "inventory": TEXT},
                ssh_key=OPTIONAL,
                become_key=OPTIONAL,
            )
        ),
        "environments": _list(_object({"name": TEXT, "json": TEXT, "env": TEXT})),
        "views": _list(_object({"title": TEXT, "position": NUMBER})),
        "templates": _list(_TEMPLATE),
        "schedules": _list(
            _object(
                {
                    "name": TEXT,
                    "template": TEXT,
                    "cron_format": TEXT,
                    # Left out, it counts as false.
                    "active": SWITCH,
                    # Left out, some versions end in a panic.
                    "task_params": {"type": "object"},
                },
                type=TEXT,
                delete_after_run=SWITCH,
            )
        ),
        "integrations": _list({}),
        "integration_aliases": _list(TEXT),
    }
)


def dangling(project: dict[str, Any]) -> list[str]:
    """Return what refers to nothing, or is there twice, or would be refused when it is stored."""
    found: list[str] = []
    named = {
        kind: [one.get("name", one.get("title")) for one in project[kind]]
        for kind in ("keys", "repositories", "inventories", "environments", "views", "templates", "schedules")
    }
    for kind, names in named.items():
        found += [f"{kind}: {name} is there twice" for name, times in Counter(names).items() if times > 1]

    def refers(who: str, name: str | None, kind: str) -> None:
        if name is not None and name not in named[kind]:
            found.append(f"{who}: there is no {name} among {kind}")

    for one in project["repositories"]:
        refers(one["name"], one["ssh_key"], "keys")
    for one in project["inventories"]:
        refers(one["name"], one.get("ssh_key"), "keys")
        refers(one["name"], one.get("become_key"), "keys")
    for one in project["templates"]:
        refers(one["name"], one["repository"], "repositories")
        refers(one["name"], one["inventory"], "inventories")
        refers(one["name"], one.get("environment"), "environments")
        refers(one["name"], one.get("view"), "views")
        for name in one.get("environments", []):
            refers(one["name"], name, "environments")
        for vault in one.get("vaults", []):
            refers(one["name"], vault["vault_key"], "keys")
        arguments = json.loads(one.get("arguments", "[]"))
        if not isinstance(arguments, list) or not all(isinstance(argument, str) for argument in arguments):
            found.append(f"{one['name']}: arguments are no list of texts")
    for one in project["schedules"]:
        refers(one["name"], one["template"], "templates")
        if not re.fullmatch(r"(CRON_TZ=\S+ )?(\S+ ){4}\S+", one["cron_format"]):
            found.append(f"{one['name']}: {one['cron_format']} is no time for cron")
    for one in project["environments"]:
        if not isinstance(json.loads(one["json"]), dict):
            found.append(f"{one['name']}: json is no object")
        if any(isinstance(value, (dict, list)) for value in json.loads(one["env"]).values()):
            found.append(f"{one['name']}: an environment variable is no scalar")
    return found


@dataclass(frozen=True)
class Task:
    """A template that somebody starts."""

    template: dict[str, Any]
    # The repository, checked out.
    repository: Path
    home: Path
    inventory: str
    # What is typed on the screen.
    answers: dict[str, Any] = field(default_factory=dict)
    # Secrets of the variable group, as environment variables.
    secrets: dict[str, str] = field(default_factory=dict)
    # Passwords of vaults by their name.
    vaults: dict[str, str] = field(default_factory=dict)
    limit: str = ""


def arguments(task: Task) -> list[str]:
    """Return the command line, which everybody on the machine can read."""
    details = {"id": 7, "username": "ana", "url": "http://127.0.0.1/project/1/history?t=7"}
    variables = {**task.answers, "semaphore_vars": {"task_details": details}}
    return [
        "ansible-playbook",
        "-i",
        task.inventory,
        *(f"--vault-id={name}@prompt" for name in task.vaults),
        "--extra-vars",
        json.dumps(variables),
        *json.loads(task.template["arguments"]),
        *([f"--limit={task.limit}"] if task.limit else []),
        task.template["playbook"],
    ]


def start(task: Task, env: dict[str, str], timeout: float) -> tuple[int, str]:
    """Run it on a terminal and return its status and what it showed."""
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        arguments(task),
        cwd=task.repository,
        env={
            **env,
            **task.secrets,
            "HOME": str(task.home),
            "PWD": str(task.repository),
            "PYTHONUNBUFFERED": "1",
            "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
        },
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
    )
    os.close(inside)
    shown = b""
    prompts = {f"Vault password ({name}):".encode(): password for name, password in task.vaults.items()}
    deadline = time.monotonic() + timeout
    try:
        while time.monotonic() < deadline:
            if not select.select([terminal], [], [], 0.2)[0]:
                continue
            try:
                part = os.read(terminal, 65536)
            except OSError:
                # Linux says so when nobody holds the other end any more.
                break
            shown += part
            for prompt in [prompt for prompt in prompts if part.strip().startswith(prompt)]:
                os.write(terminal, prompts.pop(prompt).encode() + b"\n")
        else:
            raise TimeoutError(shown.decode(errors="replace"))
    finally:
        if process.poll() is None:
            time.sleep(0.5)
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(terminal)
    return process.returncode, re.sub(r"\x1b\[[0-9;]*m", "", shown.decode(errors="replace"))
