# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tar archives made by hand, block by block, for what no honest program writes; trees that are hard to archive; and
archives of two passes, made with stock tools.
"""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable

END = bytes(1024)
USTAR = b"ustar\x0000"
GNU = b"ustar  \0"


def header(
    name: bytes,
    kind: bytes = b"0",
    *,
    size: int | bytes = 0,
    target: bytes = b"",
    prefix: bytes = b"",
    magic: bytes = USTAR,
    mode: int = 0o644,
    tail: bytes = b"",
) -> bytes:
    """Return one block with a right checksum; ``tail`` replaces what begins at the prefix field."""
    digits = size if isinstance(size, bytes) else b"%011o\0" % size
    block = b"".join(
        [
            name.ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % os.getuid(),
            b"%07o\0" % os.getgid(),
            digits,
            b"%011o\0" % 1_700_000_000,
            b" " * 8,
            kind,
            target.ljust(100, b"\0"),
            magic,
            bytes(64),
            b"%07o\0" % 0,
            b"%07o\0" % 0,
            (tail or prefix).ljust(167, b"\0"),
        ]
    )
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def padded(data: bytes) -> bytes:
    """Fill up the last block of a member's data."""
    return data + bytes(-len(data) % 512)


def file(name: bytes, content: bytes = b"", **fields: t.Any) -> bytes:
    return header(name, size=len(content), **fields) + padded(content)


def directory(name: bytes) -> bytes:
    return header(name, b"5", mode=0o755)


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, b"2", target=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, b"1", target=target)


def record(keyword: bytes, value: bytes) -> bytes:
    """Return one record of a pax header; its length counts its own digits."""
    rest = b" " + keyword + b"=" + value + b"\n"
    length = len(rest) + 1
    while len(rest) + len(str(length)) != length:
        length = len(rest) + len(str(length))
    return str(length).encode() + rest


def pax(kind: bytes = b"x", **records: bytes) -> bytes:
    """Return an extended header; in keywords, ``__`` stands for a dot."""
    data = b"".join(record(key.replace("__", ".").encode(), value) for key, value in records.items())
    return header(b"PaxHeaders/x", kind, size=len(data)) + padded(data)


def long_name(kind: bytes, name: bytes) -> bytes:
    return header(b"././@LongLink", kind, size=len(name) + 1, magic=GNU) + padded(name + b"\0")


def make_tree(root: Path) -> None:
    """Fill a directory with what archives get wrong; what needs root or a special file system is left to the test."""
    (root / "plain").write_bytes(b"content\n" * 1000)
    (root / "empty file").touch()
    (root / "empty directory").mkdir()
    (root / "empty directory").chmod(0o2750)
    deep = root / "deep" / "/".join("x" * 60 for _level in range(5))
    deep.mkdir(parents=True)
    (deep / ("y" * 200)).write_text("far down")
    for name in ("-dash", "--help", " blank ", "new\nline", "back\\slash", "ünï 🎉", "quo\"te'*?[a]", "$(id)"):
        (root / name).write_text(name)
    Path(os.fsdecode(os.path.join(os.fsencode(root), b"latin-\xe9\xff"))).write_text("no UTF-8")
    (root / "hard").hardlink_to(root / "plain")
    (root / "absolute").symlink_to("/app/storage")
    os.link(root / "absolute", root / "linked link", follow_symlinks=False)
    (root / "upward").symlink_to("../../outside")
    (root / "dangling").symlink_to("z" * 300)
    os.mkfifo(root / "fifo")
    with open(root / "sparse", "wb") as stream:
        stream.truncate(8 << 20)
        stream.seek(4 << 20)
        stream.write(b"island" * 100)
    with open(root / "only a hole", "wb") as stream:
        stream.truncate(1 << 20)
    os.utime(root / "plain", ns=(1_600_000_000_123_456_789, 1_600_000_000_123_456_789))
    os.utime(root / "deep", ns=(1_500_000_000_000_000_001, 1_500_000_000_000_000_001))


