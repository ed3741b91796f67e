# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real Docker hosts for tests, as containers on this machine. See README.md."""

from __future__ import annotations

import sys

from crmtb.cli import main

sys.exit(main())
