# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a profile knows of the content of an application's database.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._errors import ProfileError
from ._profile import CsvRule

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._profile import Profile, ResetStep, SequenceRule


@dataclass(frozen=True)
class DatabaseRules:
    """Rules for CSV archives, for sequences, and for what clears a WhatsApp session that is in the database."""

    csv: CsvRule = field(default_factory=CsvRule)
    sequences: tuple[SequenceRule, ...] = ()
    reset: tuple[ResetStep, ...] = ()


def rules_of(profiles: Mapping[str, Profile], name: str | None) -> DatabaseRules:
    """Return what the profile of that name knows; nothing without a name. Raises ProfileError for an unknown one."""
    if name is None:
        return DatabaseRules()
    if name not in profiles:
        raise ProfileError(f"There is no profile {name}. Known here are {', '.join(sorted(profiles))}.")
    profile = profiles[name]
    described = [rule.csv for rule in profile.databases if rule.csv != CsvRule()]
    stores = [store for rule in profile.session_rules for store in rule.stores if store.place == "database"]
    # Several rules may clear the same in the same way.
    steps = {step.name: step for store in stores for step in store.reset}
    return DatabaseRules(
        csv=described[0] if described else CsvRule(),
        sequences=tuple(rule for database in profile.databases for rule in database.sequences),
        reset=tuple(steps.values()),
    )
