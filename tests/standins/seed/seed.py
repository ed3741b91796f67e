# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fill a running stand-in stack with rows and files. Runs as root on the server, where the volumes are.

    seed.py --stack crm --project-dir /opt/crm --scale demo

The same scale and seed give the same content. A stack that has content already is left alone.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import seed_chatwoot
import seed_ticketz
from scales import SCALES
from seed_evolution import seed_evolution
from standin_stack import StackError, find_stack


def main() -> int:
    """Fill the stack and print what was made as one line of JSON."""
    parser = argparse.ArgumentParser(description="Fill a running stand-in stack with rows and files.")
    parser.add_argument("--stack", choices=("crm", "ticketz"), required=True)
    parser.add_argument("--project-dir", required=True, help="directory of the compose file")
    parser.add_argument("--scale", choices=sorted(SCALES), default="small")
    parser.add_argument("--seed", type=int, default=1, help="another number gives other content")
    options = parser.parse_args()
    started = time.monotonic()
    scale = SCALES[options.scale]
    stack = find_stack(options.project_dir)
    seeded = seed_chatwoot.is_seeded if options.stack == "crm" else seed_ticketz.is_seeded
    if seeded(stack):
        print(json.dumps({"changed": False, "reason": f"{stack.project} has content already"}))
        return 0
    if options.stack == "crm":
        parts = [seed_chatwoot.seed_chatwoot(stack, scale, options.seed), seed_evolution(stack, scale, options.seed)]
    else:
        parts = [seed_ticketz.seed_ticketz(stack, scale, options.seed)]
    made = {
        "changed": True,
        "rows": sum(part[0] for part in parts),
        "files": sum(part[1] for part in parts),
        "skipped": sorted({line for part in parts for line in part[2]}),
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(made))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except StackError as error:
        sys.exit(f"seed: {error}")
