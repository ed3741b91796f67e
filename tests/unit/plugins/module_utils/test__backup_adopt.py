# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _backup_adopt
from ansible_collections.crm.continuity.plugins.module_utils._backup_adopt import apply, plan, summary
from ansible_collections.crm.continuity.plugins.module_utils._backup_adopt_manifest import missing
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._backup_verify import Request as VerifyRequest
from ansible_collections.crm.continuity.plugins.module_utils._backup_verify import verify
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    ArchiveError,
    DatabaseError,
    StackError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._volume_import import import_directory
from ansible_collections.crm.continuity.tests.unit.adopt_fakes import (
    request,
    runbook_host,
    sidekick,
    tar,
    ticketz_host,
    with_custom_dump,
)
from ansible_collections.crm.continuity.tests.unit.archives import END, described, directory, file, symlink
from ansible_collections.crm.continuity.tests.unit.fakes import ROOT
from ansible_collections.crm.continuity.tests.unit.plain_dumps import SCRIPT

ROWS = {'public."Tags"': 2, 'public."Whatsapps"': 1, "other.empty": 0}


@pytest.fixture
def runbook(tmp_path, monkeypatch):
    """A host with the stack "crm", and the directory that the runbook has written to."""
    return runbook_host(tmp_path, monkeypatch)


@pytest.fixture
def ticketz(tmp_path, monkeypatch):
    """A host with a stack of Ticketz, and the directory that the sidekick writes to."""
    return ticketz_host(tmp_path, monkeypatch)


def planned(host, *paths, **more):
    return plan(request(host, *paths, **more), host, host.profiles)


def adopted(host, *paths, **more):
    """Adopt files, and return the directory and the manifest of the backup."""
    backup, manifest = apply(planned(host, *paths, **more), host)
    return backup.path, manifest


def content(path):
    """Return the checksums of all files below a directory."""
    return {str(file_): hashlib.sha256(file_.read_bytes()).hexdigest() for file_ in path.rglob("*") if file_.is_file()}


def problems(host):
    return [problem for verdict in verify(VerifyRequest(host.root)).verdicts for problem in verdict.problems]


def restored(directory_, manifest, volume, target):
    """Extract the archive of a volume as a restore does."""
    artifact = manifest.find("archive", volume)
    target.mkdir()
    import_directory(
        os.path.join(directory_, artifact.path), str(target), sha256=artifact.sha256, files=artifact.facts["files"]
    )
    return described(target)


