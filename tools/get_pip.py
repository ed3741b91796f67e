# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-in for get-pip.py, so that ansible-test needs the package index and nothing else.

ansible-test downloads get-pip.py from a server of its own unless it finds a copy in its cache, where
``tools/setup`` puts this file. The pip that Python carries does the same work.
"""

from __future__ import annotations

import runpy
import subprocess
import sys

# Meant for the real get-pip.py, which also installs these two.
UNKNOWN_TO_PIP = {"--no-setuptools", "--no-wheel"}

# In a child, because ensurepip points PIP_CONFIG_FILE at nothing for the rest of its process: an index or a
# certificate that is configured there would be lost.
subprocess.run([sys.executable, "-m", "ensurepip"], check=True, stdout=subprocess.DEVNULL)

sys.argv = ["pip", "install", *(argument for argument in sys.argv[1:] if argument not in UNKNOWN_TO_PIP)]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
