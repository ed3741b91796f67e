# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hold a backup that is about to be published against the good ones before it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._anomaly import MARK, anomalies
from ._catalogue import Catalogue
from ._errors import StoreError
from ._retention import GOOD

if t.TYPE_CHECKING:
    from ._anomaly import Anomaly, Limits
    from ._audit import AuditLog
    from ._manifest import Manifest


def weigh(manifest: Manifest, log: AuditLog, wanted: Limits) -> tuple[Manifest, tuple[Anomaly, ...]]:
    """Return the manifest with a remark on every anomaly, and the anomalies.

    A log that cannot be read is worth a remark and no failure: the backup has been made.
    """
    try:
        before = history(Catalogue(log), manifest.stack, wanted.history)
    except (StoreError, OSError) as exc:
        before = []
        remark = f"Not compared with the backups before: {exc}"
        manifest = replace(manifest, warnings=(*manifest.warnings, remark))
    found = anomalies(manifest, before, wanted)
    return replace(manifest, warnings=(*manifest.warnings, *(f"{MARK}{one.message}" for one in found))), found


def history(catalogue: Catalogue, stack: str, count: int) -> list[Manifest]:
    """Return the manifests of the last good backups, the oldest first; none from before one that was accepted.

    What was adopted was made by other means and compares with nothing.
    """
    found: list[Manifest] = []
    for entry in reversed(catalogue.entries(stack)):
        if len(found) == count:
            break
        if entry.manifest is None or entry.manifest.origin is not None or entry.standing.word not in GOOD:
            continue
        found.append(entry.manifest)
        if entry.standing.accepted is not None:
            break
    return found[::-1]
