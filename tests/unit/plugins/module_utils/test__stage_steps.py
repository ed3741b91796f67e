# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils import _stage_steps
from ansible_collections.crm.continuity.plugins.module_utils._errors import StackError
from ansible_collections.crm.continuity.plugins.module_utils._session_parts import Part
from ansible_collections.crm.continuity.plugins.module_utils._stage_steps import Steps

FILES = Part("evolution", "files", "credentials", "volume", "volume crm_instances", "crm_instances", ())
KEYS = Part("evolution", "redis", "signal keys", "redis", "redis crm", "crm_redis", (), image="redis:7")
ROWS = Part("evolution", "database", "instances", "database", "database evolution", "evolution", ())


@pytest.fixture
def cleared(monkeypatch):
    """Note what is cleared where."""
    calls = []
    monkeypatch.setattr(_stage_steps, "clear_directory", lambda directory, part: calls.append((directory, part)) or [])
    monkeypatch.setattr(
        _stage_steps, "clear_redis_files", lambda _engine, directory, image, part: calls.append((image, part)) or []
    )
    return calls


def test_every_part_is_cleared_in_the_volume_that_holds_it(cleared):
    steps = Steps(None, {}, (FILES, KEYS))

    for volume in ("crm_storage", "crm_instances", "crm_redis"):
        steps.on_volume(volume, f"/staged/{volume}")
    steps.check()

    assert cleared == [("/staged/crm_instances", FILES), ("redis:7", KEYS)]


@pytest.mark.parametrize("left", [FILES, KEYS, ROWS])
def test_a_copy_does_not_get_by_with_a_part_that_was_not_met(cleared, left):
    steps = Steps(None, {}, (FILES, KEYS, ROWS))
    steps.done.extend(part for part in steps.parts if part is not left)

    with pytest.raises(StackError, match=f"lacks {left.holds} .*credentials of the original"):
        steps.check()


def test_where_sessions_are_kept_nothing_is_missed():
    Steps(None, {}).check()
