# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run backup_schedule with the profiles, and with the modules that the host is to run by itself."""

from __future__ import annotations

import os
import tempfile
import typing as t

import ansible.constants
from ansible.errors import AnsibleActionFail
from ansible.release import __version__ as ANSIBLE_CORE

from ..module_utils._errors import StoreError
from ..module_utils._schedule_calendar import parse
from ..module_utils._version import VERSION
from ..plugin_utils._bundle import Bundle, build, unpacked_digest
from ..plugin_utils._profile_action import ProfileAction

# The modules that take profiles.
RECOGNISE = ("stack_info", "stack_backup", "stack_cutover")
# What finds the stacks of a job.
FINDS = "stack_info"


class ActionModule(ProfileAction):
    """Fills in what only the control node has, and sends the modules where the host lacks them."""

    _supports_async = False

    def _carry_out(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        jobs = arguments.get("jobs") or []
        path = ""
        if arguments.get("state", "present") == "present" and jobs:
            arguments["jobs"] = [self._filled(job) for job in jobs]
            path, arguments["digest"] = self._packed(
                {call["module"] for job in jobs for call in job["calls"]} | {FINDS}
            )
            arguments["versions"] = {"version": VERSION, "ansible_core": ANSIBLE_CORE}
        result: dict[str, t.Any] = self._execute_module(module_args=arguments, task_vars=task_vars)
        if result.get("archive_wanted") and not self._task.check_mode:
            shell = self._connection._shell
            if not shell.tmpdir:
                self._make_tmp_path()
            remote = self._transfer_file(path, shell.join_path(shell.tmpdir, "archive.pyz"))
            self._fixup_perms2((shell.tmpdir, remote))
            result = self._execute_module(module_args={**arguments, "archive": remote}, task_vars=task_vars)
        # It is long, and the same in every result of every host.
        result.pop("invocation", None)
        return result

    def _filled(self, job: dict[str, t.Any]) -> dict[str, t.Any]:
        try:
            parse(str(job["calendar"]))
            calls = [{**call, "recognises": call["module"] in RECOGNISE} for call in job["calls"]]
        except StoreError as exc:
            raise AnsibleActionFail(str(exc)) from None
        except (KeyError, TypeError):
            raise AnsibleActionFail("A job needs a name, a calendar, and calls that name a module each.") from None
        finds = any(call.get("each") for call in calls)
        found = self._profiles(job) if finds or any(call["recognises"] for call in calls) else {}
        return {**job, **found, "calls": calls}

    def _packed(self, modules: set[str]) -> tuple[str, str]:
        """Return the archive and its digest; the first host of a run packs it for all."""
        # A directory of this run of Ansible, common to its processes.
        place = str(vars(ansible.constants)["DEFAULT_LOCAL_TMP"])
        path = os.path.join(place, f"crm-continuity-{'-'.join(sorted(modules))}.pyz")
        if not os.path.exists(path):
            bundle: Bundle = build(modules)
            descriptor, partial_path = tempfile.mkstemp(dir=place)
            with os.fdopen(descriptor, "wb") as file:
                file.write(bundle.content)
            # Several hosts may come here at once.
            os.replace(partial_path, path)
        return path, unpacked_digest(path)