def change_tree(root: Path) -> None:
    """Let a tree of ``make_tree`` live on: with what is changed, replaced, new and gone, several kinds of each."""
    with open(root / "plain", "ab") as stream:
        stream.write(b"more")
    (root / "-dash").unlink()
    (root / "-dash").write_text("another file of the same name")
    (root / "upward").unlink()
    (root / "upward").write_text("no link any more")
    (root / "empty file").unlink()
    (root / "empty file").mkdir()
    (root / "empty file" / "no longer").touch()
    (root / "dangling").unlink()
    (root / "dangling").symlink_to("elsewhere")
    (root / "empty directory").chmod(0o700)
    (root / "empty directory" / "new").write_text("new")
    (root / "new" / "directory").mkdir(parents=True)
    (root / "new" / "link").symlink_to("/app/storage")
    for name in (" blank ", "new\nline", "absolute", "fifo", "only a hole"):
        (root / name).unlink()
    os.unlink(os.path.join(os.fsencode(root), b"latin-\xe9\xff"))
    shutil.rmtree(root / "deep" / ("x" * 60) / ("x" * 60))
    (root / "deep" / ("x" * 60) / "instead").touch()
    os.utime(root / "deep" / ("x" * 60), ns=(1_400_000_000_000_000_001, 1_400_000_000_000_000_001))


# Commands that make one frame or member of what they read.
COMPRESSORS = {"zstd": ["zstd", "-q"], "gzip": ["gzip", "-n"], "none": ["cat"]}


def archive_twice(root: Path, archive: Path, change: Callable[[Path], None], compression: str = "zstd") -> int:
    """Archive a directory, change it, and append what changed; write the list of what is gone beside the archive.

    Returns where in the archive the second pass begins.
    """
    before = _names(root)
    first = _tar(root, before)
    change(root)
    after = _names(root)
    # Every pass ends with two blocks of zeros, and only the last ones may stay.
    second = _tar(root, {name: status for name, status in after.items() if before.get(name) != status})
    parts = (first[: -len(END)], second)
    done = [subprocess.run(COMPRESSORS[compression], input=part, capture_output=True, check=True) for part in parts]
    archive.write_bytes(b"".join(one.stdout for one in done))
    gone = sorted(before.keys() - after.keys())
    if gone:
        Path(str(archive).split(".tar", maxsplit=1)[0] + ".deleted").write_bytes(listed(*gone))
    return len(done[0].stdout)


def listed(*names: bytes) -> bytes:
    """Return a list of deleted names."""
    return b"".join(b"./%b\0" % name for name in names)


def _names(root: Path) -> dict[bytes, tuple[int, ...]]:
    """Return every name of a tree, that of the root empty, with what tells that it changed."""
    top = os.fsencode(root)
    paths = [top]
    for parent, directories, files in os.walk(top):
        paths += [os.path.join(parent, name) for name in (*directories, *files)]
    found = {}
    for path in paths:
        status = os.lstat(path)
        found[path[len(top) + 1 :]] = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    return found


def _tar(root: Path, names: t.Iterable[bytes]) -> bytes:
    argv = [
        "tar",
        f"--directory={root}",
        "--create",
        "--format=posix",
        "--blocking-factor=1",
        "--sparse",
        "--xattrs",
        "--acls",
        "--no-recursion",
        "--null",
        "--verbatim-files-from",
        "--files-from=-",
    ]
    return subprocess.run(argv, input=listed(*names), capture_output=True, check=True).stdout


def bind_socket(path: Path) -> None:
    """Leave a socket in the file system."""
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket is short: bind it from where it is to be.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            listener.bind(path.name)
        finally:
            os.chdir(before)


def described(root: Path) -> dict[bytes, tuple[t.Any, ...]]:
    """Return all that matters of a tree, to compare two: also which names share a file, and where there are holes."""
    top = os.fsencode(root)
    found: dict[bytes, tuple[t.Any, ...]] = {}
    names: dict[tuple[int, int], bytes] = {}
    paths = [top]
    for parent, directories, files in os.walk(top):
        paths += [os.path.join(parent, name) for name in (*directories, *files)]
    for path in sorted(paths):
        status = os.lstat(path)
        if stat.S_ISSOCK(status.st_mode):
            continue
        first = names.setdefault((status.st_dev, status.st_ino), path[len(top) :])
        content = b""
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as stream:
                content = stream.read()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        found[path[len(top) :]] = (
            oct(status.st_mode),
            status.st_uid,
            status.st_gid,
            # The time of a symbolic link matters to nobody; that of others does, to the nanosecond.
            0 if stat.S_ISLNK(status.st_mode) else status.st_mtime_ns,
            status.st_size if stat.S_ISREG(status.st_mode) else 0,
            status.st_blocks < 1024 if stat.S_ISREG(status.st_mode) and status.st_size > 1 << 20 else None,
            first,
            content,
            {name: os.getxattr(path, name, follow_symlinks=False) for name in _attributes(path)},
        )
    return found


def _attributes(path: bytes) -> list[str]:
    return sorted(os.listxattr(path, follow_symlinks=False))
