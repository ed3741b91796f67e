# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring a backup from one host to another through this machine, which keeps none of it.

Each file flows from a shell on the one host to a shell on the other. What was brought before an interruption is not
brought again; the checksums of the backup are compared on the target before it gets its name. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import os
import posixpath
import shlex
import typing as t
from dataclasses import dataclass

from ._backup_store import is_id
from ._errors import ProcessError, StoreError
from ._manifest import NAME, SUMS
from ._process import Pipeline, Stage, run

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# Exit code of a test that says no.
_NO = frozenset({0, 1})


@dataclass(frozen=True)
class Place:
    """A backup root on some host. ``shell`` are the words that run a line of shell there, such as those of ssh."""

    shell: tuple[str, ...]
    root: str
    become: tuple[str, ...] = ()

    def stage(self, what: str, line: str, accept: frozenset[int] = frozenset({0})) -> Stage:
        """Return a stage that runs a line of shell there."""
        words = shlex.join([*self.become, "sh", "-c", line]) if self.become else line
        return Stage(what, [*self.shell, words], accept=accept)

    def directory(self, stack: str, name: str) -> str:
        return posixpath.join(self.root, stack, name)


@dataclass(frozen=True)
class Request:
    """Which backup to bring, from where to where."""

    source: Place
    target: Place
    stack: str
    id: str


@dataclass(frozen=True)
class Plan:
    """What has to be brought; ``files`` are the sizes at the source, ``there`` those that the target has already.

    ``complete`` tells that the target has the backup, under its name and the same.
    """

    request: Request
    files: Mapping[str, int]
    there: Mapping[str, int]
    complete: bool

    @property
    def missing(self) -> int:
        """How many bytes have to be brought."""
        if self.complete:
            return 0
        return sum(size - self.have(path) for path, size in self.files.items())

    def have(self, path: str) -> int:
        """Return how much of a file is there and can be continued."""
        found = self.there.get(path, 0)
        return found if found <= self.files[path] else 0


def plan(request: Request) -> Plan:
    """Look at both hosts. Raises StoreError when there is no such backup, or another one under its name."""
    if not is_id(request.id):
        raise StoreError(f"{request.id!r} is not the ID of a backup.")
    source, target = request.source, request.target
    directory = source.directory(request.stack, request.id)
    files = _sizes(source, directory, "the source")
    if NAME not in files or SUMS not in files:
        raise StoreError(f"There is no backup {request.id} of stack {request.stack} in {source.root} of the source.")
    final = target.directory(request.stack, request.id)
    if not _sizes(target, final, "the target"):
        there = _sizes(target, _incoming(request), "the target")
        return Plan(request, files, there, complete=False)
    theirs, ours = (_sums(place, place.directory(request.stack, request.id)) for place in (source, target))
    if theirs != ours:
        raise StoreError(
            f"The target has another backup {request.id} of stack {request.stack} in {final}. Move it away first."
        )
    return Plan(request, files, {}, complete=True)


def apply(wanted: Plan) -> None:
    """Bring what is missing, compare the checksums, and give the backup its name; after a failure, run it again."""
    if wanted.complete:
        return
    request = wanted.request
    source, target = request.source, request.target
    incoming = _incoming(request)
    directories = sorted({posixpath.dirname(posixpath.join(incoming, path)) for path in wanted.files})
    _run(target, "make directories on the target", f"umask 077 && mkdir -p -- {shlex.join(directories)}")
    for path, size in sorted(wanted.files.items()):
        _bring(wanted, path, size)
    if _sums(source, source.directory(request.stack, request.id)) != _sums(target, incoming):
        raise StoreError(f"Backup {request.id} was changed at the source while it was brought. Run this again.")
    _prove(target, incoming)
    final = target.directory(request.stack, request.id)
    line = f"mv -T -- {shlex.quote(incoming)} {shlex.quote(final)} && sync -f {shlex.quote(final)}"
    _run(target, "name the backup on the target", line)


def _incoming(request: Request) -> str:
    # No name of a backup, and none of an unfinished one that the next backup clears away.
    return request.target.directory(request.stack, f".{request.id}.incoming")


def _sizes(place: Place, directory: str, which: str) -> dict[str, int]:
    """Return the files below a directory; none where there is no such directory."""
    quoted = shlex.quote(directory)
    line = f"if [ -d {quoted} ]; then find {quoted} -type f -printf '%s %P\\0'; fi"
    printed = run(place.stage(f"list {directory} on {which}", line)).stdout
    entries = (entry.partition(b" ") for entry in printed.split(b"\0") if entry)
    return {os.fsdecode(path): int(size) for size, _space, path in entries}


def _sums(place: Place, directory: str) -> bytes:
    return run(place.stage(f"read {SUMS}", f"cat -- {shlex.quote(posixpath.join(directory, SUMS))}")).stdout


def _run(place: Place, what: str, line: str) -> None:
    run(place.stage(what, line))


def _bring(wanted: Plan, path: str, size: int) -> None:
    request, have = wanted.request, wanted.have(path)
    if have == size and path in wanted.there:
        return
    source = shlex.quote(posixpath.join(request.source.directory(request.stack, request.id), path))
    target = shlex.quote(posixpath.join(_incoming(request), path))
    # A file that is longer than it should be is begun again.
    redirect = ">>" if have else ">"
    stages = [
        request.source.stage(f"read {path} at the source", f"tail -c +{have + 1} -- {source}"),
        request.target.stage(f"write {path} on the target", f"umask 077 && cat {redirect} {target}"),
    ]
    with open(os.devnull, "rb") as nothing, Pipeline(stages, stdin=nothing.fileno()):
        pass


def _prove(place: Place, directory: str) -> None:
    """Compare every checksum on the target; what is damaged is removed, so that the next run brings it again."""
    quoted = shlex.quote(directory)
    line = f"cd {quoted} && LC_ALL=C sha256sum --check --strict {SUMS}"
    checked = run(place.stage("compare the checksums on the target", line, _NO))
    if checked.returncode == 0:
        return
    lines = checked.stdout.decode(errors="surrogateescape").splitlines()
    bad = [line.rpartition(": ")[0] for line in lines if line.endswith(": FAILED")]
    if not bad:
        raise ProcessError(f"The checksums of {directory} cannot be compared on the target: {checked.stderr.strip()}")
    _run(place, "remove damaged files on the target", f"cd {quoted} && rm -f -- {shlex.join(bad)}")
    raise StoreError(
        f"What was brought to {directory} differs from the source: {', '.join(bad)}. It was removed there. Run this "
        "again; if it happens again, verify the backup at the source (crm.continuity.verify)."
    )
