# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._anomaly import Limits
from ansible_collections.crm.continuity.plugins.module_utils._backup_gate import history, weigh
from ansible_collections.crm.continuity.plugins.module_utils._catalogue import Catalogue
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root
from ansible_collections.crm.continuity.tests.unit.fakes import artifact, manifest

IDS = [f"202611{day:02}T020000Z" for day in range(1, 7)]


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


def compared(root, count=10):
    return [one.id for one in history(Catalogue(root.log), "crm", count)]


def test_a_backup_is_compared_with_the_last_good_ones(root):
    root.take(IDS[0])
    root.take(IDS[1], verified=False)
    root.take(IDS[2], anomalies=["x"])
    root.take(IDS[3])
    root.verify(IDS[3], level="quick", result="failed")
    root.put(IDS[4], origin={"kind": "runbook", "made_at": "", "files": []})
    root.take(IDS[5])

    assert compared(root) == [IDS[0], IDS[1], IDS[5]]
    assert compared(root, 2) == [IDS[1], IDS[5]]
    assert compared(root, 0) == []


def test_nothing_before_an_anomaly_that_was_accepted_is_usual_any_more(root):
    root.take(IDS[0])
    root.take(IDS[1], anomalies=["x"])
    root.log.append("accept", stack="crm", backup=IDS[1], facts={"reason": "a big clean-up"})
    root.take(IDS[2])

    assert compared(root) == [IDS[1], IDS[2]]


def test_an_anomaly_is_marked_in_the_manifest(root):
    small = manifest(artifacts=(artifact("volumes/a.tar", source="a", size=5),), warnings=("said before",))

    marked, found = weigh(small, root.log, Limits())

    assert [one.rule for one in found] == ["min_size"]
    assert marked.warnings == ("said before", f"Anomalous: {found[0].message}")
    assert weigh(small, root.log, Limits(min_size=0)) == (small, ())


def test_a_log_that_cannot_be_read_is_no_failure_and_is_said(root):
    (root.path / "audit.jsonl").mkdir(parents=True)

    marked, found = weigh(manifest(), root.log, Limits(min_size=0))

    assert found == ()
    assert marked.warnings[-1].startswith("Not compared with the backups before: ")
