# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_verify import Request, sample, verify
from ansible_collections.crm.continuity.plugins.module_utils._encryption import holding
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import decode, encode, sums
from ansible_collections.crm.continuity.plugins.module_utils._tree import scan
from ansible_collections.crm.continuity.tests.unit.archives import archive_twice, change_tree, listed, make_tree
from ansible_collections.crm.continuity.tests.unit.backup_fakes import crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import artifact
from ansible_collections.crm.continuity.tests.unit.keys import age_pair, passphrase_pair
from ansible_collections.crm.continuity.tests.unit.plain_dumps import SCRIPT

FILES = [
    "manifest.json",
    "SHA256SUMS",
    "RESTORE.md",
    "volumes/crm_instances.tar.zst",
    "volumes/crm_redis.tar.zst",
    "volumes/crm_storage.tar.zst",
    "databases/chatwoot.dump.zst",
    "databases/evolution.dump.zst",
    "databases/postgres.globals.sql.zst",
    "config/project.tar.zst",
    "config/containers.json",
]
ARTIFACTS = FILES[2:]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Three real backups: two of crm with zstd and gzip, and one of another stack, not compressed."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        host = crm_host(tmp_path_factory.mktemp("host"), monkeypatch)
        host.back_up(compression="gzip")
        host.back_up()
        root = Path(host.root)
        host.root = str(root / "other")
        host.back_up(compression="none")
    return root


@pytest.fixture
def root(real, tmp_path):
    """A root with the backup of crm that is compressed with zstd."""
    _old, new = sorted((real / "crm").iterdir())[-2:]
    shutil.copytree(new, tmp_path / "root" / "crm" / new.name)
    return tmp_path / "root"


@pytest.fixture
def backup(root):
    return next((root / "crm").iterdir())


def verified(root, **request):
    """Verify one backup, and return the verdict."""
    (verdict,) = verify(Request(str(root), **request)).verdicts
    return verdict


def rewrite(backup, change):
    """Change the manifest as someone would who knows how to hide it, and sign it again."""
    data = json.loads((backup / "manifest.json").read_text(encoding="utf-8"))
    change(data)
    encoded = encode(decode(json.dumps(data).encode(), str(backup)))
    (backup / "manifest.json").write_bytes(encoded)
    (backup / "SHA256SUMS").write_bytes(sums(decode(encoded, str(backup)), encoded))


def entry_of(data, path):
    return next(artifact for artifact in data["artifacts"] if artifact["path"] == path)


# Sound backups


@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_sound_backup_has_no_problems(root, level):
    verdict = verified(root, level=level)

    assert verdict.ok
    assert verdict.problems == ()
    assert (verdict.stack, verdict.artifacts) == ("crm", len(ARTIFACTS))


def test_a_full_verification_reads_every_byte_and_a_quick_one_none(root, backup):
    size = sum((backup / path).stat().st_size for path in ARTIFACTS)

    assert verified(root).bytes == size
    assert verified(root, level="quick").bytes == 0


def test_verifying_changes_nothing_but_the_audit_log(root, backup):
    def everything():
        return {path: path.lstat().st_mtime_ns for path in sorted(root.rglob("*"))}

    before = everything()
    verified(root, record=False)
    assert everything() == before

    verified(root)
    assert everything().keys() - before.keys() == {root / "audit.jsonl"}


def test_backups_of_every_compression_are_sound(real):
    verdicts = [
        *verify(Request(str(real), "crm", "all")).verdicts,
        *verify(Request(str(real / "other"), "crm", "all")).verdicts,
    ]

    assert [verdict.problems for verdict in verdicts] == [(), (), ()]


def test_the_kinds_of_files_are_those_that_are_tested(backup):
    assert sorted(str(path.relative_to(backup)) for path in backup.rglob("*") if path.is_file()) == sorted(FILES)


# Which backups


def put(root, stack, *ids):
    for id_ in ids:
        (root / stack / id_).mkdir(parents=True)


def chosen(root, **request):
    return [(verdict.stack, verdict.id) for verdict in verify(Request(str(root), **request)).verdicts]


