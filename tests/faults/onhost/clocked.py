# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a module, exactly as Ansible has sent it, on a host whose clock is wrong.

    clocked.py SECONDS PAYLOAD

The clock of a server of the testbed is that of the machine, so only what Python tells the module is shifted.
"""

from __future__ import annotations

import datetime
import runpy
import sys
import time
import typing as t


def main() -> None:
    """Run the payload in this very process, so many seconds ahead; behind, when they are less than none."""
    seconds, payload = float(sys.argv[1]), sys.argv[2]
    right = time.time

    def wrong() -> float:
        return right() + seconds

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz: t.Any = None) -> t.Any:
            return cls.fromtimestamp(wrong(), tz)

    time.time = wrong
    datetime.datetime = Wrong  # type: ignore[misc]
    sys.argv = [payload]
    runpy.run_path(payload, run_name="__main__")


if __name__ == "__main__":
    main()
