# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gate between a decompressor and tar: lets an archive pass member by member, once each was found harmless.

Whoever can write a backup must not be able to write anywhere else on the host that restores it. So this file reads
every header before tar sees it, and refuses whatever could lead out of the target directory, whatever is damaged, and
whatever two programs could understand differently. It reads headers by itself: Python's ``tarfile`` is lenient where
this must be strict, and several times slower. The contents of files go from pipe to pipe inside the kernel.

Memory stays flat: eight to sixteen bytes per member, and the names of symbolic links.

References: POSIX.1-2017 ``pax``, and the "Tar Internals" chapter of the GNU tar manual. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import array
import errno
import os
import re
import typing as t
import zlib
from dataclasses import dataclass, field

from ._errors import ArchiveError
from ._files import CHUNK, write_all

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BLOCK = 512
ZEROS = bytes(BLOCK)
# Extended headers hold names, attributes, ACLs and, in old sparse formats, maps; one of this size is no honest one.
LONGEST_HEADER = 16 << 20
LONGEST_NAME = 1 << 16

REGULAR = frozenset(b"07\0")
HARD_LINK, SYMBOLIC_LINK, CHARACTER_DEVICE, BLOCK_DEVICE, DIRECTORY, FIFO = b"123456"
GNU_SPARSE = ord("S")
GNU_LONG_NAME, GNU_LONG_TARGET = b"LK"
PAX, PAX_GLOBAL = b"xg"
KINDS = REGULAR | frozenset(b"123456") | {GNU_SPARSE}

TIME = "time of modification"
PAX_TIME = re.compile(rb"-?[0-9]{1,18}(?:\.[0-9]*)?")
ADLER = 65521
OCTAL = re.compile(rb"\0? *([0-7]+)[ \0]*")
# Sizes are added up and handed to the kernel; no file system holds a file this big.
BIGGEST = 1 << 60

# What tar programs would take a name, a size or an unusual meaning from, and that hence may not hold for all members.
MEMBER_ONLY = re.compile(rb"path|linkpath|size|GNU\..*|SCHILY\.(filetype|realsize|xattr\..*|acl\..*)")
# Incremental and multi-volume archives; nothing here writes them.
REFUSED_KEYWORDS = re.compile(rb"GNU\.(dumpdir|volume\..*)")
# Version 0.0 of GNU's sparse format lists the parts of a file like this.
REPEATED_KEYWORDS = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})

# What _Seen remembers of a path.
A_FILE, A_DIRECTORY, ANOTHER = 1, 2, 3
_HASH = 0xFFFF_FFFF_FFFF_FFFC


@dataclass(frozen=True)
class Passed:
    """What went through the gate.

    ``files`` counts names of regular files, hard links included, ``directories`` leaves out the root, ``others`` are
    symbolic links, FIFOs and devices: the same as Totals of ``_tree``. A name that came again counts once, as what it
    was last; ``duplicates`` says how often that was. ``bytes`` are the sizes of all regular files that passed,
    superseded ones included; ``root`` says whether the directory itself was a member.
    """

    files: int
    directories: int
    others: int
    bytes: int
    duplicates: int
    root: bool

    @property
    def entries(self) -> int:
        """How many names there were."""
        return self.files + self.directories + self.others


class Record(t.NamedTuple):
    """A member that passed: its name in its shortest form, what that was before and is now, and when it was changed.

    ``before`` and ``now`` are A_FILE, A_DIRECTORY or ANOTHER; ``before`` is 0 for a new name. ``changed`` is the time
    of modification of the member in nanoseconds since 1970.
    """

    path: bytes
    before: int
    now: int
    changed: int


class TruncatedArchiveError(ArchiveError):
    """The archive ends before its end: perhaps because the program that decompresses it failed, which says more."""


class TooBigArchiveError(ArchiveError):
    """The archive holds more content than was allowed."""


@dataclass(slots=True)
class _Member:
    """One member while its headers are read."""

    raw: list[bytes] = field(default_factory=list)
    pax: dict[bytes, bytes] = field(default_factory=dict)
    long_name: bytes | None = None
    long_target: bytes | None = None
    header: bytes = b""

    @property
    def kind(self) -> int:
        return self.header[156]


