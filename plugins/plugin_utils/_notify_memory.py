# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remember on the control node what was told, in a file of mode 0600: names of hosts, codes of problems, times.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
import typing as t
from datetime import datetime, timezone

from ..module_utils._errors import StoreError
from ..module_utils._files import write_atomically
from ._digest import HostMemory, Memory, Told, parse_time

if t.TYPE_CHECKING:
    from collections.abc import Iterator

FORMAT = 1
SIZE_LIMIT = 64 << 20
TURN = 0.2


@contextlib.contextmanager
def alone(path: str, patience: float) -> Iterator[bool]:
    """Let no other run recall and remember in between; yield whether nobody else does.

    Waits for another run, but no longer than ``patience`` seconds: to tell something twice is better than not at all.
    Where directories cannot be locked, as on NFS, or there is none, everybody is alone.
    """
    descriptor = None
    try:
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
            descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        yield descriptor is None or _locked(descriptor, time.monotonic() + patience)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(descriptor: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(TURN)
        except OSError:
            return True
        else:
            return True


def recall(path: str) -> Memory | None:
    """Return what was remembered, or None when nothing ever was; raise StoreError when the file cannot be used."""
    try:
        with open(path, "rb") as stream:
            content = json.loads(stream.read(SIZE_LIMIT))
        if content["format"] != FORMAT:
            raise StoreError(f"{path} has the unknown format {content['format']!r}.")
        return Memory({host: _host(entry) for host, entry in content["hosts"].items()}, parse_time(content["sent"]))
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StoreError(f"{path} is damaged.") from exc


def remember(path: str, memory: Memory) -> None:
    """Write what to remember; raise StoreError when that is not possible."""
    content = {
        "format": FORMAT,
        "sent": _stamp(memory.sent),
        "hosts": {
            host: {
                "seen": _stamp(known.seen),
                "problems": {
                    key: {
                        "kind": told.kind,
                        "severity": told.severity,
                        "since": _stamp(told.since),
                        "told": _stamp(told.told),
                        "mark": told.mark,
                    }
                    for key, told in known.problems.items()
                },
            }
            for host, known in memory.hosts.items()
        },
    }
    try:
        os.makedirs(os.path.dirname(path) or ".", mode=0o700, exist_ok=True)
        write_atomically(path, f"{json.dumps(content)}\n".encode())
    except OSError as exc:
        raise StoreError(f"{path} cannot be written: {exc.strerror}.") from exc


def _host(entry: t.Any) -> HostMemory:
    return HostMemory(_time(entry["seen"]), {key: _told(told) for key, told in entry["problems"].items()})


def _told(entry: t.Any) -> Told:
    told = None if entry["told"] is None else _time(entry["told"])
    return Told(str(entry["kind"]), str(entry["severity"]), _time(entry["since"]), told, str(entry["mark"]))


def _time(value: object) -> datetime:
    parsed = parse_time(value)
    if parsed is None:
        raise ValueError("not a time")
    return parsed


def _stamp(at: datetime | None) -> str | None:
    return at.astimezone(timezone.utc).isoformat() if at else None
