# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find some of what an archive holds, and let just that through the gate.

An archive is read twice. The first time tells which names match, which directories lie above them, and which other
names are needed because a hard link of the selection has its content under another name. The second time lets all
members of these names pass, in their order, superseded ones included: so an extraction of the selection leaves exactly
what an extraction of everything would leave there. Every member goes through the gate's checks, selected or not.

Memory grows with the selection and with the number of hard links, not with the archive. Standard library only. Private
to this collection.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import dataclass, field

from ._errors import ArchiveError
from ._tar_gate import A_FILE, HARD_LINK, Passage, _Gate

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ._deletions import Deletions
    from ._tar_gate import _Member

# What stands for any characters in a pattern.
_WILDCARDS = {b"**": rb".*", b"*": rb"[^/]*", b"?": rb"[^/]"}
_TOKEN = re.compile(rb"\*\*|\*|\?|\[!?\]?[^]]*\]|.", re.DOTALL)


class Selection:
    """Which names are meant: a path, or a pattern, and everything below what matches.

    ``*``, ``?`` and ``[]`` stand for characters of one name, ``**`` also for slashes. A path that is there word for
    word is meant as such, whatever its characters. An empty one means everything.
    """

    def __init__(self, text: str) -> None:
        parts = [part for part in text.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise ArchiveError(f"{text!r} leads out of the volume. Give a path below its root.")
        self.path = "/".join(parts)
        literal = os.fsencode(self.path)
        wanted = rb"(?:%b|%b)(?:/.*)?" % (re.escape(literal), _expression(literal))
        try:
            self._wanted = re.compile(wanted if literal else rb".*", re.DOTALL)
        except re.error as exc:
            raise ArchiveError(f"{text!r} is no pattern that can be understood: {exc}.") from exc

    @property
    def everything(self) -> bool:
        return not self.path

    def matches(self, name: bytes) -> bool:
        """Return whether a name in its shortest form is meant."""
        return self._wanted.fullmatch(name) is not None


@dataclass(frozen=True)
class Found:
    """What a selection comes to, names in their shortest form.

    ``kinds`` says of each name that an extraction leaves what it is, as the gate does. ``content_bytes`` are the sizes
    of all selected files, superseded ones included, which is what an extraction needs at most. ``above`` are
    directories above the selection, ``besides`` names that only a hard link needs, ``deleted`` those of all three to be
    removed, because they were deleted before the cut.
    """

    kinds: dict[bytes, int] = field(default_factory=dict)
    content_bytes: int = 0
    above: set[bytes] = field(default_factory=set)
    besides: set[bytes] = field(default_factory=set)
    deleted: set[bytes] = field(default_factory=set)

    @property
    def files(self) -> int:
        return sum(kind == A_FILE for kind in self.kinds.values())

    @property
    def surplus(self) -> set[bytes]:
        """What an extraction has to remove again."""
        return self.besides | self.deleted


def find(
    source: int, *, subject: str, selection: Selection, deletions: Deletions, allow_devices: bool = False
) -> Found:
    """Read an archive to its end and find out what is selected; raise ArchiveError for one that is not sound."""
    passage = _Finding(subject, allow_devices, selection)
    passage.pass_on(source, None)
    for name in deletions:
        if not passage.forget(name):
            raise ArchiveError(
                f"{subject} does not fit its list of deleted names: it holds no {os.fsdecode(name)!r}.", archive=subject
            )
    return passage.found(deletions)


def pass_selected(
    source: int,
    sink: int,
    *,
    subject: str,
    selection: Selection,
    found: Found,
    allow_devices: bool = False,
) -> None:
    """Copy what was found from a tar stream to another, through the gate."""
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    # Where it leads to is changed for each member.
    switch = os.dup(sink)

    def direct(name: bytes) -> None:
        wanted = selection.matches(name) or name in found.above or name in found.besides or not name
        os.dup2(sink if wanted else nowhere, switch, inheritable=False)

    try:
        passage = Passage(subject)
        passage._gate = _Directing(subject, allow_devices, None, None, direct)
        passage.pass_on(source, switch)
    finally:
        os.close(switch)
        os.close(nowhere)


class _Directing(_Gate):
    """A gate that tells the name of each member after it was checked, and before it passes."""

    def __init__(
        self,
        subject: str,
        allow_devices: bool,
        max_bytes: int | None,
        record: None,
        direct: Callable[[bytes], None],
    ) -> None:
        super().__init__(subject, allow_devices, max_bytes, record)
        self._direct = direct

    def _count(self, member: _Member, kind: int, path: bytes, what: int, size: int, name: bytes) -> None:
        super()._count(member, kind, path, what, size, name)
        self._direct(path)

    def _finish(self, last: bool) -> None:
        # The end of the archive belongs to every selection.
        self._direct(b"")
        super()._finish(last)


class _Finding(Passage):
    """A passage that remembers what is selected."""

    def __init__(self, subject: str, allow_devices: bool, selection: Selection) -> None:
        super().__init__(subject)
        self._own = _FindingGate(subject, allow_devices, selection)
        self._gate = self._own

    def found(self, deletions: Deletions) -> Found:
        """Return what is selected, once the archive was read."""
        return self._own.found(deletions)


class _FindingGate(_Gate):
    def __init__(self, subject: str, allow_devices: bool, selection: Selection) -> None:
        super().__init__(subject, allow_devices, None, None)
        self._selection = selection
        self._kinds: dict[bytes, int] = {}
        self._selected_bytes = 0
        self._hard_links: dict[bytes, set[bytes]] = {}

    def _count(self, member: _Member, kind: int, path: bytes, what: int, size: int, name: bytes) -> None:
        before = self._bytes
        super()._count(member, kind, path, what, size, name)
        if kind == HARD_LINK:
            self._hard_links.setdefault(path, set()).add(self._inside(self._target(member), name))
        if path and self._selection.matches(path):
            self._kinds[path] = what
            self._selected_bytes += self._bytes - before

    def found(self, deletions: Deletions) -> Found:
        kinds = self._kinds
        above = {parent for name in kinds for parent in _parents(name)} - kinds.keys()
        besides: set[bytes] = set()
        pending = list(kinds)
        while pending:
            for target in self._hard_links.get(pending.pop(), ()):
                if target not in kinds and target not in besides:
                    besides.add(target)
                    pending.append(target)
        # With them come the directories that they are in.
        besides |= {parent for name in besides for parent in _parents(name)} - kinds.keys() - above
        deleted = {name for name in deletions if name in kinds or name in besides}
        left = {name: kind for name, kind in kinds.items() if name not in deleted}
        # A directory above was perhaps deleted, and with it all that was selected below it.
        needed = {parent for name in left for parent in _parents(name)}
        return Found(
            kinds=left,
            content_bytes=self._selected_bytes,
            above=above,
            besides=besides,
            deleted=deleted | (above - needed),
        )


def _parents(name: bytes) -> list[bytes]:
    """Return the directories above a name, the nearest last."""
    parts = name.split(b"/")
    return [b"/".join(parts[:end]) for end in range(1, len(parts))]


def _expression(pattern: bytes) -> bytes:
    """Return the regular expression of a pattern."""
    return b"".join(_part(token) for token in _TOKEN.findall(pattern))


def _part(token: bytes) -> bytes:
    if token in _WILDCARDS:
        return _WILDCARDS[token]
    if len(token) > 1:
        inner = token[1:-1].replace(b"\\", b"\\\\").replace(b"[", b"\\[")
        return b"[^/" + inner[1:] + b"]" if inner.startswith(b"!") else b"[" + inner + b"]"
    return re.escape(token)
