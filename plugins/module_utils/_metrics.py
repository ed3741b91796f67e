# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tell Prometheus how the backups of a host stand, in files for the textfile collector of its node exporter.

    crm_backup_<stack>.prom   one for each stack
    crm_backup_host.prom      the host: disk, audit log, version
    crm_backup_engine.prom    whether the container engine answers, written by who has asked it

They are drawn from the manifests and the audit log, as the answer of backup_status is. The text format is described in
https://prometheus.io/docs/instrumenting/exposition_formats/. Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import os
import time
import typing as t
import urllib.parse
from dataclasses import dataclass, field

from . import _status_facts as facts
from ._audit_chain import ANOMALOUS, FAILED, OK
from ._backup_store import DEFAULT_METRICS
from ._errors import ContinuityError
from ._files import partial_file, write_all
from ._retention import DAMAGED, VERIFIED
from ._space import space
from ._status import Attempt, StackStatus, shortened
from ._status_words import instant
from ._version import VERSION

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ._space import Space
    from ._status_facts import Facts

DEFAULT_DIRECTORY = DEFAULT_METRICS
# Files that are not those of a stack.
HOST, ENGINE, SCHEDULE = "host", "engine", "schedule"
RESERVED = (HOST, ENGINE, SCHEDULE)


class Metric(t.NamedTuple):
    """One gauge with all its samples: pairs of labels and a value."""

    name: str
    meaning: str
    samples: Sequence[tuple[dict[str, str], float]]


@dataclass
class Report:
    """The metrics of one try to take a backup.

    ``engine`` is whether the container engine has answered, None where nobody asked it.
    """

    directory: str
    root: str
    stack: str
    began: float = field(default_factory=time.time)
    engine: bool | None = False

    def succeed(self, result: str) -> tuple[str | None, list[str]]:
        """Tell of a backup that was taken; return where, and what went wrong with that."""
        try:
            return self.write(result), []
        except OSError as exc:
            return None, [unwritten(self.directory, exc)]

    def write(self, result: str, message: str | None = None) -> str | None:
        """Write them and return where; None where there is no such directory. Raises OSError."""
        ended = datetime.datetime.now(datetime.timezone.utc)
        attempt = Attempt(
            at=ended.isoformat(timespec="milliseconds"),
            result=result,
            message=message,
            seconds=ended.timestamp() - self.began,
        )
        return update(self.directory, self.root, self.stack, attempt=attempt, engine=self.engine)


@contextlib.contextmanager
def attempted(directory: str, root: str, stack: str) -> Iterator[Report]:
    """Tell of a backup that fails in the block; one that succeeds is told by the block."""
    report = Report(directory, root, stack)
    try:
        yield report
    except BaseException as exc:
        # The failure is what the operator has to know of.
        with contextlib.suppress(OSError, ContinuityError):
            report.write(FAILED, shortened(str(exc)))
        raise


def refresh(directory: str, root: str, stack: str | None = None) -> list[str]:
    """Write the metrics of one stack or all after something was noted; return what went wrong, in words."""
    try:
        update(directory, root, stack)
    except OSError as exc:
        return [unwritten(directory, exc)]
    return []


def unwritten(directory: str, exc: OSError) -> str:
    """Return the remark on metrics that could not be written."""
    return f"The metrics could not be written to {directory}: {exc.strerror}."


def update(
    directory: str,
    root: str,
    stack: str | None = None,
    *,
    attempt: Attempt | None = None,
    engine: bool | None = None,
) -> str | None:
    """Write the files of a stack or of all, and that of the host; return the one of the stack, or the directory.

    ``attempt`` is a try to back up the stack that the audit log may not know. Returns None where there is no such
    directory. Raises OSError.
    """
    if not os.path.isdir(directory):
        return None
    known = facts.read(root, [(stack, attempt)] if stack and attempt else ())
    disk = None
    # That the disk is gone must not keep anybody from being told that the backup failed.
    with contextlib.suppress(OSError):
        disk = space(root)
    files = {HOST: render(host_metrics(known, disk, time.time()))}
    if engine is not None:
        up = Metric("crm_backup_engine_up", "Whether the container engine answered when asked last.", [({}, engine)])
        files[ENGINE] = render([up])
    for status in known.stacks if stack is None else [known.stack(stack)]:
        name = file_name(status.stack)
        # The log knows of tries for ever. Where somebody has removed the file, the stack was given up, or never was.
        if stack is None and not status.backups and not os.path.exists(metrics_path(directory, name)):
            continue
        files[name] = render(stack_metrics(status), {"stack": status.stack})
    publish(directory, files)
    return directory if stack is None else metrics_path(directory, file_name(stack))


def metrics_path(directory: str, name: str) -> str:
    """Return the path of the file that is called so: HOST, ENGINE, SCHEDULE or the ``file_name`` of a stack."""
    return os.path.join(directory, f"crm_backup_{name}.prom")


def file_name(stack: str) -> str:
    """Return what the file of a stack is called, which is no path and not the name of another file of ours."""
    if stack in RESERVED:
        return f"%{ord(stack[0]):X}{stack[1:]}"
    return urllib.parse.quote(stack, safe="")


def publish(directory: str, files: Mapping[str, str]) -> None:
    """Replace files of a directory, given by what they are called, each in one step. Raises OSError."""
    with _alone_in(directory):
        for name, text in files.items():
            with partial_file(metrics_path(directory, name)) as descriptor:
                # For the exporter, which is a user of its own. There is no secret in it.
                os.fchmod(descriptor, 0o644)
                write_all(descriptor, text.encode(errors="replace"))


