# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell Prometheus about the last backup of a stack, in a file for the textfile collector of its node exporter.

The text format is described in https://prometheus.io/docs/instrumenting/exposition_formats/. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import datetime
import os
import typing as t
from dataclasses import dataclass

from ._anomaly import MARK
from ._files import partial_file, write_all

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._manifest import Manifest

# Where Debian's prometheus-node-exporter looks.
DEFAULT_DIRECTORY = "/var/lib/prometheus/node-exporter"


@dataclass(frozen=True)
class Attempt:
    """One try to take a backup; times are Unix times in seconds, ``latest`` is the manifest of the newest backup."""

    stack: str
    began: float
    ended: float
    succeeded: bool
    latest: Manifest | None


class Metric(t.NamedTuple):
    """One gauge with all its samples: pairs of labels and a value."""

    name: str
    meaning: str
    samples: Sequence[tuple[dict[str, str], float]]


def write(directory: str, attempt: Attempt) -> str | None:
    """Write the metrics of a stack and return where; None where there is no such directory. Raises OSError."""
    if not os.path.isdir(directory):
        return None
    path = os.path.join(directory, f"crm_backup_{attempt.stack}.prom")
    with partial_file(path) as descriptor:
        # For the exporter, which is a user of its own. There is no secret in it.
        os.fchmod(descriptor, 0o644)
        write_all(descriptor, render(attempt).encode())
    return path


def render(attempt: Attempt) -> str:
    """Return the metrics of a stack as text."""
    lines = []
    for metric in _metrics(attempt):
        lines.append(f"# HELP {metric.name} {metric.meaning}")
        lines.append(f"# TYPE {metric.name} gauge")
        lines += [
            f"{metric.name}{_labels({'stack': attempt.stack, **labels})} {value:.15g}"
            for labels, value in metric.samples
        ]
    return "\n".join(lines) + "\n"


def _metrics(attempt: Attempt) -> Iterator[Metric]:
    def one(name: str, meaning: str, value: float) -> Metric:
        return Metric(f"crm_backup_{name}", meaning, [({}, value)])

    yield one("last_attempt_timestamp_seconds", "When the last try to take a backup began.", attempt.began)
    yield one("last_attempt_duration_seconds", "How long it took.", attempt.ended - attempt.began)
    yield one("last_attempt_success", "Whether it ended with a complete backup.", float(attempt.succeeded))
    if attempt.latest is None:
        return
    manifest = attempt.latest
    yield one("cut_timestamp_seconds", "The instant that the newest backup belongs to.", _unix(manifest.cut_at))
    yield one("finished_timestamp_seconds", "When the newest backup was complete.", _unix(manifest.finished_at))
    yield one("size_bytes", "Size of all artifacts of the newest backup.", manifest.size)
    facts = [artifact.facts for artifact in manifest.artifacts]
    yield one("files", "Files in the archives of the newest backup.", sum(fact.get("files", 0) for fact in facts))
    yield one("rows", "Rows in its dumps.", sum(sum(fact.get("rows", {}).values()) for fact in facts))
    yield one("remarks", "Remarks on it, such as what it does not cover.", len(manifest.warnings))
    yield one(
        "anomalies",
        "What is out of the ordinary in it, compared with those before.",
        sum(warning.startswith(MARK) for warning in manifest.warnings),
    )
    yield one("freeze_seconds", "How long services stood still for it.", manifest.freeze["seconds"])
    yield Metric(
        "crm_backup_service_freeze_seconds",
        "How long each service stood still for it.",
        [
            ({"service": entry["service"], "mode": entry["mode"]}, entry["seconds"])
            for entry in _slowest(manifest.freeze["services"])
        ],
    )


def _slowest(services: Sequence[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return each service once: one that has several containers is as slow as the slowest of them."""
    found: dict[tuple[str, str], dict[str, t.Any]] = {}
    for entry in services:
        key = (entry["service"], entry["mode"])
        if key not in found or entry["seconds"] > found[key]["seconds"]:
            found[key] = entry
    return list(found.values())


def _unix(moment: str) -> float:
    return datetime.datetime.fromisoformat(moment).timestamp()


def _labels(labels: dict[str, str]) -> str:
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return "{" + ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items()) + "}"
