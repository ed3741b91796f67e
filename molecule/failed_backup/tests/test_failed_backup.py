# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator is told when a backup fails, and what is left of it: a stack that runs, and nothing else."""

from __future__ import annotations

import re

import pytest

# What was wrong, with which object, and what to do about it.
REPORTED = {
    "full": (
        r"There is not enough space for /srv/failed/full/crm/\S+/crm_chatwoot_storage\.tar\.zst: .* holds \d+ bytes, "
        r".* and \d+ bytes are free in .*\. Free some"
    ),
    "no_more_files": (
        r"There is no room for /srv/failed/no_more_files/crm/\S+\.tar\.zst: .* its inodes are used up\. Remove files"
    ),
    "too_little_space": (
        r"/srv/failed/too_little_space has \d+ bytes free, and the last backup of stack crm took \d+\. "
        r"Free space there or set crm_backup_root"
    ),
    "read_only": r"/srv/failed/read_only\S* is on a read-only file system\. Mount it writable or set crm_backup_root",
    "root_in_a_volume": (
        r"The backup root /var/lib/docker/volumes/crm_chatwoot_storage/_data/backups lies inside "
        r"/var/lib/docker/volumes/crm_chatwoot_storage/_data, which is backed up itself\. Set crm_backup_root"
    ),
    "unknown_stack": r"There is no stack nowhere on this host\. This host runs crm, ticketz",
    "unknown_profile": r"Stack crm: there is no profile nothing\. Known are chatwoot, .*; add one in crm_profiles",
    "database_stopped": r"Container crm-postgres-1 is exited, .* \(docker start crm-postgres-1\)",
    "wrong_password": r"crm-postgres-1.*POSTGRES_PASSWORD of container crm-postgres-1",
    "session_not_covered": (
        r"The credentials and signal keys of the WhatsApp session \(evolution\) would not be in the backup: "
        r"they are in /evolution/instances inside the container: mount a volume there.* set require_session to false"
    ),
    "share_not_mounted": r"Cannot archive volume lonely_instances: docker exited with 1: .*mount",
    "volume_missing": r"lonely_instances.*/var/lib/docker/volumes/lonely_instances/_data",
    "no_engine": r"No Docker daemon answers at unix:///run/other\.sock: .* or set docker_host to where it listens",
    "no_permission": (
        r"Permission denied.*Run the task as root \(become\) or as a member of the group that owns the socket"
    ),
    "two_at_once": r"Stack crm is busy: process \d+ since \S+ works on it \(\w+\)\. Wait for its end and run this",
}
# In these something else than the failed backup may be there.
BACKED_UP = {"too_little_space", "unknown_stack", "database_stopped", "two_at_once"}
ID = re.compile(r"(crm|ticketz)/\d{8}T\d{6}Z(-\d+)?")


@pytest.mark.parametrize("cause", REPORTED)
def test_the_report_names_the_object_and_the_remedy(evidence, cause):
    assert not evidence.succeeded(cause)
    assert re.search(REPORTED[cause], evidence.said(cause)), evidence.said(cause)[-1500:]


@pytest.mark.parametrize("cause", REPORTED)
def test_it_is_reported_as_a_failure_and_not_as_a_bug(evidence, cause):
    assert "Traceback" not in evidence.said(cause)


@pytest.mark.parametrize("cause", [cause for cause in REPORTED if cause != "two_at_once"])
def test_every_service_is_as_it_was(evidence, cause):
    before, after = f"{cause}-before", f"{cause}-after"

    assert evidence.states(after) == evidence.states(before)
    assert evidence.starts(after) == evidence.starts(before)


def test_no_service_is_left_paused_or_stopped(evidence):
    assert set(evidence.states("containers-at-the-end").values()) == {"running"}


@pytest.mark.parametrize("cause", [cause for cause in REPORTED if cause not in BACKED_UP])
def test_nothing_is_left_that_could_be_taken_for_a_backup(evidence, cause):
    assert set(evidence.read(f"{cause}-left")) <= {"audit.jsonl", "crm", "crm/.lock", "lonely", "lonely/.lock"}


def test_a_failure_leaves_earlier_backups_alone(evidence):
    left = evidence.read("too_little_space-left")

    assert len([name for name in left if ID.fullmatch(name)]) == 1
    assert [name for name in left if name.endswith(".partial")] == []


@pytest.mark.parametrize("cause", ["unknown_stack", "database_stopped"])
def test_the_failure_of_one_stack_does_not_stop_the_backup_of_another(evidence, cause):
    left = evidence.read(f"{cause}-left")

    assert [name.partition("/")[0] for name in left if ID.fullmatch(name)] == ["ticketz"]
    assert re.search(r"ticketz: [\d.]+ MB", evidence.said(cause))


def test_of_two_runs_at_once_the_first_succeeds(evidence):
    left = evidence.read("two_at_once-left")

    assert sorted("ID" if ID.fullmatch(name) else name for name in left) == [
        "ID",
        "audit.jsonl",
        "crm",
        "crm/.lock",
    ]


@pytest.mark.parametrize("cause", REPORTED)
def test_no_secret_is_shown(evidence, secrets, cause):
    shown = evidence.output(cause)

    assert [secret for secret in secrets if secret in shown] == []
