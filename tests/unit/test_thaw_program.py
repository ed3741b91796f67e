# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ``prepare`` installs to bring services back: the program is whole, and the units and the table run it."""

from __future__ import annotations

import ast
import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ansible_collections.crm.continuity.plugins.module_utils import _backup_store

ROOT = Path(__file__).resolve().parents[2]
MODULE_UTILS = ROOT / "plugins" / "module_utils"
FILES = ROOT / "roles" / "prepare" / "files"
VARS = yaml.safe_load((ROOT / "roles" / "prepare" / "vars" / "main.yml").read_text(encoding="utf-8"))
PROGRAM = Path(VARS["__prepare_program"])
INSTALLED = VARS["__prepare_program_files"]
# Not what the tests have put in its place.
JOURNAL = re.search(r'DEFAULT_JOURNAL = "(.+)"', (MODULE_UTILS / "_journal.py").read_text(encoding="utf-8"))[1]


def needed(name):
    """Return the file and all that it imports, not counting what only types need."""
    found, waiting = set(), [name]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        tree = ast.parse((MODULE_UTILS / name).read_text(encoding="utf-8"))
        waiting += [f"{node.module}.py" for node in tree.body if isinstance(node, ast.ImportFrom) and node.level == 1]
    return found


def unit(name):
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str
    parser.read_string((FILES / name).read_text(encoding="utf-8"))
    return parser


def test_just_the_files_that_the_program_needs_are_installed():
    assert set(INSTALLED) == needed("_thaw_alone.py")
    assert INSTALLED["_thaw_alone.py"] == "__main__.py"
    assert all(target == source for source, target in INSTALLED.items() if source != "_thaw_alone.py")


def test_they_can_be_imported_without_the_collection(tmp_path):
    package = tmp_path / PROGRAM.name
    package.mkdir()
    for source, target in INSTALLED.items():
        shutil.copy(MODULE_UTILS / source, package / target)
    # Not run: it would look for journals of this very host.
    program = f"import {PROGRAM.name}.__main__ as program; print(program.main.__module__)"

    argv = [sys.executable, "-c", program]
    done = subprocess.run(
        argv, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == (f"{PROGRAM.name}.__main__\n", "")


def test_the_service_runs_the_program_at_every_boot_after_docker_when_there_is_a_journal():
    service = unit("crm-continuity-thaw.service")

    assert service["Unit"]["After"] == "docker.service"
    assert service["Unit"]["ConditionPathExistsGlob"] == f"{JOURNAL}/*.json"
    assert service["Service"]["Type"] == "oneshot"
    assert service["Service"]["WorkingDirectory"] == str(PROGRAM.parent)
    assert service["Service"]["ExecStart"] == f"/usr/bin/python3 -m {PROGRAM.name}"
    assert service["Install"]["WantedBy"] == "multi-user.target"


def test_the_timer_starts_that_service_every_minute():
    timer = unit("crm-continuity-thaw.timer")

    assert timer["Timer"]["OnCalendar"] == "minutely"
    # Without a name, it is the service of the same name.
    assert "Unit" not in timer["Timer"]
    assert timer["Install"]["WantedBy"] == "timers.target"


def test_cron_does_the_same():
    lines = [
        line
        for line in (FILES / "crm-continuity.cron").read_text(encoding="utf-8").splitlines()
        if not re.match(r"#|[A-Z]+=", line)
    ]
    run = f"cd {PROGRAM.parent} && exec python3 -m {PROGRAM.name}"

    assert lines == [
        f"@reboot root {run}",
        f"* * * * * root ls {JOURNAL}/*.json >/dev/null 2>&1 && {run}",
    ]


def test_the_journal_outlives_a_boot_and_the_locks_do_not():
    assert JOURNAL.startswith("/var/lib/")
    assert re.search(r'RUN = "/run/', Path(_backup_store.__file__).read_text(encoding="utf-8"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_units(tmp_path):
    for name in ("crm-continuity-thaw.service", "crm-continuity-thaw.timer"):
        shutil.copy(FILES / name, tmp_path)
    # Other units are of no interest here, and may not be installed.
    (tmp_path / "docker.service").write_text("[Service]\nExecStart=/bin/true\n")
    units = [str(path) for path in sorted(tmp_path.iterdir())]

    argv = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert (done.returncode, [line for line in done.stderr.splitlines() if "crm-continuity" in line]) == (0, [])
