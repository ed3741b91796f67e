# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole backup that is encrypted with the real programs: what is on disk, who reads it, and how it is refused."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_extract import Request as ExtractRequest
from ansible_collections.crm.continuity.plugins.module_utils._backup_extract import plan as plan_extract
from ansible_collections.crm.continuity.plugins.module_utils._backup_info import Request as InfoRequest
from ansible_collections.crm.continuity.plugins.module_utils._backup_info import describe
from ansible_collections.crm.continuity.plugins.module_utils._database_globals import read_globals
from ansible_collections.crm.continuity.plugins.module_utils._encryption import NO_KEYS, Encryption, holding
from ansible_collections.crm.continuity.plugins.module_utils._errors import ArchiveError, DatabaseError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._restore_check import prove_keys
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_secrets import of_backup
from ansible_collections.crm.continuity.plugins.module_utils._volume_import import import_directory
from ansible_collections.crm.continuity.tests.unit.archives import described
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, crm_host

COMMAND = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
DOCKER = """#!/bin/bash
case "$*" in
  "volume inspect"*crm_storage) echo "$VOLUME" ;;
  "volume inspect"*) echo "$OTHER" ;;
  *" exec -T "*) sha256sum >>"$LOG" ;;
esac
"""


@pytest.fixture
def host(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    # Something that is in the archive and gone by the cut, so that there is a list of deleted names.
    (host.data("crm_storage") / "passing-by").write_text("here today\n")
    host.meanwhile('case $verb$data in archive*crm_storage*) "$tar" "$@"; rm -f "$data/passing-by"; exit ;; esac')
    return host


@pytest.fixture
def taken(host, key_pair):
    return host.back_up(encryption=key_pair.encryption)


def artifact(taken, kind, source=None):
    return next(a for a in taken.manifest.artifacts if a.kind == kind and source in (None, a.source))


def path_of(taken, kind, source=None):
    return str(Path(taken.backup.path, artifact(taken, kind, source).path))


def test_everything_but_the_way_back_is_encrypted_and_says_so(taken, key_pair):
    suffix = key_pair.encryption.suffix

    assert [a.path for a in taken.manifest.artifacts] == [
        f"volumes/crm_instances.tar.zst{suffix}",
        f"volumes/crm_redis.tar.zst{suffix}",
        f"volumes/crm_storage.tar.zst{suffix}",
        f"volumes/crm_storage.deleted{suffix}",
        f"databases/chatwoot.dump.zst{suffix}",
        f"databases/evolution.dump.zst{suffix}",
        f"databases/postgres.globals.sql.zst{suffix}",
        f"config/project.tar.zst{suffix}",
        f"config/containers.json{suffix}",
        "RESTORE.md",
    ]
    assert taken.manifest.encryption == key_pair.encryption.described()
    for entry in taken.manifest.artifacts:
        found = Path(taken.backup.path, entry.path).read_bytes()
        assert hashlib.sha256(found).hexdigest() == entry.sha256
        assert (entry.sha256 == entry.plain_sha256) == (entry.path == "RESTORE.md")
        assert SECRET.encode() not in found
    assert not any("not encrypted" in warning for warning in taken.manifest.warnings)


def test_without_encryption_a_backup_says_that_it_is_open(host):
    taken = host.back_up()

    assert any("is not encrypted" in warning for warning in taken.manifest.warnings)


def test_no_plaintext_is_written_below_the_root_meanwhile(host, key_pair, monkeypatch):
    content = os.urandom(1 << 20)
    (host.data("crm_storage") / "file").write_bytes(content)
    host.meanwhile(f'grep -rqaF "$(printf here)" "{host.root}" && echo plaintext >>"{host.directory}/seen"')

    host.back_up(encryption=key_pair.encryption, compression="none")

    assert not (host.directory / "seen").exists()
    for path in Path(host.root).rglob("*"):
        assert not path.is_file() or content[:4096] not in path.read_bytes()


def test_the_checksums_prove_it_with_stock_tools_and_without_a_key(taken):
    subprocess.run(["sha256sum", "--quiet", "--check", "SHA256SUMS"], cwd=taken.backup.path, check=True)


def test_a_volume_is_restored_with_what_was_deleted_left_out(taken, host, key_pair, tmp_path):
    (tmp_path / "target").mkdir()

    with holding(key_pair.keys):
        imported = import_directory(path_of(taken, "archive", "crm_storage"), str(tmp_path / "target"))

    assert imported.deleted == 1
    assert described(tmp_path / "target") == described(host.data("crm_storage"))


@pytest.mark.parametrize("given", ["others", "none"])
def test_a_wrong_or_missing_key_leaves_a_volume_as_it_was(given, taken, key_pair, tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "live").write_text("live\n")
    before = described(tmp_path / "target")

    with holding(key_pair.others if given == "others" else NO_KEYS), pytest.raises(StoreError):
        import_directory(path_of(taken, "archive", "crm_storage"), str(tmp_path / "target"))

    assert described(tmp_path / "target") == before
    assert sorted(os.listdir(tmp_path / "target")) == ["live"]


def test_truncated_ciphertext_leaves_a_volume_as_it_was(taken, key_pair, tmp_path):
    path = Path(path_of(taken, "archive", "crm_storage"))
    path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "live").write_text("live\n")

    with holding(key_pair.keys), pytest.raises((ArchiveError, StoreError)):
        import_directory(str(path), str(tmp_path / "target"))

    assert sorted(os.listdir(tmp_path / "target")) == ["live"]


def test_roles_and_environments_are_read(taken, key_pair):
    with holding(key_pair.keys):
        assert read_globals(path_of(taken, "globals")).startswith("-- pg_dumpall --globals-only")
        assert of_backup(taken.manifest, taken.backup.path)["web"]["SECRET_KEY_BASE"] == SECRET


