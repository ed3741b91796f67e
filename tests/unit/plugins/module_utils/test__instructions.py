# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._instructions import render
from ansible_collections.crm.continuity.plugins.module_utils._manifest import NAME, SUMS, encode, sums
from ansible_collections.crm.continuity.tests.unit.archives import (
    archive_twice,
    change_tree,
    described,
    listed,
    make_tree,
)
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest, source


def with_first(section, /, **changes):
    """Return the description of a source whose first volume or database differs."""
    found = source()
    return {**found, section: [{**found[section][0], **changes}]}


def commands(text):
    """Return what a reader would paste, in order."""
    return "".join(re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


# What it says


def test_the_text_names_the_backup_and_the_tools_it_needs():
    text = render(manifest())

    assert text.startswith("# Restore stack crm from backup 20261121T020000Z\n")
    assert "Taken on crm-a; every part is of 2026-11-21T02:00:01.500+00:00" in text
    assert "need only\ndocker with the compose plugin, tar, zstd. Run them as root" in text


def test_the_checksums_come_first():
    first = commands(render(manifest())).splitlines()[:3]

    assert first[0] == "set -eu -o pipefail"
    assert first[1].startswith("compose() { docker compose --project-name crm ")
    assert first[2] == "sha256sum --quiet --check SHA256SUMS"


def test_a_volume_gets_its_labels_and_options_back():
    facts = with_first("volumes", options={"type": "tmpfs", "o": "size=1g"})

    text = commands(render(manifest(source=facts)))

    assert (
        "docker volume create --label com.docker.compose.project=crm --label com.docker.compose.volume=storage "
        "--opt o=size=1g --opt type=tmpfs crm_storage\n"
    ) in text


LIST = artifact("volumes/crm_storage.deleted", "deletions", source="crm_storage")


def test_a_volume_of_another_driver_is_filled_through_a_container():
    facts = with_first("volumes", driver="rclone", mounts=[{"service": "rails", "path": "/app/storage"}])

    text = commands(render(manifest(source=facts)))

    assert "docker volume create --driver rclone --label" in text
    assert "compose create rails </dev/null\n" in text
    assert ' volumes/crm_storage.tar.zst | docker cp - "$(compose ps --all --quiet rails | head -n 1)":/app/' in text


def test_deleted_names_are_removed_from_the_volume_that_was_just_filled():
    lines = commands(render(manifest(artifacts=(*manifest().artifacts, LIST)))).splitlines()

    filled = next(number for number, line in enumerate(lines) if "volumes/crm_storage.tar.zst | tar" in line)
    place = lines[filled].partition("--directory=")[2]
    assert place.startswith('"$(docker volume inspect ')
    assert lines[filled + 2] == f"remove_deleted volumes/crm_storage.deleted {place}"
    assert lines.index("remove_deleted() {") < filled


def test_where_nothing_was_deleted_nothing_is_said_of_it():
    text = render(manifest())

    assert "deleted" not in text
    assert "xargs" not in text


def test_what_removes_deleted_names_is_among_the_tools():
    text = render(manifest(artifacts=(*manifest().artifacts, LIST)))

    assert "need only\ndocker with the compose plugin, tar, xargs, zstd. Run" in text


def test_a_list_goes_with_the_archive_of_its_own_volume():
    other = artifact("volumes/other.tar.zst", source="other", compression="zstd")
    volumes = [*source()["volumes"], {**source()["volumes"][0], "name": "other", "source": "other"}]
    wanted = manifest(artifacts=(*manifest().artifacts, other, LIST), source=source(volumes=volumes))

    text = commands(render(wanted))

    assert text.count("\nremove_deleted volumes/") == 1
    assert text.index("remove_deleted volumes/crm_storage.deleted") < text.index("volumes/other.tar.zst")


def test_a_bound_directory_is_filled_where_it_was():
    facts = with_first("volumes", kind="bind", source="/srv/my data", labels={})

    text = commands(render(manifest(source=facts)))

    assert "mkdir -p '/srv/my data'\n" in text
    assert "--directory='/srv/my data'\n" in text
    assert "docker volume create" not in text


def test_the_volume_of_a_dumped_database_is_created_empty():
    pg = {**source()["volumes"][0], "name": "crm_pg", "source": "crm_pg", "coverage": "dump", "labels": {"a": "b"}}
    facts = source(volumes=[*source()["volumes"], pg])

    text = commands(render(manifest(source=facts)))

    assert "docker volume create --label a=b crm_pg\n" in text
    assert text.count("tar --extract -p") == 1


def test_a_database_without_repair_is_restored_in_one_go_from_the_pipe():
    text = commands(render(manifest()))

    assert text.count("pg_restore") == 1
    assert "zstd -dc databases/chatwoot.dump.zst | compose exec -T postgres pg_restore --exit-on-error " in text


def test_nothing_else_reads_what_was_pasted():
    facts = with_first("databases", repair=["SELECT 1"])

    lines = commands(render(manifest(source=facts))).splitlines()

    assert [line for line in lines if "exec -T" in line and " | compose" not in line and "</dev/null" not in line] == []


def test_a_server_with_two_databases_is_started_and_given_its_roles_once():
    wanted = manifest(
        source=source(databases=[*source()["databases"], {**source()["databases"][0], "name": "evolution"}])
    )
    second = replace(wanted.artifacts[1], path="databases/evolution.dump.zst", source="evolution")

    text = commands(render(replace(wanted, artifacts=(*wanted.artifacts, second))))

    assert text.count("compose up --detach --wait postgres\n") == text.count("globals.sql.zst") == 1
    assert text.count("createdb") == 2


def test_a_database_is_restored_in_sections_with_its_repair_before_the_last():
    facts = with_first("databases", repair=["ALTER FUNCTION f() SET search_path = 'a b'"])

    lines = commands(render(manifest(source=facts))).splitlines()

    steps = [
        next(index for index, line in enumerate(lines) if words in line)
        for words in (
            "up --detach --wait postgres",
            "globals.sql.zst | ",
            "createdb",
            "--section=pre-data",
            "--section=data",
            "ALTER FUNCTION",
            "--section=post-data",
            "ANALYZE",
        )
    ]
    assert steps == sorted(steps)


def with_script(**database):
    """Return the manifest of a backup whose dump is a SQL script."""
    script = artifact(
        "databases/chatwoot.sql.gz",
        "dump",
        source="chatwoot",
        compression="gzip",
        facts={"format": "plain", "rows": {}},
    )
    return manifest(artifacts=(script,), source=with_first("databases", **database))


def test_a_script_is_restored_by_psql_in_one_transaction():
    text = commands(render(with_script(repair=[], repair_steps=[])))

    assert (
        "gzip -dc databases/chatwoot.sql.gz | compose exec -T postgres psql --no-psqlrc --set=ON_ERROR_STOP=1 "
        "--single-transaction --file=- --quiet --output=/dev/null --username=postgres --dbname=chatwoot\n"
    ) in text
    assert "pg_restore" not in text


def test_functions_that_a_script_does_not_find_are_looked_for_where_the_application_does(tmp_path):
    step = {"name": "x", "when": None, "sql": "ALTER FUNCTION x() SET search_path = public"}
    text = commands(render(with_script(repair=[step["sql"]], repair_steps=[step])))
    (line,) = [line for line in text.splitlines() if "| sed " in line]
    stage = line.split(" | ")[1]

    script = "SELECT pg_catalog.set_config('search_path', '', false);\n"
    changed = subprocess.run(["sh", "-c", stage], input=script, capture_output=True, text=True, check=True).stdout
    # What is said deep in the rows is data.
    deep = "\n" * 200 + script
    kept = subprocess.run(["sh", "-c", stage], input=deep, capture_output=True, text=True, check=True).stdout

    assert changed == "SET search_path = public;\n"
    assert kept == deep


def test_a_script_for_a_server_elsewhere_is_described():
    text = render(with_script(service=None, container=None, host="db.example.org"))

    assert "gzip -dc databases/chatwoot.sql.gz | psql --no-psqlrc --set=ON_ERROR_STOP=1" in text


def test_a_backup_that_was_adopted_says_so_and_asks_for_compose_files():
    origin = {"kind": "runbook", "made_at": "2026-11-20T02:00:00.000+00:00", "files": []}
    archives = tuple(entry for entry in manifest().artifacts if entry.kind != "config")

    text = render(manifest(origin=origin, artifacts=archives))

    assert "Made on crm-a from files that other means had written (2026-11-21T02:00:01.500+00:00)." in text
    assert "every part is of" not in text
    assert "the files that it was made of held none" in text
    assert "the compose file is `/opt/crm/compose.yml`" in text


def test_a_database_elsewhere_is_described_and_not_pasted():
    facts = with_first("databases", service=None, container=None, host="db.example.com", port=25060)

    text = render(manifest(source=facts))

    assert "It lived at db.example.com:25060, outside the stack" in text
    assert "pg_restore" not in commands(text)


def test_compose_and_env_files_from_elsewhere_are_used_where_the_bundle_puts_them():
    facts = source(compose_files=["/opt/crm/compose.yml", "/srv/shared.yml"], environment_files=["/srv/prod.env"])

    text = commands(render(manifest(source=facts)))

    assert (
        "--file /opt/crm/compose.yml --file /opt/crm/.outside/srv/shared.yml "
        '--env-file /opt/crm/.outside/srv/prod.env "$@"; }\n'
    ) in text


@pytest.mark.parametrize(
    ("facts", "place"),
    [
        (source(), "`/opt/crm/compose.yml`"),
        (source(project_dir=None, compose_files=[]), "`compose.yml` in this directory"),
    ],
)
def test_without_compose_files_the_text_says_where_to_write_one(facts, place):
    wanted = manifest(source=facts)

    text = render(replace(wanted, artifacts=wanted.artifacts[:-1]))

    assert f"Write the compose file from it first, as {place}." in text


def test_what_is_not_compressed_needs_no_tool():
    text = render(manifest(artifacts=(artifact("volumes/crm_storage.tar", source="crm_storage"),)))

    assert "cat volumes/crm_storage.tar | tar --extract" in text


# That it works


DOCKER = """#!/bin/bash
printf '%s\\n' "$*" >> "$LOG"
case "$*" in
  "volume inspect"*) echo "$VOLUME" ;;
  *" exec -T "*"SELECT 1 FROM pg_database"*) printf "$EXISTS"; cat >/dev/null ;;
  *" exec -T "*) sha256sum >> "$LOG" ;;
esac
"""


@pytest.fixture
def paste(tmp_path):
    """Write a small backup and return a function that runs its RESTORE.md with a docker that only takes notes."""
    backup, live = tmp_path / "it's a backup", tmp_path / "live"
    for name in ("volumes", "databases", "config"):
        (backup / name).mkdir(parents=True)
    (live / "project").mkdir(parents=True)
    (live / "storage" / "sub dir").mkdir(parents=True)
    (live / "project" / "compose.yml").write_text("services: {}\n")
    (live / "storage" / "sub dir" / "ação.bin").write_bytes(b"\x00\xff")
    make_tree(live / "storage")
    archive_twice(live / "storage", backup / "volumes" / "crm_storage.tar.zst", change_tree)

    def packed(name, *argv):
        with open(backup / name, "wb") as target:
            subprocess.run(["/bin/sh", "-c", '"$@" | zstd -q', "-", *argv], stdout=target, check=True)
        return facts(name)

    def facts(name):
        digest = hashlib.sha256((backup / name).read_bytes()).hexdigest()
        return {"path": name, "size": (backup / name).stat().st_size, "sha256": digest, "plain_sha256": digest}

    made = [
        facts("volumes/crm_storage.tar.zst"),
        packed("databases/chatwoot.dump.zst", "echo", "the dump"),
        packed("databases/postgres.globals.sql.zst", "echo", "the roles"),
        packed("config/project.tar.zst", "tar", "-c", "-C", str(live / "project"), "compose.yml"),
    ]
    directory = str(tmp_path / "re store")
    wanted = manifest(
        source={
            **with_first("databases", name="chatwoot"),
            "project_dir": directory,
            "compose_files": [f"{directory}/compose.yml"],
        },
        artifacts=(
            *(replace(entry, **facts) for entry, facts in zip(manifest().artifacts, made, strict=True)),
            replace(LIST, **facts(LIST.path)),
        ),
    )
    encoded = encode(wanted)
    (backup / NAME).write_bytes(encoded)
    (backup / SUMS).write_bytes(sums(wanted, encoded))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "docker").write_text(DOCKER)
    (tmp_path / "bin" / "docker").chmod(0o755)
    (tmp_path / "volume").mkdir()

    def run(exists=""):
        env = {
            **os.environ,
            "PATH": f"{tmp_path}/bin:{os.environ['PATH']}",
            "LOG": str(tmp_path / "log"),
            "VOLUME": str(tmp_path / "volume"),
            "EXISTS": exists,
        }
        return subprocess.run(
            ["bash"], input=commands(render(wanted)), cwd=backup, env=env, capture_output=True, text=True, check=False
        )

    return run


