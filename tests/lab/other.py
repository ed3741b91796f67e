# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Another version of this collection, out of the repository's history."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import typing as t
from pathlib import Path

from .server import ROOT, LabError

if t.TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def other_version(commit: str | None) -> Iterator[Path | None]:
    """Yield a directory in which Ansible finds the collection of a commit; None when none was asked for."""
    if commit is None:
        yield None
        return
    packed = subprocess.run(["git", "-C", str(ROOT), "archive", commit], capture_output=True, check=False)
    if packed.returncode != 0:
        raise LabError(f"git has no commit {commit} here: {packed.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="crm-other-") as directory:
        place = Path(directory) / "ansible_collections" / "crm" / "continuity"
        place.mkdir(parents=True)
        subprocess.run(["tar", "-xf", "-", "-C", str(place)], input=packed.stdout, check=True)
        yield Path(directory)
