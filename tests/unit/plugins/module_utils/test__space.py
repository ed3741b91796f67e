# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._space import judge, limits, space


@pytest.mark.parametrize(
    ("used", "free", "level", "percent"),
    [
        (0, 100, "ok", 0.0),
        (799, 201, "ok", 79.9),
        (800, 200, "warning", 80.0),
        (899, 101, "warning", 89.9),
        (900, 100, "critical", 90.0),
        (1000, 0, "critical", 100.0),
        (0, 0, "critical", 100.0),
    ],
)
def test_a_disk_is_judged_by_what_users_have_of_it(used, free, level, percent):
    found = judge("/backups", used, free, 80, 90)

    assert (found.level, found.used_percent, found.message is None) == (level, percent, level == "ok")


def test_a_message_says_where_how_much_and_what_to_do():
    assert judge("/backups", 85, 15, 80, 90).message == (
        "/backups is 85.0 % full (15 bytes are free), and 80 % is warning. Prune backups, enlarge the disk or set "
        "crm_backup_root to another one."
    )


def test_a_root_that_does_not_exist_yet_is_on_the_disk_that_it_will_be_on(tmp_path):
    found = space(str(tmp_path / "none" / "root"))

    assert found.path == str(tmp_path)
    assert 0 < found.free < found.total


@pytest.mark.parametrize(
    ("warn", "critical", "fine"),
    [(80, 90, True), (90, 90, True), (0, 90, False), (91, 90, False), (80, 101, False)],
)
def test_limits_that_make_no_sense_are_refused(warn, critical, fine):
    assert (limits({"space_warn": warn, "space_critical": critical}) is None) is fine
