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
  - crm.continuity._metrics
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
  attach:
    description:
      - Whether to wait for a backup of the stack into the same O(backup_root) that runs already, such as one whose
        control node went away, and to return its result.
      - Otherwise, and when something else works on the stack, the module fails then.
      - When that backup dies without a result, one is taken.
    type: bool
    default: false
  younger_than:
    description:
      - Hours. When the newest backup is younger than that, none is taken, and RV(not_needed) says so. With 0, one is
        always taken.
      - A backup that is known to be damaged or incomplete does not count, nor one whose time is yet to come by the
        clock of the host.
    type: float
    default: 0
  window:
    description:
      - When a backup may begin, in the time of the host, such as V(22:00-06:00) or V(12:00-13:00, 22:00-06:00).
        At other times the module fails, and the audit log and the metrics tell of a backup that was refused. An empty
        one is always open.
    type: str
    default: ""
  force:
    description: Whether to begin outside of O(window).
    type: bool
    default: false
  delay:
    description: Seconds to wait before the backup begins, so that many hosts do not begin in the same moment.
    type: int
    default: 0
  expire_restores:
    description:
      - Whether to give up, after the backup, what restores of the stack have kept long enough, as
        M(crm.continuity.stack_cutover) does with O(crm.continuity.stack_cutover#module:state=expired).
      - When that fails, RV(remarks) says so, and the backup is good all the same.
    type: bool
    default: false
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
stack:
  description: Name of the compose project, also of a failure.
  returned: always
  type: str
attached:
  description: Whether this is the result of a backup that ran already, see O(attach).
  returned: success
  type: bool
not_needed:
  description: >-
    Why no backup was taken, see O(younger_than). The other values are those of the newest backup then. Null otherwise.
  returned: success
  type: str
collected:
  description:
    - Backups of the stack whose control node did not stay to see their end, and that have ended since, oldest first.
    - Each has C(began_at), C(ended_at), C(actor), C(outcome) (V(ok), V(anomalous), V(failed) or V(died)), C(message),
      C(id), C(directory), C(cut_at) and C(size).
  returned: success
  type: list
  elements: dict
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
    empty list when the backup looks like those before it. Of a backup that was taken before, see RV(not_needed), only
    the messages are known; C(rule) is V(known) then.
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

import contextlib
import functools
import time
import typing as t
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._audit_chain import ANOMALOUS, REFUSED
from ..module_utils._audit_facts import of_backup
from ..module_utils._backup_begin import check_window, instead, spans
from ..module_utils._engine import connect
from ..module_utils._errors import BusyError, ContinuityError
from ..module_utils._freeze import MODES
from ..module_utils._job import EVERY, Jobs, kept
from ..module_utils._metrics import attempted
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    ENCRYPTION_OPTIONS,
    METRICS_OPTIONS,
    PROFILE_OPTIONS,
    SPACE_OPTIONS,
    STORE_OPTIONS,
    audited,
    encryption_of,
    load_profiles,
    reported_by,
)
from ..module_utils._progress import phase, reporting, token
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
from ..module_utils._stack_cutover import EXPIRED, described
from ..module_utils._stack_cutover import Request as CutoverRequest
from ..module_utils._stack_cutover import take as cut_over
from ..module_utils._version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from ..module_utils._engine import Engine
    from ..module_utils._module import Entry
    from ..module_utils._profile import Profile
    from ..module_utils._stack_backup import Plan


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
            "require_session": {"type": "bool", "default": True},
            "anomaly": {"type": "dict", "default": {}},
            "signing_key": {"type": "path"},
            "attach": {"type": "bool", "default": False},
            "younger_than": {"type": "float", "default": 0},
            "window": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
            "delay": {"type": "int", "default": 0},
            "expire_restores": {"type": "bool", "default": False},
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **ENCRYPTION_OPTIONS,
            **METRICS_OPTIONS,
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
        signing_key=module.params["signing_key"],
        anomaly=module.params["anomaly"],
        encryption=encryption_of(module),
    )
    with reported_by(module), reporting("backup", request.stack.name):
        profiles = load_profiles(module)
        connection = functools.partial(connect, module.params["docker_host"], module.params["docker_timeout"])
        result = _known(module, request) or _taken(module, request, profiles, connection)
    module.exit_json(**result)


def _known(module: AnsibleModule, request: Request) -> dict[str, t.Any] | None:
    """Return the result of a backup that there is already, or that runs; None when one is to be taken now.

    The window and the delay are for one that is to be taken.
    """
    params = module.params
    window = "" if params["force"] else params["window"]
    spans(window)
    known = _instead(module, request)
    if known is None:
        _check_window(module, request, window)
        if params["delay"] > 0 and not module.check_mode:
            phase("wait")
            time.sleep(params["delay"])
            # Much may have happened meanwhile.
            known = _instead(module, request)
            if known is None:
                _check_window(module, request, window)
    return known


