# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role that brings keys to a host, as far as the control node is concerned: where the private key is found."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars:
    ansible_python_interpreter: "{{ ansible_playbook_python }}"
  tasks:
    - block:
        - ansible.builtin.include_role:
            name: crm.continuity.keys
        - ansible.builtin.command:
            argv: [sha256sum, "{{ keys_files.identity_file }}"]
      always:
        - ansible.builtin.include_role:
            name: crm.continuity.keys
            tasks_from: remove
"""
KEY = b"AGE-SECRET-KEY-OF-A-TEST\n"


@pytest.fixture
def bring(tmp_path):
    """Return a function that brings the key that a variable names, from a home directory of its own."""
    (tmp_path / "play.yml").write_text(PLAY)
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "crm.txt").write_bytes(KEY)

    def run(identity_file):
        return subprocess.run(
            [
                *(str(Path(sys.executable).parent / "ansible-playbook"), "play.yml", "-v"),
                *("--extra-vars", f"crm_identity_file={identity_file}"),
            ],
            cwd=tmp_path,
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("CRM_")},
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build" / "link"),
                "ANSIBLE_NOCOLOR": "1",
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("path", ["~/keys/crm.txt", "{home}/keys/crm.txt"], ids=["in the home directory", "absolute"])
def test_a_private_key_is_found(bring, tmp_path, path):
    done = bring(path.format(home=tmp_path))

    assert done.returncode == 0, done.stdout
    assert hashlib.sha256(KEY).hexdigest() in done.stdout
    assert "AGE-SECRET-KEY" not in done.stdout + done.stderr


def test_one_that_is_not_there_is_named(bring):
    done = bring("~/keys/other.txt")

    assert done.returncode == 2
    assert "There is no file ~/keys/other.txt on the control node" in done.stdout + done.stderr
