# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Make a backup of a directory whose artifacts are complete: instructions, manifest, checksums, signature, name.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._files import write_atomically
from ._instructions import NAME as INSTRUCTIONS
from ._instructions import render
from ._manifest import NAME as MANIFEST
from ._manifest import SIGNATURE, SUMS, Artifact, decode, encode, sums
from ._signature import sign

if t.TYPE_CHECKING:
    from ._backup_store import Backup, Partial
    from ._manifest import Manifest
    from ._signature import Signer


def publish(partial: Partial, manifest: Manifest, signer: Signer | None = None) -> tuple[Backup, Manifest]:
    """Add RESTORE.md, write manifest and checksums, and give the backup its name; return it and its manifest.

    With a ``signer``, the checksums are signed. Raises StoreError when it cannot sign.
    """
    text = render(manifest, signed=signer is not None).encode(errors="surrogateescape")
    written = write_atomically(partial.file(INSTRUCTIONS), text)
    instructions = Artifact(INSTRUCTIONS, "instructions", written.size, written.sha256, written.sha256)
    whole = replace(manifest, artifacts=(*manifest.artifacts, instructions))
    encoded = encode(whole)
    # Nothing is published that could not be read again.
    decode(encoded, partial.path)
    listed = sums(whole, encoded)
    write_atomically(partial.file(SUMS), listed)
    if signer is not None:
        write_atomically(partial.file(SIGNATURE), sign(signer.path, listed))
    write_atomically(partial.file(MANIFEST), encoded)
    return partial.publish(), whole
