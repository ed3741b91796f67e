# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the legacy audit has to say about one thing. Standard library only. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass

# Somebody relies on what is not there; something will fail or leak; worth to know.
CRITICAL, WARNING, INFO = "critical", "warning", "info"
SEVERITIES = (CRITICAL, WARNING, INFO)


@dataclass(frozen=True)
class Finding:
    """One thing that looks like backup and is not; ``where`` is a file with its line, a volume or a container.

    The message holds no value of a setting and no command line: secrets stand in both.
    """

    kind: str
    severity: str
    where: str
    message: str