OLD, NEW = "20261120T020000Z", "20261121T020000Z"


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        pytest.param({}, [("crm", NEW), ("ticketz", OLD)], id="the latest of each stack"),
        pytest.param({"stack": "crm"}, [("crm", NEW)], id="the latest of one stack"),
        pytest.param({"id": "all"}, [("crm", OLD), ("crm", NEW), ("ticketz", OLD)], id="all"),
        pytest.param({"stack": "crm", "id": "all"}, [("crm", OLD), ("crm", NEW)], id="all of one stack"),
        pytest.param({"stack": "crm", "id": OLD}, [("crm", OLD)], id="one"),
        pytest.param({"id": NEW}, [("crm", NEW)], id="one that not every stack has"),
        pytest.param({"id": OLD}, [("crm", OLD), ("ticketz", OLD)], id="one that several stacks have"),
    ],
)
def test_what_was_asked_for_is_verified(tmp_path, request_, expected):
    put(tmp_path, "crm", OLD, NEW)
    put(tmp_path, "ticketz", OLD)
    (tmp_path / "empty").mkdir()

    assert chosen(tmp_path, **request_) == expected


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"stack": "shop"}, "There is no backup of stack shop in"),
        ({"stack": "shop", "id": "all"}, "There is no backup below"),
        ({"stack": "crm", "id": OLD}, f"There is no backup {OLD} of stack crm. The latest are {NEW}."),
        ({"id": OLD}, f"There is no backup {OLD} below"),
        ({"stack": "../crm"}, "cannot be the name of a stack"),
    ],
)
def test_what_does_not_exist_is_an_error(tmp_path, request_, words):
    put(tmp_path, "crm", NEW)

    with pytest.raises(StoreError) as caught:
        verify(Request(str(tmp_path), **request_))

    assert words in str(caught.value)


@pytest.mark.parametrize("id_", ["latest", "all"])
def test_a_root_without_backups_is_an_error(tmp_path, id_):
    with pytest.raises(StoreError) as caught:
        verify(Request(str(tmp_path), id=id_))

    assert str(caught.value) == (f"There is no backup below {tmp_path}. Set crm_backup_root to where the backups lie.")


@pytest.mark.parametrize("id_", ["latest", "all"])
def test_there_may_be_none_yet_where_that_was_said(tmp_path, id_):
    report = verify(Request(str(tmp_path), id=id_, must_exist=False))

    assert (report.ok, report.verdicts, report.audit) == (True, (), None)


@pytest.mark.parametrize("request_", [{"stack": "crm"}, {"stack": "crm", "id": "all"}, {"id": OLD}])
def test_what_was_named_must_exist_in_any_case(tmp_path, request_):
    with pytest.raises(StoreError, match="There is no backup"):
        verify(Request(str(tmp_path), must_exist=False, **request_))


@pytest.mark.parametrize("must_exist", [True, False])
def test_backups_that_the_log_knows_of_are_not_none_yet(root, backup, must_exist):
    AuditLog(str(root)).append("backup", stack="crm", backup=backup.name)
    shutil.rmtree(root / "crm")

    with pytest.raises(StoreError) as caught:
        verify(Request(str(root), must_exist=must_exist))

    assert str(caught.value) == f"There is no backup below {root}, where the audit log knows of some: they are gone."


def test_backups_that_somebody_has_removed_and_noted_are_none(tmp_path):
    log = AuditLog(str(tmp_path))
    log.append("backup", stack="crm", backup=OLD)
    log.append("prune", stack="crm", backup=OLD)

    assert verify(Request(str(tmp_path), must_exist=False)).ok


def test_a_damaged_backup_does_not_hide_the_others(root, backup):
    put(root, "crm", OLD)
    (root / "crm" / "20261122T020000Z").write_text("no directory")

    verdicts = verify(Request(str(root), id="all")).verdicts

    assert {verdict.id: verdict.ok for verdict in verdicts} == {
        OLD: False,
        backup.name: True,
        "20261122T020000Z": False,
    }
    assert "manifest.json does not exist" in verdicts[0].problems[0]


