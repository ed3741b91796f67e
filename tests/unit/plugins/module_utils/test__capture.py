# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    ArchiveError,
    ContinuityError,
    DatabaseError,
    EngineError,
    ProcessError,
    RedisError,
    SignalError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack_backup import plan
from ansible_collections.crm.continuity.tests.unit.backup_fakes import PROGRAMS, crm_host

FROZEN = ["pause worker", "pause web", "pause evolution", "redis saves", "pause redis"]
THAWED = ["unpause redis", "unpause evolution", "unpause web", "unpause worker"]
SNAPSHOTS = ["snapshot chatwoot", "snapshot evolution"]
ARCHIVES = ["archive crm_instances", "archive crm_redis", "archive crm_storage"]
DUMPS = ["dump chatwoot", "dump evolution", "roles"]


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with the stack "crm": Chatwoot with a worker, Evolution API, PostgreSQL and Redis."""
    return crm_host(tmp_path, monkeypatch)


def unpacked(taken, path):
    """Return the content of an artifact, unpacked with stock tools."""
    file = Path(taken.backup.path, path)
    program = {".zst": ["zstd", "-dc"], ".gz": ["gzip", "-dc"]}.get(file.suffix, ["cat"])
    return subprocess.run([*program, str(file)], capture_output=True, check=True).stdout


def members(taken, path):
    """Return the names that stock tar lists in an artifact."""
    listing = subprocess.run(["tar", "-t"], input=unpacked(taken, path), capture_output=True, check=True).stdout
    return set(listing.decode().splitlines())


def failed(host, error, **more):
    """Take a backup that fails, and return the words; everything has to run again, and nothing may be left over."""
    before = host.states()
    with pytest.raises(error) as caught:
        host.back_up(**more)
    assert host.states() == before
    assert host.published() == []
    assert Store(host.root).backups("crm") == []
    assert host.server.sessions == 0
    return str(caught.value)


# The order


def test_writers_stand_still_before_the_cut_and_dumps_are_made_after_it(host):
    host.back_up()

    assert host.timeline() == [*FROZEN, *SNAPSHOTS, *ARCHIVES, *THAWED, *DUMPS]


def test_redis_is_brought_up_to_date_after_the_applications_stand_still_and_before_it_does(host):
    host.back_up()

    timeline = host.timeline()
    saved = timeline.index("redis saves")
    assert all(timeline.index(f"pause {service}") < saved for service in ("worker", "web", "evolution"))
    assert saved < timeline.index("pause redis")
    assert timeline.count("redis saves") == 1


def test_a_redis_that_is_not_frozen_is_brought_up_to_date_too(host):
    host.back_up(freeze={"redis": "none"})

    timeline = host.timeline()
    assert timeline.index("pause evolution") < timeline.index("redis saves") < timeline.index("archive crm_redis")
    assert "pause redis" not in timeline


def test_a_redis_with_an_append_only_file_needs_no_save(host):
    host.programs["redis-cli"] = PROGRAMS["redis-cli"].replace(r"appendonly\nno", r"appendonly\nyes")

    taken = host.back_up()

    assert "redis saves" not in host.timeline()
    assert taken.manifest.source["redis"][0]["appendonly"] is True


def test_a_service_that_is_to_be_stopped_is_stopped_and_started(host):
    host.back_up(freeze={"evolution": "stop"})

    timeline = host.timeline()
    assert (
        timeline.index("stop evolution") < timeline.index("archive crm_instances") < timeline.index("start evolution")
    )
    assert set(host.states().values()) == {"running"}


def test_what_did_not_run_does_not_run_afterwards(host):
    host.change("worker", state="exited")
    host.change("evolution", state="paused")

    host.back_up()

    assert host.states() == {
        "web": "running",
        "worker": "exited",
        "evolution": "paused",
        "postgres": "running",
        "redis": "running",
    }


def test_dumps_are_of_the_snapshots_of_the_cut(host):
    taken = host.back_up()

    for database in ("chatwoot", "evolution"):
        arguments = unpacked(taken, f"databases/{database}.dump.zst").decode()
        assert f"--snapshot=snapshot-of-{database} " in arguments
        assert f"dbname='{database}'" in arguments


def test_no_session_with_a_database_is_left_open(host):
    host.back_up()

    assert host.server.connections
    assert host.server.sessions == 0


# What is written


@pytest.mark.parametrize(
    ("compression", "suffix"), [("zstd", ".zst"), ("gzip", ".gz"), ("none", "")], ids=["zstd", "gzip", "none"]
)
def test_artifacts_are_what_their_names_say(host, compression, suffix):
    taken = host.back_up(compression=compression)

    assert [artifact.path for artifact in taken.manifest.artifacts] == [
        f"volumes/crm_instances.tar{suffix}",
        f"volumes/crm_redis.tar{suffix}",
        f"volumes/crm_storage.tar{suffix}",
        f"databases/chatwoot.dump{suffix}",
        f"databases/evolution.dump{suffix}",
        f"databases/postgres.globals.sql{suffix}",
        f"config/project.tar{suffix}",
        "config/containers.json",
        "RESTORE.md",
    ]
    assert members(taken, f"volumes/crm_storage.tar{suffix}") == {"./", "./file", "./directory/", "./directory/file"}
    assert members(taken, f"config/project.tar{suffix}") == {"compose.yml", ".env"}
    assert unpacked(taken, f"databases/chatwoot.dump{suffix}").startswith(b"PGDMP")
    assert unpacked(taken, f"databases/postgres.globals.sql{suffix}").startswith(b"-- pg_dumpall --globals-only")
    assert {artifact.compression for artifact in taken.manifest.artifacts if artifact.kind == "archive"} == {
        compression
    }


def test_the_level_reaches_the_compressor(host):
    for name in ("random", "again"):
        (host.data("crm_storage") / name).write_text("".join(f"{number * 7919 % 1009} " for number in range(20000)))
    sizes = [host.back_up(level=level).manifest.find("archive", "crm_storage").size for level in (1, 19)]

    assert sizes[1] < sizes[0]


def test_the_facts_of_an_archive_are_those_of_the_volume(host):
    data = host.data("crm_storage")
    (data / "empty").mkdir()
    (data / "unicode-ã\nnewline").write_bytes(b"x" * 1000)
    os.link(data / "file", data / "hard link")
    (data / "link").symlink_to("file")
    os.mkfifo(data / "fifo")

    facts = host.back_up().manifest.find("archive", "crm_storage").facts

    names = subprocess.run(["find", data, "-type", "f", "-printf", "x"], capture_output=True, check=True).stdout
    plain = sum(path.stat().st_size for path in (data / "file", data / "directory/file")) + 1000
    # A hard link is a name of its own, and its content counts once.
    assert facts == {"files": len(names), "directories": 2, "content_bytes": plain}


def test_the_facts_of_a_dump_are_those_of_the_database(host):
    host.server.rows["chatwoot"] = {"public.accounts": 3, "public.users": 5}
    host.programs["pg_restore"] = 'cat >/dev/null; for n in 1 2; do echo "$n; 0 1 TABLE DATA public t$n x"; done'

    facts = host.back_up().manifest.find("dump", "chatwoot").facts

    assert facts["rows"] == {"public.accounts": 3, "public.users": 5}
    assert facts["tables"] == 2
    assert facts["sequences"] == {"public.accounts_id_seq": 2}
    assert facts["server"] == "postgres"


def test_what_pg_dump_warns_of_is_a_remark(host):
    host.programs["pg_dump"] = PROGRAMS["pg_dump"] + "; echo 'pg_dump: warning: circular foreign keys' >&2"

    warnings = host.back_up().manifest.warnings

    assert "database chatwoot: pg_dump: warning: circular foreign keys" in warnings


def test_a_socket_is_left_out_and_is_a_remark(host, monkeypatch):
    # The name of a socket may not be longer than a hundred bytes or so.
    monkeypatch.chdir(host.data("crm_storage"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("puma.sock")

    warnings = host.back_up().manifest.warnings

    assert any(words.startswith("volume crm_storage: ") and "puma.sock" in words for words in warnings)


def test_an_excluded_volume_is_not_archived(host):
    taken = host.back_up(exclude=("crm_storage",))

    assert taken.manifest.find("archive", "crm_storage") is None
    assert "volume crm_storage is not covered: it was excluded." in taken.manifest.warnings
    assert "archive crm_storage" not in host.timeline()


def test_a_bound_directory_is_archived_under_a_name_of_its_own(host):
    place = host.project / "uploads ünd mehr"
    place.mkdir()
    (place / "file").write_text("x" * 10)
    host.add("files", "nginx", binds={"/srv": str(place)})

    taken = host.back_up()

    artifact = taken.manifest.find("archive", "bind-uploads-nd-mehr")
    assert artifact.path == "volumes/bind-uploads-nd-mehr.tar.zst"
    assert members(taken, artifact.path) == {"./", "./file"}
    # It is data and not configuration.
    assert members(taken, "config/project.tar.zst") == {"compose.yml", ".env"}


@pytest.mark.parametrize(
    ("database", "name"),
    [
        ("chat-woot_2.prod", "chat-woot_2.prod"),
        ("../etc/passwd", "..%2Fetc%2Fpasswd"),
        ("a b%20", "a%20b%2520"),
        ("atendimento-ção", "atendimento-ção"),
        ("new\nline", "new%0Aline"),
        ("a@b", "a%40b"),
        ("\u2028", "%E2%80%A8"),
    ],
)
def test_a_database_of_any_name_gets_a_file_of_its_own(host, database, name):
    host.change("web", env={**host.by_id["web"].env, "POSTGRES_DATABASE": database})
    host.server.rows[database] = {"public.accounts": 2}

    taken = host.back_up()

    assert taken.manifest.find("dump", database).path == f"databases/{name}.dump.zst"
    assert taken.backup.manifest() == taken.manifest
    assert Path(taken.backup.path, "databases", f"{name}.dump.zst").is_file()


def test_without_compose_files_the_engine_s_description_is_kept(host):
    shutil.rmtree(host.project)

    taken = host.back_up()

    assert taken.manifest.find("config").path == "config/containers.json"
    assert any("compose and env files are not in the backup" in words for words in taken.manifest.warnings)
    described = json.loads(Path(taken.backup.path, "config/containers.json").read_text(encoding="utf-8"))
    assert sorted(entry["Name"] for entry in described) == [
        "/crm-evolution-1",
        "/crm-postgres-1",
        "/crm-redis-1",
        "/crm-web-1",
        "/crm-worker-1",
    ]


# What fails


def test_a_container_that_cannot_be_paused(host):
    host.refuses["pause", "evolution"] = "cgroup is gone"

    assert "cgroup is gone" in failed(host, EngineError)
    assert not set(ARCHIVES) & set(host.timeline())


def test_a_redis_that_cannot_save(host):
    host.programs["redis-cli"] = PROGRAMS["redis-cli"].replace("note redis saves; echo OK", "echo MISCONF disk full")

    assert "refused SAVE: MISCONF disk full" in failed(host, RedisError)
    assert "pause redis" not in host.timeline()


def test_a_snapshot_that_cannot_be_taken(host):
    def fail():
        raise DatabaseError("the server was shut down")

    host.server.on_snapshot = fail

    assert failed(host, DatabaseError) == "the server was shut down"
    assert host.timeline() == [*FROZEN, *THAWED]


def test_an_archive_that_fails(host):
    host.meanwhile("echo tar: disk error >&2; exit 2")

    assert "disk error" in failed(host, ProcessError)
    assert host.timeline() == [*FROZEN, *SNAPSHOTS, ARCHIVES[0], *THAWED]


def test_a_volume_that_someone_else_changes_while_it_is_archived(host):
    host.meanwhile("""
        if [ "${data#*crm_storage}" != "$data" ]; then
          head -c 50000000 /dev/zero >"$data/large"
          for n in 1 2 3 4 5 6 7 8 9 10; do sleep 0.02; echo x >>"$data/large"; done >/dev/null 2>&1 &
        fi""")

    words = failed(host, ArchiveError)

    assert words.startswith("Volume crm_storage changed while it was archived, so nothing was kept: ./large")


def test_a_dump_that_fails_after_the_thaw(host):
    host.programs["pg_dump"] = "echo pg_dump: error: permission denied >&2; exit 1"

    assert "permission denied" in failed(host, ProcessError)
    assert host.timeline() == [*FROZEN, *SNAPSHOTS, *ARCHIVES, *THAWED]


def test_a_dump_that_does_not_hold_every_table(host):
    host.programs["pg_restore"] = "cat >/dev/null"

    assert "holds the rows of 0 tables, and there are 1" in failed(host, DatabaseError)


def test_roles_that_cannot_be_read(host):
    host.programs["pg_dumpall"] = "echo pg_dumpall: error: no >&2; exit 1"

    assert "dump the roles of container crm-postgres-1" in failed(host, ProcessError)


def test_a_service_that_cannot_be_brought_back_ends_the_backup_and_the_others_are(host):
    host.refuses["unpause", "evolution"] = "no answer"

    with pytest.raises(EngineError) as caught:
        host.back_up()

    assert "Services could not be brought back: evolution: no answer." in str(caught.value)
    assert {service for service, state in host.states().items() if state != "running"} == {"evolution"}
    assert host.published() == []


def test_the_reason_of_a_failure_is_not_lost_when_a_service_cannot_be_brought_back(host):
    host.refuses["unpause", "evolution"] = "no answer"
    host.meanwhile("exit 2")

    with pytest.raises(EngineError) as caught:
        host.back_up()

    assert isinstance(caught.value.__context__, ContinuityError)
    assert "archive volume crm_instances" in str(caught.value.__context__)


# Interrupts


@pytest.mark.parametrize(
    "interrupt", [SignalError("Interrupted by SIGTERM."), KeyboardInterrupt()], ids=["signal", "key"]
)
def test_an_interrupt_at_the_cut(host, interrupt):
    def fail():
        raise interrupt

    host.server.on_snapshot = fail

    failed(host, type(interrupt))
    assert host.timeline() == [*FROZEN, *THAWED]


@pytest.mark.parametrize("volume", [name.partition(" ")[2] for name in ARCHIVES])
def test_an_interrupt_while_a_volume_is_archived(host, volume, signals):
    host.meanwhile(f"case $data in *{volume}*) sleep 0.2; kill -TERM {os.getpid()}; sleep 5 ;; esac")
    begun = time.monotonic()

    assert failed(host, SignalError) == "Interrupted by a signal."

    # It does not wait for the archive.
    assert time.monotonic() - begun < 4
    assert host.timeline()[-len(THAWED) :] == THAWED


def test_an_interrupt_while_a_database_is_dumped(host, signals):
    host.programs["pg_dump"] = f"sleep 0.2; kill -TERM {os.getpid()}; sleep 5"

    failed(host, SignalError)

    assert host.timeline() == [*FROZEN, *SNAPSHOTS, *ARCHIVES, *THAWED]


def test_an_interrupt_while_services_are_brought_back_leaves_the_rest_to_the_guardian(host, tmp_path):
    """The guardian is another process: it notes what it does in the same file, with the same engine."""
    real = host.unpause

    def unpause(id_):
        if os.getpid() == own and id_ == "evolution":
            raise SignalError("Interrupted by SIGHUP.")
        real(id_)

    own = os.getpid()
    host.unpause = unpause
    # A copy of this process does not see what was paused after it was made; let it look at the file.
    container = host.container

    def look(id_):
        found = container(id_)
        timeline = host.timeline()
        if os.getpid() != own and f"pause {id_}" in timeline and f"unpause {id_}" not in timeline:
            host.change(id_, state="paused")
            return container(id_)
        return found

    host.container = look

    with pytest.raises(SignalError):
        host.back_up()

    assert sorted(host.timeline()[-len(THAWED) :]) == sorted(THAWED)
    assert host.published() == []


@pytest.fixture
def signals():
    """Turn SIGTERM into an error, as modules do."""

    def interrupt(_number, _frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SignalError("Interrupted by a signal.")

    previous = signal.signal(signal.SIGTERM, interrupt)
    yield
    signal.signal(signal.SIGTERM, previous)


def test_the_archive_of_a_backup_can_be_read_by_python_alone(host):
    taken = host.back_up(compression="gzip")

    with (
        gzip.open(Path(taken.backup.path, "volumes/crm_redis.tar.gz")) as stream,
        tarfile.open(fileobj=stream) as archive,
    ):
        assert archive.extractfile("./file").read() == b"content of crm_redis\n"


def test_looking_before_a_capture_is_not_part_of_it(host):
    plan(host.request(), host, host.profiles)

    assert host.timeline() == []


def test_a_root_that_vanishes_under_way_is_named(host):
    host.meanwhile(f"rm -rf {host.root}")

    with pytest.raises(StoreError, match="partial cannot be written: No such file"):
        host.back_up()

    assert set(host.states().values()) == {"running"}
