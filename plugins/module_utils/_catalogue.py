# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is known of every backup of a root beside its manifest: its standing, as the audit log tells it.

What speaks for a backup (verified, accepted, released) counts only as far back as the log is whole; what speaks against
its removal (held, anomalous, damaged) always counts. Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, replace

from ._anomaly import MARK
from ._arrival import TAKEN
from ._audit_chain import ANOMALOUS as ANOMALOUS_RESULT
from ._audit_chain import FAILED, OK, REFUSED, SEAL
from ._backup_store import Store
from ._errors import StoreError
from ._files import file_sha256
from ._manifest import NAME, SUMS
from ._retention import ANOMALOUS, DAMAGED, UNVERIFIED, VERIFIED, Candidate

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._audit import AuditLog
    from ._audit_chain import Event, Problem
    from ._backup_store import Backup
    from ._manifest import Manifest

# With which a backup begins to exist here.
ARRIVALS = (TAKEN, "adopt", "transfer")
# What proves that a backup can be read as a whole.
PROOFS = ("full",)
ACCEPT = "accept"
# The fact of an event that tells its backup from any other that may take its name.
FACT = "sums_sha256"


@dataclass(frozen=True)
class Standing:
    """What is known of a backup; ``arrived_at`` is None when there is no event of its arrival.

    Times are RFC 3339. ``anomalies``, ``damage`` and ``held`` are reasons, in words; ``accepted`` says why an anomaly
    is none. ``sums`` and ``manifest`` are the SHA-256 of those two files of the backup that all of this is about, where
    the log says it.
    """

    arrived_at: str | None = None
    verified_at: str | None = None
    sums: str | None = None
    manifest: str | None = None
    damage: str | None = None
    anomalies: tuple[str, ...] = ()
    accepted: str | None = None
    held: str | None = None
    held_at: str | None = None
    drilled_at: str | None = None

    @property
    def word(self) -> str:
        """Sum it up: damaged, anomalous, verified or unverified."""
        if self.damage is not None:
            return DAMAGED
        if self.anomalies and self.accepted is None:
            return ANOMALOUS
        return VERIFIED if self.verified_at is not None else UNVERIFIED


@dataclass(frozen=True)
class Entry:
    """A backup with its standing; ``manifest`` is None when it cannot be read."""

    backup: Backup
    standing: Standing
    manifest: Manifest | None


class Catalogue:
    """The backups of a root as the audit log knows them at one moment."""

    def __init__(self, log: AuditLog) -> None:
        self._store = Store(log.root)
        self.events, self.problems = log.read()
        self._whole = _whole_from(self.events, self.problems)
        self._standings: dict[tuple[str, str], Standing] = {}
        self._arrivals: dict[str, list[str]] = {}
        for place, event in enumerate(self.events):
            self._note(event, trusted=place >= self._whole)

    @property
    def distrust(self) -> str | None:
        """Return why the log proves nothing, or None."""
        if not self.events:
            return (
                "There is no audit log of this root, so no backup is known to be verified. Verify those to rely on "
                "with level=full."
            )
        if self._whole >= len(self.events):
            return f"{self.warnings()[0]} No backup counts as verified. Find out who changed the log, and verify anew."
        return None

    def warnings(self) -> list[str]:
        """Return what is wrong with the log, in words."""
        return [f"The audit log is not whole: {one.message}" for one in self.problems if not one.harmless]

    def entries(self, stack: str) -> list[Entry]:
        """Return the backups of a stack in the order of their arrival."""
        return [self.entry(backup) for backup in self._store.backups(stack)]

    def arrivals(self, stack: str) -> list[str]:
        """Return the IDs of all backups of a stack that were ever taken here, in that order.

        What was adopted or brought here is older than the moment when it came: its place is that of its ID.
        """
        return list(self._arrivals.get(stack, ()))

    def entry(self, backup: Backup) -> Entry:
        """Return one backup with its standing, after a look at its manifest."""
        known = self.standing(backup.stack, backup.id)
        try:
            manifest = backup.manifest()
        except StoreError as exc:
            return Entry(backup, replace(known, damage=str(exc)), None)
        for name, expected in ((SUMS, known.sums), (NAME, known.manifest)):
            if expected not in (None, file_sha256(os.path.join(backup.path, name)).sha256):
                damage = f"{backup.path}/{name} is not the one that the audit log knows: it is another backup"
                return Entry(backup, replace(known, damage=damage), manifest)
        marked = tuple(one[len(MARK) :] for one in manifest.warnings if one.startswith(MARK))
        if marked and not known.anomalies:
            # The event of its arrival was not written.
            known = replace(known, anomalies=marked)
        return Entry(backup, known, manifest)

    def standing(self, stack: str, id_: str) -> Standing:
        """Return what the log alone says of a backup."""
        return self._standings.get((stack, id_), Standing())

    def failed_attempt(self, stack: str) -> str | None:
        """Return what is to be said of the last try to take a backup, if that failed."""
        tries = [event for event in self.events if event.action == TAKEN and event.stack == stack]
        if not tries or tries[-1].result not in (FAILED, REFUSED):
            return None
        why = tries[-1].facts.get("message") or tries[-1].facts.get("error")
        return f"The last try to back up stack {stack}, at {tries[-1].at}, failed{f': {why}' if why else ''}."

    def _note(self, event: Event, *, trusted: bool) -> None:
        if event.stack is None or event.backup is None:
            return
        key = (event.stack, event.backup)
        before = self._standings.get(key, Standing())
        if event.action in ARRIVALS:
            if event.result in (OK, ANOMALOUS_RESULT):
                # The ID may have belonged to another one, before the clock was set back.
                if event.action == TAKEN:
                    self._arrivals.setdefault(event.stack, []).append(event.backup)
                self._standings[key] = Standing(
                    arrived_at=event.at, anomalies=_anomalies(event), sums=event.facts.get(FACT)
                )
        elif event.action == "prune":
            if event.result == OK:
                self._standings.pop(key, None)
        else:
            self._standings[key] = _after(before, event, trusted=trusted)


