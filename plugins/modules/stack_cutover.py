#!/usr/bin/python
# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: stack_cutover
short_description: Exchange the live data of a stack for staged ones, and back
version_added: 0.1.0
author:
  - crm.continuity contributors (@crm-continuity)
description:
  - Stops what uses the data of a stack, exchanges all volumes and databases that M(crm.continuity.stack_stage) has
    prepared for the live ones, as one group, and starts it again. That takes as long as the services need to stop and
    start, however much data there is.
  - What was live before is kept, and O(state=reverted) brings it back in the same way, until O(keep_hours) are over or
    O(state=committed) gives it up.
  - Whatever dies meanwhile, the stack ends up with all data of before or all of after, and what ran runs. A watchdog on
    the host sees to that, and after a reboot the unit that the role P(crm.continuity.prepare#role) installs.
  - Containers whose restart policy is V(always) or V(on-failure) are given V(unless-stopped) for that time, so that a
    Docker daemon that starts meanwhile leaves them alone.
extends_documentation_fragment:
  - crm.continuity._attributes
  - crm.continuity._attributes.actiongroup_continuity
  - crm.continuity._audit
  - crm.continuity._docker
  - crm.continuity._server
  - crm.continuity._profiles
  - crm.continuity._store
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  stack:
    description: Name of the compose project. It may be left out where only one stack of the host has restores.
    type: str
  state:
    description:
      - V(live) exchanges what is staged for what is live.
      - V(reverted) brings back what was live before.
      - V(committed) removes what is kept, for good, also what was staged and has never been live; of all restores of
        the stack, unless O(id) names one.
      - V(expired) does so for every restore of the stack whose time is over.
    type: str
    choices: [live, reverted, committed, expired]
    required: true
  id:
    description:
      - ID of the restore.
      - When left out, V(reverted) means the newest one that was ever live, and V(live) the newest of all. Once that is
        so, there is nothing to do, whatever older ones there are.
    type: str
  keep_hours:
    description: How long what is not live any more is kept, in hours.
    type: float
    default: 72
  timeout:
    description: Seconds after which the exchange is given up and undone.
    type: float
    default: 900
  health_timeout:
    description: Seconds to wait for services to be healthy that were so before. Those that are not are named.
    type: float
    default: 120
notes:
  - Needs root.
  - Restores are undone in the opposite order. One whose data a later restore has replaced is refused.
  - What the application has written since the exchange stays with the data that were live then.
seealso:
  - module: crm.continuity.stack_stage
"""

EXAMPLES = r"""
- name: Make live what was staged
  crm.continuity.stack_cutover:
    stack: crm
    state: live

- name: Go back to what was there before the restore
  crm.continuity.stack_cutover:
    stack: crm
    state: reverted

- name: Keep the restored data, and free the space of what was there before
  crm.continuity.stack_cutover:
    stack: crm
    state: committed
"""

RETURN = r"""
restores:
  description: The restores that were brought into O(state), or would be.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: ID of the restore.
      type: str
    backup:
      description: ID of the backup that it is from.
      type: str
    kept_until:
      description: When what is kept may be removed. Null once it is.
      type: str
  sample: [{id: 20261121T020000Z, backup: 20261120T020000Z, kept_until: '2026-11-24T02:00:00+00:00'}]
stopped:
  description: Services that were stopped for it, or would be, in that order.
  returned: success
  type: list
  elements: str
downtime:
  description: Seconds from the first stop to the last start.
  returned: not in check mode
  type: float
phases:
  description: Seconds of C(stop), C(exchange) and C(start).
  returned: not in check mode
  type: dict
  sample: {stop: 1.31, exchange: 0.08, start: 0.9}
remarks:
  description: What the operator should know.
  returned: always
  type: list
  elements: str
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

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._database_options import SERVER_OPTIONS, access
from ..module_utils._engine import connect
from ..module_utils._errors import StackError
from ..module_utils._module import (
    ACTOR_OPTIONS,
    DOCKER_OPTIONS,
    PROFILE_OPTIONS,
    STORE_OPTIONS,
    audited,
    load_profiles,
    reported_by,
)
from ..module_utils._progress import reporting
from ..module_utils._stack import COMPOSE
from ..module_utils._stack_cutover import (
    COMMITTED,
    EXPIRED,
    HEALTH_TIMEOUT,
    KEEP_HOURS,
    LIVE,
    REVERTED,
    STATES,
    TIMEOUT,
    Plan,
    Request,
    described,
    only_stack,
    plan,
    take,
)

# What each state is called in the audit log.
ACTIONS = {LIVE: "cutover", REVERTED: "revert", COMMITTED: "commit", EXPIRED: "commit"}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "stack": {"type": "str"},
            "state": {"type": "str", "choices": list(STATES), "required": True},
            "id": {"type": "str"},
            "keep_hours": {"type": "float", "default": KEEP_HOURS},
            "timeout": {"type": "float", "default": TIMEOUT},
            "health_timeout": {"type": "float", "default": HEALTH_TIMEOUT},
            **SERVER_OPTIONS,
            **ACTOR_OPTIONS,
            **DOCKER_OPTIONS,
            **PROFILE_OPTIONS,
            **STORE_OPTIONS,
        },
        supports_check_mode=True,
    )
    params = module.params
    for limit in ("keep_hours", "timeout", "health_timeout"):
        if params[limit] < 0 or (limit == "timeout" and not params[limit]):
            module.fail_json(msg=f"{limit} is {params[limit]}: it has to be more than 0.")
    with reported_by(module), reporting("cutover", params["stack"]):
        stack = params["stack"] or only_stack()
        if stack is None:
            if params["state"] in (LIVE, REVERTED):
                raise StackError("Nothing was restored on this host, or what was kept has been given up.")
            module.exit_json(changed=False, restores=[], stopped=[], remarks=[])
        request = Request(
            stack=stack,
            state=params["state"],
            id=params["id"],
            keep_hours=params["keep_hours"],
            timeout=params["timeout"],
            health_timeout=params["health_timeout"],
            access=access(params),
        )
        profiles = load_profiles(module)
        connection = functools.partial(connect, params["docker_host"], params["docker_timeout"])
        engine = connection()
        if module.check_mode:
            wanted = plan(request, engine, profiles)
            result: dict[str, t.Any] = {"restores": described(wanted.records), "remarks": []}
        else:
            with audited(module, ACTIONS[request.state], stack=stack, begin=False) as entry:
                entry.facts["state"] = request.state
                wanted, done = take(request, engine, profiles, connection)
                entry.wanted = bool(wanted.records)
                entry.backup = done.records[0].backup if len(done.records) == 1 else None
                entry.facts.update(restores=described(done.records), downtime=done.downtime)
            result = {
                "audit": entry.written,
                "restores": described(done.records),
                "downtime": done.downtime,
                "phases": dict(done.seconds),
                "remarks": list(done.remarks),
            }
        result |= {
            "changed": bool(wanted.records),
            "stopped": [c.labels.get(COMPOSE + "service", c.name) for c in wanted.stopped],
            "diff": _diff(wanted),
        }
    module.exit_json(**result)


def _diff(wanted: Plan) -> dict[str, str]:
    state = wanted.request.state
    return {
        "before": "".join(f"restore {record.id}: {record.phase}\n" for record in wanted.records),
        "after": "".join(
            f"restore {record.id}: {state}\n" for record in wanted.records if state in ("live", "reverted")
        ),
    }


if __name__ == "__main__":
    main()
