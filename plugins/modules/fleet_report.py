#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# This is the documentation of the action plugin of the same name: everything happens on the control node.

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_report
short_description: Write one report of how the backups of all hosts stand
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Writes C(report.html), C(report.json) and C(report.csv) on the control node, from what
    M(crm.continuity.backup_status) said on every host of the play. Connects to no host.
  - The page is one file that loads nothing and works as an attachment of a mail. It says to when each server can be
    restored, what needs attention, and what changed since the report that it replaces.
  - A host without a status is in the report with the reason, and never missing.
  - The files name hosts and hold messages of errors; only their owner can read them, and each is replaced in one step.
extends_documentation_fragment:
  - crm.continuity._attributes
attributes:
  check_mode:
    support: full
    details: The report is drawn up and not written.
  diff_mode:
    support: none
  idempotent:
    support: partial
    details: The report holds its date. With the same O(date) and the same statuses nothing changes.
options:
  directory:
    description: Directory on the control node, absolute or below the one that Ansible was started in. It is created.
    type: path
    default: crm-report
  hosts:
    description: Names of the hosts. When not given, all hosts of the play, also those that failed.
    type: list
    elements: str
  variable:
    description: Variable of each host with its status, as the role P(crm.continuity.status#role) sets it.
    type: str
    default: status_result
  date:
    description: Time of the report as in V(2026-11-21T06:00:00-03:00). When empty, now.
    type: str
    default: ""
  language:
    description: Language that the page begins in. V(auto) is that of the browser. The page has a switch.
    type: str
    choices: [auto, en, pt-BR]
    default: auto
  timezone:
    description:
      - Time zone of the page, such as V(America/Sao_Paulo); times are given in UTC, too.
      - When empty, that of the control node.
    type: str
    default: ""
  title:
    description: Title of the page, to tell several fleets apart.
    type: str
    default: ""
  mode:
    description: Permissions of the files, as an octal number.
    type: str
    default: "0600"
"""

EXAMPLES = r"""
- name: Ask every host
  crm.continuity.backup_status:
  register: status_result
  ignore_unreachable: true

- name: Write the report
  crm.continuity.fleet_report:
    directory: /srv/crm-report
    timezone: America/Sao_Paulo
  run_once: true
"""

RETURN = r"""
page:
  description: Path of the page.
  returned: success
  type: str
  sample: /srv/crm-report/report.html
json:
  description: Path of the same as JSON, as C(docs/schemas/report.schema.json) describes it.
  returned: success
  type: str
  sample: /srv/crm-report/report.json
csv:
  description: Path of the same as CSV, with one line for each stack.
  returned: success
  type: str
  sample: /srv/crm-report/report.csv
msg:
  description: The report in one line.
  returned: always
  type: str
  sample: >-
    Servers: 1 critical, 1 warning, 3 ok. Oldest restorable point: 2026-11-21T05:00:00+00:00 (crm-a, crm). See
    /srv/crm-report/report.html.
size:
  description: Bytes of the page.
  returned: success
  type: int
standing:
  description: The worst of all hosts, V(ok), V(warning) or V(critical).
  returned: success
  type: str
summary:
  description: The sums of the report.
  returned: success
  type: dict
  contains:
    hosts:
      description: How many hosts stand how, and how many said nothing.
      type: dict
    stacks:
      description: How many stacks stand how, and how many can be restored.
      type: dict
    oldest_restorable:
      description: The stack whose newest usable backup is the oldest; null when nothing can be restored.
      type: dict
    backups:
      description: How many backups there are.
      type: int
    bytes:
      description: Their size.
      type: int
    problems:
      description: How often there is a problem of each code.
      type: dict
worst:
  description: Up to ten hosts that stand worst.
  returned: success
  type: list
  elements: dict
  contains:
    host:
      description: Name of the host.
      type: str
    standing:
      description: V(warning) or V(critical).
      type: str
    code:
      description: Code of its worst problem.
      type: str
    message:
      description: What that is, and what to do.
      type: str
"""