@contextlib.contextmanager
def _alone_in(directory: str) -> Iterator[None]:
    """Let nobody else of us write there: two would use the same name for what is not complete."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def render(metrics: Iterable[Metric], labels: dict[str, str] | None = None) -> str:
    """Return metrics as text, each with the same labels beside its own; one without samples is left out."""
    lines = []
    for metric in metrics:
        if not metric.samples:
            continue
        lines.append(f"# HELP {metric.name} {metric.meaning}")
        lines.append(f"# TYPE {metric.name} gauge")
        lines += [f"{metric.name}{_labels({**(labels or {}), **own})} {value:.15g}" for own, value in metric.samples]
    return "".join(f"{line}\n" for line in lines)


def stack_metrics(status: StackStatus) -> Iterator[Metric]:
    """Yield what there is to tell of one stack; what never happened has no metric."""
    yield from _of_times(status)
    yield _one("backups", "How many backups there are.", status.backups)
    yield _one("stored_bytes", "Size of all backups.", status.bytes)
    yield _one("held", "How many backups are held.", status.held)
    if status.latest is not None:
        yield from _of_latest(status)


def host_metrics(known: Facts, disk: Space | None, now: float) -> Iterator[Metric]:
    """Yield what there is to tell of the host; nothing of a disk that cannot be looked at."""
    info = [({"version": VERSION}, 1.0)]
    yield Metric("crm_backup_info", "The version of the collection that has written this.", info)
    yield _one("written_timestamp_seconds", "When it was written.", now)
    yield _one("stacks", "How many stacks have backups here, or should have.", len(known.stacks))
    yield _one("log_intact", "Whether no event of the audit log was lost or changed.", known.problem is None)
    if disk is None:
        return
    yield _one("disk_total_bytes", "Size of the file system of the backups.", disk.total)
    yield _one("disk_free_bytes", "What is left of it.", disk.free)
    yield _one("disk_used_percent", "How full it is, as df counts.", disk.used_percent)


def _of_times(status: StackStatus) -> Iterator[Metric]:
    attempt = status.attempt
    if attempt is not None:
        ended = _unix(attempt.at)
        began = ended - (attempt.seconds or 0)
        yield _one("last_attempt_timestamp_seconds", "When the last try to take a backup began.", began)
        if attempt.seconds is not None:
            yield _one("last_attempt_duration_seconds", "How long it took.", attempt.seconds)
        success = attempt.result in (OK, ANOMALOUS)
        yield _one("last_attempt_success", "Whether it ended with a complete backup.", success)
    moments = (
        ("first", "Since when there are backups.", status.first_at),
        ("last_success", "When a backup was last complete.", status.last_success),
        ("last_verified", "When one was last read as a whole and found sound.", status.last_verified),
        ("last_drilled", "When one was last restored for a proof.", status.last_drilled),
        ("last_uploaded", "When one was last copied elsewhere.", status.last_uploaded),
        ("restorable_to", "The instant that the stack can be restored to.", status.restorable_to),
        ("verified_to", "The same of the newest backup that was verified.", status.verified_to),
    )
    for name, meaning, moment in moments:
        if moment is not None:
            yield _one(f"{name}_timestamp_seconds", meaning, _unix(moment))


def _of_latest(status: StackStatus) -> Iterator[Metric]:
    latest = status.latest
    if latest is None:
        return
    yield _one("cut_timestamp_seconds", "The instant that the newest backup belongs to.", _unix(latest.cut_at))
    if latest.finished_at is not None:
        yield _one("finished_timestamp_seconds", "When the newest backup was complete.", _unix(latest.finished_at))
    numbers = (
        ("size_bytes", "Size of all artifacts of the newest backup.", latest.size),
        ("duration_seconds", "How long it took to take it.", latest.seconds),
        ("artifacts", "How many artifacts it has.", latest.artifacts),
        ("files", "Files in its archives.", latest.files),
        ("rows", "Rows in its dumps.", latest.rows),
        ("freeze_seconds", "How long services stood still for it.", latest.freeze_seconds),
    )
    for name, meaning, value in numbers:
        if value is not None:
            yield _one(name, meaning, value)
    yield _one("remarks", "Remarks on it, such as what it does not cover.", latest.remarks)
    anomalies = 0 if latest.accepted else len(latest.anomalies)
    yield _one("anomalies", "What is out of the ordinary in it, compared with those before.", anomalies)
    yield _one("accepted", "Whether somebody said that it is as it should be.", latest.accepted is not None)
    yield _one("verified", "Whether it was read as a whole and found sound.", latest.word == VERIFIED)
    yield _one("damaged", "Whether it is known to be damaged.", latest.word == DAMAGED)
    if latest.services:
        yield Metric(
            "crm_backup_service_freeze_seconds",
            "How long each service stood still for it.",
            [({"service": one["service"], "mode": one["mode"]}, one["seconds"]) for one in latest.services],
        )


def _one(name: str, meaning: str, value: float) -> Metric:
    return Metric(f"crm_backup_{name}", meaning, [({}, float(value))])


def _unix(moment: str) -> float:
    return instant(moment).timestamp()


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    return "{" + ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels.items()) + "}"
