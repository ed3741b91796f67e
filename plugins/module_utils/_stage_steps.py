# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is done to restored data while they wait: sequences brought up to their rows, sessions cleared on demand.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import dataclass, field

from ._database_rules import rules_of
from ._errors import StackError
from ._sequence_sync import sync
from ._session_parts import parts_of_backup
from ._session_reset import clear_database, clear_directory, clear_redis_files

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ._database import Database
    from ._engine import Engine
    from ._manifest import Manifest
    from ._profile import Profile, SequenceRule
    from ._session_parts import Part
    from ._session_reset import Cleared

KEEP, RESET = "keep", "reset"


@dataclass(frozen=True)
class Steps:
    """What the profiles of a backup want; ``parts`` are those of the sessions that are to be cleared.

    ``done`` collects those that were.
    """

    engine: Engine
    sequences: Mapping[str, tuple[SequenceRule, ...]]
    parts: tuple[Part, ...] = ()
    done: list[Part] = field(default_factory=list)

    def on_database(self, name: str, session: Database) -> list[str]:
        """Finish a restored database; returns what changed."""
        with session.transaction():
            changed = [state.label for state in sync(session, self.sequences.get(name, ())).changed]
        remarks = [f"sequences were behind their rows and were raised: {', '.join(changed)}"] if changed else []
        for part in self.parts:
            if part.place == "database" and part.source == name:
                remarks += map(_told, clear_database(session, part))
                self.done.append(part)
        return remarks

    def on_volume(self, name: str, directory: str) -> list[str]:
        """Finish an unpacked volume; returns what changed."""
        remarks: list[str] = []
        for part in self.parts:
            if part.source != name:
                continue
            if part.place == "volume":
                remarks += map(_told, clear_directory(directory, part))
            elif part.place == "redis":
                remarks += map(_told, clear_redis_files(self.engine, directory, part.image or "", part))
            self.done.append(part)
        return remarks

    def check(self) -> None:
        """Raise StackError when a session that was to be cleared was not met."""
        missed = [part for part in self.parts if part not in self.done]
        if missed:
            places = ", ".join(f"{part.holds} ({part.where})" for part in missed)
            raise StackError(
                f"The WhatsApp sessions are to be cleared, and what is restored lacks {places}: a copy would run with "
                "the credentials of the original. Restore all of it, or keep the sessions (restore_session: keep), if "
                "the original never runs again."
            )


def steps(manifest: Manifest, profiles: Mapping[str, Profile], engine: Engine, session: str) -> Steps:
    """Return what is to be done for a backup; raise StackError when a session is to be cleared that cannot be."""
    rules = {
        # A profile that the backup was taken with may be unknown here.
        database["name"]: rules_of(profiles, database["profile"] if database["profile"] in profiles else None).sequences
        for database in manifest.source["databases"]
    }
    if session == KEEP:
        return Steps(engine, rules)
    found = parts_of_backup(manifest, profiles)
    if found.refusals:
        raise StackError(
            "The WhatsApp sessions of the backup cannot be cleared, so a copy would run with the credentials of the "
            f"original. {' '.join(found.refusals)} Or keep them (restore_session: keep), if the original never runs "
            "again.",
            refusals=list(found.refusals),
        )
    return Steps(engine, rules, found.parts)


def _told(cleared: Cleared) -> str:
    return f"WhatsApp session cleared: {cleared.name}, {cleared.count}"
