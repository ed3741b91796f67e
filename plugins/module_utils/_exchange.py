# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A directory that waits to take the place of a live one, and that can be exchanged for it again and again.

Two ways, as in ``_staging``. *Beside*: two siblings exchange their names in one atomic step; which of the two is live
is told by the number of the inode. *Inside*, where the live directory is a mount point, carries a quota, or its file
system can't exchange names: the entries move, and what a dead run left says how far it had come:

    <base>/new                 waits; everything that is live is as it was
    <base>/new, <base>/old     live entries are on their way out
    <base>/placing, …/old      all of them are out, new ones are on their way in
    <base>/placed, …/old       done: what was live waits in old

``forward`` makes the waiting content the live one, ``back`` undoes that from wherever it stands, also half-way.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass

from ._errors import StoreError
from ._files import sync_directory
from ._staging import can_exchange, copy_attributes, exchange, move_entries, times_kept
from ._tree import KEPT_PREFIX, remove_tree
from ._volume_directory import is_mount_point

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NEW, OLD, PLACING, PLACED = "new", "old", "placing", "placed"
# Of a directory that has not got the attributes of the live one yet.
UNFINISHED = ".unfinished"


@dataclass(frozen=True)
class Exchange:
    """A live directory and what waits for its place, or was there before; ``inode`` is that of the filled one.

    ``base`` holds all that is not live. It is a JSON object in the record of a restore.
    """

    live: str
    base: str
    inside: bool
    inode: int

    @classmethod
    def of(cls, data: Mapping[str, t.Any]) -> Exchange:
        """Read what ``vars`` has made of one."""
        return cls(str(data["live"]), str(data["base"]), bool(data["inside"]), int(data["inode"]))

    @property
    def waiting(self) -> str:
        """Where the content lies that is not live."""
        return os.path.join(self.base, OLD if self.inside and self.is_live() else NEW)

    def is_live(self) -> bool:
        """Return whether the filled directory is the live one now, all of it."""
        if self.inside:
            return os.path.isdir(os.path.join(self.base, PLACED))
        return _inode(self.live) == self.inode

    def forward(self) -> None:
        """Make the waiting content the live one; raise StoreError when it does not wait any more."""
        if self.is_live():
            return
        if self.inside:
            self._move_in()
            return
        if _inode(os.path.join(self.base, NEW)) != self.inode:
            raise StoreError(
                f"{os.path.join(self.base, NEW)} is not what was made for {self.live}: somebody has removed or "
                "replaced it. Run the restore again.",
                directory=self.live,
            )
        exchange(os.path.join(self.base, NEW), self.live)
        self._sync()

    def back(self) -> None:
        """Make what was live before the live one again, however far an exchange had come."""
        if self.inside:
            self._move_out()
            return
        if not self.is_live():
            return
        if not os.path.isdir(os.path.join(self.base, NEW)):
            raise StoreError(
                f"What {self.live} held before is not in {self.base} any more, so it cannot be brought back.",
                directory=self.live,
            )
        exchange(os.path.join(self.base, NEW), self.live)
        self._sync()

    def check_back(self) -> None:
        """Raise StoreError unless ``back`` would bring the former content back."""
        former = os.path.join(self.base, OLD if self.inside else NEW)
        if not self.is_live():
            raise StoreError(
                f"{self.live} is not what this restore has put there: another restore or somebody else has replaced it "
                "since. Revert that one first.",
                directory=self.live,
            )
        if not os.path.isdir(former):
            raise StoreError(
                f"What {self.live} held before is not in {self.base} any more, so it cannot be brought back.",
                directory=self.live,
            )

    def discard(self) -> None:
        """Remove what is not live, for good; it may be gone already, together with the volume."""
        if os.path.isdir(self.base):
            with times_kept(self.live, self.inside):
                remove_tree(self.base)
            sync_directory(os.path.dirname(self.base))

    def _move_in(self) -> None:
        old, new, placing = (os.path.join(self.base, name) for name in (OLD, NEW, PLACING))
        if not os.path.isdir(new) and not os.path.isdir(placing):
            raise StoreError(f"{new} is gone. Run the restore again.", directory=self.live)
        if not os.path.isdir(placing):
            unfinished = old + UNFINISHED
            os.makedirs(unfinished, 0o700, exist_ok=True)
            copy_attributes(self.live, unfinished)
            os.rename(unfinished, old)
            sync_directory(self.base)
            _move(self.live, old)
            os.rename(new, placing)
            sync_directory(self.base)
        _move(placing, self.live)
        copy_attributes(placing, self.live)
        os.rename(placing, os.path.join(self.base, PLACED))
        self._sync()

    def _move_out(self) -> None:
        old, new, placing, placed = (os.path.join(self.base, name) for name in (OLD, NEW, PLACING, PLACED))
        if os.path.isdir(placed):
            copy_attributes(self.live, placed)
            os.rename(placed, placing)
            sync_directory(self.base)
        if os.path.isdir(placing):
            _move(self.live, placing)
            os.rename(placing, new)
            sync_directory(self.base)
        if os.path.isdir(old):
            _move(old, self.live)
            copy_attributes(old, self.live)
            os.rmdir(old)
        self._sync()

    def _sync(self) -> None:
        sync_directory(self.base)
        sync_directory(self.live)
        sync_directory(os.path.dirname(self.live))


def prepare(
    live: str, id_: str, *, may_exchange: bool = True, note: Callable[[Exchange], object] | None = None
) -> Exchange:
    """Make an empty directory that can take the place of a live one; fill ``waiting`` and bring it to disk.

    ``id_`` is that of the restore. ``note`` is told what will be made before anything is, so that a dead run leaves
    nothing that nobody knows; the inode is not known then. Raises StoreError when something is there already.
    """
    live = os.path.realpath(live)
    parent = os.path.dirname(live)
    if may_exchange and not is_mount_point(live):
        # Several bound directories may have the same parent.
        made = _make(live, os.path.join(parent, f"{KEPT_PREFIX}{id_}-{os.path.basename(live)}"), False, note)
        if can_exchange(made.base):
            return made
        remove_tree(made.base)
    return _make(live, os.path.join(live, KEPT_PREFIX + id_), True, note)


def _make(live: str, base: str, inside: bool, note: Callable[[Exchange], object] | None) -> Exchange:
    new = os.path.join(base, NEW)
    if os.path.lexists(base):
        raise StoreError(f"{base} is there already. Remove it and run the restore again.", directory=live)
    if note is not None:
        note(Exchange(live, base, inside, 0))
    # Nobody may look into it before its own directory has the mode that it is to have.
    with times_kept(live, inside):
        os.mkdir(base, 0o700)
    os.mkdir(new, 0o700)
    return Exchange(live, base, inside, os.stat(new).st_ino)


def _move(source: str, target: str) -> None:
    """Move all entries; the attributes of neither directory change."""
    before = [(path, os.stat(path)) for path in (source, target)]
    move_entries(source, target)
    for path, status in before:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _inode(path: str) -> int | None:
    try:
        return os.stat(path, follow_symlinks=False).st_ino
    except FileNotFoundError:
        return None
