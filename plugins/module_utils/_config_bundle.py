# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Collect the configuration of a stack: compose files, env files and what else lies in its project directory.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import posixpath
import stat
import tarfile
import typing as t
from dataclasses import dataclass

from ._compression import compress_stage
from ._encryption import NO_ENCRYPTION
from ._errors import StackError
from ._files import partial_file
from ._process import Pipeline, Stage
from ._seal import sealed, write_sealed

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ._encryption import Encryption
    from ._engine import Engine
    from ._seal import Sealed
    from ._stack import Stack

MAX_FILE = 1 << 20
MAX_FILES = 500
MAX_DEPTH = 4
# Never configuration: version control, installed dependencies.
SKIPPED = frozenset({".git", ".svn", "node_modules", "__pycache__", ".venv"})
# Where files from outside the project directory go in the bundle; nothing is ever extracted from there by us.
OUTSIDE = ".outside"


@dataclass(frozen=True)
class Bundle:
    """The configuration files to keep, as (path on the host, name in the bundle), and what was left out."""

    files: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def collect(stack: Stack, exclude: Sequence[str]) -> Bundle:
    """Choose the files: everything small in the project directory, except data, and compose files from elsewhere.

    ``exclude`` are directories that hold data or backups. Changes nothing.
    """
    root = stack.project_dir
    warnings: list[str] = []
    files: list[tuple[str, str]] = []
    if root is None or not os.path.isdir(root):
        warnings.append(
            f"The project directory {root or '(unknown)'} is not on this host: compose and env files are not in the "
            "backup, only the engine's description of the containers (config/containers.json)."
        )
    else:
        excluded = {os.path.realpath(path) for path in exclude}
        for path in _walk(root, excluded, 0):
            if len(files) == MAX_FILES:
                warnings.append(f"{root} holds more than {MAX_FILES} small files; the others are not in the backup.")
                break
            files.append((path, os.path.relpath(path, root)))
    chosen = {name: path for path, name in files}
    for path in (*stack.compose_files, *stack.environment_files):
        if os.path.isfile(path):
            # By what a link leads to: the file has to be there after a restore. One inside is named again because it
            # may lie too deep, or among too many others, to have been found.
            chosen[bundle_name(path, root)] = os.path.realpath(path)
        else:
            warnings.append(f"{path}, a compose or env file of the stack, does not exist on this host.")
    return Bundle(tuple((path, name) for name, path in chosen.items()), tuple(warnings))


def bundle_name(path: str, project_dir: str | None) -> str:
    """Return the name in the bundle, relative to the project directory, of a compose or env file."""
    if project_dir is not None and path.startswith(project_dir.rstrip("/") + "/"):
        return posixpath.relpath(path, project_dir)
    return OUTSIDE + posixpath.normpath(path)


def _walk(directory: str, excluded: set[str], depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH or os.path.realpath(directory) in excluded:
        return
    # One may vanish while this runs, and one that cannot be read has no place in a backup by this user.
    with contextlib.suppress(PermissionError, FileNotFoundError), os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED:
                    yield from _walk(entry.path, excluded, depth + 1)
            elif entry.is_symlink() or (
                entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_size <= MAX_FILE
            ):
                yield entry.path


def write(bundle: Bundle, destination: str, compression: str, encryption: Encryption = NO_ENCRYPTION) -> Sealed:
    """Write the bundle as a compressed tar with owners and modes."""
    stage = compress_stage(compression, "compress the configuration") or Stage("copy the configuration", ["cat"])
    with partial_file(destination) as target, sealed(target, encryption, "the configuration") as seal:
        with seal.feed() as sink, Pipeline([stage], stdout=sink) as pipeline:
            _tar(bundle, pipeline.stdin)
        return seal.written()


def write_containers(engine: Engine, stack: Stack, destination: str, encryption: Encryption = NO_ENCRYPTION) -> Sealed:
    """Write the engine's description of the stack's containers, with their environment.

    It is enough to rebuild the stack where its compose files are lost.
    """
    described = [engine.inspect(service.container.id) for service in stack.services]
    encoded = json.dumps(described, indent=1, sort_keys=True).encode()
    return write_sealed(destination, encryption, "the description of the containers", [encoded])


def _tar(bundle: Bundle, sink: t.BinaryIO) -> None:
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, name in bundle.files:
            # A file that is edited away at this moment is no reason to fail a backup of the data.
            with contextlib.suppress(FileNotFoundError):
                mode = os.lstat(path).st_mode
                if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
                    continue
                member = archive.gettarinfo(path, arcname=name)
                content = b""
                if member.isreg():
                    # Read before its size is written: a log may grow or be cut meanwhile.
                    content = _content(path)
                    member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise StackError(
            f"{path}, a file of the stack's project directory, cannot be read: {exc.strerror}. Mend or remove it."
        ) from exc
