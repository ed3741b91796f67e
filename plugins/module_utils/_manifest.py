# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The manifest: what a backup holds and what it was taken from.

``docs/schemas/manifest.schema.json`` is the published form. The manifest and every artifact are listed in
``SHA256SUMS``, so that ``sha256sum --check`` proves a backup with stock tools. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import typing as t
from dataclasses import asdict, dataclass, field

from ._errors import StoreError

if t.TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
NAME = "manifest.json"
SUMS = "SHA256SUMS"
# Of the host, over SUMS; see _signature.py.
SIGNATURE = "SHA256SUMS.sig"

KINDS = ("archive", "deletions", "dump", "globals", "config", "instructions")

# What a reader may rely on, and the JSON type of it.
_ARTIFACT = {
    "path": str,
    "kind": str,
    "size": int,
    "sha256": str,
    "plain_sha256": str,
    "source": (str, type(None)),
    "compression": str,
    "facts": dict,
}
_MANIFEST = {
    **dict.fromkeys(("id", "stack", "host", "started_at", "cut_at", "finished_at", "collection_version"), str),
    **dict.fromkeys(("source", "freeze", "encryption", "tools"), dict),
}
_SOURCE = {
    "project_dir": (str, type(None)),
    **dict.fromkeys(
        ("profiles", "compose_files", "environment_files", "services", "volumes", "databases", "redis"), list
    ),
}
_FREEZE = {"seconds": (int, float), "services": list}
# A name that sha256sum writes as it is; it escapes others.
_PATH = re.compile(r"[^\x00-\x1f\x7f\\]+")


