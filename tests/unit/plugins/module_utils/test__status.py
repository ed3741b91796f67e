# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import shutil

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._status import Attempt, shortened
from ansible_collections.crm.continuity.plugins.module_utils._status_facts import read
from ansible_collections.crm.continuity.plugins.module_utils._status_rules import Alerts, of_backups
from ansible_collections.crm.continuity.plugins.module_utils._status_words import instant
from ansible_collections.crm.continuity.tests.unit.catalogue_fakes import Root
from ansible_collections.crm.continuity.tests.unit.fakes import artifact

FIRST, SECOND, THIRD = (f"202611{day:02}T020000Z" for day in (19, 20, 21))


@pytest.fixture
def root(tmp_path):
    return Root(tmp_path / "root")


def stack(root, name="crm"):
    return read(str(root.path)).stack(name)


def cut(day):
    return f"2026-11-{day}T02:00:01+00:00"


def test_a_stack_can_be_restored_to_the_cut_of_its_newest_backup(root):
    root.put(FIRST, cut_at=cut(19))
    root.put(SECOND, cut_at=cut(20))

    found = stack(root)

    assert (found.restorable_to, found.verified_to, found.latest.id) == (cut(20), None, SECOND)
    assert [(past.id, past.word) for past in found.history] == [(FIRST, "unverified"), (SECOND, "unverified")]
    assert (found.backups, found.profiles, found.latest.seconds) == (2, ("chatwoot",), 9.0)


def test_a_backup_that_is_not_whole_is_told_however_old_it_is(root):
    ids = [f"202610{day:02}T020000Z" for day in range(1, 32)]
    for name in (*ids, FIRST):
        root.put(name, cut_at=cut(19))
    (root.path / "crm" / ids[0] / "volumes/storage.tar").unlink()

    found = stack(root)

    assert (found.damaged, found.restorable_to) == ((ids[0],), cut(19))
    assert [problem.code for problem in of_backups(found, Alerts(min_bytes=0), instant(cut(19)))] == ["damaged"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda place: (place / "volumes/storage.tar").unlink(), id="an artifact is gone"),
        pytest.param(lambda place: (place / "volumes/storage.tar").write_bytes(b"short"), id="an artifact is cut off"),
        pytest.param(lambda place: (place / "manifest.json").unlink(), id="the manifest is gone"),
        pytest.param(lambda place: (place / "manifest.json").write_text("{"), id="the manifest is none"),
        pytest.param(lambda place: (place / "SHA256SUMS").unlink(), id="the checksums are gone"),
        pytest.param(lambda place: shutil.rmtree(place) or place.write_text(""), id="it is a file"),
    ],
)
def test_a_backup_that_is_not_whole_leaves_the_one_before(root, damage):
    root.put(FIRST, cut_at=cut(19))
    damage(root.put(SECOND, cut_at=cut(20)))

    found = stack(root)

    assert (found.restorable_to, found.latest.id, found.latest.word) == (cut(19), SECOND, "damaged")
    assert found.latest.damage


def test_a_manifest_that_makes_no_sense_hides_no_other_backup(root):
    root.put(FIRST, cut_at=cut(19))
    root.put(SECOND, cut_at="the day before yesterday")
    root.put(THIRD, artifacts=(artifact("volumes/storage.tar", "dump", size=19, facts={"rows": [1, 2]}),))

    found = stack(root)

    assert found.restorable_to == cut(19)
    assert [past.word for past in found.history] == ["unverified", "damaged", "damaged"]
    assert found.history[1].cut_at == "2026-11-20T02:00:00+00:00"
    assert (found.latest.size, found.latest.damage.startswith("its manifest makes no sense")) == (None, True)


def test_what_was_verified_counts_apart_from_what_is_there(root):
    root.take(FIRST)
    root.take(SECOND, verified=False)

    found = stack(root)

    assert found.verified_to == found.history[0].cut_at
    assert (found.last_verified, found.latest.verified_at) == (root.log.read()[0][1].at, None)
    assert [past.word for past in found.history] == ["verified", "unverified"]


def test_what_a_verification_found_is_told(root):
    root.take(FIRST)
    root.take(SECOND, verified=False)
    root.verify(SECOND, result="failed", problems=["volumes/storage.tar: another checksum"])

    found = stack(root)

    assert (found.latest.word, found.restorable_to) == ("damaged", found.history[0].cut_at)
    assert "another checksum" in found.latest.damage
    assert [(one["action"], one["message"]) for one in found.failures] == [
        ("verify", "volumes/storage.tar: another checksum")
    ]


def test_tries_are_told_with_their_results(root):
    root.take(FIRST)
    root.log.append("backup", stack="crm", result="failed", facts={"message": "No space\nleft", "seconds": 4.2})

    found = stack(root)

    assert (found.attempt.result, found.attempt.message, found.attempt.seconds) == ("failed", "No space left", 4.2)
    assert (found.previous_result, found.last_success) == ("ok", root.log.read()[0][0].at)
    assert found.failures == ({"at": found.attempt.at, "action": "backup", "message": "No space left"},)


def test_only_the_last_failures_are_told_newest_first(root):
    for number in range(7):
        root.log.append("backup", stack="crm", result="failed", facts={"message": f"try {number}"})

    assert [one["message"] for one in stack(root).failures] == [f"try {number}" for number in (6, 5, 4, 3, 2)]


