# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remember what every name of a tree was when it was looked at last, in a few dozen bytes per name.

A tree that is in use is looked at again and again, and only what may have changed is read again. Standard library
only. Private to this collection.
"""

from __future__ import annotations

import array
import typing as t

if t.TYPE_CHECKING:
    import os

# No stamp is this one: a name that carries it counts as changed whatever it looks like.
DOUBTFUL = 0
# How far apart two changes of a file have to be for its time of change to tell them apart, in nanoseconds. The kernel's
# clock for this ticks every 10 ms or faster; a file system that keeps whole seconds is known by the zeros.
TICK = 50_000_000
SECOND = 1_000_000_000
_BITS = 0xFFFF_FFFF_FFFF_FFFF
_ROUNDS = 1 << 16
# What is kept of a name, in 16 bits: that something is, that it was read by its path, and a hash of its time of change.
_KEPT = 1
_BY_PATH = 2
_TIME = 0xFFFC


class PathIndex:
    """The names of a tree, as hashes, with a stamp of what each was.

    Python's hash of bytes is keyed anew in every process, so nobody can prepare two names that collide; by chance it
    happens once in 2 ** 64 pairs.
    """

    def __init__(self) -> None:
        slots = 1 << 10
        self._names = array.array("Q", bytes(8 * slots))
        self._stamps = array.array("Q", bytes(8 * slots))
        self._rounds = array.array("H", bytes(2 * slots))
        self._kept = array.array("H", bytes(2 * slots))
        self._used = 0
        self._round = 0

    def begin(self) -> None:
        """Begin another round: nothing has been seen in it yet."""
        self._round = self._round % (_ROUNDS - 1) + 1

    def see(self, path: bytes, status: os.stat_result, began: int, *, moved: bool = False) -> bool:
        """Note what a name is in this round; return whether that may differ from what is kept of it.

        What was changed a moment before ``began``, when the round began (nanoseconds since 1970), or later is in
        doubt, in this round and in the next one: another change within one tick of the clock would not show, nor would
        one to a page of a mapped file that has not reached the disk yet. ``moved`` says that a directory above may
        have been another one since the last round: what was read by its path then is in doubt, too.
        """
        name = hash(path) & _BITS or 1
        changed = status.st_ctime_ns
        doubtful = changed >= began - TICK or (changed >= began - 2 * SECOND and not changed % SECOND)
        stamp = DOUBTFUL if doubtful else _stamp(status)
        slot = self._slot(name)
        kept = self._kept[slot]
        same = self._stamps[slot] == stamp != DOUBTFUL and kept & ~_BY_PATH == _mark(status.st_mtime_ns)
        self._stamps[slot] = stamp
        self._rounds[slot] = self._round
        if not self._names[slot]:
            self._take(slot, name)
        return not same or (moved and bool(kept & _BY_PATH))

    def doubt(self, path: bytes) -> None:
        """Note that what is kept of a name is not what it is: the next look finds it changed."""
        self._stamps[self._slot(hash(path) & _BITS or 1)] = DOUBTFUL

    def keep(self, path: bytes, changed: int, *, by_path: bool = False) -> None:
        """Note that something is kept of a name, and its time of change: without that it never is the same.

        ``by_path`` says that it was looked up by its whole path, not from the directory that it is in.
        """
        name = hash(path) & _BITS or 1
        slot = self._slot(name)
        self._kept[slot] = _mark(changed) | (_BY_PATH if by_path else 0)
        if not self._names[slot]:
            self._take(slot, name)

    def seen(self, path: bytes) -> bool:
        """Return whether a name was there in this round."""
        name = hash(path) & _BITS or 1
        slot = self._slot(name)
        return self._names[slot] == name and self._rounds[slot] == self._round

    def _take(self, slot: int, name: int) -> None:
        self._names[slot] = name
        self._used += 1
        if self._used * 3 > len(self._names) * 2:
            self._grow()

    def _slot(self, name: int) -> int:
        names = self._names
        mask = len(names) - 1
        slot = name & mask
        while (there := names[slot]) and there != name:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        names, stamps, rounds, kept = self._names, self._stamps, self._rounds, self._kept
        slots = 2 * len(names)
        self._names = array.array("Q", bytes(8 * slots))
        self._stamps = array.array("Q", bytes(8 * slots))
        self._rounds = array.array("H", bytes(2 * slots))
        self._kept = array.array("H", bytes(2 * slots))
        for position, name in enumerate(names):
            if name:
                slot = self._slot(name)
                self._names[slot] = name
                self._stamps[slot] = stamps[position]
                self._rounds[slot] = rounds[position]
                self._kept[slot] = kept[position]


def _mark(changed: int) -> int:
    return hash(changed * 0x9E37_79B9_7F4A_7C15) & _TIME | _KEPT


def _stamp(status: os.stat_result) -> int:
    # Modes, owners, links and attributes change the time of status change with them.
    facts = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino, status.st_dev)
    return hash(facts) & _BITS or 1
