# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host runs by itself: a job is a calendar and a list of modules with their arguments, in a file for root.

``<directory>/<job>.json`` is written by the control node, which reads the inventory and the profiles; the host only
runs it. Standard library only. Private to this collection.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import typing as t
from dataclasses import asdict, dataclass

from ._errors import StoreError
from ._schedule_calendar import UTC, parse

if t.TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_JOBS = "/etc/crm.continuity/schedule"
FORMAT = 1
SYSTEMD, CRON = "systemd", "cron"
EPOCH = datetime.datetime.fromtimestamp(0, UTC)
# Names of units, of files, and labels of metrics.
NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_SUFFIX = ".json"


@dataclass(frozen=True)
class Call:
    """One module. With ``each`` it runs for every stack of the host; unless it ``must``, its failure is a remark.

    Each stack adds ``stack_fields`` to the arguments: ``stack``, ``stack_profiles`` and ``project_dir`` are known. With
    ``recognises`` it takes the profiles of the job.
    Lists of the result that are named in ``empty`` have to be. ``trial`` is what differs where it is only tried; None
    where that says nothing.
    """

    module: str
    arguments: Mapping[str, t.Any]
    each: bool = False
    recognises: bool = False
    must: bool = True
    timeout: float = 43200
    stack_fields: tuple[str, ...] = ("stack",)
    empty: tuple[str, ...] = ()
    trial: Mapping[str, t.Any] | None = None


@dataclass(frozen=True)
class Job:
    """Modules and when they run. ``delay`` spreads hosts, in seconds.

    ``find`` are the arguments that find the stacks; those that it names are not looked for. ``profiles`` are arguments,
    too: those of the collection and those of the user, as the control node has read them.
    ``path`` is its file, and ``since`` when it was installed with this calendar: what was due before is nobody's fault.
    """

    name: str
    calendar: str
    calls: tuple[Call, ...]
    find: Mapping[str, t.Any]
    profiles: Mapping[str, t.Any]
    manager: str = SYSTEMD
    delay: int = 900
    metrics_directory: str | None = None
    path: str = ""
    since: datetime.datetime = EPOCH

    @property
    def unit(self) -> str:
        """The name of its units, without what they are."""
        return f"crm-continuity-{self.name.replace('_', '-')}"


def names(directory: str) -> list[str]:
    """Return the names of the jobs of this host."""
    try:
        found = os.listdir(directory)
    except FileNotFoundError:
        return []
    return sorted(n[: -len(_SUFFIX)] for n in found if n.endswith(_SUFFIX) and not n.startswith("."))


def path_of(directory: str, name: str) -> str:
    """Return the file of a job."""
    return os.path.join(directory, name + _SUFFIX)


def read(directory: str, name: str) -> Job:
    """Return a job; raise StoreError when there is none, or when its file is not what the control node writes."""
    path = path_of(directory, name)
    try:
        with open(path, "rb") as file:
            written = os.fstat(file.fileno()).st_mtime
            return decode(file.read(), path, datetime.datetime.fromtimestamp(written, UTC))
    except FileNotFoundError:
        known = ", ".join(names(directory)) or "none"
        raise StoreError(f"There is no job {name} in {directory}, which has: {known}.", path=path) from None
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise StoreError(
            f"{path} is damaged ({exc}), so nothing runs by it. Run crm.continuity.schedule again.", path=path
        ) from exc
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Run the task as root (become).", path=path) from exc


def encode(job: Job) -> bytes:
    """Return the content of the file."""
    fields = {name: value for name, value in asdict(job).items() if name not in ("path", "since")}
    return (json.dumps({"format": FORMAT, **fields}, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def decode(content: bytes, path: str, since: datetime.datetime) -> Job:
    """Read what ``encode`` has written; raises ValueError, KeyError or TypeError for anything else."""
    data = json.loads(content)
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    return described(data, path, since)


def described(data: Mapping[str, t.Any], path: str = "", since: datetime.datetime = EPOCH) -> Job:
    """Make a job of its fields; raises StoreError for a bad calendar, and ValueError or TypeError for other fields."""
    if not NAME.fullmatch(data["name"]):
        raise ValueError(f"{data['name']!r} cannot be the name of a job: use small letters, digits and '_'")
    parse(data["calendar"])
    for stack in data["find"].get("stacks") or []:
        if not isinstance(stack, dict) or not isinstance(stack.get("name"), str):
            raise ValueError(f"{stack!r} cannot be one of the stacks (crm_stacks): it has no name")
    calls = tuple(
        Call(**{**call, **{name: tuple(call[name]) for name in ("stack_fields", "empty") if name in call}})
        for call in data["calls"]
    )
    return Job(**{**data, "calls": calls}, path=path, since=since)
