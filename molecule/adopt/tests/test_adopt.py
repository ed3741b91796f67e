# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator has who adopts the runbook's archives and a backup of Ticketz' sidekick, and restores them."""

from __future__ import annotations

import re

import pytest

testinfra_hosts = ["ansible://mol-b"]

STACKS = ["crm", "ticketz"]

# What the tar of the runbook and of the sidekick do not keep: fractions of a second, attributes, holes.
BY_TAR = re.compile(r" (?:mtime_ns: was -?\d+, is -?\d+|attributes: (?:is gone|was .*)|sparse: was true, is false)$")
# Neither has Redis. Evolution API notes by itself that it cannot connect without.
WITHOUT_REDIS = re.compile(r'^redis |evolution_api\."Instance" \S sum: ')
# What was live before is kept beside.
KEPT = "__crm_previous_"
# What tells of the very database, and stays what it is.
OWN = {'public."SequelizeMeta"', 'public."SequelizeData"'}


def tables(fingerprint):
    """Return what a fingerprint says of the rows of each table of Ticketz."""
    return fingerprint["postgresql"]["databases"]["ticketz"]["tables"]


@pytest.fixture(scope="module")
def manifests(evidence):
    """Return the manifests of what was adopted, by stack."""
    return {backup["stack"]: backup["manifest"] for backup in evidence.read("adopted")}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("truncated", "chatwoot_storage_2026-01-01_0000.tar.gz is damaged."),
        ("climbing", "is refused: its member 'link/crontab' would be written through the symbolic link 'link'"),
        ("cut", "chatwoot_production.sql is truncated"),
        ("hostile", r"holds a command for psql, '\\\\!'"),
        ("empty", "backups/db_dump.sql of /srv/spoilt/sidekick/ticketz-backup-"),
    ],
)
def test_what_is_no_backup_is_refused_with_the_reason(evidence, run, words):
    assert not evidence.succeeded(run)
    assert words in evidence.said(run)


def test_an_archive_with_an_empty_dump_is_refused_for_that(evidence):
    assert "is empty: whatever should have been dumped was not" in evidence.said("empty")


def test_nothing_is_left_of_what_was_refused(evidence):
    assert [name for name in evidence.read("refused-left") if name.startswith("adopted")] == []


def test_no_dump_has_run_a_program(evidence):
    assert "ran" not in evidence.read("files")["ran"]


def test_check_mode_says_what_it_would_adopt(evidence):
    assert "the files are sound and would be adopted" in evidence.said("crm-check")


def test_the_files_are_as_they_were(evidence):
    files = evidence.read("files")

    assert len(files["before"]) > 8
    assert files["after"] == files["before"]


def test_the_second_run_changes_nothing_and_says_so(evidence):
    assert "these files were adopted before, nothing was done" in evidence.said("crm-again")
    assert re.search(r"changed=0 ", evidence.said("crm-again"))


@pytest.mark.parametrize("stack", STACKS)
def test_the_manifest_is_what_its_schema_says(manifests, manifest_schema, stack):
    assert [error.message for error in manifest_schema.iter_errors(manifests[stack])] == []


def test_an_archive_of_the_runbook_is_taken_as_it_is(manifests):
    files = {entry["sha256"] for entry in manifests["crm"]["origin"]["files"]}
    archives = {entry["sha256"] for entry in manifests["crm"]["artifacts"] if entry["kind"] == "archive"}

    assert len(archives) == 3
    assert archives < files


def test_the_manifest_says_what_the_files_lack(manifests):
    remarks = " ".join(manifests["crm"]["warnings"])

    assert "signal keys are not covered" in remarks
    assert "no compose files, environment files or secrets" in remarks
    assert "volume crm_redis_data is not covered" in remarks


def test_the_backup_is_of_the_moment_that_the_files_say(manifests):
    (file,) = manifests["ticketz"]["origin"]["files"]
    moment = re.search(r"-(\d{8})(\d{6})\.", file["path"])

    assert manifests["ticketz"]["id"] == f"{moment[1]}T{moment[2]}Z"


@pytest.mark.parametrize("stack", STACKS)
def test_every_row_and_file_is_there_again(evidence, stack):
    differences = evidence.differences(f"{stack}-restored", evidence.directory / f"{stack}-before.json")
    unexplained = [
        line for line in differences if not BY_TAR.search(line) and not WITHOUT_REDIS.search(line) and KEPT not in line
    ]

    assert unexplained == []


@pytest.mark.parametrize("stack", STACKS)
def test_times_differ_by_fractions_of_a_second_only(evidence, stack):
    differences = evidence.differences(f"{stack}-restored", evidence.directory / f"{stack}-before.json")
    found = [re.search(r" mtime_ns: was (-?\d+), is (-?\d+)$", line) for line in differences]
    times = [(int(match[1]), int(match[2])) for match in found if match]

    # The tar of busybox knows no time before 1970.
    assert [(was, is_) for was, is_ in times if was // 10**9 != is_ // 10**9 and (was > 0 or is_ != 0)] == []


def test_every_row_that_was_retrieved_is_loaded(evidence):
    before = tables(evidence.read("ticketz-before"))
    loaded = tables(evidence.read("ticketz-loaded"))

    assert "rows of" in evidence.said("load-check")
    assert len(before) > 30
    assert {name for name in before if loaded[name] != before[name]} <= OWN


def test_rows_are_not_loaded_over_others(evidence):
    assert "These tables are not empty: " in evidence.said("load-again")
    assert "-e load_confirm=ticketz" in evidence.said("load-again")


def test_ticketz_passes_validation(evidence):
    assert evidence.succeeded("ticketz-restore")
    assert "GET / answered 200" in evidence.said("ticketz-restore")
