# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal: what has to run again, on the disk before the first service is frozen.

``<directory>/<stack>.json`` exists as long as services of a stack may stand still because of a backup. One that is
there while nobody works on the stack tells of a backup that died, or of a host that did.
``docs/schemas/journal.schema.json`` describes it. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import typing as t
from dataclasses import asdict, dataclass

from ._errors import StoreError
from ._files import sync_directory, write_atomically

# Not below /run: it has to be there after the host has started again.
DEFAULT_JOURNAL = "/var/lib/crm.continuity/journal"
FORMAT = 1
PROC = "/proc"
_SUFFIX = ".json"


@dataclass(frozen=True)
class Entry:
    """A container that ran: ``mode`` is pause or stop, or none for one that is not frozen but has to run all the same.

    ``method`` says what freezes it: cgroup or engine; ``cgroup`` is the path to thaw it by. ``project``, ``service``
    and ``number`` are compose's names for it, by which one is found that was created anew.
    """

    service: str
    id: str
    name: str
    mode: str
    method: str | None = None
    cgroup: str | None = None
    project: str | None = None
    number: str | None = None
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Journal:
    """What a backup freezes, who freezes it and until when; entries stand in the order of freezing."""

    stack: str
    docker_host: str
    boot_id: str
    owner_pid: int
    owner_started: int
    since: str
    deadline: str
    entries: tuple[Entry, ...]

    @property
    def owner_lives(self) -> bool:
        """Whether the process that wrote it still runs; another one may have got its number."""
        return self.boot_id == boot_id() and self.owner_started == started(self.owner_pid)

    @property
    def overdue(self) -> bool:
        """Whether everything should have run again by now."""
        return _now() > datetime.datetime.fromisoformat(self.deadline)


def new(stack: str, docker_host: str, entries: t.Sequence[Entry], timeout: float) -> Journal:
    """Describe what this process is about to freeze, for ``timeout`` seconds at the most."""
    since = _now()
    return Journal(
        stack=stack,
        docker_host=docker_host,
        boot_id=boot_id(),
        owner_pid=os.getpid(),
        owner_started=started(os.getpid()) or 0,
        since=since.isoformat(timespec="milliseconds"),
        deadline=(since + datetime.timedelta(seconds=timeout)).isoformat(timespec="milliseconds"),
        entries=tuple(entries),
    )


def path_of(directory: str, stack: str) -> str:
    """Return the file of a stack."""
    if not stack or stack.startswith(".") or "/" in stack:
        raise StoreError(f"{stack!r} cannot be the name of a stack: use letters, digits, '-', '_' and '.'.")
    return os.path.join(directory, stack + _SUFFIX)


def write(directory: str, journal: Journal) -> None:
    """Bring a journal to the disk; raise StoreError when that cannot be, or when there is one of the stack already."""
    path = path_of(directory, journal.stack)
    try:
        _make(directory)
        if os.path.exists(path):
            raise StoreError(
                f"{path} tells of a backup of stack {journal.stack} that has died: services may still stand still. "
                "Bring them back (ansible-playbook crm.continuity.thaw) and run this again.",
                path=path,
            )
        write_atomically(path, encode(journal))
    except OSError as exc:
        raise StoreError(
            f"{path} cannot be written: {exc.strerror}. Without it nobody would know what to bring back after a crash, "
            "so nothing is frozen. Run the task as root (become) and see to it that there is space.",
            path=path,
        ) from exc


def close(directory: str, stack: str) -> None:
    """Remove the journal of a stack, for good."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path_of(directory, stack))
        sync_directory(directory)


def stacks(directory: str) -> list[str]:
    """Return the names of the stacks that have a journal."""
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    except PermissionError:
        raise StoreError(f"{directory} cannot be read. Run the task as root (become).", path=directory) from None
    return sorted(n[: -len(_SUFFIX)] for n in names if n.endswith(_SUFFIX) and not n.startswith("."))


def read(directory: str, stack: str) -> Journal | None:
    """Return the journal of a stack, or None; raise StoreError when it is damaged."""
    path = path_of(directory, stack)
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as exc:
        reason = f"there is no {exc}" if isinstance(exc, KeyError) else str(exc)
        raise StoreError(
            f"{path} is damaged ({reason}), so it is not known what has to run. Run crm.continuity.thaw with "
            f"thaw_stack={stack} and thaw_force=true: it thaws whatever stands still, and lists what does not run.",
            path=path,
        ) from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Run the task as root (become).", path=path) from exc


def set_aside(directory: str, stack: str) -> str:
    """Take a damaged journal out of the way, and return where it is."""
    path = path_of(directory, stack)
    os.replace(path, path + ".damaged")
    sync_directory(directory)
    return path + ".damaged"


def encode(journal: Journal) -> bytes:
    """Return the content of the file."""
    return (json.dumps({"format": FORMAT, **asdict(journal)}, indent=2) + "\n").encode()


def decode(content: bytes) -> Journal:
    """Read what ``encode`` has written; raises ValueError, KeyError or TypeError for anything else."""
    data = json.loads(content)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    del data["format"]
    datetime.datetime.fromisoformat(data["deadline"])
    entries = tuple(Entry(**{**entry, "depends_on": tuple(entry["depends_on"])}) for entry in data.pop("entries"))
    return Journal(**data, entries=entries)


def boot_id() -> str:
    """Return what tells this run of the host from all others."""
    with open(f"{PROC}/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def started(pid: int) -> int | None:
    """Return when a process was started, in ticks since the boot, or None when there is none of that number."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as file:
            # The name stands in parentheses and may hold anything.
            fields = file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # One that has ended and was not waited for does not work any more.
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def _make(directory: str) -> None:
    missing = []
    while not os.path.isdir(directory):
        missing.append(directory)
        directory = os.path.dirname(directory)
    for path in reversed(missing):
        os.mkdir(path, 0o700)
        sync_directory(os.path.dirname(path))


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
