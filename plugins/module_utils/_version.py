# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The version of the collection, for manifests. Equal to the one in galaxy.yml. Private to this collection."""

from __future__ import annotations

VERSION = "0.1.0"
