# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._process import Stage
from ansible_collections.crm.continuity.plugins.module_utils._workplace import opened, workplace
from ansible_collections.crm.continuity.tests.unit.database_fakes import LocalEngine, location, nothing_left

both = pytest.mark.parametrize("visible", [pytest.param(True, id="seen"), pytest.param(False, id="unseen")])


@pytest.fixture
def key():
    return secrets.token_hex(8)


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").write_bytes(b"content")
    with open(tmp_path / "source", "rb") as stream:
        yield stream.fileno()


@both
def test_a_file_is_put_where_the_programs_find_it_and_taken_away(visible, key, source):
    with nothing_left(), workplace(location(LocalEngine(visible=visible)), key) as place:
        assert (place.descriptor is not None) is visible

        path = place.put("dump", [], source)

        assert Path(path).read_bytes() == b"content"
        assert stat.S_IMODE(os.stat(place.path).st_mode) == 0o700


@both
def test_a_file_can_come_out_of_a_pipeline(visible, key, source):
    with workplace(location(LocalEngine(visible=visible)), key) as place:
        path = place.put("dump", [Stage("shout", ["tr", "a-z", "A-Z"])], source)

        assert Path(path).read_bytes() == b"CONTENT"


@both
def test_what_a_killed_run_left_goes_first(visible, key):
    where = location(LocalEngine(visible=visible))
    with workplace(where, key) as place:
        left = Path(place.path)
    left.mkdir()
    (left / "dump").touch()

    with workplace(where, key) as place:
        assert os.listdir(place.path) == []


def test_the_directory_goes_when_the_work_fails(key):
    with nothing_left(), pytest.raises(ZeroDivisionError), workplace(location(), key):
        raise ZeroDivisionError


def test_without_a_view_of_the_directory_there_is_no_named_pipe(key):
    with workplace(location(LocalEngine(visible=False)), key) as place:
        assert place.fifo("pipe") is None


def test_a_link_that_leads_out_of_the_container_is_not_followed(tmp_path, monkeypatch):
    (tmp_path / "root" / "var").mkdir(parents=True)
    (tmp_path / "outside" / "work").mkdir(parents=True)
    (tmp_path / "root" / "var" / "tmp").symlink_to(tmp_path / "outside")
    where = location()
    monkeypatch.setattr(type(where), "root", lambda self: str(tmp_path / "root"))

    assert opened(where, "/var/tmp/work") is None
