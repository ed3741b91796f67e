# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on two servers after a backup that only a key opens has moved from one to the other, and where the key is."""

from __future__ import annotations

import json
import re

import pytest

testinfra_hosts = ["ansible://mol-b"]

ROOT = "/srv/encrypted"
RUNS = ["prepare", "backup", "verify", "key", "other-key", "wrong-key", "right-key"]
# The restore keeps the empty databases that the new server made at its first start.
KEPT = "__crm_previous_"
# What may be read without a key: it names files and tables, and holds none of their content.
READABLE = {"manifest.json", "SHA256SUMS", "SHA256SUMS.sig", "RESTORE.md"}


@pytest.fixture
def keys(evidence):
    """Return the private keys, without what stands around them."""
    texts = [(evidence.directory / name).read_text(encoding="ascii") for name in ("right.key", "wrong.key")]
    return [match.group() for match in map(re.compile(r"AGE-SECRET-KEY-\w+").search, texts)]


def events(host):
    return [json.loads(line) for line in host.check_output("cat %s/audit.jsonl", ROOT).splitlines()]


def test_everything_but_what_describes_the_backup_is_encrypted(mol_a):
    names = mol_a.check_output("find %s/crm -mindepth 2 -type f -printf '%%f\\n'", ROOT).split()

    assert {name for name in names if not name.endswith(".age")} == READABLE
    assert len([name for name in names if name.endswith(".age")]) > 4


def test_no_secret_of_the_stack_is_in_the_backups_of_either_server(host, mol_a, secrets):
    for server in (mol_a, host):
        for secret in secrets:
            assert server.run("grep --recursive --quiet --binary-files=text -e %s %s", secret, ROOT).rc == 1


def test_the_backup_is_signed_by_its_server(evidence):
    assert re.search(r"crm \S+: sound, .* signed by mol-a", evidence.said("verify"))


def test_the_key_is_proved_and_another_one_is_not(evidence, mol_a):
    assert re.search(r"the key opens all \d+ encrypted artifacts", evidence.said("key"))
    assert "THE KEY DOES NOT OPEN IT" in evidence.said("other-key")
    results = [event["result"] for event in events(mol_a) if event["action"] == "key"]
    assert "ok" in results
    assert {"failed", "refused"}.intersection(results)


def test_with_another_key_nothing_is_unpacked(evidence):
    said = evidence.said("wrong-key")

    assert "The stack on mol-a goes on as before." in said
    assert evidence.read("left-by-wrong-key") == []


def test_every_row_file_and_key_has_moved(evidence):
    differences = evidence.differences("after", evidence.directory / "before.json")

    assert [line for line in differences if KEPT not in line] == []


@pytest.mark.parametrize("run", RUNS)
def test_neither_keys_nor_secrets_are_shown_at_any_verbosity(evidence, secrets, keys, run):
    shown = evidence.output(run)

    assert [secret for secret in [*secrets, *keys] if secret in shown] == []


def test_no_key_is_left_on_a_server(host, mol_a, keys):
    for server in (mol_a, host):
        for key in keys:
            # Where a run may put one, and where its programs may keep one.
            places = "/dev/shm /run /tmp /root /etc /var/tmp /var/lib/crm.continuity /var/log %s"
            found = server.run(f"grep --recursive --devices=skip --files-with-matches -e %s {places}", key, ROOT)
            assert found.stdout == ""
