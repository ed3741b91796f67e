# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the files of a backup are there, as large as the manifest says. Their content is read before they are used.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import typing as t

from ._files import size_or_problem
from ._restore_preflight_findings import REFUSE, Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ._manifest import Manifest


def check(manifest: Manifest, directory: str) -> Iterator[Finding]:
    """Return a refusal for every artifact of the backup in ``directory`` that is missing or of another size."""
    for artifact in manifest.artifacts:
        path = os.path.join(directory, artifact.path)
        problem = _problem(path, artifact.size)
        if problem is not None:
            message = f"{path} {problem}. Copy it here from another copy of the backup, or use another backup."
            yield Finding("artifacts", REFUSE, artifact.path, message)


def _problem(path: str, size: int) -> str | None:
    found = size_or_problem(path)
    if isinstance(found, str):
        return found
    return None if found == size else f"is damaged: it has {found} bytes, and {size} are expected"
