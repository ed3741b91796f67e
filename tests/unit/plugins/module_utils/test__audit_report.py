# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._audit_chain import Event
from ansible_collections.crm.continuity.plugins.module_utils._audit_report import Choice, choose, storage

ID = "20261121T020000Z"
LATER = "20261122T020000Z"
ANA = {"user": "ana"}


def event(action, sequence=1, at="2026-11-21T02:00:00.000+00:00", stack="crm", backup=ID, result="ok", **facts):
    return Event(
        sequence=sequence,
        at=at,
        action=action,
        result=result,
        stack=stack,
        backup=backup,
        actor=ANA,
        host="crm-a",
        facts=facts,
        previous="0" * 64,
    )


EVENTS = [
    event("backup", 1, at="2026-10-31T23:59:59.000+00:00"),
    event("verify", 2, at="2026-11-01T02:00:00.000+00:00", result="failed"),
    event("backup", 3, at="2026-11-30T23:59:59.000+00:00", stack="other", backup=LATER),
    event("note", 4, at="2026-12-01T00:00:00.000+00:00", stack=None, backup=None),
]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        pytest.param(Choice(), [1, 2, 3, 4], id="all"),
        pytest.param(Choice(stack="crm"), [1, 2], id="of a stack"),
        pytest.param(Choice(backup=LATER), [3], id="of a backup"),
        pytest.param(Choice(actions=("backup", "note")), [1, 3, 4], id="of actions"),
        pytest.param(Choice(results=("failed",)), [2], id="of a result"),
        pytest.param(Choice(since="2026-11"), [2, 3, 4], id="since a month"),
        pytest.param(Choice(until="2026-11"), [1, 2, 3], id="until the end of a month"),
        pytest.param(Choice(since="2026-11-01", until="2026-11-30"), [2, 3], id="between two days"),
        pytest.param(Choice(limit=2), [3, 4], id="the newest"),
    ],
)
def test_events_are_chosen(choice, expected):
    assert [one.sequence for one in choose(EVENTS, choice)] == expected


def test_a_backup_is_kept_from_its_event_until_it_is_pruned():
    events = [
        event("backup", at="A", cut_at="C", volumes=["v"], databases=["d"], encryption="age"),
        event("verify", at="B"),
        event("prune", at="D"),
    ]

    (kept,) = storage(events, "/root", {"crm": []})

    assert (kept.stack, kept.backup, kept.host, kept.root) == ("crm", ID, "crm-a", "/root")
    assert (kept.since, kept.until, kept.by, kept.removed_by) == ("A", "D", ANA, ANA)
    assert (kept.cut_at, kept.volumes, kept.databases, kept.encryption) == ("C", ["v"], ["d"], "age")
    assert kept.unrecorded is False


def test_a_backup_that_is_there_is_kept_until_now():
    (kept,) = storage([event("adopt")], "/root", {"crm": [ID]})

    assert (kept.until, kept.unrecorded) == (None, False)


def test_a_backup_that_somebody_deleted_without_a_word_is_named():
    (kept,) = storage([event("backup")], "/root", {})

    assert (kept.until, kept.unrecorded) == (None, True)


def test_a_backup_that_no_event_knows_is_listed():
    (kept,) = storage([], "/root", {"crm": [ID]})

    assert (kept.stack, kept.backup, kept.since, kept.unrecorded) == ("crm", ID, "", False)


def test_what_failed_has_kept_nothing_and_removed_nothing():
    events = [
        event("backup", result="failed"),
        event("backup", backup=LATER),
        event("prune", backup=LATER, result="failed"),
    ]

    (kept,) = storage(events, "/root", {"crm": [LATER]})

    assert (kept.backup, kept.until) == (LATER, None)


def test_an_anomalous_backup_holds_data_like_any_other():
    assert len(storage([event("backup", result="anomalous")], "/root", {"crm": [ID]})) == 1


def test_copies_are_told_with_where_they_went():
    events = [
        event("transfer"),
        event("extract", at="B", table="public.users", to="/tmp/x", rows=3),
        event("copy", at="C", to="disk 7"),
        event("verify", at="D"),
    ]

    (kept,) = storage(events, "/root", {"crm": [ID]})

    assert kept.copies == [
        {"at": "B", "action": "extract", "by": ANA, "table": "public.users", "to": "/tmp/x"},
        {"at": "C", "action": "copy", "by": ANA, "to": "disk 7"},
    ]


def test_an_id_that_is_used_again_after_its_deletion_is_another_backup():
    events = [event("backup", at="A"), event("prune", at="B"), event("backup", at="C")]

    kept = storage(events, "/root", {"crm": [ID]})

    assert [(one.since, one.until) for one in kept] == [("A", "B"), ("C", None)]


def test_one_stack_is_told_apart():
    events = [event("backup"), event("backup", stack="other")]

    assert [one.stack for one in storage(events, "/root", {}, "other")] == ["other"]
