# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import os
import subprocess
import tarfile
import time
from io import BytesIO
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _legacy_archives
from ansible_collections.crm.continuity.plugins.module_utils._legacy_archives import adoptable, examine, search
from ansible_collections.crm.continuity.tests.unit.plain_dumps import SCRIPT

TICKETZ = "ticketz-backup-20261120020000.tar.gz"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A directory that every user may enter."""
    monkeypatch.setattr(_legacy_archives, "_reachable", lambda _directory: True)
    return tmp_path


def write(path, content, mode=0o600, age=0.0):
    path.write_bytes(content)
    path.chmod(mode)
    then = time.time() - age * 86400
    os.utime(path, (then, then))
    return path


def tar(**files):
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name.replace("__", "/").replace("_sql", ".sql"))
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    return stream.getvalue()


GOOD = tar(backups__db_dump_sql=SCRIPT.encode(), backend_public__a=b"a")


def look(*places, newest=3, max_age=2.0):
    files = search([str(place) for place in places])
    examined = examine(files, newest, max_age)
    return files, examined, {(Path(f.where).name, f.kind, f.severity) for f in examined.findings}


def test_files_are_found_by_their_names(tmp_path):
    (tmp_path / "deep").mkdir()
    for name in ("a.tar.gz", "b.sql", "deep/c.dump", "d.tar.zst.age", "notes.txt", "e.gz"):
        (tmp_path / name).touch()
    (tmp_path / "ours" / "crm").mkdir(parents=True)
    (tmp_path / "ours" / "crm" / "x.tar").touch()
    (tmp_path / "link.sql").symlink_to("b.sql")

    files = search([str(tmp_path)], [str(tmp_path / "ours")])

    assert [Path(file.path).name for file in files] == ["a.tar.gz", "b.sql", "d.tar.zst.age", "c.dump"]


def test_sound_files_are_nothing_to_report_and_can_be_adopted(place):
    write(place / TICKETZ, GOOD)

    files, examined, found = look(place)

    assert found == set()
    assert adoptable(files, examined.sound) == [{"kind": "ticketz-backup", "paths": [str(place / TICKETZ)]}]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        pytest.param("a.sql", b"", "empty", id="nothing at all"),
        pytest.param("a.sql.gz", gzip.compress(b""), "empty", id="a dump of nothing"),
        pytest.param("a.sql.gz", gzip.compress(SCRIPT.encode())[:-20], "damaged", id="a truncated dump"),
        pytest.param("a.sql", SCRIPT.encode()[: len(SCRIPT) // 2], "damaged", id="half a script"),
        pytest.param("a.sql", b"pg_dump: error: connection refused\n", "damaged", id="an error message"),
        pytest.param(TICKETZ, tar(backups__db_dump_sql=b"", p=b"a"), "empty", id="a sidekick whose pg_dump failed"),
        pytest.param(TICKETZ, tar(p=b"a"), "empty", id="a sidekick without a dump"),
        pytest.param(TICKETZ, GOOD[: len(GOOD) // 2], "damaged", id="a truncated archive"),
        pytest.param(TICKETZ, GOOD[:-4] + b"\0\0\0\0", "damaged", id="a damaged archive"),
        pytest.param("v_2026-11-20_0200.tar.gz", tar(), "empty", id="an archive of nothing"),
        pytest.param("v_2026-11-20_0200.tar.gz", b"tar: error", "damaged", id="no archive"),
    ],
)
def test_what_restores_nothing_is_critical_and_cannot_be_adopted(place, name, content, kind):
    write(place / name, content)

    files, examined, found = look(place)

    assert found == {(name, kind, "critical")}
    assert adoptable(files, examined.sound) == []


def test_a_dump_in_the_custom_format_and_a_compressed_one_are_read(place):
    write(place / "a.dump", b"PGDMP rows")
    write(place / "b.sql.gz", gzip.compress(SCRIPT.encode()))
    (place / "c.sql").write_text(SCRIPT)
    (place / "c.sql").chmod(0o600)
    subprocess.run(["zstd", "-q", "--rm", str(place / "c.sql")], check=True)

    assert look(place)[2] == set()


@pytest.mark.parametrize(("mode", "expected"), [(0o644, 1), (0o604, 1), (0o640, 0), (0o600, 0)])
def test_plaintext_that_everybody_may_read_is_critical(place, mode, expected):
    write(place / TICKETZ, GOOD, mode)

    assert len([one for one in look(place)[2] if one[1:] == ("exposed", "critical")]) == expected


def test_what_nobody_else_can_reach_is_not_exposed(tmp_path):
    tmp_path.chmod(0o700)
    write(tmp_path / TICKETZ, GOOD, 0o644)

    assert look(tmp_path)[2] == set()


def test_an_encrypted_file_is_not_looked_into(place):
    write(place / "a.tar.gz.age", b"age-encryption.org/v1\n-> X25519", 0o644)

    assert look(place)[2] == {("a.tar.gz.age", "encrypted", "info")}


def test_the_newest_sound_file_of_each_kind_must_not_be_old(place):
    write(place / "ticketz-backup-20261101020000.tar.gz", GOOD, age=20)
    write(place / "ticketz-backup-20261110020000.tar.gz", GOOD, age=10)
    write(place / "ticketz-backup-20261120020000.tar.gz", b"", age=1)

    found = look(place)[2]

    assert ("ticketz-backup-20261110020000.tar.gz", "stale", "warning") in found
    assert ("ticketz-backup-20261120020000.tar.gz", "empty", "critical") in found
    assert len(found) == 2


def test_only_the_newest_are_read(place):
    for day in range(10, 20):
        write(place / f"ticketz-backup-202611{day}020000.tar.gz", b"no archive", age=20 - day)

    assert len(look(place, newest=2)[1].findings) == 2


def test_a_run_of_the_runbook_is_adopted_as_a_whole_beside_a_sidekick(place):
    write(place / TICKETZ, GOOD)
    for name in ("a_2026-11-20_0200.tar.gz", "b_2026-11-20_0201.tar.gz", "a_2026-11-19_0200.tar.gz"):
        write(place / name, tar(x=b"x"))
    write(place / "db_2026-11-20_0200.sql", SCRIPT.encode())

    files, examined, _found = look(place)

    names = [[Path(path).name for path in entry["paths"]] for entry in adoptable(files, examined.sound)]
    assert names[0] == [TICKETZ]
    assert {"a_2026-11-20_0200.tar.gz", "b_2026-11-20_0201.tar.gz"} <= set(names[1])


def test_a_run_with_a_damaged_archive_is_not_adopted(place):
    write(place / "a_2026-11-20_0200.tar.gz", tar(x=b"x"))
    write(place / "b_2026-11-20_0201.tar.gz", b"no archive")

    files, examined, _found = look(place)

    assert adoptable(files, examined.sound) == []
