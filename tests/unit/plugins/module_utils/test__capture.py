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
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _stack_backup
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store
from ansible_collections.crm.continuity.plugins.module_utils._errors import (
    ArchiveError,
    ContinuityError,
    DatabaseError,
    EngineError,
    FreezeTimeoutError,
    ProcessError,
    RedisError,
    SignalError,
    StoreError,
)
from ansible_collections.crm.continuity.plugins.module_utils._stack_backup import plan
from ansible_collections.crm.continuity.tests.unit.backup_fakes import PROGRAMS, crm_host
from ansible_collections.crm.continuity.tests.unit.fakes import container

FROZEN = ["pause worker", "pause web", "pause evolution", "redis saves", "pause redis"]
THAWED = ["unpause redis", "unpause evolution", "unpause web", "unpause worker"]
SNAPSHOTS = ["snapshot chatwoot", "snapshot evolution"]
ARCHIVES = ["archive crm_instances", "archive crm_redis", "archive crm_storage"]
CUTS = ["cut crm_instances", "cut crm_redis", "cut crm_storage"]
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


def test_volumes_are_archived_before_the_writers_stand_still_and_dumps_are_made_after_it(host):
    host.back_up()

    assert host.timeline() == [*ARCHIVES, *FROZEN, *SNAPSHOTS, *CUTS, *THAWED, *DUMPS]


def test_a_volume_that_did_not_change_is_not_read_while_the_writers_stand_still(host):
    (host.data("crm_storage") / "file").unlink()
    time.sleep(0.1)

    host.back_up()

    assert [what for what in host.timeline() if what.startswith("cut")] == CUTS[:2]


def test_what_changes_while_the_volumes_are_archived_is_caught_up_with(host):
    host.meanwhile('case $verb in archive) sleep 0.1; echo new >"$data/new" ;; esac')

    taken = host.back_up()

    caught = [what for what in host.timeline() if what.startswith("catch-up")]
    assert len(caught) >= len(ARCHIVES)
    assert "./new" in members(taken, "volumes/crm_storage.tar.zst")


def test_phases_are_told_in_order(host, monkeypatch):
    told = []
    monkeypatch.setattr(_stack_backup, "tell_phase", lambda _lock, phase: told.append(phase))

    host.back_up()

    assert told == [
        *("look", "live", "catch-up", "journal", "freeze", "redis", "freeze", "redis", "cut", "delta", "thaw"),
        *("dump", "configuration", "publish"),
    ]


def test_the_phases_of_the_stillness_add_up(host):
    freeze = host.back_up().manifest.freeze

    assert list(freeze["phases"]) == ["freeze", "redis", "cut", "delta", "thaw"]
    assert freeze["seconds"] == pytest.approx(sum(freeze["phases"].values()), abs=0.004)
    assert max(service["seconds"] for service in freeze["services"]) <= freeze["seconds"] + 0.01


def test_a_cut_over_budget_is_a_remark_that_says_what_took_how_long(host):
    host.meanwhile("[ $verb != cut ] || sleep 0.2")

    taken = host.back_up(freeze_budget=0.5)

    assert [words for words in taken.manifest.warnings if "freeze_budget is 0.5 s" in words]
    assert host.published() == [taken.backup.id]


def test_a_cut_within_budget_is_none(host):
    assert not [words for words in host.back_up(freeze_budget=30).manifest.warnings if "freeze_budget" in words]


def test_a_cut_that_takes_too_long_is_thawed_and_does_not_count(host):
    """The watchdog is another process: it finds out by the timeline what is paused."""
    let_the_watchdog_see(host)
    host.meanwhile("[ $verb != cut ] || sleep 1.5")

    with pytest.raises(FreezeTimeoutError, match=r"more than 1 s \(freeze_timeout\)"):
        host.back_up(freeze_timeout=1)

    timeline = host.timeline()
    assert timeline.index("unpause web") < timeline.index("cut crm_redis")
    assert host.published() == []


def test_what_is_gone_at_the_cut_is_listed_beside_the_archive(host):
    host.meanwhile('case $verb$data in archive*crm_storage*) "$tar" "$@"; rm "$data/directory/file"; exit ;; esac')

    taken = host.back_up()

    gone = next(artifact for artifact in taken.manifest.artifacts if artifact.kind == "deletions")
    assert (gone.path, gone.source) == ("volumes/crm_storage.deleted", "crm_storage")
    assert Path(taken.backup.path, gone.path).read_bytes() == b"./directory/file\0"
    facts = taken.manifest.find("archive", "crm_storage").facts
    assert (facts["files"], facts["directories"], facts["deleted"]) == (1, 1, 1)


def test_what_is_written_by_someone_who_is_not_frozen_may_be_torn_and_is_told(host):
    host.by_id["other"] = replace(container("other", "nginx", volumes={"/srv": "crm_storage"}), labels={})
    host.meanwhile('case $verb$data in cut*crm_storage*) "$tar" "$@"; echo tar: ./file: torn >&2; exit 1 ;; esac')

    warnings = host.back_up().manifest.warnings

    assert any(words.startswith("volume crm_storage is also written to by container crm-other-1") for words in warnings)
    assert "volume crm_storage: ./file: torn" in warnings


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
    assert timeline.index("pause evolution") < timeline.index("redis saves") < timeline.index("cut crm_instances")
    assert "pause redis" not in timeline