# Damage


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_anywhere_is_found(root, backup, name):
    content = bytearray((backup / name).read_bytes())
    for position in sorted({0, len(content) // 2, len(content) - 1}):
        for bit in (0, 7):
            damaged = bytearray(content)
            damaged[position] ^= 1 << bit
            (backup / name).write_bytes(damaged)

            verdict = verified(root)

            assert not verdict.ok, (position, bit)
            assert len(verdict.problems) == 1
            assert name in verdict.problems[0]
    (backup / name).write_bytes(content)
    assert verified(root).ok


def test_damage_is_told_with_both_checksums(root, backup):
    content = bytearray((backup / "RESTORE.md").read_bytes())
    expected = hashlib.sha256(content).hexdigest()
    content[0] ^= 1
    (backup / "RESTORE.md").write_bytes(content)

    (problem,) = verified(root).problems

    assert problem == (
        f"RESTORE.md: is damaged: its SHA-256 is {hashlib.sha256(content).hexdigest()}, and {expected} is expected"
    )


@pytest.mark.parametrize("level", ["quick", "full"])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(root, backup, name, level):
    (backup / name).unlink()

    (problem,) = verified(root, level=level).problems

    assert name in problem
    assert "missing" in problem or "does not exist" in problem


@pytest.mark.parametrize("level", ["quick", "full"])
@pytest.mark.parametrize("change", [b"", None, b"more"], ids=["emptied", "truncated", "longer"])
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_size_is_found(root, backup, name, change, level):
    content = (backup / name).read_bytes()
    (backup / name).write_bytes({b"": b"", None: content[:-1], b"more": content + b"more"}[change])

    (problem,) = verified(root, level=level).problems

    assert name in problem


@pytest.mark.parametrize("name", ["extra", "volumes/extra.tar.zst", "volumes/.crm_redis.tar.zst.partial", "new/file"])
def test_a_file_that_does_not_belong_there_is_found(root, backup, name):
    (backup / name).parent.mkdir(exist_ok=True)
    (backup / name).write_text("x")

    assert verified(root, level="quick").problems == (f"{name} is not in the manifest",)


def test_an_artifact_that_is_a_link_is_found(root, backup, tmp_path):
    shutil.move(backup / ARTIFACTS[1], tmp_path / "elsewhere")
    (backup / ARTIFACTS[1]).symlink_to(tmp_path / "elsewhere")

    assert verified(root).problems == (f"{ARTIFACTS[1]}: is not a regular file",)


def test_an_artifact_that_is_a_directory_or_a_pipe_is_found(root, backup):
    (backup / ARTIFACTS[1]).unlink()
    (backup / ARTIFACTS[1]).mkdir()
    (backup / ARTIFACTS[2]).unlink()
    os.mkfifo(backup / ARTIFACTS[2])

    assert verified(root).problems == tuple(f"{name}: is not a regular file" for name in ARTIFACTS[1:3])


def test_a_directory_that_is_a_link_is_found(root, backup, tmp_path):
    shutil.move(backup / "volumes", tmp_path / "elsewhere")
    (backup / "volumes").symlink_to(tmp_path / "elsewhere")

    assert verified(root).problems == ("volumes is not in the manifest",)


def test_a_directory_that_is_a_file_is_found(root, backup):
    shutil.rmtree(backup / "config")
    (backup / "config").write_text("x")

    assert verified(root).problems == (
        "config is not in the manifest",
        "config/project.tar.zst: is missing",
        "config/containers.json: is missing",
    )


def test_a_file_that_the_disk_does_not_give_back_is_found(root, backup, monkeypatch):
    real = os.lstat

    def lstat(path, **more):
        if os.fspath(path).endswith("crm_redis.tar.zst"):
            raise OSError(errno.EIO, "Input/output error", path)
        return real(path, **more)

    monkeypatch.setattr(os, "lstat", lstat)

    assert verified(root).problems == ("volumes/crm_redis.tar.zst: cannot be read: Input/output error",)


def test_two_artifacts_that_were_exchanged_are_found(root, backup):
    one, other = backup / ARTIFACTS[1], backup / ARTIFACTS[2]
    one.rename(backup / "x")
    other.rename(one)
    (backup / "x").rename(other)

    assert len(verified(root).problems) == 2


def test_a_backup_under_another_id_is_found(root, backup):
    backup.rename(backup.with_name("20200101T000000Z"))

    (problem,) = verified(root).problems

    assert problem == (
        f"manifest.json is that of backup {backup.name} of stack crm: the directory was renamed or exchanged"
    )


def test_a_backup_of_another_stack_is_found(root, backup):
    (root / "crm").rename(root / "shop")

    (problem,) = verified(root, stack="shop").problems

    assert "of stack crm: the directory was renamed or exchanged" in problem


def test_a_manifest_of_a_newer_format_is_told_apart_from_damage(root, backup):
    content = (backup / "manifest.json").read_text(encoding="utf-8").replace('"format": 1', '"format": 2').encode()
    listed = (backup / "SHA256SUMS").read_text(encoding="utf-8").splitlines(keepends=True)
    listed[0] = f"{hashlib.sha256(content).hexdigest()}  manifest.json\n"
    (backup / "manifest.json").write_bytes(content)
    (backup / "SHA256SUMS").write_text("".join(listed))

    (problem,) = verified(root).problems

    assert "has format 2, and this version of crm.continuity reads up to 1" in problem
    assert "the version that wrote it" in problem


# What a checksum alone does not tell


def test_an_archive_with_another_number_of_files_is_found(root, backup):
    def change(data):
        entry_of(data, "volumes/crm_redis.tar.zst")["facts"]["files"] = 3

    rewrite(backup, change)

    assert verified(root).problems == ("volumes/crm_redis.tar.zst: holds 2 files, and 3 are expected",)


def test_an_archive_without_counts_is_found(root, backup):
    def change(data):
        entry_of(data, "volumes/crm_redis.tar.zst")["facts"] = {}

    rewrite(backup, change)

    assert verified(root).problems == (
        "volumes/crm_redis.tar.zst: holds 2 files, and None are expected",
        "volumes/crm_redis.tar.zst: holds 1 directories, and None are expected",
    )


# Archives with a list of deleted names

REDIS, LIST = "volumes/crm_redis.tar.zst", "volumes/crm_redis.deleted"


@pytest.fixture
def twice(backup, tmp_path):
    """Let an archive of the backup be one of two passes, with names that were deleted between them."""
    (tmp_path / "data").mkdir()
    make_tree(tmp_path / "data")
    archive_twice(tmp_path / "data", backup / REDIS, change_tree)
    gone = (backup / LIST).read_bytes().count(b"\0")
    there = scan(str(tmp_path / "data"))
    facts = {
        "files": there.files,
        "directories": there.directories,
        "others": there.others,
        "content_bytes": there.bytes,
        "superseded": 9,
        "deleted": gone,
    }

    def change(data):
        entry = entry_of(data, REDIS)
        entry["facts"] = facts
        data["artifacts"].append({**entry, "path": LIST, "kind": "deletions", "compression": "none", "facts": {}})

    resign(backup, change)
    return facts


def resign(backup, change=lambda data: None):
    """Change the manifest, and give the archive and its list their right sizes and checksums."""

    def complete(data):
        change(data)
        for entry in data["artifacts"]:
            if entry["path"] in (REDIS, LIST):
                content = (backup / entry["path"]).read_bytes()
                digest = hashlib.sha256(content).hexdigest()
                entry.update(size=len(content), sha256=digest, plain_sha256=digest)

    rewrite(backup, complete)


@pytest.mark.parametrize("level", ["quick", "full"])
def test_an_archive_of_two_passes_is_sound_with_its_list(twice, root, level):
    verdict = verified(root, level=level)

    assert verdict.problems == ()
    assert verdict.artifacts == len(ARTIFACTS) + 1


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ("files", "files"),
        ("directories", "directories"),
        ("others", "other entries"),
        ("superseded", "superseded names"),
        ("deleted", "deleted names"),
    ],
)
def test_an_archive_with_another_count_is_found(fact, words, twice, root, backup):
    resign(backup, lambda data: entry_of(data, REDIS)["facts"].update({fact: 99}))

    assert verified(root).problems == (f"{REDIS}: holds {twice[fact]} {words}, and 99 are expected",)


