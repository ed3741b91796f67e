# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check one artifact of a backup against its manifest: its place and size, or all of its content.

    file → decryptor → hash → decompressor → gate, listing
         ↘ hash

The file is read once: what hashes it and what decompresses it go along with each other. Standard library only.
Private to this collection.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import typing as t
from dataclasses import dataclass

from ._compression import decompress_stage
from ._deletions import opened
from ._dump_contents import table_data
from ._dump_file import MAGIC, PLAIN, read_dump, survey_script
from ._encryption import decrypt_stage, detect, held, start_of
from ._errors import ArchiveError, ContinuityError, DatabaseError
from ._files import file_sha256, read_chunks, size_or_problem, write_all
from ._pg_commands import restore_list
from ._process import Alongside, Pipeline, Stage
from ._tar_gate import check as check_archive

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._backup_store import Backup
    from ._manifest import Artifact, Manifest

# What every manifest says of an archive; the other facts were not always written.
ALWAYS = ("files", "directories")
WORDS = {"others": "other entries", "superseded": "superseded names", "deleted": "deleted names"}


@dataclass(frozen=True)
class Checked:
    """What was found of an artifact; ``read`` bytes of it were read. ``opened`` tells whether its content was, too."""

    problems: tuple[str, ...] = ()
    read: int = 0
    opened: bool = False
    remarks: tuple[str, ...] = ()


def look(backup: Backup, artifact: Artifact) -> Checked:
    """Check that an artifact is there as a file of its size."""
    found = size_or_problem(os.path.join(backup.path, artifact.path))
    if isinstance(found, str):
        return Checked((found,))
    if found != artifact.size:
        return Checked((f"has {found} bytes, and {artifact.size} are expected",))
    return Checked()


def check(backup: Backup, manifest: Manifest, artifact: Artifact) -> Checked:
    """Read an artifact and compare its checksum, and what is in it with the manifest.

    One that is encrypted is only opened where this run holds the key.
    """
    found = look(backup, artifact)
    if found.problems:
        return found
    path = os.path.join(backup.path, artifact.path)
    content = _Content(path, artifact)
    try:
        has_key = _has_key(path)
        with Alongside(lambda: file_sha256(path), lambda: None) as reader:
            problems = _opened(backup, manifest, artifact, content) if has_key else []
    except OSError as exc:
        return Checked((f"cannot be read: {exc.strerror}",), artifact.size)
    sha256 = reader.result.sha256
    if sha256 != artifact.sha256:
        # Whatever else was found, that is the reason.
        damage = f"is damaged: its SHA-256 is {sha256}, and {artifact.sha256} is expected"
        return Checked((damage,), artifact.size)
    return Checked(tuple(problems), artifact.size, has_key, tuple(content.remarks))


def _has_key(path: str) -> bool:
    keys = held()
    return {"age": keys.identity_file, "aes256": keys.passphrase_file}.get(detect(path), "none is needed") is not None


def belonging(manifest: Manifest, kind: str, other: Artifact) -> Artifact | None:
    """Return the archive of a list, or the list of an archive."""
    return None if other.source is None else manifest.find(kind, other.source)


