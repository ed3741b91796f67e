# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._schedule_words import LONGEST, failure, summary
from ansible_collections.crm.continuity.tests.unit.schedule_fakes import FOUND, PRUNED, TAKEN, VERIFIED

STACK = PRUNED["stacks"][0]


@pytest.mark.parametrize(
    ("module", "result", "words"),
    [
        ("stack_info", FOUND, "2 stacks: crm, ticketz"),
        ("stack_backup", TAKEN, "20261122T020003Z, 14.8 MB, 627 files, 1 row, frozen for 0.031 s"),
        ("stack_backup", {"directory": "/b/crm/1"}, "would go to /b/crm/1"),
        ("stack_backup", {**TAKEN, "not_needed": "The newest one is young."}, "The newest one is young."),
        ("stack_cutover", {"restores": [{"id": "1"}]}, "gave up what was kept of 1"),
        ("stack_cutover", {"restores": []}, "nothing kept that is due"),
        ("backup_verify", VERIFIED, "2 backups sound, 15.0 MB read"),
        ("backup_prune", PRUNED, "crm: 2 go, 1 stay"),
        ("backup_prune", {"stacks": []}, "no stack has backups"),
        (
            "backup_prune",
            {"stacks": [{**STACK, "removed": [], "overdue": ["1"], "blocked": "It is not verified."}]},
            "crm: 0 go, 1 stay, nothing may be removed (It is not verified.)",
        ),
        ("audit_info", {"changed": False}, "nothing to do"),
        ("stack_backup", {"changed": True, "size": 1}, "changed"),
    ],
)
def test_what_went_well_is_one_line(module, result, words):
    assert summary(module, result) == words


def test_what_is_out_of_the_ordinary_and_who_took_a_backup_stands_in_the_line():
    result = {**TAKEN, "anomalies": [{"message": "half of the rows are gone"}], "attached": True}

    words = summary("stack_backup", result)

    assert words.endswith(", ANOMALOUS: half of the rows are gone, taken by somebody else meanwhile")


def test_a_failure_is_cut_off_somewhere_and_never_silent():
    assert failure({"msg": "x" * 5000}) == "x" * LONGEST
    assert failure({}) == "It gave no reason."
