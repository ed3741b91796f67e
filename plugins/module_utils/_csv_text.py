# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must be known of a CSV file that PostgreSQL will read: its columns, and how many rows it holds.

The rules are those of COPY: values may be quoted, a quote in a value is written twice, and a line break within quotes
is part of the value. Standard library only. Private to this collection.
"""

from __future__ import annotations

import csv
import io
import typing as t

from ._errors import ArchiveError

if t.TYPE_CHECKING:
    from ._database import Readable

LONGEST_HEADER = 1 << 20
_PIECE = 1 << 16
_BOM = b"\xef\xbb\xbf"


class CsvText:
    """Passes a CSV file on as it is and counts its rows. ``columns`` is what its first line says.

    Raises ArchiveError, naming ``subject``, for a file without a first line, and when it is read to its end, for one
    that was cut off.
    """

    def __init__(self, stream: Readable, subject: str) -> None:
        self._stream = stream
        self._subject = subject
        self._records = 0
        self._quoted = False
        self._last = b""
        self._ahead = self._first_line()
        self.columns = self._read_columns(self._ahead)

    @property
    def rows(self) -> int:
        """The rows that were read so far, without the first line."""
        return max(0, self._records - 1)

    def read(self, size: int, /) -> bytes:
        data, self._ahead = self._ahead[:size], self._ahead[size:]
        if not data:
            data = self._stream.read(size)
        self._count(data)
        if not data:
            self._check_end()
        return data

    def _first_line(self) -> bytes:
        """Read as far as the end of the first line at least."""
        ahead = b""
        while True:
            piece = self._stream.read(_PIECE)
            ahead += piece
            if self._outside(ahead)[0] or not piece:
                break
            if len(ahead) > LONGEST_HEADER:
                raise ArchiveError(
                    f"{self._subject} has no line break in its first MiB. Its first line must name the columns."
                )
        if not ahead.removeprefix(_BOM).strip():
            raise ArchiveError(f"{self._subject} is empty: there is not even a line that names the columns.")
        return ahead

    def _read_columns(self, ahead: bytes) -> tuple[str, ...]:
        try:
            text = ahead.removeprefix(_BOM).decode("utf-8", errors="surrogateescape")
            columns = tuple(next(csv.reader(io.StringIO(text, newline=""), strict=True)))
        except (csv.Error, StopIteration) as exc:
            raise ArchiveError(f"{self._subject}: the first line is not CSV: {exc}.") from exc
        if "" in columns or len(set(columns)) < len(columns):
            raise ArchiveError(
                f"{self._subject}: the first line must name each column once, and it is: {', '.join(columns)}."
            )
        return columns

    def _count(self, data: bytes) -> None:
        ends, self._quoted = self._outside(data, self._quoted)
        self._records += ends
        self._last = data[-1:] or self._last

    def _check_end(self) -> None:
        if self._quoted or self._last != b"\n":
            where = "within a quoted value" if self._quoted else "without a line break"
            raise ArchiveError(
                f"{self._subject} ends {where} after {self.rows} complete rows, as a file does that was cut off. Get "
                "it anew, or, if it is whole, end its last line with a line break."
            )

    @staticmethod
    def _outside(data: bytes, quoted: bool = False) -> tuple[int, bool]:
        """Count the line breaks outside quotes, and tell whether the data end within quotes."""
        # A quote in a value is two: they cancel out, wherever the data were cut.
        pieces = data.replace(b'""', b"").split(b'"')
        return (
            sum(piece.count(b"\n") for piece in pieces[1 if quoted else 0 :: 2]),
            quoted ^ (len(pieces) % 2 == 0),
        )
