# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a preflight finds: one entry per question, with a severity and words for the operator.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, replace

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable

REFUSE, WARN, OK = "refuse", "warn", "ok"
# What a check is about. Those of FIRM stay refusals whatever is allowed: going on could only fail, or would overwrite
# what belongs to someone else.
FIRM = ("artifacts", "compose_files", "shared_data", "volume_driver", "volume_secret")
CHECKS = (
    "collation",
    "compose",
    "encoding",
    "extensions",
    "images",
    "mounts",
    "names",
    "outside",
    "ports",
    "postgresql",
    "rights",
    "roles",
    "same_image",
    "schema_version",
    "secrets",
    "session_state",
    "sessions",
    "space",
    "volume_in_use",
)


@dataclass(frozen=True)
class Finding:
    """The answer to one question; ``message`` says what, where, what breaks and what to do."""

    check: str
    severity: str
    subject: str
    message: str


def settled(findings: Iterable[Finding], allowed: Collection[str]) -> list[Finding]:
    """Return the findings, refusals first, with those refusals as warnings that the operator allows."""
    order = {REFUSE: 0, WARN: 1, OK: 2}
    softened = [
        replace(found, severity=WARN, message=f"{found.message} It was allowed.")
        if found.severity == REFUSE and found.check in allowed and found.check not in FIRM
        else found
        for found in findings
    ]
    return sorted(softened, key=lambda found: order[found.severity])


def messages(findings: Iterable[Finding], severity: str) -> list[str]:
    """Return the messages of one severity; what can be overridden says how."""
    return [
        f"{found.message} To go on all the same, allow {found.check}."
        if severity == REFUSE and found.check not in FIRM
        else found.message
        for found in findings
        if found.severity == severity
    ]
