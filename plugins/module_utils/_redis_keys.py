# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Count and delete the keys of a Redis that match patterns, in all of its databases.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t

from ._errors import RedisError
from ._redis import AppendOnly, _ask, _where, facts, save

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._engine import Engine
    from ._stack import StackRedis

DELETE, COUNT = "delete", "count"
# One database at one instant. A key may come twice in a scan and counts once.
_SCRIPT = """
redis.call('SELECT', ARGV[1])
local cursor, seen, found = '0', {}, 0
repeat
  local page = redis.call('SCAN', cursor, 'MATCH', ARGV[2], 'COUNT', 1000)
  cursor = page[1]
  for _, key in ipairs(page[2]) do
    if not seen[key] then
      seen[key] = true
      found = found + 1
    end
  end
until cursor == '0'
if ARGV[3] == 'delete' then
  for key in pairs(seen) do redis.call('DEL', key) end
end
return found
"""
_DATABASE = re.compile(r"^db(\d+):keys=(\d+)", re.MULTILINE)


def count_keys(engine: Engine, cache: StackRedis, patterns: Sequence[str]) -> int:
    """Return how many keys match; raise RedisError when Redis refuses."""
    return _each(engine, cache, patterns, COUNT)


def delete_keys(engine: Engine, cache: StackRedis, patterns: Sequence[str]) -> int:
    """Delete the keys that match and return how many these were. They may still be in the files of Redis."""
    return _each(engine, cache, patterns, DELETE)


def persist(engine: Engine, cache: StackRedis) -> None:
    """Bring to the files of a running Redis what it holds, so that it starts with it even after it was killed."""
    if facts(engine, cache).appendonly:
        with AppendOnly(engine, cache) as file:
            file.settle()
    else:
        save(engine, cache)


def key_numbers(engine: Engine, cache: StackRedis) -> dict[str, int]:
    """Return how many keys there are, by database."""
    return {number: int(keys) for number, keys in _DATABASE.findall(_ask(engine, cache, "INFO", "keyspace"))}


def _each(engine: Engine, cache: StackRedis, patterns: Sequence[str], mode: str) -> int:
    return sum(
        _run(engine, cache, database, pattern, mode) for database in key_numbers(engine, cache) for pattern in patterns
    )


def _run(engine: Engine, cache: StackRedis, database: str, pattern: str, mode: str) -> int:
    answer = _ask(engine, cache, "EVAL", _SCRIPT, "0", database, pattern, mode).strip()
    if not answer.isdigit():
        raise RedisError(f"Redis in {_where(cache)} cannot {mode} keys: {answer}.")
    return int(answer)
