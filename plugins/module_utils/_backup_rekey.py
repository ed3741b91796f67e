# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encrypt a backup anew, to other keys: ``plan`` only looks, ``apply`` only acts.

    file → decryptor → hash → encryptor → file

Nothing but the backup and its old key is needed, so it can be done wherever a copy of it lies, and no plaintext reaches
a disk. What was decrypted has to be what the manifest says; the new copy takes the place of the old one in one step.
Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import shutil
import typing as t
from dataclasses import dataclass, replace

from ._backup_store import LATEST, Partial, Store, unwritable
from ._encryption import SUFFIXES, check, decrypt_stage, detect, held, prove, undecryptable
from ._encryption import tool as encryption_tool
from ._errors import ProcessError, StoreError
from ._files import file_sha256, read_chunks, sync_directory
from ._instructions import NAME as INSTRUCTIONS
from ._manifest import SIGNATURE
from ._process import Pipeline
from ._publication import publish
from ._seal import write_sealed
from ._signature import usable_key
from ._staging import exchange

if t.TYPE_CHECKING:
    from ._backup_store import Backup
    from ._encryption import Encryption
    from ._manifest import Artifact, Manifest
    from ._signature import Signer

# Of a directory that is never listed as a backup, and that the next run removes.
DOOMED = ".pruned"


@dataclass(frozen=True)
class Request:
    """Which backup, and how it is to be encrypted; ``signing_key`` as when a backup is taken."""

    root: str
    stack: str
    encryption: Encryption
    id: str = LATEST
    signing_key: str | None = None
    force: bool = False


@dataclass(frozen=True)
class Plan:
    """What will happen, and why; ``reason`` is None when nothing will."""

    request: Request
    backup: Backup
    manifest: Manifest
    signer: Signer | None
    reason: str | None

    @property
    def changed(self) -> bool:
        return self.reason is not None

    def diff(self) -> dict[str, str]:
        after = self.request.encryption.described() if self.changed else self.manifest.encryption
        return {"before": _told(self.manifest.encryption), "after": _told(after)}


def plan(request: Request) -> Plan:
    """Try the old key on every file, and the new one. Changes nothing.

    Raises StoreError when there is no such backup, or one of the keys cannot be used.
    """
    backup = Store(request.root).backup(request.stack, request.id)
    manifest = backup.manifest()
    if not request.encryption.enabled:
        raise StoreError("A backup is encrypted anew, and not decrypted: set encryption.method to age or aes256.")
    check(request.encryption)
    signer = usable_key(request.signing_key)
    if signer is None and os.path.lexists(os.path.join(backup.path, SIGNATURE)):
        raise StoreError(
            f"Backup {backup.id} is signed, and there is no key here to sign it anew. Set signing_key, and give its "
            f"line to crm_signers under the name {manifest.host}."
        )
    wanted = request.encryption.described()
    # A passphrase has no name: whether it is another one, only the operator knows.
    same = manifest.encryption == wanted and request.encryption.method == "age"
    if same and not request.force:
        return Plan(request, backup, manifest, signer, None)
    for artifact in manifest.artifacts:
        prove(os.path.join(backup.path, artifact.path), held())
    reason = "force=true" if same else f"it is encrypted {_told(manifest.encryption).strip()}"
    return Plan(request, backup, manifest, signer, reason)


def apply(wanted: Plan) -> Manifest:
    """Carry out a plan, and return the new manifest. The backup is the old or the new one at any moment."""
    request, backup = wanted.request, wanted.backup
    store = Store(request.root)
    with store.locked(request.stack):
        store.remove_partials(request.stack)
        directory = store.stack_directory(request.stack)
        path = os.path.join(directory, f".{backup.id}.partial")
        made = os.path.join(directory, f".{backup.id}{DOOMED}")
        shutil.rmtree(made, ignore_errors=True)
        try:
            os.mkdir(path, 0o700)
            partial = Partial(request.stack, backup.id, path, made)
            artifacts = tuple(
                _anew(backup, partial, artifact, request.encryption)
                for artifact in wanted.manifest.artifacts
                # Written again with the new commands.
                if artifact.path != INSTRUCTIONS
            )
            manifest = replace(
                wanted.manifest,
                artifacts=artifacts,
                encryption=request.encryption.described(),
                tools={**wanted.manifest.tools, "encryption": encryption_tool(request.encryption.method)},
            )
            published, manifest = publish(partial, manifest, wanted.signer)
            exchange(published.path, backup.path)
            sync_directory(directory)
        except OSError as exc:
            raise unwritable(path, exc) from exc
        finally:
            shutil.rmtree(path, ignore_errors=True)
            # After the exchange, this is the old one.
            shutil.rmtree(made, ignore_errors=True)
    return manifest


def _anew(backup: Backup, partial: Partial, artifact: Artifact, encryption: Encryption) -> Artifact:
    source = os.path.join(backup.path, artifact.path)
    found = file_sha256(source).sha256
    if found != artifact.sha256:
        raise StoreError(
            f"{source} is damaged: its SHA-256 is {found}, and should be {artifact.sha256}. The backup was left as it "
            "is.",
            path=source,
        )
    method = detect(source)
    name = artifact.path
    if method != "none":
        name = name.removesuffix(SUFFIXES[method])
    name += encryption.suffix
    decrypt = decrypt_stage(method, held(), f"decrypt {source}")
    subject = f"{artifact.path} of backup {backup.id}"
    with open(source, "rb") as stream:
        if decrypt is None:
            written = write_sealed(partial.file(name), encryption, subject, read_chunks(stream))
        else:
            try:
                with Pipeline([decrypt], stdin=stream.fileno()) as pipeline:
                    written = write_sealed(partial.file(name), encryption, subject, read_chunks(pipeline.stdout))
            except ProcessError as exc:
                raise undecryptable(source, exc) from exc
    if written.plain_sha256 != artifact.plain_sha256:
        raise StoreError(
            f"{source} does not hold what its manifest says: decrypted, its SHA-256 is {written.plain_sha256}, and "
            f"should be {artifact.plain_sha256}. The backup was left as it is.",
            path=source,
        )
    return replace(artifact, path=name, size=written.size, sha256=written.sha256)


def _told(encryption: t.Mapping[str, t.Any]) -> str:
    to = "".join(f" {recipient}" for recipient in encryption["recipients"])
    return f"{encryption['method']}{' to' if to else ''}{to}\n"