def as_tar_keeps_it(tree):
    """Return what ``described`` says of a tree but for what tar's own format does not keep: fractions and holes."""
    return {
        path: (mode, user, group, time // 10**9, size, first, data)
        for path, (mode, user, group, time, size, _sparse, first, data, _attributes) in tree.items()
    }


# What the runbook has written


def test_the_archives_of_the_runbook_become_a_backup_that_can_be_verified(runbook):
    host, written = runbook

    directory_, manifest = adopted(host, written)

    assert [artifact.path for artifact in manifest.artifacts] == [
        "volumes/crm_storage.tar.gz",
        "volumes/crm_instances.tar.gz",
        "databases/chatwoot.sql.gz",
        "RESTORE.md",
    ]
    assert directory_ == f"{host.root}/crm/20261120T020000Z"
    assert (manifest.id, manifest.cut_at) == ("20261120T020000Z", "2026-11-20T02:00:00.000+00:00")
    assert problems(host) == []


def test_an_archive_that_is_good_as_it_is_stays_so(runbook, tmp_path):
    host, written = runbook

    directory_, manifest = adopted(host, written)

    for source, path in (
        ("storage_2026-11-20_0200.tar.gz", "volumes/crm_storage.tar.gz"),
        ("chatwoot_2026-11-20_0200.sql.gz", "databases/chatwoot.sql.gz"),
    ):
        original, copy = written / source, Path(directory_) / path
        assert original.read_bytes() == copy.read_bytes()
        # A copy of its own: who changes one does not change the other.
        assert original.stat().st_ino != copy.stat().st_ino
        assert copy.stat().st_mode & 0o777 == 0o600
    after = restored(directory_, manifest, "crm_storage", tmp_path / "restored")
    assert as_tar_keeps_it(after) == as_tar_keeps_it(described(host.data("crm_storage")))


def test_the_files_are_not_changed(runbook):
    host, written = runbook
    before = content(written)

    adopted(host, written)

    assert content(written) == before


def test_the_manifest_says_what_is_in_the_dump(runbook):
    host, written = runbook

    _directory, manifest = adopted(host, written)

    dump = manifest.find("dump")
    assert (dump.source, dump.compression, dump.facts["format"]) == ("chatwoot", "gzip", "plain")
    assert dump.facts["rows"] == ROWS
    described_ = manifest.database(dump)
    assert (described_["server_version"], described_["server_version_num"]) == ("15.18", 150018)
    assert (described_["owner"], described_["covered"]) == ("ticketz", True)
    assert summary(Store(host.root).backup("crm"), manifest)["rows"] == 3


def test_the_manifest_is_what_its_schema_says(runbook):
    host, written = runbook
    with_custom_dump(host, written)

    directory_, _manifest = adopted(host, written)

    schema = json.loads((ROOT / "docs" / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
    with open(os.path.join(directory_, "manifest.json"), encoding="utf-8") as stream:
        jsonschema.Draft202012Validator(schema).validate(json.load(stream))


def test_the_manifest_names_the_files_that_it_was_made_of(runbook):
    host, written = runbook

    _directory, manifest = adopted(host, written)

    assert manifest.origin["kind"] == "runbook"
    assert manifest.origin["made_at"] == "2026-11-20T02:00:00.000+00:00"
    assert {entry["path"]: entry["sha256"] for entry in manifest.origin["files"]} == content(written)


def test_what_the_files_do_not_hold_is_said(runbook):
    host, written = runbook

    _directory, manifest = adopted(host, written)

    said = "\n".join(manifest.warnings)
    assert "no compose files, environment files or secrets" in said
    assert "from 02:00 to 02:03 UTC: they are not of one instant" in said
    assert "volume crm_redis is not covered: the files that were adopted do not hold it." in said
    assert "Database evolution is not covered: the files that were adopted hold no dump of it." in said
    assert "The session's credentials are not covered: database evolution: adopt a dump of that database too." in said
    coverage = {entry["name"]: entry["coverage"] for entry in manifest.source["volumes"]}
    assert coverage == {"crm_storage": "archive", "crm_instances": "archive", "crm_redis": "none", "crm_pg": "dump"}
    assert [entry["covered"] for entry in manifest.source["redis"]] == [False] * len(manifest.source["redis"])


def test_check_mode_says_what_the_real_run_says(runbook):
    host, written = runbook

    wanted = planned(host, written)
    said = missing(wanted)
    _backup, manifest = apply(wanted, host)

    assert wanted.artifacts == [artifact.path for artifact in manifest.artifacts if artifact.kind != "instructions"]
    assert wanted.id == manifest.id
    assert set(said) <= set(manifest.warnings)


def test_planning_writes_nothing(runbook):
    host, written = runbook

    planned(host, written)

    assert not os.path.exists(host.root)


def test_files_that_were_adopted_are_recognised(runbook):
    host, written = runbook
    directory_, _manifest = adopted(host, written)

    again = planned(host, written)

    assert again.reason is None
    assert again.path == directory_


def test_files_that_were_adopted_are_recognised_wherever_they_lie_now(runbook, tmp_path):
    host, written = runbook
    adopted(host, written)
    shutil.move(written, tmp_path / "moved")

    assert planned(host, tmp_path / "moved").reason is None


def test_other_files_of_the_same_minute_get_an_id_of_their_own(runbook):
    host, written = runbook
    adopted(host, written)
    (written / "chatwoot_2026-11-20_0200.sql.gz").unlink()

    wanted = planned(host, written)

    assert wanted.reason is not None
    assert wanted.id == "20261120T020000Z-2"


def test_files_that_another_run_adopts_meanwhile_are_not_adopted_twice(runbook):
    host, written = runbook
    first, second = planned(host, written), planned(host, written)
    apply(first, host)

    with pytest.raises(StoreError, match="Another run has adopted these files meanwhile"):
        apply(second, host)


def test_a_clock_that_is_wrong_makes_no_backup_of_the_future(runbook):
    host, written = runbook
    for path in list(written.iterdir()):
        path.rename(written / path.name.replace("2026-11-20", "2199-01-01"))

    wanted = planned(host, written)

    assert wanted.moment <= datetime.datetime.now(datetime.timezone.utc)


def test_a_dump_in_the_custom_format_is_counted_by_its_script(runbook):
    host, written = runbook
    with_custom_dump(host, written)

    _directory, manifest = adopted(host, written)

    dump = next(entry for entry in manifest.artifacts if entry.source == "evolution")
    # It was not compressed, and is now.
    assert (dump.path, dump.compression, dump.facts["format"]) == ("databases/evolution.dump.zst", "zstd", "custom")
    assert dump.facts["rows"] == ROWS
    assert problems(host) == []


def test_a_volume_is_found_by_what_the_operator_says(runbook):
    host, written = runbook
    (written / "storage_2026-11-20_0200.tar.gz").rename(written / "old.tar.gz")

    wanted = planned(host, written / "old.tar.gz", volumes={"old.tar.gz": "crm_storage"})

    assert [part.data.name for part in wanted.volumes] == ["crm_storage"]


def test_a_database_is_found_by_what_the_operator_says(runbook):
    host, written = runbook

    wanted = planned(host, written, databases={"chatwoot_2026-11-20_0200.sql.gz": "evolution"}, stack="crm")

    assert [part.database.name for part in wanted.dumps] == ["evolution"]


def test_a_database_that_is_not_asked_for_need_not_answer(runbook):
    host, written = runbook
    (written / "chatwoot_2026-11-20_0200.sql.gz").unlink()
    wanted = planned(host, written)
    host.server.refuses["chatwoot"] = "it is away"

    _backup, manifest = apply(wanted, host)

    assert "Database chatwoot was not looked at: it is away" in manifest.warnings
    assert [entry["name"] for entry in manifest.source["databases"]] == ["evolution"]


def test_a_database_that_is_adopted_has_to_answer(runbook):
    host, written = runbook
    wanted = planned(host, written)
    host.server.refuses["chatwoot"] = "it is away"

    with pytest.raises(DatabaseError, match="it is away"):
        apply(wanted, host)

    assert host.published() == []


@pytest.mark.parametrize(
    ("files", "more", "words"),
    [
        pytest.param({"other_2026-11-20_0200.tar.gz": ""}, {"stack": "crm"}, "has no volume other", id="unknown"),
        pytest.param(
            {"other_2026-11-20_0200.tar.gz": ""}, {}, "several stacks of this host, or of none", id="no stack"
        ),
        pytest.param({"crm_pg_2026-11-20_0200.tar.gz": ""}, {}, "a copy of the files of a PostgreSQL", id="server"),
        pytest.param({"crm_storage_2026-11-20_0200.tar.gz": ""}, {}, "same volume or database", id="one volume twice"),
        pytest.param({"x_2026-11-20_0200.sql": SCRIPT}, {}, "not clear which database x_2026", id="database"),
        pytest.param({"chatwoot_2026-11-20.sql": SCRIPT}, {}, "several dumps of chatwoot", id="two dumps"),
        pytest.param(
            {"x_2026-11-20.sql": SCRIPT},
            {"databases": {"x_2026-11-20.sql": "chatwoot"}},
            "of the same volume or database",
            id="one database twice",
        ),
        pytest.param(
            {"evolution_2026-11-20.sql": SCRIPT[:-400]}, {}, "evolution_2026-11-20.sql is truncated", id="truncated"
        ),
        pytest.param({"evolution_2026-11-20.sql": ""}, {}, "evolution_2026-11-20.sql is empty", id="empty"),
        pytest.param(
            {"evolution_2026-11-20.sql": "pg_dump: error: no\n"}, {}, "holds an error message", id="error message"
        ),
        pytest.param(
            {"evolution_2026-11-20.sql": re.sub(r"(?s)-- Data for.*?(?=ALTER TABLE ONLY)", "", SCRIPT)},
            {},
            "holds no rows of any table",
            id="definitions only",
        ),
        pytest.param(
            {
                "evolution_2026-11-20.sql": SCRIPT.replace(
                    "name text DEFAULT 'a; \\'::text\n)", "name text\n)\nPARTITION BY HASH (id)"
                )
            },
            {},
            "--load-via-partition-root",
            id="partitions",
        ),
    ],
)
def test_what_is_not_clear_or_no_backup_is_refused(runbook, files, more, words):
    host, written = runbook
    for name, text in files.items():
        if text or name.endswith(".sql"):
            (written / name).write_text(text)
        else:
            tar(host.data("crm_instances"), written / name, ".")

    with pytest.raises((StackError, StoreError), match=words):
        planned(host, written, **more)


def test_a_truncated_archive_is_refused(runbook):
    host, written = runbook
    archive = written / "storage_2026-11-20_0200.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-20])

    with pytest.raises(ArchiveError, match=r"storage_2026-11-20_0200\.tar\.gz is damaged"):
        planned(host, written)


def test_an_archive_without_its_end_is_refused(runbook):
    host, written = runbook
    archive = written / "storage_2026-11-20_0200.tar.gz"
    whole = gzip.decompress(archive.read_bytes())
    archive.write_bytes(gzip.compress(whole[: len(whole.rstrip(b"\0")) // 512 * 512]))

    with pytest.raises(ArchiveError, match="is truncated"):
        planned(host, written)


def test_a_hostile_archive_is_refused(runbook):
    host, written = runbook
    hostile = symlink(b"link", b"/etc") + file(b"link/crontab", b"x") + END
    (written / "storage_2026-11-20_0200.tar.gz").write_bytes(gzip.compress(hostile))

    with pytest.raises(ArchiveError, match="written through the symbolic link"):
        planned(host, written)


def test_an_archive_of_nothing_is_refused(runbook):
    host, written = runbook
    (written / "storage_2026-11-20_0200.tar.gz").write_bytes(gzip.compress(END))

    with pytest.raises(ArchiveError, match="holds nothing"):
        planned(host, written)


def test_the_archive_of_an_empty_volume_is_adopted(runbook, tmp_path):
    host, written = runbook
    (tmp_path / "empty").mkdir()
    tar(tmp_path / "empty", written / "storage_2026-11-20_0200.tar.gz", ".")

    _directory, manifest = adopted(host, written)

    assert manifest.find("archive", "crm_storage").facts["files"] == 0


@pytest.mark.parametrize("name", ["storage_2026-11-20_0200.tar.gz", "chatwoot_2026-11-20_0200.sql.gz"])
def test_a_file_that_changes_meanwhile_is_not_adopted(runbook, name):
    host, written = runbook
    wanted = planned(host, written)
    with open(written / name, "ab") as stream:
        stream.write(b"x")

    with pytest.raises(StoreError, match="was changed while it was adopted"):
        apply(wanted, host)

    assert host.published() == []


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(runbook, monkeypatch):
    host, written = runbook
    wanted = planned(host, written)
    monkeypatch.setattr(_backup_adopt.Store, "free_bytes", lambda _self: 1000)

    with pytest.raises(StoreError, match=r"has 1000 bytes free, and to adopt these files takes up to \d+"):
        apply(wanted, host)

    assert host.published() == []


# What the sidekick of Ticketz has written


def test_a_backup_of_the_sidekick_is_taken_apart(ticketz, tmp_path):
    host, written = ticketz
    sidekick(host, written)

    directory_, manifest = adopted(host, written)

    assert [artifact.path for artifact in manifest.artifacts] == [
        "volumes/crm_backend_private.tar.zst",
        "volumes/crm_backend_public.tar.zst",
        "databases/ticketz.sql.zst",
        "RESTORE.md",
    ]
    assert manifest.find("dump").facts["rows"] == ROWS
    assert problems(host) == []
    for member in ("backend-public", "backend-private"):
        volume = f"crm_{member.replace('-', '_')}"
        after = restored(directory_, manifest, volume, tmp_path / volume)
        assert as_tar_keeps_it(after) == as_tar_keeps_it(described(tmp_path / "sidekick" / member))


def test_its_dump_is_what_it_was(ticketz):
    host, written = ticketz
    sidekick(host, written)

    directory_, _manifest = adopted(host, written)

    path = os.path.join(directory_, "databases/ticketz.sql.zst")
    assert subprocess.run(["zstd", "-dc", path], capture_output=True, check=True).stdout.decode() == SCRIPT


def test_a_backup_of_the_database_alone_covers_no_volume(ticketz):
    host, written = ticketz
    sidekick(host, written, volumes=())

    _directory, manifest = adopted(host, written)

    assert [artifact.kind for artifact in manifest.artifacts] == ["dump", "instructions"]
    assert "volume crm_backend_public is not covered: the files that were adopted do not hold it." in manifest.warnings
    assert problems(host) == []


def test_nothing_of_what_was_extracted_is_left(ticketz):
    host, written = ticketz
    sidekick(host, written)

    directory_, _manifest = adopted(host, written)

    assert sorted(os.listdir(directory_)) == ["RESTORE.md", "SHA256SUMS", "databases", "manifest.json", "volumes"]


def test_what_the_sidekick_does_not_write_is_left_out_and_said(ticketz):
    host, written = ticketz
    archive = sidekick(host, written, besides={"extra/note": "x"})

    _directory, manifest = adopted(host, written)

    assert f"{archive} also holds 2 names that are left out, such as extra, extra/note." in manifest.warnings


@pytest.mark.parametrize(
    ("dump", "words"),
    [
        pytest.param("", "db_dump.sql of .* is empty: whatever should have been dumped was not", id="pg_dump failed"),
        pytest.param(SCRIPT[:900], "db_dump.sql of .* is truncated", id="truncated"),
        pytest.param("pg_dump: error: no\n", "holds an error message", id="error message"),
        pytest.param(SCRIPT.replace("SET client", "\\! x\nSET client"), "a command for psql", id="a command"),
    ],
)
def test_a_backup_without_a_whole_dump_is_refused(ticketz, dump, words):
    host, written = ticketz
    sidekick(host, written, dump)

    with pytest.raises(StoreError, match=words):
        planned(host, written)


def test_a_long_dump_that_is_refused_at_its_beginning_keeps_nobody_waiting(ticketz):
    host, written = ticketz
    sidekick(host, written, "\\! x\n" + "-- words\n" * 1_000_000)

    with pytest.raises(StoreError, match="does not begin as a dump"):
        planned(host, written)


def test_an_archive_without_a_dump_is_refused(ticketz, tmp_path):
    host, written = ticketz
    (tmp_path / "backend-public").mkdir()
    tar(tmp_path, written / "ticketz-backup-20261120020000.tar.gz", "backend-public")

    with pytest.raises(ArchiveError, match=r"holds no backups/db_dump\.sql"):
        planned(host, written)


def write(written, *members):
    (written / "ticketz-backup-20261120020000.tar.gz").write_bytes(gzip.compress(b"".join(members) + END))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        pytest.param([file(b"../x", b"x")], "leads out", id="climbing"),
        pytest.param(
            [symlink(b"backend-public", b"/etc"), file(b"backend-public/crontab")], "symbolic link", id="link"
        ),
        pytest.param([file(b"backups/db_dump.sql", SCRIPT.encode())], "holds 1 names twice", id="two dumps"),
    ],
)
def test_a_hostile_archive_of_the_sidekick_is_refused(ticketz, members, words):
    host, written = ticketz
    write(written, file(b"backups/db_dump.sql", SCRIPT.encode()), *members)

    with pytest.raises(ArchiveError, match=words):
        planned(host, written)


@pytest.mark.parametrize(
    "members",
    [
        pytest.param([file(b"backups/db_dump.sql", SCRIPT.encode()), symlink(b"backend-public", b"/etc")], id="volume"),
        pytest.param([file(b"x", SCRIPT.encode()), symlink(b"backups/db_dump.sql", b"../x")], id="dump"),
    ],
)
def test_a_link_in_the_place_of_a_part_is_not_followed(ticketz, members):
    host, written = ticketz
    write(written, directory(b"backups/"), *members)

    with pytest.raises((ArchiveError, StoreError), match=r"may be a link|is empty"):
        adopted(host, written)

    assert host.published() == []


def test_an_archive_that_changes_meanwhile_is_not_adopted(ticketz):
    host, written = ticketz
    archive = sidekick(host, written)
    wanted = planned(host, written)
    with open(archive, "ab") as stream:
        stream.write(gzip.compress(b""))

    with pytest.raises(ArchiveError, match="not the expected archive"):
        apply(wanted, host)

    assert host.published() == []


def test_another_crm_is_not_given_the_data_of_ticketz(runbook, tmp_path):
    host, _written = runbook
    (tmp_path / "sidekick's").mkdir()
    sidekick(host, tmp_path / "sidekick's", volumes=())

    with pytest.raises(StackError, match="Stack crm is no Ticketz"):
        planned(host, tmp_path / "sidekick's", stack="crm")
    with pytest.raises(StackError, match=r"several stacks of this host, or of none \(none\)"):
        planned(host, tmp_path / "sidekick's")


def test_a_volume_that_nothing_mounts_has_to_be_mounted_first(ticketz):
    host, written = ticketz
    sidekick(host, written)
    kept = tuple(mount for mount in host.by_id["backend"].mounts if not mount.target.endswith("private"))
    host.change("backend", mounts=kept)

    with pytest.raises(StackError, match="mounts a volume on /usr/src/app/private, where backend-private belongs"):
        planned(host, written)
