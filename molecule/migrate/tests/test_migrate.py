# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after ``ansible-playbook crm.continuity.migrate``, and with a second stack beside it."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://mol-b"]

SERVICES = {"chatwoot", "chatwoot_sidekiq", "evolution_api", "postgres", "redis"}
# The restore keeps the empty databases that the new server made at its first start.
KEPT = "__crm_previous_"
BACKUPS = "/var/backups/migrate/crm"
STATES = (
    "docker container ls --all --filter label=com.docker.compose.project=%s"
    " --format '{{.Label \"com.docker.compose.service\"}} {{.State}}'"
)


def states(host, stack):
    return dict(line.split() for line in host.check_output(STATES, stack).splitlines())


def test_check_mode_says_what_it_would_do_and_touches_nothing(evidence):
    assert "crm would be migrated from mol-a to mol-b as crm." in evidence.said("check")


def test_a_migration_that_fails_says_why(evidence):
    said = evidence.said("failure")

    assert "publishes 127.0.0.1:3000/tcp, which container mol-squatter has" in said
    assert "The stack on mol-a goes on as before." in said


def test_a_migration_that_fails_leaves_the_source_as_it_was(evidence):
    assert evidence.states("after-failure") == evidence.states("before-failure")
    assert evidence.starts("after-failure") == evidence.starts("before-failure")


def test_every_row_file_and_key_has_moved(evidence):
    differences = evidence.differences("after", evidence.directory / "before.json")

    assert [line for line in differences if KEPT not in line] == []


def test_the_new_stack_runs_and_the_old_one_is_stopped(host, mol_a):
    assert states(host, "crm") == dict.fromkeys(SERVICES, "running")
    assert states(mol_a, "crm") == dict.fromkeys(SERVICES, "exited")


def test_the_session_has_moved_too(evidence):
    said = evidence.said("migrate")

    assert "WhatsApp sessions: keep." in said
    assert "evolution_api: vendas instance.state is open" in said


def test_no_guard_is_left_on_the_source(mol_a):
    assert mol_a.check_output("ls /run | grep crm.continuity.migrate || true") == ""


def test_the_backup_is_on_both_servers_and_the_same(host, mol_a):
    (new,) = host.check_output("ls %s", BACKUPS).split()[-1:]

    assert host.check_output("cat %s/%s/SHA256SUMS", BACKUPS, new) == mol_a.check_output(
        "cat %s/%s/SHA256SUMS", BACKUPS, new
    )
    assert host.run("cd %s/%s && sha256sum --check --quiet SHA256SUMS", BACKUPS, new).rc == 0
    assert host.check_output("find %s -perm /077", BACKUPS) == ""


@pytest.mark.parametrize("run", ["failure", "migrate"])
def test_no_secret_is_shown_at_any_verbosity(evidence, secrets, run):
    shown = evidence.output(run)

    assert [secret for secret in secrets if secret in shown] == []


def test_a_second_stack_whose_ports_are_taken_is_refused(evidence):
    said = evidence.said("ports")

    assert "Service chatwoot of crm2 publishes 127.0.0.1:3000/tcp, which container crm-chatwoot-1 has" in said


def test_a_second_stack_runs_beside_the_first_and_has_no_session(host, evidence):
    assert states(host, "crm2") == dict.fromkeys(SERVICES, "running")
    assert states(host, "crm") == dict.fromkeys(SERVICES, "running")
    assert "WhatsApp session cleared" in evidence.said("clone")


def test_the_first_stack_has_lost_nothing_to_the_second(evidence):
    assert evidence.differences("beside", evidence.directory / "after.json") == []