def test_counts_that_older_manifests_lack_are_not_asked_for(twice, root, backup):
    def change(data):
        facts = entry_of(data, REDIS)["facts"]
        for name in ("others", "superseded", "deleted"):
            del facts[name]

    resign(backup, change)

    assert verified(root).ok


@pytest.mark.parametrize("level", ["quick", "full"])
def test_a_missing_list_is_found_once(twice, root, backup, level):
    (backup / LIST).unlink()

    assert verified(root, level=level).problems == (f"{LIST}: is missing",)


def test_a_flipped_bit_anywhere_in_a_list_is_found_once(twice, root, backup):
    content = (backup / LIST).read_bytes()
    for place in (0, 1, 2, len(content) // 2, len(content) - 1):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (backup / LIST).write_bytes(damaged)

        (problem,) = verified(root).problems
        assert problem.startswith(f"{LIST}: is damaged")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda content: content[:-1], f"{LIST}: .* is truncated", id="truncated"),
        pytest.param(lambda content: content + listed(b"../x"), f"{LIST}: .* is refused", id="climbing"),
        pytest.param(lambda content: content + b"/etc/passwd\0", f"{LIST}: .* is refused", id="absolute"),
        pytest.param(lambda content: b"", f"{LIST}: .* is empty", id="empty"),
        pytest.param(
            lambda content: content + listed(b"missing"), f"{REDIS}: .* holds no 'missing'", id="missing name"
        ),
        pytest.param(lambda content: content + content, f"{REDIS}: .* holds no ", id="twice"),
    ],
)
def test_a_list_that_is_wrong_although_its_checksum_is_right_is_found_once(change, words, twice, root, backup):
    (backup / LIST).write_bytes(change((backup / LIST).read_bytes()))
    resign(backup)

    (problem,) = verified(root).problems

    assert re.match(words, problem)


