# Copyright (c) 2026 crm.continuity contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import random
from dataclasses import replace

import pytest

from ansible_collections.crm.continuity.plugins.module_utils._arrival import arrived
from ansible_collections.crm.continuity.plugins.module_utils._errors import StoreError
from ansible_collections.crm.continuity.plugins.module_utils._retention import (
    GOOD,
    Candidate,
    Rules,
    decide,
    rules,
)

START = datetime.datetime(2026, 11, 1, 2, 0, 0, tzinfo=datetime.timezone.utc)


def id_of(moment):
    return moment.strftime("%Y%m%dT%H%M%SZ")


def series(*hours, standing="verified"):
    """Return backups so many hours after the first of November."""
    return [Candidate(id_of(START + datetime.timedelta(hours=hour)), standing) for hour in hours]


def daily(count, **more):
    return series(*range(0, 24 * count, 24), **more)


def decided(wanted, backups, **more):
    """Decide about backups that arrived in this order, all of them known to the audit log."""
    return decide(wanted, backups, [one.id for one in backups], **more)


def kept(decision):
    return list(decision.keep)


# Golden tables: what stays of 500 days with a backup every six hours, the last on 2028-03-14T20:00:00Z


def six_hourly():
    return series(*range(0, 24 * 500, 6))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (
            {"keep_last": 3},
            ["20280314T080000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
        (
            {"keep_hourly": 3},
            ["20280314T080000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
        (
            {"keep_daily": 3},
            ["20280312T200000Z", "20280313T200000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
        (
            # Sundays, and the last Tuesday
            {"keep_weekly": 4},
            ["20280227T200000Z", "20280305T200000Z", "20280312T200000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
        (
            {"keep_monthly": 4},
            ["20271231T200000Z", "20280131T200000Z", "20280229T200000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
        (
            {"keep_yearly": 5},
            ["20261231T200000Z", "20271231T200000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
        (
            {"days": 2},
            [f"202803{day}T{hour}0000Z" for day in (13, 14) for hour in ("02", "08", "14", "20")],
        ),
        (
            {"keep_daily": 2, "keep_monthly": 2},
            ["20280229T200000Z", "20280313T200000Z", "20280314T140000Z", "20280314T200000Z"],
        ),
    ],
    ids=str,
)
def test_what_a_rule_keeps(wanted, expected):
    # min_verified keeps the last two, whatever the rule says.
    assert kept(decided(Rules(**wanted), six_hourly())) == expected


def test_every_survivor_has_its_reasons_and_the_rest_goes():
    backups = daily(6)
    backups[0] = replace(backups[0], held="lawsuit 17")

    decision = decided(Rules(keep_daily=2, keep_last=1), backups)

    assert decision.keep == {
        "20261101T020000Z": ("held: lawsuit 17",),
        "20261105T020000Z": ("min_verified 2", "keep_daily 2"),
        "20261106T020000Z": ("the newest", "min_verified 2", "keep_last 1", "keep_daily 2"),
    }
    assert decision.remove == ("20261102T020000Z", "20261103T020000Z", "20261104T020000Z")
    assert (decision.overdue, decision.blocked) == ((), None)


def test_of_one_day_the_newest_verified_backup_stays_before_a_newer_one_that_is_not():
    backups = series(0, 6, 12, 24, 48)
    backups[2] = replace(backups[2], standing="unverified")

    decision = decided(Rules(keep_daily=3), backups)

    assert kept(decision) == [backups[1].id, backups[3].id, backups[4].id]


@pytest.mark.parametrize("bad", ["anomalous", "damaged"])
def test_a_bad_backup_displaces_no_good_one_and_stays_beside_it(bad):
    backups = daily(5)
    # The last of its day, as an empty one of 23:59 would be.
    backups.insert(3, Candidate("20261103T235959Z", bad))

    decision = decided(Rules(keep_daily=3), backups)

    assert kept(decision) == ["20261103T020000Z", "20261103T235959Z", "20261104T020000Z", "20261105T020000Z"]
    assert decision.keep["20261103T235959Z"] == (f"{bad}, beside the others: keep_daily 3",)
    assert kept(decided(Rules(keep_daily=2), backups)) == ["20261104T020000Z", "20261105T020000Z"]


# When nothing goes


@pytest.mark.parametrize("standing", ["unverified", "anomalous", "damaged"])
def test_nothing_goes_when_the_newest_is_not_verified_and_it_says_so(standing):
    backups = [*daily(9), *series(24 * 9, standing=standing)]

    decision = decided(Rules(keep_last=2), backups)

    assert decision.remove == ()
    assert kept(decision) == [one.id for one in backups]
    assert decision.overdue == tuple(one.id for one in backups[:7])
    assert "20261110T020000Z" in decision.blocked


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"failed": "The last try failed."}, "The last try failed. Nothing is removed before"),
        ({"distrust": "There is no audit log."}, "There is no audit log."),
    ],
)
def test_nothing_goes_after_a_failure_or_without_a_log_that_can_be_trusted(more, words):
    decision = decided(Rules(keep_last=1), daily(5), **more)

    assert decision.remove == ()
    assert len(decision.keep) == 5
    assert words in decision.blocked
    assert decision.overdue == tuple(one.id for one in daily(3))


def test_nothing_goes_when_fewer_are_verified_than_have_to_stay():
    backups = [*daily(8, standing="unverified"), *series(24 * 8)]

    decision = decided(Rules(keep_last=1, min_verified=2), backups)

    assert decision.remove == ()
    assert "Backups that were verified: 1, and min_verified is 2." in decision.blocked


def test_a_stack_without_backups_has_nothing_to_decide():
    assert decide(Rules(keep_last=1), []).keep == {}


# Clocks


@pytest.mark.parametrize("hours", [-365 * 24, -31 * 24, -48, 31 * 24, 365 * 24], ids=str)
@pytest.mark.parametrize("wanted", [Rules(keep_daily=5, keep_weekly=2), Rules(days=5)], ids=["gfs", "days"])
def test_one_backup_of_a_wrong_clock_makes_no_other_one_older(wanted, hours):
    before, after = daily(20), series(*range(24 * 20, 24 * 25, 24))
    jumped = series(24 * 20 + hours - 0.5)
    without = kept(decided(wanted, [*before, *after]))

    decision = decided(wanted, [*before, *jumped, *after])

    assert set(without) <= set(kept(decision))
    assert any("the clock was wrong" in remark for remark in decision.remarks)


@pytest.mark.parametrize("hours", [-365 * 24, -31 * 24, -72])
def test_a_clock_that_is_set_back_for_good_begins_an_era_and_the_old_one_loses_only_its_turn(hours):
    before = daily(20)
    after = series(*(24 * 20 + hours + 24 * day - 0.5 for day in range(3)))

    decision = decided(Rules(keep_daily=6), [*before, *after])

    # The three new days, the last of the old era, which takes no place, and three more.
    assert kept(decision) == [one.id for one in [*before[-4:], *after]]


def test_the_newest_is_the_last_that_arrived_and_not_the_greatest_id():
    backups = [*daily(5), *series(24 * 300), *series(24 * 5, standing="unverified")]

    assert backups[-1].id in decided(Rules(keep_last=1), backups).blocked


def test_a_month_without_backups_or_a_clock_a_month_ahead_uses_up_one_day_only():
    backups = [*daily(14), *series(24 * 45)]

    assert kept(decided(Rules(days=14), backups)) == [one.id for one in backups[1:]]


def test_a_backup_that_the_log_does_not_know_is_taken_for_newer_rather_than_older():
    known = [*daily(3), *series(24 * 300), *series(24 * 4)]
    stranger = Candidate("20261106T000000Z", "unverified")
    arrivals = [one.id for one in known]

    assert arrived([stranger.id, *arrivals], arrivals)[-1] == stranger.id
    assert stranger.id in decide(Rules(keep_last=1), [*known, stranger], arrivals).blocked


def test_an_id_that_is_no_time_is_no_error():
    backups = [Candidate("20260231T020000Z", "verified"), *series(0, 24)]

    assert kept(decided(Rules(keep_monthly=1), backups)) == ["20261101T020000Z", "20261102T020000Z"]


# Whatever comes


def chaos(seed):
    """Return rules and a history of a stack on a host whose clock and luck are bad, and what the log knows of it."""
    luck = random.Random(seed)
    hour, backups = 0.0, []
    for _arrival in range(luck.randrange(1, 60)):
        hour += luck.choice([1, 6, 24, 24, 24, 168, luck.choice([-8760, -720, -24, 720, 8760, 0.01])])
        standing = luck.choices(["verified", "unverified", "anomalous", "damaged"], [6, 2, 1, 1])[0]
        held = "for a reason" if luck.random() < 0.05 else None
        backups.append(Candidate(id_of(START + datetime.timedelta(hours=hour)), standing, held))
    backups = list({one.id: one for one in backups}.values())
    # Some have gone already, and some the log does not know.
    arrivals = [one.id for one in backups if luck.random() < 0.9]
    backups = [one for one in backups if luck.random() < 0.8] or backups
    names = ("keep_last", "keep_hourly", "keep_daily", "keep_weekly", "keep_monthly", "keep_yearly", "days")
    wanted = {name: luck.choice([0, 0, 1, 2, 7]) for name in names}
    wanted["min_verified"] = luck.choice([1, 1, 2, 5])
    return Rules(**wanted), backups, arrivals, "The last try failed." if luck.random() < 0.1 else None


@pytest.mark.parametrize("seed", range(300))
def test_no_history_tricks_it(seed):
    wanted, backups, arrivals, failed = chaos(seed)
    by_id = {one.id: one for one in backups}
    order = arrived(by_id, arrivals)

    decision = decide(wanted, backups, arrivals, failed=failed)

    stays, goes = set(decision.keep), set(decision.remove)
    # Everything is decided once, and said in the order of arrival.
    assert stays | goes == set(order)
    assert not stays & goes
    assert [id_ for id_ in order if id_ in stays] == list(decision.keep)
    assert all(decision.keep.values())
    verified = [id_ for id_ in order if by_id[id_].standing == "verified"]
    assert order[-1] in stays
    assert {one.id for one in backups if one.held} <= stays
    assert set(verified[-wanted.min_verified :]) <= stays
    newest_is_good = by_id[order[-1]].standing == "verified" and failed is None
    if not newest_is_good or len(verified) < wanted.min_verified:
        assert not goes
        assert decision.blocked
    # The last ones stay, and bad ones do not count.
    good = [id_ for id_ in order if by_id[id_].standing in GOOD]
    if wanted.keep_last:
        assert set(good[-wanted.keep_last :]) <= stays
    # So do the newest of every day of the last days, however the clock went.
    assert len(stays & set(good)) >= min(len({id_[:8] for id_ in good}), wanted.days)
    # Whoever gave them in another order gets the same answer.
    assert decide(wanted, backups[::-1], arrivals, failed=failed) == decision
    # A second run finds nothing more to remove.
    assert decide(wanted, [one for one in backups if one.id in stays], arrivals, failed=failed).remove == ()


@pytest.mark.parametrize("seed", range(100))
def test_a_bad_backup_never_costs_a_good_one_its_place(seed):
    wanted, backups, arrivals, _failed = chaos(seed)
    # All of them are known: where one is that the log does not know depends on those that it knows.
    arrivals = arrived({*arrivals, *(one.id for one in backups)}, arrivals)
    luck = random.Random(seed)
    place = luck.randrange(len(arrivals) + 1)
    bad = Candidate("20261101T033333Z", luck.choice(["anomalous", "damaged"]))

    decision = decide(wanted, [*backups, bad], [*arrivals[:place], bad.id, *arrivals[place:]])

    good = {one.id for one in backups if one.standing in GOOD}
    assert good.intersection(decision.remove) <= set(decide(wanted, backups, arrivals).remove)


# Options


def test_a_stack_may_have_rules_of_its_own():
    given = {"keep_daily": 7, "keep_weekly": None, "stacks": {"crm": {"keep_daily": 30, "days": 3}}}

    assert rules(given, "crm") == Rules(keep_daily=30, days=3)
    assert rules(given, "ticketz") == Rules(keep_daily=7)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no rule for stack crm"),
        ({"keep_daily": 0}, "no rule for stack crm"),
        ({"keep_daily": 7, "min_verified": 0}, "at least 1 backup"),
        ({"keep_daily": -1}, "keep_daily is -1"),
        ({"keep_daily": True}, "keep_daily is True"),
        ({"keep_daily": "7"}, "keep_daily is '7'"),
        ({"dayly": 7}, "no rule dayly"),
        ({"days": 1, "stacks": {"crm": {"weeks": 1}}}, "no rule weeks"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given, words):
    with pytest.raises(StoreError, match=words):
        rules(given, "crm")
