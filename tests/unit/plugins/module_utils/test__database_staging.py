# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._database_location import on_host
from ansible_collections.crm.continuity.plugins.module_utils._database_staging import require_space, staging
from ansible_collections.crm.continuity.plugins.module_utils._dump_file import PLAIN, DumpFile
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError
from ansible_collections.crm.continuity.tests.unit.database_fakes import FakeDatabase, location, nothing_left

CONTENTS = SimpleNamespace()
MIB = 1 << 20


@pytest.fixture
def dump(tmp_path):
    path = tmp_path / "crm.dump.gz"
    path.write_bytes(gzip.compress(b"PGDMP rows"))
    return DumpFile(str(path), "gzip", 1, 10, CONTENTS)


def test_the_dump_is_unpacked_for_the_programs_and_taken_away(dump):
    with nothing_left(), staging(location(), dump, "unit-test-staging") as place:
        assert Path(place.archive).read_bytes() == b"PGDMP rows"
        assert Path(place.put_text("list", "x" * 200000)).read_text() == "x" * 200000


def test_an_uncompressed_dump_on_this_host_is_read_where_it_lies(tmp_path):
    path = tmp_path / "crm.dump"
    path.write_bytes(b"PGDMP")

    with staging(
        on_host(host="h", port=1, user="u"), DumpFile(str(path), "none", 5, 5, CONTENTS), "unit-test"
    ) as place:
        assert place.archive == str(path)


def test_a_script_is_not_put_anywhere(tmp_path):
    with staging(location(), DumpFile(str(tmp_path / "absent"), "gzip", 1, 10, CONTENTS, PLAIN), "unit-test") as place:
        assert place.archive == ""


def test_a_script_needs_no_room_for_itself():
    elsewhere = on_host(host="db.example.org", port=1, user="u")
    huge = (1, 1 << 60, CONTENTS)

    with pytest.raises(DatabaseError, match=r"on the disk of /var/tmp"):
        require_space(elsewhere, FakeDatabase(), DumpFile("/d", "gzip", *huge))
    require_space(elsewhere, FakeDatabase(), DumpFile("/d", "gzip", *huge, PLAIN))


def test_enough_space_is_enough():
    require_space(location(), FakeDatabase(settings={"data_directory": "/"}), DumpFile("/d", "zstd", 1, MIB, CONTENTS))


def test_too_little_space_is_refused_with_the_numbers():
    huge = DumpFile("/d", "zstd", 1, 1 << 60, CONTENTS)

    with pytest.raises(DatabaseError, match=r"needs about \d+ MiB on the disk of .* and \d+ MiB are free"):
        require_space(location(), FakeDatabase(settings={"data_directory": "/"}), huge)


def test_where_the_disk_cannot_be_asked_it_is_not_judged():
    elsewhere = on_host(host="db.example.org", port=1, user="u")
    huge = DumpFile("/d", "none", 1, 1 << 60, CONTENTS)

    require_space(elsewhere, FakeDatabase(settings={"data_directory": "/absent"}), huge)
