# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets plain pytest import ``ansible_collections.crm.continuity`` from a checkout of any name.

ansible-test arranges this itself, for a checkout that lies under ``ansible_collections/``.
"""

from __future__ import annotations

import sys
import types
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOWHERE: list[str] = []

for name, path in {
    "ansible_collections": NOWHERE,
    "ansible_collections.crm": NOWHERE,
    "ansible_collections.crm.continuity": [str(ROOT)],
}.items():
    package = types.ModuleType(name)
    package.__path__ = path
    sys.modules.setdefault(name, package)
