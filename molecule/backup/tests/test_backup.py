# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after ``ansible-playbook crm.continuity.backup`` on a host of which nothing was said."""

from __future__ import annotations

import json
import re

import pytest

testinfra_hosts = ["ansible://mol-a"]

ROOT = "/var/backups/crm"
ATTEMPTS = 3
RUNS = ("backup", "gzip")
VOLUMES = {
    "crm": {"crm_chatwoot_public", "crm_chatwoot_storage", "crm_evolution_instances", "crm_redis_data"},
    "ticketz": {"ticketz_backend_private", "ticketz_backend_public", "ticketz_redis_data"},
}
DATABASES = {"crm": {"chatwoot_production", "evolution"}, "ticketz": {"ticketz"}}
CONFIGURATION = {
    "crm": {"compose.yml", ".env", "chatwoot.env", "evolution.env", "postgres.env", "initdb/10-evolution.sql"},
    "ticketz": {"compose.yml", ".env", ".env-backend"},
}


def lines(host, command, *words):
    """Run a command and return the lines that it prints."""
    return host.check_output(command, *words).splitlines()


@pytest.fixture(scope="module")
def backups(host):
    """Return the directories of all backups by stack, oldest first."""
    found = lines(host, "find %s -mindepth 2 -maxdepth 2 -type d", ROOT)
    return {stack: sorted(path for path in found if path.startswith(f"{ROOT}/{stack}/")) for stack in VOLUMES}


@pytest.fixture(scope="module", params=["zstd", "gzip"])
def compression(request):
    """Return each way that archives were compressed."""
    return request.param


@pytest.fixture(scope="module", params=["crm", "ticketz"])
def stack(request):
    """Return the name of each stack."""
    return request.param


@pytest.fixture(scope="module")
def backup(backups, stack, compression):
    """Return the directory of each backup: the earlier is zstd, the later gzip."""
    return backups[stack][("zstd", "gzip").index(compression)]


@pytest.fixture(scope="module")
def manifest(host, backup):
    """Return the manifest of each backup."""
    return json.loads(host.file(f"{backup}/manifest.json").content_string)


def artifacts(manifest, kind):
    """Return the artifacts of a kind by what they hold."""
    return {entry["source"]: entry for entry in manifest["artifacts"] if entry["kind"] == kind}


def unpacked(compression):
    """Return the command that decompresses to its output."""
    return {"zstd": "zstd -dc", "gzip": "gzip -dc"}[compression]


# The run itself


@pytest.mark.parametrize("run", ["check", "backup", "gzip", "verify"])
def test_the_playbook_succeeds(evidence, run):
    assert evidence.succeeded(run)


def test_check_mode_leaves_nothing_on_disk(evidence):
    assert evidence.read("left-by-check") == []


def test_check_mode_names_the_backups_and_what_they_would_hold(evidence):
    said = evidence.said("check")

    for stack, volumes in VOLUMES.items():
        assert re.search(rf"{stack}: would be backed up to {ROOT}/{stack}/\d{{8}}T\d{{6}}Z", said)
        assert all(f"volumes/{volume}.tar.zst" in said for volume in volumes)
    assert "chatwoot_production.dump.zst" in said


def test_the_report_says_where_each_backup_is_and_how_long_services_stood_still(evidence):
    said = evidence.said("backup")

    for stack in VOLUMES:
        assert re.search(rf"{stack}: {ROOT}/{stack}/\d{{8}}T\d{{6}}Z\b", said)
        assert re.search(rf"{stack}: [\d.]+ MB, \d+ files, \d+ rows, frozen for [\d.]+ s", said)


@pytest.mark.parametrize("run", ["check", "backup", "gzip", "verify"])
def test_no_secret_is_shown_at_any_verbosity(evidence, secrets, run):
    shown = evidence.output(run)

    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in shown] == []


# The services


@pytest.mark.parametrize("when", ["containers-before", "containers-after"])
def test_every_service_runs(evidence, when):
    states = evidence.states(when)

    assert len(states) == 8
    assert set(states.values()) == {"running"}


def test_no_service_was_restarted(evidence):
    assert evidence.starts("containers-after") == evidence.starts("containers-before")


def test_a_service_that_was_stopped_before_stays_stopped(evidence):
    states = evidence.states("containers-with-one-stopped")

    assert states.pop("crm-chatwoot_sidekiq-1") == "exited"
    assert set(states.values()) == {"running"}


def test_a_service_that_was_frozen_by_stopping_it_runs_again(evidence):
    before, after = (evidence.starts(name) for name in ("containers-after", "containers-with-one-stopped"))

    assert {name for name in before if before[name] != after[name]} == {"crm-evolution_api-1"}


# What lies on the disk


def test_nothing_but_complete_backups_is_there(host, backups):
    assert lines(host, "ls -A %s", ROOT) == ["audit.jsonl", "crm", "ticketz"]
    for stack, found in backups.items():
        assert len(found) == len(RUNS)
        assert all(re.fullmatch(rf"{ROOT}/{stack}/\d{{8}}T\d{{6}}Z(-\d+)?", path) for path in found)
        assert lines(host, "find %s/%s -mindepth 1 -maxdepth 1 -type f", ROOT, stack) == [f"{ROOT}/{stack}/.lock"]


