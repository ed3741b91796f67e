# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import hashlib
import subprocess

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._dump_file import (
    CUSTOM,
    PLAIN,
    compression_of,
    examine,
    survey_rows,
    survey_script,
)
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError, StoreError
from ansible_collections.crm.continuity.tests.unit.database_fakes import LocalEngine, location
from ansible_collections.crm.continuity.tests.unit.plain_dumps import SCRIPT as SQL

SCRIPT = (
    "-- Dumped from database version 15.18\n-- Name: crm; Type: DATABASE; Schema: -; Owner: x\nCREATE DATABASE crm;\n"
)
CONTENT = b"PGDMP" + bytes(range(256)) * 4000


class Programs(LocalEngine):
    """An engine whose pg_restore reads the beginning of its input only, and prints what a test wants."""

    def __init__(self, listing="1; 0 2 TABLE DATA public a x\n", script=SCRIPT, ending=0):
        super().__init__()
        self.printed = {"--list": listing, "--create": script}
        self.ending = ending

    def exec_stage(self, container, name, argv, **more):
        text = self.printed[argv[1]]
        shell = 'head -c 5 >/dev/null; printf %s "$1"; echo "$1" >&2; exit "$2"'
        return super().exec_stage(container, name, ["sh", "-c", shell, "sh", text, str(self.ending)], **more)


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "crm.dump.gz"
    path.write_bytes(gzip.compress(CONTENT))
    return path


def test_a_whole_dump_is_described(dump):
    found = examine(str(dump), None, location(Programs()), 15)

    assert (found.compression, found.plain_size, found.size) == ("gzip", len(CONTENT), dump.stat().st_size)
    assert (found.contents.database, found.contents.table_data) == ("crm", 1)
    assert (found.format, found.rows) == (CUSTOM, None)


def compressed(compression, content):
    if compression == "zstd":
        return subprocess.run(["zstd", "-q"], input=content, capture_output=True, check=True).stdout
    return gzip.compress(content) if compression == "gzip" else content


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_script_is_described_without_the_programs_of_a_server(tmp_path, compression):
    path = tmp_path / "x"
    path.write_bytes(compressed(compression, SQL.encode()))

    found = examine(str(path), None, location(), 15)

    assert (found.format, found.compression, found.plain_size) == (PLAIN, compression, len(SQL.encode()))
    assert found.size == path.stat().st_size
    assert found.rows == {'public."Tags"': 2, 'public."Whatsapps"': 1, "other.empty": 0}


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
@pytest.mark.parametrize("keep", [0.2, 0.9, 0.99])
def test_a_script_that_does_not_decompress_is_damaged_whatever_it_seems_to_be(tmp_path, compression, keep):
    content = compressed(compression, SQL.encode())
    path = tmp_path / "x"
    path.write_bytes(content[: int(len(content) * keep)])

    with pytest.raises(StoreError, match=r"x is damaged\."):
        examine(str(path), None, location(), 15)


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_script_that_is_refused_at_its_beginning_is_not_read_to_its_end(tmp_path, compression):
    path = tmp_path / "x"
    path.write_bytes(compressed(compression, b"\\! touch x\n" + b"-- words\n" * 1_000_000))

    with pytest.raises(StoreError, match="does not begin as a dump"):
        survey_script(str(path), compression)


def test_the_rows_of_a_dump_in_the_custom_format_are_those_of_its_script(dump):
    class Printing(LocalEngine):
        def exec_stage(self, container, name, argv, **more):
            return super().exec_stage(
                container, name, ["sh", "-c", 'cat >/dev/null; printf %s "$1"', "sh", SQL], **more
            )

    found = survey_rows(str(dump), "gzip", location(Printing()), 15)

    assert sum(found.rows.values()) == 3


def test_the_expected_checksum_is_accepted(dump):
    examine(str(dump), hashlib.sha256(dump.read_bytes()).hexdigest(), location(Programs()), 15)


def test_another_checksum_is_refused(dump):
    with pytest.raises(StoreError, match="is damaged: its SHA-256 is"):
        examine(str(dump), "0" * 64, location(Programs()), 15)


def test_a_truncated_dump_is_refused_without_a_checksum(dump):
    dump.write_bytes(dump.read_bytes()[:-9])

    with pytest.raises(StoreError, match="is damaged"):
        examine(str(dump), None, location(Programs()), 15)


def test_a_missing_dump_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"There is no dump .*absent"):
        examine(str(tmp_path / "absent"), None, location(Programs()), 15)


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("unsupported version (1.16) in file header", "written by a newer pg_dump"),
        ("input file does not appear to be a valid archive", "not a dump in pg_dump's custom format"),
    ],
)
def test_a_dump_that_pg_restore_cannot_read_is_refused_with_advice(dump, words, advice):
    with pytest.raises(DatabaseError, match=f"cannot be restored.*{advice}"):
        examine(str(dump), None, location(Programs(listing=words, ending=1)), 15)


@pytest.mark.parametrize(
    ("start", "compression"),
    [(b"PGDMP\x01", "none"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x1f\x8b", "gzip")],
)
def test_the_compression_is_told_by_the_first_bytes(tmp_path, start, compression):
    (tmp_path / "x").write_bytes(start)

    assert compression_of(str(tmp_path / "x"), b"PGDMP") == compression


@pytest.mark.parametrize(
    ("start", "words"),
    [
        pytest.param(bytes(257) + b"ustar  ", "is a tar archive. If pg_dump -Ft made it", id="tar"),
        pytest.param(b"age-encryption.org/v1", "is encrypted with age", id="age"),
        pytest.param(b"", "is not a dump", id="empty"),
        pytest.param(b"GARBAGE", "is not a dump", id="garbage"),
    ],
)
def test_anything_else_is_refused_by_its_first_bytes(tmp_path, start, words):
    (tmp_path / "x").write_bytes(start)

    with pytest.raises(StoreError, match=words):
        compression_of(str(tmp_path / "x"), b"PGDMP")
