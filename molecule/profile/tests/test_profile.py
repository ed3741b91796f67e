# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator gets from a profile in the inventory, without touching the collection."""

from __future__ import annotations

import json
import re

import pytest

testinfra_hosts = ["ansible://mol-b"]

ROOT = "/var/backups/crm/helpdesk"
# The field and the reason.
REFUSED = {
    "unknown_field": r"Profile helpdesk: unknown field volume\b",
    "unknown_choice": r"Profile helpdesk: .*freeze.*pause, stop, none.*sleep.*services",
    "relative_path": r"Profile helpdesk: volumes path public must be absolute",
    "bad_pattern": r"Profile helpdesk: logs: 'lost \(file' is not a regular expression",
    "no_such_service": r"Profile helpdesk: databases names the service api, but services has only backend, frontend",
    "version_in_image": r"Profile helpdesk: services \(backend\) images: example/helpdesk-backend:1 names a version",
    "shown_secret": r"Profile helpdesk: outside \(letters\) would show S3_SECRET_KEY, which is the name of a secret",
    "no_such_base": r"Profile helpdesk: extends names zendesk, but there is no such profile.* Known here are chatwoot",
    "no_services": r"Profile helpdesk: .*services",
    "no_name": r"Profile number 1 of crm_profiles has no name",
}


@pytest.fixture(scope="module")
def manifest(host):
    """Return the manifest of the only backup."""
    return json.loads(host.check_output("cat %s/*/manifest.json", ROOT))


def test_without_the_profile_no_stack_is_found_and_the_remedy_is_named(evidence):
    assert not evidence.succeeded("without")
    assert re.search(
        r"No stack of a known CRM was found on this host\..* describe it in crm_profiles", evidence.said("without")
    )


def test_a_named_stack_without_a_profile_is_refused_with_its_images(evidence):
    said = evidence.said("named")

    assert not evidence.succeeded("named")
    assert re.search(r"Stack helpdesk matches no profile \(its images are .*example/helpdesk-backend:1", said)


def test_with_the_profile_the_stack_is_backed_up(evidence, host):
    assert evidence.succeeded("backup")
    assert host.run("cd %s/* && sha256sum --quiet --check SHA256SUMS", ROOT).rc == 0


def test_the_backup_holds_what_the_profile_inherits(manifest):
    held = {kind: {a["source"] for a in manifest["artifacts"] if a["kind"] == kind} for kind in ("archive", "dump")}

    assert manifest["source"]["profiles"] == ["helpdesk"]
    assert held["archive"] == {"helpdesk_backend_public", "helpdesk_backend_private", "helpdesk_redis_data"}
    assert held["dump"] == {"ticketz"}
    assert [state["covered"] for state in manifest["session"]] == [True]


def test_what_the_profile_changes_is_heeded(manifest):
    assert {entry["service"]: entry["mode"] for entry in manifest["freeze"]["services"]}["backend"] == "stop"


def test_what_the_profile_says_to_be_outside_is_named_as_not_covered(manifest):
    (outside,) = manifest["source"]["outside"]

    assert (outside["profile"], outside["name"], outside["covered"]) == ("helpdesk", "scanned letters", False)
    assert outside["where"].startswith("DB_HOST=postgres, REDIS_URI=redis://")
    assert [warning for warning in manifest["warnings"] if "scanned letters is not covered" in warning]


def test_files_of_the_application_are_in_the_archive(host):
    photo = "zstd -dc volumes/helpdesk_backend_public.tar.zst | tar -xOf - --wildcards '*company1/photo.jpg'"

    assert host.check_output(f"cd {ROOT}/* && {photo}") == "a photo"


def test_a_profile_in_a_file_does_the_same(evidence):
    said = evidence.said("file")

    assert evidence.succeeded("file")
    assert "helpdesk: would be backed up to" in said
    assert "volumes/helpdesk_backend_public.tar.zst" in said


def test_the_stack_is_validated_with_the_profile(evidence):
    assert evidence.succeeded("validate")
    assert "Stack helpdesk (helpdesk)" in evidence.said("validate")


def test_the_playbook_refuses_a_wrong_profile(evidence):
    assert not evidence.succeeded("wrong")
    assert re.search(REFUSED["unknown_field"], evidence.said("wrong"))


@pytest.mark.parametrize("profile", REFUSED)
def test_the_refusal_of_a_wrong_profile_names_the_field_and_the_reason(evidence, profile):
    assert re.search(REFUSED[profile], evidence.read("refused")[profile])
