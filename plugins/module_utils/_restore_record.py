# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a restore: what waits beside a live stack, or was live before, and how far the exchange has come.

``<directory>/<stack>/<restore ID>.json`` is there from before the first byte is staged until nothing of the restore but
the live data is left. ``docs/schemas/restore.schema.json`` describes it. The phases:

    staging      data are being unpacked: nothing live was touched
    staged       all of it is verified, and waits
    cutting      it is being exchanged: a dead run is undone
    live         it is live, and what was live before waits
    reverting    it is being exchanged back: a dead run is completed
    reverted     what was live before is live again, and what was restored waits
    committing   what waits is being removed: a dead run is completed

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import json
import os
import typing as t
from dataclasses import asdict, dataclass, field, replace

from ._backup_store import is_id
from ._errors import StoreError
from ._exchange import Exchange
from ._files import sync_directory, write_atomically
from ._journal import path_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# Not below /run: it has to be there after the host has started again.
DEFAULT_RECORDS = "/var/lib/crm.continuity/restore"
FORMAT = 1
_SUFFIX = ".json"
# Ends the name of what roles/restore keeps of compose and env files.
CONFIG = ".config.tar"


@dataclass(frozen=True)
class StagedVolume:
    """A volume or bound directory; ``created`` says that it was not there before, ``files`` how many are staged."""

    name: str
    kind: str
    source: str
    created: bool
    files: int
    exchange: Exchange


@dataclass(frozen=True)
class StagedDatabase:
    """A database: ``staged`` is its name while it waits, ``previous`` that of the one whose place it takes, if any.

    ``oid`` is PostgreSQL's number of it, which stays when it is renamed. ``service`` is that of its server in the
    stack; without one, ``host`` and ``port`` are elsewhere.
    """

    name: str
    staged: str
    previous: str | None
    oid: int
    service: str | None
    host: str
    port: int
    rows: int

    @property
    def server(self) -> str:
        """What tells the servers of a restore apart."""
        return self.service if self.service is not None else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Record:
    """One restore of one stack. ``kept_until`` is when what waits may be removed, an ISO time, or None.

    ``replaces`` says whether there was anything before. ``policies`` are the restart policies of containers that must
    not be started by the engine while data are exchanged, by container ID.
    """

    stack: str
    id: str
    backup: str
    directory: str
    docker_host: str
    phase: str
    since: str
    kept_until: str | None = None
    replaces: bool = False
    volumes: tuple[StagedVolume, ...] = ()
    databases: tuple[StagedDatabase, ...] = ()
    policies: Mapping[str, str] = field(default_factory=dict)

    @property
    def torn(self) -> bool:
        """Whether a run that died has left data half exchanged."""
        return self.phase in ("cutting", "reverting")

    def at(self, phase: str, **changes: t.Any) -> Record:
        """Return it in another phase."""
        return replace(self, phase=phase, **changes)


def write(directory: str, record: Record) -> Record:
    """Bring a record to the disk, and return it; raise StoreError when that cannot be."""
    path = _path(directory, record.stack, record.id)
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        write_atomically(path, encode(record))
        sync_directory(directory)
    except OSError as exc:
        raise StoreError(
            f"{path} cannot be written: {exc.strerror}. Without it nobody would know after a crash what is live and "
            "what waits. Run the task as root (become) and see to it that there is space.",
            path=path,
        ) from exc
    return record


def remove(directory: str, record: Record) -> None:
    """Forget a restore of which nothing is left but live data."""
    path = _path(directory, record.stack, record.id)
    place = os.path.dirname(path)
    for name in (path[: -len(_SUFFIX)] + CONFIG, path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
            sync_directory(place)
    with contextlib.suppress(OSError):
        os.rmdir(place)


def records(directory: str, stack: str) -> list[Record]:
    """Return the records of a stack, the oldest first; raise StoreError when one is damaged or cannot be read."""
    place = os.path.dirname(_path(directory, stack, "x"))
    try:
        names = os.listdir(place)
    except FileNotFoundError:
        return []
    except PermissionError:
        raise StoreError(f"{place} cannot be read. Run the task as root (become).", path=place) from None
    ids = [name[: -len(_SUFFIX)] for name in names if name.endswith(_SUFFIX) and is_id(name[: -len(_SUFFIX)])]
    return sorted((_read(_path(directory, stack, id_)) for id_ in ids), key=lambda record: (record.since, record.id))


def stacks(directory: str) -> list[str]:
    """Return the stacks that have records."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    except PermissionError:
        raise StoreError(f"{directory} cannot be read. Run the task as root (become).", path=directory) from None


def encode(record: Record) -> bytes:
    """Return the content of the file."""
    return (json.dumps({"format": FORMAT, **asdict(record)}, indent=2) + "\n").encode()


def decode(content: bytes) -> Record:
    """Read what ``encode`` has written; raises ValueError, KeyError or TypeError for anything else."""
    data = json.loads(content)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    volumes = tuple(
        StagedVolume(**{**entry, "exchange": Exchange.of(entry["exchange"])}) for entry in data.pop("volumes")
    )
    databases = tuple(StagedDatabase(**entry) for entry in data.pop("databases"))
    return Record(**data, volumes=volumes, databases=databases)


def _read(path: str) -> Record:
    try:
        with open(path, "rb") as file:
            return decode(file.read())
    except (ValueError, KeyError, TypeError) as exc:
        raise StoreError(
            f"{path} is damaged ({exc}), so it is not known what is live and what waits. Look for .crm-restore-* "
            "beside the volumes and for databases named *__crm_staged_* and *__crm_previous_*; move the file away "
            "when all is in order.",
            path=path,
        ) from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Run the task as root (become).", path=path) from exc


def _path(directory: str, stack: str, id_: str) -> str:
    # The same rules as for the journal of the stack.
    return os.path.join(path_of(directory, stack)[: -len(_SUFFIX)], id_ + _SUFFIX)
