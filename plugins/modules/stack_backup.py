#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_backup
short_description: Take one consistent backup of a CRM stack
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Captures the volumes, PostgreSQL databases, Redis data and configuration of one compose project at one instant.
  - Volumes are archived while the services run. Then those that write stand still for a moment, in which a snapshot of
    every database is taken and what has changed in the volumes since is archived, too. So how long they stand still
    does not depend on how much there is. PostgreSQL is never stopped.
  - A service is paused through the freezer of its control group, where the host lets us, which leaves its health alone.
    A watchdog on the host thaws everything when this module dies or takes too long.
  - Everything that can be wrong is looked for before a service is touched.
  - The backup appears under its name only when it is complete. Whatever happens, what ran before runs afterwards.
  - It is compared with the good ones before it. One that is out of the ordinary is kept and marked in its manifest and
    in the audit log, and M(crm.continuity.backup_prune) removes nothing in its favour.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._encryption
  - crm.continuity._profiles
  - crm.continuity._store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: none
    details: Every run takes a new backup.
options:
  stack:
    description: Name of the compose project.
    type: str
    required: true
  stack_profiles:
    description: Names of the profiles that the stack consists of. Found by image when left out.
    type: list
    elements: str
    default: []
  project_dir:
    description: Directory of the compose project. Found by label when left out.
    type: path
  exclude:
    description: Volumes not to keep, by name or by the path that they are mounted on, and databases by name.
    type: list
    elements: str
    default: []
  compression:
    description: How archives and dumps are compressed.
    type: str
    choices: [zstd, gzip, none]
    default: zstd
  level:
    description: Level of the compression, as its program counts. The default of this collection is fast.
    type: int
  freeze:
    description:
      - How services are frozen, by the name of the compose service, where the profile is not to decide.
      - The values are V(pause), V(stop) and V(none).
      - A PostgreSQL server whose databases are dumped always goes on.
    type: dict
    default: {}
  freeze_budget:
    description:
      - Seconds that the cut may take while services stand still.
        A backup that takes longer is good, and says so in RV(remarks).
      - The time that a service needs to stop and to start is its own affair and does not count.
    type: float
    default: 1
  freeze_timeout:
    description:
      - Seconds after the beginning of the freeze when everything is thawed, whatever happens. The backup fails then.
    type: float
    default: 300
  health_timeout:
    description: Seconds to wait, after the cut, for services to be healthy that were so before.
    type: float
    default: 120
  metrics_directory:
    description:
      - Directory of the textfile collector of the Prometheus node exporter, which receives the file
        C(crm_backup_<stack>.prom), also when the backup fails. Nothing is written where there is no such directory.
    type: path
    default: /var/lib/prometheus/node-exporter
  require_session:
    description: Whether to fail when a part of the WhatsApp session is outside the backup.
    type: bool
    default: true
  anomaly:
    description:
      - What is out of the ordinary, compared with the median of the last good backups. 0 turns a rule off.
      - C(history) is how many backups are looked at (10), C(min_size) how many bytes a backup has at least (1000000).
      - C(rows_drop), C(files_drop) and C(bytes_drop) are how many percent fewer are too few, of rows of a table and of
        a database, of files of a volume, and of bytes (50 each). C(ratio_drop) is the same for how much is in a byte of
        an archive (40), and C(changed) how many percent of the files of a volume may have changed since the backup
        before (60). C(growth) is how many times as much is too much (10).
      - Tables that had fewer rows than C(min_rows) (100), and volumes with fewer files than C(min_files) (20), say
        nothing. What matches a pattern of the list C(ignore) is not compared, such as C(chatwoot.public.notifications).
      - C(stacks) has the same by name of a stack, where it has limits of its own.
    type: dict
    default: {}
  space_warn:
    description: Percent of the file system of the backup root from which on RV(space) has a warning.
    type: float
    default: 80
  space_critical:
    description: Percent from which on it is critical.
    type: float
    default: 90
  signing_key:
    description:
      - Private key on the host that signs the checksums of the backup, with C(ssh-keygen -Y sign).
      - Without it, C(/etc/crm.continuity/signing_key) signs, which the role C(prepare) makes. Where there is none, the
        backup is not signed.
    type: path