def test_the_commands_restore_files_roles_and_dump(paste, tmp_path):
    done = paste()

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert described(tmp_path / "volume") == described(tmp_path / "live" / "storage")
    assert (tmp_path / "volume" / "sub dir" / "ação.bin").read_bytes() == b"\x00\xff"
    assert (tmp_path / "re store" / "compose.yml").read_text() == "services: {}\n"
    log = (tmp_path / "log").read_text()
    assert log.count(hashlib.sha256(b"the dump\n").hexdigest()) == 1
    assert log.count(hashlib.sha256(b"the roles\n").hexdigest()) == 1
    assert " createdb " in log
    assert log.splitlines()[-1].endswith(f"--file {tmp_path}/re store/compose.yml up --detach --wait")


def test_a_database_that_the_server_has_made_already_is_not_made_again(paste, tmp_path):
    done = paste(exists="1\\n")

    assert done.returncode == 0, done.stderr
    assert " createdb " not in (tmp_path / "log").read_text()


def test_the_commands_stop_before_anything_is_touched_when_the_backup_is_damaged(paste, tmp_path):
    damaged = tmp_path / "it's a backup" / "volumes" / "crm_storage.tar.zst"
    damaged.write_bytes(damaged.read_bytes()[:-1])

    done = paste()

    assert done.returncode != 0
    assert "crm_storage.tar.zst: FAILED" in done.stdout
    assert not (tmp_path / "log").exists()
    assert not (tmp_path / "re store").exists()


