# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files for tests: contents of realistic sizes, and everything that file systems allow and archives get wrong.

As a program it fills a directory, for measurements: ``tree.py DIRECTORY --files 16000 --bytes 2147483648``.
"""

from __future__ import annotations

import argparse
import errno
import math
import os
import random
import shutil
import subprocess
import typing as t
from dataclasses import dataclass
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Iterator

INCOMPRESSIBLE = 0.7
LARGEST = 4 * 1024 * 1024
SMALLEST = 1024
NEWEST = 1_790_000_000
TWO_YEARS = 2 * 365 * 86_400

# What photographs and voice messages begin with; the rest of such a file is noise to a compressor.
MEDIA = (
    ("jpg", "image/jpeg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"),
    ("png", "image/png", b"\x89PNG\r\n\x1a\n"),
    ("webp", "image/webp", b"RIFF\x00\x00\x00\x00WEBPVP8 "),
    ("ogg", "audio/ogg", b"OggS\x00\x02"),
    ("mp4", "video/mp4", b"\x00\x00\x00\x18ftypmp42"),
    ("pdf", "application/pdf", b"%PDF-1.7\n"),
)
TEXTS = (("txt", "text/plain"), ("csv", "text/csv"), ("json", "application/json"), ("svg", "image/svg+xml"))
WORDS = (
    *("pedido", "cliente", "boleto", "entrega", "amanhã", "você", "não", "atendimento", "orçamento", "obrigado"),
    *("nota", "fiscal", "prazo", "endereço", "confirmado", "pagamento", "reunião", "proposta", "suporte", "técnico"),
)


@dataclass(frozen=True)
class Sample:
    """One generated file."""

    extension: str
    content_type: str
    content: bytes
    mtime_ns: int


class Samples:
    """Generates files; the same seed always gives the same files."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(f"samples:{seed}")
        self._corpus = " ".join(self._chance.choice(WORDS) for dummy in range(200_000)).encode()

    def sizes(self, count: int, total: int) -> list[int]:
        """Sizes that look like uploads, mostly 5 to 300 kB, and come to about ``total`` bytes."""
        drawn = [self._chance.lognormvariate(math.log(45_000), 1.0) for dummy in range(count)]
        factor = total / max(1.0, sum(drawn))
        return [min(LARGEST, max(SMALLEST, int(size * factor))) for size in drawn]

    def sample(self, size: int) -> Sample:
        """One file of about this size: two thirds are noise, the others text."""
        if self._chance.random() < INCOMPRESSIBLE:
            extension, content_type, magic = self._chance.choice(MEDIA)
            content = magic + self._chance.randbytes(max(0, size - len(magic)))
        else:
            extension, content_type = self._chance.choice(TEXTS)
            content = self.text(size)
        return Sample(extension, content_type, content, self.mtime_ns())

    def text(self, size: int) -> bytes:
        """Text of exactly this many bytes, different each time."""
        pieces = [b"%016x " % self._chance.getrandbits(64)]
        missing = size - len(pieces[0])
        while missing > 0:
            start = self._chance.randrange(len(self._corpus) // 2)
            pieces.append(self._corpus[start : start + missing])
            missing -= len(pieces[-1])
        return b"".join(pieces)[:size]

    def mtime_ns(self) -> int:
        """A time within two years, with nanoseconds."""
        return (NEWEST - self._chance.randrange(TWO_YEARS)) * 1_000_000_000 + self._chance.randrange(1_000_000_000)


def write(path: Path, content: bytes, mtime_ns: int | None = None) -> None:
    """Write a file and its directories, and give it a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if mtime_ns is not None:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def grow(root: Path, files: int, total: int, seed: int) -> Iterator[Path]:
    """Fill a directory with ordinary files, sixty-four to a folder."""
    samples = Samples(seed)
    for number, size in enumerate(samples.sizes(files, total)):
        sample = samples.sample(size)
        folder = root / f"{number // 4096:02x}" / f"{number // 64 % 64:02x}"
        path = folder / f"file-{number:06d}.{sample.extension}"
        write(path, sample.content, sample.mtime_ns)
        yield path


AWKWARD_NAMES: tuple[bytes, ...] = (
    "Relatório de João.pdf".encode(),
    # The same name, decomposed: another file on Linux, the same one on some other systems.
    "Relato\u0301rio de Joa\u0303o.pdf".encode(),
    "emoji 😀👩‍👩‍👧.png".encode(),
    "日本語・العربية.txt".encode(),
    b"line\nbreak.txt",
    b"tab\tand\rreturn.txt",
    b"back\\slash.txt",
    b"--help",
    b"-rf",
    b"@file",
    b" leading and trailing ",
    b"star*question?[brackets]",
    b"'single' \"double\" `backtick` $(id) ;.txt",
    b"percent%20 and +plus.txt",
    b".hidden",
    b"...",
    b"latin1-\xe9\xe7\xe3.txt",
    b"\xff\xfe\x80.bin",
    b"\x01\x1b[31mcontrol.txt",
    b"a" * 251 + b".bin",
    "ã".encode() * 127 + b"x",
)


def plant_awkward(root: Path, seed: int) -> list[str]:
    """Create the awkward tree below ``root`` and return what this file system could not do."""
    chance = random.Random(f"awkward:{seed}")
    root.mkdir(parents=True)
    base = os.fsencode(root)
    skipped: list[str] = []
    for number, name in enumerate(AWKWARD_NAMES):
        path = os.path.join(base, name)
        with open(path, "wb") as stream:
            stream.write(b"%d\n" % number + chance.randbytes(200))
        _age(path, chance)
    _plant_links(root, chance)
    _plant_sparse(root, chance)
    _plant_times(root)
    _plant_modes(root, chance)
    skipped += _plant_attributes(root)
    skipped += _plant_acls(root)
    (root / "empty").mkdir()
    (root / "empty directories" / "inside" / "one another").mkdir(parents=True)
    (root / "zero bytes").touch()
    os.mkfifo(root / "fifo", 0o640)
    deep = root / "deep"
    for level in range(30):
        deep = deep / f"level {level:02d} of a path that is longer than old tar"
    write(deep / "bottom.txt", b"found\n")
    for folder in (root / "empty", root / "deep", root / "empty directories", root):
        _age(os.fsencode(folder), chance)
    return skipped


def _age(path: bytes, chance: random.Random) -> None:
    stamp = (NEWEST - chance.randrange(TWO_YEARS)) * 1_000_000_000 + chance.randrange(1_000_000_000)
    os.utime(path, ns=(stamp, stamp))


def _plant_links(root: Path, chance: random.Random) -> None:
    links = root / "links"
    write(links / "one of three", chance.randbytes(50_000))
    (links / "other folder").mkdir()
    os.link(links / "one of three", links / "two of three")
    os.link(links / "one of three", links / "other folder" / "three of three")
    os.symlink("one of three", links / "relative")
    os.symlink("../links/other folder/three of three", links / "relative by way of the parent")
    os.symlink("/etc/hostname", links / "absolute")
    os.symlink("no such file", links / "dangling")
    os.symlink("other folder", links / "to a directory")
    os.symlink("itself", links / "itself")
    os.symlink("target\nwith a line break, é", links / "odd target")
    os.symlink("x/" * 300 + "y", links / "long target")
    # A hard link to a symbolic link is allowed as well.
    os.link(links / "dangling", links / "dangling too", follow_symlinks=False)
    os.chown(links / "absolute", 1000, 1000, follow_symlinks=False)


def _plant_sparse(root: Path, chance: random.Random) -> None:
    folder = root / "sparse"
    folder.mkdir()
    with (folder / "16 MiB with two islands").open("wb") as stream:
        stream.seek(1024 * 1024)
        stream.write(chance.randbytes(100_000))
        stream.seek(16 * 1024 * 1024 - 5_000)
        stream.write(chance.randbytes(5_000))
    with (folder / "4 MiB of nothing").open("wb") as stream:
        stream.truncate(4 * 1024 * 1024)
    with (folder / "data, then a hole to the end").open("wb") as stream:
        stream.write(chance.randbytes(10_000))
        stream.truncate(2 * 1024 * 1024)


def _plant_times(root: Path) -> None:
    second = 1_000_000_000
    times = {
        "the epoch": 0,
        "before the epoch": -86_400 * second,
        "1980": 315_532_800 * second,
        "one nanosecond": 1_700_000_000 * second + 1,
        "999999999 nanoseconds": 1_700_000_000 * second + 999_999_999,
        "after 2038": 2_200_000_000 * second + 500,
        "after 2106": 4_400_000_000 * second,
    }
    for name, stamp in times.items():
        write(root / "times" / name, name.encode(), stamp)


def _plant_modes(root: Path, chance: random.Random) -> None:
    folder = root / "modes and owners"
    folder.mkdir()
    for mode in (0o000, 0o400, 0o600, 0o644, 0o666, 0o755, 0o1644, 0o2755, 0o4755):
        path = folder / f"{mode:04o}"
        path.write_bytes(chance.randbytes(100))
        path.chmod(mode)
    for owner, group in ((1000, 1000), (65534, 65534), (4_000_000, 4_000_001), (0, 1000)):
        path = folder / f"{owner}-{group}"
        path.write_bytes(chance.randbytes(100))
        os.chown(path, owner, group)
    for mode in (0o2770, 0o1777, 0o500):
        path = folder / f"directory {mode:04o}"
        path.mkdir()
        write(path / "inside", b"inside\n")
        os.chown(path, 1000, 1001)
        path.chmod(mode)


def _plant_attributes(root: Path) -> list[str]:
    folder = root / "attributes"
    write(folder / "a file", b"has attributes\n")
    attributes = {"user.comment": b"ol\xc3\xa1", "user.binary": bytes(range(256)), "user.empty": b""}
    try:
        for name, value in attributes.items():
            os.setxattr(folder / "a file", name, value)
        os.setxattr(folder, "user.directory", b"yes")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return ["user attributes: this file system has none"]
    return []


def _plant_acls(root: Path) -> list[str]:
    folder = root / "acl"
    write(folder / "a file", b"has an ACL\n")
    write(folder / "shared" / "inherits nothing", b"plain\n")
    setfacl = shutil.which("setfacl")
    if setfacl is None:
        return ["ACLs: setfacl is not installed"]
    rules = (
        ["--modify", "u:1000:rw,g:4000000:r", str(folder / "a file")],
        ["--modify", "u:65534:rwx,d:u:65534:rwx,d:g:1000:r-x", str(folder / "shared")],
    )
    for rule in rules:
        done = subprocess.run([setfacl, *rule], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return [f"ACLs: {done.stderr.strip()}"]
    write(folder / "shared" / "inherits", b"has the default ACL\n")
    return []


def main() -> None:
    """Fill a directory from the command line."""
    parser = argparse.ArgumentParser(description="Fill a directory with files of realistic sizes.")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--files", type=int, default=16_000)
    parser.add_argument("--bytes", type=int, default=2 * 1024**3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--awkward", action="store_true", help="also create the awkward tree, which needs root")
    options = parser.parse_args()
    paths = list(grow(options.directory, options.files, options.bytes, options.seed))
    print(f"{len(paths)} files, {sum(path.stat().st_size for path in paths)} bytes")
    if options.awkward:
        for line in plant_awkward(options.directory / "awkward", options.seed):
            print(f"skipped: {line}")


if __name__ == "__main__":
    main()
