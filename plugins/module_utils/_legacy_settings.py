# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Find settings that promise something about backups and that no program reads.

The sidekick of Ticketz takes DB_NAME, DB_USER, DB_HOST, DB_PORT and RETENTION_FILES; guides name more. Standard library
only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t

from ._legacy_finding import CRITICAL, INFO, WARNING, Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SIDEKICK = "ticketz-sidekick"
NO_ENCRYPTION = (
    "Its archives are not encrypted, and readable by every user of the host. Turn on crm_encryption instead."
)
NO_DAYS = "It keeps RETENTION_FILES archives (7), good or bad, however old they are. crm_retention counts good ones."
UNREAD = {
    "BACKUP_ENCRYPTION_KEY": (CRITICAL, NO_ENCRYPTION),
    "BACKUP_ENCRYPTION": (CRITICAL, NO_ENCRYPTION),
    "BACKUP_RETENTION_DAYS": (WARNING, NO_DAYS),
    "RETENTION_DAYS": (WARNING, NO_DAYS),
    "BACKUP_COMPRESSION": (INFO, "It always writes tar.gz."),
}
# As compose files, env files and shells write it; commented lines do not count.
_SETTING = re.compile(rf"^\s*(?:-\s*)?(?:export\s+)?[\"']?({'|'.join(UNREAD)})[\"']?\s*[:=]")
_METRICS = re.compile(r"^[^#]*sidekick[\w.-]*:9090")


def unread_settings(path: str, text: str) -> Iterator[Finding]:
    """Yield what is wrong with the settings in a compose, env or Prometheus file."""
    for number, line in enumerate(text.splitlines(), 1):
        where = f"{path}:{number}"
        if found := _SETTING.match(line):
            yield unread(found[1], where)
        if _METRICS.match(line):
            message = "The sidekick serves no metrics: this target is down for ever, or an alarm on it was silenced."
            yield Finding("unread-setting", WARNING, where, message)


def unread(name: str, where: str) -> Finding:
    """Describe one setting."""
    severity, consequence = UNREAD[name]
    message = f"{name} is set, and the sidekick of Ticketz does not read it. {consequence}"
    return Finding("unread-setting", severity, where, message)
