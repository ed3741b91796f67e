# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remove the backups of a stack that no rule keeps.

    rename   the backup has no name any more that is listed: from here on it is gone
    note     the audit log knows it
    remove   file by file; the checksums go first, and the manifest last

What a run that died has left is finished by the next one. ``plan`` only looks and ``apply`` only acts. Standard library
only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t
from dataclasses import dataclass, field, replace

from ._audit import AuditLog
from ._backup_store import FULL, Store, is_id, locked_on_host
from ._catalogue import Catalogue, candidate, incomplete
from ._errors import StoreError
from ._files import sync_directory
from ._manifest import NAME, SUMS
from ._retention import VERIFIED, decide, rules
from ._tree import remove_tree

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ._catalogue import Entry
    from ._retention import Decision, Rules

SUFFIX = ".pruned"


@dataclass(frozen=True)
class Request:
    """Which stacks to prune, all of a root or one, by which rules; ``actor`` is for the audit log."""

    root: str
    retention: Mapping[str, t.Any]
    stack: str | None = None
    actor: Mapping[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """What is to happen to the backups of one stack.

    ``left`` are those that a run that died had begun to remove; ``sizes`` are of what goes, in bytes.
    """

    request: Request
    stack: str
    rules: Rules
    decision: Decision
    entries: Mapping[str, Entry]
    left: tuple[str, ...]
    sizes: Mapping[str, int]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Pruned:
    """What was removed; ``audit`` is the last event of it, ``error`` why the rest was not."""

    removed: tuple[str, ...] = ()
    finished: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()
    audit: dict[str, t.Any] | None = None
    error: str | None = None


def plan(request: Request) -> list[Plan]:
    """Decide about every stack that was asked for. Raises StoreError for rules that make no sense."""
    store = Store(request.root)
    if request.stack and not os.path.isdir(store.stack_directory(request.stack)):
        there = ", ".join(store.stacks()) or "no stack"
        raise StoreError(f"There is no backup of stack {request.stack} in {request.root}, which has {there}.")
    catalogue = Catalogue(AuditLog(request.root))
    return [_plan(request, catalogue, stack) for stack in ([request.stack] if request.stack else store.stacks())]


def _plan(request: Request, catalogue: Catalogue, stack: str) -> Plan:
    wanted = rules(request.retention, stack)
    entries = {entry.backup.id: _proved(entry) for entry in catalogue.entries(stack)}
    decision = decide(
        wanted,
        [candidate(entry) for entry in entries.values()],
        catalogue.arrivals(stack),
        distrust=catalogue.distrust,
        failed=catalogue.failed_attempt(stack),
    )
    directory = Store(request.root).stack_directory(stack)
    left = () if catalogue.distrust else tuple(_left(directory))
    return Plan(
        request=request,
        stack=stack,
        rules=wanted,
        decision=decision,
        entries=entries,
        left=left,
        sizes={
            **{id_: _size(_gone(directory, id_)) for id_ in left},
            **{id_: _size(entries[id_].backup.path) for id_ in decision.remove},
        },
        warnings=tuple(catalogue.warnings()),
    )


def _proved(entry: Entry) -> Entry:
    """Return an entry as it counts: one that was verified and whose files are not all there any more is damaged."""
    if entry.standing.word != VERIFIED:
        return entry
    wrong = incomplete(entry)
    return entry if wrong is None else replace(entry, standing=replace(entry.standing, damage=wrong))


def _left(directory: str) -> Iterator[str]:
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return
    for name in sorted(names):
        if name.startswith(".") and name.endswith(SUFFIX) and is_id(name[1 : -len(SUFFIX)]):
            yield name[1 : -len(SUFFIX)]


def prune(request: Request) -> list[tuple[Plan, Pruned]]:
    """Plan and carry out, one stack after the other; what stops one does not stop the others.

    What was planned before the lock was held may not be so any more, so it is planned again.
    """
    return [_prune_one(before) for before in plan(request)]


def _prune_one(before: Plan) -> tuple[Plan, Pruned]:
    stack, store = before.stack, Store(before.request.root)
    if not (before.decision.remove or before.left):
        return before, Pruned()
    try:
        with locked_on_host(stack), store.locked(stack):
            (wanted,) = plan(replace(before.request, stack=stack))
            return wanted, apply(wanted)
    except StoreError as exc:
        return before, Pruned(error=str(exc))


def apply(wanted: Plan) -> Pruned:
    """Remove what a plan says. Needs the locks of the stack.

    A backup that was held since is left alone. When the log cannot be written, the backup gets its name back.
    """
    pruning = _Pruning(wanted)
    done = Pruned()
    try:
        for id_ in wanted.left:
            # Whether the log knows it already is not asked: twice is better than never.
            event = pruning.finish(id_, {"finished": True})
            done = replace(done, finished=(*done.finished, id_), audit=event)
        for id_ in wanted.decision.remove:
            removal = pruning.remove(id_)
            if removal is None:
                done = replace(done, spared=(*done.spared, id_))
            else:
                done = replace(done, removed=(*done.removed, id_), audit=removal)
    except StoreError as exc:
        return replace(done, error=str(exc))
    except OSError as exc:
        where = exc.filename or wanted.stack
        return replace(done, error=f"{where}: {exc.strerror}. Mend that and run this again: it will be finished.")
    return done


class _Pruning:
    """Removes backups of one stack."""

    def __init__(self, wanted: Plan) -> None:
        self._wanted = wanted
        self._log = AuditLog(wanted.request.root)
        self._directory = Store(wanted.request.root).stack_directory(wanted.stack)

    def remove(self, id_: str) -> dict[str, t.Any] | None:
        """Remove a backup and return the event of it; None when it was held meanwhile."""
        entry = self._wanted.entries[id_]
        self._rename(entry.backup.path, _gone(self._directory, id_))
        try:
            # It has no name any more, so nobody can hold it: whoever did so a moment ago is in the log.
            now = Catalogue(self._log)
            if now.distrust is not None:
                raise StoreError(now.distrust)
            if now.standing(self._wanted.stack, id_).held is not None:
                self._rename(_gone(self._directory, id_), entry.backup.path)
                return None
            facts = {
                "size": self._wanted.sizes[id_],
                "cut_at": entry.manifest.cut_at if entry.manifest else None,
                "standing": entry.standing.word,
                "rules": {name: value for name, value in vars(self._wanted.rules).items() if value},
            }
            return self.finish(id_, facts)
        except StoreError:
            # Not where it was emptied already: then it has to be finished.
            if os.path.exists(os.path.join(_gone(self._directory, id_), SUMS)):
                self._rename(_gone(self._directory, id_), entry.backup.path)
            raise

    def finish(self, id_: str, facts: Mapping[str, t.Any]) -> dict[str, t.Any]:
        """Note that a backup is gone, and remove its files; return the event."""
        gone = _gone(self._directory, id_)
        try:
            event = self._note(id_, facts)
        except StoreError as exc:
            if not (isinstance(exc.__cause__, OSError) and exc.__cause__.errno in FULL):
                raise
            # A full disk is what is pruned for. The manifest says what it was until the log does.
            _empty(gone)
            event = self._note(id_, facts)
        _empty(gone)
        remove_tree(gone)
        sync_directory(self._directory)
        return event

    def _note(self, id_: str, facts: Mapping[str, t.Any]) -> dict[str, t.Any]:
        wanted = self._wanted
        event = self._log.append("prune", stack=wanted.stack, backup=id_, actor=wanted.request.actor, facts=facts)
        return event.receipt

    def _rename(self, before: str, after: str) -> None:
        os.rename(before, after)
        sync_directory(self._directory)


def _gone(directory: str, id_: str) -> str:
    return os.path.join(directory, f".{id_}{SUFFIX}")


def _empty(directory: str) -> None:
    """Remove all that is in a backup but its manifest; the checksums go first: without them it is none."""
    for name in sorted(os.listdir(directory), key=lambda name: name != SUMS):
        path = os.path.join(directory, name)
        if name == NAME:
            continue
        if os.path.isdir(path) and not os.path.islink(path):
            remove_tree(path)
        else:
            os.unlink(path)


def _size(directory: str) -> int:
    return sum(
        os.lstat(os.path.join(parent, name)).st_size for parent, _names, names in os.walk(directory) for name in names
    )


def describe(wanted: Plan, done: Pruned | None = None) -> dict[str, t.Any]:
    """Return what the operator wants to know of a stack; before anything is done, what would be."""
    decision = wanted.decision
    removed = decision.remove if done is None else done.removed
    finished = wanted.left if done is None else done.finished
    kept = {id_: list(reasons) for id_, reasons in decision.keep.items()}
    if done is not None:
        kept.update({id_: ["held meanwhile"] for id_ in done.spared})
        kept.update({id_: ["not removed"] for id_ in decision.remove if id_ not in kept and id_ not in removed})
    return {
        "stack": wanted.stack,
        "removed": [_listed(wanted.entries[id_], size=wanted.sizes[id_]) for id_ in removed],
        "finished": list(finished),
        "bytes": sum(wanted.sizes[id_] for id_ in (*removed, *finished)),
        "kept": [_listed(entry, reasons=kept[id_]) for id_, entry in wanted.entries.items() if id_ in kept],
        "blocked": decision.blocked,
        "overdue": list(decision.overdue),
        "remarks": [*wanted.warnings, *decision.remarks],
        "error": done.error if done is not None else None,
    }


def _listed(entry: Entry, **more: t.Any) -> dict[str, t.Any]:
    standing = entry.standing
    why = standing.damage or "; ".join(standing.anomalies if standing.accepted is None else ()) or None
    return {"id": entry.backup.id, "standing": standing.word, "why": why, **more}
