# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypted archives and dumps: another key, no key, and ciphertext that ends too early or was changed."""

from __future__ import annotations

import typing as t

from . import target
from .damage import PLACE, flip
from .module import Result, run
from .tally import Attempt, Tally

if t.TYPE_CHECKING:
    import random
    from pathlib import Path

METHODS = {"age": "age", "aes256": "gpg"}
# What the payloads were prepared with: the right key only shows that the rest is refused for a reason.
KEYS = ("right", "other", "none")


def refused(tally: Tally, count: int, chance: random.Random) -> None:
    """Import and restore over live data: with every key, then with the right one what is not whole."""
    for method in METHODS:
        for kind in ("import", "restore"):
            for key in KEYS:
                _attempt(tally, kind, method, key, f"{key} key", good=key == "right")
    for number in range(count):
        method = list(METHODS)[number % 2]
        kind = ("import", "restore")[number // 2 % 2]
        path = sealed(kind, method)
        whole = path.read_bytes()
        if number // 4 % 2:
            flip(path, bit := chance.randrange(len(whole) * 8))
            what = f"bit {bit} of {len(whole) * 8} flipped"
        else:
            # Near the end, where it hides best, and anywhere.
            length = chance.randrange(len(whole)) if number // 8 % 2 else len(whole) - chance.randrange(1, 64)
            path.write_bytes(whole[:length])
            what = f"{length} of {len(whole)} bytes"
        _attempt(tally, kind, method, "right", what, good=False)
        path.write_bytes(whole)


def sealed(kind: str, method: str) -> Path:
    """Return the file that a payload reads."""
    ending = {"import": "tar.zst", "restore": "dump.zst"}[kind]
    return PLACE / f"sealed.{ending}.{METHODS[method]}"


def _attempt(tally: Tally, kind: str, method: str, key: str, what: str, *, good: bool) -> None:
    target.reset()
    look = target.fingerprint if kind == "import" else target.database
    before = look()
    result = run(f"{kind}-{method}-{key}")
    attempt = Attempt()
    if good:
        attempt.other += [] if result.succeeded else [f"what is whole is refused: {result.message}"]
    else:
        _judge(attempt, result)
        attempt.lost += [] if before == look() else ["live data has changed"]
    attempt.other += target.leftovers()
    tally.add(f"{kind}, {method}, {what}: {result.message[:100]}", attempt)


def _judge(attempt: Attempt, result: Result) -> None:
    if result.succeeded:
        attempt.undetected.append("it was put in place")
    elif not result.clean:
        attempt.other.append(f"no clean error: {result.message}")