def check(
    source: int,
    *,
    subject: str,
    allow_devices: bool = False,
    max_bytes: int | None = None,
    each: Callable[[int], None] | None = None,
    deleted: Iterable[bytes] = (),
) -> Passed:
    """Read an archive to its end as ``pass_through`` does, for the sake of its verdict only."""
    return pass_through(
        source, None, subject=subject, allow_devices=allow_devices, max_bytes=max_bytes, each=each, deleted=deleted
    )


def pass_through(
    source: int,
    sink: int | None,
    *,
    subject: str,
    allow_devices: bool = False,
    max_bytes: int | None = None,
    each: Callable[[int], None] | None = None,
    deleted: Iterable[bytes] = (),
) -> Passed:
    """Copy a tar stream from one descriptor to another and return what it held.

    A member is passed on only after all its headers were found good. Raises ArchiveError, which names ``subject`` and
    the member, for one that is not; TruncatedArchiveError when the stream ends early. ``each`` is called after every
    member with the number of names so far, and may raise to stop early. ``deleted`` are names that the archive must
    hold and that do not count, because they are to be removed after an extraction.
    """
    passage = Passage(subject, allow_devices=allow_devices, max_bytes=max_bytes, each=each)
    passage.pass_on(source, sink)
    for path in deleted:
        if not passage.forget(path):
            raise ArchiveError(
                f"{subject} does not fit its list of deleted names: it holds no {_shown(path)}.", member=_shown(path)
            )
    return passage.passed()


class Passage:
    """The way of one archive through the gate, in one part or in several.

    Parts are tar streams of their own; what passed is one: of the blocks of zeros that end each of them, only those of
    the last part pass. ``record`` is called with every Record.
    """

    def __init__(
        self,
        subject: str,
        *,
        allow_devices: bool = False,
        max_bytes: int | None = None,
        each: Callable[[int], None] | None = None,
        record: Callable[[Record], None] | None = None,
    ) -> None:
        self._subject = subject
        self._each = each
        self._gate = _Gate(subject, allow_devices, max_bytes, record)

    def pass_on(self, source: int, sink: int | None, *, last: bool = True) -> None:
        """Copy one part from ``source`` to ``sink``, or read it only when that is None."""
        with open(os.devnull, "wb", buffering=0) as nowhere:
            gate = self._gate
            gate.stream = _Stream(source, nowhere.fileno() if sink is None else sink, self._subject)
            while (member := gate.next(last)) is not None:
                gate.admit(member)
                if self._each is not None:
                    self._each(gate.entries)

    def forget(self, path: bytes) -> bool:
        """Count a name no longer, because it is deleted since; return whether it was there."""
        return self._gate.forget(path)

    def holds(self, path: bytes) -> int:
        """Return what a name was last, one of A_FILE, A_DIRECTORY and ANOTHER; 0 when it did not come through."""
        return self._gate.holds(path)

    def passed(self) -> Passed:
        """Return what went through so far."""
        return self._gate.passed()


class _Stream:
    """The bytes of the archive on their way."""

    def __init__(self, source: int, sink: int, subject: str) -> None:
        self.subject = subject
        self._source = source
        self._sink = sink
        self._splices = True

    def read(self, size: int) -> bytes:
        """Return exactly so many bytes, without passing them on."""
        data = os.read(self._source, size)
        if len(data) == size:
            return data
        parts = [data]
        missing = size - len(data)
        while missing:
            part = os.read(self._source, missing)
            if not part:
                raise TruncatedArchiveError(f"{self.subject} is truncated: it stops before its end.")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def read_rest(self) -> bytes:
        return os.read(self._source, CHUNK)

    def write(self, data: bytes) -> None:
        written = os.write(self._sink, data)
        if written < len(data):
            write_all(self._sink, data[written:])

    def forward(self, size: int) -> None:
        """Pass on so many bytes unseen."""
        while size and self._splices:
            try:
                moved = os.splice(self._source, self._sink, size)
            except OSError as exc:
                # The kernel wants a pipe at one end at least.
                if exc.errno != errno.EINVAL:
                    raise
                self._splices = False
                break
            if not moved:
                raise TruncatedArchiveError(f"{self.subject} is truncated: it stops in the middle of a file.")
            size -= moved
        while size:
            part = self.read(min(size, CHUNK))
            self.write(part)
            size -= len(part)


