# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a backup is what its place says and was made by whom it says, before anything of it is used.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t

from ._errors import StoreError
from ._files import file_sha256
from ._manifest import NAME, read_with_sums
from ._signature import PROVED, UNSIGNED
from ._signature import prove as prove_signature

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ._backup_store import Backup
    from ._manifest import Manifest
    from ._signature import Proof, Signers

# What a restore reads before it unpacks anything, or leaves to people; all of it is small.
SMALL = ("config", "deletions", "globals", "instructions")


def prove(backup: Backup, signers: Signers) -> tuple[Manifest, Proof]:
    """Return the manifest of a backup that may be restored, and what its signature says.

    Raises StoreError like ``prove_manifest``, and when one of the small artifacts is damaged: there is no reason to
    touch anything then.
    """
    manifest, proof = prove_manifest(backup, signers)
    for artifact in manifest.artifacts:
        if artifact.kind in SMALL:
            _check(os.path.join(backup.path, artifact.path), artifact.sha256)
    return manifest, proof


def prove_manifest(backup: Backup, signers: Signers) -> tuple[Manifest, Proof]:
    """Return the manifest of a backup of which a part is wanted, and what its signature says.

    Raises StoreError when the manifest is damaged or of another backup, or the signature is not the one that is wanted.
    """
    manifest, sums = read_with_sums(backup.path)
    problem = misplaced(backup, manifest)
    if problem is not None:
        raise StoreError(f"{backup.path}: {problem}. Nothing was changed. Use another copy.", path=backup.path)
    return manifest, prove_signature(backup.path, manifest.host, sums, signers)


def misplaced(backup: Backup, manifest: Manifest) -> str | None:
    """Return what is wrong when a manifest is that of another backup than the one of its directory."""
    if (manifest.id, manifest.stack) == (backup.id, backup.stack):
        return None
    return f"{NAME} is that of backup {manifest.id} of stack {manifest.stack}: the directory was renamed or exchanged"


def refuse_strangers(manifest: Manifest, directory: str, wanted: Iterable[tuple[str, str | None]]) -> None:
    """Raise StoreError when a file is to be restored that is not in the manifest, or by another checksum."""
    known = {os.path.normpath(os.path.join(directory, one.path)): one.sha256 for one in manifest.artifacts}
    for path, sha256 in wanted:
        if known.get(os.path.normpath(path)) != sha256:
            raise StoreError(
                f"{path} with the checksum {sha256} is not what the manifest of backup {manifest.id} names. It was "
                "changed since it was checked: check it again (crm.continuity.restore_check).",
                path=path,
            )


def described(proof: Proof) -> dict[str, str | None]:
    """Return what results say of a signature."""
    return {"status": proof.status, "signer": proof.signer, "key": proof.key}


def told(proof: Proof, manifest: Manifest) -> str:
    """Say what a signature proves, and what to do where that is nothing."""
    if proof.status == PROVED:
        return f"Backup {manifest.id} is signed by {proof.signer} with the key {proof.key}."
    if proof.status == UNSIGNED:
        return (
            f"Backup {manifest.id} is not signed: nothing proves that it was made by {manifest.host} and that nobody "
            "changed it. crm.continuity.prepare gives a host the key that signs its next backups."
        )
    return (
        f"Backup {manifest.id} is signed with the key {proof.key}, and nobody said whether that is a key of "
        f"{manifest.host}: nothing proves who made it. Set crm_signers."
    )


def _check(path: str, sha256: str) -> None:
    try:
        found = file_sha256(path).sha256
    except OSError as exc:
        raise StoreError(f"{path} cannot be read: {exc.strerror}. Nothing was changed.", path=path) from exc
    if found != sha256:
        raise StoreError(
            f"{path} is damaged: its SHA-256 is {found}, and {sha256} is expected. Nothing was changed. Use another "
            "backup or a copy of this one.",
            path=path,
        )
