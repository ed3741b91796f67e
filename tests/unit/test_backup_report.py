# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the role backup reports, line by line."""

from __future__ import annotations

from pathlib import Path

import pytest
from jinja2 import Environment, StrictUndefined

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "roles" / "backup" / "templates" / "report.txt.j2"
TAKEN = {
    "stack": "crm",
    "failed": False,
    "directory": "/b/crm/20261122T020000Z",
    "size": 14_800_000,
    "files": 628,
    "rows": 4247,
    "frozen_seconds": 0.03,
    "signed_with": "SHA256:x",
    "remarks": [],
    "anomalies": [],
    "collected": [],
}
LEFT = {
    "began_at": "2026-11-21T02:00:00+00:00",
    "actor": {"user": "ana"},
    "outcome": "ok",
    "message": None,
    "directory": "/b/crm/20261121T020000Z",
}


def report(*results, check_mode=False):
    environment = Environment(trim_blocks=True, undefined=StrictUndefined, autoescape=False)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(backup_results=results, ansible_check_mode=check_mode).splitlines()


def test_a_backup_has_two_lines():
    assert report(TAKEN) == [
        "crm: /b/crm/20261122T020000Z",
        "crm: 14.8 MB, 628 files, 4247 rows, frozen for 0.03 s, signed",
    ]


def test_check_mode_says_what_would_be():
    assert report(TAKEN, check_mode=True) == ["crm: would be backed up to /b/crm/20261122T020000Z"]


def test_a_failure_is_named_with_its_reason():
    assert report({"stack": "crm", "failed": True, "msg": "Stack crm is busy."}, {"stack": "x", "failed": True}) == [
        "crm: FAILED. Stack crm is busy.",
        "x: FAILED. no reason was given",
    ]


def test_a_failure_before_the_module_began_is_named_too():
    early = {"__backup_stack": "crm", "failed": True, "msg": "crm_progress is 'loud'."}

    assert report(early) == ["crm: FAILED. crm_progress is 'loud'."]


def test_one_that_was_waited_for_and_one_that_was_not_needed_are_told_apart():
    waited = report({**TAKEN, "attached": True})
    left_out = report({**TAKEN, "not_needed": "Backup 20261122T020000Z of 1.0 hours ago is younger than 12 hours."})

    assert waited[0] == "crm: /b/crm/20261122T020000Z (a backup that ran already, and was waited for)"
    assert left_out == ["crm: not backed up. Backup 20261122T020000Z of 1.0 hours ago is younger than 12 hours."]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (LEFT, "crm: begun at 2026-11-21T02:00:00+00:00 by ana and not waited for: ok, /b/crm/20261121T020000Z"),
        (
            {
                **LEFT,
                "actor": {},
                "outcome": "died",
                "directory": None,
                "message": "Its process ended without a result.",
            },
            "crm: begun at 2026-11-21T02:00:00+00:00 and not waited for: died. Its process ended without a result.",
        ),
    ],
    ids=["ended", "died"],
)
def test_what_nobody_waited_for_comes_first(other, expected):
    assert report({**TAKEN, "collected": [other]})[0] == expected


def test_a_host_without_a_stack_says_so():
    assert report() == [
        "No stack of a known CRM was found on this host. Start the stack, or name it in crm_stacks and describe it in "
        "crm_profiles."
    ]
