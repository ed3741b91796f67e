#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_schedule
short_description: Let a host back itself up, by timers of systemd or by cron
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Installs a copy of the modules on the host, with what they need of this collection and of ansible-core, the jobs
    that run them, and the timers that start the jobs. From then on the host needs no control node.
  - A job is a list of modules with the very arguments that a task would have. The profiles are read on the control
    node. The role P(crm.continuity.schedule#role) fills in those of the roles for backup, verification and pruning.
  - Where systemd runs, each job has a timer and a service. Elsewhere cron looks every ten minutes what is due.
  - What was missed while the host was off is done when it is on again, and noted.
  - Only what differs is written. A run that goes on meanwhile ends with the copy that it began with.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  jobs:
    description: What the host runs by itself. What it ran before and is not among them is removed.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the job, of small letters, digits and underscores. Its units have that name, too.
        type: str
        required: true
      calendar:
        description:
          - When it runs, as C(man systemd.time) describes it, such as V(*-*-* 02:00:00).
          - In the time of the host, unless the name of a time zone follows.
          - One that was changed counts from its next time on.
        type: str
        required: true
      delay:
        description: By up to how many seconds it may begin later, so that not all hosts begin at once.
        type: int
        default: 900
      profiles:
        description: Profiles of your own, as dictionaries or as paths of YAML files on the control node.
        type: list
        elements: raw
        default: []
      shipped_profiles:
        description: Filled in by the action plugin, with the profiles of the collection.
        type: list
        elements: dict
        default: []
      find:
        description:
          - Arguments of M(crm.continuity.stack_info), for calls that run for each stack.
          - Where its C(stacks) names some, nothing is looked for; each is called with C(profiles) and C(project_dir).
        type: dict
        default: {}
      metrics_directory:
        description: Where the Prometheus node exporter looks for text files. It gets C(crm_backup_schedule.prom).
        type: path
      calls:
        description: The modules, in this order.
        type: list
        elements: dict
        required: true
        suboptions:
          module:
            description: Name of a module of this collection.
            type: str
            required: true
          arguments:
            description: Its arguments.
            type: dict
            default: {}
          each:
            description: Whether it runs for every stack of the host.
            type: bool
            default: false
          recognises:
            description: Filled in by the action plugin. Whether the module takes the profiles.
            type: bool
            default: false
          stack_fields:
            description: What each stack adds to the arguments, of V(stack), V(stack_profiles) and V(project_dir).
            type: list
            elements: str
            default: [stack]
          must:
            description: Whether its failure is one of the job, and ends what is done for that stack.
            type: bool
            default: true
          empty:
            description: Lists of its result that have to be empty.
            type: list
            elements: str
            default: []
          timeout:
            description: Seconds after which it is told to end.
            type: float
            default: 43200
          trial:
            description: Arguments that differ when it is only tried. It is not tried without them.
            type: dict
  state:
    description: Whether the host has timers. V(absent) removes all that this module has made.
    type: str
    choices: [present, absent]
    default: present
  manager:
    description: What starts the jobs. V(auto) takes systemd where it runs, and cron elsewhere.
    type: str
    choices: [auto, systemd, cron]
    default: auto
  memory_max:
    description:
      - How much memory a job and all it starts may use, such as V(512M), V(25%) or V(infinity). Not with cron.
      - See C(man systemd.resource-control).
    type: str
    default: 2G
  metrics_directory:
    description: Where C(crm_backup_schedule.prom) lies that V(absent) removes.
    type: path
    default: /var/lib/prometheus/node-exporter
  trial:
    description:
      - Whether the host has to run each job in check mode once everything is installed.
      - That shows whether its Python can run the copy, and whether a backup would find all it needs.
    type: bool
    default: true
  digest:
    description: Filled in by the action plugin. Tells the copy of the modules from any other.
    type: str
    default: ""
  archive:
    description: Filled in by the action plugin. Where it has put the copy.
    type: path
  versions:
    description: Filled in by the action plugin. What is in the copy.
    type: dict
    default: {}
    suboptions:
      version:
        description: Version of this collection.
        type: str
      ansible_core:
        description: Version of ansible-core.
        type: str
notes:
  - Needs root.
seealso:
  - module: crm.continuity.stack_backup
  - module: crm.continuity.backup_verify
  - module: crm.continuity.backup_prune
"""

EXAMPLES = r"""
- name: Let the host take a backup every night at two, and remove old ones on Sundays
  crm.continuity.backup_schedule:
    jobs:
      - name: backup
        calendar: "*-*-* 02:00:00"
        calls:
          - module: stack_backup
            each: true
            stack_fields: [stack, project_dir]
            trial: {}
      - name: prune
        calendar: "Sun *-*-* 05:00:00 America/Sao_Paulo"
        calls:
          - module: backup_verify
          - module: backup_prune
            arguments:
              retention:
                keep_daily: 14

- name: Take it away again
  crm.continuity.backup_schedule:
    state: absent
"""

RETURN = r"""
manager:
  description: What starts the jobs, systemd or cron. Null when nothing does.
  returned: success
  type: str
jobs:
  description: The jobs, each with C(name), C(calendar), and C(next), when it is due.
  returned: success
  type: list
  elements: dict
  sample: [{name: backup, calendar: '*-*-* 02:00:00', next: '2026-11-22T05:00:00+00:00'}]
version:
  description: Version of this collection that the host runs, or will.
  returned: success
  type: str
files:
  description: The files that were written or removed, or would be.
  returned: success
  type: list
  elements: str
archive_wanted:
  description: Whether the host lacks the copy of the modules. The action plugin brings it and asks again.
  returned: success
  type: bool
trial:
  description: What became of the trial of each job, with C(job), C(ok), C(message) and C(steps).
  returned: success
  type: list
  elements: dict
"""

import datetime
import os
import sys
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._errors import StoreError
from ..module_utils._metrics import DEFAULT_DIRECTORY
from ..module_utils._module import reported_by
from ..module_utils._schedule_calendar import UTC, parse
from ..module_utils._schedule_install import AUTO, Places, Plan, Request, apply, manager, plan, trial
from ..module_utils._schedule_job import CRON, SYSTEMD, described
from ..module_utils._schedule_state import cron_lives, stamp

PYTHON = "/usr/bin/python3"

CALL_OPTIONS: dict[str, t.Any] = {
    "module": {"type": "str", "required": True},
    "arguments": {"type": "dict", "default": {}},
    "each": {"type": "bool", "default": False},
    "recognises": {"type": "bool", "default": False},
    "stack_fields": {"type": "list", "elements": "str", "default": ["stack"]},
    "must": {"type": "bool", "default": True},
    "empty": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 43200},
    "trial": {"type": "dict"},
}

JOB_OPTIONS: dict[str, t.Any] = {
    "name": {"type": "str", "required": True},
    "calendar": {"type": "str", "required": True},
    "delay": {"type": "int", "default": 900},
    "profiles": {"type": "list", "elements": "raw", "default": []},
    "shipped_profiles": {"type": "list", "elements": "dict", "default": []},
    "find": {"type": "dict", "default": {}},
    "metrics_directory": {"type": "path"},
    "calls": {"type": "list", "elements": "dict", "required": True, "options": CALL_OPTIONS},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "jobs": {"type": "list", "elements": "dict", "default": [], "options": JOB_OPTIONS},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "manager": {"type": "str", "choices": [AUTO, SYSTEMD, CRON], "default": AUTO},
            "memory_max": {"type": "str", "default": "2G"},
            "metrics_directory": {"type": "path", "default": DEFAULT_DIRECTORY},
            "trial": {"type": "bool", "default": True},
            "digest": {"type": "str", "default": ""},
            "archive": {"type": "path"},
            "versions": {
                "type": "dict",
                "default": {},
                "options": {"version": {"type": "str"}, "ansible_core": {"type": "str"}},
            },
        },
        supports_check_mode=True,
    )
    params = module.params
    with reported_by(module):
        places = Places()
        present = params["state"] == "present" and bool(params["jobs"])
        found = manager(places, params["manager"]) if present else None
        request = _request(params, found)
        wanted = plan(request, places)
        lacks = wanted.archive is not None and request.archive is None
        result: dict[str, t.Any] = {
            "changed": wanted.changed,
            "manager": found,
            "version": request.version or None,
            "jobs": [_told(job.name, job.calendar) for job in request.jobs],
            "files": [*(change.path for change in wanted.changes), *wanted.archives],
            "archive_wanted": lacks,
            "trial": [],
        }
        if module._diff:
            # The profiles are in it: too long to come along unasked.
            result["diff"] = wanted.diff
        if not module.check_mode and not lacks:
            _act(module, wanted, places)
            if found == CRON and not cron_lives():
                module.warn("cron does not run on this host. Until it does, nothing starts the jobs.")
            if params["trial"]:
                result["trial"] = [trial(job.name, request, places) for job in request.jobs]
    refused = [f"{one['job']}: {one['message']}" for one in result["trial"] if not one["ok"]]
    if refused:
        module.fail_json(
            msg=f"The timers are installed, and what they start would fail. {' '.join(refused)} Mend that, and run "
            "this again to see.",
            **result,
        )
    module.exit_json(**result)


def _request(params: dict[str, t.Any], found: str | None) -> Request:
    if found is None:
        return Request((), metrics_directory=params["metrics_directory"])
    try:
        jobs = tuple(described({**_with_profiles(job), "manager": found}) for job in params["jobs"])
    except ValueError as exc:
        raise StoreError(f"A job is not as it should be: {exc}.") from exc
    return Request(
        jobs=jobs,
        digest=params["digest"],
        version=params["versions"]["version"] or "",
        ansible_core=params["versions"]["ansible_core"] or "",
        archive=params["archive"],
        memory_max=params["memory_max"],
        python=_python(),
    )


def _with_profiles(job: dict[str, t.Any]) -> dict[str, t.Any]:
    names = ("profiles", "shipped_profiles")
    # A job that recognises nothing has none.
    given = {name: job[name] for name in names if job["shipped_profiles"]}
    return {**{name: value for name, value in job.items() if name not in names}, "profiles": given}


def _act(module: AnsibleModule, wanted: Plan, places: Places) -> None:
    for remark in apply(wanted, places) if wanted.changed else ():
        module.warn(remark)


def _told(name: str, calendar: str) -> dict[str, str | None]:
    upcoming = parse(calendar).after(datetime.datetime.now(UTC))
    return {"name": name, "calendar": calendar, "next": stamp(upcoming) if upcoming else None}


def _python() -> str:
    # The name that stays when the distribution changes its version, unless another one was chosen for this host.
    same = os.path.exists(PYTHON) and os.path.samefile(PYTHON, sys.executable)
    return PYTHON if same else sys.executable


if __name__ == "__main__":
    main()
