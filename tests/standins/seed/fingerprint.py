# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Print everything that is in a stack as JSON, to be compared before and after. Runs as root on the server.

    fingerprint.py --project-dir /opt/crm > before.json

Looks at databases, volumes and Redis with nothing but the servers' own answers and the file system, and uses
none of the collection's code. PostgreSQL and Redis must be running; the applications need not.

Left out, because it moves while nobody does anything:
the files of PostgreSQL and Redis themselves, times of last access and of inode changes, remaining lifetimes of Redis
keys, the heartbeat keys of the job worker (``processes``, ``host:pid:random``) and its counters (``stat:*``).
"""

from __future__ import annotations

import argparse
import json
import sys
import time

from fingerprint_databases import describe_databases
from fingerprint_redis import describe_redis
from fingerprint_volumes import describe_volumes
from standin_stack import StackError, find_stack


def main() -> int:
    """Print the fingerprint."""
    parser = argparse.ArgumentParser(description="Print everything that is in a stack as JSON.")
    parser.add_argument("--project-dir", required=True, help="directory of the compose file")
    parser.add_argument("--output", help="file to write instead of standard output")
    options = parser.parse_args()
    started = time.monotonic()
    stack = find_stack(options.project_dir)
    described = {
        "postgresql": describe_databases(stack),
        "volumes": describe_volumes(stack),
        "redis": describe_redis(stack),
    }
    text = json.dumps(described, indent=1, sort_keys=True)
    if options.output:
        with open(options.output, "w", encoding="utf-8") as stream:
            stream.write(text + "\n")
    else:
        print(text)
    print(f"fingerprint of {stack.project}: {time.monotonic() - started:.1f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(f"fingerprint: {error}")