@pytest.fixture
def remove(tmp_path):
    """Return a function that removes the names of a list from a directory as the commands do."""
    text = commands(render(manifest(artifacts=(*manifest().artifacts, LIST))))
    function = text[text.index("remove_deleted() {") : text.index("\n}\n") + 3]

    def run(directory, *names):
        (tmp_path / "the list").write_bytes(listed(*names))
        return subprocess.run(
            ["bash", "-c", f'set -eu -o pipefail\n{function}\nremove_deleted "$1" "$2"', "-", "the list", directory],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("order", [1, -1])
def test_deleted_directories_go_after_what_is_in_them_in_any_order_of_the_list(order, remove, tmp_path):
    names = [b"d", b"d/e", b"d/e/new\nline", b"d/e/\xff", b"d/ blank ", b"-rf", b"d-e"]
    for name in names:
        path = tmp_path / "a volume" / os.fsdecode(name)
        path.mkdir(parents=True)
    (tmp_path / "a volume" / "kept").touch()

    done = remove("a volume", *names[::order])

    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path / "a volume") == ["kept"]


def test_directories_around_deleted_names_keep_their_times_modes_and_owners(remove, tmp_path):
    (tmp_path / "v" / "d" / "e").mkdir(parents=True)
    (tmp_path / "v" / "d" / "e" / "gone").touch()
    (tmp_path / "v" / "gone").touch()
    for number, name in enumerate(("v/d/e", "v/d", "v")):
        (tmp_path / name).chmod(0o2750)
        os.utime(tmp_path / name, ns=(1_400_000_000_000_000_001 + number, 1_400_000_000_000_000_001 + number))
    before = described(tmp_path / "v")

    done = remove("v", b"gone", b"d/e/gone")

    assert (done.returncode, done.stderr) == (0, "")
    assert described(tmp_path / "v") == {name: facts for name, facts in before.items() if b"gone" not in name}


