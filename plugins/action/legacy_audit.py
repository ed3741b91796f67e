# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run legacy_audit with the profiles."""

from __future__ import annotations

from ..plugin_utils._profile_action import ProfileAction as ActionModule

__all__ = ["ActionModule"]
