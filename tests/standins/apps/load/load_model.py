# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a writer does in its n-th step, and what its directory therefore looks like after any number of system calls.

A step is a few system calls on files, and a pure function of n. So a copy of the directory can be checked to the last
byte: after n steps it is one of few states, and a copy whose files are of different instants is none of them.
Standard library only: the writers use it in their container, and the check uses it on the server.
"""

from __future__ import annotations

import os
import stat
import typing as t
from dataclasses import dataclass, field

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

SLOTS = 8
LINE = 24
# Of one file of a slot, in lines. The first is large enough to be caught in the middle of a change.
BLOCKS = (40_000, 20, 60, 120, 200, 300, 500, 900)
# After so many turns everything is as it was, but for the numbers in it.
PERIOD = 20
# The time that some files always claim to be of.
STALE = 1_600_000_000


@dataclass(frozen=True)
class Call:
    """One system call on names relative to the writer's directory."""

    verb: str
    arguments: tuple[t.Any, ...]


class Fact(t.NamedTuple):
    """What can be seen of one name; ``twins`` are all names of the same file."""

    kind: str
    mode: int
    content: bytes
    twins: tuple[str, ...]


Tree = dict[str, Fact]
Kind: t.TypeAlias = "Callable[[int, int, Callable[[int], bytes]], Iterator[Call]]"


def steps(kinds: Sequence[Kind], writer: int, number: int, first: int = 0) -> list[Call]:
    """Return the system calls of one step, the first of which has the number 1; ``first`` is the turn that creates."""
    turn, rest = divmod(number - 1, len(kinds) * SLOTS)
    # All that happens to one slot happens in a row: a link is made of the file that was renamed just before.
    slot, kind = divmod(rest, len(kinds))
    return list(kinds[kind](turn - first, slot, lambda lines: _lines(writer, number, lines)))


def _lines(writer: int, number: int, lines: int) -> bytes:
    return f"{writer:8d} {number:14d}\n".encode() * lines