def test_a_list_that_lacks_a_name_is_found(twice, root, backup):
    content = (backup / LIST).read_bytes()
    (backup / LIST).write_bytes(content.replace(listed(b"fifo"), b""))
    resign(backup)

    deleted, others = twice["deleted"], twice["others"]
    assert verified(root).problems == (
        f"{REDIS}: holds {others + 1} other entries, and {others} are expected",
        f"{REDIS}: holds {deleted - 1} deleted names, and {deleted} are expected",
    )


def test_a_list_that_was_taken_out_of_the_backup_is_missed(twice, root, backup):
    (backup / LIST).unlink()
    resign(backup, lambda data: data["artifacts"].remove(entry_of(data, LIST)))

    problems = verified(root).problems

    assert f"{REDIS}: holds 0 deleted names, and {twice['deleted']} are expected" in problems


def test_a_list_of_no_archive_is_found(twice, root, backup):
    resign(backup, lambda data: entry_of(data, LIST).update(source="other"))

    assert f"{LIST} is a list of deleted names that belongs to no archive" in verified(root, level="quick").problems


# Artifacts that are something else


@pytest.mark.parametrize(
    ("kind", "words"),
    [("dump", "is not a PostgreSQL dump in the custom format"), ("archive", "")],
    ids=["no dump", "no archive"],
)
def test_an_artifact_that_is_something_else_is_found(root, backup, kind, words):
    path = {"dump": "databases/chatwoot.dump.zst", "archive": "volumes/crm_redis.tar.zst"}[kind]
    shutil.copy(backup / "databases/postgres.globals.sql.zst", backup / path)
    content = (backup / path).read_bytes()

    def change(data):
        digest = hashlib.sha256(content).hexdigest()
        entry_of(data, path).update(size=len(content), sha256=digest, plain_sha256=digest)

    rewrite(backup, change)

    (problem,) = verified(root).problems
    assert problem.startswith(path)
    assert words in problem
    assert verified(root, level="quick").ok


def test_an_artifact_that_does_not_decompress_is_found(root, backup):
    path = "databases/chatwoot.dump.zst"
    content = b"PGDMP not compressed"
    (backup / path).write_bytes(content)

    def change(data):
        digest = hashlib.sha256(content).hexdigest()
        entry_of(data, path).update(size=len(content), sha256=digest)

    rewrite(backup, change)

    (problem,) = verified(root).problems
    assert problem.startswith(f"{path}: Cannot decompress")


