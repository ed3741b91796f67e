# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the backups of one stack stand: to when it can be restored, how the last ones went, what was proved of them.

Drawn from the manifests and the audit log. What is wrong with it decides ``_status_rules``. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import os
import re
import typing as t
from dataclasses import asdict, dataclass, replace

from ._anomaly import MARK
from ._arrival import TAKEN
from ._audit_chain import ANOMALOUS, FAILED, OK, REFUSED
from ._catalogue import incomplete
from ._manifest import SIGNATURE
from ._retention import DAMAGED, VERIFIED
from ._status_words import instant

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ._audit_chain import Event
    from ._catalogue import Entry
    from ._manifest import Manifest

# So much of each stack is told, so that the answer of a host stays small.
MOST_HISTORY = 30
MOST_FAILURES = 5
MOST_ANOMALIES = 5
MOST_DAMAGED = 5
LONGEST = 300
_SECRET = re.compile(
    r"(://[^/\s:@]*:)[^@\s]+(@)"
    r"|((?:password|passwd|passphrase|secret|token|api_?key)\w*[\"']?\s*[=:]\s*)[^\s,;]+"
    r"|AGE-SECRET-KEY-[0-9A-Z]+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Past:
    """One backup among others; the numbers are None when its manifest cannot be read."""

    id: str
    cut_at: str
    size: int | None
    seconds: float | None
    freeze_seconds: float | None
    files: int | None
    rows: int | None
    word: str


@dataclass(frozen=True)
class Latest(Past):
    """The newest backup; ``damage`` and ``held`` are reasons, ``accepted`` says why an anomaly is none.

    ``services`` are those that stood still, each once with its mode and seconds.
    """

    finished_at: str | None
    artifacts: int | None
    services: tuple[dict[str, t.Any], ...]
    anomalies: tuple[str, ...]
    accepted: str | None
    remarks: int
    encryption: str | None
    signed: bool
    held: str | None
    damage: str | None
    verified_at: str | None
    drilled_at: str | None
    uploaded_at: str | None


@dataclass(frozen=True)
class Attempt:
    """One try to take a backup: when it ended and how, with the error; ``seconds`` is how long it took, if known."""

    at: str
    result: str
    message: str | None = None
    backup: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class StackStatus:
    """One stack. ``first_at`` is since when there are backups, ``previous_result`` that of the try before the last.

    ``restorable_to`` is the cut of the newest backup that is neither damaged nor incomplete, ``verified_to`` that of
    the newest one that was read as a whole. ``damaged`` are IDs of others than the newest, however old. ``history``
    has the oldest first, ``failures`` and ``damaged`` the newest. All times are RFC 3339.
    """

    stack: str
    profiles: tuple[str, ...] = ()
    restorable_to: str | None = None
    verified_to: str | None = None
    latest: Latest | None = None
    attempt: Attempt | None = None
    last_success: str | None = None
    last_verified: str | None = None
    last_drilled: str | None = None
    last_uploaded: str | None = None
    previous_result: str | None = None
    first_at: str | None = None
    backups: int = 0
    bytes: int = 0
    held: int = 0
    damaged: tuple[str, ...] = ()
    history: tuple[Past, ...] = ()
    failures: tuple[dict[str, t.Any], ...] = ()

    def described(self, standing: str) -> dict[str, t.Any]:
        """Return it as it is told, with what its problems come to."""
        told = asdict(self)
        told["profiles"], told["history"] = list(self.profiles), [asdict(one) for one in self.history]
        told["failures"], told["damaged"] = list(self.failures), list(self.damaged)
        if self.latest is not None:
            told["latest"].update(anomalies=list(self.latest.anomalies), services=list(self.latest.services))
        return {"stack": told.pop("stack"), "standing": standing, **told}


def of_stack(stack: str, entries: Sequence[Entry], events: Sequence[Event], last: Attempt | None = None) -> StackStatus:
    """Sum up what is known of a stack; ``entries`` in the order of their arrival, ``events`` of the whole log.

    ``last`` is a try that the log may not know, because it could not be written.
    """
    own = [event for event in events if event.stack == stack]
    tries = [attempt_of(event) for event in own if event.action == TAKEN]
    if last is not None and (not tries or instant(tries[-1].at) < instant(last.at)):
        tries.append(last)
    found = StackStatus(
        stack=stack,
        attempt=tries[-1] if tries else None,
        previous_result=tries[-2].result if len(tries) > 1 else None,
        last_success=max((one.at for one in tries if one.result in (OK, ANOMALOUS)), default=None),
        last_drilled=max((one.at for one in own if one.action == "drill" and one.result == OK), default=None),
        failures=tuple(_failure(one) for one in own[::-1] if one.result in (FAILED, REFUSED))[:MOST_FAILURES],
    )
    if not entries:
        return found
    checked = [checked_files(_readable(entry)) for entry in entries]
    newest = checked[-1]
    whole = next((one for one in checked[::-1] if one.standing.word != DAMAGED), None)
    proved = next((one for one in checked[::-1] if one.standing.word == VERIFIED), None)
    manifest = newest.manifest
    return replace(
        found,
        profiles=tuple(manifest.source["profiles"]) if manifest else (),
        restorable_to=whole.manifest.cut_at if whole and whole.manifest else None,
        verified_to=proved.manifest.cut_at if proved and proved.manifest else None,
        latest=_latest(newest),
        last_success=found.last_success or (manifest.finished_at if manifest else None),
        last_verified=max((one.standing.verified_at for one in checked if one.standing.verified_at), default=None),
        first_at=checked[0].standing.arrived_at or _past(checked[0]).cut_at,
        backups=len(checked),
        bytes=sum(one.manifest.size for one in checked if one.manifest),
        held=sum(one.standing.held is not None for one in checked),
        damaged=tuple(one.backup.id for one in checked[-2::-1] if one.standing.word == DAMAGED)[:MOST_DAMAGED],
        history=tuple(_past(one) for one in checked[-MOST_HISTORY:]),
    )


def checked_files(entry: Entry) -> Entry:
    """Return an entry as it counts: one whose files are not all there is damaged."""
    if entry.standing.word == DAMAGED:
        return entry
    wrong = incomplete(entry)
    return entry if wrong is None else replace(entry, standing=replace(entry.standing, damage=wrong))


def _readable(entry: Entry) -> Entry:
    """Return an entry without its manifest when that makes no sense, so that it hides no other backup."""
    try:
        instant(_latest(entry).cut_at)
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as exc:
        damage = entry.standing.damage or f"its manifest makes no sense ({type(exc).__name__}: {exc})"
        return replace(entry, manifest=None, standing=replace(entry.standing, damage=damage))
    return entry


def attempt_of(event: Event) -> Attempt:
    """Return the try to take a backup that an event is about."""
    seconds = event.facts.get("seconds")
    return Attempt(
        at=event.at,
        result=event.result,
        message=_words(event) if event.result in (FAILED, REFUSED) else None,
        backup=event.backup,
        seconds=float(seconds) if isinstance(seconds, (int, float)) else None,
    )


def numbers(manifest: Manifest) -> tuple[int, int]:
    """Return how many files and rows a backup holds."""
    facts = [artifact.facts for artifact in manifest.artifacts]
    return sum(fact.get("files", 0) for fact in facts), sum(sum(fact.get("rows", {}).values()) for fact in facts)


def shortened(words: str) -> str:
    """Return the beginning of a text, on one line and without what may be secrets in it."""
    line = _SECRET.sub(lambda found: f"{found[1] or found[3] or ''}***{found[2] or ''}", " ".join(words.split()))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _failure(event: Event) -> dict[str, t.Any]:
    return {"at": event.at, "action": event.action, "message": _words(event)}


def _words(event: Event) -> str | None:
    for name in ("message", "error", "problems"):
        if words := event.facts.get(name):
            return shortened("; ".join(map(str, words)) if isinstance(words, list) else str(words))
    return None


def _past(entry: Entry) -> Past:
    manifest, standing = entry.manifest, entry.standing
    if manifest is None:
        return Past(entry.backup.id, _named(entry.backup.id), None, None, None, None, None, standing.word)
    files, rows = numbers(manifest)
    return Past(
        id=entry.backup.id,
        cut_at=manifest.cut_at,
        size=manifest.size,
        seconds=round((instant(manifest.finished_at) - instant(manifest.started_at)).total_seconds(), 1),
        freeze_seconds=round(manifest.freeze["seconds"], 3),
        files=files,
        rows=rows,
        word=standing.word,
    )


def _latest(entry: Entry) -> Latest:
    manifest, standing = entry.manifest, entry.standing
    return Latest(
        **vars(_past(entry)),
        finished_at=manifest.finished_at if manifest else None,
        artifacts=len(manifest.artifacts) if manifest else None,
        services=tuple(_slowest(manifest.freeze["services"])) if manifest else (),
        anomalies=tuple(shortened(one) for one in standing.anomalies[:MOST_ANOMALIES]),
        accepted=standing.accepted,
        remarks=sum(not one.startswith(MARK) for one in manifest.warnings) if manifest else 0,
        encryption=manifest.encryption.get("method", "none") if manifest else None,
        signed=os.path.exists(os.path.join(entry.backup.path, SIGNATURE)),
        held=standing.held,
        damage=shortened(standing.damage) if standing.damage else None,
        verified_at=standing.verified_at,
        drilled_at=standing.drilled_at,
        # Copies elsewhere are not made yet.
        uploaded_at=None,
    )


def _slowest(services: Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return each service once: one that has several containers is as slow as the slowest of them."""
    found: dict[tuple[str, str], dict[str, t.Any]] = {}
    for entry in services:
        key = (entry["service"], entry["mode"])
        if key not in found or entry["seconds"] > found[key]["seconds"]:
            found[key] = {"service": key[0], "mode": key[1], "seconds": round(entry["seconds"], 3)}
    return list(found.values())


def _named(id_: str) -> str:
    """Return the moment that the ID of a backup names."""
    day, clock = id_[:8], id_[9:15]
    return f"{day[:4]}-{day[4:6]}-{day[6:]}T{clock[:2]}:{clock[2:4]}:{clock[4:]}+00:00"
