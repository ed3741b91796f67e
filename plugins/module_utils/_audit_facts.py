# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an event of the audit log says of a backup: enough to know later what was kept, and to recognise it.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t

from ._files import file_sha256
from ._manifest import SUMS

if t.TYPE_CHECKING:
    from ._backup_store import Backup
    from ._manifest import Manifest


def of_backup(backup: Backup, manifest: Manifest) -> dict[str, t.Any]:
    """Return what was kept and how; ``sums_sha256`` tells this backup from any other that may take its name."""
    artifacts = manifest.artifacts
    return {
        "cut_at": manifest.cut_at,
        "size": manifest.size,
        "files": sum(artifact.facts.get("files", 0) for artifact in artifacts),
        "rows": sum(sum(artifact.facts.get("rows", {}).values()) for artifact in artifacts),
        "volumes": sorted({str(a.source) for a in artifacts if a.kind == "archive"}),
        "databases": sorted({str(a.source) for a in artifacts if a.kind == "dump"}),
        "encryption": manifest.encryption.get("method", "none"),
        "sums_sha256": file_sha256(os.path.join(backup.path, SUMS)).sha256,
    }