def as_script(backup, text, **facts):
    """Put a script in the place of a dump, and say so in the manifest."""
    path = backup / "databases/chatwoot.dump.zst"
    path.write_bytes(subprocess.run(["zstd", "-q"], input=text.encode(), capture_output=True, check=True).stdout)

    def change(data):
        entry = entry_of(data, "databases/chatwoot.dump.zst")
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        entry.update(size=path.stat().st_size, sha256=digest, plain_sha256=digest)
        entry["facts"].update(format="plain", **facts)

    rewrite(backup, change)


ROWS = {'public."Tags"': 2, 'public."Whatsapps"': 1, "other.empty": 0}


def test_a_dump_that_is_a_script_is_sound_with_its_rows(root, backup):
    as_script(backup, SCRIPT, rows=ROWS)

    assert verified(root).problems == ()


def test_a_script_with_other_rows_is_found(root, backup):
    as_script(backup, SCRIPT, rows={**ROWS, "other.empty": 1})

    assert verified(root).problems == ("databases/chatwoot.dump.zst: does not hold the rows that the manifest says",)


def test_a_script_that_is_not_whole_is_found(root, backup):
    as_script(backup, SCRIPT[:-400], rows=ROWS)

    assert [problem for problem in verified(root).problems if "is truncated" in problem]


# The audit log


def events(root):
    found, problems = AuditLog(str(root)).read()
    assert problems == []
    return found


def test_each_verdict_becomes_a_line_of_the_audit_log(root, backup):
    report = verify(Request(str(root), actor={"user": "ana"}))

    (event,) = events(root)
    assert (event.action, event.result, event.stack, event.backup) == ("verify", "ok", "crm", backup.name)
    assert event.actor == {"user": "ana"}
    assert event.facts["level"] == "full"
    assert event.facts["manifest_sha256"] == hashlib.sha256((backup / "manifest.json").read_bytes()).hexdigest()
    assert report.audit == event


def test_damage_becomes_a_failure_in_the_audit_log(root, backup):
    (backup / ARTIFACTS[1]).unlink()

    verify(Request(str(root), level="quick"))

    (event,) = events(root)
    assert (event.result, event.facts["problems"]) == ("failed", [f"{ARTIFACTS[1]}: is missing"])


def test_an_audit_log_that_cannot_be_written_fails_the_verification(root, backup):
    (root / "audit.jsonl").mkdir()

    with pytest.raises(StoreError, match=r"audit\.jsonl"):
        verify(Request(str(root)))


def test_an_audit_log_that_was_changed_is_found(root, backup):
    verify(Request(str(root), level="quick"))
    verify(Request(str(root), level="quick"))
    log = root / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"ok"', b'"failed"', 1))

    report = verify(Request(str(root), level="quick", record=False))

    assert report.verdicts[0].ok
    assert not report.ok
    assert "a line was changed" in report.log_problems[0]


def test_another_backup_in_the_place_of_the_one_that_the_log_knows_is_found(root, backup):
    AuditLog(str(root)).append("backup", stack="crm", backup=backup.name, facts={"sums_sha256": "0" * 64})

    (problem,) = verified(root).problems

    assert "somebody has put another one in its place" in problem


def test_a_backup_that_is_the_one_that_the_log_knows_is_sound(root, backup):
    digest = hashlib.sha256((backup / "SHA256SUMS").read_bytes()).hexdigest()
    for known in ("0" * 64, digest):
        AuditLog(str(root)).append("backup", stack="crm", backup=backup.name, facts={"sums_sha256": known})

    assert verified(root).ok


def test_a_backup_that_is_gone_although_nobody_removed_it_is_told(root, backup):
    log = AuditLog(str(root))
    for id_ in (NEW, OLD):
        log.append("backup", stack="crm", backup=id_)
    log.append("prune", stack="crm", backup=OLD)

    report = verify(Request(str(root)))

    assert report.ok
    (remark,) = report.remarks
    assert remark.startswith(f"Backup {NEW} of stack crm, which the audit log knows since")


# Samples


def test_a_sample_reads_a_part_and_looks_at_the_rest(root, backup):
    verdict = verified(root, level="sample", share=1)

    assert verdict.ok
    assert 0 < verdict.opened < len(ARTIFACTS)
    (backup / ARTIFACTS[0]).unlink()
    assert verified(root, level="sample", share=1).problems == (f"{ARTIFACTS[0]}: is missing",)