def test_an_append_only_file_needs_no_save_and_is_waited_for_before_redis_stands_still(host):
    host.programs["redis-cli"] = PROGRAMS["redis-cli"].replace(r"appendonly\nno", r"appendonly\nyes")

    taken = host.back_up()

    timeline = host.timeline()
    assert "redis saves" not in timeline
    asked = [position for position, event in enumerate(timeline) if event == "redis is asked"]
    assert asked[0] < min(timeline.index(f"pause {service}") for service in ("worker", "web", "evolution"))
    assert max(timeline.index(f"pause {service}") for service in ("worker", "web", "evolution")) < asked[-1]
    assert asked[-1] < timeline.index("pause redis")
    assert taken.manifest.source["redis"][0]["appendonly"] is True


def test_a_service_that_is_to_be_stopped_is_stopped_and_started(host):
    host.back_up(freeze={"evolution": "stop"})

    timeline = host.timeline()
    assert timeline.index("stop evolution") < timeline.index("cut crm_instances") < timeline.index("start evolution")
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
    counts = {"files": len(names), "directories": 2, "others": 2, "content_bytes": plain}
    assert {name: facts[name] for name in counts} == counts


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
    assert not set(CUTS) & set(host.timeline())


def test_a_redis_that_cannot_save(host):
    host.programs["redis-cli"] = PROGRAMS["redis-cli"].replace("note redis saves; echo OK", "echo MISCONF disk full")

    assert "refused SAVE: MISCONF disk full" in failed(host, RedisError)
    assert "pause redis" not in host.timeline()


def test_a_snapshot_that_cannot_be_taken(host):
    def fail():
        raise DatabaseError("the server was shut down")

    host.server.on_snapshot = fail

    assert failed(host, DatabaseError) == "the server was shut down"
    assert host.timeline() == [*ARCHIVES, *FROZEN, *THAWED]


def test_an_archive_that_fails(host):
    host.meanwhile("echo tar: disk error >&2; exit 2")

    assert "disk error" in failed(host, ProcessError)
    assert host.timeline() == ARCHIVES[:1]


def test_a_cut_that_fails(host):
    host.meanwhile("[ $verb != cut ] || { echo tar: disk error >&2; exit 2; }")

    assert "disk error" in failed(host, ProcessError)
    assert host.timeline() == [*ARCHIVES, *FROZEN, *SNAPSHOTS, CUTS[0], *THAWED]


def test_a_volume_that_someone_else_changes_while_everything_stands_still(host):
    head = "head -c 50000000 /dev/zero >"
    host.meanwhile(f"""
        case $verb$data in
          archive*crm_storage*) {head}"$data/large" ;;
          cut*crm_storage*) printf './large\\0' | "$tar" "$@"
            echo "tar: ./large: file changed as we read it" >&2; exit 1 ;;
        esac""")

    words = failed(host, ArchiveError)

    assert words.startswith("Volume crm_storage changed while it was archived, so nothing was kept: ./large")


def test_a_dump_that_fails_after_the_thaw(host):
    host.programs["pg_dump"] = "echo pg_dump: error: permission denied >&2; exit 1"

    assert "permission denied" in failed(host, ProcessError)
    assert host.timeline() == [*ARCHIVES, *FROZEN, *SNAPSHOTS, *CUTS, *THAWED]


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
    host.meanwhile("[ $verb != cut ] || exit 2")

    with pytest.raises(EngineError) as caught:
        host.back_up()

    assert isinstance(caught.value.__context__, ContinuityError)
    assert "volume crm_instances: tar exited with 2" in str(caught.value.__context__)


# Interrupts


@pytest.mark.parametrize(
    "interrupt", [SignalError("Interrupted by SIGTERM."), KeyboardInterrupt()], ids=["signal", "key"]
)
def test_an_interrupt_at_the_cut(host, interrupt):
    def fail():
        raise interrupt

    host.server.on_snapshot = fail

    failed(host, type(interrupt))
    assert host.timeline() == [*ARCHIVES, *FROZEN, *THAWED]


@pytest.mark.parametrize("volume", [name.partition(" ")[2] for name in ARCHIVES])
@pytest.mark.parametrize("verb", ["archive", "cut"])
def test_an_interrupt_while_a_volume_is_archived(host, verb, volume, signals):
    host.meanwhile(f"case $verb$data in {verb}*{volume}*) sleep 0.2; kill -TERM {os.getpid()}; exec sleep 40 ;; esac")
    begun = time.monotonic()

    assert failed(host, SignalError) == "Interrupted by a signal."

    # It does not wait for the archive.
    assert time.monotonic() - begun < 30
    assert [what for what in host.timeline() if "pause" in what] in (
        [],
        [what for what in [*FROZEN, *THAWED] if "pause" in what],
    )


def test_an_interrupt_while_a_database_is_dumped(host, signals):
    host.programs["pg_dump"] = f"sleep 0.2; kill -TERM {os.getpid()}; sleep 5"

    failed(host, SignalError)

    assert host.timeline() == [*ARCHIVES, *FROZEN, *SNAPSHOTS, *CUTS, *THAWED]


def test_an_interrupt_while_services_are_brought_back_leaves_the_rest_to_the_watchdog(host):
    real = host.unpause

    def unpause(id_):
        if os.getpid() == own and id_ == "evolution":
            raise SignalError("Interrupted by SIGHUP.")
        real(id_)

    own = os.getpid()
    host.unpause = unpause
    let_the_watchdog_see(host)

    with pytest.raises(SignalError):
        host.back_up()

    assert sorted(host.timeline()[-len(THAWED) :]) == sorted(THAWED)
    assert host.published() == []


def let_the_watchdog_see(host):
    """Let another process find out by the timeline what this one has paused, and this one what that one thawed."""
    container = host.container

    def look(id_):
        found = container(id_)
        if found is not None:
            paused = [what for what in host.timeline() if what in (f"pause {found.id}", f"unpause {found.id}")]
            if paused:
                host.change(found.id, state="running" if paused[-1].startswith("un") else "paused")
        return container(id_)

    host.container = look


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
