# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after ``ansible-playbook crm.continuity.prepare``."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://mol-b"]


@pytest.mark.parametrize("package", ["python3-docker", "python3-psycopg2", "tar", "zstd", "isal", "age", "gnupg"])
def test_what_the_modules_need_is_installed(host, package):
    assert host.package(package).is_installed


def test_the_system_python_has_the_libraries(host):
    assert host.run("/usr/bin/python3 -c 'import docker, psycopg2'").rc == 0


def test_only_root_may_enter_the_backup_root(host):
    root = host.file("/srv/prepared")

    assert root.is_directory
    assert (root.user, root.group, root.mode) == ("root", "root", 0o700)


def test_only_root_may_write_to_the_program_that_brings_services_back(host):
    directory = host.file("/usr/local/lib/crm.continuity/crm_continuity")

    assert (directory.user, directory.group, directory.mode) == ("root", "root", 0o755)
    assert "__main__.py" in directory.listdir()
    written = host.run(f"find {directory.path} -type f -name '*.py' -not \\( -user root -perm 0644 \\)")
    assert written.stdout == ""


def test_the_program_runs_and_has_nothing_to_do(host):
    done = host.run("cd /usr/local/lib/crm.continuity && /usr/bin/python3 -m crm_continuity")

    assert (done.rc, done.stdout, done.stderr) == (0, "", "")


def test_where_there_is_no_systemd_cron_runs_it(host):
    table = host.file("/etc/cron.d/crm-continuity")

    # Otherwise cron does not read it.
    assert (table.user, table.group, table.mode) == ("root", "root", 0o644)
    lines = table.content_string.splitlines()
    run = "cd /usr/local/lib/crm.continuity && exec python3 -m crm_continuity"
    assert f"@reboot root {run}" in lines
    (every_minute,) = [line for line in lines if line.startswith("* * * * * root ")]
    # Without a journal, Python is not even started.
    assert host.run(every_minute.removeprefix("* * * * * root ").replace("exec", "echo")).stdout == ""