def test_only_root_can_read_anything_of_it(host):
    assert host.file(ROOT).mode == 0o700
    assert lines(host, "find %s -type d -not -perm 0700", ROOT) == []
    assert lines(host, "find %s -type f -not -perm 0600", ROOT) == []
    assert lines(host, "find %s -not -user root -o -not -type d -not -type f", ROOT) == []


def test_sha256sum_proves_the_whole_backup(host, backup):
    checked = lines(host, "cd %s && sha256sum --check SHA256SUMS", backup)
    there = lines(host, "cd %s && find . -type f -not -name SHA256SUMS -printf '%%P\n'", backup)

    assert sorted(line.removesuffix(": OK") for line in checked) == sorted(there)


def test_the_manifest_is_what_its_schema_says(manifest, manifest_schema):
    assert [error.message for error in manifest_schema.iter_errors(manifest)] == []


def test_everything_of_the_stack_is_in_the_manifest(manifest, stack, compression):
    archives, dumps = artifacts(manifest, "archive"), artifacts(manifest, "dump")

    assert set(archives) == VOLUMES[stack]
    assert set(dumps) == DATABASES[stack]
    assert {entry["compression"] for entry in (*archives.values(), *dumps.values())} == {compression}
    assert all(sum(entry["facts"]["rows"].values()) > 0 for entry in dumps.values())


def test_the_whatsapp_session_is_covered(manifest):
    assert manifest["session"]
    assert all(state["covered"] for state in manifest["session"])


def test_nothing_of_the_stack_is_left_out(manifest):
    assert [warning for warning in manifest["warnings"] if "not covered" in warning] == []
    assert {entry["coverage"] for entry in manifest["source"]["volumes"]} == {"archive", "dump"}


def test_stock_tools_read_every_archive(host, backup, manifest, compression):
    for entry in artifacts(manifest, "archive").values():
        command = f"{unpacked(compression)} {backup}/{entry['path']} | tar --list --verbose --quoting-style=escape"
        members = [line for line in host.check_output(command).splitlines() if line.startswith("-")]
        # What was written meanwhile is there again, and what was removed is named in a file beside it. Hard links are
        # files to a file system, and links to tar.
        names = {member.split(maxsplit=5)[5] for member in members}
        assert 0 < len(names) <= entry["facts"]["files"] + entry["facts"]["deleted"]


def test_pg_restore_of_the_server_reads_every_dump(host, backup, manifest, stack, compression):
    for entry in artifacts(manifest, "dump").values():
        command = (
            f"{unpacked(compression)} {backup}/{entry['path']} | docker exec -i {stack}-postgres-1 pg_restore --list"
        )
        # On a busy machine runc fails now and then to start a process at all.
        outcomes = (host.run(command) for _attempt in range(ATTEMPTS))
        listed = next(outcome for outcome in outcomes if "OCI runtime exec failed" not in outcome.stdout)
        assert listed.rc == 0
        assert listed.stdout.count("TABLE DATA") == len(entry["facts"]["rows"])


def test_compose_and_env_files_are_kept_as_they_are(host, backup, stack, compression):
    suffix = {"zstd": "zst", "gzip": "gz"}[compression]
    read = f"{unpacked(compression)} {backup}/config/project.tar.{suffix}"

    assert set(lines(host, f"{read} | tar -tf -")) == CONFIGURATION[stack]
    # Nothing to print is nothing that differs.
    assert host.check_output(f"{read} | tar --compare -f - -C /opt/{stack}") == ""


def test_the_freeze_is_in_the_manifest(manifest, stack, compression):
    frozen = {entry["service"]: entry["mode"] for entry in manifest["freeze"]["services"]}
    expected = {
        ("crm", "zstd"): {"chatwoot": "pause", "chatwoot_sidekiq": "pause", "evolution_api": "pause", "redis": "pause"},
        # One had been stopped by hand.
        ("crm", "gzip"): {"chatwoot": "pause", "evolution_api": "stop", "redis": "pause"},
        ("ticketz", "zstd"): {"backend": "pause", "redis": "pause"},
        ("ticketz", "gzip"): {"backend": "pause", "redis": "pause"},
    }

    assert frozen == expected[stack, compression]


# Afterwards


def test_the_list_of_backups_goes_from_old_to_new(evidence, backups):
    listed = evidence.read("listed")

    for stack, paths in backups.items():
        own = [entry for entry in listed if entry["stack"] == stack]
        assert [entry["path"] for entry in own] == paths
        assert [entry["cut_at"] for entry in own] == sorted(entry["cut_at"] for entry in own)


def test_all_backups_are_sound_when_read_back(evidence, backups):
    said = evidence.said("verify")

    for stack, paths in backups.items():
        for path in paths:
            assert f"{stack} {path.rpartition('/')[2]}: sound" in said
