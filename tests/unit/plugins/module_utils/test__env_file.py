# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._env_file import parse, read_env_file
from ansible_collections.crm.continuity.tests.unit.fakes import FakeEngine, container

APP = container("api", "example/app:2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("A=1\nB=two words \n", {"A": "1", "B": "two words"}, id="plain"),
        pytest.param("A='x # y'\nB=\"q # r\"\nC=`s`\n", {"A": "x # y", "B": "q # r", "C": "s"}, id="quotes"),
        pytest.param("A=1 # why\n# B=2\n", {"A": "1"}, id="comments"),
        pytest.param("export A=1\n  B = 2\n", {"A": "1", "B": "2"}, id="export and spaces"),
        pytest.param("A=\nB=''\n", {"A": "", "B": ""}, id="empty"),
        pytest.param("A=1\nA=2\n", {"A": "2"}, id="the last counts"),
        pytest.param("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}, id="line ends of Windows"),
        pytest.param('A="one\\ntwo"\nB="say \\"x\\""\n', {"A": "one\ntwo", "B": 'say "x"'}, id="escapes"),
        pytest.param("A='one\ntwo'\nB=3\n", {"A": "one\ntwo", "B": "3"}, id="several lines"),
        pytest.param("no assignment\n= x\n", {}, id="nonsense"),
        pytest.param("U='postgresql://u:p@h/d?schema=s'\n", {"U": "postgresql://u:p@h/d?schema=s"}, id="URL"),
    ],
)
def test_a_file_is_read_as_the_applications_read_it(text, expected):
    assert parse(text) == expected


def test_the_file_is_read_inside_the_container():
    engine = FakeEngine([APP])
    engine.answers["cat /app/.env"] = "echo MODE=files"

    assert read_env_file(engine, APP, "/app/.env") == {"MODE": "files"}


def test_a_file_that_is_not_there_sets_nothing():
    assert read_env_file(FakeEngine([APP]), APP, "/app/.env") == {}


@pytest.mark.parametrize("state", ["exited", "created", "paused", "restarting"])
def test_a_container_that_does_not_run_is_not_entered(state):
    stopped = container("api", "example/app:2", state=state)
    engine = FakeEngine([stopped])
    engine.answers["cat"] = "echo MODE=files"

    assert read_env_file(engine, stopped, "/app/.env") == {}
    assert engine.stages == []
