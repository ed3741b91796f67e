# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._database import Facts
from ansible_collections.crm.continuity.plugins.module_utils._database_dump import Plan, Request, plan
from ansible_collections.crm.continuity.plugins.module_utils._errors import DatabaseError, StoreError
from ansible_collections.crm.continuity.tests.unit.database_fakes import location

FACTS = Facts("crm", "crm", "15.18", 150018, "UTF8", "C", "C", "libc", None, None, {}, ("public",), 1)


def test_a_missing_directory_is_refused_before_anything_else(tmp_path):
    with pytest.raises(StoreError, match=r"absent is not a directory. Create it first"):
        plan(Request("crm", str(tmp_path / "absent" / "crm.dump")), location())


def test_a_directory_in_place_of_the_file_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"is a directory\. Name the file"):
        plan(Request("crm", str(tmp_path)), location())


def test_a_missing_directory_for_the_roles_is_refused_too(tmp_path):
    with pytest.raises(StoreError, match="is not a directory"):
        plan(Request("crm", str(tmp_path / "crm.dump"), globals_path=str(tmp_path / "absent" / "roles")), location())


def test_a_plan_needs_the_database(tmp_path):
    with pytest.raises(DatabaseError, match=r"No PostgreSQL answers at 127\.0\.0\.1:1"):
        plan(Request("crm", str(tmp_path / "crm.dump")), location())


def test_the_diff_names_the_files_that_will_be_there(tmp_path):
    path, roles = str(tmp_path / "crm.dump"), str(tmp_path / "roles.sql")
    (tmp_path / "crm.dump").touch()

    wanted = Plan(Request("crm", path, globals_path=roles), f"{roles} does not exist", FACTS)

    assert wanted.diff() == {"before": f"{path}\n", "after": f"{path}\n{roles}\n"}


def test_nothing_to_do_is_no_difference(tmp_path):
    wanted = Plan(Request("crm", str(tmp_path / "crm.dump")), None, FACTS)

    assert not wanted.changed
    assert wanted.diff() == {"before": "", "after": ""}
