# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup root with backups that are small and whole, and with an audit log that is a real one."""

from __future__ import annotations

import hashlib
import typing as t

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._files import file_sha256
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest

if t.TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"what a volume held\n"


class Root:
    """The root and its log."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self.log = AuditLog(str(directory))

    def put(self, id_: str, stack: str = "crm", **more: t.Any) -> Path:
        """Put a backup there that nobody has noted, and return where."""
        place = self.path / stack / id_
        (place / "volumes").mkdir(parents=True)
        (place / "volumes" / "storage.tar").write_bytes(CONTENT)
        digest = hashlib.sha256(CONTENT).hexdigest()
        whole = artifact("volumes/storage.tar", source="storage", size=len(CONTENT), sha256=digest)
        wanted = manifest(stack=stack, id=id_, **{"artifacts": (whole,), **more})
        encoded = encode(wanted)
        (place / NAME).write_bytes(encoded)
        (place / SUMS).write_bytes(sums(wanted, encoded))
        return place

    def take(self, id_: str, stack: str = "crm", *, verified: bool = True, anomalies: t.Sequence[str] = ()) -> Path:
        """Put a backup there as stack_backup does, and verify it."""
        place = self.put(id_, stack)
        facts: dict[str, t.Any] = {"sums_sha256": file_sha256(str(place / SUMS)).sha256}
        result = "ok"
        if anomalies:
            result, facts["anomalies"] = "anomalous", list(anomalies)
        self.log.append("backup", stack=stack, backup=id_, result=result, facts=facts)
        if verified:
            self.verify(id_, stack)
        return place

    def verify(self, id_: str, stack: str = "crm", level: str = "full", result: str = "ok", **facts: t.Any) -> None:
        """Note that somebody verified it."""
        self.log.append("verify", stack=stack, backup=id_, result=result, facts={"level": level, **facts})

    def names(self, stack: str = "crm") -> list[str]:
        """Return all that lies in the directory of a stack, but what belongs to its lock."""
        names = (path.name for path in (self.path / stack).iterdir())
        return sorted(name for name in names if name != ".lock" and not name.startswith(".probe."))
