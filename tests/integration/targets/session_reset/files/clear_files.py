# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delete keys from the files of a Redis that does not run, as a restore does with staged data.

Usage: clear_files.py DIRECTORY IMAGE PATTERN; prints how many keys were deleted.
"""

from __future__ import annotations

import sys

from ansible_collections.crm.continuity.plugins.module_utils._engine import connect
from ansible_collections.crm.continuity.plugins.module_utils._redis_files import delete_from_files

directory, image, pattern = sys.argv[1:]
print(delete_from_files(connect(), directory, image, [pattern]))