@dataclass(frozen=True)
class Artifact:
    """One file of a backup.

    ``path`` is relative to the backup. ``size`` (bytes) and ``sha256`` are of the file as it lies there,
    ``plain_sha256`` is of the compressed file before encryption. ``source`` is the volume or database that it holds;
    ``facts`` are the counts that a restore compares: files, directories, others and content_bytes of an archive as
    they were at the cut, and how many names it holds that were superseded or deleted before; rows by table of a dump.
    Of a dump they also name the server, for two servers may have databases of one name.

    The names that an archive holds and that were deleted before the cut are an artifact of kind ``deletions``, with
    the ``source`` of the archive.
    """

    path: str
    kind: str
    size: int
    sha256: str
    plain_sha256: str
    source: str | None = None
    compression: str = "none"
    facts: dict[str, t.Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """One backup of one stack. Times are RFC 3339 in UTC, ``freeze`` seconds are wall-clock.

    ``origin`` says what files a backup was made of that other means had written before.
    """

    id: str
    stack: str
    host: str
    started_at: str
    cut_at: str
    finished_at: str
    collection_version: str
    source: dict[str, t.Any]
    freeze: dict[str, t.Any]
    artifacts: tuple[Artifact, ...]
    session: tuple[dict[str, t.Any], ...] = ()
    encryption: dict[str, t.Any] = field(default_factory=lambda: {"method": "none", "recipients": []})
    tools: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    origin: dict[str, t.Any] | None = None
    format: int = FORMAT

    @property
    def size(self) -> int:
        return sum(artifact.size for artifact in self.artifacts)

    def find(self, kind: str, source: str | None = None) -> Artifact | None:
        """Return the artifact of a kind that holds ``source``, or None."""
        return next((a for a in self.artifacts if a.kind == kind and source in (None, a.source)), None)

    def database(self, dump: Artifact) -> dict[str, t.Any]:
        """Return what ``source`` says of the database that a dump holds; raise StoreError when that is nothing."""
        for database in self.source["databases"]:
            # Two servers may have databases of one name.
            server = dump.facts.get("server", database["globals"])
            if (database["name"], database["globals"]) == (dump.source, server):
                return dict(database)
        raise StoreError(f"The manifest of backup {self.id} does not describe the database of {dump.path}.")


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as it is written."""
    return (json.dumps(asdict(manifest), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode(
        errors="surrogateescape"
    )


def sums(manifest: Manifest, encoded: bytes) -> bytes:
    """Return SHA256SUMS: the manifest and all artifacts, in the format of ``sha256sum``."""
    lines = [f"{hashlib.sha256(encoded).hexdigest()}  {NAME}"]
    lines += [f"{artifact.sha256}  {artifact.path}" for artifact in manifest.artifacts]
    return ("\n".join(lines) + "\n").encode(errors="surrogateescape")


def read(directory: str) -> Manifest:
    """Read and check the manifest of the backup in ``directory``.

    Raises StoreError when it is missing, does not match SHA256SUMS, is of a newer format or names a file outside.
    """
    return read_with_sums(directory)[0]


def read_with_sums(directory: str) -> tuple[Manifest, bytes]:
    """Read and check a manifest; return it with the SHA256SUMS that it was compared with. Raises like ``read``."""
    encoded = _content(directory, NAME)
    listed = _content(directory, SUMS)
    if f"{hashlib.sha256(encoded).hexdigest()}  {NAME}".encode() not in listed.splitlines():
        raise StoreError(
            f"{directory}/{NAME} does not match {SUMS}: one of the two was changed after the backup. "
            "Use another backup, or a copy of this one.",
            path=directory,
        )
    manifest = decode(encoded, directory)
    if sums(manifest, encoded) != listed:
        raise StoreError(f"{directory}/{SUMS} was changed after the backup. Use another copy of it.", path=directory)
    return manifest, listed


def decode(encoded: bytes, where: str) -> Manifest:
    """Build a manifest from its JSON; raise StoreError when it is not one of ours."""
    try:
        data = json.loads(encoded.decode(errors="surrogateescape"))
        found = data["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise StoreError(f"{where}/{NAME} is not a manifest: {exc!r}.", path=where) from exc
    if not isinstance(found, int) or isinstance(found, bool) or not 1 <= found <= FORMAT:
        raise StoreError(
            f"{where}/{NAME} has format {found}, and this version of crm.continuity reads up to {FORMAT}. "
            "Restore it with the version that wrote it, or a newer one.",
            path=where,
        )
    try:
        artifacts = tuple(Artifact(**artifact) for artifact in data.pop("artifacts"))
        for name in ("session", "warnings"):
            data[name] = tuple(data[name])
        manifest = Manifest(artifacts=artifacts, **data)
    except (TypeError, KeyError, AttributeError) as exc:
        raise StoreError(f"{where}/{NAME} is not a complete manifest: {exc}.", path=where) from exc
    _check_types("the manifest", vars(manifest), _MANIFEST, where)
    _check_types("source", manifest.source, _SOURCE, where)
    _check_types("freeze", manifest.freeze, _FREEZE, where)
    for artifact in manifest.artifacts:
        _check_types("an artifact", vars(artifact), _ARTIFACT, where)
    _check_paths(manifest, where)
    return manifest


def _check_types(subject: str, holder: t.Any, types: Mapping[str, t.Any], where: str) -> None:
    for name, type_ in types.items():
        if not isinstance(holder, dict) or not isinstance(holder.get(name, ...), type_):
            raise StoreError(
                f"{where}/{NAME} is not a complete manifest: {name} of {subject} is missing or no {_named(type_)}.",
                path=where,
            )


def _named(type_: t.Any) -> str:
    return " or ".join(one.__name__ for one in (type_ if isinstance(type_, tuple) else (type_,)))


def _check_paths(manifest: Manifest, where: str) -> None:
    taken = {NAME, SUMS, SIGNATURE}
    for artifact in manifest.artifacts:
        path = artifact.path
        inside = not path.startswith(("/", "..")) and posixpath.normpath(path) == path != "."
        if not inside or not _PATH.fullmatch(path) or artifact.kind not in KINDS or path in taken:
            raise StoreError(f"{where}/{NAME} names an artifact {path!r} that cannot be right.", path=where)
        taken.add(path)


def _content(directory: str, name: str) -> bytes:
    path = os.path.join(directory, name)
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist, so {directory} is not a complete backup.", path=directory) from None
    except OSError as exc:
        # One bad disk block must not hide the other backups of a list.
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Use another backup.", path=directory) from exc