"""

EXAMPLES = r"""
- name: Back up the stack in /opt/crm
  crm.continuity.stack_backup:
    stack: crm

- name: Back up a stack, stopping one service instead of pausing it
  crm.continuity.stack_backup:
    stack: crm
    backup_root: /opt/crm/backups
    compression: gzip
    freeze:
      evolution_api: stop
"""

RETURN = r"""
id:
  description: ID of the backup. In check mode the one that it would have now.
  returned: success
  type: str
  sample: 20261121T020000Z
directory:
  description: Directory of the backup.
  returned: success
  type: str
artifacts:
  description: Paths of the archives and dumps, relative to RV(directory).
  returned: success
  type: list
  elements: str
freeze:
  description: The services that are frozen, and how.
  returned: success
  type: dict
  sample: {chatwoot: pause, evolution_api: pause}
signed_with:
  description: Fingerprint of the key that signs the backup, null where there is none.
  returned: success
  type: str
anomalies:
  description: >-
    What is out of the ordinary, each with the C(rule) that it breaks, the C(subject) that does, and a C(message). An
    empty list when the backup looks like those before it.
  returned: when not in check mode
  type: list
  elements: dict
space:
  description: >-
    The file system of the backup root. A backup is refused when the last one would not fit.
  returned: success
  type: dict
  contains:
    path:
      description: A directory on it.
      type: str
    total:
      description: Bytes that it has for users.
      type: int
    free:
      description: Bytes that are left.
      type: int
    used_percent:
      description: How full it is, as C(df) counts.
      type: float
    level:
      description: V(ok), V(warning) or V(critical).
      type: str
    message:
      description: What to do about it. Null when nothing.
      type: str
remarks:
  description: What the backup does not cover, and other remarks. Also kept in the manifest.
  returned: success
  type: list
  elements: str
cut_at:
  description: The instant that all parts belong to, in UTC.
  returned: when not in check mode
  type: str
size:
  description: Size of all artifacts in bytes.
  returned: when not in check mode
  type: int
files:
  description: Number of files in the archives.
  returned: when not in check mode
  type: int
rows:
  description: Number of rows in the dumps.
  returned: when not in check mode
  type: int
metrics:
  description: Where the metrics for Prometheus were written, null where they were not.
  returned: when not in check mode
  type: str
frozen_seconds:
  description: How long services stood still, from the first that did until the last that went on.
  returned: when not in check mode
  type: float
frozen:
  description: How long each service stood still.
  returned: when not in check mode
  type: list
  elements: dict
  contains:
    service:
      description: Name of the compose service.
      type: str
    mode:
      description: V(pause) or V(stop).
      type: str
    seconds:
      description: How long it stood still.
      type: float
  sample: [{service: chatwoot, mode: pause, seconds: 0.21}]
audit:
  description: The line that the audit log got for this, for a control node to keep. Null where it got none.
  returned: success
  type: dict
  contains:
    sequence:
      description: Number of the event.
      type: int
    sha256:
      description: Checksum of its line.
      type: str
