# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Take a SQL script apart as psql does: statements, the rows after a COPY, and psql's own commands.

psql runs programs when a script tells it to, with a backslash anywhere outside of quotes. So whether a byte is inside
quotes must be known exactly as psql knows it. This follows psql's scanner (psqlscan.l) for what pg_dump writes, and
refuses what the two might understand differently. Memory is constant: rows pass in pieces, and a statement has a limit.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._errors import StoreError

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHUNK = 1 << 20
# The server takes a statement of 1 GiB; one with the rows of a table (pg_dump --inserts) is no longer than a row.
LONGEST_STATEMENT = 256 << 20

_TOKEN = re.compile(
    rb"""
    (?P<space>[ \t\n\f\v]+)
    | (?P<comment>--[^\n]*)
    | (?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*)
    | (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
    | (?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)
    | (?P<quote>['"])
    | (?P<mark>[();])
    | (?P<cast>::)
    | (?P<doubtful>\\|/\*|:['"{A-Za-z_\x80-\xff]|\r)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(rb"\\.|''|'", re.DOTALL)
# Right before a quote, these make one text with it, in which a backslash hides the next quote.
_WITH_ESCAPES = (b"e", b"E")
# What psql would read as one with a number that it follows.
_JUNK = re.compile(rb"[A-Za-z_$0-9'\"\x80-\xff]")
# The initials of its first words tell that a statement defines a routine.
LEADING = 4
_ROUTINES = re.compile(rb"c(?:or)?[fp]")
_COPY = re.compile(rb"copy\s", re.IGNORECASE)


@dataclass(frozen=True)
class Statement:
    """A statement without its semicolon, and the number of its first line.

    ``words`` are those outside of quotes and parentheses, in lower case, with ``(`` for every pair of parentheses.
    """

    sql: bytes
    words: tuple[bytes, ...]
    line: int


@dataclass(frozen=True)
class Command:
    """A line with a command of psql's own."""

    words: tuple[bytes, ...]
    line: int


@dataclass(frozen=True)
class Comment:
    """A line that is a comment between two statements."""

    text: bytes


class Script:
    """The parts of a script, in order. After a COPY, ``rows`` has to be read to its end before the next part."""

    def __init__(self, read: Callable[[int], bytes], subject: str) -> None:
        self._lines = _Lines(read)
        self._subject = subject

    def parts(self) -> Iterator[Statement | Command | Comment]:
        """Yield what the script holds. Raises StoreError for what psql might understand differently."""
        scanner = _Scanner(self._refuse)
        while line := self._lines.next(LONGEST_STATEMENT - scanner.size):
            if scanner.between and line.startswith(b"\\"):
                yield Command(tuple(line.split()), self._lines.number)
                continue
            if scanner.between and line.startswith(b"--") and b"\r" not in line:
                yield Comment(line.rstrip(b"\n"))
                continue
            yield from scanner.scan(line, self._lines.number)
            if scanner.size >= LONGEST_STATEMENT:
                raise self._refuse(f"holds a statement of more than {LONGEST_STATEMENT >> 20} MiB", self._lines.number)
        if not scanner.between:
            raise StoreError(f"{self._subject} is truncated: it ends in the middle of a statement.")

    def rows(self) -> Iterator[bytes]:
        """Yield the rows after a COPY in pieces, each piece whole lines or a part of one, without the end mark."""
        try:
            yield from self._lines.rows()
        except EOFError:
            raise StoreError(f"{self._subject} is truncated: it ends in the middle of the rows of a table.") from None
        except ValueError:
            why = "holds a zero byte, or a row that begins like the end of the rows"
            raise self._refuse(why, self._lines.number) from None

    def _refuse(self, why: str, line: int) -> StoreError:
        return StoreError(f"{self._subject} {why} (line {line}), which pg_dump does not write.", line=line)


class _Lines:
    """Lines of a stream, and what lies between two of them in one piece."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._buffer = b""
        self._position = 0
        self.number = 0

    def next(self, limit: int) -> bytes:
        """Return a line with its end, no more than about ``limit`` bytes of it; nothing at the end of the stream."""
        start = self._position
        searched = start
        while (end := self._buffer.find(b"\n", searched)) < 0 and len(self._buffer) - start < limit:
            searched = len(self._buffer) - start
            grown = self._more(start)
            start = 0
            if not grown:
                break
        stop = len(self._buffer) if end < 0 else end + 1
        self._position = stop
        self.number += 1
        return self._buffer[start:stop]

    def rows(self) -> Iterator[bytes]:
        """Yield what comes before a line of ``\\.``.

        Raises EOFError without such a line, ValueError for what psql may take for one or not.
        """
        first = True
        while True:
            if b"\0" in self._buffer:
                raise ValueError
            mark = b"\\." if first and self._buffer.startswith(b"\\.", self._position) else b"\n\\."
            found = self._buffer.find(mark, self._position)
            ended = found + len(mark)
            if found >= 0 and ended < len(self._buffer):
                if self._buffer[ended : ended + 1] != b"\n":
                    raise ValueError
                # The line before it ends with the line feed of the mark.
                piece = self._buffer[self._position : found + len(mark) - 2]
                self._position = ended + 1
                self.number += piece.count(b"\n") + 1
                yield piece
                return
            # The mark may be cut in two by the end of what was read.
            keep = max(self._position, len(self._buffer) - len(b"\n\\."))
            if found >= 0:
                keep = found
            piece = self._buffer[self._position : keep]
            if piece:
                first = False
                self.number += piece.count(b"\n")
                yield piece
            if not self._more(keep):
                raise EOFError

    def _more(self, start: int) -> bool:
        """Read on, and drop what lies before ``start``."""
        data = self._read(CHUNK)
        self._buffer = self._buffer[start:] + data
        self._position = 0
        return bool(data)


class _Scanner:
    """Where one is in a statement, from line to line."""

    def __init__(self, refuse: Callable[[str, int], StoreError]) -> None:
        self._refuse = refuse
        self._reset()

    def _reset(self) -> None:
        self._pieces: list[bytes] = []
        self._words: list[bytes] = []
        self._line = 0
        self.size = 0
        # Inside quotes: what ends them.
        self._until = b""
        self._escapes = False
        self._after_string = False
        # Where a word has ended that gives backslashes a meaning in the text behind it.
        self._marked = -1
        self._parentheses = 0
        # psql counts BEGIN and END in the definition of a routine, whose body may hold semicolons.
        self._begins = 0
        self._leading = b""

    @property
    def between(self) -> bool:
        """Whether no statement has begun."""
        return not self._pieces

    def scan(self, line: bytes, number: int) -> Iterator[Statement]:
        """Read a line and yield the statements that end in it."""
        if b"\0" in line:
            # There psql sees the end of the line, also inside of quotes.
            raise self._refuse(_DOUBTS[b"\0"], number)
        start = position = 0
        self._marked = -1
        while position < len(line):
            if self._until:
                position = self._quoted(line, position)
                continue
            match = _TOKEN.match(line, position)
            if match is None:
                raise ValueError("every byte is some token")
            kind, token, position = match.lastgroup, match[0], match.end()
            if kind in ("space", "comment"):
                if b"\r" in token:
                    # There psql sees the end of the comment.
                    raise self._refuse(_DOUBTS[b"\r"], number)
                start = position if self.between else start
                continue
            if token == b";" and self._parentheses == 0 and self._begins == 0:
                yield self._finished(line[start : match.start()], line[position:], number)
                start = position
                continue
            if self.between:
                # From here on a statement has begun, also if its first line ends here.
                self._pieces.append(b"")
                self._line = number
            self._token(kind or "", token, line, match.start(), number)
        if not self.between:
            self._pieces.append(line[start:])
            self.size += len(line) - start

    def _finished(self, last: bytes, rest: bytes, number: int) -> Statement:
        if self._until:
            raise self._refuse("ends a statement inside of quotes", number)
        sql = b"".join([*self._pieces, last]).strip()
        statement = Statement(sql, tuple(self._words), self._line or number)
        if _COPY.match(sql) and rest.strip():
            raise self._refuse("goes on in the line of a COPY", number)
        self._reset()
        return statement

    def _token(self, kind: str, token: bytes, line: bytes, start: int, number: int) -> None:
        end = start + len(token)
        after_string, self._after_string = self._after_string, False
        # Only right behind that word: what stands between is a token of its own.
        escapes = self._marked == start
        self._marked = end if kind == "word" and token in _WITH_ESCAPES else -1
        if kind == "doubtful":
            raise self._refuse(_DOUBTS.get(token[:1], "holds a character that cannot be checked"), number)
        if kind == "number" and _JUNK.match(line, end):
            raise self._refuse("holds a number that runs into what follows", number)
        if kind == "quote":
            if token == b"'" and after_string:
                raise self._refuse("holds a text in several parts", number)
            self._escapes = token == b"'" and escapes
            self._until = token
        elif kind == "dollar":
            self._until = token
        elif kind == "word":
            self._word(token.lower())
        elif token == b"(":
            if self._parentheses == 0:
                self._words.append(b"(")
            self._parentheses += 1
        elif token == b")":
            self._parentheses = max(0, self._parentheses - 1)
        elif token == b"$" and _JUNK.match(line, end) is None:
            raise self._refuse("holds a dollar sign outside of quotes", number)

    def _word(self, word: bytes) -> None:
        if self._parentheses == 0:
            self._words.append(word)
        if len(self._leading) < LEADING:
            self._leading += word[:1] if word in (b"create", b"function", b"procedure", b"or", b"replace") else b"."
        if self._parentheses == 0 and _ROUTINES.match(self._leading):
            if word == b"begin":
                self._begins += 1
            elif word == b"case" and self._begins:
                self._begins += 1
            elif word == b"end" and self._begins:
                self._begins -= 1

    def _quoted(self, line: bytes, position: int) -> int:
        """Return where the quotes end, or the end of the line when they do not."""
        until = self._until
        if self._escapes:
            for match in _ESCAPED.finditer(line, position):
                if match[0] == b"'":
                    return self._closed(match.end())
            return len(line)
        while (end := line.find(until, position)) >= 0:
            position = end + len(until)
            if len(until) > 1 or line[position : position + 1] != until:
                return self._closed(position)
            # Two of them stand for one.
            position += 1
        return len(line)

    def _closed(self, position: int) -> int:
        self._after_string = self._until == b"'"
        self._until = b""
        self._escapes = False
        return position


_DOUBTS = {
    b"\\": "holds a command for psql",
    b"/": "holds a comment in /* */",
    b":": "holds a variable of psql",
    b"\r": "has lines that end as on Windows",
    b"\0": "holds a zero byte",
}
