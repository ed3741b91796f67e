# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rewrite files of a tree at a steady rate: ``python3 churn.py DIRECTORY FILES_PER_SECOND``.

Every file gets new content of the size that it had, in place, in a random order and none twice before all others. It
goes on until it is stopped; when it was paused, it does not make up for the time.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path


def main() -> None:
    """Rewrite files until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(0))
    root, rate = Path(sys.argv[1]), float(sys.argv[2])
    chance = random.Random(1)
    paths = [os.path.join(directory, name) for directory, _names, files in os.walk(root) for name in sorted(files)]
    print(f"{len(paths)} files, {rate:g} of them a second", flush=True)
    if not rate:
        signal.pause()
    while True:
        chance.shuffle(paths)
        for path in paths:
            begun = time.monotonic()
            with open(path, "r+b") as file:
                file.write(os.urandom(os.fstat(file.fileno()).st_size))
            time.sleep(max(0, 1 / rate - (time.monotonic() - begun)))


if __name__ == "__main__":
    main()
