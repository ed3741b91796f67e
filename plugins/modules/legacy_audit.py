#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: legacy_audit
short_description: Report what looks like backup on a host and is not
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Finds settings about backups that no program reads, such as C(BACKUP_ENCRYPTION_KEY) of the sidekick of Ticketz.
  - Finds archives and dumps that are empty, truncated, old, or readable by every user.
  - Finds lines in crontabs, and in the scripts that they run, that cannot work or that hide failures.
  - Finds volumes and databases that no backup of this collection holds.
  - Says which of the old files M(crm.continuity.backup_adopt) could make a backup of.
  - Changes nothing. No value of a setting and no command line is repeated in the result.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._attributes.info_module
  - crm.continuity._docker
  - crm.continuity._profiles
  - crm.continuity._store
options:
  paths:
    description:
      - Directories to search for archives and dumps, five levels deep.
      - The directories of compose projects are searched as well, and volumes with backup, retrieve or dump in their
        names.
    type: list
    elements: path
    default: [/opt, /srv, /home, /root, /backup, /backups, /var/backups]
  newest:
    description: How many of the newest files of each kind in each directory are read to their end.
    type: int
    default: 3
  max_age:
    description: After how many days the newest file of a kind is called old.
    type: float
    default: 2
"""

EXAMPLES = r"""
- name: See what the backups of this host are worth
  crm.continuity.legacy_audit:
  register: found

- name: Show the worst of it
  ansible.builtin.debug:
    msg: "{{ found.findings | selectattr('severity', 'equalto', 'critical') }}"
"""

RETURN = r"""
ok:
  description: Whether nothing critical was found.
  returned: always
  type: bool
findings:
  description: What was found, the worst first.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description:
        - V(unread-setting), V(no-command), V(cron), V(no-terminal), V(no-container), V(lost-failure),
          V(blind-retention), V(wrong-name), V(exposed-secret), V(exposed), V(empty), V(damaged), V(stale),
          V(encrypted), V(uncovered), V(stacks), V(databases) or V(engine).
      type: str
    severity:
      description: V(critical), V(warning) or V(info).
      type: str
    where:
      description: The file with its line, the volume, the container or the stack.
      type: str
    message:
      description: What is wrong and what to do.
      type: str
adoptable:
  description: Sets of files that could be read to their end and that the playbook C(adopt) makes a backup of.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(runbook) or V(ticketz-backup).
      type: str
    paths:
      description: The files.
      type: list
      elements: str
coverage:
  description: Every volume, bound directory and database, and the newest backup that holds it.
  returned: always
  type: list
  elements: dict
  contains:
    kind:
      description: V(volume), V(bind), V(database) or the name of another database program.
      type: str
    name:
      description: Name of the volume or database, or the directory.
      type: str
    stack:
      description: The compose project, null for none.
      type: str
    covered:
      description: Whether a backup holds it.
      type: bool
    backup:
      description: ID of that backup.
      type: str
    cut_at:
      description: The instant that it is of.
      type: str
    note:
      description: Why there is nothing to keep, where that is so.
      type: str
files:
  description: How many files look like backups.
  returned: always
  type: int
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._engine import connect
from ..module_utils._errors import EngineError
from ..module_utils._legacy_audit import PLACES, Request, audit
from ..module_utils._legacy_finding import CRITICAL
from ..module_utils._module import DOCKER_OPTIONS, PROFILE_OPTIONS, STORE_OPTIONS, load_profiles, reported_by
from ..module_utils._progress import reporting


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "paths": {"type": "list", "elements": "path", "default": list(PLACES)},
            "newest": {"type": "int", "default": 3},
            "max_age": {"type": "float", "default": 2},
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    request = Request(params["backup_root"], tuple(params["paths"]), params["newest"], params["max_age"])
    with reported_by(module), reporting("audit"):
        profiles = load_profiles(module)
        try:
            engine = connect(params["docker_host"], params["docker_timeout"])
        except EngineError:
            engine = None
        report = audit(request, engine, profiles)
    module.exit_json(
        changed=False,
        ok=not any(finding.severity == CRITICAL for finding in report.findings),
        findings=[asdict(finding) for finding in report.findings],
        adoptable=list(report.adoptable),
        coverage=[{**asdict(cover), "covered": cover.covered} for cover in report.coverage],
        files=report.files,
    )


if __name__ == "__main__":
    main()
