# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version stands in two places: modules on a host cannot read galaxy.yml."""

from __future__ import annotations

from pathlib import Path

import yaml

from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_that_backups_note_is_that_of_the_collection():
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))

    assert galaxy["version"] == VERSION
