# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Let everything on a server of the testbed die at once, without a last word: a power cut.

With version 1 of the kernel's control groups a frozen process does not die before it is thawed, and the container that
the server is would wait for it forever. So all are killed first and thawed then: none of them runs another instruction.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path


def main() -> None:
    """Kill, thaw, and end the first process of the server, with which all of it ends."""
    boot = int(subprocess.run(["pgrep", "--oldest", "server-init"], check=True, capture_output=True).stdout)
    spared = {1, boot, os.getpid()}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) not in spared:
            # Threads of the kernel are not seen in here; a process may be gone already.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(entry.name), signal.SIGKILL)
    for state in Path("/sys/fs/cgroup").glob("freezer/docker/*/freezer.state"):
        state.write_text("THAWED")
    os.kill(boot, signal.SIGKILL)


if __name__ == "__main__":
    main()
