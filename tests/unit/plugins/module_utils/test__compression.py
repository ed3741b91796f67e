# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import os
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._compression import (
    COMPRESSIONS,
    compress_stage,
    decompress_stage,
    detect,
    suffix,
    tool,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError, ProcessError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._process import run
from ansible_collections.crm.continuity.tests.unit.archives import END, file

PROGRAMS = {"igzip": "igzip", "pigz": "pigz", "gzip": "gzip"}
DATA = os.urandom(50_000) + b"compressible " * 50_000


@pytest.fixture
def only(monkeypatch, tmp_path):
    """Return a function that leaves only some programs on the PATH."""

    def restrict(*names):
        directory = tmp_path / "bin"
        directory.mkdir()
        for name in names:
            found = subprocess.run(["which", name], capture_output=True, text=True, check=False).stdout.strip()
            if not found:
                pytest.skip(f"{name} is not installed")
            (directory / name).symlink_to(found)
        monkeypatch.setenv("PATH", str(directory))

    return restrict


@pytest.mark.parametrize("level", [None, 1, 9])
@pytest.mark.parametrize("compression", ["zstd", "gzip"])
def test_what_is_compressed_comes_back(compression, level):
    packed = run(compress_stage(compression, "compress", level), DATA).stdout

    assert len(packed) < len(DATA) / 2
    assert run(decompress_stage(compression, "decompress"), packed).stdout == DATA


def test_without_compression_there_is_no_program():
    assert compress_stage("none", "compress") is None
    assert decompress_stage("none", "decompress") is None
    assert tool("none") == ""


@pytest.mark.parametrize("names", [("igzip", "pigz", "gzip"), ("pigz", "gzip"), ("gzip",)], ids=lambda names: names[0])
def test_the_fastest_gzip_that_is_installed_is_used(names, only):
    only(*names)

    packed = run(compress_stage("gzip", "compress"), DATA).stdout

    assert os.path.basename(compress_stage("gzip", "compress").argv[0]) == names[0]
    assert tool("gzip").startswith(f"{names[0]} ")
    assert tool("gzip").split()[1][0].isdigit()
    assert gzip.decompress(packed) == DATA
    assert run(decompress_stage("gzip", "decompress"), packed).stdout == DATA


def test_a_level_that_isa_l_does_not_have_goes_to_another_program(only):
    only("igzip", "pigz", "gzip")

    assert os.path.basename(compress_stage("gzip", "compress", 3).argv[0]) == "igzip"
    assert os.path.basename(compress_stage("gzip", "compress", 9).argv[0]) == "pigz"


@pytest.mark.parametrize("program", ["igzip", "pigz", "gzip"])
@pytest.mark.parametrize("damage", ["cut", "flipped bit", "cut in the checksum", "nothing"])
def test_every_decompressor_of_gzip_notices_damage(program, damage, only):
    packed = bytearray(gzip.compress(DATA))
    if damage == "cut":
        del packed[40_000:]
    elif damage == "cut in the checksum":
        del packed[-6:]
    elif damage == "nothing":
        packed.clear()
    else:
        packed[20_000] ^= 4
    only(program, "gzip") if program != "gzip" else only("gzip")

    with pytest.raises(ProcessError):
        run(decompress_stage("gzip", "decompress"), bytes(packed))


def test_the_same_content_gives_the_same_archive():
    for compression in ("zstd", "gzip"):
        one, other = (run(compress_stage(compression, "compress"), DATA).stdout for _run in range(2))

        assert one == other


def test_stock_tools_read_what_is_written(tmp_path):
    for compression, argv in {"zstd": ["zstd", "-dc"], "gzip": ["gzip", "-dc"]}.items():
        packed = run(compress_stage(compression, "compress"), DATA).stdout

        assert subprocess.run(argv, input=packed, capture_output=True, check=True).stdout == DATA


def test_the_checksum_of_zstd_is_on(tmp_path):
    (tmp_path / "x.zst").write_bytes(run(compress_stage("zstd", "compress"), DATA).stdout)

    shown = subprocess.run(["zstd", "-lv", tmp_path / "x.zst"], capture_output=True, text=True, check=True).stdout

    assert "XXH64" in shown


@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_the_compression_is_recognised_by_the_first_bytes(compression, tmp_path):
    stage = compress_stage(compression, "compress")
    archive = file(b"a", b"x") + END
    path = tmp_path / "archive"
    path.write_bytes(archive if stage is None else run(stage, archive).stdout)

    assert detect(str(path)) == compression


def test_an_archive_without_members_is_an_archive(tmp_path):
    (tmp_path / "empty.tar").write_bytes(bytes(10240))

    assert detect(str(tmp_path / "empty.tar")) == "none"


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"", "is empty"),
        (b"BZh91AY", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"PK\x03\x04", "ZIP"),
        (b"just text", "neither a tar archive"),
    ],
)
def test_another_kind_of_file_is_refused_with_the_remedy(start, words, tmp_path):
    (tmp_path / "x").write_bytes(start)

    with pytest.raises(ArchiveError, match=words):
        detect(str(tmp_path / "x"))


@pytest.mark.parametrize(
    ("start", "words"),
    [(b"age-encryption.org/v1\n", "crm_identity_file"), (b"-----BEGIN PGP MESSAGE-----", "crm_passphrase")],
)
def test_an_encrypted_file_needs_its_key(start, words, tmp_path):
    (tmp_path / "x").write_bytes(start)

    with pytest.raises(StoreError, match=words):
        detect(str(tmp_path / "x"))


@pytest.mark.parametrize(("compression", "level"), [("zstd", 0), ("zstd", 20), ("gzip", 10), ("none", 1)])
def test_a_level_that_does_not_exist_is_refused(compression, level):
    with pytest.raises(ArchiveError, match="level"):
        compress_stage(compression, "compress", level)


def test_names_show_the_compression():
    assert [suffix(compression) for compression in COMPRESSIONS] == [".zst", ".gz", ""]


def test_the_version_of_zstd_is_told():
    assert tool("zstd").startswith("zstd 1.")
