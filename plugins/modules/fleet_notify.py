# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fleet_notify
short_description: Tell people what is wrong with the backups of all hosts of a play
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Makes one digest of the C(status_result) of all hosts of the play, and sends it by mail, Slack, Telegram, Teams,
    ntfy and whatever else
    Apprise knows. It may also ping a monitor such as Healthchecks, which notices when the runs themselves stop.
  - What was told and has not changed since is not told again before O(repeat_hours). For that, the control node
    remembers what it told, in
    O(memory).
  - Nothing runs on the hosts. A task of it needs C(run_once).
  - A receiver that does not answer is a warning, and listed in RV(undelivered). What nobody heard is told by the next
    run.
  - Addresses of receivers are secrets. They appear in no result, warning, log, argument or environment of a process;
    only their scheme is named.
  - The role P(crm.continuity.notify#role) finds out the status of the hosts and calls this.
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
    details: Says what it would tell. Sends nothing, pings nobody and remembers nothing.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check mode), when in diff mode.
    support: none
  idempotent:
    description: >-
      When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
    support: partial
    details: Not with the event V(always), and not where nothing can be remembered.
options:
  state:
    description:
      - V(finish) tells what is wrong, V(start) only lets the monitor of O(ping_url) know that a run begins.
      - V(test) sends a test to all receivers, to see whether it arrives.
    type: str
    choices: [start, finish, test]
    default: finish
  urls:
    description:
      - Addresses of receivers, as U(https://appriseit.com/services/) describes them, as a list or as a string with one
        a word.
      - Needs the Python library C(apprise) on the control node.
    type: raw
  ping_url:
    description:
      - Address of a check of Healthchecks, or of a monitor that takes the same pings. C(/start), C(/fail) and, for a
        test, C(/log) are appended.
      - The digest of all that stands is the body. Certificates are verified, and redirections are not followed.
    type: raw
  ping_fail_on:
    description: From which severity on the monitor is told that the run failed.
    type: str
    choices: [warning, critical]
    default: critical
  events:
    description:
      - What is worth a message.
      - V(failure) is a backup that failed, is missing or damaged, a server that does not answer, and anything else
        that is critical.
      - V(anomaly) is a backup that is out of the ordinary or too small. V(stale) is one that should have come and did
        not.
      - V(recovery) is the end of a problem that was told.
      - V(warning) is all the rest, a disk that is filling up for example.
      - V(always) sends a digest in every run, also when there is nothing to tell.
    type: list
    elements: str
    choices: [failure, anomaly, stale, warning, recovery, always]
    default: [failure, anomaly, stale, recovery]
  language:
    description: Language of the digest. The error of a program stands there as that gave it.
    type: str
    choices: [en, pt-BR]
    default: en
  subject_prefix:
    description: What the subject begins with.
    type: str
    default: "[crm]"
  max_length:
    description:
      - Number of characters of the digest. What does not fit is counted, and the worst of every host comes first.
      - For receivers that take less there is a shorter version.
    type: int
    default: 3500
  repeat_hours:
    description: After how many hours a problem that has not changed is told again.
    type: float
    default: 24
  interval_minutes:
    description: >-
      How many minutes to wait at least between two digests. What happens meanwhile is told by the next run after that.
    type: float
    default: 0
  attach:
    description: File on the control node to send along, to receivers that take files. A missing file is a warning.
    type: str
    default: ""
  memory:
    description:
      - File on the control node that remembers what was told. Holds no addresses. Mode 0600. Runs with the same file
        take turns.
      - Where it is empty or does not last, every run tells all that stands, and a recovery is a backup that went well,
        within the last
        O(repeat_hours), after one that did not.
    type: str
    default: ~/.local/state/crm.continuity/notify.json
  timeout:
    description: Seconds after which a receiver is given up. They are told at the same time.
    type: int
    default: 30
  strict:
    description: Whether to fail when a receiver was not reached.
    type: bool
    default: false
seealso:
  - plugin: crm.continuity.backup_status
    plugin_type: module
"""

EXAMPLES = r"""
- name: Tell what is wrong
  crm.continuity.fleet_notify:
    urls: "{{ vault_notify_urls }}"
    ping_url: "{{ vault_ping_url }}"
    language: pt-BR
  run_once: true

- name: See whether a test arrives
  crm.continuity.fleet_notify:
    state: test
    urls: "{{ lookup('ansible.builtin.env', 'CRM_NOTIFY_URLS') }}"
  run_once: true
"""

RETURN = r"""
sent:
  description: Whether at least one receiver got a message.
  returned: always
  type: bool
receivers:
  description: How many addresses there are.
  returned: always
  type: int
undelivered:
  description: Who did not get it. The monitor is called C(ping).
  returned: always
  type: list
  elements: dict
  contains:
    receiver:
      description: Kind of the receiver, and its place in O(urls).
      type: str
      sample: slack (address 2)
    reason:
      description: What happened.
      type: str
      sample: answered with HTTP status 500
subject:
  description: What the message is called. Empty when O(state=start).
  returned: always
  type: str
  sample: "[crm] 1 critical, 1 recovered: crm-a, crm-b"
text:
  description: The message as plain text, also when it was not sent.
  returned: always
  type: str
news:
  description: How many problems the message tells, by severity; C(recovered) is how many are over.
  returned: always
  type: dict
  sample: {critical: 1, warning: 0, recovered: 1}
unchanged:
  description: How many problems stand that were told before.
  returned: always
  type: int
hosts:
  description: >-
    How many hosts are well, and how many have at worst a warning, or something critical. Empty unless O(state=finish).
  returned: always
  type: dict
  sample: {ok: 10, warning: 1, critical: 1}
remembered:
  description: Whether it was known what was told before.
  returned: always
  type: bool
"""
