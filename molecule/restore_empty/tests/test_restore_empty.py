# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after ``ansible-playbook crm.continuity.restore`` on a host with Docker and a backup only."""

from __future__ import annotations

import json

import pytest

testinfra_hosts = ["ansible://mol-b"]

SERVICES = {
    "crm": {"chatwoot", "chatwoot_sidekiq", "evolution_api", "postgres", "redis"},
    "ticketz": {"backend", "postgres", "redis"},
}
VOLUMES = {
    "crm": {"chatwoot_public", "chatwoot_storage", "evolution_instances", "postgres_data", "redis_data"},
    "ticketz": {"backend_private", "backend_public", "postgres_data", "redis_data"},
}
OWN = "--filter label=com.docker.compose.project=%s"


@pytest.fixture(scope="module", params=["crm", "ticketz"])
def stack(request):
    """Return the name of each stack."""
    return request.param


def test_with_backups_of_several_stacks_it_asks_which(evidence):
    assert not evidence.succeeded("which")
    assert "There are backups of several stacks below /var/backups/crm: crm, ticketz. Name one: restore_stack." in (
        evidence.said("which")
    )


def test_check_mode_says_what_it_would_restore(evidence):
    said = evidence.said("check")

    assert evidence.succeeded("check")
    assert "4 volumes, 2 databases. Nothing is there yet." in said


def test_check_mode_leaves_nothing(evidence):
    # The engine's own directory is not the stack's.
    assert set(evidence.read("left-by-check")) <= {"containerd"}


def test_no_confirmation_is_asked_for(evidence, stack):
    assert evidence.succeeded(f"{stack}-restore")
    assert "Nothing is there yet." in evidence.said(f"{stack}-restore")


@pytest.mark.parametrize("run", ["check", "crm-restore", "ticketz-restore", "validate"])
def test_no_secret_is_shown_at_any_verbosity(evidence, secrets, run):
    shown = evidence.output(run)

    assert len(secrets) > 5
    assert [secret for secret in secrets if secret in shown] == []


def test_every_service_runs(host, stack):
    listed = host.check_output(
        f"docker container ls --all {OWN} --format '{{{{.Label \"com.docker.compose.service\"}}}} {{{{.State}}}}'",
        stack,
    )

    assert dict(line.split() for line in listed.splitlines()) == dict.fromkeys(SERVICES[stack], "running")


def test_every_row_file_and_key_is_there_again(evidence, reference, stack):
    assert evidence.differences(stack, reference / f"{stack}.json") == []


def test_compose_takes_the_volumes_for_its_own(host, stack):
    names = host.check_output(f"docker volume ls --quiet {OWN}", stack).split()
    labels = [json.loads(host.check_output("docker volume inspect --format '{{json .Labels}}' %s", n)) for n in names]

    assert {entry["com.docker.compose.volume"] for entry in labels} == VOLUMES[stack]
    # Compose warns about a volume that it has not made.
    assert "already exists but was not created by Docker Compose" not in (
        host.run("docker compose --project-directory /opt/%s up --detach", stack).stderr
    )


def test_compose_and_env_files_are_what_they_were(host, mol_a, stack):
    list_all = "cd /opt/%s && find . -type f -printf '%%p %%m %%U:%%G ' -exec sha256sum {} ';' | sort"

    assert host.check_output(list_all, stack) == mol_a.check_output(list_all, stack)


def test_only_its_owner_and_group_may_enter_the_project_directory(host, stack):
    assert host.file(f"/opt/{stack}").mode & 0o007 == 0


def test_validation_passes(evidence, stack):
    said = evidence.said("validate")

    assert evidence.succeeded("validate")
    assert f"Stack {stack} (" in said
    assert "FAIL" not in said


def test_the_whatsapp_instances_are_connected_again(evidence):
    said = evidence.said("validate")

    assert "vendas" in said
    assert "suporte" in said
