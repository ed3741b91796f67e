# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which program compresses an artifact, and how a compressed file is recognised.

Standard library only. Private to this collection.
"""

from __future__ import annotations

import os
import shutil

from ._encryption import start_of
from ._errors import ArchiveError
from ._process import Stage, program, run

COMPRESSIONS: tuple[str, ...] = ("zstd", "gzip", "none")

SUFFIXES = {"zstd": ".zst", "gzip": ".gz", "none": ""}
LEVELS = {"zstd": (1, 19), "gzip": (1, 9)}
ZSTD_LEVEL = 3
# ISA-L has levels 0 to 3 only, and is several times faster than the others at every one of them.
ISAL_LEVELS = (1, 3)

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
GZIP_MAGIC = b"\x1f\x8b"
TAR_MAGIC = (257, b"ustar")
# What else an operator may hand over, and what to do about it.
FOREIGN = {
    b"BZh": "is compressed with bzip2: decompress it first",
    b"\xfd7zXZ": "is compressed with xz: decompress it first",
    b"PK\x03\x04": "is a ZIP file: repack it as tar first",
}


def suffix(compression: str) -> str:
    """Return what a file name gains by this compression; empty for none."""
    return SUFFIXES[compression]


def compress_stage(compression: str, name: str, level: int | None = None) -> Stage | None:
    """Return the pipeline stage that compresses, or None where nothing is compressed.

    Uses all processors. Raises ArchiveError for a level that the format does not have.
    """
    _check_level(compression, level)
    if compression == "zstd":
        # zstd adds a checksum of the content by itself when it compresses a stream; say so, since restores rely on it.
        return Stage(name, [program("zstd"), "--quiet", "-T0", f"-{level or ZSTD_LEVEL}", "--check", "--stdout"])
    if compression == "gzip":
        return Stage(name, _gzip(level))
    return None


def decompress_stage(compression: str, name: str) -> Stage | None:
    """Return the pipeline stage that decompresses, or None where nothing is compressed."""
    if compression == "zstd":
        return Stage(name, [program("zstd"), "--quiet", "--decompress", "--stdout"])
    if compression == "gzip":
        return Stage(name, [_fastest("igzip", "pigz"), "--decompress", "--stdout"])
    return None


def detect(path: str) -> str:
    """Return the compression of an archive by its first bytes, which are decrypted where it is encrypted.

    Raises ArchiveError when it is no archive of ours, and StoreError when its key is missing or another one.
    """
    start = start_of(path, 512)
    if start.startswith(ZSTD_MAGIC):
        return "zstd"
    if start.startswith(GZIP_MAGIC):
        return "gzip"
    offset, magic = TAR_MAGIC
    # A tar without members is nothing but zeros.
    if start[offset : offset + len(magic)] == magic or start == bytes(512):
        return "none"
    if not start:
        raise ArchiveError(f"{path} is empty. Use another backup.", archive=path)
    for foreign, remedy in FOREIGN.items():
        if start.startswith(foreign):
            raise ArchiveError(f"{path} {remedy}.", archive=path)
    raise ArchiveError(f"{path} is neither a tar archive nor one that is compressed with zstd or gzip.", archive=path)


def tool(compression: str) -> str:
    """Return the name and version of the program that compresses, for the manifest; empty for none."""
    if compression == "none":
        return ""
    path = program("zstd") if compression == "zstd" else _gzip(None)[0]
    printed = run(Stage(f"ask {path} for its version", [path, "--version"]))
    # zstd decorates its line and igzip is wordy; pigz 2.3 printed to standard error.
    words = (printed.stdout.decode(errors="replace") or printed.stderr).split("\n")[0].replace(",", " ").split()
    version = next((word.lstrip("v") for word in words if word.lstrip("v")[:1].isdigit() and "." in word), "")
    return f"{os.path.basename(path)} {version}".strip()


def _check_level(compression: str, level: int | None) -> None:
    if level is None:
        return
    if compression not in LEVELS:
        raise ArchiveError("A compression level was given, but nothing is to be compressed. Leave it out.")
    lowest, highest = LEVELS[compression]
    if not lowest <= level <= highest:
        raise ArchiveError(f"{compression} has no level {level}. Choose one from {lowest} to {highest}.")


def _gzip(level: int | None) -> list[str]:
    lowest, highest = ISAL_LEVELS
    if level is None or lowest <= level <= highest:
        path = _fastest("igzip", "pigz")
    else:
        path = _fastest("pigz")
    # Without the time, the same content gives the same archive.
    return [path, f"-{level or lowest}", "--no-name", "--stdout"]


def _fastest(*preferred: str) -> str:
    """Return the path of the first of these programs that is installed, else of gzip."""
    for name in preferred:
        found = shutil.which(name)
        if found is not None:
            return found
    return program("gzip")