class _Gate:
    """The rules, and what must be remembered of earlier members to apply them."""

    def __init__(
        self,
        subject: str,
        allow_devices: bool,
        max_bytes: int | None,
        record: Callable[[Record], None] | None,
    ) -> None:
        # Every part of an archive arrives by one of its own.
        self.stream: _Stream
        self._subject = subject
        self._record = record
        self._allow_devices = allow_devices
        self._max_bytes = max_bytes
        self._seen = _Seen()
        self._links: set[bytes] = set()
        self._safe_parent: bytes | None = None
        self._counts = [0, 0, 0, 0]
        self._duplicates = 0
        self._root = False
        self._bytes = 0
        self._archived = 0

    def passed(self) -> Passed:
        return Passed(
            files=self._counts[A_FILE],
            directories=self._counts[A_DIRECTORY],
            others=self._counts[ANOTHER],
            bytes=self._bytes,
            duplicates=self._duplicates,
            root=self._root,
        )

    @property
    def entries(self) -> int:
        return sum(self._counts)

    def forget(self, path: bytes) -> bool:
        before = self._seen.remove(path)
        self._counts[before] -= 1 if before else 0
        return bool(before)

    def holds(self, path: bytes) -> int:
        return self._seen.get(path)

    def next(self, last: bool) -> _Member | None:
        """Read the headers of the next member; None at the end of the part, once all of it was read."""
        member = _Member()
        block = b""
        while True:
            block = block or self.stream.read(BLOCK)
            if block == ZEROS:
                if member.raw:
                    raise self._refusal("ends after an extended header")
                self._finish(last)
                return None
            self._check_sum(block)
            kind = block[156]
            if kind == PAX:
                if member.pax or member.long_name or member.long_target:
                    raise self._refusal("has two extended headers for one member")
                data, block = self._body(member, block, LONGEST_HEADER)
                member.pax = self._records(data)
                if not member.pax:
                    raise self._refusal("has an empty extended header")
            elif kind == PAX_GLOBAL:
                data, block = self._body(member, block, LONGEST_HEADER)
                self._check_global(self._records(data), member)
            elif kind == GNU_LONG_NAME:
                if member.pax or member.long_name:
                    raise self._refusal("has two long names for one member")
                data, block = self._body(member, block, LONGEST_NAME)
                member.long_name = _c_string(data)
            elif kind == GNU_LONG_TARGET:
                if member.pax or member.long_target:
                    raise self._refusal("has two long link targets for one member")
                data, block = self._body(member, block, LONGEST_NAME)
                member.long_target = _c_string(data)
            else:
                member.header = block
                member.raw.append(block)
                return member

    def admit(self, member: _Member) -> None:
        """Check a member, then pass it on."""
        name = self._name(member)
        path = self._inside(name, name)
        kind = member.kind
        if kind not in KINDS:
            raise self._refusal(f"is of a kind ({bytes([kind])!r}) that cannot be checked", name)
        size = self._size(member, name)
        # Old archives mark a directory by its name alone.
        if kind in REGULAR and name.endswith(b"/"):
            kind = DIRECTORY
        if size and kind not in REGULAR and kind != GNU_SPARSE:
            raise self._refusal("has content although it is not a regular file", name)
        if not path and kind != DIRECTORY:
            raise self._refusal("would replace the directory that the archive is extracted into", name)
        self._check_parent(path, name)
        what = self._check_kind(member, kind, path, name)
        self._count(member, kind, path, what, size, name)

        self.stream.write(b"".join(member.raw))
        self.stream.forward((size + BLOCK - 1) // BLOCK * BLOCK)

    def _finish(self, last: bool) -> None:
        """Read what follows the first block of zeros: a second one, and nothing but more of them."""
        if self.stream.read(BLOCK) != ZEROS:
            raise self._refusal("has data after a block of zeros, where it should end")
        if last:
            self.stream.write(ZEROS + ZEROS)
        while rest := self.stream.read_rest():
            if rest.count(0) != len(rest):
                raise self._refusal("has data after its end")

    def _body(self, member: _Member, header: bytes, limit: int) -> tuple[bytes, bytes]:
        """Return the data of an extended header, and the block that follows."""
        size = self._number(header[124:136], "size")
        if size > limit:
            raise self._refusal(f"has an extended header of {size} bytes")
        padded = (size + BLOCK - 1) // BLOCK * BLOCK
        # An archive can't end here, so one more block is there; every call less counts.
        data = self.stream.read(padded + BLOCK)
        member.raw += (header, data[:padded])
        return data[:size], data[padded:]

    def _records(self, data: bytes) -> dict[bytes, bytes]:
        """Take a pax header apart: records of ``<length> <keyword>=<value>`` and a line feed."""
        records: dict[bytes, bytes] = {}
        position = 0
        while position < len(data):
            digits, blank, _record = data[position : position + 20].partition(b" ")
            if not blank or not digits.isdigit():
                raise self._refusal("has a malformed extended header")
            end = position + int(digits)
            record = data[position + len(digits) + 1 : end]
            keyword, equals, value = record.partition(b"=")
            if end > len(data) or not record.endswith(b"\n") or not equals or not keyword:
                raise self._refusal("has a malformed extended header")
            value = value[:-1]
            if keyword.startswith(b"GNU.") and REFUSED_KEYWORDS.fullmatch(keyword):
                raise self._refusal(f"has an extended header with {_shown(keyword)}, which cannot be checked")
            if keyword in records and keyword not in REPEATED_KEYWORDS:
                raise self._refusal(f"has {_shown(keyword)} twice in one extended header")
            records[keyword] = value
            position = end
        return records

    def _check_global(self, records: dict[bytes, bytes], member: _Member) -> None:
        if member.pax or member.long_name or member.long_target:
            raise self._refusal("has a global header between a member and its extended header")
        for keyword in records:
            if MEMBER_ONLY.fullmatch(keyword):
                raise self._refusal(f"sets {_shown(keyword)} for all members at once")

    def _name(self, member: _Member) -> bytes:
        """Return the name that tar will use for a member, by tar's precedence."""
        header = member.header
        name = _c_string(header[:100])
        if header[257:263] == b"ustar\0" and header[345]:
            name = _c_string(header[345:500]) + b"/" + name
        if member.long_name is not None:
            name = member.long_name
        for keyword in (b"path", b"GNU.sparse.name"):
            if keyword in member.pax:
                name = member.pax[keyword]
                # Both are checked, so that it does not matter which one a program prefers.
                self._inside(name, name)
        if not name:
            raise self._refusal("has a member without a name")
        return name

    def _inside(self, path: bytes, name: bytes) -> bytes:
        """Return a path in its shortest form; refuse one that is absolute or climbs."""
        if b"\0" in path:
            raise self._refusal("has a NUL in its name", name)
        if path.startswith(b"/"):
            raise self._refusal("has an absolute name", name)
        parts = path.split(b"/")
        if b".." in parts:
            raise self._refusal("leads out of the directory that it is extracted into", name)
        return b"/".join([part for part in parts if part not in (b"", b".")])

    def _check_parent(self, path: bytes, name: bytes) -> None:
        """Refuse to write through a symbolic link of the archive."""
        parent = path.rpartition(b"/")[0]
        if not self._links or not parent or parent == self._safe_parent:
            return
        end = 0
        while end != -1:
            end = parent.find(b"/", end + 1)
            prefix = parent if end == -1 else parent[:end]
            if prefix in self._links:
                raise self._refusal(f"would be written through the symbolic link {_shown(prefix)}", name)
        self._safe_parent = parent

    def _check_kind(self, member: _Member, kind: int, path: bytes, name: bytes) -> int:
        """Apply the rules of links, devices and directories; return what the path is from now on."""
        is_link = False
        result = ANOTHER
        if kind in REGULAR or kind == GNU_SPARSE:
            result = A_FILE
        elif kind == DIRECTORY:
            if path in self._links:
                # The classic way out: programs differ in whether they follow the link.
                raise self._refusal("is a directory that would take the place of a symbolic link", name)
            result = A_DIRECTORY
        elif kind == SYMBOLIC_LINK:
            # Its target is data: nothing follows it here, see _check_parent.
            if not self._target(member):
                raise self._refusal("is a symbolic link without a target", name)
            is_link = True
        elif kind == HARD_LINK:
            target = self._inside(self._target(member), name)
            self._check_parent(target, name)
            result = self._seen.get(target)
            if result not in (A_FILE, ANOTHER):
                raise self._refusal(
                    f"is a hard link to {_shown(target)}, which is no earlier file of the archive", name
                )
            is_link = target in self._links
        elif kind != FIFO and not self._allow_devices:
            raise self._refusal("is a device node. Set allow_devices if it is meant to be there", name)
        if is_link:
            self._links.add(path)
            self._safe_parent = None
        else:
            self._links.discard(path)
        return result

    def _count(self, member: _Member, kind: int, path: bytes, what: int, size: int, name: bytes) -> None:
        if kind in REGULAR or kind == GNU_SPARSE:
            self._archived += size
            if self._max_bytes is not None and self._archived > self._max_bytes:
                raise TooBigArchiveError(
                    f"{self._subject} is refused: it holds more than the {self._max_bytes} bytes allowed.",
                    max_bytes=self._max_bytes,
                )
            self._bytes += self._real_size(member, size, name)
        before = self._seen.put(path, what) if path else what
        if self._record is not None:
            self._record(Record(path, before, what, self._changed(member)))
        if not path:
            self._root = True
            return
        if before:
            self._counts[before] -= 1
            self._duplicates += 1
        self._counts[what] += 1

    def _size(self, member: _Member, name: bytes) -> int:
        """Return how many bytes of data follow the header."""
        size = self._number(member.header[124:136], "size", name)
        if b"size" in member.pax:
            size = self._decimal(member.pax[b"size"], "size", name)
        if size > BIGGEST:
            raise self._refusal(f"claims a size of {size} bytes", name)
        if member.kind not in REGULAR and any(keyword.startswith(b"GNU.sparse.") for keyword in member.pax):
            raise self._refusal("is marked as sparse although it is not a regular file", name)
        if member.kind == GNU_SPARSE:
            if member.pax:
                raise self._refusal("mixes two formats of sparse files", name)
            more = member.header[482]
            while more:
                block = self.stream.read(BLOCK)
                member.raw.append(block)
                if len(member.raw) * BLOCK > LONGEST_HEADER:
                    raise self._refusal("has too many holes", name)
                more = block[504]
        return size

    def _changed(self, member: _Member) -> int:
        """Return the time of modification of a member in nanoseconds."""
        text = member.pax.get(b"mtime")
        if text is None:
            digits = member.header[136:148]
            # Before 1970, as GNU tar writes it in its own format.
            before = digits[0] == 0xFF
            whole = int.from_bytes(digits, "big", signed=True) if before else self._number(digits, TIME)
            return whole * 1_000_000_000
        if PAX_TIME.fullmatch(text) is None:
            raise self._refusal(f"has an extended header without a valid {TIME}")
        seconds, _point, fraction = text.partition(b".")
        nanoseconds = int(seconds) * 1_000_000_000
        more = int(fraction[:9].ljust(9, b"0"))
        return nanoseconds - more if text.startswith(b"-") else nanoseconds + more

    def _real_size(self, member: _Member, size: int, name: bytes) -> int:
        """Return the apparent size of a regular file, holes included."""
        if member.kind == GNU_SPARSE:
            return self._number(member.header[483:495], "size", name)
        for keyword in (b"GNU.sparse.realsize", b"GNU.sparse.size"):
            if keyword in member.pax:
                return self._decimal(member.pax[keyword], "size", name)
        return size

    def _target(self, member: _Member) -> bytes:
        if b"linkpath" in member.pax:
            return member.pax[b"linkpath"]
        if member.long_target is not None:
            return member.long_target
        return _c_string(member.header[157:257])

    def _check_sum(self, block: bytes) -> None:
        field = block[148:156]
        found = OCTAL.fullmatch(field)
        if found is not None:
            # The field itself counts as eight blanks. The lower half of Adler-32 is the sum of all bytes, modulo a
            # prime, and twenty times as fast as sum().
            recorded = int(found[1], 8) + sum(field) - 8 * ord(" ")
            if (zlib.adler32(block) - 1 - recorded) & 0xFFFF == 0 and recorded < ADLER:
                return
            # Bigger sums are rare; some old programs took bytes for signed numbers.
            total = sum(block)
            if recorded in (total, total - 256 * sum(byte > 127 for byte in block)):
                return
        raise self._refusal("is damaged, or is no tar archive: a header has a wrong checksum")

    def _number(self, digits: bytes, what: str, name: bytes | None = None) -> int:
        """Read a field of a header: octal digits, or a big number in base 256."""
        if digits[0] == 0x80:
            return int.from_bytes(digits[1:], "big")
        found = OCTAL.fullmatch(digits)
        if found is None:
            raise self._refusal(f"has a header without a valid {what}", name)
        return int(found[1], 8)

    def _decimal(self, digits: bytes, what: str, name: bytes) -> int:
        if not digits.isdigit() or len(digits) > 19:
            raise self._refusal(f"has an extended header without a valid {what}", name)
        return int(digits)

    def _refusal(self, why: str, name: bytes | None = None) -> ArchiveError:
        if name is None:
            return ArchiveError(f"{self._subject} {why}.")
        return ArchiveError(f"{self._subject} is refused: its member {_shown(name)} {why}.", member=_shown(name))


class _Seen:
    """What each path of the archive was last, in eight bytes per path.

    Python's hash of bytes is keyed anew in every process, so nobody can prepare two paths that collide; by chance it
    happens once in 2 ** 62 pairs.
    """

    def __init__(self) -> None:
        # Each slot holds the upper bits of a path's hash and, in its two lowest bits, what the path is; zero is free.
        self._slots = array.array("Q", bytes(8 << 10))
        self._used = 0

    def get(self, path: bytes) -> int:
        """Return what a path was last, 0 when it was not there."""
        return self._slots[self._slot(hash(path) & _HASH)] & 3

    def put(self, path: bytes, what: int) -> int:
        """Remember a path; return what it was before, 0 when it is new."""
        mark = hash(path) & _HASH
        slot = self._slot(mark)
        before = self._slots[slot] & 3
        self._slots[slot] = mark | what
        if not before:
            self._used += 1
            if self._used * 3 > len(self._slots) * 2:
                self._grow()
        return before

    def remove(self, path: bytes) -> int:
        """Forget a path; return what it was, 0 when it was not there."""
        slot = self._slot(hash(path) & _HASH)
        before = self._slots[slot] & 3
        if before:
            # The slot stays taken, so that others that were moved on by it are found.
            self._slots[slot] &= ~3
        return before

    def _slot(self, mark: int) -> int:
        mask = len(self._slots) - 1
        slot = (mark >> 2) & mask
        while (there := self._slots[slot]) and there & _HASH != mark:
            slot = (slot + 1) & mask
        return slot

    def _grow(self) -> None:
        marks = self._slots
        self._slots = array.array("Q", bytes(16 * len(marks)))
        for mark in marks:
            if mark:
                self._slots[self._slot(mark & _HASH)] = mark


def _c_string(data: bytes) -> bytes:
    return data.partition(b"\0")[0]


def _shown(name: bytes) -> str:
    """Return a name for a message: on one line, of a sane length, whatever it holds."""
    text = name.decode(errors="backslashreplace")
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return repr(text) if len(text) <= 200 else repr(text[:200]) + "…"
