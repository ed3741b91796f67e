# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A Redis client of a few lines: servers have no Redis library, and binary values must stay as they are."""

from __future__ import annotations

import socket
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable


class RedisError(Exception):
    """Redis answered with an error."""


class Redis:
    """One connection; commands take and give bytes."""

    def __init__(self, host: str, port: int, password: str | None, database: int) -> None:
        self._socket = socket.create_connection((host, port), timeout=30)
        self._stream = self._socket.makefile("rb")
        if password:
            self.run("AUTH", password)
        self.run("SELECT", database)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
        self._socket.close()

    def run(self, *words: bytes | str | int | float) -> t.Any:
        """Run one command and return its reply."""
        self._socket.sendall(_encode(words))
        return self._read()

    def run_all(self, commands: Iterable[tuple[bytes | str | int | float, ...]]) -> list[t.Any]:
        """Run many commands in batches and return their replies."""
        replies = []
        batch: list[bytes] = []
        for words in commands:
            batch.append(_encode(words))
            if len(batch) == 500:
                replies += self._flush(batch)
        return replies + self._flush(batch)

    def _flush(self, batch: list[bytes]) -> list[t.Any]:
        self._socket.sendall(b"".join(batch))
        replies = [self._read() for dummy in batch]
        batch.clear()
        return replies

    def _read(self) -> t.Any:
        line = self._stream.readline()
        if not line.endswith(b"\r\n"):
            raise RedisError("the connection was closed in the middle of a reply")
        kind, rest = line[:1], line[1:-2]
        match kind:
            case b"+":
                return rest
            case b"-":
                raise RedisError(rest.decode("utf-8", "replace"))
            case b":":
                return int(rest)
            case b"$":
                return None if rest == b"-1" else self._stream.read(int(rest) + 2)[:-2]
            case b"*":
                return None if rest == b"-1" else [self._read() for dummy in range(int(rest))]
            case _:
                raise RedisError(f"a reply starts with {kind!r}")


def _encode(words: tuple[bytes | str | int | float, ...]) -> bytes:
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)