"""

import functools
import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit_chain import ANOMALOUS
from ..module_utils._audit_facts import of_backup
from ..module_utils._engine import connect
from ..module_utils._freeze import MODES
from ..module_utils._metrics import DEFAULT_DIRECTORY
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    ENCRYPTION_OPTIONS,
    PROFILE_OPTIONS,
    SPACE_OPTIONS,
    STORE_OPTIONS,
    audited,
    encryption_of,
    load_profiles,
    reported_by,
)
from ..module_utils._space import limits, space
from ..module_utils._stack import Request as StackRequest
from ..module_utils._stack_backup import (
    FREEZE_BUDGET,
    FREEZE_TIMEOUT,
    HEALTH_TIMEOUT,
    Request,
    names,
    plan,
    summary,
    take,
)
from ..module_utils._version import VERSION


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str", "required": True},
            "stack_profiles": {"type": "list", "elements": "str", "default": []},
            "project_dir": {"type": "path"},
            "exclude": {"type": "list", "elements": "str", "default": []},
            "compression": {"type": "str", "choices": ["zstd", "gzip", "none"], "default": "zstd"},
            "level": {"type": "int"},
            "freeze": {"type": "dict", "default": {}},
            "freeze_budget": {"type": "float", "default": FREEZE_BUDGET},
            "freeze_timeout": {"type": "float", "default": FREEZE_TIMEOUT},
            "health_timeout": {"type": "float", "default": HEALTH_TIMEOUT},
            "metrics_directory": {"type": "path", "default": DEFAULT_DIRECTORY},
            "require_session": {"type": "bool", "default": True},
            "anomaly": {"type": "dict", "default": {}},
            "signing_key": {"type": "path"},
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **PROFILE_OPTIONS,
            **SPACE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    for limit in ("freeze_timeout", "health_timeout", "freeze_budget"):
        if module.params[limit] <= 0:
            module.fail_json(msg=f"{limit} is {module.params[limit]}: it has to be more than 0 seconds.")
    wrong = limits(module.params)
    if wrong:
        module.fail_json(msg=wrong)
    for service, mode in module.params["freeze"].items():
        if mode not in MODES:
            module.fail_json(msg=f"freeze: {service} cannot be frozen by {mode!r}; it is one of {', '.join(MODES)}.")
    request = Request(
        stack=StackRequest(
            name=module.params["stack"],
            profiles=tuple(module.params["stack_profiles"]),
            project_dir=module.params["project_dir"],
            exclude=tuple(module.params["exclude"]),
        ),
        root=module.params["backup_root"],
        compression=module.params["compression"],
        level=module.params["level"],
        freeze=module.params["freeze"],
        require_session=module.params["require_session"],
        version=VERSION,
        freeze_budget=module.params["freeze_budget"],
        freeze_timeout=module.params["freeze_timeout"],
        health_timeout=module.params["health_timeout"],
        metrics_directory=module.params["metrics_directory"],
        signing_key=module.params["signing_key"],
        anomaly=module.params["anomaly"],
        encryption=encryption_of(module),
    )
    with reported_by(module):
        profiles = load_profiles(module)
        connection = functools.partial(connect, module.params["docker_host"], module.params["docker_timeout"])
        engine = connection()
        if module.check_mode:
            wanted, taken, written = plan(request, engine, profiles), None, None
        else:
            with audited(module, "backup", stack=request.stack.name) as entry:
                wanted, taken = take(request, engine, profiles, connection)
                entry.backup = taken.backup.id
                entry.facts.update(of_backup(taken.backup, taken.manifest))
                if taken.anomalies:
                    entry.result = ANOMALOUS
                    entry.facts["anomalies"] = [anomaly.message for anomaly in taken.anomalies]
            written = entry.written
        result: dict[str, t.Any] = {
            "changed": True,
            "id": wanted.id,
            "directory": wanted.path,
            "artifacts": names(wanted),
            "freeze": {target.service: target.mode for target in wanted.freeze},
            "signed_with": wanted.signer.key if wanted.signer else None,
            "remarks": list(wanted.warnings),
            "space": asdict(space(request.root, module.params["space_warn"], module.params["space_critical"])),
        }
        if taken is not None:
            result.update(summary(taken), audit=written)
        after = "".join(f"{result['directory']}/{name}\n" for name in result["artifacts"])
        result["diff"] = {"before": "", "after": after}
    module.exit_json(**result)


if __name__ == "__main__":
    main()