class _Content:
    """What is in an artifact, and what its checksum was before encryption, once that was read to its end."""

    def __init__(self, path: str, artifact: Artifact) -> None:
        self.path = path
        self.artifact = artifact
        self.remarks: list[str] = []
        self._plain = hashlib.sha256()

    @contextlib.contextmanager
    def reading(self) -> Iterator[t.BinaryIO]:
        """Yield a stream of the content, decrypted and decompressed."""
        method = detect(self.path)
        unpack = decompress_stage(self.artifact.compression, f"decompress {self.path}")
        stages = [unpack or Stage(f"read {self.path}", ["cat"])]
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(open(self.path, "rb"))
            decrypt = decrypt_stage(method, held(), f"decrypt {self.path}")
            if decrypt is None:
                yield stack.enter_context(Pipeline(stages, stdin=stream.fileno())).stdout
                return
            # A wrong key has words of its own.
            start_of(self.path, 1)
            outer = stack.enter_context(Pipeline([decrypt], stdin=stream.fileno()))
            inner = stack.enter_context(Pipeline(stages))
            # Who reads no more lets the decompressor end, and that the copying.
            stack.enter_context(Alongside(lambda: self._copy(outer, inner), inner.close_stdout))
            yield inner.stdout
        if self._plain.hexdigest() != self.artifact.plain_sha256:
            raise ArchiveError("holds something else before its encryption than the manifest says")

    def drain(self) -> bytes:
        """Read all of it and return the first bytes."""
        start = b""
        with self.reading() as stream:
            for chunk in read_chunks(stream):
                start = start or chunk[: len(MAGIC)]
        return start

    def _copy(self, outer: Pipeline, inner: Pipeline) -> None:
        try:
            for chunk in read_chunks(outer.stdout):
                self._plain.update(chunk)
                write_all(inner.stdin.fileno(), chunk)
        except BrokenPipeError:
            # The decompressor has died, or is not needed any more: its end is looked at elsewhere.
            return
        finally:
            inner.close_stdin()


def _opened(backup: Backup, manifest: Manifest, artifact: Artifact, content: _Content) -> list[str]:
    try:
        if artifact.kind == "archive":
            return _check_archive(backup, manifest, content)
        if artifact.kind == "dump":
            return _check_dump(content)
        if artifact.kind == "deletions":
            with opened(content.path):
                # Whether its names are in the archive is a question to the archive.
                pass
        if detect(content.path) != "none" or artifact.compression != "none":
            content.drain()
    except ContinuityError as exc:
        return [str(exc)]
    except OSError as exc:
        return [f"cannot be read: {exc.strerror}"]
    return []


def _check_archive(backup: Backup, manifest: Manifest, content: _Content) -> list[str]:
    artifact = content.artifact
    listed = belonging(manifest, "deletions", artifact)
    with contextlib.ExitStack() as stack:
        try:
            if listed is None:
                deletions = stack.enter_context(opened(None))
            else:
                deletions = stack.enter_context(opened(os.path.join(backup.path, listed.path), listed.sha256))
        except (ArchiveError, OSError):
            # That is said of the list itself. Without it, the archive can't be counted.
            deletions = None
        with content.reading() as stream:
            passed = check_archive(stream.fileno(), subject=artifact.path, allow_devices=True, deleted=deletions or ())
    if deletions is None:
        return []
    found = {
        "files": passed.files,
        "directories": passed.directories,
        "others": passed.others,
        "superseded": passed.duplicates,
        "deleted": deletions.count,
    }
    return [
        f"holds {count} {WORDS.get(what, what)}, and {artifact.facts.get(what)} are expected"
        for what, count in found.items()
        if count != artifact.facts.get(what) and (what in ALWAYS or what in artifact.facts)
    ]


def _check_dump(content: _Content) -> list[str]:
    path, artifact = content.path, content.artifact
    if artifact.facts.get("format") == PLAIN:
        if detect(path) != "none":
            content.drain()
        rows = survey_script(path, artifact.compression).rows
        return [] if rows == artifact.facts["rows"] else ["does not hold the rows that the manifest says"]
    if content.drain() != MAGIC:
        return ["is not a PostgreSQL dump in the custom format"]
    return _list_dump(content)


def _list_dump(content: _Content) -> list[str]:
    """Compare the table of contents with the manifest, where this host has a program that reads it.

    The program of the server itself has listed the dump when it was written.
    """
    if shutil.which("pg_restore") is None:
        return []
    artifact = content.artifact
    try:
        listing = read_dump(content.path, artifact.compression, Stage(f"list {content.path}", restore_list()))
    except DatabaseError as exc:
        if "unsupported version" in str(exc):
            content.remarks.append("was not listed, because pg_restore on this host is older than it")
            return []
        raise
    found, expected = table_data(listing), len(artifact.facts["rows"])
    return [] if found >= expected else [f"lists the rows of {found} tables, and {expected} are expected"]
