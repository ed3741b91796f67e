# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run stack_cutover with the profiles, and tell how far it is."""

from __future__ import annotations

from ..plugin_utils._profile_action import ProfileAction
from ..plugin_utils._progress_action import ProgressAction


class ActionModule(ProfileAction, ProgressAction):
    """Adds the profiles and watches the module."""
