# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which members of an archive make up its state: the last one of each name, unless that is deleted.

An archive that was written in several passes holds some names more than once, and some that are on its list of deleted
names. A program that extracts does right by itself, as later members win; one that compares must see those members only
that an extraction leaves. So the archive is read twice: ``survey`` finds them, ``pass_last`` lets them through.

Memory stays flat: twenty to fifty bytes per member. Standard library only. Private to this collection.
"""

from __future__ import annotations

import array
import os
import typing as t
from dataclasses import dataclass

from ._errors import ArchiveError
from ._tar_gate import Passage, Passed, _Gate, pass_through

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._deletions import Deletions
    from ._tar_gate import _Member

_BITS = 0xFFFF_FFFF_FFFF_FFFF
ABSENT = -1


@dataclass(frozen=True)
class Survey:
    """What an extraction of an archive leaves, once the deleted names are removed.

    ``content_bytes`` are the sizes of the files that are left. ``last`` says of each member, in the order of the
    archive, whether it is left.
    """

    passed: Passed
    content_bytes: int
    last: Sequence[int]


def survey(
    source: int,
    *,
    subject: str,
    allow_devices: bool = False,
    max_bytes: int | None = None,
    each: Callable[[int], None] | None = None,
    deletions: Deletions,
) -> Survey:
    """Read an archive to its end as ``check`` of the gate does, and find out which of its members count.

    Raises ArchiveError also where a directory is deleted and something in it is not: that could not be removed.
    """
    passage = _Surveying(subject, allow_devices, max_bytes, each, deletions)
    passage.pass_on(source, None)
    for name in deletions:
        if not passage.forget(name):
            raise ArchiveError(
                f"{subject} does not fit its list of deleted names: it holds no {os.fsdecode(name)!r}.",
                archive=subject,
            )
    members = passage.members
    for name in deletions:
        members.drop(name)
    return Survey(passage.passed(), members.content_bytes, members.last)


def pass_last(
    source: int,
    sink: int,
    *,
    subject: str,
    allow_devices: bool = False,
    max_bytes: int | None = None,
    each: Callable[[int], None] = lambda entries: None,
    deletions: Deletions,
    last: Sequence[int],
) -> Passed:
    """Copy a tar stream as ``pass_through`` of the gate does, without the members that a survey found not to count.

    What a survey has not seen passes.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    # Where it leads to is changed between two members; the end of the archive comes behind the last one, and passes.
    switch = os.dup(sink)
    verdicts = iter(last)
    passes = True

    def prepare() -> None:
        nonlocal passes
        if passes != (passes := bool(next(verdicts, True))):
            os.dup2(sink if passes else nowhere, switch, inheritable=False)

    def after(entries: int) -> None:
        each(entries)
        prepare()

    try:
        prepare()
        return pass_through(
            source,
            switch,
            subject=subject,
            allow_devices=allow_devices,
            max_bytes=max_bytes,
            each=after,
            deleted=deletions,
        )
    finally:
        os.close(switch)
        os.close(nowhere)


class _Surveying(Passage):
    """A passage that remembers its members."""

    def __init__(
        self,
        subject: str,
        allow_devices: bool,
        max_bytes: int | None,
        each: Callable[[int], None] | None,
        deletions: Deletions,
    ) -> None:
        super().__init__(subject, each=each)
        self.members = _Members(subject, deletions)
        self._gate = _SurveyingGate(subject, allow_devices, max_bytes, self.members)


class _SurveyingGate(_Gate):
    def __init__(self, subject: str, allow_devices: bool, max_bytes: int | None, members: _Members) -> None:
        super().__init__(subject, allow_devices, max_bytes, None)
        self._members = members

    def _count(self, member: _Member, kind: int, path: bytes, what: int, size: int, name: bytes) -> None:
        before = self._bytes
        super()._count(member, kind, path, what, size, name)
        self._members.add(path, self._bytes - before)


class _Members:
    """The members so far, and which of them is the last of its name."""

    def __init__(self, subject: str, deletions: Deletions) -> None:
        self._subject = subject
        self._deletions = deletions
        self._doomed = _Places()
        for name in deletions:
            self._doomed.put(name, 0)
        self._sound_parent: bytes | None = None
        self._places = _Places()
        self._sizes = array.array("Q")
        self.last = bytearray()
        self.content_bytes = 0

    def add(self, name: bytes, size: int) -> None:
        self._check_parent(name)
        place = len(self.last)
        self._sizes.append(size)
        self.last.append(True)
        self.content_bytes += size
        self._supersede(self._places.put(name, place))

    def drop(self, name: bytes) -> None:
        self._supersede(self._places.get(name))

    def _supersede(self, place: int) -> None:
        if place != ABSENT:
            self.last[place] = False
            self.content_bytes -= self._sizes[place]

    def _check_parent(self, name: bytes) -> None:
        parent = name.rpartition(b"/")[0]
        if not parent or not self._deletions.count or parent == self._sound_parent:
            return
        if self._doomed.get(name) == ABSENT:
            end = 0
            while end != -1:
                end = parent.find(b"/", end + 1)
                above = parent if end == -1 else parent[:end]
                if self._doomed.get(above) != ABSENT:
                    raise ArchiveError(
                        f"{self._deletions.path} names the directory {os.fsdecode(above)!r} as deleted, and "
                        f"{self._subject} holds {os.fsdecode(name)!r}, which is not. Use another backup.",
                        archive=self._subject,
                    )
            self._sound_parent = parent


class _Places:
    """A number for each of many names, in twelve bytes per name and as much again while it grows.

    Python's hash of bytes is keyed anew in every process, so nobody can prepare two names that collide; by chance it
    happens once in 2 ** 64 pairs.
    """

    def __init__(self) -> None:
        # Names as hashes, of which zero is a free slot; "I" has four bytes, more members than any archive has.
        self._names = array.array("Q", bytes(8 << 8))
        self._numbers = array.array("I", bytes(4 << 8))
        self._used = 0

    def get(self, name: bytes) -> int:
        """Return the number of a name; ABSENT for one that has none."""
        mark = hash(name) & _BITS or 1
        slot = self._slot(mark)
        return self._numbers[slot] if self._names[slot] else ABSENT

    def put(self, name: bytes, number: int) -> int:
        """Give a name a number; return the one that it had before."""
        mark = hash(name) & _BITS or 1
        slot = self._slot(mark)
        before = self._numbers[slot] if self._names[slot] else ABSENT
        self._names[slot] = mark
        self._numbers[slot] = number
        if before == ABSENT:
            self._used += 1
            if self._used * 3 > len(self._names) * 2:
                self._grow()
        return before

    def _slot(self, mark: int) -> int:
        mask = len(self._names) - 1
        slot = mark & mask
        while (there := self._names[slot]) and there != mark:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        names, numbers = self._names, self._numbers
        self._names = array.array("Q", bytes(16 * len(names)))
        self._numbers = array.array("I", bytes(8 * len(names)))
        for mark, number in zip(names, numbers, strict=True):
            if mark:
                slot = self._slot(mark)
                self._names[slot] = mark
                self._numbers[slot] = number