def test_samples_go_round_until_all_was_read(root, backup):
    ends = [verified(root, level="sample", share=1).until for _round in ARTIFACTS]

    assert sorted(ends) == sorted(ARTIFACTS)
    assert verified(root, level="sample", share=1).until == ends[0]


def test_a_newer_backup_goes_on_where_the_sample_of_the_older_one_ended(root, backup):
    first = verified(root, level="sample", share=1).until
    newer = backup.with_name("20991231T000000Z")
    shutil.copytree(backup, newer)
    rewrite(newer, lambda data: data.update(id=newer.name))

    assert verified(root, level="sample", share=1).until > first


def part(path, size):
    return artifact(path, size=size)


@pytest.mark.parametrize(
    ("share", "after", "expected"),
    [
        (100, None, ["a", "b", "c"]),
        (100, "a", ["b", "c", "a"]),
        (10, None, ["a"]),
        (11, None, ["a", "b"]),
        (10, "b", ["c"]),
        (10, "c", ["a"]),
        (10, "bb", ["c"]),
        (95, "c", ["a", "b", "c"]),
        (1, "zz", ["a"]),
    ],
)
def test_a_sample_takes_turns(share, after, expected):
    assert sample([part("c", 70), part("a", 10), part("b", 20)], share, after) == expected


# Encryption


@pytest.fixture(scope="module", params=["age", "aes256"])
def sealed(request, tmp_path_factory):
    """A real backup that is encrypted, with the keys that open it and others."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        make = {"age": age_pair, "aes256": passphrase_pair}[request.param]
        pair = make(tmp_path_factory.mktemp("keys"))
        host = crm_host(tmp_path_factory.mktemp("host"), monkeypatch)
        taken = host.back_up(encryption=pair.encryption)
        return Path(taken.backup.path), pair


@pytest.fixture
def encrypted(sealed, tmp_path):
    directory, pair = sealed
    return Path(shutil.copytree(directory, tmp_path / "root" / "crm" / directory.name)), pair


def test_without_the_key_an_encrypted_backup_is_proved_by_its_checksums(encrypted):
    directory, _pair = encrypted

    verdict = verified(directory.parents[1])

    assert verdict.ok
    assert (verdict.opened, verdict.sealed) == (1, verdict.artifacts - 1)


def test_with_the_key_an_encrypted_backup_is_looked_into(encrypted):
    directory, pair = encrypted

    with holding(pair.keys):
        verdict = verified(directory.parents[1])

    assert verdict.problems == ()
    assert (verdict.opened, verdict.sealed) == (verdict.artifacts, 0)


def test_with_another_key_everything_encrypted_is_a_problem(encrypted):
    directory, pair = encrypted

    with holding(pair.others):
        verdict = verified(directory.parents[1])

    assert len(verdict.problems) == verdict.artifacts - 1
    assert all("was encrypted for another one" in problem for problem in verdict.problems)


def test_what_is_not_what_was_encrypted_is_found_with_the_key_only(encrypted):
    directory, pair = encrypted

    def change(data):
        for entry in data["artifacts"]:
            if entry["kind"] != "instructions":
                entry["plain_sha256"] = "0" * 64

    rewrite(directory, change)

    assert verified(directory.parents[1]).ok
    with holding(pair.keys):
        problems = verified(directory.parents[1]).problems
    assert len(problems) == len(ARTIFACTS) - 1
    assert all("something else before its encryption" in problem for problem in problems)


def test_a_ciphertext_that_was_cut_off_is_found_even_with_the_right_checksum(encrypted):
    directory, pair = encrypted
    path = next(directory.glob("volumes/crm_storage.*"))
    content = path.read_bytes()[:-20]
    path.write_bytes(content)

    def change(data):
        name = path.relative_to(directory).as_posix()
        entry_of(data, name).update(size=len(content), sha256=hashlib.sha256(content).hexdigest())

    rewrite(directory, change)

    with holding(pair.keys):
        (problem,) = verified(directory.parents[1]).problems
    assert problem.startswith("volumes/crm_storage")