@pytest.mark.parametrize("names", [[b"missing"], [b"d"], [b"kept", b"kept"]], ids=["missing", "not empty", "twice"])
def test_a_list_that_does_not_fit_ends_the_commands(names, remove, tmp_path):
    (tmp_path / "v" / "d").mkdir(parents=True)
    (tmp_path / "v" / "d" / "kept").touch()
    (tmp_path / "v" / "kept").touch()

    done = remove("v", *names)

    assert done.returncode != 0
    assert (tmp_path / "v" / "d" / "kept").exists()


def test_more_names_than_fit_on_a_command_line_are_removed(remove, tmp_path):
    names = [b"%04d" % number + b"x" * 200 for number in range(1000)]
    (tmp_path / "v").mkdir()
    # All of them are the same file, which is faster to make.
    (tmp_path / "file").touch()
    for name in names:
        os.link(tmp_path / "file", tmp_path / "v" / os.fsdecode(name))

    done = remove("v", *names)

    assert (done.returncode, done.stderr) == (0, "")
    assert os.listdir(tmp_path / "v") == []


@pytest.mark.parametrize("name", ["it's", 'a "b"', "$(reboot)", "a;b", "`x`"])
def test_odd_names_are_quoted_for_the_shell_and_for_sql(name):
    facts = with_first("databases", name=name, owner=name)
    wanted = manifest(source=facts)
    wanted = replace(
        wanted, artifacts=tuple(replace(a, source=name) if a.kind == "dump" else a for a in wanted.artifacts)
    )

    checked = subprocess.run(
        ["bash", "-n"], input=commands(render(wanted)), capture_output=True, text=True, check=False
    )
    line = next(line for line in commands(render(wanted)).splitlines() if "createdb" in line)
    words = subprocess.run(
        ["bash", "-c", f"compose() {{ printf '%s\\n' \"$@\"; }}\n{line}"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()

    assert checked.returncode == 0, checked.stderr
    assert words[-2:] == [f"--owner={name}", name]


def test_a_signed_backup_says_how_its_signature_is_verified():
    text = render(manifest(), signed=True)

    assert "`ssh-keygen -Y verify -f crm_signers -I crm-a -n crm.continuity -s SHA256SUMS.sig <SHA256SUMS`" in text
    assert "ssh-keygen" not in render(manifest())
