# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is in the volumes of a stack: every path with all that an archive has to carry."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import typing as t

if t.TYPE_CHECKING:
    from pathlib import Path

    from standin_stack import Stack

# The files of PostgreSQL and Redis: they change all the time, and their content is compared by asking the servers.
SERVER_DATA = ("/var/lib/postgresql/data", "/var/lib/postgresql", "/data")
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFIFO: "fifo"}


def describe_volumes(stack: Stack) -> dict[str, t.Any]:
    """Describe every volume that holds files of an application."""
    volumes: dict[str, Path] = {}
    for container in stack.containers:
        for destination, (name, place) in container.volumes.items():
            if destination not in SERVER_DATA:
                volumes[name.removeprefix(f"{stack.project}_")] = place
    return {name: describe_tree(place) for name, place in sorted(volumes.items())}


def describe_tree(root: Path) -> dict[str, t.Any]:
    """Describe a directory and everything below it, by path relative to it."""
    entries: dict[str, t.Any] = {}
    inodes: dict[int, list[str]] = {}
    top = os.fsencode(root)
    _describe_into(entries, inodes, top, b".")
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            path = os.path.join(folder, name)
            _describe_into(entries, inodes, path, os.path.relpath(path, top))
    for group in inodes.values():
        for shown in group:
            entries[shown]["same file as"] = sorted(group)
    return entries


def _describe_into(entries: dict[str, t.Any], inodes: dict[int, list[str]], path: bytes, name: bytes) -> None:
    shown = os.fsdecode(name)
    status = os.lstat(path)
    kind = KINDS.get(stat.S_IFMT(status.st_mode), "other")
    entry: dict[str, t.Any] = {
        "type": kind,
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "uid": status.st_uid,
        "gid": status.st_gid,
        "mtime_ns": status.st_mtime_ns,
    }
    attributes = _attributes(path)
    if attributes:
        # ACLs are among them, as system.posix_acl_access and system.posix_acl_default.
        entry["attributes"] = attributes
    if kind == "file":
        entry["size"] = status.st_size
        entry["sha256"] = _digest(path)
        entry["sparse"] = status.st_size > 65_536 and status.st_blocks * 512 < status.st_size // 4 * 3
    if kind == "link":
        entry["target"] = os.fsdecode(os.readlink(path))
    if kind != "directory" and status.st_nlink > 1:
        inodes.setdefault(status.st_ino, []).append(shown)
    entries[shown] = entry


def _attributes(path: bytes) -> dict[str, str]:
    names = (name for name in os.listxattr(path, follow_symlinks=False) if name != "security.selinux")
    return {name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode() for name in sorted(names)}


def _digest(path: bytes) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
