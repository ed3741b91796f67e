# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The GNU tar command lines of this collection, and what tar's words mean.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import re
import typing as t
from dataclasses import dataclass

from ._process import Stage, program
from ._tree import KEPT_PREFIX

if t.TYPE_CHECKING:
    from collections.abc import Sequence

# Every extended attribute but two kinds: ACLs are stored readably by --acls, and SELinux labels belong to the host
# that they come from.
XATTRS = ("--xattrs", "--xattrs-include=*", "--xattrs-exclude=security.selinux", "--xattrs-exclude=system.posix_acl_*")
# One line per message, whatever the file is called; clocks differ between hosts and that harms nothing.
MESSAGES = ("--quoting-style=escape", "--warning=no-timestamp")

# What happens to a directory that is in use.
LIVE = ("--warning=no-file-changed", "--warning=no-file-removed", "--warning=no-file-shrank")
# A directory above may be gone, or something else by now.
VANISHED = ("No such file or directory", "Not a directory")

# Tar begins its lines with the path that it was called by.
PREFIX = re.compile(r"^\S*tar: ")
SOCKET_IGNORED = "socket ignored"
NAMES_SHOWN = 20


@dataclass(frozen=True)
class Complaints:
    """What tar said on its standard error: about sockets, which no archive can hold, and about anything else."""

    sockets: tuple[str, ...] = ()
    others: tuple[str, ...] = ()

    def warnings(self) -> tuple[str, ...]:
        """Return one sentence about all sockets, then the other lines; long lists are cut, and say so."""
        return (*_about_sockets(self.sockets), *shortened(self.others))


def create_stage(directory: str, name: str, *, live: bool = False) -> Stage:
    """Return the stage that writes all of a directory to its standard output as a pax archive.

    Keeps hard links, holes, extended attributes, ACLs, FIFOs, devices, numeric owners and any name. The directory
    itself is the first member, ``./``. File systems that are mounted below the directory are entered, because the
    application sees them as part of its volume. Times of access and of status change are left out: they can't be
    restored. Exit code 1 is accepted: tar uses it for files that changed meanwhile, which is for the caller to judge
    by ``complaints``. ``live`` says that they will, and need not be named; then exit code 2 is accepted, too: tar uses
    it for some names that are gone when their turn comes.
    """
    # Rotating disks read a directory's files faster in this order; others don't mind.
    accept = frozenset({0, 1, 2} if live else {0, 1})
    return Stage(name, [*_create(directory, live), "--sort=inode", "."], accept=accept)


def list_stage(directory: str, name: str, *, live: bool = False) -> Stage:
    """Return the stage that writes those names of a directory that arrive at its standard input, as ``create_stage``.

    Each name is followed by a NUL; directories come without what is in them. Exit code 2 is accepted: tar uses it for
    names that are gone, too, which is for the caller to judge by ``complaints``.
    """
    names = ["--null", "--no-recursion", "--verbatim-files-from", "--files-from=-"]
    return Stage(name, [*_create(directory, live), *names], accept=frozenset({0, 1, 2}))


def _create(directory: str, live: bool) -> list[str]:
    return [
        program("tar"),
        "--create",
        "--file=-",
        f"--directory={directory}",
        "--format=posix",
        # The default puts the process ID into the names of the extended headers.
        "--pax-option=delete=atime,delete=ctime,exthdr.name=%d/PaxHeaders/%f",
        # 64 KiB at a time: whole pages, and a sixth of the calls.
        "--blocking-factor=128",
        "--sparse",
        "--numeric-owner",
        "--acls",
        # What a restore keeps there is no content of the directory.
        "--anchored",
        f"--exclude=./{KEPT_PREFIX}*",
        *XATTRS,
        *MESSAGES,
        *(LIVE if live else ()),
    ]


def extract_stage(directory: str, name: str) -> Stage:
    """Return the stage that extracts what arrives at its standard input into an empty directory.

    The archive must come through the gate of ``_tar_gate``, which refuses every name that leaves the directory.
    """
    return Stage(
        name,
        [
            program("tar"),
            "--extract",
            "--file=-",
            f"--directory={directory}",
            # Without this, tar sets aside symbolic links that are absolute or climb, and puts them in place at the
            # end; when a later member of the same name replaces one, the stale link then wins. The gate is stricter
            # about names than tar would be.
            "--absolute-names",
            "--numeric-owner",
            "--same-permissions",
            # A later member may replace one in a directory that is complete already, and must not change its times.
            "--delay-directory-restore",
            "--acls",
            *XATTRS,
            *MESSAGES,
        ],
    )


def compare_stage(directory: str, name: str) -> Stage:
    """Return the stage that prints a line for each difference between its standard input and a directory.

    It compares types, modes, owners, times of modification, sizes, contents and link targets; not extended attributes
    and ACLs, and it does not notice files that the archive lacks. Exit code 1 means that there are differences,
    and so does 2: a name can't be looked up where a directory is a file now.
    """
    return Stage(
        name,
        [
            program("tar"),
            "--compare",
            "--file=-",
            f"--directory={directory}",
            "--absolute-names",
            "--numeric-owner",
            *MESSAGES,
        ],
        accept=frozenset({0, 1, 2}),
    )


def complaints(stderr: str) -> Complaints:
    """Sort what tar wrote to its standard error."""
    sockets = []
    others = []
    for line in stderr.splitlines():
        text = PREFIX.sub("", line).strip()
        subject, _colon, words = text.rpartition(": ")
        if words == SOCKET_IGNORED:
            sockets.append(subject)
        elif text and not text.startswith("Exiting with failure status"):
            others.append(text)
    return Complaints(tuple(sockets), tuple(others))


def vanished(line: str) -> bool:
    """Tell whether a complaint is about a name that was gone when its turn came."""
    return line.endswith(tuple(f": {words}" for words in VANISHED))


def shortened(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the first lines of a long list, and how many follow."""
    if len(lines) <= NAMES_SHOWN:
        return tuple(lines)
    return (*lines[:NAMES_SHOWN], f"and {len(lines) - NAMES_SHOWN} more")


def _about_sockets(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    left_out = "socket was" if len(names) == 1 else "sockets were"
    return (f"{len(names)} {left_out} left out, as no archive can hold one: {', '.join(shortened(names))}",)
