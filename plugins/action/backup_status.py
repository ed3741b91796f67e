# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run backup_status with the profiles, and compare the clock of the host with that of the control node."""

from __future__ import annotations

import time
import typing as t

from ..module_utils._status_rules import with_clock
from ..plugin_utils._profile_action import ProfileAction


class ActionModule(ProfileAction):
    """The host's clock is right when its time lies between the question and the answer, however long that took."""

    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Ask the host."""
        asked = time.time()
        result = super().run(tmp, task_vars)
        if isinstance(result.get("status"), dict) and not result.get("failed"):
            limits = result.get("invocation", {}).get("module_args", {}).get("alerts") or {}
            result["status"] = with_clock(result["status"], asked, time.time(), limits)
        return result
