# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's cgroup file system of plain files: what is written to it stays, and no process minds."""

from __future__ import annotations

import typing as t
from dataclasses import dataclass

from ansible_collections.crm.continuity.plugins.module_utils import _cgroup

if t.TYPE_CHECKING:
    from pathlib import Path

    import pytest

# As on a host, and with spaces: the mount of an unrelated file system, both hierarchies of a hybrid host.
MOUNTS = (
    "25 1 8:1 / / rw,relatime - ext4 /dev/vda1 rw",
    "31 25 0:28 / {root}/sys rw - tmpfs tmpfs rw,mode=755",
)
MOUNT = {
    1: "37 31 0:34 {of} {at} rw,relatime shared:9 - cgroup cgroup rw,freezer",
    2: "41 31 0:38 {of} {at} rw,relatime - cgroup2 cgroup2 rw,nsdelegate",
}
FILES = {
    1: {"freezer.state": "THAWED\n"},
    2: {"cgroup.freeze": "0\n", "cgroup.events": "populated 1\nfrozen 1\n"},
}


@dataclass
class CgroupHost:
    """A host whose cgroups of one version are mounted; ``of`` is the part of the hierarchy that is mounted."""

    root: Path
    version: int
    of: str

    @property
    def mount_point(self) -> Path:
        return self.root / "sys" / "cgroup"

    def add(self, path: str, pid: int, *, member: str | None = None) -> Path:
        """Make a cgroup with a process; ``member`` is where in the hierarchy the process says that it is."""
        directory = self.mount_point / path.strip("/")
        directory.mkdir(parents=True)
        for name, content in FILES[self.version].items():
            (directory / name).write_text(content)
        (directory / "cgroup.procs").write_text(f"{pid}\n")
        self.process(pid, member if member is not None else f"{self.of.rstrip('/')}/{path.strip('/')}")
        return directory

    def process(self, pid: int, member: str, *, name: str = "ruby", state: str = "S") -> None:
        """Make a process that is in a cgroup."""
        lines = {1: f"9:cpu:/elsewhere\n6:devices,freezer:{member}\n", 2: f"0::{member}\n"}
        proc = self.root / "proc" / str(pid)
        proc.mkdir(parents=True, exist_ok=True)
        (proc / "cgroup").write_text(lines[self.version])
        (proc / "stat").write_text(f"{pid} ({name}) {state} 1 1\n")


def cgroup_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int = 2, of: str = "/") -> CgroupHost:
    """Return a host whose /proc is the one that is looked at."""
    host = CgroupHost(tmp_path / "a host", version, of)
    own = host.root / "proc" / "self"
    own.mkdir(parents=True)
    place = str(host.mount_point).replace(" ", "\\040")
    lines = [*MOUNTS, MOUNT[version]]
    (own / "mountinfo").write_text("".join(line.format(root="", of=of, at=place) + "\n" for line in lines))
    monkeypatch.setattr(_cgroup, "PROC", str(host.root / "proc"))
    return host
