# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run stack_backup with the profiles, and tell how far it is."""

from __future__ import annotations

import typing as t

from ..plugin_utils._profile_action import ProfileAction
from ..plugin_utils._progress_action import ProgressAction


class ActionModule(ProfileAction, ProgressAction):
    """Adds the profiles, watches the module, and says of which stack the result is."""

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Take the backup."""
        result = super().run(tmp, task_vars)
        # Also of a failure: a role may back up several stacks by one task.
        result["stack"] = self._task.args.get("stack")
        return result
