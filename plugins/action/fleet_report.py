# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write the report of a fleet on the control node, from the variables of all hosts; connects to none of them."""

from __future__ import annotations

import datetime
import os
import typing as t

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..module_utils._errors import ContinuityError
from ..plugin_utils._report import DOCUMENT, PAGE, TABLE, Plan, Request, apply, plan, summary_line, worst_hosts
from ..plugin_utils._report_status import answer
from ..plugin_utils._report_words import LANGUAGES, language_of

OPTIONS: dict[str, t.Any] = {
    "directory": {"type": "path", "default": "crm-report"},
    "hosts": {"type": "list", "elements": "str"},
    "variable": {"type": "str", "default": "status_result"},
    "date": {"type": "str", "default": ""},
    "language": {"type": "str", "choices": ["auto", *LANGUAGES], "default": "auto"},
    "timezone": {"type": "str", "default": ""},
    "title": {"type": "str", "default": ""},
    "mode": {"type": "str", "default": "0600"},
}


class ActionModule(ActionBase):
    """Reads ``hostvars`` itself: what hundreds of hosts said never passes through the arguments of a task."""

    _supports_check_mode = True
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Write what differs from what is there."""
        result = super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(argument_spec=OPTIONS)
        variables = task_vars or {}
        hosts = variables["ansible_play_hosts_all"] if given["hosts"] is None else given["hosts"]
        request = Request(
            directory=os.path.abspath(given["directory"]),
            statuses={str(host): answer(variables["hostvars"], host, given["variable"]) for host in hosts},
            at=given["date"] or datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            timezone=given["timezone"],
            asked=given["language"],
            language=language_of(given["language"], os.environ),
            title=given["title"],
            mode=_mode(given["mode"]),
        )
        try:
            planned = plan(request)
            if not self._task.check_mode:
                apply(request, planned)
        except (ContinuityError, OSError) as exc:
            raise AnsibleActionFail(f"The report cannot be written to {request.directory}: {exc}") from exc
        if planned.warning:
            Display().warning(planned.warning)
        result.update(_told(request, planned, only_looked=self._task.check_mode))
        return result


def _mode(given: str) -> int:
    try:
        return int(given, 8)
    except ValueError:
        raise AnsibleActionFail(f'mode is {given}. Give it as an octal number in quotes, such as "0640".') from None


def _told(request: Request, planned: Plan, *, only_looked: bool) -> dict[str, t.Any]:
    said = summary_line(planned.document)
    page = os.path.join(request.directory, PAGE)
    if only_looked:
        where = f"Check mode: nothing is written to {request.directory}."
    else:
        where = f"See {page}."
    return {
        "changed": bool(planned.differing),
        "msg": f"{said} {where}",
        "page": page,
        "json": os.path.join(request.directory, DOCUMENT),
        "csv": os.path.join(request.directory, TABLE),
        "size": len(planned.contents[PAGE]),
        "standing": planned.document["standing"],
        "summary": planned.document["summary"],
        "worst": worst_hosts(planned.document),
    }
