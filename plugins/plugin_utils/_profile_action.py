# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Give a module the profiles: those of the collection, and the user's own from files or inventory.

Only Python files travel to a host with a module, so the YAML is read here, on the control node.
Private to this collection.
"""

from __future__ import annotations

import os
import typing as t

from ansible.errors import AnsibleActionFail, AnsibleFileNotFound
from ansible.plugins.action import ActionBase

PROFILES = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "profiles"))


class ProfileAction(ActionBase):
    """Runs the module of the same name with ``profiles`` and ``shipped_profiles`` filled in."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Read the profiles and run the module."""
        result = super().run(tmp, task_vars)
        arguments = dict(self._task.args)
        arguments["shipped_profiles"] = [self._load(path) for path in sorted(_shipped())]
        own = arguments.get("profiles") or ()
        # One alone need not be in a list, as with any option that takes one.
        arguments["profiles"] = [self._own(entry) for entry in ([own] if isinstance(own, (str, dict)) else own)]
        result.update(
            self._execute_module(module_args=arguments, task_vars=task_vars, wrap_async=bool(self._task.async_val))
        )
        # They are long, and the same in every result of every host.
        result.get("invocation", {}).get("module_args", {}).pop("shipped_profiles", None)
        return result

    def _own(self, entry: object) -> t.Any:
        if not isinstance(entry, str):
            return entry
        try:
            path = self._find_needle("files", entry)
        except AnsibleFileNotFound:
            raise AnsibleActionFail(
                f"There is no profile {entry} on the control node, beside the playbook or in its directory files. "
                "Give the path of a YAML file, or the profile itself."
            ) from None
        return self._load(path)

    def _load(self, path: str) -> t.Any:
        data = self._loader.load_from_file(path)
        if not isinstance(data, dict):
            raise AnsibleActionFail(f"{path} is not a profile: it holds no dictionary.")
        return data


def _shipped() -> list[str]:
    return [os.path.join(PROFILES, name) for name in os.listdir(PROFILES) if name.endswith(".yml")]
