# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check backups by reading them back: against their manifests, their signatures and the audit log.

Each verdict becomes a line of the audit log. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import typing as t
from dataclasses import dataclass, field, replace

from ._artifact_check import belonging, check, look
from ._audit import AuditLog
from ._audit_chain import FAILED, OK
from ._backup_proof import misplaced, told
from ._backup_store import LATEST, Store
from ._errors import StoreError
from ._manifest import NAME, SIGNATURE, SUMS, read_with_sums
from ._progress import expect, phase, reading
from ._signature import NO_SIGNERS, UNSIGNED, Proof, Signers, prove

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ._artifact_check import Checked
    from ._audit_chain import Event
    from ._backup_store import Backup
    from ._manifest import Artifact, Manifest

ALL = "all"
QUICK, FULL, SAMPLE = "quick", "full", "sample"
LEVELS = (QUICK, FULL, SAMPLE)
# Of the bytes of a backup, in percent.
SHARE = 10
# With which a backup of this root became what it is.
ORIGINS = ("backup", "adopt", "transfer", "rekey")
# Of one backup, in the audit log.
MOST_PROBLEMS = 20


@dataclass(frozen=True)
class Request:
    """Which backups to verify: of one stack or all; one ID, the latest, or all; and how thoroughly.

    ``share`` is how many percent of each a SAMPLE reads. ``record`` says whether the audit log gets to know it. Without
    ``must_exist`` there may be none, as long as the audit log knows of none.
    """

    root: str
    stack: str | None = None
    id: str = LATEST
    level: str = FULL
    share: int = SHARE
    signers: Signers = NO_SIGNERS
    record: bool = True
    must_exist: bool = True
    actor: Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What was found of one backup; ``bytes`` were read. ``opened`` artifacts were looked into, ``sealed`` ones not.

    ``until`` is where the next sample goes on, ``manifest_sha256`` what was verified.
    """

    stack: str
    id: str
    path: str
    problems: tuple[str, ...]
    artifacts: int = 0
    bytes: int = 0
    opened: int = 0
    sealed: int = 0
    proof: Proof = field(default_factory=lambda: Proof(UNSIGNED))
    remarks: tuple[str, ...] = ()
    until: str | None = None
    manifest_sha256: str | None = None

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class Report:
    """All verdicts, and what is wrong with the audit log itself; ``audit`` is the line that it got last."""

    verdicts: tuple[Verdict, ...]
    log_problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    audit: Event | None = None

    @property
    def ok(self) -> bool:
        return not self.log_problems and all(verdict.ok for verdict in self.verdicts)


def verify(request: Request) -> Report:
    """Return a verdict on every backup that was asked for, and note each in the audit log.

    Raises StoreError when there is no such backup, and when the audit log cannot be written.
    """
    store = Store(request.root)
    log = AuditLog(request.root)
    events, found = log.read()
    backups = _chosen(store, request, events)
    # What an event has taken note of is known; that a log came from elsewhere is no fault of it.
    fresh = [problem for problem in found if not problem.harmless and problem.kind != "noted"]
    old = [problem.message for problem in found if problem not in fresh and problem.kind != "unproved"]
    expect(lambda: _expected(backups, request, events))
    verdicts = [_verify(backup, request, events) for backup in backups]
    noted = [_note(log, verdict, request) for verdict in verdicts] if request.record else []
    return Report(
        verdicts=tuple(verdicts),
        log_problems=tuple(problem.message for problem in fresh),
        remarks=(*old, *_gone(store, request, events)),
        audit=noted[-1] if noted else None,
    )


def _chosen(store: Store, request: Request, events: Sequence[Event]) -> list[Backup]:
    backups: list[Backup] = []
    for stack in [request.stack] if request.stack else store.stacks():
        of_stack = store.backups(stack)
        if request.stack and request.id != ALL:
            backups.append(store.backup(stack, request.id))
        elif request.id == LATEST:
            backups += of_stack[-1:]
        else:
            backups += [backup for backup in of_stack if request.id in (ALL, backup.id)]
    if backups:
        return backups
    every = request.id in (ALL, LATEST)
    where = store.stack_directory(request.stack) if request.stack else request.root
    if every and not request.stack and _known(request, events):
        raise StoreError(f"There is no backup below {where}, where the audit log knows of some: they are gone.")
    if request.must_exist or request.stack or not every:
        which = "" if every else f" {request.id}"
        raise StoreError(f"There is no backup{which} below {where}. Set crm_backup_root to where the backups lie.")
    return []


def _verify(backup: Backup, request: Request, events: Sequence[Event]) -> Verdict:
    phase(f"{backup.stack} {backup.id}")
    verdict = Verdict(backup.stack, backup.id, backup.path, ())
    try:
        manifest, sums = read_with_sums(backup.path)
    except StoreError as exc:
        return replace(verdict, problems=(str(exc),))
    problems = [*_identity(backup, manifest, sums, events), *_unexpected(backup, manifest), *_strays(manifest)]
    remarks = []
    proof = verdict.proof
    try:
        proof = prove(backup.path, manifest.host, sums, request.signers)
        remarks += [] if proof.signer else [told(proof, manifest)]
    except StoreError as exc:
        problems.append(str(exc))
    read, until = _to_read(manifest, request, last_sample(events, backup))
    checked = [
        (one, _check(backup, manifest, one) if one.path in read else look(backup, one)) for one in manifest.artifacts
    ]
    return replace(
        verdict,
        problems=(*problems, *(f"{one.path}: {words}" for one, found in checked for words in found.problems)),
        artifacts=len(checked),
        bytes=sum(found.read for _one, found in checked),
        opened=sum(found.opened for _one, found in checked),
        sealed=sum(bool(found.read) and not found.opened and not found.problems for _one, found in checked),
        proof=proof,
        remarks=(*remarks, *(f"{one.path} {words}" for one, found in checked for words in found.remarks)),
        until=until,
        manifest_sha256=_sha256_of_manifest(sums),
    )


def _check(backup: Backup, manifest: Manifest, artifact: Artifact) -> Checked:
    with reading(artifact.path, os.path.join(backup.path, artifact.path)):
        return check(backup, manifest, artifact)


def _expected(backups: Sequence[Backup], request: Request, events: Sequence[Event]) -> dict[str, int | None]:
    """Return how many bytes there are to read."""
    sizes: dict[str, int | None] = {}
    for backup in backups:
        # What is damaged is told of when it is its turn.
        with contextlib.suppress(StoreError):
            manifest = backup.manifest()
            read, _until = _to_read(manifest, request, last_sample(events, backup))
            sizes |= {os.path.join(backup.path, one.path): one.size for one in manifest.artifacts if one.path in read}
    return sizes


def _identity(backup: Backup, manifest: Manifest, sums: bytes, events: Sequence[Event]) -> list[str]:
    problem = misplaced(backup, manifest)
    if problem is not None:
        return [problem]
    known = [
        event
        for event in events
        if (event.stack, event.backup) == (backup.stack, backup.id)
        and event.action in ORIGINS
        and "sums_sha256" in event.facts
    ]
    if known and known[-1].facts["sums_sha256"] != hashlib.sha256(sums).hexdigest():
        return [
            f"{SUMS} is not that of the backup of this name which the audit log knows since {known[-1].at} (event "
            f"{known[-1].sequence}): somebody has put another one in its place"
        ]
    return []


def _sha256_of_manifest(sums: bytes) -> str:
    # Compared with the manifest when it was read; it has the first line.
    return sums.partition(b" ")[0].decode("ascii")


def _unexpected(backup: Backup, manifest: Manifest) -> list[str]:
    expected = {NAME, SUMS, SIGNATURE, *(artifact.path for artifact in manifest.artifacts)}
    found = {
        os.path.relpath(os.path.join(directory, name), backup.path)
        for directory, directories, names in os.walk(backup.path)
        # A link to a directory would let the artifacts lie elsewhere.
        for name in (*names, *(name for name in directories if os.path.islink(os.path.join(directory, name))))
    }
    return [f"{name} is not in the manifest" for name in sorted(found - expected)]


def _strays(manifest: Manifest) -> list[str]:
    return [
        f"{artifact.path} is a list of deleted names that belongs to no archive"
        for artifact in manifest.artifacts
        if artifact.kind == "deletions" and belonging(manifest, "archive", artifact) is None
    ]


def _to_read(manifest: Manifest, request: Request, after: str | None) -> tuple[Collection[str], str | None]:
    """Return the paths of the artifacts to read, and the last one of a sample."""
    if request.level == SAMPLE:
        chosen = sample(manifest.artifacts, request.share, after)
        return set(chosen), chosen[-1] if chosen else None
    return {artifact.path for artifact in manifest.artifacts} if request.level == FULL else set(), None


def sample(artifacts: Sequence[Artifact], share: int, after: str | None) -> list[str]:
    """Return the artifacts that follow ``after``, in turns, until they are ``share`` percent of all bytes.

    So every artifact comes round, also when each run meets a newer backup of the same stack.
    """
    ordered = sorted(artifacts, key=lambda artifact: artifact.path)
    start = next((place for place, one in enumerate(ordered) if after is None or one.path > after), 0)
    wanted = sum(one.size for one in ordered) * share / 100
    chosen: list[str] = []
    size = 0
    for one in (*ordered[start:], *ordered[:start]):
        if chosen and size >= wanted:
            break
        chosen.append(one.path)
        size += one.size
    return chosen


def last_sample(events: Sequence[Event], backup: Backup) -> str | None:
    """Return where the last sample of a backup ended, else the last one of any backup of its stack."""
    ends = [
        (event.backup == backup.id, place, event.facts["until"])
        for place, event in enumerate(events)
        if event.action == "verify" and event.stack == backup.stack and isinstance(event.facts.get("until"), str)
    ]
    return max(ends)[2] if ends else None


def _known(request: Request, events: Sequence[Event]) -> dict[tuple[str, str], Event]:
    """Return the backups that should be there, by stack and ID: with the event that tells of each."""
    known: dict[tuple[str, str], Event] = {}
    for event in events:
        if event.stack is None or event.backup is None or request.stack not in (None, event.stack):
            continue
        if event.action in ORIGINS and event.result != FAILED:
            known[event.stack, event.backup] = event
        elif event.action == "prune" and event.result == OK:
            known.pop((event.stack, event.backup), None)
    return known


def _gone(store: Store, request: Request, events: Sequence[Event]) -> list[str]:
    """Name backups that the audit log knows and that are gone without its knowing: the latest may not be the last."""
    return [
        f"Backup {id_} of stack {stack}, which the audit log knows since {event.at}, is gone, and nobody noted its "
        "removal. If that was on purpose, note it with crm.continuity.audit_record (action: prune)."
        for (stack, id_), event in sorted(_known(request, events).items())
        if not os.path.isdir(os.path.join(store.stack_directory(stack), id_))
    ]


def _note(log: AuditLog, verdict: Verdict, request: Request) -> Event:
    facts: dict[str, t.Any] = {
        "level": request.level,
        "artifacts": verdict.artifacts,
        "bytes": verdict.bytes,
        "opened": verdict.opened,
        "sealed": verdict.sealed,
        "signature": verdict.proof.status,
        "signed_with": verdict.proof.key,
        "manifest_sha256": verdict.manifest_sha256,
    }
    if verdict.problems:
        facts["problems"] = list(verdict.problems[:MOST_PROBLEMS])
    if verdict.until is not None:
        facts["until"] = verdict.until
    return log.append(
        "verify",
        stack=verdict.stack,
        backup=verdict.id,
        result=OK if verdict.ok else FAILED,
        actor=request.actor,
        facts=facts,
    )
