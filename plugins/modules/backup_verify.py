#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_verify
short_description: Check backups against their manifests
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Reads a backup back and compares it with its manifest, the manifest with its checksum, the checksums with the
    signature of the host, and all of it with what the audit log remembers.
  - Finds artifacts that are missing, damaged, exchanged or too many, manifests of other backups, signatures of others,
    a backup in the place of another one, and an audit log that was changed.
  - What is encrypted is decrypted where the key is given. Otherwise its checksum proves that it is what was written.
  - Changes no backup. Each verdict becomes a line of the audit log.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._keys
  - crm.continuity._metrics
  - crm.continuity._signers
  - crm.continuity._store
attributes:
  check_mode:
    support: full
    details: Verifies, and notes nothing in the audit log.
  diff_mode:
    support: N/A
    details: Nothing is changed but the audit log.
  idempotent:
    support: full
    details: A line of the audit log counts as no change.
options:
  stack:
    description: Name of a stack. Without it, backups of all stacks are verified.
    type: str
  id:
    description: ID of a backup, V(latest), or V(all).
    type: str
    default: latest
  level:
    description:
      - V(quick) checks the manifest, and that every artifact is there with its size.
      - V(full) also reads all artifacts, compares their checksums, decrypts them where the key is given, decompresses
        them and walks through the archives and through their lists of deleted names. Dumps are listed where the host
        has C(pg_restore).
      - V(sample) does so with O(share) percent of the bytes of each backup, and at least one artifact. The audit log
        knows where the last sample ended, and the next one goes on from there, so that all artifacts come round.
    type: str
    choices: [quick, full, sample]
    default: full
  share:
    description: How many percent of a backup a V(sample) reads.
    type: int
    default: 10
  fail_on_damage:
    description: Whether a damaged backup or audit log is an error. Otherwise it is only reported.
    type: bool
    default: true
  fail_when_none:
    description:
      - Whether it is an error that no stack has a backup, as on a host that was set up today.
      - It is one in any case where the audit log knows of a backup, and where O(stack) or O(id) asks for one.
    type: bool
    default: true
  record:
    description:
      - Whether to note the verdicts in the audit log. It is an error then if the log cannot be written.
      - To be switched off for a copy that is mounted read-only.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Verify the latest backup of every stack
  crm.continuity.backup_verify:

- name: Look over all backups of one stack
  crm.continuity.backup_verify:
    stack: crm
    id: all
    level: quick
    fail_on_damage: false
  register: verified

- name: Read a part of the latest backup of every stack, and accept only what the hosts have signed
  crm.continuity.backup_verify:
    level: sample
    share: 20
    signers: "{{ crm_signers }}"
"""

RETURN = r"""
ok:
  description: Whether all backups that were verified are sound, and the audit log is.
  returned: always
  type: bool
backups:
  description: What was found of each backup.
  returned: always
  type: list
  elements: dict
  contains:
    stack:
      description: Name of the stack.
      type: str
    id:
      description: ID of the backup.
      type: str
    path:
      description: Directory of the backup.
      type: str
    ok:
      description: Whether nothing is wrong with it.
      type: bool
    artifacts:
      description: Number of artifacts in the manifest.
      type: int
    bytes:
      description: How many bytes were read.
      type: int
    opened:
      description: How many artifacts were looked into, decrypted and decompressed.
      type: int
    sealed:
      description: How many artifacts were only read, because the key to decrypt them was not given.
      type: int
    signature:
      description: What the signature says.
      type: dict
      contains:
        status:
          description:
            - V(proved) for one of the host that the manifest names, V(unsigned) where there is none.
            - V(unproved) for one that is sound, and nobody said whose signatures count.
          type: str
        signer:
          description: The host that has signed it, when that is proved.
          type: str
        key:
          description: Fingerprint of the key.
          type: str
    manifest_sha256:
      description: Checksum of the manifest.
      type: str
    until:
      description: The last artifact of a sample.
      type: str
    problems:
      description: What is wrong with it.
      type: list
      elements: str
    remarks:
      description: What could not be found out, and why.
      type: list
      elements: str
log_problems:
  description: What is wrong with the audit log.
  returned: always
  type: list
  elements: str
remarks:
  description: What else is to be known, such as backups that are gone.
  returned: always
  type: list
  elements: str
audit:
  description: The last line that the audit log got, for a control node to keep. Null where it got none.
  returned: always
  type: dict
  contains:
    sequence:
      description: Number of the event.
      type: int
    sha256:
      description: Checksum of its line.
      type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._backup_proof import described
from ..module_utils._backup_verify import LEVELS, SHARE, Report, Request, Verdict, verify
from ..module_utils._metrics import refresh
from ..module_utils._module import (
    ACTOR_OPTIONS,
    KEY_OPTIONS,
    METRICS_OPTIONS,
    SIGNER_OPTIONS,
    STORE_OPTIONS,
    reported_by,
)
from ..module_utils._progress import reporting
from ..module_utils._signature import signers_of


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "id": {"type": "str", "default": "latest"},
            "level": {"type": "str", "choices": list(LEVELS), "default": "full"},
            "share": {"type": "int", "default": SHARE},
            "fail_on_damage": {"type": "bool", "default": True},
            "fail_when_none": {"type": "bool", "default": True},
            "record": {"type": "bool", "default": True},
            **ACTOR_OPTIONS,
            **KEY_OPTIONS,
            **METRICS_OPTIONS,
            **SIGNER_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    if not 1 <= params["share"] <= 100:
        module.fail_json(msg=f"share is {params['share']}: it is a percentage, from 1 to 100.")
    with reported_by(module), reporting("verify", params["stack"]):
        request = Request(
            root=params["backup_root"],
            stack=params["stack"],
            id=params["id"],
            level=params["level"],
            share=params["share"],
            signers=signers_of(params["signers"], params["signature"]),
            record=params["record"] and not module.check_mode,
            must_exist=params["fail_when_none"],
            actor=params["actor"],
        )
        report = verify(request)
        result = _result(report)
        if request.record:
            result["remarks"] += refresh(params["metrics_directory"], request.root, params["stack"])
        if not report.ok and params["fail_on_damage"]:
            module.fail_json(msg=_failure(report), **result)
    module.exit_json(changed=False, **result)


def _result(report: Report) -> dict[str, t.Any]:
    return {
        "ok": report.ok,
        "backups": [_described(verdict) for verdict in report.verdicts],
        "log_problems": list(report.log_problems),
        "remarks": list(report.remarks),
        "audit": report.audit.receipt if report.audit else None,
    }


def _described(verdict: Verdict) -> dict[str, t.Any]:
    fields = {name: value for name, value in vars(verdict).items() if name != "proof"}
    return {**fields, "ok": verdict.ok, "signature": described(verdict.proof)}


def _failure(report: Report) -> str:
    damaged = [f"{v.path}: {'; '.join(v.problems)}" for v in report.verdicts if not v.ok]
    words = [f"Damaged. {' '.join(damaged)} Use another backup or a copy of this one."] if damaged else []
    if report.log_problems:
        words.append(
            f"The audit log was changed: {' '.join(report.log_problems)} Find out who did that; compare it with what "
            "the control node keeps of it (crm.continuity.audit_info)."
        )
    return " ".join(words)


if __name__ == "__main__":
    main()
