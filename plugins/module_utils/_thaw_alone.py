# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that ``prepare`` installs on a host: brings back what a dead backup left behind, without Ansible.

Run at every boot, and every minute while there is a journal. What a living backup works on is left to it and its
watchdog. On the host it is ``__main__`` of a package with the few files that it needs.

Standard library only. Private to this collection.
"""

# A program of its own, outside of any module.
# pylint: disable=ansible-bad-function

from __future__ import annotations

import sys

from ._engine import DEFAULT_HOST
from ._stack_thaw import Request, thaw_stacks


def main() -> int:
    """Bring everything back that nobody else takes care of; return the exit code."""
    outcome = thaw_stacks(Request(None, force=False, docker_host=DEFAULT_HOST), act=True)
    for thawed in outcome.thawed:
        for entry in thawed.revived:
            print(f"{thawed.stack}: {entry.container}: {entry.action}")
        for remark in thawed.remarks:
            print(f"{thawed.stack}: {remark}")
    for words in outcome.failed:
        print(words, file=sys.stderr)
    return 1 if outcome.failed else 0


if __name__ == "__main__":
    sys.exit(main())
