# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stop a restore before it fills the disk of the server: without room for its log, PostgreSQL goes down altogether.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import os
import threading
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INTERVAL = 0.2
# Several times what is written between two looks, and more than some segments of the write-ahead log.
LARGEST_RESERVE = 256 << 20
SMALLEST_RESERVE = 32 << 20


class DiskWatch:
    """Looks at the free space of an open directory; ``free`` is what was left when it had to act, else None."""

    def __init__(self, directory: int | None, act: Callable[[], None], reserve: int = LARGEST_RESERVE) -> None:
        self._directory = directory
        self._act = act
        self._reserve = reserve
        self._done = threading.Event()
        self.free: int | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Watch while the block runs; without a directory that can be seen from here, do nothing."""
        if self._directory is None:
            yield
            return
        watcher = threading.Thread(target=self._watch, args=(self._directory,), daemon=True)
        watcher.start()
        try:
            yield
        finally:
            self._done.set()
            watcher.join()

    @staticmethod
    def reserve_for(size: int) -> int:
        """Return the space to keep free while a dump of this size is restored: a small one cannot take much."""
        return min(LARGEST_RESERVE, max(SMALLEST_RESERVE, 2 * size))

    def _watch(self, directory: int) -> None:
        while True:
            status = os.fstatvfs(directory)
            free = status.f_bavail * status.f_frsize
            if free < min(self._reserve, status.f_blocks * status.f_frsize // 4):
                self.free = free
                # Again and again: what is to be ended may not have begun yet.
                self._act()
            if self._done.wait(INTERVAL):
                return
