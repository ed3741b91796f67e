# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator has after pasting RESTORE.md on a host without this collection, and without Python."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://mol-b"]

STACKS = ["crm", "ticketz"]


def test_the_host_of_the_pasting_had_stock_tools_only(host):
    tools = set(host.file("/srv/stock-tools").listdir())

    assert {"docker", "tar", "zstd", "age", "sha256sum"} <= tools
    assert [tool for tool in tools if tool.startswith(("python", "perl", "ansible", "psql", "pg_"))] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_command_succeeds(evidence, stack):
    assert evidence.succeeded(stack), evidence.output(stack)


def test_an_encrypted_backup_opens_with_its_key_only(evidence, mol_a):
    names = mol_a.check_output("find /srv/busy/crm -type f -name '*.tar.zst*' -o -name '*.dump.zst*'").split()

    assert names
    assert [name for name in names if not name.endswith(".age")] == []
    assert not evidence.succeeded("busy-other-key")
    assert "no identity matched any of the recipients" in evidence.said("busy-other-key")


def test_what_came_and_went_during_the_backup_is_as_it_was_at_the_cut(evidence):
    assert evidence.succeeded("busy"), evidence.output("busy")
    busy = evidence.read("busy-found")
    (facts,) = (
        entry["facts"]
        for entry in busy["artifacts"]
        if (entry["kind"], entry["source"]) == ("archive", "crm_chatwoot_storage")
    )
    kinds = busy["kinds"]
    files, directories = kinds.count("f"), kinds.count("d")

    # Without these, nothing was tried.
    assert facts["superseded"] > 0
    assert facts["deleted"] > 0
    expected = (facts["files"], facts["directories"], facts["others"])
    assert (files, directories, len(kinds) - files - directories) == expected
    assert 1 <= len([name for name in busy["names"] if name.isdigit()]) <= 2


@pytest.mark.parametrize("stack", STACKS)
def test_every_row_file_and_key_is_there_again(evidence, reference, stack):
    assert evidence.differences(f"{stack}-restored", reference / f"{stack}.json") == []


@pytest.mark.parametrize("stack", STACKS)
def test_the_stack_passes_validation(evidence, stack):
    assert evidence.succeeded("validate")
    assert f"Stack {stack} (" in evidence.said("validate")


@pytest.mark.parametrize("stack", STACKS)
def test_compose_takes_the_volumes_for_its_own(evidence, stack):
    assert "was not created by Docker Compose" not in evidence.output(stack)


def test_a_damaged_backup_ends_before_anything_is_made(evidence):
    assert not evidence.succeeded("damaged")
    assert "volumes/crm_chatwoot_storage.tar.zst: FAILED" in evidence.said("damaged")
    assert evidence.read("left-by-damaged") == []


def test_the_step_that_the_dump_of_ticketz_needs_is_in_its_instructions(host, evidence):
    instructions = host.check_output("cat /srv/by-hand/ticketz/*/RESTORE.md")

    assert "ALTER FUNCTION public.immutable_unaccent(text) SET search_path" in instructions
