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

import yaml
from ansible.errors import AnsibleActionFail, AnsibleFileNotFound

from ._module_action import ModuleAction

PROFILES = os.path.normpath(os.path.join(os.path.dirname(__file__), os.pardir, os.pardir, "profiles"))


class ProfileAction(ModuleAction):
    """Runs the module of the same name with ``profiles`` and ``shipped_profiles`` filled in."""

    def _carry_out(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        result = super()._carry_out({**arguments, **self._profiles(arguments)}, task_vars)
        # They are long, and the same in every result of every host.
        result.get("invocation", {}).get("module_args", {}).pop("shipped_profiles", None)
        return result

    def _profiles(self, arguments: dict[str, t.Any]) -> dict[str, t.Any]:
        """Return the two options of the profiles, as a module takes them."""
        own = arguments.get("profiles") or ()
        # One alone need not be in a list, as with any option that takes one.
        own = [own] if isinstance(own, (str, dict)) else own
        return {"shipped_profiles": _shipped(), "profiles": [self._own(entry) for entry in own]}

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


def _shipped() -> list[t.Any]:
    names = sorted(name for name in os.listdir(PROFILES) if name.endswith(".yml"))
    return [_read(os.path.join(PROFILES, name)) for name in names]


def _read(path: str) -> t.Any:
    # For every task of every host. Ansible's own loader, which notes where each value is from, takes 15 times as long.
    with open(path, encoding="utf-8") as stream:
        return yaml.load(stream, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
