# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run the module of an action plugin's own name: what the action plugins of this collection have in common.

ProfileAction and ProgressAction each add something to ``_carry_out`` and pass on, so that a plugin may inherit from
both. Private to this collection.
"""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase


class ModuleAction(ActionBase):
    """Runs the module with the arguments of the task."""

    _supports_async = True
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Run the module."""
        result: dict[str, t.Any] = super().run(tmp, task_vars)
        result.update(self._carry_out(dict(self._task.args), task_vars))
        return result

    def _carry_out(self, arguments: dict[str, t.Any], task_vars: dict[str, t.Any] | None) -> dict[str, t.Any]:
        done: dict[str, t.Any] = self._execute_module(
            module_args=arguments, task_vars=task_vars, wrap_async=bool(self._task.async_val)
        )
        return done
