# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_proof import SMALL
from ansible_collections.crm.continuity.plugins.module_utils._engine import EngineInfo, Image, Mount
from ansible_collections.crm.continuity.plugins.module_utils._errors import EngineError, StackError, StoreError
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.plugins.module_utils._restore_check import Request, check
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_compose import (
    Composed,
    Unknown,
    compose_command,
)
from ansible_collections.crm.continuity.plugins.module_utils._restore_preflight_servers import TABLES
from ansible_collections.crm.continuity.plugins.module_utils._restore_target import Target
from ansible_collections.crm.continuity.plugins.module_utils._signature import Signers
from ansible_collections.crm.continuity.tests.unit.backup_fakes import SECRET, FakeDatabase, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import (
    FakeEngine,
    artifact,
    container,
    manifest,
    source,
    volume,
)
from ansible_collections.crm.continuity.tests.unit.signing import signing_key


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host whose stack "crm" was just backed up."""
    host = crm_host(tmp_path, monkeypatch)
    host.taken = host.back_up()
    return host


@pytest.fixture
def empty(host):
    """The host of the backup after it was installed anew: the backup is there, and nothing else."""
    shutil.rmtree(host.directory / "volumes")
    shutil.rmtree(host.project)
    host.by_id.clear()
    host.volumes.clear()
    return host


def unknown(*_arguments):
    """Stand in for compose where it is not installed."""
    return Unknown("docker compose is not installed on this host")


def look(request, engine, profiles=None):
    return check(request, engine, profiles, unknown)


def checked(host, render=unknown, **more):
    return check(Request(host.root, "crm", **more), host, host.profiles, render)


def put(root, wanted):
    """Write a backup with this manifest, and with artifacts that are nothing but zeros."""
    directory = Path(root, wanted.stack, wanted.id)
    directory.mkdir(parents=True)
    for one in wanted.artifacts:
        path = directory / one.path
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.truncate(path, one.size)
    artifacts = [
        replace(one, sha256=hashlib.sha256(bytes(one.size)).hexdigest()) if one.kind in SMALL else one
        for one in wanted.artifacts
    ]
    wanted = replace(wanted, artifacts=tuple(artifacts))
    encoded = encode(wanted)
    (directory / NAME).write_bytes(encoded)
    (directory / SUMS).write_bytes(sums(wanted, encoded))


LIST = artifact("volumes/crm_storage.deleted", "deletions", source="crm_storage")


def everything(directory):
    return {path: path.lstat().st_mtime_ns for path in sorted(directory.rglob("*"))}


# Which backup


def test_looking_changes_nothing(host, tmp_path):
    before = everything(tmp_path)

    checked(host)

    assert everything(tmp_path) == before


def test_the_backup_is_described(host):
    found = checked(host)

    backup = host.taken.backup
    assert (found["stack"], found["id"], found["directory"]) == ("crm", backup.id, backup.path)
    assert found["cut_at"] == host.taken.manifest.cut_at
    assert found["profiles"] == ["chatwoot", "evolution"]
    assert found["project_dir"] == str(host.project)
    assert found["config"] == f"{backup.path}/config/project.tar.zst"


def test_the_only_stack_needs_no_name(host):
    (Path(host.root) / "never-backed-up").mkdir()

    assert look(Request(host.root), host)["stack"] == "crm"


def test_of_several_stacks_one_has_to_be_named(host):
    put(host.root, manifest(stack="ticketz"))

    with pytest.raises(StackError, match=r"backups of several stacks below .*: crm, ticketz\. Name one: restore_stack"):
        look(Request(host.root), host)


def test_a_root_without_backups_is_an_error(tmp_path):
    with pytest.raises(StackError, match=f"There is no backup below {tmp_path}. Set crm_backup_root"):
        look(Request(str(tmp_path)), FakeEngine())


def test_a_backup_that_is_not_there_is_an_error_with_those_that_are(host):
    with pytest.raises(
        StoreError, match=f"no backup 20200101T000000Z of stack crm. The latest are {host.taken.backup.id}"
    ):
        checked(host, id="20200101T000000Z")


def test_a_damaged_manifest_is_an_error(host):
    path = Path(host.taken.backup.path, "manifest.json")
    path.write_bytes(path.read_bytes().replace(b"chatwoot", b"chatwood"))

    with pytest.raises(StoreError, match="does not match SHA256SUMS"):
        checked(host)


# Into an empty host


def test_into_an_empty_host_nothing_is_occupied_and_nothing_speaks_against_it(empty):
    found = checked(empty)

    assert found["occupied"] == []
    assert found["problems"] == []
    assert found["running"] == []


def test_archives_fill_volumes_and_dumps_databases(empty):
    found = checked(empty)

    by_name = {entry["name"]: entry for entry in found["volumes"]}
    assert sorted(by_name) == ["crm_instances", "crm_redis", "crm_storage"]
    archive = empty.taken.manifest.find("archive", "crm_storage")
    assert by_name["crm_storage"] == {
        "name": "crm_storage",
        "kind": "volume",
        "source": "crm_storage",
        "labels": {"com.docker.compose.project": "crm"},
        "options": {},
        "exists": False,
        "files": 0,
        "content_bytes": archive.facts["content_bytes"],
        "archive": f"{empty.taken.backup.path}/volumes/crm_storage.tar.zst",
        "sha256": archive.sha256,
        "archived_files": archive.facts["files"],
        "deleted": None,
        "deleted_sha256": None,
    }
    assert [(entry["name"], entry["archive"]) for entry in found["data_volumes"]] == [("crm_pg", None)]


def test_a_list_of_deleted_names_goes_with_the_archive_of_its_volume(tmp_path):
    wanted = manifest(artifacts=(*manifest().artifacts, LIST))
    put(tmp_path, wanted)

    (found,) = look(Request(str(tmp_path)), FakeEngine())["volumes"]

    assert found["deleted"] == f"{tmp_path}/crm/{wanted.id}/{LIST.path}"
    assert found["deleted_sha256"] == hashlib.sha256(bytes(LIST.size)).hexdigest()


def test_a_database_is_restored_into_its_service_with_roles_and_rows(empty):
    (chatwoot, evolution) = checked(empty)["databases"]

    dump, roles = (empty.taken.manifest.find(kind) for kind in ("dump", "globals"))
    assert chatwoot == {
        "name": "chatwoot",
        "service": "postgres",
        "host": "postgres",
        "port": 5432,
        "owner": "owner",
        "repair": [],
        "dump": f"{empty.taken.backup.path}/databases/chatwoot.dump.zst",
        "sha256": dump.sha256,
        "rows": {"public.accounts": 2},
        "globals": f"{empty.taken.backup.path}/databases/postgres.globals.sql.zst",
        "globals_sha256": roles.sha256,
    }
    assert evolution["name"] == "evolution"


def test_the_services_that_ran_are_started_and_those_that_did_not_are_not(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    host.change("worker", state="exited")
    host.change("evolution", state="paused")
    host.back_up()

    assert checked(host)["services"] == ["evolution", "postgres", "redis", "web"]


def test_the_compose_command_names_the_files_where_they_will_be():
    wanted = manifest(
        source=source(
            compose_files=["/opt/crm/compose.yml", "/srv/shared/extra.yml"], environment_files=["/opt/crm/prod.env"]
        )
    )

    assert compose_command(wanted) == [
        "docker",
        "compose",
        "--project-name",
        "crm",
        "--project-directory",
        "/opt/crm",
        "--file",
        "/opt/crm/compose.yml",
        "--file",
        "/opt/crm/.outside/srv/shared/extra.yml",
        "--env-file",
        "/opt/crm/prod.env",
    ]


# Over what is there


def test_what_holds_files_or_tables_is_occupied(host):
    host.server.answers[TABLES] = [(3, 12)]

    found = checked(host)

    assert found["occupied"] == [
        "volume crm_instances (2 files)",
        "volume crm_pg (2 files)",
        "volume crm_redis (2 files)",
        "volume crm_storage (2 files)",
        "database chatwoot (3 tables, about 12 rows)",
        "database evolution (3 tables, about 12 rows)",
    ]
    assert found["running"] == sorted(f"crm-{name}-1" for name in ("web", "worker", "evolution", "postgres", "redis"))
    assert found["problems"] == []


def test_a_volume_that_is_there_and_empty_is_not_occupied(host):
    shutil.rmtree(host.data("crm_storage"))
    host.data("crm_storage").mkdir()

    found = checked(host)

    storage = next(entry for entry in found["volumes"] if entry["name"] == "crm_storage")
    assert (storage["exists"], storage["files"]) == (True, 0)
    assert not any("crm_storage" in words for words in found["occupied"])


def test_a_bound_directory_is_looked_at_by_its_path(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    place = tmp_path / "media"
    place.mkdir()
    (place / "file").write_text("x")
    host.add("files", "nginx", binds={"/srv": str(place)})
    host.back_up()

    (bind,) = (entry for entry in checked(host)["volumes"] if entry["kind"] == "bind")
    assert (bind["source"], bind["exists"], bind["files"]) == (str(place), True, 1)

    shutil.rmtree(place)
    (bind,) = (entry for entry in checked(host)["volumes"] if entry["kind"] == "bind")
    assert (bind["exists"], bind["files"]) == (False, 0)


def test_what_was_left_out_of_the_backup_is_not_touched(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    host.back_up(exclude=("crm_storage",))

    found = checked(host)

    assert not any("crm_storage" in words for words in found["occupied"])
    assert "crm_storage" not in [entry["name"] for entry in (*found["volumes"], *found["data_volumes"])]


def test_a_volume_that_cannot_be_read_is_an_error(host):
    host.volumes["crm_storage"] = replace(host.volumes["crm_storage"], driver="nfs")

    with pytest.raises(EngineError, match="Volume crm_storage uses the driver nfs"):
        checked(host)


def test_a_database_outside_the_stack_counts_as_occupied(tmp_path):
    (database,) = source()["databases"]
    outside = {**database, "service": None, "host": "db.example.com", "port": 6432}
    put(tmp_path, manifest(source=source(databases=[outside], volumes=[])))

    found = look(Request(str(tmp_path)), FakeEngine())

    assert found["occupied"] == ["database chatwoot at db.example.com:6432 (outside the stack)"]


# What speaks against it


def test_a_disk_that_is_too_small_is_a_problem(tmp_path):
    archive = artifact(
        "volumes/crm_storage.tar.zst",
        source="crm_storage",
        compression="zstd",
        facts={"files": 1, "directories": 1, "content_bytes": 1 << 60},
    )
    put(tmp_path, manifest(artifacts=(archive, artifact("config/project.tar.zst", "config"))))

    class SmallEngine(FakeEngine):
        def info(self):
            return EngineInfo("20.10", f"{tmp_path}/not/there/yet", "")

    (problem,) = look(Request(str(tmp_path)), SmallEngine())["problems"]

    assert problem.startswith(f"{tmp_path} has ")
    assert f"bytes free, and the restore needs {int((1 << 60) * 1.05)}. Free space there first." in problem


def test_a_stranger_that_uses_a_volume_is_a_problem(host):
    host.by_id["backup-tool"] = container("backup-tool", "busybox", project=None, volumes={"/data": "crm_storage"})

    assert checked(host)["problems"] == [
        "Container backup-tool, which is not of this stack, runs and uses crm_storage. Stop it first. "
        "To go on all the same, allow volume_in_use."
    ]


@pytest.mark.parametrize("state", ["exited", "created"])
def test_a_stranger_that_does_not_run_is_none(host, state):
    stranger = container("backup-tool", "busybox", project=None, volumes={"/data": "crm_storage"}, state=state)
    host.by_id["backup-tool"] = stranger

    assert checked(host)["problems"] == []


def test_a_container_of_another_stack_is_a_stranger(host):
    host.by_id["other"] = container("web", "nginx", project="other", volumes={"/data:ro": "crm_redis"})

    assert checked(host)["problems"] == [
        "Container other-web-1, which is not of this stack, runs and uses crm_redis. Stop it first. "
        "To go on all the same, allow volume_in_use."
    ]


def test_a_stranger_that_uses_something_else_is_none(host):
    stranger = container("proxy", "caddy", project=None)
    host.by_id["proxy"] = replace(stranger, mounts=(Mount("volume", "other", "/data"),))

    assert checked(host)["problems"] == []


@pytest.mark.parametrize(
    "more", [{"compose_files": []}, {"project_dir": None}], ids=["no compose file", "no project directory"]
)
def test_a_backup_that_names_no_compose_file_is_a_problem(tmp_path, more):
    put(tmp_path, manifest(source=source(**more)))

    assert look(Request(str(tmp_path)), FakeEngine())["problems"] == [
        "The backup names no compose file, so the stack cannot be started from it."
    ]


def test_compose_files_that_are_neither_in_the_backup_nor_here_are_a_problem(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    shutil.rmtree(host.project)
    host.back_up()

    found = checked(host)

    assert found["config"] is None
    assert found["problems"] == [
        f"The backup holds no compose files, and there is no {host.project}/compose.yml here. Put it there first; "
        "config/containers.json of the backup describes the containers."
    ]


def test_compose_files_that_are_here_are_enough(tmp_path, monkeypatch):
    host = crm_host(tmp_path, monkeypatch)
    project = tmp_path / "moved"
    os.rename(host.project, project)
    host.back_up()
    os.rename(project, host.project)

    assert checked(host)["problems"] == []


def test_a_volume_whose_secret_is_not_known_has_to_be_there(tmp_path):
    (entry,) = source()["volumes"]
    nas = {**entry, "options": {"type": "cifs", "o": "addr=nas,password=***"}}
    put(tmp_path, manifest(source=source(volumes=[nas])))

    _unmounted, problem = look(Request(str(tmp_path)), FakeEngine())["problems"]

    assert problem.startswith("Volume crm_storage was mounted with a secret")


def test_a_volume_without_secrets_is_created(tmp_path):
    (entry,) = source()["volumes"]
    put(tmp_path, manifest(source=source(volumes=[{**entry, "options": {"size": "1G"}}])))

    assert look(Request(str(tmp_path)), FakeEngine())["problems"] == []


@pytest.mark.parametrize("exists", [False, True])
def test_a_volume_of_another_driver_is_a_problem_with_a_remedy(tmp_path, exists):
    (entry,) = source()["volumes"]
    put(tmp_path, manifest(source=source(volumes=[{**entry, "driver": "rclone"}])))
    engine = FakeEngine(volumes=[volume("crm_storage", driver="rclone")] if exists else [])

    (problem,) = look(Request(str(tmp_path)), engine)["problems"]

    assert problem.startswith("Volume crm_storage uses the driver rclone")
    assert "RESTORE.md" in problem


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("options", [{"type": "nfs", "o": "addr=10.0.0.9", "device": ":/crm"}, {"device": "/dev/vdb"}])
def test_a_volume_that_the_engine_unmounts_is_a_problem_before_anything_stops(tmp_path, exists, options):
    (entry,) = source()["volumes"]
    put(tmp_path, manifest(source=source(volumes=[{**entry, "options": options}])))
    engine = FakeEngine(volumes=[volume("crm_storage", options=options)] if exists else [])

    (problem,) = look(Request(str(tmp_path)), engine)["problems"]

    assert problem.startswith("Volume crm_storage is of type ")
    assert "(type: none, o: bind)" in problem


def lose(path):
    path.unlink()


def shorten(path):
    os.truncate(path, path.stat().st_size - 1)


def link_elsewhere(path):
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to("../elsewhere")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lose, "is missing"),
        (shorten, r"is damaged: it has \d+ bytes, and \d+ are expected"),
        (link_elsewhere, "is not a regular file"),
    ],
)
def test_an_artifact_that_cannot_be_right_is_a_problem_that_nothing_allows(host, harm, words):
    path = Path(host.taken.backup.path, "volumes/crm_storage.tar.zst")
    harm(path)

    (problem,) = checked(host, allow=("artifacts",))["problems"]

    assert re.search(f"{path} {words}. Copy it here from another copy of the backup", problem)


# What is asked before it starts


def severities(found, check):
    return [entry["severity"] for entry in found["preflight"] if entry["check"] == check]


def test_every_question_is_answered_and_refusals_come_first(host):
    host.by_id["other"] = container("web", "nginx", project="other", volumes={"/data": "crm_redis"})

    found = checked(host)

    assert found["preflight"][0]["check"] == "volume_in_use"
    order = ["refuse", "warn", "ok"]
    assert [order.index(entry["severity"]) for entry in found["preflight"]] == sorted(
        order.index(entry["severity"]) for entry in found["preflight"]
    )
    assert {entry["check"] for entry in found["preflight"]} >= {
        "postgresql",
        "extensions",
        "images",
        "secrets",
        "space",
    }


def test_what_is_allowed_is_no_problem_but_a_remark(host):
    host.by_id["other"] = container("web", "nginx", project="other", volumes={"/data": "crm_redis"})

    found = checked(host, allow=("volume_in_use",))

    assert found["problems"] == []
    assert any("runs and uses crm_redis" in words and "It was allowed." in words for words in found["remarks"])


def test_the_server_of_an_empty_host_is_not_known(empty):
    found = checked(empty)

    assert severities(found, "postgresql") == ["warn", "warn"]
    assert any("service postgres is not there yet" in words for words in found["remarks"])


def test_a_server_that_lets_nobody_in_is_a_problem(host):
    host.server.refuses["postgres"] = "password authentication failed"

    assert severities(checked(host), "postgresql") == ["refuse", "refuse"]


def test_a_server_that_is_older_than_the_dump_is_a_problem(host, monkeypatch):
    monkeypatch.setattr(FakeDatabase, "server_version", lambda self: 160004)

    (chatwoot, evolution) = checked(host)["problems"]

    assert chatwoot.startswith("Database chatwoot is of PostgreSQL 17.2, and container crm-postgres-1 runs 16.4: ")
    assert evolution.startswith("Database evolution is of PostgreSQL 17.2")


def test_an_other_secret_is_a_problem_and_its_value_is_not_told(host):
    host.change("web", env={**host.by_id["web"].env, "SECRET_KEY_BASE": "battery-staple"})

    found = checked(host)

    (problem,) = found["problems"]
    assert problem.startswith("SECRET_KEY_BASE of chatwoot differs from the backup's, as the containers that are there")
    assert "restore_config=replace" in problem
    assert not any(value in str(found) for value in (SECRET, "battery-staple"))


def test_the_files_that_compose_will_read_say_what_the_secrets_will_be(host):
    host.change("web", env={**host.by_id["web"].env, "SECRET_KEY_BASE": "battery-staple"})
    environments = {name: dict(found.env) for name, found in host.by_id.items()}
    environments["web"]["SECRET_KEY_BASE"] = SECRET
    services = {name: {"image": host.by_id[name].image, "environment": env} for name, env in environments.items()}

    found = checked(host, render=lambda *_arguments: Composed("the files of the backup", {"services": services}))

    assert severities(found, "secrets") == ["ok", "ok"]


def test_containers_that_were_described_by_somebody_else_are_an_error(host):
    path = Path(host.taken.backup.path, "config/containers.json")
    path.write_bytes(path.read_bytes().replace(SECRET.encode(), b"battery-staple"))

    with pytest.raises(StoreError, match=r"containers\.json is damaged"):
        checked(host)


def test_compose_files_that_compose_does_not_understand_are_a_problem(host):
    (problem,) = checked(host, render=lambda *_arguments: Unknown("yaml: line 3", broken=True))["problems"]

    assert problem.startswith("Compose does not understand the files that would be there: yaml: line 3.")


def test_files_of_the_image_are_left_out_where_another_would_be_started(tmp_path, monkeypatch):
    host = public_host(tmp_path, monkeypatch)
    services = {"web": {"image": "chatwoot/chatwoot:v4.16.0", "environment": {"SECRET_KEY_BASE": SECRET}}}

    def render(*_arguments):
        return Composed("x", {"services": services})

    found = checked(host, render)
    assert found["left_out"] == ["crm_public"]
    assert found["pins_file"] is None
    assert "crm_public" not in [entry["name"] for entry in found["volumes"]]
    assert found["problems"] == []
    assert any("Volume crm_public (public files) belongs to the image of the backup" in w for w in found["remarks"])

    allowed = checked(host, render, allow=("same_image",))
    assert allowed["left_out"] == []
    assert "crm_public" in [entry["name"] for entry in allowed["volumes"]]


def test_files_of_the_image_are_restored_where_it_is_pinned(tmp_path, monkeypatch):
    host = public_host(tmp_path, monkeypatch)
    image_id = host.by_id["web"].image_id
    host.images[image_id] = Image(image_id)
    services = {"web": {"image": "chatwoot/chatwoot:v4.16.0"}}

    found = checked(host, lambda *_arguments: Composed("x", {"services": services}), images="pin")

    assert found["left_out"] == []
    assert found["pins"]["web"] == image_id
    assert found["pins_file"] == f"{host.project}/compose.pinned.yml"
    assert found["compose"][-2:] == ["--file", found["pins_file"]]


def public_host(tmp_path, monkeypatch):
    """A host whose Chatwoot has its public files on a volume."""
    host = crm_host(tmp_path, monkeypatch)
    web = host.by_id["web"]
    host.add_volume("crm_public")
    host.change("web", mounts=(*web.mounts, Mount("volume", "crm_public", "/app/public")))
    host.back_up()
    return host


def test_a_database_whose_schema_is_newer_is_told(host):
    query = "SELECT max(version) FROM schema_migrations"
    host.server.answers[query] = [("20250101",)]
    host.back_up()
    host.server.answers[query] = [("20260101",)]

    found = checked(host)

    assert severities(found, "schema_version") == ["warn"]
    assert any("has the newer schema 20260101, and the backup 20250101" in words for words in found["remarks"])


# As another stack


def test_a_copy_gets_volumes_of_its_own_and_forgets_its_sessions(host):
    found = checked(host, target=Target("crm2", volumes={"crm_storage": "crm2_storage"}))

    assert (found["stack"], found["source_stack"]) == ("crm2", "crm")
    assert found["project_dir"] == str(host.project.parent / "crm2")
    assert found["compose"][3] == "crm2"
    assert found["session_default"] == "reset"
    assert found["running"] == []
    (storage,) = (entry for entry in found["volumes"] if entry["name"] == "crm_storage")
    assert (storage["source"], storage["exists"]) == ("crm2_storage", False)
    assert storage["labels"]["com.docker.compose.project"] == "crm2"


def test_a_copy_never_fills_what_belongs_to_the_original(host):
    problems = checked(host, target=Target("crm2"), allow=("volume_in_use",))["problems"]

    # These volumes have no label that says that compose named them.
    assert any(words.startswith("Volume crm_storage would be the one of crm2 too") for words in problems)


def test_in_place_the_sessions_are_kept(host):
    found = checked(host, target=Target("crm"))

    assert found["session_default"] == "keep"
    assert found["sessions_covered"]
    assert found["problems"] == []


def test_a_part_of_the_sessions_that_the_backup_lacks_is_told_before(tmp_path):
    state = {"profile": "evolution", "rule": "redis", "holds": "signal keys", "place": "redis", "where": "Redis of crm"}
    covered = {**state, "place": "database", "where": "PostgreSQL", "covered": True, "how": ""}
    put(tmp_path, manifest(session=(covered, {**state, "covered": False, "how": "add its volume"})))

    found = look(Request(str(tmp_path)), FakeEngine())

    assert not found["sessions_covered"]
    (remark,) = [words for words in found["remarks"] if "session" in words]
    assert remark.startswith(
        "The backup does not hold Redis of crm (signal keys of evolution): what is there now stays"
    )


# Who made it


@pytest.fixture
def signed(tmp_path, monkeypatch):
    """A host whose stack was just backed up and signed; ``signers`` know its key."""
    key = signing_key(tmp_path)
    host = crm_host(tmp_path, monkeypatch)
    taken = host.back_up(signing_key=key.path)
    host.signers = Signers((key.line(taken.manifest.host),))
    host.backup = Path(taken.backup.path)
    return host


def test_a_backup_that_the_host_has_signed_is_restored_without_a_word(signed):
    result = look(Request(signed.root, signers=signed.signers), signed)

    assert (result["signature"]["status"], severities(result, "signature")) == ("proved", ["ok"])


def test_a_backup_that_nobody_signed_is_warned_of_without_signers(host):
    result = look(Request(host.root), host)

    assert result["signature"] == {"status": "unsigned", "signer": None, "key": None}
    assert [remark for remark in result["remarks"] if "is not signed: nothing proves" in remark]


def test_a_signature_that_nobody_knows_is_warned_of(signed):
    result = look(Request(signed.root), signed)

    assert (result["signature"]["status"], severities(result, "signature")) == ("unproved", ["warn"])
    assert [remark for remark in result["remarks"] if "Set crm_signers" in remark]


def test_a_backup_that_nobody_signed_is_refused_with_signers(signed):
    (signed.backup / "SHA256SUMS.sig").unlink()

    with pytest.raises(StoreError, match="is not signed, and signers are known"):
        look(Request(signed.root, signers=signed.signers), signed)
    assert look(Request(signed.root, signers=replace(signed.signers, required=False)), signed)["problems"] == []


@pytest.mark.parametrize("name", ["RESTORE.md", "config/containers.json", "databases/postgres.globals.sql.zst"])
def test_a_flipped_bit_in_what_is_read_before_is_refused(host, name):
    path = Path(host.taken.backup.path, name)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(StoreError, match=r"is damaged: its SHA-256 is .* Nothing was changed"):
        look(Request(host.root), host)


def test_a_backup_in_the_place_of_another_is_refused(host):
    path = Path(host.taken.backup.path)
    path.rename(path.with_name("20991231T000000Z"))

    with pytest.raises(StoreError, match="the directory was renamed or exchanged"):
        look(Request(host.root), host)