def test_a_recovery_can_be_told_from_the_try_before(root):
    root.log.append("backup", stack="crm", result="refused", facts={"message": "busy"})
    root.take(FIRST)

    found = stack(root)

    assert (found.attempt.result, found.previous_result) == ("ok", "refused")


def test_a_stack_that_never_had_a_backup_is_known_by_its_tries(root):
    root.log.append("backup", stack="ticketz", result="failed", facts={"message": "no such stack"})

    found = stack(root, "ticketz")

    assert (found.backups, found.attempt.result, found.latest, found.last_success) == (0, "failed", None, None)


def test_a_try_that_the_log_does_not_know_counts_when_it_is_newer(root):
    root.take(FIRST)
    late = Attempt("2099-01-01T00:00:00+00:00", "failed", "The disk is full.")
    early = Attempt("2020-01-01T00:00:00+00:00", "failed", "The disk is full.")

    assert read(str(root.path), [("crm", late)]).stack("crm").attempt == late
    assert read(str(root.path), [("crm", early)]).stack("crm").attempt.result == "ok"


def test_anomalies_are_told_until_they_are_accepted(root):
    root.take(FIRST)
    root.take(SECOND, anomalies=["rows of messages: 0"])
    before = stack(root).latest
    root.log.append("accept", stack="crm", backup=SECOND, facts={"reason": "a new season"})
    after = stack(root).latest

    assert (before.word, before.anomalies, before.accepted) == ("anomalous", ("rows of messages: 0",), None)
    assert (after.word, after.accepted) == ("verified", "a new season")


def test_a_drill_counts_also_when_its_backup_was_pruned(root):
    root.take(FIRST)
    root.log.append("drill", stack="crm", backup=FIRST)
    drilled = root.log.read()[0][-1].at
    root.log.append("prune", stack="crm", backup=FIRST)
    shutil.rmtree(root.path / "crm" / FIRST)
    root.take(SECOND)

    assert stack(root).last_drilled == drilled


def test_holds_are_counted(root):
    root.take(FIRST)
    root.take(SECOND)
    root.log.append("hold", stack="crm", backup=FIRST, facts={"reason": "lawsuit"})

    assert (stack(root).held, stack(root).latest.held) == (1, None)


def test_services_that_stood_still_are_told_once(root):
    services = [{"service": "web", "mode": "pause", "seconds": seconds} for seconds in (0.1, 0.3, 0.2)]
    root.put(FIRST, freeze={"seconds": 1, "services": services})

    assert stack(root).latest.services == ({"service": "web", "mode": "pause", "seconds": 0.3},)


def test_remarks_are_no_anomalies(root):
    root.put(FIRST, warnings=("not encrypted", "Anomalous: rows: 0"))

    assert (stack(root).latest.remarks, stack(root).latest.anomalies) == (1, ("rows: 0",))


def test_only_the_newest_backups_are_told_one_by_one(root):
    for day in range(1, 32):
        root.put(f"202610{day:02}T020000Z")

    found = stack(root)

    assert (found.backups, len(found.history)) == (31, 30)
    assert (found.history[0].id, found.history[-1].id) == ("20261002T020000Z", found.latest.id)


def test_a_log_that_was_changed_is_a_problem_and_hides_nothing(root):
    root.take(FIRST)
    lines = (root.path / "audit.jsonl").read_bytes().splitlines(keepends=True)
    (root.path / "audit.jsonl").write_bytes(lines[0].replace(b'"ok"', b'"no"') + lines[1])

    found = read(str(root.path))

    assert "audit.jsonl is not as it was written" in found.problem
    assert found.stack("crm").backups == 1


def test_a_log_that_cannot_be_read_is_a_problem_and_hides_nothing(root):
    root.put(FIRST)
    (root.path / "audit.jsonl").mkdir()

    found = read(str(root.path))

    assert found.problem
    assert found.stack("crm").latest.word == "unverified"


def test_a_root_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "root").write_text("")

    assert "cannot be read" in read(str(tmp_path / "root")).unreadable


def test_nothing_is_known_where_nothing_is(tmp_path):
    found = read(str(tmp_path / "root"))

    assert (found.stacks, found.problem, found.unreadable) == ((), None, None)


def test_it_can_be_told_as_json(root):
    root.take(FIRST, anomalies=["rows: 0"])

    told = stack(root).described("warning")

    assert json.loads(json.dumps(told)) == told
    assert (told["stack"], told["standing"]) == ("crm", "warning")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("connect to postgresql://crm:s3cret@db:5432/crm failed", "connect to postgresql://crm:***@db:5432/crm failed"),
        ("tcp://user:s3cret@127.0.0.1:1", "tcp://user:***@127.0.0.1:1"),
        ("PASSWORD=s3cret PGHOST=db", "PASSWORD=*** PGHOST=db"),
        ("db_password: s3cret, next", "db_password: ***, next"),
        ("'token': 's3cret'", "'token': ***"),
        ("the key AGE-SECRET-KEY-1QQQQQQ is wrong", "the key *** is wrong"),
        ("Incorrect sudo password", "Incorrect sudo password"),
        ('password authentication failed for user "chatwoot"', 'password authentication failed for user "chatwoot"'),
        ("two\n lines", "two lines"),
        ("x" * 400, "x" * 299 + "…"),
    ],
)
def test_words_are_told_short_and_without_secrets(words, expected):
    assert shortened(words) == expected
