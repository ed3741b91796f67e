# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in Redis: every key of every database with its type and a hash of its content."""

from __future__ import annotations

import hashlib
import re
import typing as t

if t.TYPE_CHECKING:
    from resp import Redis
    from standin_stack import Stack

# What moves while nobody does anything: the heartbeat of the Chatwoot stand-in's worker, as that of Sidekiq.
# Its key is host:pid:random, and a restarted worker has another one.
MOVING = re.compile(rb"processes|stat:.*|[^:]+:\d+:[0-9a-f]{12}")

READERS: dict[str, tuple[bytes | str | int, ...]] = {
    "string": ("GET",),
    "list": ("LRANGE", 0, -1),
    "set": ("SMEMBERS",),
    "hash": ("HGETALL",),
    "zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    "stream": ("XRANGE", "-", "+"),
}


def describe_redis(stack: Stack) -> dict[str, t.Any]:
    """Describe the keys of all databases that have some."""
    redis = stack.connect_redis()
    keyspace = redis.run("INFO", "keyspace").decode()
    databases = sorted(int(number) for number in re.findall(r"^db(\d+):", keyspace, re.MULTILINE))
    described = {}
    for database in databases:
        redis.run("SELECT", database)
        described[str(database)] = _describe(redis)
    redis.close()
    return described


def _describe(redis: Redis) -> dict[str, t.Any]:
    keys: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, found = redis.run("SCAN", cursor, "COUNT", 1000)
        keys.update(found)
        if cursor == b"0":
            break
    entries = {}
    for key in sorted(key for key in keys if not MOVING.fullmatch(key)):
        kind = redis.run("TYPE", key).decode()
        if kind == "none":
            # It expired while we were looking.
            continue
        command, *arguments = READERS[kind]
        value = redis.run(command, key, *arguments)
        entries[key.decode("utf-8", "surrogateescape")] = {
            "type": kind,
            "expires": redis.run("PTTL", key) >= 0,
            "size": 1 if kind == "string" else len(value),
            "sha256": _digest(kind, value),
        }
    return entries


def _digest(kind: str, value: t.Any) -> str:
    """Hash a value; sets and hashes come in no particular order."""
    if kind == "set":
        value = sorted(value)
    if kind == "hash":
        value = sorted(zip(value[::2], value[1::2], strict=True))
    return hashlib.sha256(repr(value).encode()).hexdigest()