def _instead(module: AnsibleModule, request: Request) -> dict[str, t.Any] | None:
    known = instead(
        request.root,
        request.stack.name,
        younger_than=module.params["younger_than"],
        token=token(),
        attach=module.params["attach"] and not module.check_mode,
        acts=not module.check_mode,
    )
    return None if known is None else {**known, "space": _space(module, request)}


def _overtaken(module: AnsibleModule, request: Request) -> dict[str, t.Any] | None:
    known = _instead(module, request)
    if known is None and module.params["attach"]:
        # Whoever begins has the lock first, and notes what he does a moment later.
        time.sleep(EVERY)
        known = _instead(module, request)
    return known


def _check_window(module: AnsibleModule, request: Request, window: str) -> None:
    """Raise StackError outside of the window, once that is noted: else a wrong hour would show only by silence."""
    with contextlib.ExitStack() as stack:
        if not module.check_mode:
            metrics = attempted(module.params["metrics_directory"], request.root, request.stack.name)
            # Nobody has asked it.
            stack.enter_context(metrics).engine = None
        entry = stack.enter_context(audited(module, "backup", stack=request.stack.name, begin=False))
        entry.result = REFUSED
        check_window(window)
        entry.wanted = False


def _taken(
    module: AnsibleModule, request: Request, profiles: Mapping[str, Profile], connection: Callable[[], Engine]
) -> dict[str, t.Any]:
    if module.check_mode:
        wanted = plan(request, connection(), profiles)
        return _result(module, wanted)
    jobs = Jobs(request.stack.name)
    metrics = attempted(module.params["metrics_directory"], request.root, request.stack.name)
    with kept(jobs, request.root, module.params["actor"], token()) as job, metrics as report:
        with audited(module, "backup", stack=request.stack.name) as entry, _timed(entry):
            engine = connection()
            report.engine = True
            try:
                wanted, taken = take(request, engine, profiles, connection, job.begin)
            except BusyError:
                # Somebody may have been faster by a moment, and what he takes is as good. If not, it is in the way.
                other = _overtaken(module, request) if job.job is None else None
                if other is None:
                    raise
                entry.wanted = False
                return other
            entry.backup = taken.backup.id
            entry.facts.update(of_backup(taken.backup, taken.manifest))
            if taken.anomalies:
                entry.result = ANOMALOUS
                entry.facts["anomalies"] = [anomaly.message for anomaly in taken.anomalies]
        result = {**_result(module, wanted), **summary(taken), "audit": entry.written}
        result["metrics"], remarks = report.succeed(entry.result)
        result["remarks"] += [*remarks, *_expired(module, request, engine, profiles, connection)]
        result["collected"] = jobs.collect()
        job.result = result
    return result


@contextlib.contextmanager
def _timed(entry: Entry) -> Iterator[None]:
    """Note in the audit log how long the block took, also when it fails."""
    began = time.monotonic()
    try:
        yield
    finally:
        entry.facts["seconds"] = round(time.monotonic() - began, 1)


def _result(module: AnsibleModule, wanted: Plan) -> dict[str, t.Any]:
    result: dict[str, t.Any] = {
        "changed": True,
        "attached": False,
        "not_needed": None,
        "collected": [],
        "id": wanted.id,
        "directory": wanted.path,
        "artifacts": names(wanted),
        "freeze": {target.service: target.mode for target in wanted.freeze},
        "signed_with": wanted.signer.key if wanted.signer else None,
        "remarks": list(wanted.warnings),
        "space": _space(module, wanted.request),
    }
    if module._diff:
        after = "".join(f"{wanted.path}/{name}\n" for name in result["artifacts"])
        result["diff"] = {"before": "", "after": after}
    return result


def _space(module: AnsibleModule, request: Request) -> dict[str, t.Any]:
    return asdict(space(request.root, module.params["space_warn"], module.params["space_critical"]))


def _expired(
    module: AnsibleModule,
    request: Request,
    engine: Engine,
    profiles: Mapping[str, Profile],
    connection: Callable[[], Engine],
) -> list[str]:
    """Give up what restores have kept long enough; return what went wrong with it."""
    if not module.params["expire_restores"]:
        return []
    stack = request.stack.name
    try:
        phase("expire")
        with audited(module, "commit", stack=stack, begin=False) as entry:
            entry.facts["state"] = EXPIRED
            wanted, done = cut_over(CutoverRequest(stack=stack, state=EXPIRED), engine, profiles, connection)
            entry.wanted = bool(wanted.records)
            entry.backup = done.records[0].backup if len(done.records) == 1 else None
            entry.facts.update(restores=described(done.records), downtime=done.downtime)
    except (ContinuityError, OSError) as exc:
        return [f"What restores have kept for its time could not be removed: {exc}"]
    return []


if __name__ == "__main__":
    main()
