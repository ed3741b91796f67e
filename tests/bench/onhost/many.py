# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a tree of very many files that are nearly all holes: ``python3 many.py DIRECTORY FILES BYTES``.

One name in a hundred has a line break, and one is no text. One file in fifty begins with a few bytes.
"""

from __future__ import annotations

import os
import sys

PER_DIRECTORY = 1000


def main() -> None:
    """Make the tree."""
    root, files, size = os.fsencode(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    each = size // files
    for number in range(files):
        directory = root + b"/%04d" % (number // PER_DIRECTORY)
        if number % PER_DIRECTORY == 0:
            os.mkdir(directory)
        odd = {0: b"line\nbreak", 1: b"no text \xff\xfe"}.get(number % 100, b"file")
        descriptor = os.open(directory + b"/%b %06d" % (odd, number), os.O_WRONLY | os.O_CREAT, 0o644)
        if number % 50 == 0:
            os.write(descriptor, odd)
        os.ftruncate(descriptor, each)
        os.close(descriptor)


if __name__ == "__main__":
    main()
