# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the content of an artifact is read: decrypted, where it is encrypted, and decompressed.

Every reader goes through here, and none of them carries keys: those that a run holds are taken from where it put them
(``_encryption.holding``). Standard library only. Private to this collection.
"""

from __future__ import annotations

import typing as t
from dataclasses import replace

from ._compression import decompress_stage
from ._encryption import decrypt_stage, detect, held

if t.TYPE_CHECKING:
    from ._process import Stage


def unpack_stages(path: str, compression: str, name: str | None = None, *, may_leave: bool = False) -> list[Stage]:
    """Return the stages that turn a file into its content; none where it is that already.

    With ``may_leave``, who reads the content need not read it to the end. Raises StoreError when it is encrypted and
    the key is missing.
    """
    stages = [
        decrypt_stage(detect(path), held(), f"decrypt {path}"),
        decompress_stage(compression, name or f"unpack {path}"),
    ]
    return [replace(stage, reader_may_leave=may_leave) for stage in stages if stage is not None]
