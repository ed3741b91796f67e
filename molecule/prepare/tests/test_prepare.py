# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an operator finds after ``ansible-playbook crm.continuity.prepare``."""

from __future__ import annotations

import pytest

testinfra_hosts = ["ansible://mol-b"]


@pytest.mark.parametrize("package", ["python3-docker", "python3-psycopg2", "tar", "zstd", "isal"])
def test_what_the_modules_need_is_installed(host, package):
    assert host.package(package).is_installed


def test_the_system_python_has_the_libraries(host):
    assert host.run("/usr/bin/python3 -c 'import docker, psycopg2'").rc == 0


def test_only_root_may_enter_the_backup_root(host):
    root = host.file("/srv/prepared")

    assert root.is_directory
    assert (root.user, root.group, root.mode) == ("root", "root", 0o700)
