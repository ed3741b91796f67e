# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._arrival import arrivals, arrived
from ansible_collections.crm.continuity.plugins.module_utils._audit import AuditLog
from ansible_collections.crm.continuity.plugins.module_utils._backup_info import Request, describe
from ansible_collections.crm.continuity.plugins.module_utils._backup_store import Store

FUTURE = "20361101T020000Z"


def test_without_any_log_the_order_is_that_of_the_ids():
    ids = ["20261101T020000Z", "20261101T020000Z-2", "20261101T020000Z-10", "20261102T020000Z"]

    assert arrived(reversed(ids), ()) == ids


def test_an_id_that_was_used_again_is_that_of_the_last_backup():
    assert arrived(["20261101T020000Z", "20261102T020000Z"], ["20261102T020000Z", "20261101T020000Z"] * 2) == [
        "20261102T020000Z",
        "20261101T020000Z",
    ]


@pytest.fixture
def log(tmp_path):
    return AuditLog(str(tmp_path / "root"), str(tmp_path / "heads"))


def taken(log, *ids, stack="crm", **more):
    for id_ in ids:
        log.append("backup", stack=stack, backup=id_, **more)


def published(log, *ids, stack="crm"):
    store = Store(log.root)
    for id_ in ids:
        os.mkdir(os.path.join(store.prepare(stack), id_))
    return store


def test_backups_arrive_in_the_order_of_the_log(log):
    taken(log, FUTURE, "20261102T020000Z", "20261103T020000Z")

    assert arrivals(log.root, "crm") == [FUTURE, "20261102T020000Z", "20261103T020000Z"]


@pytest.mark.parametrize("result", ["failed", "refused"])
def test_a_try_that_gave_no_backup_is_no_arrival(log, result):
    taken(log, FUTURE, result=result)

    assert arrivals(log.root, "crm") == []


def test_an_anomalous_backup_arrives_too(log):
    taken(log, FUTURE, result="anomalous")

    assert arrivals(log.root, "crm") == [FUTURE]


def test_backups_of_other_stacks_and_other_events_are_none_of_this_one(log):
    taken(log, FUTURE, stack="other")
    log.append("verify", stack="crm", backup=FUTURE, facts={"told": '"action":"backup"'})
    taken(log, "not-an-id")

    assert arrivals(log.root, "crm") == []


def test_lines_that_are_no_events_are_left_out(log):
    taken(log, "20261101T020000Z", "20261102T020000Z")
    with open(log.path, "ab") as stream:
        stream.write(b'{"action":"backup"}\n{"action":"backup","stack')

    assert arrivals(log.root, "crm") == ["20261101T020000Z", "20261102T020000Z"]


def test_without_a_log_nothing_is_known(tmp_path):
    assert arrivals(str(tmp_path), "crm") == []


def test_the_latest_backup_is_the_one_that_came_last_whatever_its_clock_said(log):
    store = published(log, FUTURE, "20261102T020000Z", "20261103T020000Z")
    taken(log, FUTURE, "20261102T020000Z", "20261103T020000Z")

    assert store.backup("crm").id == "20261103T020000Z"
    assert [one["id"] for one in describe(Request(log.root, "crm", "latest"))] == ["20261103T020000Z"]
