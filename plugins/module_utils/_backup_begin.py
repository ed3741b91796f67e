# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a backup is to begin now: in its window, and unless one runs already or there is a young one.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import platform
import re
import typing as t

from ._anomaly import Anomaly
from ._audit import AuditLog
from ._backup_store import Store, now
from ._catalogue import Catalogue
from ._errors import StackError, StoreError
from ._job import FAILED, Jobs
from ._progress import following
from ._retention import ANOMALOUS, DAMAGED
from ._stack_backup import Taken, summary
from ._status import checked_files
from ._status_words import instant

if t.TYPE_CHECKING:
    import datetime

    from ._catalogue import Entry
    from ._job import Job
    from ._manifest import Manifest

_SPAN = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])")
DAY = 24 * 60


def instead(
    root: str, stack: str, *, younger_than: float, token: str | None, attach: bool, acts: bool
) -> dict[str, t.Any] | None:
    """Return the result of a backup that takes the place of a new one; None when one is to be taken now.

    With ``attach`` that is one which runs already, and is waited for. Raises StoreError when that failed. Without
    ``acts`` nothing is forgotten.
    """
    jobs = Jobs(stack)
    if attach:
        ended = _awaited(jobs, root, token)
        if ended is not None:
            collected = [*ended.result.get("collected", ()), *jobs.collect(token)]
            return {**ended.result, "changed": True, "attached": True, "collected": collected}
    known = young(Store(root), stack, younger_than, now()) if younger_than > 0 else None
    if known is None:
        return None
    entry, manifest, age = known
    backup, standing = entry.backup, entry.standing
    # What was said when it was taken still holds, unless somebody has accepted it.
    anomalies = standing.anomalies if standing.word == ANOMALOUS else ()
    return {
        **summary(Taken(backup, manifest, anomalies=tuple(Anomaly("known", backup.id, one) for one in anomalies))),
        "changed": False,
        "attached": False,
        "not_needed": f"Backup {backup.id} of {age:.1f} hours ago is younger than {younger_than:g} hours.",
        "collected": jobs.collect(token) if acts else [],
        "freeze": {},
        "signed_with": None,
        "metrics": None,
        "audit": None,
    }


def _awaited(jobs: Jobs, root: str, token: str | None) -> Job | None:
    """Wait for a backup of another process; None when there is none, or it dies."""
    job = jobs.latest()
    if job is None or not job.runs or os.path.normpath(job.root) != os.path.normpath(root):
        return None
    with following(job.token):
        ended = jobs.wait(job)
    if ended is None:
        return None
    jobs.take_over(ended, token)
    if ended.outcome == FAILED:
        raise StoreError(
            f"The backup of {jobs.stack} that {job.who} began at {job.began_at} ran already. This run waited for it, "
            f"and it failed: {ended.message}",
            stack=jobs.stack,
            attached=True,
        )
    return ended


def spans(window: str) -> list[tuple[int, int]]:
    """Return the spans of a window, in minutes since midnight; raise StackError for what is none."""
    found = []
    for part in window.split(",") if window.strip() else ():
        match = _SPAN.fullmatch(part.strip())
        hours = [int(group) for group in match.groups()] if match else []
        if not hours or hours[0] * 60 + hours[1] > DAY or hours[2] * 60 + hours[3] > DAY:
            raise StackError(f"window is {window!r}: it has to be like 22:00-06:00, or several of these with commas.")
        found.append((hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]))
    return found


def is_open(window: str, moment: datetime.datetime) -> bool:
    """Tell whether a moment is in a window, whose end may be on the next day; an empty one is always open."""
    minute = moment.hour * 60 + moment.minute
    known = spans(window)
    return not known or any(
        begin <= minute < end if begin < end else (minute >= begin or minute < end) for begin, end in known
    )


def check_window(window: str) -> None:
    """Raise StackError outside of a window, which is in the time of the host."""
    moment = now().astimezone()
    if not is_open(window, moment):
        raise StackError(
            f"No backup was begun: it is {moment:%H:%M} on {platform.node()}, and the window is {window}. Wait for it, "
            "or begin all the same with backup_force=true (force)."
        )


def young(store: Store, stack: str, hours: float, moment: datetime.datetime) -> tuple[Entry, Manifest, float] | None:
    """Return the newest backup with its manifest and its age in hours, if it is younger than so many.

    One that is known to be damaged, or is incomplete, is none; and nobody knows how old one is whose cut is yet to come
    by the clock.
    """
    try:
        catalogue = Catalogue(AuditLog(store.root))
    except StoreError:
        # Nobody can say what is known of them. One more does no harm.
        return None
    for backup in reversed(store.backups(stack)):
        try:
            entry = checked_files(catalogue.entry(backup))
        except OSError:
            # A bad block of the disk, or a file that is gone.
            continue
        if entry.manifest is None or entry.standing.word == DAMAGED:
            continue
        try:
            cut = instant(entry.manifest.cut_at)
        except ValueError:
            continue
        age = (moment - cut).total_seconds() / 3600
        if age >= 0:
            return (entry, entry.manifest, age) if age < hours else None
    return None
