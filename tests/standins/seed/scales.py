# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How much the generator makes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Files with their bytes, and messages, from which the other tables follow."""

    files: int
    size: int
    messages: int
    instances: int
    keys: int


SCALES = {
    "small": Scale(files=450, size=20_000_000, messages=1_000, instances=2, keys=60),
    "demo": Scale(files=4_300, size=350_000_000, messages=10_000, instances=3, keys=400),
    "large": Scale(files=16_000, size=2_000_000_000, messages=90_000, instances=6, keys=800),
}
