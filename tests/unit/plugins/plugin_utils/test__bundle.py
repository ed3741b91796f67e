# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import io
import json
import os
import re
import subprocess
import sys
import zipfile

import pytest
from ansible.errors import AnsibleActionFail

from ansible_collections.crm.continuity.plugins.module_utils._schedule_install import _content
from ansible_collections.crm.continuity.plugins.module_utils._version import VERSION
from ansible_collections.crm.continuity.plugins.plugin_utils._bundle import build, unpacked_digest

MODULES = ("backup_prune", "backup_verify", "stack_backup", "stack_cutover", "stack_info")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Return the path of a program with all modules of the role."""
    path = tmp_path_factory.mktemp("bundle") / "program.pyz"
    path.write_bytes(build(MODULES).content)
    return str(path)


def run(archive, *argv, given=""):
    """Run the program as a host does, without this collection and without ansible-core."""
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", archive, *argv],
        input=given,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        check=False,
    )


def test_the_same_sources_give_the_same_content():
    first, second = build(MODULES), build(reversed(MODULES))

    assert (first.digest, first.content) == (second.digest, second.content)


def test_another_content_has_another_digest():
    assert build(["stack_info"]).digest != build(MODULES).digest


def test_the_host_counts_as_the_control_node_does(archive):
    assert unpacked_digest(archive) == _content(archive) == build(MODULES).digest


def test_only_what_is_needed_is_packed(archive):
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()

    assert "ansible/module_utils/basic.py" in names
    assert "ansible_collections/crm/continuity/plugins/modules/stack_backup.py" in names
    # What no module of these imports.
    assert "ansible/module_utils/urls.py" not in names
    assert "ansible_collections/crm/continuity/plugins/modules/database_load.py" not in names
    assert not any("/action/" in name or name.startswith("ansible/plugins") for name in names)


def test_the_versions_are_in_it():
    with zipfile.ZipFile(io.BytesIO(build(["stack_info"]).content)) as packed:
        versions = json.loads(packed.read("version.json"))

    assert versions["version"] == VERSION
    assert versions["ansible_core"].startswith("2.")


def test_a_module_that_does_not_exist_is_refused_by_name():
    with pytest.raises(AnsibleActionFail, match="There is no module backup_everything"):
        build(["backup_everything"])


@pytest.mark.parametrize("module", MODULES)
def test_each_module_reads_its_arguments_from_standard_input_and_refuses_wrong_ones(archive, module):
    done = run(archive, "module", module, given=json.dumps({"ANSIBLE_MODULE_ARGS": {"no_such_option": 1}}))

    answer = json.loads(done.stdout)
    assert answer["failed"]
    assert re.match(r"missing required arguments|Unsupported parameters .* no_such_option", answer["msg"])
    assert done.stderr == ""


def test_a_module_works(archive, tmp_path):
    given = {"ANSIBLE_MODULE_ARGS": {"backup_root": str(tmp_path), "retention": {"keep_last": 1}}}

    done = run(archive, "module", "backup_prune", given=json.dumps(given))

    assert (json.loads(done.stdout)["stacks"], done.returncode) == ([], 0)


@pytest.mark.parametrize("arguments", [(), ("run",), ("tick", "backup"), ("everything", "backup")])
def test_a_command_that_is_not_understood_is_answered_with_those_that_are(archive, arguments):
    done = run(archive, *arguments)

    assert (done.returncode, done.stdout) == (64, "")
    assert done.stderr == "usage: program.pyz run JOB | tick | failed JOB | try JOB\n"


def test_under_another_name_it_runs_under_its_own(archive, tmp_path):
    link = tmp_path / "link.pyz"
    link.symlink_to(archive)

    assert run(str(link)).stderr.startswith("usage: program.pyz")


@pytest.mark.parametrize("command", ["try", "module"])
def test_while_it_runs_it_is_held(archive, command):
    code = (
        "import runpy, sys, fcntl\n"
        f"sys.argv = [{archive!r}, {command!r}, 'x']\n"
        f"sys.path.insert(0, {archive!r})\n"
        "from ansible_collections.crm.continuity.plugins.module_utils import _scheduled_run as program\n"
        "def look(*_given):\n"
        f"    with open({archive!r}) as other:\n"
        "        try:\n"
        "            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        except BlockingIOError:\n"
        "            return {'ok': True}\n"
        "    return {'ok': False}\n"
        "program.Runner.trial = look\n"
        # A module ends the program itself.
        "program._be_module = lambda _name: sys.exit(not look()['ok'])\n"
        "sys.exit(program.main())\n"
    )

    assert subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=False).returncode == 0
    with open(archive) as afterwards:
        fcntl.flock(afterwards, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("reader", ["stays", "leaves"])
def test_a_log_that_is_gone_or_knows_no_such_letter_stops_nothing(archive, reader):
    code = (
        f"import sys; sys.path.insert(0, {archive!r})\n"
        "from ansible_collections.crm.continuity.plugins.module_utils._scheduled_run import _print\n"
        "for line in ('crm: espaço →', 'backup: ok'):\n"
        "    _print(line)\n"
        "print('came to its end', file=sys.stderr)\n"
    )
    reading, writing = os.pipe()
    if reader == "leaves":
        os.close(reading)
    env = {"PATH": os.environ["PATH"], "PYTHONIOENCODING": "ascii"}

    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, env=env, check=False
    )

    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "came to its end\n")
    if reader == "stays":
        with open(reading, "rb") as said:
            assert said.read() == b"crm: espa\\xe7o \\u2192\nbackup: ok\n"
