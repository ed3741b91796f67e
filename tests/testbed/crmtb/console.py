# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the testbed tells the person in front of it: progress, and errors that name the remedy."""

from __future__ import annotations

import sys
import time

_started = time.monotonic()


class TestbedError(Exception):
    """Something the operator can act on; the message says what happened, to what, and what to do."""


def say(text: str) -> None:
    """Print one line of progress with the seconds since the start."""
    # Progress goes to stderr: stdout belongs to the result of a command.
    print(f"testbed: [{elapsed():5.1f} s] {text}", file=sys.stderr, flush=True)


def elapsed() -> float:
    """Return the seconds since the start."""
    return time.monotonic() - _started
