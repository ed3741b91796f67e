# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell a backup that looks wrong from one that looks like those before it: a pure function of their manifests.

A dump that succeeded may hold an emptied table, and an archive files that somebody has encrypted. Such a backup is kept
and marked, and never takes the place of a good one. Standard library only. Private to this collection.
"""

from __future__ import annotations

import fnmatch
import statistics
import typing as t
from dataclasses import dataclass, fields

from ._errors import StoreError
from ._stack_settings import of_stack

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ._manifest import Artifact, Manifest

# How the remark on an anomaly begins in a manifest.
MARK = "Anomalous: "
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Limits:
    """What is still normal, compared with the median of the last ``history`` good backups; 0 turns a rule off.

    ``min_size`` is in bytes, for all artifacts together. The drops are in percent: of rows, files, and bytes. So is
    ``ratio_drop``, of what compression saves, and ``changed``, of the files that changed since the backup before.
    ``growth`` is how many times as much is too much. Numbers below ``min_rows`` and ``min_files`` say nothing.
    ``ignore`` are patterns of what is not compared: ``chatwoot.public.sessions``, ``crm_storage``.
    """

    history: int = 10
    min_size: int = MEGABYTE
    rows_drop: float = 50
    files_drop: float = 50
    bytes_drop: float = 50
    ratio_drop: float = 40
    changed: float = 60
    growth: float = 10
    min_rows: int = 100
    min_files: int = 20
    ignore: tuple[str, ...] = ()


NORMAL = Limits()


@dataclass(frozen=True)
class Anomaly:
    """One rule that a backup breaks, what of it does, and what there is to say."""

    rule: str
    subject: str
    message: str


@dataclass(frozen=True)
class _Measure:
    """A number to compare: by which limits, and below what it says nothing."""

    words: str
    value: float
    drop: float
    growth: float
    least: float
    rule: str


def limits(given: Mapping[str, t.Any], stack: str) -> Limits:
    """Return the limits for a stack: those that are given, and over them those given for it in ``stacks``.

    Raises StoreError for what makes no sense.
    """
    wanted = of_stack(given, stack)
    known = {field.name for field in fields(Limits)}
    for name, value in wanted.items():
        if name not in known:
            raise StoreError(f"anomaly has no limit {name}. It has {', '.join(sorted(known))} and stacks.")
        if name == "ignore":
            if not isinstance(value, (list, tuple)) or not all(isinstance(one, str) for one in value):
                raise StoreError(f"anomaly: ignore is {value!r}, and has to be a list of patterns.")
            wanted[name] = tuple(value)
            continue
        whole = name in ("history", "min_size", "min_rows", "min_files")
        if not isinstance(value, int if whole else (int, float)) or isinstance(value, bool) or value < 0:
            raise StoreError(f"anomaly: {name} is {value!r}, and has to be a number from 0 on.")
    return Limits(**wanted)


def anomalies(current: Manifest, history: Sequence[Manifest], wanted: Limits) -> tuple[Anomaly, ...]:
    """Compare a backup with the good ones before it, the oldest first; return all that is out of the ordinary."""
    before = list(history)[-wanted.history :] if wanted.history else []
    found = [*_small(current, before, wanted)]
    if before:
        found += _missing(current, before[-1], wanted)
        found += _compared(current, before, wanted)
    return tuple(found)


def _small(current: Manifest, before: Sequence[Manifest], wanted: Limits) -> Iterator[Anomaly]:
    # One that small was good before.
    if current.size >= wanted.min_size or any(one.size < wanted.min_size for one in before):
        return
    yield Anomaly(
        "min_size",
        current.stack,
        f"all of it has {current.size} bytes, and min_size is {wanted.min_size}.",
    )


def _missing(current: Manifest, last: Manifest, wanted: Limits) -> Iterator[Anomaly]:
    """Name what the last good backup holds, and this one does not."""
    there = _parts(current)
    for name, artifact in _parts(last).items():
        if name not in there:
            if not _ignored(artifact.source or "", wanted):
                yield Anomaly("missing", name, f"{name} is not in it, and was in backup {last.id}.")
            continue
        tables = there[name].facts.get("rows", {})
        for table, rows in artifact.facts.get("rows", {}).items():
            if rows and table not in tables and not _ignored(f"{artifact.source}.{table}", wanted):
                words = f"table {table} of {name}"
                yield Anomaly("missing", words, f"{words} is not in it, and had {rows} rows in backup {last.id}.")


def _parts(manifest: Manifest) -> dict[str, Artifact]:
    """Return archives and dumps by what they hold."""
    found = {}
    for artifact in manifest.artifacts:
        if artifact.kind == "archive":
            found[f"volume {artifact.source}"] = artifact
        elif artifact.kind == "dump":
            server = artifact.facts.get("server")
            found[f"database {artifact.source}{f' on {server}' if server else ''}"] = artifact
    return found


def _compared(current: Manifest, before: Sequence[Manifest], wanted: Limits) -> Iterator[Anomaly]:
    past = [_measures(one, wanted) for one in before]
    for subject, measure in _measures(current, wanted).items():
        values = [one[subject].value for one in past if subject in one]
        if values:
            yield from _judged(subject, measure, values)


def _judged(subject: str, measure: _Measure, values: Sequence[float]) -> Iterator[Anomaly]:
    usual = statistics.median(values)
    if measure.rule == "changed":
        # What is usual for this stack is no anomaly: a small one may change as a whole every day.
        if measure.drop and measure.value > measure.drop >= max(values):
            message = f"{measure.value:.0f} % of the {measure.words}, and it was {usual:.0f} % before."
            yield Anomaly(measure.rule, subject, message)
        return
    said = f"{measure.words}: {_number(measure.value)}, and it was {_number(usual)} in the backups before."
    if measure.drop and usual >= measure.least and measure.value < usual * (100 - measure.drop) / 100:
        yield Anomaly(measure.rule, subject, said)
    if measure.growth and measure.value >= measure.least and measure.value > max(values) * measure.growth:
        yield Anomaly("growth", subject, said)


def _number(value: float) -> str:
    return f"{value:.1f}" if value % 1 else f"{value:.0f}"


def _measures(manifest: Manifest, wanted: Limits) -> dict[str, _Measure]:
    """Return all numbers of a backup that are worth comparing."""
    found: dict[str, _Measure] = {}

    def add(subject: str, value: float, rule: str, least: float, *, growth: bool = True) -> None:
        drop = getattr(wanted, rule)
        found[subject] = _Measure(subject, value, drop, wanted.growth if growth else 0, least, rule)

    places = {cache.get("volume") for cache in manifest.source["redis"]}
    caches = {data.get("name") for data in manifest.source["volumes"] if data.get("source") in places}
    add("bytes of all artifacts", manifest.size, "bytes_drop", MEGABYTE)
    for name, artifact in _parts(manifest).items():
        # A Redis writes its files anew when it sees fit.
        if _ignored(artifact.source or "", wanted) or artifact.source in caches:
            continue
        facts = artifact.facts
        if artifact.kind == "dump":
            rows = facts.get("rows", {})
            add(f"rows of {name}", sum(rows.values()), "rows_drop", wanted.min_rows)
            for table, count in rows.items():
                if not _ignored(f"{artifact.source}.{table}", wanted):
                    add(f"rows of table {table} of {name}", count, "rows_drop", wanted.min_rows, growth=False)
            add(f"bytes of {_how(artifact)} of {name}", artifact.size, "bytes_drop", MEGABYTE)
            continue
        add(f"files of {name}", facts.get("files", 0), "files_drop", wanted.min_files)
        content = facts.get("content_bytes", 0)
        add(f"bytes in {name}", content, "bytes_drop", MEGABYTE)
        # What is in an archive twice says nothing of how it compresses.
        rewritten = facts.get("superseded", 0) * 10 > facts.get("files", 0)
        if content >= MEGABYTE and artifact.size and artifact.compression != "none" and not rewritten:
            ratio = 100 * content / artifact.size
            # What cannot be compressed has lost nothing.
            add(f"bytes in {name} for 100 of {_how(artifact)}", ratio, "ratio_drop", 130, growth=False)
        if "changed" in facts and facts.get("files", 0) >= wanted.min_files:
            words = f"files of {name} changed since the backup before"
            share = 100 * facts["changed"] / facts["files"]
            found[words] = _Measure(words, share, wanted.changed, 0, 0, "changed")
    return found


def _how(artifact: Artifact) -> str:
    """Name the file in a way that only those of the same compression are compared."""
    return "dump" if artifact.compression == "none" else f"{artifact.compression} file"


def _ignored(name: str, wanted: Limits) -> bool:
    matches: Callable[[str, str], bool] = fnmatch.fnmatchcase
    return any(matches(name, pattern) for pattern in wanted.ignore)
