# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of an inventory that are for all stacks, with others for single ones.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping


def of_stack(given: Mapping[str, t.Any], stack: str) -> dict[str, t.Any]:
    """Return what is set for a stack: what is given for all, and over it what ``stacks`` has for this one."""
    wanted = {name: value for name, value in given.items() if name != "stacks" and value is not None}
    wanted.update((given.get("stacks") or {}).get(stack) or {})
    return wanted
