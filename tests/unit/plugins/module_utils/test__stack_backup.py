# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import json
import os
import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _backup_store, _capture, _stack_backup
from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_preflight import unencrypted
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._encryption import NO_ENCRYPTION
from ansible_collections.crm.continuity.plugins.module_utils._engine import EngineInfo
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    DatabaseError,
    EngineError,
    ProcessError,
    RedisError,
    StackError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._signature import Signers, prove
from ansible_collections.crm.continuity.plugins.module_utils._stack import Request as StackRequest
from ansible_collections.crm.continuity.plugins.module_utils._stack_backup import names, plan, summary
from ansible_collections.crm.continuity.tests.unit.backup_fakes import EVOLUTION, SECRET, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import shipped_profiles
from ansible_collections.crm.continuity.tests.unit.signing import signing_key

ROOT = Path(__file__).resolve().parents[4]
MOMENT = datetime.datetime(2026, 11, 21, 2, 0, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm": Chatwoot with a worker, Evolution API, PostgreSQL and Redis."""
    return crm_host(tmp_path, monkeypatch)


def planned(host, **more):
    return plan(host.request(**more), host, host.profiles)


def everything(directory):
    """Return all that is below a directory, with times and contents."""
    return {
        path: (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in sorted(directory.rglob("*"))
    }


def put_client(host, monkeypatch, version):
    """Let this host have a pg_dump of a version, and no other."""
    path = host.directory / "bin" / "pg_dump"
    path.write_text(f"#!/bin/sh\necho 'pg_dump (PostgreSQL) {version}'\n")
    path.chmod(0o700)
    monkeypatch.setattr("glob.glob", lambda _pattern: [])


def refused(host, error, **more):
    """Plan a backup that cannot be, and return the words; nothing may have been done to any container."""
    with pytest.raises(error) as caught:
        planned(host, **more)
    assert host.calls == []
    assert host.published() == []
    assert host.server.sessions == 0
    return str(caught.value)


# Looking


def test_looking_changes_nothing(host, tmp_path):
    before = everything(tmp_path)

    planned(host)

    assert everything(tmp_path) == before
    assert host.calls == []
    assert host.timeline() == []
    assert host.server.sessions == 0
    assert not os.path.exists(host.root)


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
def test_a_plan_names_what_the_backup_will_hold(host, compression):
    wanted = planned(host, compression=compression)

    taken = host.back_up(compression=compression)

    assert names(wanted) == summary(taken)["artifacts"]
    assert set(names(wanted)) < {
        os.path.relpath(os.path.join(directory, name), taken.backup.path)
        for directory, _directories, files in os.walk(taken.backup.path)
        for name in files
    }


def test_a_plan_says_what_will_be_frozen_and_where_the_backup_will_be(host):
    wanted = planned(host, freeze={"evolution": "stop"})

    assert [(target.service, target.mode) for target in wanted.freeze] == [
        ("worker", "pause"),
        ("web", "pause"),
        ("evolution", "stop"),
        ("redis", "pause"),
    ]
    assert wanted.path == f"{host.root}/crm/{wanted.id}"


def test_an_unknown_stack_is_refused_with_those_that_are_there(host):
    assert refused(host, StackError, stack=StackRequest("cmr")) == (
        "There is no stack cmr on this host. This host runs crm."
    )


def test_an_unknown_profile_is_refused_with_those_that_there_are(host):
    words = refused(host, StackError, profiles=("chatwood",))

    assert "there is no profile chatwood. Known are chatwoot, evolution, ticketz" in words


def test_a_profile_that_matches_nothing_is_refused(host):
    assert "no service matches the profile ticketz" in refused(host, StackError, profiles=("chatwoot", "ticketz"))


def test_a_stack_that_no_profile_describes_is_refused(host):
    for service in ("web", "worker", "evolution"):
        del host.by_id[service]

    assert "matches no profile" in refused(host, StackError)


def test_a_session_outside_the_backup_is_refused(host):
    host.change("redis", mounts=())

    assert "mount a named volume on /data of redis" in refused(host, StackError)


def test_a_session_outside_the_backup_is_a_remark_when_it_is_not_required(host):
    host.change("redis", mounts=())

    taken = host.back_up(require_session=False)

    assert any("signal keys are not covered" in warning for warning in taken.manifest.warnings)
    assert [state["covered"] for state in taken.manifest.session] == [True, False]
    assert "volumes/crm_redis.tar.zst" not in names(planned(host, require_session=False))


def test_a_volume_of_another_driver_is_read_by_the_engine_and_told(host):
    host.volumes["crm_storage"] = replace(host.volumes["crm_storage"], driver="nfs")

    taken = host.back_up()

    assert taken.manifest.find("archive", "crm_storage").facts["files"] == 2
    assert any(words.startswith("volume crm_storage: it cannot be read by a path") for words in taken.manifest.warnings)


def test_where_the_engine_runs_elsewhere_it_reads_the_volumes(host):
    for volume in ("crm_storage", "crm_instances", "crm_redis"):
        host.volumes[volume] = replace(host.volumes[volume], mountpoint=f"/elsewhere/{volume}/_data")
    host.info = lambda: EngineInfo("20.10.24", "/elsewhere", "tcp://192.0.2.1:2376")

    taken = host.back_up()

    assert [taken.manifest.find("archive", name).facts["files"] for name in ("crm_storage", "crm_redis")] == [2, 2]


def test_a_volume_that_is_gone_is_refused(host):
    host.data("crm_storage").rename(host.directory / "elsewhere")

    assert "Volume crm_storage cannot be read: there is no directory" in refused(host, EngineError)


def test_a_root_inside_the_data_is_refused(host):
    assert "lies inside" in refused(host, StoreError, root=str(host.data("crm_pg") / "backups"))


def test_a_database_that_does_not_answer_is_refused_before_anything_is_frozen(host):
    host.server.refuses["evolution"] = "No PostgreSQL answers at 192.0.2.1:5432"

    assert "No PostgreSQL answers" in refused(host, DatabaseError)


def test_a_wrong_password_is_refused_before_anything_is_frozen(host):
    host.server.refuses["postgres"] = "PostgreSQL refused user postgres: password authentication failed"
    host.server.refuses["evolution"] = "PostgreSQL refused user evolution: password authentication failed"

    assert "PostgreSQL refused user postgres" in refused(host, DatabaseError)


def test_a_database_server_that_does_not_run_is_refused_before_anything_is_frozen(host):
    host.change("postgres", state="exited")

    words = refused(host, DatabaseError)

    assert "Container crm-postgres-1 is exited" in words
    assert "docker start crm-postgres-1" in words


def test_a_redis_that_does_not_answer_is_refused_before_anything_is_frozen(host):
    host.programs["redis-cli"] = "echo NOAUTH Authentication required."

    assert "Redis in container crm-redis-1 refused INFO: NOAUTH" in refused(host, RedisError)


def test_where_the_superuser_is_not_let_in_the_application_is(host):
    host.server.refuses["postgres"] = "password authentication failed"
    host.change("web", env={**host.by_id["web"].env, "POSTGRES_USERNAME": "woot", "POSTGRES_PASSWORD": "x"})

    databases = planned(host).described["databases"]

    assert [(entry["name"], entry["superuser"]) for entry in databases] == [
        ("chatwoot", "woot"),
        ("evolution", "evolution"),
    ]


def test_the_repair_steps_that_apply_are_kept(host):
    own = {
        "name": "chatwoot",
        "databases": [
            {
                "name": "chatwoot",
                "repair": [
                    {"name": "always", "sql": "ALTER 1"},
                    {"name": "when it holds", "when": "SELECT yes", "sql": "ALTER 2"},
                    {"name": "when it does not", "when": "SELECT no", "sql": "ALTER 3"},
                    {"name": "when nothing is found", "when": "SELECT nothing", "sql": "ALTER 4"},
                ],
            }
        ],
    }
    host.profiles = shipped_profiles(own)
    host.server.answers = {"SELECT yes": [(True,)], "SELECT no": [(False,)]}

    (chatwoot, _evolution) = planned(host).described["databases"]

    assert chatwoot["repair"] == ["ALTER 1", "ALTER 2"]
    assert [step["name"] for step in chatwoot["repair_steps"]][1:3] == ["when it holds", "when it does not"]


def test_a_user_s_own_profile_of_any_name_is_backed_up_too(host):
    own = {
        "name": "helpdesk",
        "services": [{"name": "api", "images": ["example/helpdesk"]}],
        "volumes": [{"path": "/srv", "purpose": "files"}],
    }
    host.profiles = shipped_profiles(own)
    host.add("helpdesk", "example/helpdesk:3", volumes={"/srv": "crm_files"})

    taken = host.back_up()

    assert taken.manifest.source["profiles"] == ["chatwoot", "evolution", "helpdesk"]
    assert taken.manifest.find("archive", "crm_files").facts["files"] == 2


# The manifest


def test_the_manifest_describes_what_was_backed_up(host):
    manifest = host.back_up().manifest

    source = manifest.source
    assert (manifest.stack, manifest.collection_version, manifest.format) == ("crm", "0.1.0", 1)
    assert manifest.host == os.uname().nodename
    assert manifest.started_at <= manifest.cut_at <= manifest.finished_at
    assert source["profiles"] == ["chatwoot", "evolution"]
    assert source["project_dir"] == str(host.project)
    assert source["compose_files"] == [str(host.project / "compose.yml")]
    assert {service["service"]: service["role"] for service in source["services"]} == {
        "web": "web",
        "worker": "worker",
        "evolution": "api",
        "postgres": None,
        "redis": None,
    }
    assert {volume["name"]: volume["coverage"] for volume in source["volumes"]} == {
        "crm_storage": "archive",
        "crm_instances": "archive",
        "crm_redis": "archive",
        "crm_pg": "dump",
    }
    assert [(entry["name"], entry["server_version"], entry["superuser"]) for entry in source["databases"]] == [
        ("chatwoot", "17.2", "postgres"),
        ("evolution", "17.2", "postgres"),
    ]
    assert [(entry["container"], entry["version"], entry["appendonly"]) for entry in source["redis"]] == [
        ("crm-redis-1", "7.2.4", False)
    ]
    assert source["secrets"] == {"chatwoot": ["SECRET_KEY_BASE"], "evolution": []}
    assert [(state["place"], state["covered"]) for state in manifest.session] == [("database", True), ("redis", True)]
    assert manifest.tools["engine"] == "20.10.24"
    assert manifest.tools["compression"].startswith("zstd ")
    assert manifest.encryption == {"method": "none", "recipients": []}


def test_the_manifest_is_what_the_published_schema_says(host):
    taken = host.back_up()

    schema = json.loads((ROOT / "docs" / "schemas" / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(json.loads(Path(taken.backup.path, "manifest.json").read_text(encoding="utf-8")), schema)


def test_the_manifest_that_was_written_is_the_one_that_is_returned(host):
    taken = host.back_up()

    assert taken.backup.manifest() == taken.manifest


def test_the_services_that_stood_still_are_noted_with_how_and_how_long(host):
    freeze = host.back_up(freeze={"evolution": "stop"}).manifest.freeze

    assert [(entry["service"], entry["mode"]) for entry in freeze["services"]] == [
        ("redis", "pause"),
        ("evolution", "stop"),
        ("web", "pause"),
        ("worker", "pause"),
    ]
    assert 0 < freeze["services"][0]["seconds"] <= freeze["services"][-1]["seconds"] <= freeze["seconds"]


def test_a_backup_that_froze_nothing_says_so(host):
    for service in ("web", "worker", "evolution", "redis"):
        host.change(service, state="exited")

    taken = host.back_up()

    assert taken.manifest.freeze == {"seconds": 0.0, "services": [], "phases": {}}
    assert host.calls == []


def test_no_secret_is_in_the_manifest_or_the_instructions(host):
    taken = host.back_up()

    for name in ("manifest.json", "SHA256SUMS", "RESTORE.md"):
        assert SECRET not in Path(taken.backup.path, name).read_text(encoding="utf-8")
    assert SECRET in Path(taken.backup.path, "config/containers.json").read_text(encoding="utf-8")


def test_no_secret_is_in_an_argument_or_a_name_of_a_program(host):
    host.back_up()

    assert not any(SECRET in word for stage in host.stages for word in (*stage.argv, stage.name))
    assert any(SECRET in stage.env.values() for stage in host.stages)


def test_a_summary_counts_what_the_artifacts_say(host):
    taken = host.back_up()

    found = summary(taken)
    assert found["id"] == taken.manifest.id
    assert found["directory"] == taken.backup.path
    assert (found["files"], found["rows"]) == (6, 3)
    assert found["size"] == sum(
        os.path.getsize(os.path.join(taken.backup.path, artifact.path)) for artifact in taken.manifest.artifacts
    )
    assert found["remarks"] == list(unencrypted(NO_ENCRYPTION))


def test_files_that_changed_since_the_backup_before_are_counted(host):
    first = host.back_up()
    (host.data("crm_storage") / "more").write_text("new")
    second = host.back_up()

    facts = [taken.manifest.find("archive", "crm_storage").facts for taken in (first, second)]

    assert "changed" not in facts[0]
    assert facts[1]["changed"] == 1


@pytest.mark.parametrize("days", [30, -365])
def test_after_the_clock_was_wrong_nothing_is_said_of_files_that_changed(host, monkeypatch, days):
    log = AuditLog(host.root)
    log.append("backup", stack="crm", backup=host.back_up().backup.id)
    wrong = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    with monkeypatch.context() as clock:
        for module in (_backup_store, _capture, _stack_backup):
            clock.setattr(module, "now", lambda: wrong)
        log.append("backup", stack="crm", backup=host.back_up().backup.id)

    after = host.back_up()

    assert "changed" not in after.manifest.find("archive", "crm_storage").facts


# On disk


def test_a_backup_is_private_to_its_owner(host):
    taken = host.back_up()

    modes = {
        stat.S_IMODE(os.stat(path).st_mode)
        for path in (host.root, os.path.dirname(taken.backup.path), taken.backup.path)
    }
    files = {stat.S_IMODE(p.stat().st_mode) for p in Path(taken.backup.path).rglob("*") if p.is_file()}
    assert modes == {0o700}
    assert files == {0o600}


def test_stock_tools_prove_a_backup(host):
    taken = host.back_up()

    done = subprocess.run(
        ["sha256sum", "--strict", "--check", "SHA256SUMS"],
        cwd=taken.backup.path,
        capture_output=True,
        text=True,
        check=True,
    )
    listed = {line.rpartition(": ")[0] for line in done.stdout.splitlines()}
    assert listed | {"SHA256SUMS"} == {
        str(path.relative_to(taken.backup.path)) for path in Path(taken.backup.path).rglob("*") if path.is_file()
    }


def test_every_file_is_in_the_manifest_as_it_lies_there(host):
    taken = host.back_up()

    for artifact in taken.manifest.artifacts:
        path = os.path.join(taken.backup.path, artifact.path)
        printed = subprocess.run(["sha256sum", path], capture_output=True, text=True, check=True).stdout
        assert (artifact.size, artifact.sha256) == (os.path.getsize(path), printed.split()[0])


def test_two_backups_in_one_second_have_two_names(host, monkeypatch):
    monkeypatch.setattr(_backup_store, "now", lambda: MOMENT)

    first, second = host.back_up(), host.back_up()

    assert (first.manifest.id, second.manifest.id) == ("20261121T020000Z", "20261121T020000Z-2")
    assert host.published() == ["20261121T020000Z", "20261121T020000Z-2"]
    assert [backup.manifest().id for backup in Store(host.root).backups("crm")] == [
        first.manifest.id,
        second.manifest.id,
    ]


def test_what_a_run_that_died_left_behind_is_removed_and_never_listed(host):
    left = Path(host.root, "crm", ".20261120T020000Z.partial")
    left.mkdir(parents=True)
    (left / "manifest.json").write_text("{}")
    assert Store(host.root).backups("crm") == []

    taken = host.back_up()

    assert host.published() == [taken.manifest.id]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_disk_that_runs_full_leaves_the_stack_running_and_nothing_listed(host, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        host.root = str(disk)
        (host.data("crm_storage") / "large").write_bytes(os.urandom(1 << 18))

        with pytest.raises(StoreError) as caught:
            host.back_up()

        assert host.published() == []
    finally:
        subprocess.run(["umount", disk], check=True)
    assert str(disk) in str(caught.value)
    assert "Free some" in str(caught.value)
    assert set(host.states().values()) == {"running"}


def test_a_file_of_the_project_that_cannot_be_read_is_named(host):
    # Not even root reads its own memory at address zero.
    (host.project / "compose.yml").unlink()
    (host.project / "compose.yml").symlink_to("/proc/self/mem")

    with pytest.raises(
        StackError, match=r"^/proc/\d+/mem, a file of the stack's project .* cannot be read: Input/output"
    ):
        host.back_up()

    assert host.published() == []


# Locks and other runs


def test_a_stack_that_is_being_backed_up_is_refused_and_left_alone(host):
    with Store(host.root).locked("crm"), pytest.raises(StoreError, match=f"crm is busy: process {os.getpid()} since"):
        host.back_up()

    assert host.calls == []
    assert host.published() == []


def test_the_lock_is_free_after_a_backup_and_after_a_failure(host):
    host.back_up()
    host.programs["pg_dump"] = "exit 1"
    with pytest.raises(ProcessError):
        host.back_up()

    with Store(host.root).locked("crm"):
        pass


def test_what_another_run_had_frozen_until_this_one_got_the_lock_is_frozen(host, monkeypatch):
    frozen = ("web", "worker", "evolution", "redis")
    for service in frozen:
        host.change(service, state="paused")

    def under_the_lock(_stack):
        for service in frozen:
            host.change(service, state="running")
        return []

    monkeypatch.setattr(_stack_backup, "recover", under_the_lock)

    taken = host.back_up()

    assert {entry["service"] for entry in taken.manifest.freeze["services"]} == set(frozen)
    assert "redis saves" in host.timeline()


def test_what_a_backup_that_died_left_frozen_is_brought_back_first_and_told(host, monkeypatch):
    host.change("web", state="exited")

    def recover(stack):
        host.change("web", state="running")
        return [f"An earlier backup of stack {stack} died."]

    monkeypatch.setattr(_stack_backup, "recover", recover)

    taken = host.back_up()

    assert "web" in {entry["service"] for entry in taken.manifest.freeze["services"]}
    assert summary(taken)["remarks"][-1] == "An earlier backup of stack crm died."


def test_what_cannot_be_brought_back_ends_the_backup(host, monkeypatch):
    def recover(_stack):
        raise EngineError("An earlier backup of stack crm died. No Docker daemon answers.")

    monkeypatch.setattr(_stack_backup, "recover", recover)

    with pytest.raises(EngineError, match="An earlier backup"):
        host.back_up()

    assert host.timeline() == []
    assert host.published() == []


def test_nothing_is_created_for_a_stack_that_is_not_there(host):
    with pytest.raises(StackError):
        host.back_up(stack=StackRequest("cmr"))

    assert not os.path.exists(host.root)


# Several database servers


def test_a_database_of_another_host_is_told_apart_by_host_and_port(host, monkeypatch):
    put_client(host, monkeypatch, "17.2")
    host.change("web", env={**host.by_id["web"].env, "POSTGRES_HOST": "db.example.com", "POSTGRES_PORT": "6432"})
    wanted = planned(host)

    assert [entry["globals"] for entry in wanted.described["databases"]] == ["db.example.com-6432", "postgres"]
    assert wanted.described["databases"][0]["service"] is None


def test_databases_of_one_name_on_two_servers_are_both_kept(host):
    host.add("evolution_postgres", "postgres:15", volumes={"/var/lib/postgresql/data": "crm_pg2"}, env={}, labels={})
    env = {
        **host.by_id["evolution"].env,
        "DATABASE_CONNECTION_URI": f"postgresql://evolution:{SECRET}@evolution_postgres:5432/chatwoot",
    }
    host.by_id["evolution"] = replace(host.by_id["evolution"], env=env, image=EVOLUTION)

    taken = host.back_up()

    dumps = [artifact for artifact in taken.manifest.artifacts if artifact.kind == "dump"]
    assert [artifact.path for artifact in dumps] == [
        "databases/chatwoot@postgres.dump.zst",
        "databases/chatwoot@evolution_postgres.dump.zst",
    ]
    assert taken.backup.manifest() == taken.manifest
    assert [taken.manifest.database(artifact)["service"] for artifact in dumps] == ["postgres", "evolution_postgres"]
    assert [artifact.source for artifact in taken.manifest.artifacts if artifact.kind == "globals"] == [
        "postgres",
        "evolution_postgres",
    ]


def test_a_dump_that_the_manifest_does_not_describe_is_refused(host):
    manifest = host.back_up().manifest
    stranger = replace(manifest.find("dump", "chatwoot"), source="other")

    with pytest.raises(StoreError, match="does not describe the database of databases/chatwoot"):
        manifest.database(stranger)


@pytest.mark.parametrize("name", ["tar", "zstd"])
def test_a_program_that_is_missing_is_named_before_anything_is_frozen(host, monkeypatch, name):
    real = shutil.which
    monkeypatch.setattr("shutil.which", lambda wanted, **more: None if wanted == name else real(wanted, **more))

    assert refused(host, ProcessError) == (
        f"{name} is not installed. Install the package {name}, or run crm.continuity.prepare."
    )


def test_a_client_that_is_older_than_a_server_elsewhere_is_refused_before_anything_is_frozen(host, monkeypatch):
    host.change("web", env={**host.by_id["web"].env, "POSTGRES_HOST": "db.example.com"})
    put_client(host, monkeypatch, "14.1")

    assert "Install the package postgresql-client-17" in refused(host, DatabaseError)


def test_a_backup_is_signed_with_the_key_that_was_named(tmp_path, monkeypatch):
    key = signing_key(tmp_path)
    host = crm_host(tmp_path, monkeypatch)

    taken = host.back_up(signing_key=key.path)

    sums = Path(taken.backup.path, "SHA256SUMS").read_bytes()
    signers = Signers((key.line(taken.manifest.host),))
    assert prove(taken.backup.path, taken.manifest.host, sums, signers).status == "proved"


def test_a_key_that_cannot_sign_is_refused_before_a_service_is_touched(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)

    with pytest.raises(StoreError, match="There is no signing key"):
        host.back_up(signing_key=str(tmp_path / "none"))

    assert host.calls == []