def _in_place(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    name = f"in-place-{slot}"
    if turn == 0:
        yield Call("create", (name,))
    yield Call("write", (name, content(BLOCKS[slot])))


def _mode(turn: int, slot: int, _content: object) -> Iterator[Call]:
    yield Call("chmod", (f"in-place-{slot}", 0o600 if turn % 2 else 0o640))


def _renamed(_turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    yield Call("create", (f".renamed-{slot}",))
    yield Call("write", (f".renamed-{slot}", content(BLOCKS[slot] // 4)))
    yield Call("rename", (f".renamed-{slot}", f"renamed-{slot}"))


def _linked(_turn: int, slot: int, _content: object) -> Iterator[Call]:
    yield Call("link", (f"renamed-{slot}", f".linked-{slot}"))
    yield Call("rename", (f".linked-{slot}", f"linked-{slot}"))


def _appended(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    name = f"log-{slot}"
    if turn == 0:
        yield Call("create", (name,))
    elif turn % PERIOD == 0:
        yield Call("truncate", (name,))
    yield Call("append", (name, content(1)))


def _coming_and_going(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    if turn % 2:
        yield Call("unlink", (f"here-{slot}",))
    else:
        yield Call("create", (f"here-{slot}",))
        yield Call("write", (f"here-{slot}", content(BLOCKS[slot] // 4)))


def _two_names(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    # In place, by either name in turn: both change.
    one, other = f"pair-{slot}-a", f"pair-{slot}-b"
    if turn == 0:
        yield Call("create", (one,))
        yield Call("link", (one, other))
    yield Call("write", ((one, other)[turn % 2], content(80)))


def _stale(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    # The same size and the same time of change, always.
    name = f"stale-{slot}"
    if turn == 0:
        yield Call("create", (name,))
    yield Call("write", (name, content(30)))
    yield Call("utime", (name,))


def _directory_renamed(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    one, other = f"folder-{slot}", f"moved-{slot}"
    if turn == 0:
        yield Call("mkdir", (one,))
        yield Call("create", (f"{one}/file",))
        yield Call("write", (f"{one}/file", content(30)))
    elif turn % 2:
        yield Call("rename", (one, other))
    else:
        yield Call("rename", (other, one))
        yield Call("write", (f"{one}/file", content(30)))


def _directories_swapped(turn: int, slot: int, _content: object) -> Iterator[Call]:
    # Nothing inside of them ever changes, not even a time.
    one, other, between = f"one-{slot}", f"other-{slot}", f".swap-{slot}"
    if turn == 0:
        for number, name in enumerate((one, other)):
            yield Call("mkdir", (name,))
            yield Call("create", (f"{name}/file",))
            yield Call("write", (f"{name}/file", _lines(0, number, 20)))
    else:
        yield Call("rename", (one, between))
        yield Call("rename", (other, one))
        yield Call("rename", (between, other))


def _shape(turn: int, slot: int, content: Callable[[int], bytes]) -> Iterator[Call]:
    # A name that is a file, a directory, a symbolic link, a directory, a file …
    name, inside = f"shape-{slot}", f"shape-{slot}/file"
    was, becomes = (turn - 1) % 4, turn % 4
    if turn and was in (1, 3):
        yield Call("unlink", (inside,))
        yield Call("rmdir", (name,))
    elif turn:
        yield Call("unlink", (name,))
    if becomes == 0:
        yield Call("create", (name,))
        yield Call("write", (name, content(20)))
    elif becomes == 2:
        yield Call("symlink", ("../elsewhere", name))
    else:
        yield Call("mkdir", (name,))
        yield Call("create", (inside,))
        yield Call("write", (inside, content(20)))


FILES: tuple[Kind, ...] = (
    *(_in_place, _mode, _renamed, _linked, _appended, _coming_and_going),
    *(_two_names, _stale, _directory_renamed, _directories_swapped),
)
SHAPES: tuple[Kind, ...] = (_shape,)


class Disk:
    """A directory on which the calls are carried out."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def do(self, call: Call) -> None:
        """Carry out one call."""
        getattr(self, f"_{call.verb}")(*call.arguments)

    def _create(self, name: str) -> None:
        os.close(os.open(self._root / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))

    def _write(self, name: str, content: bytes) -> None:
        # One call, without truncating: the file is never seen shorter than it was.
        descriptor = os.open(self._root / name, os.O_WRONLY)
        os.write(descriptor, content)
        os.close(descriptor)

    def _append(self, name: str, content: bytes) -> None:
        descriptor = os.open(self._root / name, os.O_WRONLY | os.O_APPEND)
        os.write(descriptor, content)
        os.close(descriptor)

    def _truncate(self, name: str) -> None:
        os.truncate(self._root / name, 0)

    def _rename(self, name: str, other: str) -> None:
        os.rename(self._root / name, self._root / other)

    def _link(self, name: str, other: str) -> None:
        os.link(self._root / name, self._root / other)

    def _unlink(self, name: str) -> None:
        os.unlink(self._root / name)

    def _mkdir(self, name: str) -> None:
        os.mkdir(self._root / name, 0o755)

    def _rmdir(self, name: str) -> None:
        os.rmdir(self._root / name)

    def _symlink(self, target: str, name: str) -> None:
        os.symlink(target, self._root / name)

    def _utime(self, name: str) -> None:
        os.utime(self._root / name, (STALE, STALE))

    def _chmod(self, name: str, mode: int) -> None:
        os.chmod(self._root / name, mode)

    def tree(self) -> Tree:
        """Return what is there."""
        found: dict[str, tuple[str, int, bytes, int]] = {}
        pending = [self._root]
        while pending:
            for path in pending.pop().iterdir():
                status = path.lstat()
                kind, content = "other", b""
                if stat.S_ISREG(status.st_mode):
                    kind, content = "file", path.read_bytes()
                elif stat.S_ISLNK(status.st_mode):
                    kind, content = "symlink", os.fsencode(os.readlink(path))
                elif stat.S_ISDIR(status.st_mode):
                    kind = "directory"
                    pending.append(path)
                mode = 0o777 if kind == "symlink" else stat.S_IMODE(status.st_mode)
                found[str(path.relative_to(self._root))] = (kind, mode, content, status.st_ino)
        return _tree(found)


@dataclass(eq=False)
class _Node:
    kind: str
    mode: int
    content: bytes = b""
    names: dict[str, _Node] = field(default_factory=dict)


class Model:
    """The same directory as it has to be."""

    def __init__(self) -> None:
        self._root = _Node("directory", 0o755)

    def do(self, call: Call) -> None:
        """Carry out one call."""
        getattr(self, f"_{call.verb}")(*call.arguments)

    def _place(self, name: str) -> tuple[dict[str, _Node], str]:
        directory, _slash, last = name.rpartition("/")
        return (self._root.names[directory].names if directory else self._root.names), last

    def _node(self, name: str) -> _Node:
        names, last = self._place(name)
        return names[last]

    def _put(self, name: str, node: _Node) -> None:
        names, last = self._place(name)
        names[last] = node

    def _create(self, name: str) -> None:
        self._put(name, _Node("file", 0o644))

    def _write(self, name: str, content: bytes) -> None:
        node = self._node(name)
        node.content = content + node.content[len(content) :]

    def _append(self, name: str, content: bytes) -> None:
        self._node(name).content += content

    def _truncate(self, name: str) -> None:
        self._node(name).content = b""

    def _rename(self, name: str, other: str) -> None:
        node = self._node(name)
        self._unlink(name)
        self._put(other, node)

    def _link(self, name: str, other: str) -> None:
        self._put(other, self._node(name))

    def _unlink(self, name: str) -> None:
        names, last = self._place(name)
        del names[last]

    def _mkdir(self, name: str) -> None:
        self._put(name, _Node("directory", 0o755))

    _rmdir = _unlink

    def _symlink(self, target: str, name: str) -> None:
        self._put(name, _Node("symlink", 0o777, os.fsencode(target)))

    def _utime(self, name: str) -> None:
        """Change nothing that is compared."""

    def _chmod(self, name: str, mode: int) -> None:
        self._node(name).mode = mode

    def tree(self) -> Tree:
        """Return what has to be there."""
        found: dict[str, tuple[str, int, bytes, int]] = {}
        pending = [("", self._root)]
        while pending:
            prefix, directory = pending.pop()
            for name, node in directory.names.items():
                found[prefix + name] = (node.kind, node.mode, node.content, id(node))
                if node.kind == "directory":
                    pending.append((f"{prefix}{name}/", node))
        return _tree(found)


def _tree(found: dict[str, tuple[str, int, bytes, int]]) -> Tree:
    names: dict[int, list[str]] = {}
    for name, (_kind, _mode, _content, identity) in sorted(found.items()):
        names.setdefault(identity, []).append(name)
    return {
        name: Fact(kind, mode, content, tuple(names[identity]))
        for name, (kind, mode, content, identity) in found.items()
    }


@dataclass(frozen=True)
class Standing:
    """How many calls of the step that follows are done; None and ``differences`` if it is in none of these states."""

    calls: int | None
    differences: tuple[str, ...] = ()


def standing(kinds: Sequence[Kind], writer: int, number: int, tree: Tree) -> Standing:
    """Find out which of the states that may follow the completed step ``number`` a directory is in."""
    model = Model()
    # What was before the last turn that looks like the first one has left no trace.
    length = len(kinds) * SLOTS
    first = max(0, (number - 1) // length - 1) // PERIOD * PERIOD
    for done in range(first * length + 1, number + 1):
        for call in steps(kinds, writer, done, first):
            model.do(call)
    ahead = steps(kinds, writer, number + 1, first)
    nearest: tuple[str, ...] = ()
    for calls in range(len(ahead) + 1):
        if calls:
            model.do(ahead[calls - 1])
        found = tuple(_differences(model.tree(), tree))
        if not found:
            return Standing(calls)
        nearest = min(nearest or found, found, key=len)
    return Standing(None, nearest)


def _differences(wanted: Tree, found: Tree) -> Iterator[str]:
    for name in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get(name), found.get(name)
        if one != other:
            yield f"{name} is {_words(other)} instead of {_words(one)}"


def _words(fact: Fact | None) -> str:
    if fact is None:
        return "nothing"
    shown = ""
    if fact.kind == "file":
        lines = {fact.content[at : at + LINE] for at in range(0, len(fact.content), LINE)}
        numbers = sorted(line.split()[-1].decode(errors="replace") for line in lines if line.split())
        shown = f" of {len(fact.content)} bytes written in " + (
            f"steps {numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"step {numbers[0]}" if numbers else "none"
        )
    names = f", also called {' '.join(fact.twins)}" if len(fact.twins) > 1 else ""
    return f"a {fact.kind}{shown} of mode {fact.mode:o}{names}"