def test_contents_are_listed_with_the_key_and_the_problem_without_it(taken, host, key_pair):
    request = InfoRequest(host.root, "crm", contents=True, artifact="crm_storage")

    with holding(key_pair.keys):
        (backup,) = describe(request)
    names = {entry["name"] for entry in backup["contents"][0]["entries"]}
    assert {"file", "directory", "directory/file"} <= names
    assert "passing-by" not in names

    (backup,) = describe(request)
    assert "Cannot decrypt" in backup["contents"][0]["problem"]


def test_a_dump_is_extracted_in_the_clear_under_its_own_name(taken, host, key_pair, tmp_path):
    request = ExtractRequest(host.root, "crm", database="chatwoot", to=str(tmp_path / "out"))

    with holding(key_pair.keys):
        result = plan_extract(request, lambda: host, lambda _facts: None).carry_out(act=True)

    assert result["file"] == str(tmp_path / "out" / "chatwoot.dump")
    assert Path(result["file"]).read_bytes().startswith(b"PGDMP")


def test_every_artifact_is_tried_before_a_restore_begins(taken, key_pair):
    with holding(key_pair.keys):
        prove_keys(taken.manifest, taken.backup.path)

    with holding(key_pair.others), pytest.raises(StoreError, match="cannot be decrypted with this key"):
        prove_keys(taken.manifest, taken.backup.path)


def test_one_artifact_of_another_key_is_found_before_a_restore_begins(host, age_pair):
    taken = host.back_up(encryption=age_pair.encryption)
    time.sleep(1.1)
    other = host.back_up(encryption=Encryption("age", age_pair.other_recipients))
    shutil.copy(path_of(other, "globals"), path_of(taken, "globals"))

    with holding(age_pair.keys), pytest.raises(StoreError, match=r"globals\.sql\.zst\.age cannot be decrypted"):
        prove_keys(taken.manifest, taken.backup.path)


def test_a_failing_encryptor_fails_the_backup_and_nothing_is_left_frozen(host, age_pair):
    programs = host.directory / "bin"
    (programs / "age").write_text("#!/bin/sh\ncat >/dev/null; echo no entropy >&2; exit 1\n")
    (programs / "age").chmod(0o700)
    before = host.states()

    with pytest.raises(StoreError, match="no entropy"):
        host.back_up(encryption=age_pair.encryption)

    assert host.states() == before
    assert host.published() == []


def test_an_encryptor_that_dies_half_way_fails_the_backup(host, age_pair):
    programs = host.directory / "bin"
    # Good while it is tried, and dead at the first artifact.
    (programs / "age").write_text(
        f'#!/bin/sh\nif [ -e "{programs}/tried" ]; then head -c 10 >/dev/null; echo died >&2; exit 9; fi\n'
        f'touch "{programs}/tried"; cat\n'
    )
    (programs / "age").chmod(0o700)
    before = host.states()

    with pytest.raises(Exception, match="age exited with 9: died"):
        host.back_up(encryption=age_pair.encryption)

    assert host.states() == before
    assert host.published() == []


def test_a_dump_that_does_not_hold_all_tables_is_refused_although_it_cannot_be_read_back(host, key_pair):
    host.programs["pg_restore"] = "cat >/dev/null"

    with pytest.raises(DatabaseError, match="holds the rows of 0 tables"):
        host.back_up(encryption=key_pair.encryption)


def test_the_written_instructions_restore_it(taken, host, key_pair, tmp_path):
    text = (Path(taken.backup.path) / "RESTORE.md").read_text(encoding="utf-8")
    stub = tmp_path / "stub"
    stub.mkdir()
    (stub / "docker").write_text(DOCKER)
    (stub / "docker").chmod(0o700)
    before = described(host.data("crm_storage"))
    for name in ("volume", "other"):
        (tmp_path / name).mkdir()
    shutil.rmtree(host.project)
    key = key_pair.keys.identity_file or key_pair.keys.passphrase_file
    env = {
        **os.environ,
        "PATH": f"{stub}:{os.environ['PATH']}",
        "LOG": str(tmp_path / "log"),
        "VOLUME": str(tmp_path / "volume"),
        "OTHER": str(tmp_path / "other"),
        "GNUPGHOME": str(key_pair.place),
    }
    commands = "".join(COMMAND.findall(text))

    def paste(**more):
        return subprocess.run(
            ["bash"],
            input=commands,
            cwd=taken.backup.path,
            env={**env, **more},
            capture_output=True,
            text=True,
            check=False,
        )

    without = paste()
    assert without.returncode != 0
    assert "name the file that holds the key" in without.stderr
    assert os.listdir(tmp_path / "volume") == []

    done = paste(CRM_KEY=key)
    assert done.returncode == 0, done.stderr
    assert described(tmp_path / "volume") == before
    assert (host.project / ".env").read_text() == f"SECRET_KEY_BASE={SECRET}\n"


def test_the_instructions_name_who_can_decrypt(taken, key_pair):
    text = (Path(taken.backup.path) / "RESTORE.md").read_text(encoding="utf-8")

    for recipient in key_pair.encryption.recipients:
        assert recipient in text
    assert {"age": "age", "aes256": "gpg"}[key_pair.encryption.method] in text.splitlines()[3].split(", ")


def test_the_manifest_tells_the_program(taken, key_pair):
    data = json.loads((Path(taken.backup.path) / "manifest.json").read_text(encoding="utf-8"))

    assert data["tools"]["encryption"].split()[0] == {"age": "age", "aes256": "gpg"}[key_pair.encryption.method]
