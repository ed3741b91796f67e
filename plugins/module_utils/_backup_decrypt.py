# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Decrypt one file of a backup for programs that cannot: ``plan`` only looks, ``apply`` only acts.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from ._encryption import detect, held, prove, undecryptable
from ._errors import ProcessError, StoreError
from ._files import Written, file_sha256, partial_file, read_chunks, write_hashed
from ._process import Pipeline
from ._unpacking import unpack_stages


@dataclass(frozen=True)
class Request:
    """The task parameters, after Ansible has checked their types; ``sha256`` is of the encrypted file."""

    path: str
    to: str
    sha256: str | None = None
    force: bool = False


@dataclass(frozen=True)
class Plan:
    """What will happen, and why; ``reason`` is None when nothing will."""

    request: Request
    reason: str | None

    @property
    def changed(self) -> bool:
        return self.reason is not None

    def diff(self) -> dict[str, str]:
        line = f"{self.request.to}\n"
        return {"before": line if os.path.exists(self.request.to) else "", "after": line}


def plan(request: Request) -> Plan:
    """Look at the file and try the key. Raises StoreError when it cannot be decrypted. Changes nothing."""
    if not os.path.isfile(request.path):
        raise StoreError(f"There is no file {request.path}.", path=request.path)
    if detect(request.path) == "none":
        raise StoreError(f"{request.path} is not encrypted: it can be read as it is.", path=request.path)
    if not os.path.isdir(os.path.dirname(request.to) or "."):
        raise StoreError(f"There is no directory for {request.to}. Create it, best on a tmpfs.", path=request.to)
    prove(request.path, held())
    if not os.path.exists(request.to):
        return Plan(request, f"{request.to} does not exist")
    return Plan(request, "force=true" if request.force else None)


def apply(wanted: Plan) -> Written:
    """Carry out a plan. The file is there when all of it was decrypted, or not at all."""
    request = wanted.request
    if request.sha256 is not None:
        found = file_sha256(request.path).sha256
        if found != request.sha256:
            raise StoreError(
                f"{request.path} is damaged: its SHA-256 is {found}, and should be {request.sha256}. Use another copy.",
                path=request.path,
            )
    try:
        with (
            partial_file(request.to) as target,
            open(request.path, "rb") as stream,
            Pipeline(unpack_stages(request.path, "none"), stdin=stream.fileno()) as pipeline,
        ):
            return write_hashed(target, read_chunks(pipeline.stdout))
    except ProcessError as exc:
        raise undecryptable(request.path, exc) from exc