def _after(before: Standing, event: Event, *, trusted: bool) -> Standing:
    """Return the standing of a backup after an event."""
    facts, fine = event.facts, event.result == OK
    if event.action in ("verify", "drill"):
        if event.result in (FAILED, REFUSED):
            why = facts.get("problems") or facts.get("message") or "it did not pass"
            why = "; ".join(map(str, why)) if isinstance(why, list) else str(why)
            return replace(before, damage=f"{event.action} at {event.at}: {why}", verified_at=None)
        proof = fine and trusted and (event.action == "drill" or facts.get("level") in PROOFS)
        if proof:
            before = replace(before, damage=None, verified_at=event.at, manifest=facts.get("manifest_sha256"))
        return replace(before, drilled_at=event.at) if fine and event.action == "drill" else before
    if event.action == "rekey" and fine:
        # Other keys, so other files: what was proved of the old ones is not of these.
        return replace(before, verified_at=None, sums=facts.get(FACT), manifest=None)
    if event.action == "hold" and fine:
        return replace(before, held=str(facts.get("reason") or "no reason was given"), held_at=event.at)
    if event.action == "release" and fine and trusted:
        return replace(before, held=None, held_at=None)
    if event.action == ACCEPT and fine and trusted:
        return replace(before, accepted=str(facts.get("reason") or "no reason was given"))
    return before


def _anomalies(event: Event) -> tuple[str, ...]:
    if event.result != ANOMALOUS_RESULT:
        return ()
    said = event.facts.get("anomalies")
    words = said if isinstance(said, list) else []
    return tuple(str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in words) or ("unknown",)


def _whole_from(events: Sequence[Event], problems: Iterable[Problem]) -> int:
    """Return from which event on the log is one chain up to its end; its length when that itself is in doubt."""
    if any(not problem.harmless and problem.line == 0 for problem in problems):
        return len(events)
    for place in range(len(events) - 1, 0, -1):
        before, event = events[place - 1], events[place]
        torn = event.action == SEAL and event.facts.get("problems") == ["torn"]
        if event.sequence != before.sequence + 1 or not (event.previous == before.sha256 or torn):
            return place
    return 0


def candidate(entry: Entry) -> Candidate:
    """Return what the rules of retention need to know of a backup."""
    standing = entry.standing
    return Candidate(entry.backup.id, standing.word, standing.held)


def incomplete(entry: Entry) -> str | None:
    """Look whether all files of a backup are there with their sizes; return what is wrong."""
    if entry.manifest is None:
        return entry.standing.damage
    for artifact in entry.manifest.artifacts:
        path = os.path.join(entry.backup.path, artifact.path)
        try:
            size = os.lstat(path).st_size
        except OSError as exc:
            return f"{path}: {exc.strerror}"
        if size != artifact.size:
            return f"{path} has {size} bytes, and {artifact.size} are expected"
    return None
